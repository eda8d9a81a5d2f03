//! Which of the systems that a BMC manages is the machine: one with accelerators has a system for their board too, a
//! chassis one for each blade. And which chassis and manager are the system's.

use serde_json::Value;

use super::client::Client;
use super::service::{last_part, link, members, printable, text};
use crate::Error;

/// So many pages of a collection, and so many of its members, are read.
const MOST_PAGES: usize = 16;
const MOST_READ: usize = 32;
/// In the names of parts that are no machine of their own.
const NO_HOSTS: &[&str] =
    &["hgx", "baseboard", "accelerator", "gpu", "dpu", "ubb", "bluefield", "smartnic", "fpga"];

/// The paths of all members of a collection.
pub(super) async fn paths(client: &mut Client, collection: &str) -> Result<Vec<String>, Error> {
    let mut paths = Vec::new();
    let mut next = Some(collection.to_owned());
    for _ in 0..MOST_PAGES {
        let Some(path) = next.take() else { break };
        let page = client.get(&path).await?.body;
        paths.extend(members(&page).map(str::to_owned));
        next = page.get("Members@odata.nextLink").and_then(Value::as_str).map(str::to_owned);
    }
    Ok(paths)
}

/// The system that is wanted, or the only one that is a machine. Between two that may be meant nobody guesses: a reset of
/// the wrong one cannot be taken back.
pub(super) async fn choose(
    client: &mut Client,
    root: &Value,
    mut systems: Vec<String>,
    wanted: Option<&str>,
) -> Result<String, Error> {
    if let Some(wanted) = wanted {
        return named(&systems, wanted).ok_or_else(|| {
            let there = names(systems.iter());
            let wanted = printable(wanted);
            client.rejected(&format!("it has no system \"{wanted}\"; there are: {there}"))
        });
    }
    if systems.len() <= 1 {
        return systems.pop().ok_or_else(|| client.rejected("it has no systems"));
    }
    let own_manager = link(root, "/Links/ManagerProvidingService").map(str::to_owned);
    let mut read = Vec::new();
    let mut failure = None;
    for path in systems.into_iter().take(MOST_READ) {
        match client.get(&path).await {
            Ok(answer) => read.push((likeness(&path, &answer.body, own_manager.as_deref()), path)),
            Err(error @ (Error::Rejected { .. } | Error::NotPermitted { .. })) => {
                failure.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    let Some(best) = read.iter().map(|(likeness, _)| *likeness).max() else {
        return Err(failure.unwrap_or_else(|| client.rejected("it has no systems")));
    };
    let mut best: Vec<String> =
        read.into_iter().filter(|(likeness, _)| *likeness == best).map(|(_, path)| path).collect();
    match (best.pop(), best.as_slice()) {
        (Some(only), []) => Ok(only),
        (last, others) => {
            let there = names(others.iter().chain(&last));
            Err(client.rejected(&format!(
                "it has several systems that may be meant: {there}; say which with the field system of the BMC setup"
            )))
        }
    }
}

/// By the whole path, the last part of it, or that in other case.
fn named(systems: &[String], wanted: &str) -> Option<String> {
    let wanted = last_part(wanted);
    let exact = systems.iter().find(|path| last_part(path) == wanted);
    exact
        .or_else(|| systems.iter().find(|path| last_part(path).eq_ignore_ascii_case(wanted)))
        .cloned()
}

fn names<'a>(paths: impl Iterator<Item = &'a String>) -> String {
    paths.map(|path| printable(last_part(path))).collect::<Vec<_>>().join(", ")
}

fn is_no_host(name: &str) -> bool {
    let name = name.to_lowercase();
    NO_HOSTS.iter().any(|part| name.contains(part))
}

/// How much a system looks like a machine with an operating system, rather than a board, a card or an empty slot.
fn likeness(path: &str, system: &Value, own_manager: Option<&str>) -> i32 {
    let is_number = |path: &str| system.pointer(path).and_then(Value::as_f64).unwrap_or(0.0) > 0.0;
    let is_in = |path: &str| {
        let links = system.pointer(path).and_then(Value::as_array);
        let links = links.map(Vec::as_slice).unwrap_or_default();
        links.iter().any(|link| Some(text(link, "/@odata.id")) == own_manager)
    };
    let is_foreign = is_no_host(last_part(path))
        || matches!(text(system, "/SystemType"), "Virtual" | "OS" | "DPU" | "Composed");
    [
        (system.pointer("/Actions/#ComputerSystem.Reset").is_some(), 8),
        (system.pointer("/Boot/BootSourceOverrideEnabled").is_some(), 4),
        (!text(system, "/BiosVersion").is_empty() || link(system, "/Bios").is_some(), 2),
        (!text(system, "/PowerState").is_empty(), 2),
        (is_number("/MemorySummary/TotalSystemMemoryGiB"), 1),
        (is_number("/ProcessorSummary/Count"), 1),
        (own_manager.is_some() && is_in("/Links/ManagedBy"), 2),
        (is_foreign, -64),
        (text(system, "/Status/State") == "Absent", -32),
    ]
    .into_iter()
    .map(|(holds, points)| if holds { points } else { 0 })
    .sum()
}

/// How another resource belongs to a system: where the system links to it, where all of its kind are, and where it links back.
#[derive(Clone, Copy)]
pub(super) struct Linked {
    links: &'static str,
    all: &'static str,
    back: &'static str,
}

pub(super) const CHASSIS: Linked =
    Linked { links: "/Links/Chassis", all: "/Chassis", back: "/Links/ComputerSystems" };
pub(super) const MANAGER: Linked =
    Linked { links: "/Links/ManagedBy", all: "/Managers", back: "/Links/ManagerForServers" };

/// What a system links to, or what links to it; else the first that is none of a board of accelerators.
pub(super) async fn linked(
    client: &mut Client,
    root: &Value,
    (system_path, system): (&str, &Value),
    kind: Linked,
) -> Option<Value> {
    let own = system.pointer(kind.links).and_then(Value::as_array).map(Vec::as_slice);
    let own: Vec<String> = own
        .unwrap_or_default()
        .iter()
        .filter_map(|link| link.get("@odata.id")?.as_str().map(str::to_owned))
        .collect();
    let is_linked = !own.is_empty();
    let mut candidates = if is_linked {
        own
    } else {
        let collection = link(root, kind.all)?.to_owned();
        paths(client, &collection).await.ok()?
    };
    candidates.sort_by_key(|path| is_no_host(last_part(path)));
    let mut first = None;
    for path in candidates.into_iter().take(MOST_READ) {
        let Ok(answer) = client.get(&path).await else { continue };
        let back = answer.body.pointer(kind.back).and_then(Value::as_array).map(Vec::as_slice);
        let leads_back = back.unwrap_or_default().iter().any(|link| {
            text(link, "/@odata.id").trim_end_matches('/') == system_path.trim_end_matches('/')
        });
        if is_linked || leads_back {
            return Some(answer.body);
        }
        // Where none leads back there is usually one only.
        first.get_or_insert(answer.body);
    }
    first
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_machine_is_more_like_a_host_than_the_board_of_its_accelerators() {
        let board = json!({"PowerState": "On", "SystemType": "Physical", "ProcessorSummary": {"Count": 8},
            "Actions": {"#ComputerSystem.Reset": {}}, "BiosVersion": "1"});
        let host = json!({"PowerState": "On"});
        let of_board = likeness("/redfish/v1/Systems/HGX_Baseboard_0", &board, None);
        let of_host = likeness("/redfish/v1/Systems/System_0", &host, None);
        assert!(of_host > of_board, "{of_host} {of_board}");
        let empty = json!({"PowerState": "Off", "Status": {"State": "Absent"}, "Actions": {"#ComputerSystem.Reset": {}}});
        assert!(likeness("/redfish/v1/Systems/Blade2", &empty, None) < of_host);
    }

    #[test]
    fn a_system_is_named_by_its_path_or_the_end_of_it() {
        let systems =
            ["/redfish/v1/Systems/System_0/".to_owned(), "/redfish/v1/Systems/1".to_owned()];
        for wanted in ["System_0", "system_0", "/redfish/v1/Systems/System_0"] {
            assert_eq!(named(&systems, wanted).as_ref(), systems.first(), "{wanted}");
        }
        assert_eq!(named(&systems, "2"), None);
    }
}
