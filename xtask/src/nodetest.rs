//! What installed nodes must do, on booted machines: one module for each subject. It takes long; `./test` has the least of it.

mod boot_order;
mod cable;
mod controllers;
mod disk_start;
mod ipv6;
mod kernels;
mod login;
mod memory;
mod node;
mod package;
mod secure_boot;
mod site_dhcp;
mod torrent;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use perilune_testkit::{Stop, machine};

use crate::api::Api;
use crate::build::Programs;
use crate::cluster::CommandLine;
use crate::daemon::Daemon;
use crate::follow::Follower;
use crate::image::{self, Image, Kind};
use crate::lifecycle;
use crate::output::Output;
use crate::site::Site;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// A node starts from the disk that it was installed to, whatever else is bootable, and is installed once
    DiskStart,
    /// Kernels are installed and removed on a node that starts from its disk
    Kernels,
    /// A node that was installed starts from its disk with Secure Boot
    SecureBoot,
    /// Firmware starts first what the site wants, and has one entry of ours
    BootOrder,
    /// The cable is out for a while, and the node goes on by itself
    Cable,
    /// Machines with too little memory say so
    Memory,
    /// How long machines that run from memory take until somebody can log in
    Login,
    /// A machine boots by IPv6 from a controller that has no IPv4
    Ipv6,
    /// A node has an address of each family
    DualStack,
    /// Machines boot where ISC dhcpd or Kea gives addresses, by the files that the daemon writes
    SiteDhcp,
    /// The same by IPv6 alone, with Kea and ISC dhcpd for DHCPv6
    SiteDhcp6,
    /// Machines fetch their image by BitTorrent
    Torrent,
    /// Of two controllers on one database, the one that a machine talks to is killed in each phase of its installation
    Controllers,
    /// The package for Debian is installed, upgraded, removed and purged
    Package,
}

/// Makes its site, and tests on it.
type SiteTest = fn(&Programs, &Image, &Output, &Stop) -> Result<()>;

impl Subject {
    /// How it is named on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::DiskStart => "disk-start",
            Self::Kernels => "kernels",
            Self::SecureBoot => "secure-boot",
            Self::BootOrder => "boot-order",
            Self::Cable => "cable",
            Self::Memory => "memory",
            Self::Login => "login",
            Self::Ipv6 => "ipv6",
            Self::DualStack => "dual-stack",
            Self::SiteDhcp => "site-dhcp",
            Self::SiteDhcp6 => "site-dhcp6",
            Self::Torrent => "torrent",
            Self::Controllers => "controllers",
            Self::Package => "package",
        }
    }

    /// Fetches what is needed from outside, while there is a network.
    fn prepare(self, stop: &Stop) -> Result<()> {
        match self {
            Self::Kernels => kernels::package(stop).map(drop),
            Self::Package => package::prepare(stop),
            Self::DiskStart
            | Self::SecureBoot
            | Self::BootOrder
            | Self::Cable
            | Self::Memory
            | Self::Login
            | Self::Ipv6
            | Self::DualStack
            | Self::SiteDhcp
            | Self::SiteDhcp6
            | Self::Torrent
            | Self::Controllers => Ok(()),
        }
    }

    /// The test of a subject that needs a site of its own.
    fn site(self) -> Option<SiteTest> {
        match self {
            Self::Ipv6 => Some(ipv6::run),
            Self::DualStack => Some(ipv6::run_beside_ipv4),
            Self::SiteDhcp => Some(site_dhcp::run),
            Self::SiteDhcp6 => Some(site_dhcp::run_by_ipv6),
            Self::Torrent => Some(torrent::run),
            Self::Controllers => Some(controllers::run),
            _ => None,
        }
    }

    fn test(self, bench: &Follower<'_>) -> Result<()> {
        match self {
            Self::DiskStart => disk_start::test(bench),
            Self::Kernels => kernels::test(bench),
            Self::SecureBoot => secure_boot::test(bench),
            Self::BootOrder => boot_order::test(bench),
            Self::Cable => cable::test(bench),
            Self::Memory => memory::test(bench),
            Self::Login => login::test(bench),
            // On sites of their own.
            Self::Ipv6
            | Self::DualStack
            | Self::SiteDhcp
            | Self::SiteDhcp6
            | Self::Torrent
            | Self::Controllers => Ok(()),
            Self::Package => package::test(bench),
        }
    }
}

pub(crate) fn run(programs: &Programs, subjects: &[Subject], stop: &Stop) -> Result<()> {
    let subjects = if subjects.is_empty() { Subject::value_variants() } else { subjects };
    let output = Output::new();
    output.step("An operating system image from the distribution's packages");
    let image = image::make(Kind::WithLoaders, stop)?;
    subjects.iter().try_for_each(|subject| subject.prepare(stop))?;
    let (shared, alone): (Vec<Subject>, Vec<Subject>) =
        subjects.iter().partition(|subject| subject.site().is_none());
    if !shared.is_empty() {
        on_one_site(&shared, programs, &image, &output, stop)?;
    }
    for subject in alone {
        output.step(subject.word());
        if let Some(test) = subject.site() {
            test(programs, &image, &output, stop)?;
        }
    }
    output.step("Done");
    Ok(())
}

/// One machine of the subject `controllers`, with the image that `vmtest` has made.
pub(crate) fn run_short(programs: &Programs, stop: &Stop) -> Result<()> {
    let output = Output::new();
    output.step("An operating system image from the distribution's packages");
    let image = image::make(Kind::Usual, stop)?;
    controllers::run_short(programs, &image, &output, stop)?;
    output.step("Done");
    Ok(())
}

/// Tests what does not need a site of its own.
fn on_one_site(
    subjects: &[Subject],
    programs: &Programs,
    image: &Image,
    output: &Output,
    stop: &Stop,
) -> Result<()> {
    output.step("The daemon, in a network namespace of its own");
    let site = Site::create()?;
    let daemon = Daemon::start(&site, programs, output, stop)?;
    let perilune = CommandLine { site: &site, daemon: &daemon, output, stop };
    let test = || -> Result<()> {
        let key = lifecycle::describe(&perilune, image, &[])?;
        let api = site.lab.inside(|| Api::login(&daemon.configuration()))??;
        let accelerator = machine::accelerator();
        let bench = Follower { perilune: &perilune, api: &api, accelerator, key: &key };
        // One takes long, and says nothing about the others.
        let mut failed = Vec::new();
        for subject in subjects {
            output.step(subject.word());
            let tested = site.lab.inside(|| subject.test(&bench)).context("no thread in the lab");
            match tested.flatten() {
                Err(error) if !stop.is_requested() => {
                    output.line(&format!("FAILED: {error:#}"));
                    failed.push(subject.word());
                }
                tested => tested?,
            }
        }
        ensure!(failed.is_empty(), "failed, as told above: {}", failed.join(", "));
        Ok(())
    };
    test().map_err(|error| lifecycle::explain_failure(&site, &daemon, output, error))
}

/// Runs a test inside the network of a site.
fn on_site(
    perilune: &CommandLine<'_>,
    key: &str,
    test: impl Fn(&Follower<'_>) -> Result<()> + Sync,
) -> Result<()> {
    let accelerator = machine::accelerator();
    let tested = perilune.site.lab.inside(|| {
        let api = Api::login(&perilune.daemon.configuration())?;
        test(&Follower { perilune, api: &api, accelerator, key })
    });
    tested.context("no thread in the lab").flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_named_as_they_are_read() {
        for subject in Subject::value_variants() {
            assert_eq!(Subject::from_str(subject.word(), false), Ok(*subject));
        }
    }
}
