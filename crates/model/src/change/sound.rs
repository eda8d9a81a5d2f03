//! What is between objects beside references, and must hold when objects come back that were changed or gone for a while.

use std::net::IpAddr;
use std::sync::Arc;

use crate::addresses::Family;
use crate::dns;
use crate::effective::Effective;
use crate::group::{Group, MOST_ANCESTORS};
use crate::image::Image;
use crate::network::{self, Network};
use crate::node::Node;
use crate::object::Object;
use crate::provisioning::{Provisioning, TagChoice};
use crate::rack::check_place;
use crate::{Draft, Error, Holder};

impl Draft {
    /// Whether others fit an object as it is now, and it fits them: devices are in the ranges of their networks, ranges do not
    /// overlap, devices have their places in racks, and tags that are named are there.
    pub(super) fn check_fit(&self, object: &Object) -> Result<(), Error> {
        match object {
            Object::Network(network) => self.check_network(network),
            Object::Image(image) => self.check_tags(image),
            Object::Node(node) => self.check_tag(node),
            Object::Group(group) => self.check_group(group),
            Object::Placement(placement) => check_place(self, placement),
            Object::DnsHosts(list) => dns::check(self, list),
            Object::Settings(_)
            | Object::Route(_)
            | Object::Controller(_)
            | Object::BmcSetup(_)
            | Object::Switch(_)
            | Object::OtherDevice(_)
            | Object::Cloud(_)
            | Object::NodeSecrets(_)
            | Object::NodeIdentity(_)
            | Object::GroupSecrets(_)
            | Object::ClusterSecrets(_)
            | Object::Rack(_)
            | Object::Reservation(_)
            | Object::ClaimRule(_)
            | Object::User(_)
            | Object::ApiToken(_) => Ok(()),
        }
    }

    fn check_network(&self, network: &Network) -> Result<(), Error> {
        if let Some((address, holder)) = self.first_outside(network) {
            let reason = format!(
                "{holder} has the address {address}, which would be outside the network '{}'",
                network.name
            );
            return Err(Error::invalid("network", reason));
        }
        let violations = network::overlaps(self, network, &Family::BOTH);
        if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
    }

    /// No gateway is a node's address, or one that no host has. What was so before this change is left to its owner.
    pub(super) fn check_gateways(&self, old: Option<&Object>, new: &Object) -> Result<(), Error> {
        if let Object::Network(network) = new {
            let violations = network::wrong_gateways(self, network);
            let is_new = old != Some(new);
            return if violations.is_empty() || !is_new {
                Ok(())
            } else {
                Err(Error::Invalid(violations))
            };
        }
        if !matches!(new, Object::Node(_)) {
            return Ok(());
        }
        let had: Vec<IpAddr> =
            old.map(Object::held).unwrap_or_default().iter().map(|held| held.address).collect();
        let given = new.held().into_iter().map(|held| held.address);
        for address in given.filter(|address| !had.contains(address)) {
            if let Some(taken) = self.forbidden_to_nodes(address) {
                let reason = format!("the address {address} is {taken}; give the node another");
                return Err(Error::invalid("ipaddress", reason));
            }
        }
        Ok(())
    }

    fn first_outside(&self, network: &Network) -> Option<(IpAddr, &Holder)> {
        let is_outside = |family: &Family| {
            let range = network.range(*family);
            let held = self.held_between(&network.name, *family);
            held.is_some_and(|(first, last)| {
                range.is_none_or(|range| !range.contains(&first) || !range.contains(&last))
            })
        };
        Family::BOTH.iter().find(|family| is_outside(family))?;
        let is_in = |holder: &Holder, address: &IpAddr| {
            let object = self.object(holder.kind(), holder.device().as_str());
            let held = object.map(|object| object.held()).unwrap_or_default();
            held.iter().any(|held| {
                held.address == *address && held.network.as_ref() == Some(&network.name)
            })
        };
        self.holders()
            .find(|(address, holder)| !network.contains(**address) && is_in(holder, address))
            .map(|(address, holder)| (*address, holder))
    }

    /// Whether an image has the tags that nodes and groups name.
    fn check_tags(&self, image: &Image) -> Result<(), Error> {
        let nodes = self.nodes().values();
        let nodes =
            nodes.map(|node| (&node.name, &*node.provisioning, Effective::of_node(self, node)));
        let groups = self.groups().values();
        let groups = groups
            .map(|group| (&group.name, &group.provisioning, Effective::of_group(self, group)));
        for (user, settings, effective) in nodes.chain(groups) {
            if effective.osimage().value == Some(&image.name) {
                let by = format!(", which '{user}' boots from");
                tag_of(Some(image), settings, &by)?;
            }
        }
        Ok(())
    }

    fn check_tag(&self, node: &Node) -> Result<(), Error> {
        tag_of(Effective::of_node(self, node).image(), &node.provisioning, "")
    }

    /// The group's own tag, and those that its nodes name of its image.
    fn check_group(&self, group: &Group) -> Result<(), Error> {
        let image = Effective::of_group(self, group).image();
        tag_of(image, &group.provisioning, "")?;
        self.check_tags_below(group, image, 0)
    }

    /// The tags that nodes and groups name of the image that they have from this group.
    fn check_tags_below(
        &self,
        group: &Group,
        image: Option<&Image>,
        level: usize,
    ) -> Result<(), Error> {
        let inherits = |child: &&Arc<Group>| child.provisioning.osimage.is_none();
        for child in self.children(group.name.as_str()).filter(inherits) {
            let by = format!(", which group '{}' names", child.name);
            tag_of(image, &child.provisioning, &by)?;
            if level < MOST_ANCESTORS {
                self.check_tags_below(child, image, level + 1)?;
            }
        }
        for node in self.members(group.name.as_str()) {
            if node.provisioning.osimage.is_none() {
                let by = format!(
                    ", which node '{}' names; give that another tag in the same document",
                    node.name
                );
                tag_of(image, &node.provisioning, &by)?;
            }
        }
        Ok(())
    }
}

fn tag_of(image: Option<&Image>, settings: &Provisioning, by: &str) -> Result<(), Error> {
    let Some(tag) = settings.osimagetag.as_ref().and_then(TagChoice::named) else { return Ok(()) };
    let refuse = |reason| Err(Error::invalid("osimagetag", reason));
    match image {
        None => refuse(format!("the tag '{tag}' needs an osimage; give both{by}")),
        Some(image) if image.tag_named(tag.as_str()).is_none() => {
            refuse(format!("the OS image '{}' has no tag '{tag}'{by}", image.name))
        }
        Some(_) => Ok(()),
    }
}
