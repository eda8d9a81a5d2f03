//! A machine of the attack: a network namespace with one card on the controller's bridge. What a user without rights does there is done by
//! processes and threads without rights, so that the kernel itself says what such a user can.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use perilune_testkit::process::{command, run};
use perilune_testkit::{Lab, Limit, lab};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::attack::request::{Answer, Request};

/// `nobody` of every distribution.
const NOBODY: u32 = 65534;
/// The only card of a machine.
const CARD: &str = "eth0";
const BROADCAST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::BROADCAST, 67);

/// Whose process does something on a machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    Root,
    /// Somebody without rights.
    Nobody,
}

/// A namespace with a card; removed when dropped.
pub(crate) struct Machine {
    inside: Lab,
    pub(super) mac: String,
    /// Where its programs leave their files.
    directory: PathBuf,
}

impl Machine {
    /// Makes the namespace `name`, plugged into the bridge of `network`.
    pub(crate) fn plug(network: &Lab, name: &str, mac: &str, directory: PathBuf) -> Result<Self> {
        ip(&["netns", "add", name])?;
        // Removes the namespace also when a later step fails.
        let machine = Self { inside: Lab::existing(name), mac: mac.to_owned(), directory };
        std::fs::create_dir_all(&machine.directory)?;
        let port: String = format!("v-{name}");
        let port = port.get(port.len().saturating_sub(15)..).unwrap_or(&port);
        let (bridge, switch) = (lab::BRIDGE, network.name());
        ip(&[
            "-n", switch, "link", "add", port, "type", "veth", "peer", "name", CARD, "netns", name,
        ])?;
        ip(&["-n", switch, "link", "set", port, "master", bridge, "up"])?;
        ip(&["-n", name, "link", "set", CARD, "address", mac])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        ip(&["-n", name, "link", "set", CARD, "up"])?;
        // A sender leaves checksums to hardware that is not there; programs that read frames drop such packets.
        run(
            machine.inside.command("ethtool").args(["-K", CARD, "tx", "off"]),
            &Limit::seconds(10),
        )?;
        Ok(machine)
    }

    /// Takes an address, reserved for it or not.
    pub(crate) fn take(&self, address: Ipv4Addr) -> Result<()> {
        self.ip(&["address", "replace", &format!("{address}/16"), "dev", CARD])
    }

    /// Has no address any more.
    pub(super) fn leave(&self) -> Result<()> {
        self.ip(&["address", "flush", "dev", CARD, "scope", "global"])
    }

    /// Sends what somebody asks over HTTP. The sender's port is one of root's where `privileged` is wanted, which the kernel refuses nobody.
    pub(crate) fn ask(&self, user: User, request: &Request) -> Result<Answer> {
        let mut curl = match user {
            User::Root => self.inside.command("curl"),
            User::Nobody => {
                let mut as_nobody = self.inside.command("setpriv");
                let id = NOBODY.to_string();
                as_nobody.args(["--reuid", &id, "--regid", &id, "--clear-groups", "curl"]);
                as_nobody
            }
        };
        request.send(&mut curl)
    }

    /// Does what firmware does at the start of a boot: a real client asks for an address, with firmware's class.
    pub(crate) fn start_firmware(&self) -> Result<()> {
        let file = |name: &str| self.directory.join(name);
        let class = "send vendor-class-identifier \"PXEClient:Arch:00007:UNDI:003016\";\n";
        std::fs::write(file("dhclient.conf"), class)?;
        let mut client = self.inside.command("dhclient");
        client.args(["-1", "-d", "-sf", "/bin/true", "-cf"]).arg(file("dhclient.conf"));
        // A lease that it remembers would make it ask as a running system does.
        std::fs::write(file("leases"), "")?;
        client.arg("-lf").arg(file("leases")).arg("-pf").arg(file("pid")).arg(CARD);
        let mut process = client
            .stdout(File::create(file("dhclient.log"))?)
            .stderr(File::create(file("dhclient.err"))?)
            .spawn()
            .context("dhclient does not start")?;
        let has_lease = || {
            std::fs::read_to_string(file("leases")).is_ok_and(|text| text.contains("fixed-address"))
        };
        let had =
            perilune_testkit::process::wait_for(&Limit::seconds(30), || has_lease().then_some(()));
        perilune_testkit::process::end(&mut process);
        ensure!(
            had?.is_some(),
            "{} was given no address: {}",
            self.mac,
            std::fs::read_to_string(file("dhclient.err")).unwrap_or_default()
        );
        Ok(())
    }

    /// Broadcasts a packet to the port of DHCP servers from a port of this user's; answers whether the kernel let it.
    pub(super) fn broadcast(&self, user: User, port: u16, packets: &[Vec<u8>]) -> Result<bool> {
        self.send(user, port, BROADCAST, packets)
    }

    /// Sends packets over UDP; answers whether the kernel let it.
    pub(super) fn send(
        &self,
        user: User,
        port: u16,
        to: SocketAddrV4,
        packets: &[Vec<u8>],
    ) -> Result<bool> {
        // Without it the kernel does not know where to send broadcasts.
        self.ip(&["route", "replace", "255.255.255.255/32", "dev", CARD])?;
        let sent = self.inside.inside(|| -> std::io::Result<()> {
            if user == User::Nobody {
                become_nobody()?;
            }
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
            socket.set_broadcast(true)?;
            for packet in packets {
                socket.send_to(packet, to)?;
            }
            Ok(())
        })?;
        match sent {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(false),
            Err(error) => Err(error).context("a packet cannot be sent"),
        }
    }

    /// Calls `action` on a thread whose sockets are this machine's.
    pub(super) fn inside<T: Send>(&self, action: impl FnOnce() -> T + Send) -> Result<T> {
        Ok(self.inside.inside(action)?)
    }

    /// Changes this machine's network.
    pub(super) fn ip(&self, words: &[&str]) -> Result<()> {
        ip(&[&["-n", self.inside.name()], words].concat())
    }
}

/// This thread alone loses its rights, and ends with what it was started for.
fn become_nobody() -> std::io::Result<()> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    Ok(())
}

fn ip(words: &[&str]) -> Result<()> {
    run(command("ip").args(words), &Limit::seconds(20))?;
    Ok(())
}
