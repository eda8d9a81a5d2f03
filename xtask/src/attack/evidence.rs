//! What opens a window, and what must not: requests of firmware, forged and real; power; and claims at the menu.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Result, ensure};

use crate::attack::boot::Boot;
use crate::attack::firmware;
use crate::attack::ground::{Ground, NODE, NODE_MAC, OTHER_NODE, Scheme};
use crate::attack::machine::User;
use crate::attack::matrix::Machines;
use crate::attack::request::Request;

const FIRMWARES_PORT: u16 = 68;
const RELAYS_PORT: u16 = 67;
const ANY_PORT: u16 = 0;
const CONTROLLER: Ipv4Addr = Ipv4Addr::new(10, 141, 255, 254);

/// Forged requests for an address: what a user without rights, and root of another machine at its own card, can send.
pub(super) fn forged_requests(ground: &Ground<'_>, machines: &Machines) -> Result<()> {
    let begins = firmware::discover(NODE_MAC)?;
    let chooses = firmware::choose(NODE_MAC, crate::attack::ground::NODE_ADDRESS, CONTROLLER)?;
    let packets = [begins, chooses];
    let let_through = machines.node.broadcast(User::Nobody, FIRMWARES_PORT, &packets)?;
    ensure!(
        !let_through,
        "the kernel lets nobody send from port {FIRMWARES_PORT}: this machine proves nothing"
    );
    ensure!(
        machines.node.broadcast(User::Nobody, ANY_PORT, &packets)?,
        "nobody cannot send at all"
    );
    // Root elsewhere, at its own card: the frame says who sent it.
    machines.stranger.broadcast(User::Root, FIRMWARES_PORT, &packets)?;
    machines.stranger.broadcast(User::Root, RELAYS_PORT, &packets)?;
    // Root on the node, but no broadcast.
    let server = SocketAddrV4::new(CONTROLLER, RELAYS_PORT);
    machines.node.send(User::Root, FIRMWARES_PORT, server, &packets)?;
    // A relay that no network names.
    for relay in [Ipv4Addr::new(10, 141, 200, 90), Ipv4Addr::new(10, 9, 9, 9)] {
        let relayed = [firmware::relayed(NODE_MAC, relay)?];
        machines.stranger.send(User::Root, RELAYS_PORT, server, &relayed)?;
    }
    ensure!(!ground.becomes_expected(NODE)?, "a forged request of firmware opened the window");
    Ok(())
}

/// What a real client sends at the start of a boot.
pub(super) fn real_request(ground: &Ground<'_>, machines: &Machines) -> Result<()> {
    machines.node.start_firmware()?;
    ensure!(ground.becomes_expected(NODE)?, "firmware's request opened no window");
    ground.close(NODE)
}

/// A machine that is on, with its users on it, is not about to boot because somebody asks to switch it on.
pub(super) fn power(ground: &Ground<'_>) -> Result<()> {
    ground.perilune(&["power", "on", OTHER_NODE])?;
    ground.close(OTHER_NODE)?;
    ground.perilune(&["power", "on", OTHER_NODE])?;
    ensure!(
        !ground.is_expected(OTHER_NODE)?,
        "`power on` of a machine that was on opened the window"
    );
    ground.perilune(&["power", "cycle", OTHER_NODE])?;
    ensure!(
        ground.becomes_expected(OTHER_NODE)?,
        "a power cycle that the BMC confirmed opened no window"
    );
    ground.close(OTHER_NODE)
}

/// What strangers claim at the menu: no change, no ticket, no node taken.
pub(super) fn claims(ground: &Ground<'_>, machines: &Machines) -> Result<()> {
    let revision = ground.revision()?;
    let stranger = Boot::new(&machines.stranger, User::Root, Scheme::Http)?;
    for number in 0..50 {
        let mac = format!("52:54:00:ff:00:{number:02x}");
        for path in [
            format!("/boot/manual/group/compute/{mac}"),
            format!("/boot/manual/hostname/{NODE}/{mac}"),
            format!("/boot/search/mac/{mac}"),
        ] {
            let answer = stranger.ask(&Request::get(Scheme::Http, &path))?;
            ensure!(answer.ticket().is_none(), "{path} gives a stranger a ticket");
        }
    }
    ensure!(ground.revision()? == revision, "claims at the menu changed the cluster");
    let nodes = ground.get("/config/node")?.to_string();
    ensure!(nodes.contains(NODE_MAC), "a claim took the node's place");
    Ok(())
}

/// Headers that say from where somebody asks, where no proxy is named.
pub(super) fn forwarded(ground: &Ground<'_>, machines: &Machines) -> Result<()> {
    ground.arm(NODE, 600)?;
    let address = crate::attack::ground::NODE_ADDRESS;
    let stranger = Boot::new(&machines.stranger, User::Root, Scheme::Http)?;
    for lines in [
        vec![format!("x-forwarded-for: {address}")],
        vec![format!("x-forwarded-for: {address}"), format!("x-forwarded-for: {address}:700")],
        vec![format!("forwarded: for={address}"), format!("x-real-ip: {address}")],
    ] {
        let script = Request::get(Scheme::Http, &format!("/boot/search/mac/{NODE_MAC}?again=2"));
        let script = lines.iter().fold(script, |request, line| request.header(line));
        ensure!(
            stranger.ask(&script)?.ticket().is_none(),
            "a header {lines:?} gives a stranger the node's ticket"
        );
        // Any user of the controller itself is a local client, not a proxy.
        ensure!(
            ground.ask(&script)?.ticket().is_none(),
            "a header {lines:?} gives a local user the node's ticket"
        );
    }
    ground.close(NODE)
}
