//! Puts a plan into the cluster: all of it, or nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use perilune_model::controller::Controller;
use perilune_model::dns::{DnsHosts, RecordType};
use perilune_model::group::Group;
use perilune_model::node::{Node, Reported};
use perilune_model::{Cluster, Draft, Error, Kind, Name, Object, Violation};

use crate::Plan;

/// As many objects as a refusal names.
const NAMED: usize = 50;

/// What a commit does beside putting what is imported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Objects that were there and are not in the database; they go.
    pub removed: Vec<(Kind, String)>,
    /// Objects that were there and become those of the database.
    pub replaced: Vec<(Kind, String)>,
    /// The cluster's own settings stay as they are.
    pub keeps_settings: bool,
}

/// Puts everything into the cluster.
///
/// A cluster that has neither nodes nor groups is new: what its first start made gives way to the import. So does a used one with
/// `replace`: it becomes what the database says, but for the users, and, where tables are replaced that say nothing of them, for reservations, the cluster's
/// own secrets, DNS records that are no addresses, and the identities of nodes. Else the import is added to what is there, and refused where
/// something of the same name is there already and different.
pub fn commit(plan: &Plan, draft: &mut Draft, replace: bool) -> Result<Outcome, Error> {
    let is_new = draft.nodes().is_empty() && draft.groups().is_empty();
    if replace || is_new { take_over(plan, draft) } else { add(plan, draft) }
}

fn take_over(plan: &Plan, draft: &mut Draft) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    let objects: Vec<Object> = plan.objects().collect();
    let imported: BTreeSet<(Kind, &Name)> =
        objects.iter().map(|object| (object.kind(), object.name())).collect();
    let stays = |object: &Object| match object.kind() {
        Kind::User | Kind::ApiToken | Kind::ClaimRule | Kind::Settings => true,
        // Tables that replace others have no place for them, and a decision about one is nobody's but an administrator's.
        Kind::Reservation | Kind::ClusterSecrets => plan.is_of_tables,
        _ => match object {
            Object::DnsHosts(list) => plan.is_of_tables && list.hosts.is_empty(),
            _ => false,
        },
    };
    let unsaid = if plan.is_of_tables { unsaid(draft, plan.cluster()) } else { Vec::new() };
    let records = if plan.is_of_tables { records(draft, plan.cluster()) } else { Vec::new() };
    let there: Vec<Object> = draft.objects().filter(|object| !stays(object)).collect();
    // Nothing is above another while they go.
    for group in draft.groups().values().map(Arc::clone).collect::<Vec<_>>() {
        draft.put(Group { parent: None, ..Group::clone(&group) })?;
    }
    for object in there.iter().rev() {
        let is_imported = imported.contains(&(object.kind(), object.name()));
        let named = (object.kind(), object.name().to_string());
        if is_imported { &mut outcome.replaced } else { &mut outcome.removed }.push(named);
        // What belongs to an object that went has gone with it.
        if draft.object(object.kind(), object.name().as_str()).is_some() {
            draft.remove(object.kind(), object.name().as_str())?;
        }
    }
    plan.puts().try_for_each(|object| draft.put(object))?;
    unsaid.into_iter().try_for_each(|object| draft.put(object))?;
    for mut list in records {
        if draft.put(list.clone()).is_err() {
            // What is described now has the name of one that was another name for something.
            list.records.retain(|record| record.data.of() != RecordType::Cname);
            draft.put(list)?;
        }
    }
    Ok(outcome)
}

/// The DNS records that are no addresses, of networks that stay: tables have no place for them, either.
fn records(before: &Cluster, planned: &Cluster) -> Vec<DnsHosts> {
    let lists = before.dns_hosts().values().filter(|list| !list.records.is_empty());
    let stay = lists.filter(|list| planned.networks().contains_key(&list.name));
    let beside = stay.map(|list| {
        let planned = planned.dns_hosts().get(&list.name);
        let hosts = planned.map(|planned| planned.hosts.clone()).unwrap_or_default();
        DnsHosts { hosts, ..DnsHosts::clone(list) }
    });
    beside.collect()
}

/// What tables have no place for, of nodes that stay: the identities that they have shown to others, what their hardware told of itself,
/// and which addresses they had.
fn unsaid(before: &Cluster, planned: &Cluster) -> Vec<Object> {
    let identities = before.node_identities().values();
    let identities = identities.filter(|identity| planned.nodes().contains_key(&identity.name));
    let tells = |node: &Node| node.reported != Reported::default() || !node.former.is_empty();
    let told = before.nodes().values().filter(|node| tells(node));
    let told = told.filter_map(|node| {
        let planned = planned.nodes().get(&node.name)?;
        let (reported, former) = (node.reported.clone(), node.former.clone());
        Some(Node { reported, former, ..Node::clone(planned) }.into())
    });
    told.chain(identities.map(|identity| Object::NodeIdentity(Arc::clone(identity)))).collect()
}

fn add(plan: &Plan, draft: &mut Draft) -> Result<Outcome, Error> {
    let beacon = draft.beacon().filter(|controller| controller.beacon);
    let beacon = beacon.map(|controller| controller.name.clone());
    // Its own settings stay, and so does the controller that it talks to.
    let wanted = |object: &Object| object.kind() != Kind::Settings;
    let adapted = |object: &Object| match (object, &beacon) {
        (Object::Controller(controller), Some(beacon)) => {
            let is_beacon = controller.name == *beacon;
            Controller { beacon: is_beacon, ..Controller::clone(controller) }.into()
        }
        (object, _) => object.clone(),
    };
    let taken: Vec<Object> = plan
        .objects()
        .filter(wanted)
        .filter(|object| {
            let own = draft.object(object.kind(), object.name().as_str());
            own.is_some_and(|own| own != adapted(object))
        })
        .collect();
    if !taken.is_empty() {
        return Err(conflict(&taken));
    }
    let puts = plan.puts().filter(|object| wanted(object));
    puts.map(|object| adapted(&object)).try_for_each(|object| draft.put(object))?;
    Ok(Outcome { keeps_settings: true, ..Outcome::default() })
}

fn conflict(taken: &[Object]) -> Error {
    let mut violations: Vec<Violation> = taken
        .iter()
        .take(NAMED)
        .map(|object| Violation {
            field: format!("{} {}", object.kind(), object.name()),
            reason: "it is in the cluster already, and different".to_owned(),
        })
        .collect();
    if let Some(more) = taken.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let reason = format!("{more} more are in the cluster already");
        violations.push(Violation { field: "and".to_owned(), reason });
    }
    violations.push(Violation {
        field: "replace".to_owned(),
        reason: "remove or rename them, or let the import replace the whole cluster".to_owned(),
    });
    Error::Invalid(violations)
}
