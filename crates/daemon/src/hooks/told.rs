//! What hooks are told, as JSON on their standard input.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use perilune_model::{Cluster, Name};
use serde_json::{Value, json};

use super::Hook;

/// All nodes with their groups.
pub(super) fn nodes(cluster: &Cluster) -> Value {
    let nodes = cluster.nodes().values();
    nodes.map(|node| json!({ "name": node.name.as_str(), "group": node.group.as_str() })).collect()
}

/// All groups with their nodes.
fn groups(cluster: &Cluster) -> Value {
    let one = |name: &Name| {
        let nodes: Vec<&str> =
            cluster.members(name.as_str()).map(|node| node.name.as_str()).collect();
        json!({ "name": name.as_str(), "nodes": nodes })
    };
    cluster.groups().keys().map(one).collect()
}

fn zones(cluster: &Cluster) -> Value {
    cluster.networks().keys().map(|name| Value::from(name.as_str())).collect()
}

/// All that there is, without a change.
pub(super) fn whole(hook: Hook, cluster: &Cluster) -> Value {
    let mut told = json!({ "hook": hook.path(), "revision": cluster.revision(), "changes": [] });
    let (key, all) = match hook {
        Hook::ConfigNode => ("nodes", nodes(cluster)),
        Hook::ConfigGroup => ("groups", groups(cluster)),
        Hook::ConfigDns => ("zones", zones(cluster)),
        Hook::MonitorNode => ("states", json!([])),
        Hook::Luna => ("event", json!("startup")),
    };
    if let Some(told) = told.as_object_mut() {
        told.insert(key.to_owned(), all);
        if hook == Hook::Luna {
            told.insert("nodes".to_owned(), nodes(cluster));
        }
    }
    told
}

/// What differs between two clusters; `None` when that is nothing of this hook's business.
pub(super) fn changes(hook: Hook, before: &Cluster, now: &Cluster) -> Option<Value> {
    let changes = match hook {
        Hook::ConfigNode => differing(before.nodes(), now.nodes()),
        Hook::ConfigGroup => {
            let own = differing(before.groups(), now.groups());
            of_members(before, now, own)
        }
        Hook::ConfigDns => {
            let is_same = before.nodes().ptr_eq(now.nodes())
                && before.networks().ptr_eq(now.networks())
                && before.controllers().ptr_eq(now.controllers())
                && before.switches().ptr_eq(now.switches())
                && before.other_devices().ptr_eq(now.other_devices())
                && before.dns_hosts().ptr_eq(now.dns_hosts());
            if is_same { Vec::new() } else { vec![(Name::default(), "update")] }
        }
        Hook::MonitorNode | Hook::Luna => Vec::new(),
    };
    if changes.is_empty() {
        return None;
    }
    let mut told = whole(hook, now);
    let group = |name: &Name| {
        let node = now.nodes().get(name).or_else(|| before.nodes().get(name));
        node.map(|node| node.group.to_string())
    };
    let listed: Vec<Value> = changes
        .iter()
        .filter(|_| hook != Hook::ConfigDns)
        .map(|(name, action)| match hook {
            Hook::ConfigNode => {
                json!({ "action": action, "name": name.as_str(), "group": group(name) })
            }
            _ => json!({ "action": action, "name": name.as_str() }),
        })
        .collect();
    if let Some(told) = told.as_object_mut() {
        told.insert("changes".to_owned(), listed.into());
    }
    Some(told)
}

/// Objects that came, changed and went. Maps that have most in common are compared in no time.
fn differing<V: PartialEq>(
    before: &OrdMap<Name, Arc<V>>,
    now: &OrdMap<Name, Arc<V>>,
) -> Vec<(Name, &'static str)> {
    let differing = before.diff(now).filter_map(|item| match item {
        DiffItem::Add(name, _) => Some((name.clone(), "create")),
        DiffItem::Update { old, new } => (old.1 != new.1).then(|| (new.0.clone(), "update")),
        DiffItem::Remove(name, _) => Some((name.clone(), "delete")),
    });
    differing.collect()
}

/// A group is another one, too, when nodes join or leave it.
fn of_members(
    before: &Cluster,
    now: &Cluster,
    mut changes: Vec<(Name, &'static str)>,
) -> Vec<(Name, &'static str)> {
    let known: BTreeSet<Name> = changes.iter().map(|(name, _)| name.clone()).collect();
    let mut touched = BTreeSet::new();
    for item in before.nodes().diff(now.nodes()) {
        match item {
            DiffItem::Add(_, node) | DiffItem::Remove(_, node) => {
                touched.insert(node.group.clone());
            }
            DiffItem::Update { old, new } if old.1.group != new.1.group => {
                touched.extend([old.1.group.clone(), new.1.group.clone()]);
            }
            DiffItem::Update { .. } => {}
        }
    }
    let others = touched.into_iter().filter(|name| !known.contains(name));
    let others = others.filter(|name| now.groups().contains_key(name));
    changes.extend(others.map(|name| (name, "update")));
    changes
}
