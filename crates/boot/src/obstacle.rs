//! What keeps a node from booting, found before somebody switches it on.

use perilune_model::node::Node;

use crate::resolved::Resolved;
use crate::{Error, OnDisk, Site};

impl Site<'_> {
    /// What would keep the node from booting, and what to do about it. Its own name stands as `NODE`, so that the same obstacle of many
    /// nodes is the same text.
    pub fn obstacle(&self, node: &Node) -> Option<String> {
        let resolved = Resolved::of(self.cluster, node);
        let interface = resolved.effective.provision_interface().value;
        let Some(mac) = node.interface(interface).map(|interface| interface.macaddress) else {
            return Some(format!(
                "there is no interface '{interface}' to boot from; do: perilune node interface set NODE {interface} --network NETWORK"
            ));
        };
        let Some(mac) = mac else {
            return Some(
                "no machine is known for it; do: perilune node adopt MAC NODE, or choose it at the machine's boot menu"
                    .to_owned(),
            );
        };
        let machine = self.machine(mac);
        let script = machine.and_then(|machine| self.node_script(&machine, "", OnDisk::default()));
        let boots = script.map(drop);
        let is_installed = resolved.effective.netboot().value && !resolved.effective.is_kickstart();
        let installs =
            || if is_installed { self.plan(node.name.as_str()).map(drop) } else { Ok(()) };
        boots.and_then(|()| installs()).err().map(|failure| general(&failure, node.name.as_str()))
    }
}

/// The text without the node's name.
fn general(failure: &Error, node: &str) -> String {
    let text = match failure {
        Error::Incomplete { lack, .. } => lack.clone(),
        other => other.to_string(),
    };
    let words = text.split(' ').map(|word| if word == node { "NODE" } else { word });
    words.collect::<Vec<_>>().join(" ")
}
