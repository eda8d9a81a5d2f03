//! Tables of what is provisioned: images, BMC setups, groups, nodes, their interfaces, addresses and secrets.

use perilune_model::bmc_setup::{Certificate, Driver};
use perilune_model::effective::Effective;
use perilune_model::image::{self, ImageFiles};
use perilune_model::interface::Link;
use perilune_model::node::{self, Node};
use perilune_model::provisioning::{
    KERNEL_ARGUMENTS, Provisioning, SETTINGS, Setting, SettingValue, TagChoice, UnmanagedUsers,
};
use perilune_model::secret::Secrets;
use perilune_model::{Addresses, Cluster, Name, Text};

use super::Writer;
use crate::cell::Cell;
use crate::schema;

/// The columns of one row that are set.
type Cells = Vec<(&'static str, Cell)>;

impl Writer {
    pub(super) fn machines(&mut self, cluster: &Cluster) {
        self.images(cluster);
        self.bmc_setups(cluster);
        self.groups(cluster);
        let nodes: Vec<_> = cluster
            .nodes()
            .values()
            .map(|node| (node.name.to_string(), self.node(cluster, node)))
            .collect();
        self.table("node", nodes);
        self.interfaces(cluster);
        self.addresses(cluster);
        let of_nodes = cluster.node_secrets().values();
        let of_nodes = of_nodes.flat_map(|list| self.secrets("node", "nodeid", list));
        let of_nodes: Vec<_> = of_nodes.collect();
        self.table("nodesecrets", of_nodes);
        let of_groups = cluster.group_secrets().values();
        let of_groups = of_groups.flat_map(|list| self.secrets("group", "groupid", list));
        let of_groups: Vec<_> = of_groups.collect();
        self.table("groupsecrets", of_groups);
    }

    fn images(&mut self, cluster: &Cluster) {
        let mut images = Vec::new();
        let mut tags = Vec::new();
        for image in cluster.images().values() {
            let mut row = vec![
                ("name", Cell::some(Some(&image.name))),
                ("tagid", self.tag(&image.name, image.tag.as_ref())),
                ("labels", Cell::labels(&image.labels)),
            ];
            row.extend(texts(image::TEXTS, image));
            row.extend(files(&image.files));
            images.push((image.name.to_string(), row));
            for tag in &image.tags {
                let mut row = vec![
                    ("name", Cell::some(Some(&tag.name))),
                    ("osimageid", self.reference("osimage", Some(&image.name))),
                    (KERNEL_ARGUMENTS, Cell::some(tag.kernel_arguments())),
                ];
                row.extend(files(&tag.files));
                tags.push((tag_key(&image.name, &tag.name), row));
            }
        }
        self.table("osimage", images);
        self.table("osimagetag", tags);
    }

    fn tag(&mut self, image: &Name, tag: Option<&Name>) -> Cell {
        self.reference("osimagetag", tag.map(|tag| tag_key(image, tag)))
    }

    fn bmc_setups(&mut self, cluster: &Cluster) {
        let setups = cluster.bmc_setups().values().map(|setup| {
            let row = vec![
                ("name", Cell::some(Some(&setup.name))),
                ("userid", Cell::number(Some(setup.userid))),
                ("username", Cell::some(Some(&setup.username))),
                ("password", Cell::some(Some(&setup.password))),
                ("netchannel", Cell::number(Some(setup.netchannel))),
                ("mgmtchannel", Cell::number(Some(setup.mgmtchannel))),
                (
                    "unmanaged_bmc_users",
                    Cell::some(setup.unmanaged_bmc_users.map(UnmanagedUsers::word)),
                ),
                ("driver", Cell::some(setup.driver.map(Driver::word))),
                ("port", Cell::number(setup.port)),
                ("certificate", Cell::some(setup.certificate.map(Certificate::word))),
                ("system", Cell::some(setup.system.as_ref())),
                ("comment", Cell::some(setup.comment.as_ref())),
            ];
            (setup.name.to_string(), row)
        });
        self.table("bmcsetup", setups);
    }

    fn groups(&mut self, cluster: &Cluster) {
        let mut groups = Vec::new();
        let mut interfaces = Vec::new();
        for group in cluster.groups().values() {
            let own = &group.provisioning;
            let image = Effective::of_group(cluster, group).osimage().value;
            let mut row = self.provisioning(own, image, &Cell::boolean(Some(false)));
            row.extend([
                ("name", Cell::some(Some(&group.name))),
                ("domain", Cell::some(group.domain.as_ref())),
                ("comment", Cell::some(group.comment.as_ref())),
                ("labels", Cell::labels(&group.labels)),
                ("parentid", self.reference("group", group.parent.as_ref())),
            ]);
            groups.push((group.name.to_string(), row));
            for interface in &group.interfaces {
                let mut row = link(&interface.link);
                row.extend([
                    ("groupid", self.reference("group", Some(&group.name))),
                    ("interface", Cell::some(Some(&interface.name))),
                    ("networkid", self.reference("network", Some(&interface.network))),
                    ("dhcp", Cell::boolean(interface.dhcp)),
                    (
                        "addressing",
                        Cell::some(Some(&interface.numbering).filter(|it| !it.is_usual())),
                    ),
                ]);
                interfaces.push((interface_key(&group.name, &interface.name), row));
            }
        }
        self.table("group", groups);
        self.table("groupinterface", interfaces);
    }

    fn node(&mut self, cluster: &Cluster, node: &Node) -> Cells {
        let own = &node.provisioning;
        let image = Effective::of_node(cluster, node).osimage().value;
        // Zero says nothing in a node's row; the word does.
        let mut row = self.provisioning(own, image, &Cell::some(Some("no")));
        // Without the word, a reader could take the group's tag for that of another image.
        if own.osimage.is_some() && own.osimagetag.is_none() {
            row.push(("osimagetagid", Cell::some(Some(TagChoice::Current.word()))));
        }
        row.extend(texts(node::TEXTS, node));
        row.extend([
            ("name", Cell::some(Some(&node.name))),
            ("groupid", self.reference("group", Some(&node.group))),
            ("service", Cell::boolean(Some(node.service))),
            ("switchid", self.reference("switch", node.switch.as_ref())),
            ("switchport", Cell::some(node.switchport.as_ref())),
            ("cloudid", self.reference("cloud", node.cloud.as_ref())),
            ("labels", Cell::labels(&node.labels)),
            ("status", Cell::some(node.status.as_ref())),
        ]);
        row
    }

    /// What nodes and groups have alike; tags are of the image that is in effect. `no` is what a switch that is off is written as. What comes
    /// later takes the place of what stands before.
    fn provisioning(&mut self, own: &Provisioning, image: Option<&Name>, no: &Cell) -> Cells {
        let cell = |setting: &Setting| match (setting.of)(own) {
            None => Cell::Null,
            Some(SettingValue::Flag(false)) => no.clone(),
            Some(SettingValue::Flag(true)) => Cell::boolean(Some(true)),
            Some(value @ (SettingValue::Text(_) | SettingValue::Words(_))) => {
                Cell::some(Some(value))
            }
        };
        let mut cells: Cells =
            SETTINGS.iter().map(|setting| (schema::column(setting), cell(setting))).collect();
        if let (Some(TagChoice::Named(tag)), Some(image)) = (&own.osimagetag, image) {
            cells.push(("osimagetagid", self.tag(image, Some(tag))));
        }
        cells.extend([
            ("osimageid", self.reference("osimage", own.osimage.as_ref())),
            ("bmcsetupid", self.reference("bmcsetup", own.bmcsetup.as_ref())),
            ("routes", Cell::list(&own.routes)),
        ]);
        cells
    }

    fn interfaces(&mut self, cluster: &Cluster) {
        let mut rows = Vec::new();
        for node in cluster.nodes().values() {
            for interface in &node.interfaces {
                let mut row = link(&interface.link);
                row.extend([
                    ("nodeid", self.reference("node", Some(&node.name))),
                    ("interface", Cell::some(Some(&interface.name))),
                    ("macaddress", Cell::some(interface.macaddress)),
                ]);
                rows.push((interface_key(&node.name, &interface.name), row));
            }
        }
        self.table("nodeinterface", rows);
    }

    fn addresses(&mut self, cluster: &Cluster) {
        let mut rows = Vec::new();
        let devices = cluster
            .controllers()
            .values()
            .map(|it| ("controller", &it.name, &it.addresses, it.network.as_ref()))
            .chain(
                cluster
                    .switches()
                    .values()
                    .map(|it| ("switch", &it.name, &it.addresses, it.network.as_ref())),
            )
            .chain(
                cluster
                    .other_devices()
                    .values()
                    .map(|it| ("otherdevices", &it.name, &it.addresses, it.network.as_ref())),
            );
        for (table, name, addresses, network) in devices {
            rows.extend(self.address(table, name.as_str(), addresses, network, false));
        }
        for node in cluster.nodes().values() {
            for interface in &node.interfaces {
                let key = interface_key(&node.name, &interface.name);
                let network = interface.network.as_ref();
                let row = self.address(
                    "nodeinterface",
                    &key,
                    &interface.addresses,
                    network,
                    interface.dhcp,
                );
                rows.extend(row);
            }
        }
        self.table("ipaddress", rows);
    }

    /// The row that says where a device is; none where there is nothing to say.
    fn address(
        &mut self,
        table: &'static str,
        key: &str,
        addresses: &Addresses,
        network: Option<&Name>,
        dhcp: bool,
    ) -> Option<(String, Cells)> {
        if addresses.is_empty() && network.is_none() && !dhcp {
            return None;
        }
        let row = vec![
            ("tableref", Cell::some(Some(table))),
            ("tablerefid", self.reference(table, Some(key))),
            ("ipaddress", Cell::some(addresses.ipv4)),
            ("ipaddress_ipv6", Cell::some(addresses.ipv6)),
            ("networkid", self.reference("network", network)),
            ("dhcp", Cell::boolean(Some(dhcp))),
        ];
        Some((format!("{table}/{key}"), row))
    }

    fn secrets(
        &mut self,
        table: &'static str,
        column: &'static str,
        list: &Secrets,
    ) -> Vec<(String, Cells)> {
        let owner = self.reference(table, Some(&list.name));
        let row = |secret: &perilune_model::secret::Secret| {
            let row = vec![
                (column, owner.clone()),
                ("name", Cell::some(Some(&secret.name))),
                ("content", Cell::some(Some(&secret.content))),
                ("path", Cell::some(secret.path.as_ref())),
                ("owner", Cell::some(secret.owner.as_ref())),
                ("mode", Cell::some(secret.mode.as_ref())),
            ];
            (format!("{}/{}", list.name, secret.name), row)
        };
        list.secrets.iter().map(row).collect()
    }
}

fn texts<O, R>(texts: &[Text<O, R>], object: &O) -> Cells {
    texts.iter().map(|text| (text.name, Cell::some((text.of)(object)))).collect()
}

/// Tags of different images may have one name.
fn tag_key(image: &Name, tag: &Name) -> String {
    format!("{image}/{tag}")
}

fn interface_key(owner: &Name, interface: &Name) -> String {
    format!("{owner}/{interface}")
}

fn files(files: &ImageFiles) -> Cells {
    let size = |size: Option<u64>| Cell::number(size.and_then(|size| i64::try_from(size).ok()));
    vec![
        ("kernelfile", Cell::some(files.kernelfile.as_ref())),
        ("initrdfile", Cell::some(files.initrdfile.as_ref())),
        ("imagefile", Cell::some(files.imagefile.as_ref())),
        ("files_kernelversion", Cell::some(files.kernelversion.as_ref())),
        ("files_checksum", Cell::some(files.checksum.as_ref())),
        ("files_size", size(files.size)),
        ("files_unpacked_size", size(files.unpacked_size)),
    ]
}

fn link(link: &Link) -> Cells {
    vec![
        ("mtu", Cell::number(link.mtu)),
        ("vlanid", Cell::number(link.vlanid)),
        ("vlan_parent", Cell::some(link.vlan_parent.as_ref())),
        ("bond_mode", Cell::some(link.bond_mode.as_ref())),
        ("bond_slaves", Cell::list(&link.bond_slaves)),
        ("options", Cell::some(link.options.as_ref())),
    ]
}
