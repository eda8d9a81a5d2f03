//! The rules that there are: which accepts a claim, and how they change.

use std::net::IpAddr;
use std::sync::Arc;

use super::rule::ClaimRule;
use crate::{Cluster, Draft, Error, Kind, Name, Saved};

/// As many rules as there may be.
const MOST: usize = 64;

/// Makes a rule, or puts another in its place. Rules that are over go.
pub fn save(draft: &mut Draft, rule: ClaimRule, now: u64) -> Result<Saved, Error> {
    if !rule.is_in_force(now) {
        return Err(Error::invalid("count", "it would accept nothing: give a count and a time"));
    }
    let over = draft.claim_rules().values().filter(|rule| !rule.is_in_force(now));
    let over: Vec<Name> = over.map(|rule| rule.name.clone()).collect();
    for name in over.iter().filter(|name| **name != rule.name) {
        draft.remove(Kind::ClaimRule, name.as_str())?;
    }
    let is_known = draft.claim_rules().contains_key(&rule.name);
    if !is_known && draft.claim_rules().len() >= MOST {
        return Err(Error::invalid("name", format!("there are {MOST} rules already; remove one")));
    }
    draft.put(rule)?;
    Ok(if is_known { Saved::Updated } else { Saved::Created })
}

/// The rule that accepts a claim for this group from this address: the one that ends first.
pub(super) fn accepting(
    cluster: &Cluster,
    group: Option<&Name>,
    from: Option<IpAddr>,
    now: u64,
) -> Option<Name> {
    let fits = |rule: &&Arc<ClaimRule>| {
        let is_group = rule.group.is_none() || rule.group.as_ref() == group;
        rule.is_in_force(now) && is_group && covers(rule, cluster, from)
    };
    let rules = cluster.claim_rules().values().filter(fits);
    rules.min_by_key(|rule| rule.until).map(|rule| rule.name.clone())
}

/// The group whose next node a machine becomes that claims nothing.
pub(super) fn group_for(cluster: &Cluster, from: Option<IpAddr>, now: u64) -> Option<Name> {
    let fits = |rule: &&Arc<ClaimRule>| {
        rule.is_in_force(now) && rule.group.is_some() && covers(rule, cluster, from)
    };
    let rules = cluster.claim_rules().values().filter(fits);
    rules.min_by_key(|rule| rule.until).and_then(|rule| rule.group.clone())
}

/// A rule has accepted a claim. The last one ends it.
pub(super) fn use_up(draft: &mut Draft, name: &Name) -> Result<(), Error> {
    let mut rule = ClaimRule::clone(draft.claim_rule(name.as_str())?);
    rule.left = rule.left.saturating_sub(1);
    if rule.left == 0 {
        return draft.remove(Kind::ClaimRule, name.as_str());
    }
    draft.put(rule)
}

fn covers(rule: &ClaimRule, cluster: &Cluster, from: Option<IpAddr>) -> bool {
    rule.network.as_ref().is_none_or(|network| {
        let network = cluster.networks().get(network);
        network.zip(from).is_some_and(|(network, from)| network.contains(from))
    })
}
