//! Carries out the plan, step by step. Each step is said on the console and reported to the controller when it begins.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use perilune_plan::{Installation, Phase, Plan, Progress, Root, Script};

use crate::boot_loader::Loader;
use crate::console::Console;
use crate::controller::Controller;
use crate::disk::devices::Disk;
use crate::disk::{self, Firmware, Made};
use crate::inside::Inside;
use crate::kernel_arguments::Boot;
use crate::link::Link;
use crate::script::{Environment, Watch};
use crate::tree::Tree;
use crate::{
    bmc, fstab, identity, installation, interfaces, label, locality, memory_root, mounts,
    name_servers, network, role, switch_root, system_files, unpack, wait,
};

/// Where the root is until it is the root.
pub const ROOT: &str = "/sysroot";

/// Where the log of the installation is kept on the node. What scripts say in it is not for everybody.
const LOG: &str = "var/log/perilune/install.log";
const DISK_LIMIT: Duration = Duration::from_mins(1);

pub struct Install<'a> {
    pub boot: &'a Boot,
    pub link: &'a Link,
    /// The address that DHCP has lent, if it has.
    pub lent: Option<IpAddr>,
    pub plan: &'a Plan,
    pub controller: &'a Controller,
    pub console: &'a Console,
}

impl Install<'_> {
    /// All steps; at the end the root is ready to be switched to. Answers where the node starts from by itself, when it has a disk.
    pub fn run(&self) -> Result<Option<Installation>> {
        let root = Path::new(ROOT);
        mounts::unmount_all(root).context("what a former try has mounted cannot be unmounted")?;
        fs::create_dir_all(root).with_context(|| format!("cannot create {ROOT}"))?;
        let tree = Tree::new(root);
        // Whoever follows a node counts these states, whether there is anything to do in them or not. Scripts came with the plan.
        self.controller.report("scripts", None, self.console);
        self.begin(Phase::Prescript, "Prescript");
        self.scripts(Phase::Prescript, &self.plan.prescripts)?;
        if let Some(bmc) = &self.plan.bmc {
            self.begin(Phase::Setupbmc, "BMC");
            bmc::set_up(bmc, self.console)?;
        }
        let disks = self.make_root(root)?;
        self.title(Phase::Unpack, "Image");
        self.controller.report("download", None, self.console);
        let nameservers = self.unpack(root)?;
        network::write_resolver(&nameservers, &self.plan.search);
        let plan = Plan { nameservers, ..self.plan.clone() };
        Install { plan: &plan, ..*self }.configure(&tree, &disks)?;
        let firmware = Firmware::of_this_machine();
        let mut installation = None;
        if !disks.is_empty() {
            self.begin(Phase::Bootloader, "Boot loader");
            let Self { plan, controller, console, .. } = *self;
            let loader = Loader { plan, tree: &tree, disks: &disks, controller, console };
            installation = Some(loader.install(firmware)?);
        }
        self.finish_inside(&tree)?;
        if matches!(self.plan.root, Root::Scripts(_)) {
            installation = installation::of_mounts(root, firmware);
        }
        if !disks.is_empty() {
            // The system mounts them again, with the options of its table.
            mounts::unmount_below(root).context("a file system of the node cannot be unmounted")?;
        }
        rustix::fs::sync();
        Ok(installation)
    }

    /// Fetches and unpacks the image, and asks meanwhile which of the name servers answer: one that does not takes seconds.
    fn unpack(&self, root: &Path) -> Result<Vec<IpAddr>> {
        let Self { plan, controller, console, .. } = *self;
        thread::scope(|scope| {
            let asking = scope.spawn(|| name_servers::sorted(&plan.nameservers, console));
            unpack::image(&plan.image, root, controller, console)?;
            Ok(asking.join().unwrap_or_else(|_panic| plan.nameservers.clone()))
        })
    }

    /// Makes and mounts the root; what it returns are the disks that the agent has laid out.
    fn make_root(&self, root: &Path) -> Result<Vec<Made>> {
        self.begin(Phase::Partscript, "Root");
        match &self.plan.root {
            Root::Memory => {
                let Plan { image, memory_limit, .. } = self.plan;
                let limit = memory_limit.map(|limit| limit.0);
                memory_root::make(root, image.unpacked_size, limit, self.console)?;
                Ok(Vec::new())
            }
            Root::Scripts(scripts) => {
                self.scripts(Phase::Partscript, scripts)?;
                if !mounts::is_mounted(root) {
                    bail!(
                        "the partscript has mounted nothing at {ROOT}; it must mount the node's root there"
                    );
                }
                Ok(Vec::new())
            }
            Root::Disk(layout) => {
                let unpacked = self.plan.image.unpacked_size;
                let disks = present_disks();
                let targets =
                    disk::layout::decide(layout, &disks, Firmware::of_this_machine(), unpacked)?;
                disk::check(&targets, self.plan.wipe, &self.plan.node)?;
                disk::make(&targets, root, self.console)
            }
        }
    }

    fn configure(&self, tree: &Tree, disks: &[Made]) -> Result<()> {
        self.begin(Phase::Setnet, "Name and network");
        let kind = interfaces::write(tree, self.plan, self.link.mac, self.console)?;
        let writes_resolver = kind.is_none_or(|kind| !kind.resolves());
        system_files::write_names(tree, self.plan, self.lent, writes_resolver)?;
        locality::write(tree, self.plan, self.console)?;
        // A script may have written its own table.
        if !matches!(self.plan.root, Root::Scripts(_)) {
            fstab::write(tree, disks, self.console)?;
        }
        if let Some(identity) = &self.plan.identity {
            identity::write(tree, identity, &self.plan.secrets, self.console)?;
        }
        identity::renew_random_seed(tree)?;
        self.begin(Phase::Secrets, "Secrets");
        system_files::write_secrets(tree, &self.plan.secrets, self.console)?;
        Ok(())
    }

    /// What runs with the kernel's file systems inside the root.
    fn finish_inside(&self, tree: &Tree) -> Result<()> {
        let Plan { postscripts, roles, .. } = self.plan;
        let labels = label::policy(tree)?.is_some();
        let is_needed = !(postscripts.is_empty() && roles.is_empty()) || labels;
        let _mounted = is_needed.then(|| Inside::mount(tree.root())).transpose()?;
        self.begin(Phase::Postscript, "Postscript");
        self.scripts(Phase::Postscript, postscripts)?;
        self.begin(Phase::Roles, "Roles");
        roles.iter().try_for_each(|role| role::install(role, tree, self.console))?;
        self.keep_log(tree)?;
        // A script may have switched it on or off.
        if let Some(policy) = label::policy(tree)? {
            label::files(tree, &policy, self.console)?;
        }
        Ok(())
    }

    /// The root is whole: the controller is told, the network let go, and the image's init started.
    pub fn finish(&self, init: Option<&str>, installation: Option<&Installation>) -> Result<()> {
        let root = Path::new(ROOT);
        let init = switch_root::choose_init(&Tree::new(root), init)?;
        // With the success the boot is over, and its token worth nothing.
        self.controller.send_log(self.console);
        self.title(Phase::Success, "Done");
        self.controller.succeed(installation, self.plan.once, self.console)?;
        network::take_down(self.console);
        mounts::unquieten();
        switch_root::switch(root, &init, self.console)
    }

    fn begin(&self, phase: Phase, title: &str) {
        self.title(phase, title);
        self.controller.report(phase.word(), None, self.console);
    }

    fn title(&self, phase: Phase, title: &str) {
        self.console.phase(title);
        self.controller.progress(&of_step(phase));
    }

    fn scripts(&self, phase: Phase, scripts: &[Script]) -> Result<()> {
        let environment = self.environment();
        let heartbeat = |text: &str| {
            let message = Some(text.to_owned());
            self.controller.progress(&Progress { message, ..of_step(phase) });
            self.controller.send_log(self.console);
        };
        let limit = Duration::from_secs(self.plan.script_timeout);
        let watch = Watch { limit, heartbeat: &heartbeat };
        scripts.iter().try_for_each(|script| {
            environment.run(&script.name, &script.text, &watch, self.console)
        })
    }

    /// The log up to here, for people who look at the node later.
    fn keep_log(&self, tree: &Tree) -> Result<()> {
        let log = tree.write(LOG, self.console.log(usize::MAX), 0o600);
        log.context("the log of the installation cannot be kept")
    }

    /// The names are those that existing scripts know.
    fn environment(&self) -> Environment {
        let addressing = match self.boot.addressing {
            crate::kernel_arguments::Addressing::Dhcp => "dhcp",
            crate::kernel_arguments::Addressing::Static { .. } => "static",
        };
        Environment(vec![
            ("LUNA_NODE", self.plan.node.clone()),
            ("LUNA_HOSTNAME", self.plan.hostname.clone()),
            ("_HOSTNAME", self.plan.hostname.clone()),
            ("LUNA_SYSTEMROOT", ROOT.to_owned()),
            ("_SYSTEMROOT", ROOT.to_owned()),
            ("rootmnt", ROOT.to_owned()),
            ("LUNA_BOOTIF", self.link.name.clone()),
            ("_BOOTIF", self.link.name.clone()),
            ("LUNA_MAC", self.link.mac.to_string()),
            ("LUNA_BOOTPROTO", addressing.to_owned()),
            ("LUNA_URL", self.controller.base()),
            ("INSECURE", if self.boot.verify { "" } else { "--insecure" }.to_owned()),
            ("LUNA_TOKEN", self.controller.token().unwrap_or_default()),
        ])
    }
}

/// The progress of a step that is not counted.
fn of_step(phase: Phase) -> Progress {
    Progress { phase, bytes_done: None, bytes_total: None, rate: None, message: None }
}

/// The disks, once there are any: their drivers may still be at work.
fn present_disks() -> Vec<Disk> {
    let look = || Some(disk::devices::all()).filter(|disks| !disks.is_empty());
    wait::until(DISK_LIMIT, look).unwrap_or_default()
}
