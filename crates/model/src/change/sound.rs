//! What is between objects beside references, and must hold when objects come back that were changed or gone for a while.

use std::net::IpAddr;

use crate::addresses::Family;
use crate::image::Image;
use crate::network::{self, Network};
use crate::object::Object;
use crate::provisioning::Provisioning;
use crate::{Draft, Error, Holder, Name};

impl Draft {
    /// Whether others fit an object as it is now, and it fits them: devices are in the ranges of their networks, ranges do not
    /// overlap, and tags that are named are there.
    pub(super) fn check_fit(&self, object: &Object) -> Result<(), Error> {
        match object {
            Object::Network(network) => self.check_network(network),
            Object::Image(image) => self.check_tags(image),
            Object::Node(node) => self.check_tag(&node.provisioning),
            Object::Group(group) => self.check_tag(&group.provisioning),
            Object::Settings(_)
            | Object::Controller(_)
            | Object::BmcSetup(_)
            | Object::Switch(_)
            | Object::OtherDevice(_)
            | Object::Cloud(_)
            | Object::DnsHosts(_)
            | Object::NodeSecrets(_)
            | Object::GroupSecrets(_)
            | Object::Rack(_)
            | Object::Placement(_)
            | Object::User(_) => Ok(()),
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

    fn check_tags(&self, image: &Image) -> Result<(), Error> {
        let nodes = self.nodes().values().map(|node| (&node.name, &node.provisioning));
        let groups = self.groups().values().map(|group| (&group.name, &group.provisioning));
        let of_image = |settings: &Provisioning| settings.osimage.as_ref() == Some(&image.name);
        let mut users = nodes.chain(groups).filter(|(_, settings)| of_image(settings));
        let missing = users.find_map(|(user, settings)| {
            let tag = settings.osimagetag.as_ref()?;
            image.tag_named(tag.as_str()).is_none().then_some((user, tag))
        });
        match missing {
            None => Ok(()),
            Some((user, tag)) => {
                let by = format!(", which '{user}' boots from");
                Err(no_tag(&image.name, tag, &by))
            }
        }
    }

    fn check_tag(&self, settings: &Provisioning) -> Result<(), Error> {
        let Some((image, tag)) = settings.osimage.as_ref().zip(settings.osimagetag.as_ref()) else {
            return Ok(());
        };
        let known = self.image(image.as_str())?.tag_named(tag.as_str()).is_some();
        if known { Ok(()) } else { Err(no_tag(image, tag, "")) }
    }
}

fn no_tag(image: &Name, tag: &Name, by: &str) -> Error {
    Error::invalid("osimagetag", format!("the OS image '{image}' has no tag '{tag}'{by}"))
}
