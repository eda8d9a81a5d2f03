//! The place of one run: a lab, a directory, and the daemon that serves in it. Dropping it leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use perilune_testkit::process::{command, kill_all, run};
use perilune_testkit::{Lab, Limit, lab};

use crate::build::target_directory;
use crate::output::Output;

/// The controller's address on the lab's bridge: the one that a new cluster starts with.
pub(crate) const CONTROLLER: &str = "10.141.255.254";
const PREFIX_LENGTH: u8 = 16;
pub(crate) const CONTROLLER_WITH_PREFIX: &str = "10.141.255.254/16";
/// The address of the BMC, on the same bridge.
pub(crate) const BMC: &str = "10.148.0.1";
const BMCS: &str = "10.148.0.0/16";
const PREFIX: &str = "perilune-demo-";
const BASE: &str = "/var/tmp";
/// What ties the bridges of two places together, on both sides.
const WIRE: &str = "wire";
/// The namespaces and directories of a run have its process number, which tells whether it is still at work.
const KEPT: &str = "kept";

pub(crate) struct Site {
    // The lab goes first: what runs in it has files open in the directory.
    pub(crate) lab: Lab,
    pub(crate) directory: Directory,
}

/// A directory that is removed when dropped.
pub(crate) struct Directory {
    path: PathBuf,
    keep: bool,
}

impl Site {
    pub(crate) fn create() -> Result<Self> {
        Self::create_at(&[CONTROLLER_WITH_PREFIX])
    }

    /// With a controller that has these addresses, and no other.
    pub(crate) fn create_at(controller: &[&str]) -> Result<Self> {
        let site = Self::named(&format!("{PREFIX}{}", std::process::id()), controller)?;
        let lab = &site.lab;
        // The simulated BMC answers here, at an address that is no interface's of the controller: that would be the controller's own.
        for route in [["local", BMC, "lo"], ["unicast", BMCS, lab::BRIDGE]] {
            let [kind, to, device] = route;
            let mut add = lab.command("ip");
            run(add.args(["route", "add", kind, to, "dev", device]), &Limit::seconds(20))
                .context("the network of BMCs cannot be made")?;
        }
        Ok(site)
    }

    /// Another host, with this address on the same wire.
    pub(crate) fn neighbour(&self, address: &str) -> Result<Self> {
        let address = format!("{address}/{PREFIX_LENGTH}");
        let other = Self::named(&format!("{}-2", self.lab.name()), &[&address])?;
        let (own, there) = (self.lab.name(), other.lab.name());
        let tie = ["link", "add", WIRE, "netns", own, "type", "veth", "peer", "name", WIRE];
        run(command("ip").args(tie).args(["netns", there]), &Limit::seconds(20))?;
        for lab in [&self.lab, &other.lab] {
            let up = ["link", "set", WIRE, "master", lab::BRIDGE, "up"];
            run(lab.command("ip").args(up), &Limit::seconds(20))?;
        }
        Ok(other)
    }

    fn named(name: &str, controller: &[&str]) -> Result<Self> {
        let directory = Directory { path: Path::new(BASE).join(name), keep: false };
        // Made by this user alone, and new: nobody else's link is followed in a directory that all may write to.
        fs::create_dir(directory.path())
            .with_context(|| format!("cannot create {}", directory.path().display()))?;
        let lab = Lab::create(name, controller).context("no network namespace could be made")?;
        Ok(Self { lab, directory })
    }

    /// From now on the host has another address: the machine of before is gone, and this one is in its place.
    pub(crate) fn move_controller(&self, from: &str, to: &str) -> Result<()> {
        for [verb, address] in [["del", from], ["add", to]] {
            let address = format!("{address}/{PREFIX_LENGTH}");
            let mut change = self.lab.command("ip");
            change.args(["address", verb, &address, "dev", lab::BRIDGE]);
            run(&mut change, &Limit::seconds(20)).context("the address cannot be changed")?;
        }
        Ok(())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Leaves everything in place at the end.
    pub(crate) fn keep(&mut self) -> Result<()> {
        fs::write(self.path(KEPT), "")?;
        self.lab.keep();
        self.directory.keep = true;
        Ok(())
    }
}

/// Copies of what a failed run said, for whoever looks into it.
impl Site {
    pub(crate) fn save_logs(&self) -> Result<PathBuf> {
        let saved = target_directory().join("demo/last-failure");
        if saved.exists() {
            fs::remove_dir_all(&saved)?;
        }
        fs::create_dir_all(&saved)?;
        for entry in fs::read_dir(self.directory.path())? {
            let path = entry?.path();
            let is_text = path
                .extension()
                .is_some_and(|extension| extension == "console" || extension == "log");
            if let (true, Some(name)) = (is_text, path.file_name()) {
                fs::copy(&path, saved.join(name))?;
            }
        }
        Ok(saved)
    }
}

impl Directory {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.keep {
            fs::remove_dir_all(&self.path).ok();
        }
    }
}

/// Ends the runs that were kept, and tidies up after those that could not do it themselves.
pub(crate) fn take_down() -> Result<()> {
    let output = Output::new();
    let mut names = lab::names(PREFIX)?;
    for entry in fs::read_dir(BASE)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(PREFIX) && !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names.iter().filter(|name| is_over(name)) {
        let directory = Directory { path: Path::new(BASE).join(name), keep: false };
        let lab = Lab::existing(name);
        kill_all(&lab.processes().unwrap_or_default());
        drop(lab);
        unmount(directory.path())?;
        drop(directory);
        output.line(&format!("{name} is gone"));
    }
    let left: Vec<String> = lab::names(PREFIX)?.into_iter().filter(|name| is_over(name)).collect();
    if !left.is_empty() {
        bail!("still there: {}", left.join(", "));
    }
    Ok(())
}

/// Whether nobody works on a run any more: it was kept, or its process is gone (or only waits to be buried, or
/// its number belongs to another program).
fn is_over(name: &str) -> bool {
    let program = |process: &str| fs::read_link(Path::new("/proc").join(process).join("exe")).ok();
    let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
    let running = process.and_then(program);
    // The link of a program that was built again meanwhile has a remark after the name.
    let at_work = running.is_some_and(|program| program.display().to_string().contains("/xtask"));
    !at_work || Path::new(BASE).join(name).join(KEPT).exists()
}

/// A daemon that was killed may leave mounts in its directory; removing through one would destroy what it shows.
fn unmount(directory: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    let points = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|point| Path::new(point).starts_with(directory));
    let mut points: Vec<&str> = points.collect();
    points.reverse();
    for point in points {
        run(command("umount").arg(point), &Limit::seconds(20))?;
    }
    Ok(())
}
