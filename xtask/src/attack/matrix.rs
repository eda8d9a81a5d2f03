//! The table of `docs/trust.md`: who gets what, outside and inside the boot window, by evidence and by protocol.

use std::net::Ipv4Addr;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::attack::boot::{Boot, Reached};
use crate::attack::ground::{Ground, NODE, NODE_ADDRESS, NODE_MAC, OTHER_NODE, Scheme, has_none};
use crate::attack::machine::{Machine, User};
use crate::attack::request::Request;

const STRANGER_MAC: &str = "52:54:00:ee:00:01";
const STRANGER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 141, 200, 90);
const NEIGHBOUR_MAC: &str = "52:54:00:ee:00:02";
/// In no network that is described.
const ELSEWHERE: &str = "192.0.2.9";

/// The machines of the table.
pub(super) struct Machines {
    pub(super) node: Machine,
    pub(super) stranger: Machine,
    pub(super) neighbour: Machine,
    pub(super) elsewhere: Machine,
}

impl Machines {
    pub(super) fn plug(ground: &Ground<'_>) -> Result<Self> {
        let machines = Self {
            node: ground.plug("node", NODE_MAC)?,
            stranger: ground.plug("stranger", STRANGER_MAC)?,
            neighbour: ground.plug("neighbour", NEIGHBOUR_MAC)?,
            elsewhere: ground.plug("elsewhere", "52:54:00:ee:00:03")?,
        };
        machines.node.take(NODE_ADDRESS)?;
        machines.stranger.take(STRANGER_ADDRESS)?;
        machines.elsewhere.ip(&["address", "add", &format!("{ELSEWHERE}/24"), "dev", "eth0"])?;
        machines.elsewhere.ip(&["route", "add", "10.141.255.254/32", "dev", "eth0"])?;
        ground.route_to(ELSEWHERE)?;
        Ok(machines)
    }
}

/// One cell of the table.
pub(super) struct Cell {
    pub(super) who: &'static str,
    pub(super) when: String,
    pub(super) reached: Reached,
    pub(super) allowed: Reached,
}

/// What opens the window in a round.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    Dhcp,
    Arm,
    Search,
}

impl Opened {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Arm => "arm",
            Self::Search => "search",
        }
    }

    fn open(self, ground: &Ground<'_>, machines: &Machines) -> Result<()> {
        match self {
            Self::Dhcp => machines.node.start_firmware()?,
            Self::Arm => ground.arm(NODE, 600)?,
            Self::Search => {
                machines.node.ask(
                    User::Root,
                    &Request::get(Scheme::Http, &format!("/boot/search/mac/{NODE_MAC}")),
                )?;
            }
        }
        ensure!(ground.becomes_expected(NODE)?, "{} opens no window", self.word());
        Ok(())
    }
}

/// One round: everybody tries outside the window and inside it; then the node boots, and everybody tries again.
pub(super) fn round(
    ground: &Ground<'_>,
    machines: &Machines,
    opened: Opened,
    scheme: Scheme,
) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    let mut attempt = |who, machine: &Machine, user, when: &str, allowed| -> Result<()> {
        let reached = Boot::new(machine, user, scheme)?.grab()?;
        let when = format!("{when}, {}, {scheme:?}", opened.word());
        cells.push(Cell { who, when, reached, allowed });
        Ok(())
    };
    // A search is the weak evidence: who is at the node's address is let into the window by asking.
    let weak = opened == Opened::Search;
    let (description, state) = (ground.description()?, ground.state()?);
    let revision = ground.revision()?;
    for when in ["outside", "inside"] {
        let is_open = when == "inside";
        if is_open {
            opened.open(ground, machines)?;
        }
        attempt(
            "stranger on the boot network",
            &machines.stranger,
            User::Root,
            when,
            Reached::Nothing,
        )?;
        attempt("stranger elsewhere", &machines.elsewhere, User::Root, when, Reached::Nothing)?;
        let seen = if is_open || weak { Reached::Ticket } else { Reached::Nothing };
        attempt("user on the node", &machines.node, User::Nobody, when, seen)?;
        if !is_open && weak {
            ground.close(NODE)?;
        }
        // A search from the node's own address inside its window is the node's, as far as anybody can tell.
        ensure!(
            is_open || weak || ground.state()? == state,
            "outside the window somebody changed the node's state"
        );
    }
    ensure!(ground.revision()? == revision, "somebody without an account changed the cluster");
    ensure!(ground.description()? == description, "somebody without an account changed a node");

    boots_in_spite_of_thieves(ground, machines, scheme)?;
    if !weak {
        attempt(
            "user on the node",
            &machines.node,
            User::Nobody,
            "after success",
            Reached::Nothing,
        )?;
        machines.node.leave()?;
        machines.neighbour.take(NODE_ADDRESS)?;
        ground.forget_neighbours()?;
        attempt(
            "neighbour that took the address, root",
            &machines.neighbour,
            User::Root,
            "after success",
            Reached::Nothing,
        )?;
        machines.neighbour.leave()?;
        machines.node.take(NODE_ADDRESS)?;
        ground.forget_neighbours()?;
        attempt("root on the node", &machines.node, User::Root, "after success", Reached::Nothing)?;
    }
    ground.close(NODE)?;
    Ok(cells)
}

/// The node boots, while others have read its ticket and its token, and one takes its address.
fn boots_in_spite_of_thieves(
    ground: &Ground<'_>,
    machines: &Machines,
    scheme: Scheme,
) -> Result<()> {
    let honest = Boot::new(&machines.node, User::Root, scheme)?;
    let Some(ticket) = honest.ticket(NODE_MAC)? else {
        bail!("the node itself gets no ticket inside its window")
    };
    let Ok(token) = honest.exchange(&ticket)? else {
        bail!("the node itself cannot use its ticket")
    };
    let thief = Boot::new(&machines.stranger, User::Root, scheme)?;
    ensure!(
        thief.exchange(&ticket)?.is_err(),
        "a ticket that was read on the way is taken from another address"
    );
    ensure!(
        !thief.archive(&token)?,
        "a token that was read on the way is good from another address"
    );

    // The address alone: the machine is there in the node's place, with the ticket that was used and with one of its own.
    machines.node.leave()?;
    machines.neighbour.take(NODE_ADDRESS)?;
    let taker = Boot::new(&machines.neighbour, User::Root, scheme)?;
    ensure!(taker.exchange(&ticket)?.is_err(), "a used ticket is taken with another key");
    machines.neighbour.leave()?;
    machines.node.take(NODE_ADDRESS)?;
    ground.forget_neighbours()?;
    honest.install(&ticket)
}

/// People with accounts, and a node with its token: what each is shown.
pub(super) fn accounts(ground: &Ground<'_>, machines: &Machines) -> Result<()> {
    for role in ["viewer", "operator"] {
        let token = ground.person(role)?;
        let ask = |path: &str| ground.ask(&Request::get(Scheme::Http, path).token(&token));
        for path in paths(ground)? {
            // What acts may be an operator's to do; here it is only looked at.
            let answer = ask(&path)?;
            has_none(&format!("{path} for a {role}"), &answer.text)?;
            ensure!(!answer.gives_token(), "{path} gives a {role} a token");
        }
        let path = format!("/tpm/{NODE}");
        let body = serde_json::json!({ "username": role, "password": "quite a long password" });
        let answer = ground.ask(&Request::post(Scheme::Http, &path, body))?;
        ensure!(!matches!(answer.status, 200 | 201), "a {role} gets a node's token by {path}");
    }
    ground.arm(NODE, 600)?;
    let honest = Boot::new(&machines.node, User::Root, Scheme::Http)?;
    let Some(ticket) = honest.ticket(NODE_MAC)? else { bail!("the node gets no ticket") };
    let Ok(token) = honest.exchange(&ticket)? else { bail!("the node's ticket is refused") };
    for path in paths(ground)? {
        let other = path.replace(NODE, OTHER_NODE);
        for path in [path, other] {
            let answer = honest.ask(&Request::get(Scheme::Http, &path).token(&token))?;
            has_none(&format!("{path} for a node's token"), &answer.text)?;
        }
    }
    honest.install(&ticket)
}

/// Every path that is read, of the API's own description, with names that are there.
fn paths(ground: &Ground<'_>) -> Result<Vec<String>> {
    let document = ground.ask(&Request::get(Scheme::Http, "/openapi.json"))?.json();
    let paths = document.get("paths").and_then(Value::as_object).cloned().unwrap_or_default();
    let read = paths
        .iter()
        .filter(|(_, operations)| operations.get("get").is_some())
        .map(|(path, _)| path);
    let named = read.filter(|path| !acts(path)).map(|path| with_names(path));
    let named: Vec<String> = named.collect();
    ensure!(named.len() > 60, "the API describes only {} paths", named.len());
    Ok(named)
}

/// Routes of GET that do something: names with an underscore, and control.
fn acts(path: &str) -> bool {
    path.contains("/_")
        || path.starts_with("/control")
        || path.starts_with("/service")
        || path.starts_with("/boot/search")
}

fn with_names(path: &str) -> String {
    let segments = path.split('/').collect::<Vec<_>>();
    let name = |place: usize| match segments.get(place.wrapping_sub(1)).copied() {
        Some("group" | "groups" | "osimage") => "compute",
        Some("network") => "cluster",
        Some("bmcsetup") => "kept",
        Some("user") => "viewer",
        Some("mac") => NODE_MAC,
        Some("files") => "compute.tar.zst",
        _ => NODE,
    };
    let with_name = |(place, segment): (usize, &&str)| match segment
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        Some("interface" | "interface_name") => "BOOTIF".to_owned(),
        Some("secret") => "node".to_owned(),
        Some(_) => name(place).to_owned(),
        None => (*segment).to_owned(),
    };
    segments.iter().enumerate().map(with_name).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_get_names_that_are_there() {
        assert_eq!(
            with_names("/config/node/{name}/interfaces/{interface}"),
            "/config/node/node001/interfaces/BOOTIF"
        );
        assert_eq!(with_names("/config/secrets/group/{name}"), "/config/secrets/group/compute");
        assert_eq!(with_names("/version"), "/version");
    }
}
