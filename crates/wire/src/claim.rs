//! Rules for claims, as clients read and ask for them.

use perilune_model::discovery::ClaimRule;
use perilune_model::{Name, Patch};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;

/// As many claims as a rule accepts unless something else is said.
const USUAL_COUNT: u32 = 1;
/// As long as a rule is in force unless something else is said: seconds.
const USUAL_TIME: u64 = 3600;
/// The longest: 30 days. Whoever forgets a rule has not opened the door for ever.
const LONGEST_TIME: u64 = 30 * 24 * 3600;

/// A rule that accepts claims in advance.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClaimRuleKeys<'a> {
    name: &'a str,
    /// Only claims to be a node of this group; machines that claim nothing become its next nodes.
    group: Option<&'a str>,
    /// Only machines that ask from this network.
    network: Option<&'a str>,
    /// How many claims it still accepts.
    left: u32,
    /// RFC 3339.
    until: String,
    /// Whether it accepts anything now.
    in_force: bool,
}

impl<'a> ClaimRuleKeys<'a> {
    /// The rule. `until` is its end as text; `now` is in milliseconds since 1970.
    pub fn new(rule: &'a ClaimRule, until: String, now: u64) -> Self {
        Self {
            name: rule.name.as_str(),
            group: rule.group.as_ref().map(Name::as_str),
            network: rule.network.as_ref().map(Name::as_str),
            left: rule.left,
            until,
            in_force: rule.is_in_force(now),
        }
    }
}

/// The request of a rule that is called so. `now` is in milliseconds since 1970.
pub fn rule_request(fields: &mut Fields<'_>, name: &Name, now: u64) -> ClaimRule {
    fields.ignore(&["name"]);
    let group = fields.name("group", Name::general).value().cloned();
    let network = fields.name("network", Name::domain).value().cloned();
    let mut number = |field: &str, usual: u64, most: u64| match fields.number(field) {
        Patch::Set(number) if (1..=most).contains(&number) => number,
        Patch::Keep => usual,
        Patch::Set(_) | Patch::Clear => {
            fields.refuse(field, format!("it must be a number from 1 to {most}"));
            usual
        }
    };
    let left = number("count", USUAL_COUNT.into(), u32::MAX.into());
    let seconds = number("seconds", USUAL_TIME, LONGEST_TIME);
    ClaimRule {
        name: name.clone(),
        group,
        network,
        left: u32::try_from(left).unwrap_or(u32::MAX),
        until: now.saturating_add(seconds.saturating_mul(1000)),
    }
}
