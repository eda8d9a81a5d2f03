//! Follows one machine from its power button until it is a running node, and checks that it is the right one.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use perilune_testkit::machine::{Accelerator, Description};
use perilune_testkit::process::{command, run, wait_for};
use perilune_testkit::{Bmc, Limit, Machine, bmc};

use crate::api::{Api, Progress};
use crate::cluster::CommandLine;
use crate::output;
use crate::report::{Phase, Timeline};
use crate::scenario::{Member, Root};
use crate::site::BMC;

/// The image is unpacked into memory, and the system runs there.
const MEMORY_MEBIBYTES: u32 = 2048;
const DISK_BYTES: u64 = 8 << 30;
/// An install that has not changed its state for this long has stopped.
const STEP_SECONDS: (u64, u64) = (180, 600);
/// Progress lines of one state are this far apart.
const REPORT_SECONDS: u64 = 5;
/// How often the daemon and the nodes are asked.
const LOOK: Duration = Duration::from_millis(300);
const FACTS: &str = "hostname -s; readlink /proc/1/exe; cat /proc/sys/kernel/random/boot_id; cat /proc/cmdline; \
                     findmnt -n -o FSTYPE /; cat /etc/greeting; systemctl is-enabled luna-greeting; ip -o address show scope global";

pub(crate) struct Follower<'a> {
    pub(crate) perilune: &'a CommandLine<'a>,
    pub(crate) api: &'a Api,
    pub(crate) accelerator: Accelerator,
    pub(crate) key: &'a str,
}

/// What a node says of itself over ssh.
#[derive(Debug, PartialEq)]
pub(crate) struct Facts {
    host_name: String,
    init: String,
    pub(crate) boot: String,
    kernel_command_line: String,
    root_file_system: String,
    /// What the named script has left, and how the role's unit is.
    plugins: [String; 2],
    addresses: String,
}

/// A machine that is on, and the BMC that switched it on.
pub(crate) struct Powered {
    pub(crate) machine: Machine,
    pub(crate) bmc: Option<Bmc>,
}

/// IPMI 2.0, section 13.1.2: the port of BMCs.
const IPMI: u16 = 623;
/// Where a machine and its BMC meet.
const BMC_PORT: u16 = 9002;

impl Follower<'_> {
    /// Switches the machine on and sees it through. The machine stays on.
    pub(crate) fn bring_up(&self, member: &Member, timeline: &mut Timeline) -> Result<Powered> {
        let bmc = member.has_bmc.then(|| self.bmc(Some(BMC_PORT))).transpose()?;
        if let Some(bmc) = &bmc {
            self.perilune.perilune(&["power", "status", &member.name])?;
            self.perilune.perilune(&["power", "on", &member.name])?;
            ensure!(bmc.is_powered(), "the BMC of {} did not switch it on", member.name);
            // From here on the cluster's own user is the one that counts; the installer makes it, from inside the machine.
            let own = ["--bmcsetup", "own", "--setupbmc", "yes"];
            let change = ["node", "change", &member.name];
            self.perilune.perilune(&[change.as_slice(), &own].concat())?;
        }
        let machine = self.switch_on(member)?;
        timeline.start();
        let seen_through = self.see_through(member, &machine, timeline);
        seen_through.with_context(|| explain(member, &machine))?;
        Ok(Powered { machine, bmc })
    }

    /// Switches a machine off by its BMC, and makes sure that the node is gone. A machine without a BMC stays on.
    pub(crate) fn switch_off(&self, member: &Member, powered: Powered) -> Result<Option<Powered>> {
        let Powered { machine, bmc } = powered;
        let Some(bmc) = bmc else { return Ok(Some(Powered { machine, bmc })) };
        let seen = self.perilune.perilune(&["power", "status", &member.name])?;
        ensure!(seen.trim() == format!("{}: on", member.name), "the BMC says: {seen}");
        self.perilune.perilune(&["power", "off", &member.name])?;
        ensure!(!bmc.is_powered(), "the BMC of {} did not switch it off", member.name);
        machine.power_off();
        ensure!(self.ssh(&member.address(), "true").is_err(), "{} still answers", member.name);
        self.event(member, "switched off by its BMC");
        Ok(None)
    }

    /// The BMC of a machine; whoever plays the machine looks there whether the power is on. At `machine_port` the machine reaches
    /// it from inside.
    pub(crate) fn bmc(&self, machine_port: Option<u16>) -> Result<Bmc> {
        let site = self.perilune.site;
        let directory = site.path("bmc");
        std::fs::create_dir(&directory)?;
        let address = SocketAddr::new(BMC.parse()?, IPMI);
        let bmc = Bmc::start(site.lab.command(bmc::PROGRAM), address, machine_port, &directory)?;
        // It takes a moment to come up.
        let up = || std::net::UdpSocket::bind(address).is_err().then_some(());
        wait_for(&Limit::seconds(20).unless(self.perilune.stop), up)?;
        Ok(bmc)
    }

    pub(crate) fn description(&self, member: &Member, bmc_port: Option<u16>) -> Description {
        Description {
            name: member.name.clone(),
            firmware: member.firmware,
            mac_address: member.mac_address.clone(),
            memory_mebibytes: MEMORY_MEBIBYTES,
            processors: 2,
            // Every machine has an empty disk; those that run from memory must leave it alone.
            disk_bytes: Some(DISK_BYTES),
            other_disks: Vec::new(),
            network_first: true,
            accelerator: self.accelerator,
            bmc_port,
        }
    }

    fn switch_on(&self, member: &Member) -> Result<Machine> {
        let description = self.description(member, member.has_bmc.then_some(BMC_PORT));
        self.event(member, &format!("switched on: {} {:?}", member.mac_address, member.firmware));
        Ok(Machine::start(
            &self.perilune.site.lab,
            &description,
            self.perilune.site.directory.path(),
        )?)
    }

    fn see_through(
        &self,
        member: &Member,
        machine: &Machine,
        timeline: &mut Timeline,
    ) -> Result<()> {
        if !member.known {
            self.adopt(member, machine)?;
            timeline.reached(Phase::Adopted);
        }
        self.follow_install(member, timeline)?;
        let address = self.api.address(&member.name)?;
        ensure!(
            !member.known || address == member.address(),
            "{} has address {address}",
            member.name
        );
        let first = self.wait_for_node(member, &address, None)?;
        timeline.reached(Phase::Running);
        first.check(member, &address, Boot::Network)?;
        self.event(
            member,
            &format!(
                "runs {} as {}, root on {}",
                first.init, first.host_name, first.root_file_system
            ),
        );
        if member.root == Root::Ram {
            return Ok(());
        }
        self.perilune.boot_from_disk(member)?;
        // Writes that the node has not brought to its disk are lost by the reset button, as on any machine.
        self.ssh(&address, "sync")?;
        machine.reset()?;
        self.event(member, "reset: it must come up from its own disk");
        let second = self.wait_for_node(member, &address, Some(&first.boot))?;
        timeline.reached(Phase::FromDisk);
        second.check(member, &address, Boot::Disk)?;
        self.event(member, &format!("runs from its own disk ({})", second.root_file_system));
        Ok(())
    }

    /// An unknown machine gets a menu and is told what to do; then one command makes it a node.
    fn adopt(&self, member: &Member, machine: &Machine) -> Result<()> {
        let mac_address = member.mac_address.as_str();
        let told = || {
            // A serial console breaks lines anywhere.
            let console = machine.console().replace('\n', "").to_lowercase();
            let seen = self.api.has_seen_unknown(mac_address).unwrap_or(false);
            (seen && console.contains("node adopt") && console.contains(mac_address)).then_some(())
        };
        if wait_for(&self.limit(), told)?.is_none() {
            bail!("its console does not say how to adopt {mac_address}");
        }
        self.event(member, "unknown to the cluster; its console says what to do:");
        output::block(&crate::daemon::tail(&machine.console(), 8));
        self.perilune.adopt(member)
    }

    pub(crate) fn follow_install(&self, member: &Member, timeline: &mut Timeline) -> Result<()> {
        let CommandLine { site, daemon, stop, .. } = *self.perilune;
        let mut shown = Progress::default();
        let mut told = Instant::now();
        loop {
            let next = || {
                let now = self.api.progress(&member.name).ok()?;
                let moved = now.done != shown.done && told.elapsed().as_secs() >= REPORT_SECONDS;
                (now.state != shown.state || now.status != shown.status || moved).then_some(now)
            };
            let Some(now) = wait_for(&self.limit(), next)? else {
                bail!("it got no further than {}", shown.line());
            };
            self.event(member, &now.line());
            if now.is_underway() && daemon.crash_once(site, stop)? {
                self.event(member, "the daemon was killed in the middle of this and started again; the node must go on");
            }
            timeline.state(now.state.as_deref().unwrap_or_default());
            match now.state.as_deref() {
                Some("install.success") => return Ok(()),
                Some("install.error") => {
                    bail!("the install failed: {}", now.status.unwrap_or_default())
                }
                _ => {}
            }
            shown = now;
            told = Instant::now();
        }
    }

    /// Waits until the node answers over ssh, in a boot other than `before`.
    pub(crate) fn wait_for_node(
        &self,
        member: &Member,
        address: &str,
        before: Option<&str>,
    ) -> Result<Facts> {
        let mut last = String::new();
        let answers = || match self.ssh(address, FACTS).and_then(|text| Facts::parse(&text)) {
            Ok(facts) if before == Some(facts.boot.as_str()) => None,
            Ok(facts) => Some(facts),
            Err(error) => {
                last = format!("{error:#}");
                None
            }
        };
        let facts = wait_for(&self.limit(), answers)?;
        facts.with_context(|| format!("{} does not answer over ssh: {last}", member.name))
    }

    pub(crate) fn ssh(&self, address: &str, script: &str) -> Result<String> {
        self.ssh_within(address, script, 30)
    }

    /// Of what takes longer.
    pub(crate) fn ssh_within(&self, address: &str, script: &str, seconds: u64) -> Result<String> {
        let mut ssh = self.client("ssh");
        ssh.arg(format!("root@{address}")).arg(script);
        Ok(run(&mut ssh, &Limit::seconds(seconds).unless(self.perilune.stop))?)
    }

    /// Copies a file to a node.
    pub(crate) fn copy(&self, address: &str, file: &Path, place: &str) -> Result<()> {
        let mut scp = self.client("scp");
        scp.arg(file).arg(format!("root@{address}:{place}"));
        run(&mut scp, &Limit::seconds(300).unless(self.perilune.stop))?;
        Ok(())
    }

    fn client(&self, program: &str) -> Command {
        let mut client = command(program);
        client.args(["-i", self.key]);
        for option in ["BatchMode=yes", "ConnectTimeout=5", "LogLevel=ERROR"] {
            client.args(["-o", option]);
        }
        // The lab's machines are new each time; on a real network the host keys would be known.
        client.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        client
    }

    pub(crate) fn limit(&self) -> Limit {
        let (hardware, software) = STEP_SECONDS;
        let seconds = if self.accelerator == Accelerator::Hardware { hardware } else { software };
        Limit::seconds(seconds).every(LOOK).unless(self.perilune.stop)
    }

    pub(crate) fn event(&self, member: &Member, text: &str) {
        self.perilune.output.event(&member.name, text);
    }
}

fn explain(member: &Member, machine: &Machine) -> String {
    let console = crate::daemon::tail(&machine.console(), 40);
    format!(
        "{} ({:?}, {:?}). The end of its console:\n{console}",
        member.name, member.firmware, member.root
    )
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Boot {
    Network,
    Disk,
}

impl Facts {
    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().map(|line| line.trim().to_owned());
        let mut next = |what: &str| {
            lines.next().with_context(|| format!("the node does not tell its {what}: {text}"))
        };
        Ok(Self {
            host_name: next("host name")?,
            init: next("init")?,
            boot: next("boot")?,
            kernel_command_line: next("kernel command line")?,
            root_file_system: next("root")?,
            plugins: [next("greeting")?, next("role")?],
            addresses: lines.collect::<Vec<_>>().join(" "),
        })
    }

    /// Whether this is the node that was described, started as it should be.
    pub(crate) fn check(&self, member: &Member, address: &str, boot: Boot) -> Result<()> {
        ensure!(self.host_name == member.name, "{} calls itself {:?}", member.name, self.host_name);
        ensure!(
            self.init.ends_with("/systemd"),
            "process 1 is {}, not the image's systemd",
            self.init
        );
        let length = if address.contains(':') { 64 } else { 16 };
        ensure!(
            self.addresses.contains(&format!(" {address}/{length} ")),
            "no {address}/{length} among: {}",
            self.addresses
        );
        let expected = if member.root == Root::Ram { "tmpfs" } else { "ext4" };
        ensure!(
            self.root_file_system == expected,
            "the root is {}, not {expected}",
            self.root_file_system
        );
        ensure!(
            self.plugins == [format!("Hello from {}", member.name), "enabled".to_owned()],
            "the named script and the role came to {:?}",
            self.plugins
        );
        let network = self.kernel_command_line.contains(&format!("luna.node={}", member.name));
        ensure!(network == (boot == Boot::Network), "started with: {}", self.kernel_command_line);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::vmtest;

    fn answer(host_name: &str, command_line: &str, root: &str) -> String {
        format!(
            "{host_name}\n/usr/lib/systemd/systemd\n5a\n{command_line}\n{root}\n\
             Hello from node001\nenabled\n\
             2: ens2    inet 10.141.0.1/16 brd 10.141.255.255 scope global ens2\n"
        )
    }

    #[test]
    fn the_node_that_was_described_passes() {
        let facts = Facts::parse(&answer("node001", "luna.node=node001 quiet", "tmpfs")).unwrap();
        let members = vmtest();
        facts.check(&members[0], "10.141.0.1", Boot::Network).unwrap();
    }

    #[test]
    fn another_node_does_not_pass() {
        let members = vmtest();
        let check = |text: &str, address: &str, boot| {
            Facts::parse(text).unwrap().check(&members[0], address, boot)
        };
        let right = answer("node001", "luna.node=node001", "tmpfs");
        assert!(
            check(&answer("localhost", "luna.node=node001", "tmpfs"), "10.141.0.1", Boot::Network)
                .is_err()
        );
        assert!(
            check(&answer("node001", "luna.node=node001", "rootfs"), "10.141.0.1", Boot::Network)
                .is_err()
        );
        assert!(check(&right, "10.141.0.11", Boot::Network).is_err());
        assert!(check(&right, "10.141.0.1", Boot::Disk).is_err());
    }

    #[test]
    fn half_an_answer_is_none() {
        assert!(Facts::parse("node001\n/usr/lib/systemd/systemd\n").is_err());
    }
}
