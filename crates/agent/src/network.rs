//! Brings the boot interface up: the card that the machine booted from, with the address that it was given.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::console::Console;
use crate::dhcp;
use crate::hardware::Drivers;
use crate::kernel_arguments::{Addressing, Boot};
use crate::link::{self, Link};
use crate::mac::MacAddress;
use crate::wait;

/// As long as any machine takes for its drivers.
const DRIVERS_LIMIT: Duration = Duration::from_mins(10);
/// Some cards need their firmware loaded, some ports half a minute to begin to forward.
const CARD_LIMIT: Duration = Duration::from_mins(1);
/// Then a person wonders what it is that takes so long.
const CARRIER_SOON: Duration = Duration::from_secs(5);
const CARRIER_LIMIT: Duration = Duration::from_mins(1);
const DHCP_LIMIT: Duration = Duration::from_secs(90);

/// The boot interface once it is up.
pub struct Joined {
    pub link: Link,
    /// Its address, when DHCP has lent it.
    pub lent: Option<IpAddr>,
}

/// Finds the boot interface, waits for its link and gives it its address, while the drivers of all other devices are loaded: a link
/// and DHCP take seconds in which the machine has nothing else to do. When it returns, the drivers are there.
pub fn bring_up(boot: &Boot, drivers: &mut Drivers, console: &Console) -> Result<Joined> {
    link_loopback();
    let (is_settled, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let _loading = scope.spawn(|| drivers.keep_loading(console, &is_settled, &is_over));
        // Set whatever happens here: the scope waits for the thread.
        let over = Over(&is_over);
        let found = find(boot.mac, &is_settled);
        drop(over);
        join(boot, found?, console)
    })
}

/// Ends the loading of drivers beyond those of the devices that are there.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn join(boot: &Boot, link: Link, console: &Console) -> Result<Joined> {
    link.up()?;
    if !link.wait_for_carrier(CARRIER_SOON) {
        console.line(&format!("waiting for the link of {} ({})", link.name, link.mac));
    }
    if !link.wait_for_carrier(CARRIER_LIMIT) {
        bail!("{} ({}) has no link; check its cable and switch port", link.name, link.mac);
    }
    match &boot.addressing {
        Addressing::Static { address, gateway } => {
            link.add_address(*address)?;
            if let Some(gateway) = gateway {
                link.add_default_route(*gateway)?;
            }
            console.line(&format!("{} ({}) has {address}", link.name, link.mac));
            Ok(Joined { link, lent: None })
        }
        Addressing::Dhcp => {
            let lease = dhcp::acquire(&link, DHCP_LIMIT)?;
            link.add_address(lease.address.into())?;
            if let Some(gateway) = lease.gateway {
                link.add_default_route(gateway.into())?;
            }
            fs::write("/etc/resolv.conf", resolver(&lease.nameservers, lease.domain.as_slice()))
                .context("cannot write /etc/resolv.conf")?;
            console.line(&format!(
                "{} ({}) has {}, lent by {}",
                link.name, link.mac, lease.address, lease.server
            ));
            Ok(Joined { link, lent: Some(IpAddr::V4(lease.address.addr())) })
        }
    }
}

/// Takes all interfaces down: the image's udev cannot rename one that is up, and waits for it.
pub fn take_down(console: &Console) {
    for link in link::all() {
        if let Err(error) = link.down() {
            console.warning(&format!("{} stays up: {error}", link.name));
        }
    }
}

/// Has the installer itself ask these servers, if there are any.
pub fn write_resolver(nameservers: &[IpAddr], search: &[String]) {
    if !nameservers.is_empty() {
        fs::write("/etc/resolv.conf", resolver(nameservers, search)).ok();
    }
}

/// The text of `resolv.conf`.
pub fn resolver(nameservers: &[IpAddr], search: &[String]) -> String {
    let mut text = String::new();
    if !search.is_empty() {
        writeln!(text, "search {}", search.join(" ")).ok();
    }
    for server in nameservers {
        writeln!(text, "nameserver {server}").ok();
    }
    text
}

fn link_loopback() {
    drop(crate::tool::run("ip", ["link", "set", "dev", "lo", "up"]));
}

fn find(mac: Option<MacAddress>, is_settled: &AtomicBool) -> Result<Link> {
    let look = || match mac {
        Some(mac) => link::all().into_iter().find(|link| mac.means(&link.mac)),
        None => {
            let links = link::all();
            // The carrier shows only when the interface is up.
            for link in &links {
                drop(link.up());
            }
            links.into_iter().find(Link::has_carrier)
        }
    };
    // The time of the card begins when the drivers of what is there are loaded, which takes long on a large machine.
    let settled_or_found = || {
        // Of several cards with a link the first is meant, so all of them must be there.
        let found = mac.and_then(|_| look());
        (found.is_some() || is_settled.load(Ordering::Acquire)).then_some(found)
    };
    let found = wait::until(DRIVERS_LIMIT, settled_or_found).flatten();
    if let Some(link) = found.or_else(|| wait::until(CARD_LIMIT, look)) {
        return Ok(link);
    }
    let links = link::all();
    let there: Vec<String> =
        links.iter().map(|link| format!("{} {}", link.name, link.mac)).collect();
    let there = if there.is_empty() {
        "this kernel found none: does the image have the card's driver?".to_owned()
    } else {
        format!("there are: {}", there.join(", "))
    };
    match mac {
        Some(mac) => bail!("there is no network card with the address {mac} ({there})"),
        None => bail!("no network card has a link ({there})"),
    }
}
