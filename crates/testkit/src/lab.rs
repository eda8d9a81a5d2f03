//! A network that touches no other: a network namespace with one bridge, which holds the controller's
//! addresses, and a port for each machine. Needs root.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::fd::AsFd;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Error;
use crate::process::{Limit, command, kill_all, run};

/// The bridge inside every lab.
pub const BRIDGE: &str = "br0";
/// What the kernel allows for the name of an interface.
const LONGEST_INTERFACE_NAME: usize = 15;

/// A network namespace with a bridge; removed, with all that runs in it, when dropped.
#[derive(Debug)]
pub struct Lab {
    name: String,
    keep: bool,
}

impl Lab {
    /// Makes the namespace `name`, with a bridge that has `addresses` (each with its prefix length).
    pub fn create(name: &str, addresses: &[&str]) -> Result<Self, Error> {
        ip(&["netns", "add", name])?;
        let lab = Self { name: name.to_owned(), keep: false };
        lab.ip(&["link", "set", "lo", "up"])?;
        // A bridge without an address of its own takes the lowest of its ports': with a new machine it may change, and machines that knew the
        // former one would reach nobody for half a minute.
        let address = bridge_address(name);
        let bridge = ["link", "add", BRIDGE, "address", &address, "type", "bridge"];
        lab.ip(&[&bridge[..], &["forward_delay", "0"]].concat())?;
        for address in addresses {
            // Nobody else can have an address here, and one of IPv6 would be of no use until that is looked for.
            let words = ["address", "add", address, "dev", BRIDGE, "nodad"];
            lab.ip(if address.contains(':') { &words } else { &words[..5] })?;
        }
        lab.ip(&["link", "set", BRIDGE, "up"])?;
        // A sender on the bridge leaves checksums to hardware that is not there; some network boot ROMs
        // drop such packets.
        run(lab.command("ethtool").args(["-K", BRIDGE, "tx", "off"]), &Limit::seconds(10))?;
        Ok(lab)
    }

    /// A lab that exists already, for instance one that was kept.
    pub fn existing(name: &str) -> Self {
        Self { name: name.to_owned(), keep: false }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leaves the namespace and what runs in it alone when this value is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// A command that runs inside.
    pub fn command(&self, program: &str) -> Command {
        let mut inside = command("ip");
        inside.args(["netns", "exec", &self.name, program]);
        inside
    }

    /// Adds a port of the bridge for a machine, unless it has one, and returns its name.
    pub fn add_port(&self, machine: &str) -> Result<String, Error> {
        let port: String = format!("p-{machine}").chars().take(LONGEST_INTERFACE_NAME).collect();
        if self.ip(&["link", "show", &port]).is_ok() {
            return Ok(port);
        }
        self.ip(&["tuntap", "add", &port, "mode", "tap"])?;
        self.ip(&["link", "set", &port, "master", BRIDGE, "up"])?;
        Ok(port)
    }

    /// Calls `action` on a thread whose sockets live in this network.
    pub fn inside<T: Send>(&self, action: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let failed = |source| Error::Namespace { name: self.name.clone(), source };
        let namespace = File::open(format!("/run/netns/{}", self.name)).map_err(failed)?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(action())
            });
            match thread.join() {
                Ok(result) => result.map_err(failed),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// The processes inside.
    pub fn processes(&self) -> Result<Vec<i32>, Error> {
        let text = ip(&["netns", "pids", &self.name])?;
        Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect())
    }

    fn ip(&self, arguments: &[&str]) -> Result<String, Error> {
        let mut words = vec!["-n", &self.name];
        words.extend(arguments);
        ip(&words)
    }
}

/// A hardware address that the bridges of other labs do not have.
fn bridge_address(name: &str) -> String {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let [first, second, third, fourth, fifth, ..] = hasher.finish().to_be_bytes();
    format!("02:{first:02x}:{second:02x}:{third:02x}:{fourth:02x}:{fifth:02x}")
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        kill_all(&self.processes().unwrap_or_default());
        // Nobody can be told of a failure here; the namespace is visible in `ip netns list`.
        ip(&["netns", "delete", &self.name]).ok();
    }
}

/// The labs of this host whose names begin with `prefix`.
pub fn names(prefix: &str) -> Result<Vec<String>, Error> {
    let text = ip(&["netns", "list"])?;
    let first_words = text.lines().filter_map(|line| line.split_whitespace().next());
    Ok(first_words.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect())
}

fn ip(arguments: &[&str]) -> Result<String, Error> {
    run(command("ip").args(arguments), &Limit::seconds(20))
}
