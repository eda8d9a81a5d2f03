//! What can be asked of a BMC, and what it answers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The words are those of the control API: subsystem and action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Action {
    PowerStatus,
    PowerOn,
    PowerOff,
    PowerCycle,
    PowerReset,
    PowerSoft,
    Identify,
    NoIdentify,
    SelList,
    SelClear,
    Sensors,
    Inventory,
}

const WORDS: &[(Action, &str)] = &[
    (Action::PowerStatus, "power status"),
    (Action::PowerOn, "power on"),
    (Action::PowerOff, "power off"),
    (Action::PowerCycle, "power cycle"),
    (Action::PowerReset, "power reset"),
    (Action::PowerSoft, "power soft"),
    (Action::Identify, "chassis identify"),
    (Action::NoIdentify, "chassis noidentify"),
    (Action::SelList, "sel list"),
    (Action::SelClear, "sel clear"),
    (Action::Sensors, "sensors list"),
    (Action::Inventory, "inventory list"),
];

impl Action {
    pub fn as_str(self) -> &'static str {
        WORDS.iter().find(|(action, _)| *action == self).map_or("", |(_, word)| word)
    }

    pub fn all() -> impl Iterator<Item = Self> {
        WORDS.iter().map(|(action, _)| *action)
    }

    /// Whether it changes something: two of these at once on one BMC contradict each other.
    pub fn is_change(self) -> bool {
        !matches!(self, Self::PowerStatus | Self::SelList | Self::Sensors | Self::Inventory)
    }

    /// Whether it changes how much power the racks draw: what ramps are for.
    pub fn is_power_change(self) -> bool {
        matches!(
            self,
            Self::PowerOn | Self::PowerOff | Self::PowerCycle | Self::PowerReset | Self::PowerSoft
        )
    }

    /// Whether it makes a machine draw its inrush current.
    pub fn switches_on(self) -> bool {
        matches!(self, Self::PowerOn | Self::PowerCycle)
    }

    /// Whether its answer comes in many pieces, and so takes a slow BMC long.
    pub fn reads_much(self) -> bool {
        matches!(self, Self::SelList | Self::Sensors | Self::Inventory)
    }

    /// Whether doing it twice is not the same as doing it once.
    pub fn must_not_repeat(self) -> bool {
        matches!(self, Self::PowerCycle | Self::PowerReset | Self::PowerSoft)
    }

    /// The power state that shows that it was done. A reset shows nothing; a soft shutdown is up to the machine.
    pub fn leads_to(self) -> Option<PowerState> {
        match self {
            Self::PowerOn | Self::PowerCycle => Some(PowerState::On),
            Self::PowerOff => Some(PowerState::Off),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl From<Action> for &'static str {
    fn from(action: Action) -> Self {
        action.as_str()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an action; there are: {list}", list = list())]
pub struct UnknownAction(pub String);

fn list() -> String {
    WORDS.iter().map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
}

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        let found = WORDS.iter().find(|(_, word)| *word == text).map(|(action, _)| *action);
        found.ok_or_else(|| UnknownAction(text.to_owned()))
    }
}

impl TryFrom<String> for Action {
    type Error = UnknownAction;

    fn try_from(text: String) -> Result<Self, UnknownAction> {
        text.parse()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PowerState {
    On,
    Off,
}

impl fmt::Display for PowerState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

/// What a BMC answers to an action.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To a power status.
    Power(PowerState),
    /// To a change.
    Done,
    Events(Vec<Event>),
    Sensors(Vec<Sensor>),
    Inventory(Vec<Item>),
}

impl fmt::Display for Reply {
    /// One line for each entry, with `|` between columns, as administrators know it from other tools.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Power(state) => state.fmt(formatter),
            Self::Done => formatter.write_str("ok"),
            Self::Events(events) => lines(formatter, events),
            Self::Sensors(sensors) => lines(formatter, sensors),
            Self::Inventory(items) => lines(formatter, items),
        }
    }
}

fn lines<T: fmt::Display>(formatter: &mut fmt::Formatter<'_>, entries: &[T]) -> fmt::Result {
    for (number, entry) in entries.iter().enumerate() {
        if number > 0 {
            formatter.write_str("\n")?;
        }
        entry.fmt(formatter)?;
    }
    Ok(())
}

/// One line of the system event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub id: String,
    /// As the BMC's clock has it: `2026-01-02 10:00:00`, or "since start of the BMC" in seconds.
    pub time: String,
    pub sensor: String,
    pub text: String,
    /// False when the event says that a condition is over.
    pub asserted: bool,
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, time, sensor, text, asserted } = self;
        let direction = if *asserted { "Asserted" } else { "Deasserted" };
        write!(formatter, "{id} | {time} | {sensor} | {text} | {direction}")
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    pub name: String,
    /// None when the BMC has no reading at the moment.
    pub value: Option<f64>,
    pub unit: String,
    /// "ok", or what is wrong.
    pub state: String,
}

impl fmt::Display for Sensor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, unit, state } = self;
        match value {
            Some(value) => write!(formatter, "{name} | {value:.3} {unit} | {state}"),
            None => write!(formatter, "{name} | no reading | {state}"),
        }
    }
}

/// One fact about the machine: ("product", "serial number", "ABC123").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub part: String,
    pub field: String,
    pub value: String,
}

impl fmt::Display for Item {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} | {} | {}", self.part, self.field, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_read_back_from_its_words() {
        for action in Action::all() {
            assert_eq!(action.as_str().parse(), Ok(action));
        }
        assert_eq!(Action::all().count(), WORDS.len());
    }

    #[test]
    fn an_unknown_action_is_answered_with_the_known_ones() {
        let error = "power up".parse::<Action>().unwrap_err().to_string();
        assert!(error.starts_with("\"power up\" is not an action; there are: power status, "));
    }

    #[test]
    fn nothing_that_only_asks_is_a_change() {
        let changes: Vec<_> = Action::all().filter(|action| action.is_change()).collect();
        assert!(!changes.contains(&Action::PowerStatus) && changes.contains(&Action::SelClear));
        assert!(Action::all().filter(|action| action.is_power_change()).all(Action::is_change));
    }
}
