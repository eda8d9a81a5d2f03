//! Where makers differ from each other: a table, not code.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::Action;

/// What one maker's BMCs call things, in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    #[serde(default)]
    resets: BTreeMap<Action, Vec<String>>,
    #[serde(default)]
    indicators: Vec<Indicator>,
    #[serde(default)]
    logs: Vec<String>,
}

/// A property that makes a light shine.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Indicator {
    pub(super) of: Part,
    pub(super) property: String,
    pub(super) on: Value,
    pub(super) off: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Part {
    System,
    Chassis,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    standard: Words,
    vendors: Vec<Vendor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vendor {
    vendor: String,
    words: Words,
}

impl Words {
    /// For a maker by any of the names that it gives itself; what its row does not say is as in the standard.
    pub(super) fn of(names: &[&str]) -> Self {
        let table: Table = serde_json::from_str(include_str!("deviations.json"))
            .expect("the table is read by a test");
        let names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
        let is_named = |vendor: &Vendor| {
            let vendor = vendor.vendor.to_lowercase();
            names.iter().any(|name| name.contains(&vendor))
        };
        let mut words = table.standard;
        if let Some(vendor) = table.vendors.into_iter().find(is_named) {
            words.resets.extend(vendor.words.resets);
            if !vendor.words.indicators.is_empty() {
                words.indicators = vendor.words.indicators;
            }
            if !vendor.words.logs.is_empty() {
                words.logs = vendor.words.logs;
            }
        }
        words
    }

    /// The kinds of reset that do an action, of those that the BMC offers; all when it does not say.
    pub(super) fn resets(&self, action: Action, offered: Option<&[String]>) -> Vec<&str> {
        let known = self.resets.get(&action).map(Vec::as_slice).unwrap_or_default();
        let is_offered = |kind: &&String| offered.is_none_or(|offered| offered.contains(kind));
        known.iter().filter(is_offered).map(String::as_str).collect()
    }

    pub(super) fn indicators(&self) -> &[Indicator] {
        &self.indicators
    }

    /// Of the logs that there are, which is the system event log: its place in the list.
    pub(super) fn log(&self, there: &[&str]) -> Option<usize> {
        let preferred = |name: &String| there.iter().position(|log| log == name);
        self.logs.iter().find_map(preferred).or((!there.is_empty()).then_some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maker_is_known_by_any_of_its_names_and_the_rest_is_standard() {
        let dell = Words::of(&["", "Dell Inc."]);
        assert_eq!(dell.log(&["FaultList", "Lclog", "Sel"]), Some(2));
        assert_eq!(dell.resets(Action::PowerOn, None), ["On", "ForceOn"]);
        let other = Words::of(&["Unheard Of"]);
        assert_eq!(other.log(&["Something"]), Some(0));
        assert_eq!(other.log(&[]), None);
    }

    #[test]
    fn only_what_is_offered_is_used() {
        let words = Words::of(&[]);
        let offered = ["ForceOn".to_owned(), "ForceOff".to_owned()];
        assert_eq!(words.resets(Action::PowerOn, Some(&offered)), ["ForceOn"]);
        assert!(words.resets(Action::PowerCycle, Some(&offered)).is_empty());
    }

    #[test]
    fn the_standard_has_a_reset_for_every_change_of_power() {
        let words = Words::of(&[]);
        for action in Action::all().filter(|action| action.is_power_change()) {
            assert!(!words.resets(action, None).is_empty(), "{action}");
        }
    }
}
