//! Tables of what the cluster stands in: settings, networks, controllers, devices, racks, and names.

use perilune_model::controller::Controller;
use perilune_model::device::SwitchInterface;
use perilune_model::device::ztp::{Format, Protocol, System};
use perilune_model::network::{Network, Zone};
use perilune_model::rack::Placement;
use perilune_model::route::Route;
use perilune_model::settings::{FIELDS, Settings};
use perilune_model::{Cluster, Field, FieldValue, Name};

use super::Writer;
use crate::cell::Cell;

/// The key of the one row of the cluster.
const CLUSTER: &str = "cluster";

impl Writer {
    pub(super) fn site(&mut self, cluster: &Cluster) {
        let settings = settings(cluster.settings());
        self.table("cluster", [(CLUSTER.to_owned(), settings)]);
        let routes = cluster.routes().values();
        self.table("route", routes.map(|route| (key(&route.name), row_of_route(route))));
        self.table("routemap", Vec::new());
        let networks = cluster.networks().values();
        self.table("network", networks.map(|network| (key(&network.name), row_of(network))));
        self.controllers(cluster);
        self.devices(cluster);
        self.names(cluster);
        self.racks(cluster);
    }

    fn controllers(&mut self, cluster: &Cluster) {
        let clusterid = self.reference("cluster", Some(CLUSTER));
        let row = |controller: &Controller| {
            vec![
                ("hostname", Cell::some(Some(&controller.name))),
                ("beacon", Cell::boolean(Some(controller.beacon))),
                ("shadow", Cell::boolean(Some(controller.shadow))),
                ("serverport", Cell::number(Some(controller.serverport))),
                ("status", Cell::some(controller.status.as_ref())),
                ("vendor", Cell::some(controller.vendor.as_ref())),
                ("clusterid", clusterid.clone()),
            ]
        };
        let controllers = cluster.controllers().values();
        self.table(
            "controller",
            controllers.map(|controller| (key(&controller.name), row(controller))),
        );
    }

    fn devices(&mut self, cluster: &Cluster) {
        let switches = cluster.switches().values().map(|switch| {
            let row = vec![
                ("name", Cell::some(Some(&switch.name))),
                ("macaddress", Cell::some(switch.macaddress.as_ref())),
                ("oid", Cell::some(switch.oid.as_ref())),
                ("read", Cell::some(switch.read.as_ref())),
                ("rw", Cell::some(switch.rw.as_ref())),
                ("uplinkports", Cell::some(switch.uplinkports.as_ref())),
                ("vendor", Cell::some(switch.vendor.as_ref())),
                ("comment", Cell::some(switch.comment.as_ref())),
                ("netboot", Cell::boolean(switch.ztp.netboot)),
                ("default_url", Cell::some(switch.ztp.default_url.as_ref())),
                ("bootfile", Cell::some(switch.ztp.bootfile.as_ref())),
                ("ztpconfig", Cell::some(switch.ztp.ztpconfig.as_ref())),
                ("ztpformat", Cell::some(switch.ztp.ztpformat.map(Format::word))),
                ("ostype", Cell::some(switch.ztp.ostype.map(System::word))),
                ("url_protocol", Cell::some(switch.ztp.url_protocol.map(Protocol::word))),
                ("url_server", Cell::some(switch.ztp.url_server.as_ref())),
                ("tftp_enable", Cell::some(switch.ztp.tftp_enable.as_ref())),
                ("interfaces", Cell::some(interfaces(&switch.interfaces))),
            ];
            (key(&switch.name), row)
        });
        self.table("switch", switches);
        let others = cluster.other_devices().values().map(|device| {
            let row = vec![
                ("name", Cell::some(Some(&device.name))),
                ("macaddress", Cell::some(device.macaddress.as_ref())),
                ("vendor", Cell::some(device.vendor.as_ref())),
                ("comment", Cell::some(device.comment.as_ref())),
            ];
            (key(&device.name), row)
        });
        self.table("otherdevices", others);
        let clouds = cluster.clouds().values().map(|cloud| {
            let row = vec![
                ("name", Cell::some(Some(&cloud.name))),
                ("type", Cell::some(cloud.r#type.as_ref())),
                ("comment", Cell::some(cloud.comment.as_ref())),
            ];
            (key(&cloud.name), row)
        });
        self.table("cloud", clouds);
    }

    fn names(&mut self, cluster: &Cluster) {
        let mut rows = Vec::new();
        for (list, host) in cluster
            .dns_hosts()
            .values()
            .flat_map(|list| list.hosts.iter().map(move |host| (list, host)))
        {
            let row = vec![
                ("host", Cell::some(Some(&host.host))),
                ("ipaddress", Cell::some(Some(host.ipaddress))),
                ("networkid", self.reference("network", Some(&list.name))),
            ];
            rows.push((format!("{}/{}", list.name, host.host), row));
        }
        self.table("dns", rows);
    }

    fn racks(&mut self, cluster: &Cluster) {
        let racks = cluster.racks().values().map(|rack| {
            let row = vec![
                ("name", Cell::some(Some(&rack.name))),
                ("size", Cell::number(rack.size)),
                ("order", Cell::some(rack.order.as_ref())),
                ("room", Cell::some(rack.room.as_ref())),
                ("site", Cell::some(rack.site.as_ref())),
                ("labels", Cell::labels(&rack.labels)),
            ];
            (key(&rack.name), row)
        });
        self.table("rack", racks);
        let placements: Vec<_> = cluster
            .placements()
            .values()
            .map(|placement| (key(&placement.name), self.placement(placement)))
            .collect();
        self.table("rackinventory", placements);
    }

    fn placement(&mut self, placement: &Placement) -> Vec<(&'static str, Cell)> {
        let table = placement.device_type.word();
        vec![
            ("tableref", Cell::some(Some(table))),
            ("tablerefid", self.reference(table, Some(&placement.device))),
            ("rackid", self.reference("rack", placement.rack.as_ref())),
            ("height", Cell::number(Some(placement.height))),
            ("position", Cell::number(placement.position)),
            ("orientation", Cell::some(Some(&placement.orientation))),
        ]
    }
}

/// As a text, since the old tables have no place for them.
fn interfaces(all: &[SwitchInterface]) -> Option<String> {
    (!all.is_empty()).then(|| serde_json::to_string(all).ok()).flatten()
}

fn key(name: &Name) -> String {
    name.to_string()
}

fn settings(settings: &Settings) -> Vec<(&'static str, Cell)> {
    let cell = |field: &Field<Settings>| match (field.of)(settings) {
        FieldValue::Nothing => Cell::Null,
        FieldValue::Text(text) => Cell::some(Some(text)),
        FieldValue::Flag(flag) => Cell::boolean(Some(flag)),
        FieldValue::List(list) => Cell::list(&list),
    };
    let title = ("name", Cell::some(Some(&settings.title)));
    [title].into_iter().chain(FIELDS.iter().map(|field| (field.name, cell(field)))).collect()
}

fn row_of(network: &Network) -> Vec<(&'static str, Cell)> {
    let zone = match network.zone {
        Zone::Internal => "internal",
        Zone::External => "external",
    };
    vec![
        ("name", Cell::some(Some(&network.name))),
        ("network", Cell::some(network.ipv4.map(|range| range.network()))),
        ("subnet", Cell::some(network.ipv4.map(|range| range.prefix_len()))),
        ("network_ipv6", Cell::some(network.ipv6.map(|range| range.network()))),
        ("subnet_ipv6", Cell::some(network.ipv6.map(|range| range.prefix_len()))),
        ("gateway", Cell::some(network.gateway)),
        ("gateway_ipv6", Cell::some(network.gateway_ipv6)),
        ("gateway_metric", Cell::number(network.gateway_metric)),
        ("nameserver_ip", Cell::some(network.nameserver_ip.as_ref())),
        ("nameserver_ip_ipv6", Cell::some(network.nameserver_ip_ipv6.as_ref())),
        ("ntp_server", Cell::some(network.ntp_server.as_ref())),
        ("dhcp", Cell::boolean(Some(network.dhcp))),
        ("dhcp_nodes_in_pool", Cell::boolean(Some(network.dhcp_nodes_in_pool))),
        ("dhcp_nodes_only", Cell::boolean(Some(network.dhcp_nodes_only))),
        ("dhcp_range_begin", Cell::some(network.dhcp_range.map(|range| range.0))),
        ("dhcp_range_end", Cell::some(network.dhcp_range.map(|range| range.1))),
        ("dhcp_range_begin_ipv6", Cell::some(network.dhcp_range_ipv6.map(|range| range.0))),
        ("dhcp_range_end_ipv6", Cell::some(network.dhcp_range_ipv6.map(|range| range.1))),
        ("zone", Cell::some(Some(zone))),
        ("shared", Cell::some(network.shared.as_ref())),
        ("type", Cell::some(network.r#type.as_ref())),
        ("non_authoritative", Cell::boolean(Some(network.non_authoritative))),
        ("comment", Cell::some(network.comment.as_ref())),
        ("routes", Cell::list(&network.routes)),
        ("dhcp_relay", Cell::list(&network.dhcp_relay)),
        ("dhcp_link_subnet", Cell::list(&network.dhcp_link_subnet)),
    ]
}

/// Whom it is coupled to stands there.
fn row_of_route(route: &Route) -> Vec<(&'static str, Cell)> {
    vec![
        ("name", Cell::some(Some(&route.name))),
        ("destination", Cell::some(Some(route.destination))),
        ("gateway", Cell::some(route.gateway)),
        ("metric", Cell::number(route.metric)),
        ("device", Cell::some(route.device.as_ref())),
        ("comment", Cell::some(route.comment.as_ref())),
    ]
}
