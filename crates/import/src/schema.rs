//! The tables of a Luna 2 database, and what becomes of each. Columns that only this program writes are settings that the old daemon does not
//! know, `labels`, `routes`, those that begin with `files_`, `driver`, `port` and `certificate` of BMC setups,
//! `interfaces` of switches, `parentid` of groups, `addressing` of their interfaces, and `owner` and `mode` of secrets: without them an export
//! would lose what it came from.

use perilune_model::provisioning::{KERNEL_ARGUMENTS, SETTINGS, Setting};
use perilune_model::{image, node, settings};

/// A table that is read.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    /// Columns that are read.
    read: &'static [&'static str],
    /// Columns that are named as fields of the model are.
    fields: Fields,
    /// Columns whose loss nobody notices.
    without_meaning: &'static [&'static str],
}

/// Which fields of the model are columns.
#[derive(Clone, Copy)]
enum Fields {
    None,
    /// Settings of the cluster.
    OfCluster,
    OfImages,
    /// What tags of images keep.
    OfTags,
    /// What nodes inherit from groups.
    OfGroups,
    OfNodes,
}

impl Fields {
    fn columns(self) -> Vec<&'static str> {
        let inherited = || SETTINGS.iter().map(column).chain([INSTALL_MODE, "labels", "routes"]);
        match self {
            Self::None => Vec::new(),
            Self::OfCluster => {
                settings::FIELDS.iter().map(|field| field.name).chain([INSTALL_MODE]).collect()
            }
            Self::OfImages => image::TEXTS.iter().map(|text| text.name).collect(),
            Self::OfTags => vec![KERNEL_ARGUMENTS],
            Self::OfGroups => inherited().collect(),
            Self::OfNodes => node::TEXTS.iter().map(|text| text.name).chain(inherited()).collect(),
        }
    }
}

/// What newer databases say of an installation beside `install_policy`.
pub(crate) const INSTALL_MODE: &str = "install_mode";

/// The column of a setting: one that refers to a row is named otherwise than the field.
pub(crate) fn column(setting: &Setting) -> &'static str {
    match setting.name {
        "osimage" => "osimageid",
        "osimagetag" => "osimagetagid",
        "bmcsetup" => "bmcsetupid",
        name => name,
    }
}

/// What an interface is; columns of both tables of interfaces.
macro_rules! with_link {
    ($($column:literal),* $(,)?) => {
        &[$($column,)* "interface", "mtu", "vlanid", "vlan_parent", "bond_mode", "bond_slaves", "options"]
    };
}

macro_rules! known {
    ($($name:literal: $read:expr, $without_meaning:expr $(, $fields:ident)?;)*) => {
        pub(crate) const KNOWN: &[Known] = &[$(Known {
            name: $name,
            read: $read,
            fields: known!(@ $($fields)?),
            without_meaning: $without_meaning,
        },)*];
    };
    (@) => { Fields::None };
    (@ $fields:ident) => { Fields::$fields };
}

known! {
    "cluster": &["name"], &[], OfCluster;
    "network": &[
        "name", "network", "subnet", "network_ipv6", "subnet_ipv6", "gateway", "gateway_ipv6", "gateway_metric",
        "nameserver_ip", "nameserver_ip_ipv6", "ntp_server", "dhcp", "dhcp_nodes_in_pool", "dhcp_nodes_only",
        "dhcp_range_begin", "dhcp_range_end", "dhcp_range_begin_ipv6", "dhcp_range_end_ipv6", "zone", "shared", "type",
        "non_authoritative", "comment", "routes", "dhcp_relay", "dhcp_link_subnet",
    ], &[];
    "route": &["name", "destination", "gateway", "metric", "device", "comment"], &[];
    "routemap": &["tableref", "tablerefid", "routeid"], &[];
    "controller": &["hostname", "beacon", "shadow", "serverport", "status", "vendor"], &["clusterid"];
    "osimage": &[
        "name", "kernelfile", "initrdfile", "imagefile", "tagid", "files_kernelversion", "files_checksum", "files_size",
        "files_unpacked_size", "labels",
    ], &["changed"], OfImages;
    "osimagetag": &[
        "name", "osimageid", "kernelfile", "initrdfile", "imagefile", "files_kernelversion", "files_checksum", "files_size",
        "files_unpacked_size",
    ], &[], OfTags;
    "bmcsetup": &[
        "name", "userid", "username", "password", "netchannel", "mgmtchannel", "unmanaged_bmc_users", "driver", "port",
        "certificate", "system", "comment",
    ], &[];
    "switch": &[
        "name", "macaddress", "oid", "read", "rw", "uplinkports", "vendor", "comment", "netboot", "default_url", "bootfile", "ztpconfig",
        "ztpformat", "ostype", "url_protocol", "url_server", "tftp_enable", "interfaces",
    ], &[];
    "otherdevices": &["name", "macaddress", "vendor", "comment"], &[];
    "cloud": &["name", "type", "comment"], &[];
    "group": &["name", "domain", "comment", "parentid"], &[], OfGroups;
    "groupinterface": with_link!["groupid", "networkid", "dhcp", "addressing"], &[];
    "node": &["name", "groupid", "switchid", "switchport", "cloudid", "service", "status"], &[], OfNodes;
    "nodeinterface": with_link!["nodeid", "macaddress"], &[];
    "ipaddress": &["tableref", "tablerefid", "ipaddress", "ipaddress_ipv6", "networkid", "dhcp"], &[];
    "dns": &["host", "ipaddress", "networkid"], &[];
    "nodesecrets": &["nodeid", "name", "content", "path", "owner", "mode"], &[];
    "groupsecrets": &["groupid", "name", "content", "path", "owner", "mode"], &[];
    "rack": &["name", "size", "order", "room", "site", "labels"], &[];
    "rackinventory": &["tableref", "tablerefid", "rackid", "height", "position", "orientation"], &[];
    "monitor": &["tableref", "tablerefid", "state", "status", "updated"], &[];
    "user": &["username"], &["password", "roleid", "createdby", "lastlogin", "created"];
}

/// Tables that are not read, each with the reason that the report gives when it has rows.
pub(crate) const LEFT: &[(&str, &str)] = &[
    ("ha", "how controllers stand for each other is set up anew"),
    (
        "journal",
        "changes that another controller had not received yet are not replayed; let it come into step first",
    ),
    ("ping", "nothing in it outlives the daemon"),
    ("queue", "work that was waiting is not done; start it again"),
    ("reference", "it only numbers states of the old daemon"),
    ("reservedipaddress", "addresses that were promised for ten minutes are free again"),
    ("roles", "roles of users are given anew"),
    ("status", "messages of work that is over"),
    ("tracker", "peers of image transfers announce themselves anew"),
];

/// Tables that only newer databases have: without them nothing is missing.
pub(crate) const NEWER: [&str; 2] = ["route", "routemap"];

/// Tables of which at least one must be there.
pub(crate) const TELLING: [&str; 4] = ["cluster", "group", "network", "node"];

/// What is done with the table of this name.
pub(crate) fn known(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

impl Known {
    /// All columns but the id.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static str> {
        let read = self.read.iter().copied();
        read.chain(self.fields.columns()).chain(self.without_meaning.iter().copied())
    }

    /// Whether the loss of this column need not be told.
    pub(crate) fn mentions(&self, column: &str) -> bool {
        column == "id" || self.columns().any(|known| known == column)
    }
}
