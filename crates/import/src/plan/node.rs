//! Nodes and their interfaces.

use perilune_model::Name;
use perilune_model::effective::Effective;
use perilune_model::interface::Interface;
use perilune_model::node::{Node, TEXTS};
use perilune_model::provisioning::Provisioning;

use super::group::{Zero, provisioning};
use super::planner::Planner;
use crate::link::link;
use crate::names::Referent;
use crate::reading::Reading;
use crate::source::Row;

impl Planner<'_> {
    pub(super) fn nodes(&mut self) {
        let interfaces = super::planner::grouped(self.source, "nodeinterface", "nodeid");
        for row in self.source.rows("node") {
            let rows = interfaces.get(&row.id).map(Vec::as_slice).unwrap_or_default();
            match self.node(row) {
                Some(mut node) => {
                    let routes = self.coupled("node", row);
                    if !routes.is_empty() {
                        node.provisioning.routes = routes;
                    }
                    let interfaces = self.interfaces(&node.name, rows);
                    let name = node.name.clone();
                    self.take("node", row, Node { interfaces, ..node });
                    if self.names.find("node", row.id) == Referent::Taken(name.clone()) {
                        self.compare_files(row, &name);
                    }
                }
                None => self.names.refused("node", row.id),
            }
        }
    }

    /// The node without its interfaces.
    fn node(&mut self, row: &Row) -> Option<Node> {
        let mut reading = Reading::new("node", row, &mut self.report);
        let name = reading.own_name("name", Name::host)?;
        let Some(group) = reading.reference(&self.names, "group", "groupid") else {
            reading.refuse("groupid", "a node must have a group; give it one in the old site");
            return None;
        };
        let mut provisioning = provisioning(&mut reading, &self.names, Zero::Inherits);
        let of_group = self.draft.groups().get(&group);
        let of_group = of_group.map(|group| Effective::of_group(&self.draft, group));
        let image = provisioning.osimage.as_ref();
        let image = image.or_else(|| of_group.and_then(|group| group.osimage().value));
        let choice = self.tags.choice(&mut reading, &self.names, image);
        if provisioning.osimage.is_none() {
            provisioning.osimagetag = choice;
        } else {
            if let (None, Some(group)) = (&choice, of_group) {
                unsaid_tag(&mut reading, &provisioning, &group);
            }
            provisioning.osimagetag = choice.filter(|choice| choice.named().is_some());
        }
        let mut node = Node {
            name,
            group,
            provisioning: provisioning.into(),
            service: reading.boolean("service").unwrap_or(false),
            switch: reading.reference(&self.names, "switch", "switchid"),
            switchport: reading.text("switchport"),
            cloud: reading.reference(&self.names, "cloud", "cloudid"),
            labels: reading.labels(),
            status: reading.text("status"),
            ..Node::default()
        };
        for text in TEXTS {
            *(text.place)(&mut node) = reading.text(text.name);
        }
        Some(node)
    }

    fn interfaces(&mut self, node: &Name, rows: &[&Row]) -> Vec<Interface> {
        let mut interfaces: Vec<Interface> = Vec::new();
        for row in rows {
            let mut reading = Reading::of("nodeinterface", row, node, &mut self.report);
            let Some(name) = reading.own_name("interface", Name::interface) else { continue };
            let label = format!("{node}:{name}");
            reading.name = Some(label.clone());
            if interfaces.iter().any(|other| other.name == name) {
                reading.refuse(
                    "interface",
                    "the node has another interface of this name, which is taken",
                );
                continue;
            }
            let mut macaddress = reading.mac("macaddress");
            if let Some(mac) = macaddress {
                let others = self
                    .draft
                    .node_by_mac(mac)
                    .map(|(node, interface)| format!("{}:{}", node.name, interface.name));
                let own = interfaces
                    .iter()
                    .find(|other| other.macaddress.is_some_and(|own| own.port() == mac.port()))
                    .map(|other| format!("{node}:{}", other.name));
                if let Some(holder) = others.or(own) {
                    reading.odd("macaddress", format!("{mac} is that of {holder}; read as unset"));
                    macaddress = None;
                }
            }
            let link = link(&mut reading);
            self.names.taken("nodeinterface", row.id, name.clone());
            let place = self.place("nodeinterface", row, &label);
            let mut addresses = place.addresses;
            for address in place.addresses.iter() {
                if interfaces.iter().any(|other| other.addresses.iter().any(|held| held == address))
                {
                    addresses.clear(perilune_model::Family::of(address));
                    let mut reading = Reading::of("nodeinterface", row, &label, &mut self.report);
                    reading.odd(
                        "ipaddress",
                        format!("another interface of the node has {address}; left out"),
                    );
                }
            }
            let (network, dhcp) = (place.network, place.dhcp);
            interfaces.push(Interface { name, macaddress, network, addresses, dhcp, link });
        }
        interfaces
    }
}

/// A node with an image of its own and nothing about a tag is where a reader may doubt which files it boots.
fn unsaid_tag(reading: &mut Reading<'_>, own: &Provisioning, group: &Effective<'_>) {
    let tag = group.osimagetag().value;
    let image = own.osimage.as_ref();
    if let (Some(tag), Some(image)) =
        (tag, image.filter(|image| group.osimage().value == Some(image)))
    {
        let message = format!(
            "the node has the image '{image}' of its own and no tag; it boots the image's files of now, not those of the group's tag '{tag}'"
        );
        reading.odd("osimagetagid", message);
    }
}
