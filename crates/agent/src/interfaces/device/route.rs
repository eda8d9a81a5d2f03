//! Static routes as the back ends write them.

use std::net::IpAddr;

use ipnet::IpNet;
use perilune_plan::Interface;

use crate::console::Console;

/// A static route through a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::interfaces) struct Route {
    pub(in crate::interfaces) destination: IpNet,
    pub(in crate::interfaces) gateway: Option<IpAddr>,
    pub(in crate::interfaces) metric: Option<u32>,
    pub(in crate::interfaces) on_link: bool,
}

impl Route {
    pub(in crate::interfaces) fn is_ipv6(&self) -> bool {
        self.destination.addr().is_ipv6()
    }

    /// As `ip route` takes it.
    pub(in crate::interfaces) fn words(&self, device: &str) -> String {
        let via = self.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        let metric = self.metric.map(|metric| format!(" metric {metric}")).unwrap_or_default();
        let on_link = if self.on_link { " onlink" } else { "" };
        format!("{}{via} dev {device}{metric}{on_link}", self.destination)
    }
}

/// The routes of an interface. A text that is not a route is reported and left out.
pub(super) fn of(interface: &Interface, console: &Console) -> Vec<Route> {
    let routes = interface.routes.iter().filter_map(|route| {
        let destination: Option<IpNet> = route.destination.parse().ok();
        let is_right = |destination: &IpNet| {
            route.gateway.is_none_or(|gateway| gateway.is_ipv6() == destination.addr().is_ipv6())
        };
        let Some(destination) = destination.filter(is_right) else {
            let name = &interface.name;
            console
                .warning(&format!("{name}: '{}' is not a route", route.destination.escape_debug()));
            return None;
        };
        let (gateway, metric, on_link) = (route.gateway, route.metric, route.on_link);
        Some(Route { destination: destination.trunc(), gateway, metric, on_link })
    });
    routes.collect()
}
