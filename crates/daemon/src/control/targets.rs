//! Which BMC a node has, and how it is spoken to.

use std::net::IpAddr;

use perilune_bmc::redfish::Trust;
use perilune_bmc::{Credentials, Driver, Program, Target};
use perilune_boards::Snapshot;
use perilune_model::bmc_setup::{BmcSetup, Certificate, Driver as DriverWord};
use perilune_model::effective::Effective;
use perilune_model::interface::BMC_INTERFACE;
use perilune_model::node::Node;
use perilune_model::rack::{DeviceType, Placement};
use perilune_model::{Cluster, Family};

use super::pins::PinnedCertificate;
use crate::plugins::Runner;

/// Why there is no BMC to speak to: what is missing, and of which node.
#[derive(Debug, thiserror::Error)]
pub(super) enum Missing {
    #[error("there is no node '{0}'")]
    Node(String),
    #[error("the node '{0}' has no interface 'BMC'; add one with an address")]
    Interface(String),
    #[error("the interface 'BMC' of the node '{0}' has no address; give it one")]
    Address(String),
    #[error("neither the node '{0}' nor its group has a BMC setup; give one of them one")]
    Setup(String),
    #[error("the site's own program for the BMC of the node '{0}' is not run: {1}")]
    Program(String, String),
}

impl Missing {
    /// The same without the node's name.
    pub(super) fn brief(&self) -> &str {
        match self {
            Self::Node(_) => "no such node",
            Self::Interface(_) => "no interface 'BMC'",
            Self::Address(_) => "its interface 'BMC' has no address",
            Self::Setup(_) => "no BMC setup",
            Self::Program(..) => "its control plugin is not run",
        }
    }
}

/// What is needed to find nodes' BMCs.
pub(super) struct Resolver<'a> {
    pub(super) cluster: &'a Cluster,
    /// The site's own plugins.
    pub(super) runner: &'a Runner,
    /// Certificates that were seen first, by [`pin_key`].
    pub(super) pins: &'a Snapshot<String, PinnedCertificate>,
}

impl Resolver<'_> {
    /// The BMC of a node.
    pub(super) fn target(&self, name: &str) -> Result<Target, Missing> {
        let node = self.cluster.node(name).map_err(|_error| Missing::Node(name.to_owned()))?;
        let interface = node.interface(BMC_INTERFACE);
        let interface = interface.ok_or_else(|| Missing::Interface(name.to_owned()))?;
        let addresses = &interface.addresses;
        let address = addresses.get(Family::V4).or_else(|| addresses.get(Family::V6));
        let address = address.ok_or_else(|| Missing::Address(name.to_owned()))?;
        let setup = Effective::of_node(self.cluster, node).bmcsetup().value;
        let setup = setup
            .and_then(|setup| self.cluster.bmc_setups().get(setup))
            .ok_or_else(|| Missing::Setup(name.to_owned()))?;
        let program = self.program(node);
        let program =
            program.transpose().map_err(|reason| Missing::Program(name.to_owned(), reason))?;
        Ok(self.target_of(node, address, setup, program))
    }

    fn target_of(
        &self,
        node: &Node,
        address: IpAddr,
        setup: &BmcSetup,
        program: Option<Program>,
    ) -> Target {
        let credentials =
            Credentials { user: setup.username.clone(), password: setup.password.clone() };
        let mut target = Target::new(node.name.as_str(), address, credentials);
        target.group = self.rack(node);
        target.driver = match (program, setup.driver) {
            (Some(program), _) => Driver::Plugin(program),
            (None, None | Some(DriverWord::Ipmi)) => Driver::Ipmi,
            (None, Some(DriverWord::Redfish)) => Driver::Redfish,
            (None, Some(DriverWord::Auto)) => Driver::Auto,
        };
        if let Some(port) = setup.port {
            match target.driver {
                Driver::Redfish | Driver::Auto => target.redfish.port = port,
                Driver::Ipmi | Driver::Plugin(_) => target.ipmi.port = port,
            }
        }
        target.redfish.system.clone_from(&setup.system);
        target.redfish.trust = match setup.certificate {
            Some(Certificate::Verify) => Trust::Verified { name: None },
            Some(Certificate::Any) => Trust::Unverified,
            Some(Certificate::Pin) | None => {
                let pin = self.pins.get(&pin_key(&target));
                pin.map_or(Trust::FirstUse, |pin| Trust::Pinned(pin.0))
            }
        };
        target
    }

    fn rack(&self, node: &Node) -> Option<String> {
        let key = Placement::key(DeviceType::Node, node.name.as_str());
        let placement = self.cluster.placements().get(&key)?;
        placement.rack.as_ref().map(ToString::to_string)
    }

    /// A site's own program: named after the node, its group, or `default`, in the plugins' directory `control`.
    fn program(&self, node: &Node) -> Option<Result<Program, String>> {
        let names = [node.name.as_str(), node.group.as_str(), "default"];
        let plugin = self.runner.first("control", names)?;
        self.runner.program(&plugin)
    }
}

/// What a BMC's certificate is kept under.
pub(super) fn pin_key(target: &Target) -> String {
    format!("{} {}", target.address, target.redfish.port)
}
