//! What configures the network of an image.

use crate::tree::Tree;

const NETWORKD: [&str; 2] = ["usr/lib/systemd/systemd-networkd", "lib/systemd/systemd-networkd"];

/// What configures the network of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    NetworkManager,
    Networkd,
    Netplan,
    Ifupdown,
    /// Red Hat's network scripts.
    Ifcfg,
    Wicked,
}

impl Kind {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetworkManager => "NetworkManager",
            Self::Networkd => "systemd-networkd",
            Self::Netplan => "netplan",
            Self::Ifupdown => "ifupdown",
            Self::Ifcfg => "network-scripts",
            Self::Wicked => "wicked",
        }
    }

    /// Whether it writes `/etc/resolv.conf` itself.
    pub fn resolves(self) -> bool {
        matches!(self, Self::NetworkManager)
    }

    /// What the image uses: of what is enabled the first, else of what is installed.
    pub fn of(tree: &Tree) -> Option<Self> {
        // It writes the configuration of the others.
        if tree.exists("usr/sbin/netplan") {
            return Some(Self::Netplan);
        }
        let all = [
            (
                Self::NetworkManager,
                "NetworkManager.service",
                ["usr/sbin/NetworkManager"].as_slice(),
            ),
            (Self::Networkd, "systemd-networkd.service", NETWORKD.as_slice()),
            (Self::Wicked, "wicked.service", ["usr/sbin/wicked"].as_slice()),
            (Self::Ifupdown, "networking.service", ["usr/sbin/ifup", "sbin/ifup"].as_slice()),
            (Self::Ifcfg, "network.service", ["etc/sysconfig/network-scripts/ifup"].as_slice()),
        ];
        let is_installed = |programs: &[&str]| programs.iter().any(|program| tree.exists(program));
        let is_enabled = |unit: &str| {
            ["multi-user.target.wants", "network-online.target.wants", "network.target.wants"]
                .iter()
                .any(|target| tree.is_link(format!("etc/systemd/system/{target}/{unit}")))
        };
        let mut installed =
            all.into_iter().filter(|(_, _, programs)| is_installed(programs)).peekable();
        let first = installed.peek().map(|(kind, _, _)| *kind);
        installed.find(|(_, unit, _)| is_enabled(unit)).map(|(kind, _, _)| kind).or(first)
    }
}
