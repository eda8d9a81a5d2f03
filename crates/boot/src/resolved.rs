//! A node with all that it inherits, and what to tell people when that is not enough to boot.

use std::sync::Arc;

use perilune_model::effective::Effective;
use perilune_model::image::{Image, ImageFiles};
use perilune_model::interface::Interface;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::{Cluster, Name};

use crate::Error;

/// A node with all that it inherits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) node: &'a Node,
    pub(crate) effective: Effective<'a>,
}

impl<'a> Resolved<'a> {
    pub(crate) fn of(cluster: &'a Cluster, node: &'a Node) -> Self {
        Self { cluster, node, effective: Effective::of_node(cluster, node) }
    }

    pub(crate) fn named(cluster: &'a Cluster, node: &str) -> Result<Self, Error> {
        let found = cluster.nodes().get(node);
        let found = found.ok_or_else(|| Error::UnknownNode { node: node.to_owned() })?;
        Ok(Self::of(cluster, found))
    }

    pub(crate) fn name(&self) -> &'a str {
        self.node.name.as_str()
    }

    /// The image, or what to do to get one.
    pub(crate) fn image(&self) -> Result<&'a Image, Error> {
        self.effective.image().ok_or_else(|| {
            let node = self.name();
            let hint = format!("it has no image; do: perilune node change {node} --osimage IMAGE");
            Error::incomplete(node, hint)
        })
    }

    /// A file of the image, or what to do to get one.
    pub(crate) fn file(
        &self,
        read: impl Fn(&'a ImageFiles) -> &'a Option<String>,
    ) -> Result<&'a str, Error> {
        let image = self.image()?;
        let file = self.effective.files().and_then(|files| read(files).as_deref());
        file.filter(|file| !file.is_empty()).ok_or_else(|| {
            let image = &image.name;
            let hint =
                format!("its image '{image}' is not packed; do: perilune osimage pack '{image}'");
            Error::incomplete(self.name(), hint)
        })
    }

    /// Arguments of the kernel, on one line.
    pub(crate) fn kernel_arguments(&self) -> String {
        let arguments = self.effective.boot_kernel_arguments().unwrap_or_default();
        perilune_plan::kernel_arguments(arguments)
    }

    /// The network of an interface, or what to do to put it into one.
    pub(crate) fn network(&self, interface: &'a Interface) -> Result<&'a Network, Error> {
        let network = interface.network.as_ref().map(Name::as_str);
        let network = network.and_then(|network| self.cluster.network(network).ok());
        network.map(Arc::as_ref).ok_or_else(|| {
            let (node, name) = (self.name(), &interface.name);
            let hint = format!(
                "its interface '{name}' is in no network; do: perilune node interface set {node} {name} --network NETWORK"
            );
            Error::incomplete(node, hint)
        })
    }

    /// Whether the interface asks DHCP for its address.
    pub(crate) fn uses_dhcp(&self, interface: &'a Interface) -> bool {
        interface.dhcp && self.network(interface).is_ok_and(|network| network.dhcp)
    }

    /// The cluster's domains, else those of the node's networks, the one that it boots from first.
    pub(crate) fn domain_search(&self) -> Vec<String> {
        self.node.domain_search(self.cluster)
    }
}
