//! What switches said when they were last read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use perilune_model::device::Switch;
use perilune_model::discovery::Place;
use perilune_model::{Cluster, Family, MacAddress, Name};
use perilune_switch::{BY_VLAN, COMMUNITY, Connected, Error, PORT, Target};
use tokio::time::Instant;

/// A switch that did not answer is not waited for, nor asked again because of a machine, for so long.
pub(super) const DEAD: Duration = Duration::from_secs(30);
/// A switch is not asked more often than this, however many machines there are.
const PAUSE: Duration = Duration::from_secs(2);
/// A switch is read so often while nodes are described by their ports.
pub(super) const PERIOD: Duration = Duration::from_mins(10);

/// What one switch said.
#[derive(Debug)]
pub struct Reading {
    pub(super) target: Target,
    pub(super) begun: Instant,
    /// The same, in milliseconds since 1970.
    pub at: u64,
    pub outcome: Result<Vec<Connected>, Error>,
    /// The ports, by their place in the outcome, at which a machine is seen.
    ports: BTreeMap<MacAddress, Vec<usize>>,
}

impl Reading {
    pub(super) fn new(
        (target, begun, at): (Target, Instant, u64),
        outcome: Result<Vec<Connected>, Error>,
    ) -> Self {
        let mut ports: BTreeMap<MacAddress, Vec<usize>> = BTreeMap::new();
        for (position, connected) in outcome.iter().flatten().enumerate() {
            for mac in &connected.machines {
                ports.entry(*mac).or_default().push(position);
            }
        }
        Self { target, begun, at, outcome, ports }
    }

    /// When the switch may be asked again, for a machine that wants to know what it says since then.
    fn again(&self) -> Instant {
        self.begun + if self.outcome.is_ok() { PAUSE } else { DEAD }
    }

    /// The ports at which a machine is seen, uplinks left out.
    fn places<'a>(&'a self, switch: &'a Switch, mac: MacAddress) -> impl Iterator<Item = Place> {
        let ports = self.ports.get(&mac).into_iter().flatten();
        let ports = ports.filter_map(|position| self.outcome.as_ref().ok()?.get(*position));
        ports.filter(|connected| !switch.is_uplink(&connected.port)).map(move |connected| Place {
            switch: switch.name.clone(),
            port: connected.port.clone(),
            others: connected.machines.iter().copied().filter(|other| *other != mac).collect(),
        })
    }
}

/// What all switches said. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readings(BTreeMap<Name, Arc<Reading>>);

impl Readings {
    /// What a switch said, if it was asked as it is described now.
    pub fn of(&self, switch: &Switch) -> Option<&Arc<Reading>> {
        let target = target(switch)?;
        self.0.get(&switch.name).filter(|reading| reading.target == target)
    }

    pub(super) fn put(&mut self, switch: Name, reading: Reading) {
        self.0.insert(switch, Arc::new(reading));
    }

    /// Whether a switch failed when it was last read; `None` before the first time.
    pub(super) fn has_failed(&self, switch: &Name) -> Option<bool> {
        self.0.get(switch).map(|reading| reading.outcome.is_err())
    }

    /// Forgets switches that are gone.
    pub(super) fn keep_those_of(&mut self, cluster: &Cluster) -> bool {
        let before = self.0.len();
        self.0.retain(|name, _| cluster.switches().contains_key(name));
        self.0.len() != before
    }

    /// Where a machine is seen, as was said since then. The port with the fewest machines is the likeliest: others are towards it.
    pub(crate) fn places(
        &self,
        cluster: &Cluster,
        mac: MacAddress,
        since: Option<Instant>,
    ) -> Vec<Place> {
        let switches = cluster.switches().values();
        let said = switches.filter_map(|switch| {
            let reading = self.of(switch)?;
            since.is_none_or(|since| reading.begun >= since).then_some((switch, reading))
        });
        let mut places: Vec<Place> =
            said.flat_map(|(switch, reading)| reading.places(switch, mac)).collect();
        places.sort_by_key(|place| place.others.len());
        places
    }

    /// Whether every switch has been asked since then. Those that do not answer are not waited for.
    pub(super) fn have_told(&self, cluster: &Cluster, since: Instant) -> bool {
        cluster.switches().values().filter(|switch| target(switch).is_some()).all(|switch| {
            self.of(switch).is_some_and(|reading| {
                let is_dead = reading.outcome.is_err() && reading.begun + DEAD >= since;
                reading.begun >= since || is_dead
            })
        })
    }

    /// When a switch is to be read: at once, later, or when somebody wants it.
    pub(super) fn due(&self, switch: &Switch, wish: &Wish<'_>) -> Option<Instant> {
        let Some(reading) = self.of(switch) else {
            return (wish.wanted.is_some() || (wish.is_regular)()).then_some(wish.now);
        };
        if wish.wanted.is_some_and(|wanted| wanted > reading.begun) {
            return Some(reading.again());
        }
        let next = reading.begun + PERIOD;
        (next > wish.now || (wish.is_regular)()).then_some(next)
    }
}

/// What makes switches be read.
pub(super) struct Wish<'a> {
    /// Somebody wants to know what they say since then.
    pub(super) wanted: Option<Instant>,
    /// Whether they are read now and then though nobody asks.
    pub(super) is_regular: &'a dyn Fn() -> bool,
    pub(super) now: Instant,
}

/// How a switch is asked; `None` for one without an address.
pub(super) fn target(switch: &Switch) -> Option<Target> {
    let addresses = &switch.addresses;
    let address = addresses.get(Family::V4).or_else(|| addresses.get(Family::V6))?;
    let given = |text: &Option<String>, default: &str| {
        let given = text.as_deref().map(str::trim).filter(|text| !text.is_empty());
        given.unwrap_or(default).to_owned()
    };
    Some(Target {
        address: SocketAddr::new(address, PORT),
        community: given(&switch.read, COMMUNITY),
        table: given(&switch.oid, BY_VLAN),
    })
}

#[cfg(test)]
mod tests {
    use perilune_model::Draft;
    use perilune_model::device::Port;

    use super::*;

    const MAC: MacAddress = MacAddress::ethernet([0x52, 0x54, 0, 0, 0, 1]);

    fn switch(name: &str, address: &str) -> Switch {
        let mut switch = Switch { name: Name::trusted(name), ..Switch::default() };
        switch.addresses.set(address.parse().unwrap());
        switch
    }

    /// sw01, whose port 49 is an uplink, sw02, and one without an address.
    fn cluster() -> Cluster {
        let mut draft = Draft::new(&Cluster::default());
        let uplinkports = Some("49".to_owned());
        draft.put(Switch { uplinkports, ..switch("sw01", "192.0.2.1") }).unwrap();
        draft.put(switch("sw02", "192.0.2.2")).unwrap();
        draft.put(Switch { name: Name::trusted("sw03"), ..Switch::default() }).unwrap();
        draft.finish().0
    }

    fn at(number: u32, others: u8) -> Connected {
        let machines = (0..others).map(|last| MacAddress::ethernet([0, 0, 0, 0, 0, last]));
        let port = Port { number: Some(number), names: Vec::new() };
        Connected { port, machines: machines.chain([MAC]).collect() }
    }

    fn said(cluster: &Cluster, switch: &str, begun: Instant, ports: Vec<Connected>) -> Reading {
        let target = target(cluster.switch(switch).unwrap()).unwrap();
        Reading::new((target, begun, 0), Ok(ports))
    }

    fn failed(cluster: &Cluster, switch: &str, begun: Instant) -> Reading {
        let target = target(cluster.switch(switch).unwrap()).unwrap();
        let address = target.address;
        Reading::new((target, begun, 0), Err(Error::Silent { address }))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_port_with_the_fewest_others_comes_first_and_uplinks_do_not_come() {
        let (cluster, now) = (cluster(), Instant::now());
        let mut readings = Readings::default();
        let (first, second) = (vec![at(49, 0), at(3, 9)], vec![at(7, 1)]);
        readings.put(Name::trusted("sw01"), said(&cluster, "sw01", now, first));
        readings.put(Name::trusted("sw02"), said(&cluster, "sw02", now + seconds(1), second));
        let labels = |since| -> Vec<String> {
            let places = readings.places(&cluster, MAC, since).into_iter();
            places.map(|place| format!("{} {}", place.switch, place.port.label())).collect()
        };
        assert_eq!(labels(None), ["sw02 7", "sw01 3"]);
        assert_eq!(
            labels(Some(now + seconds(1))),
            ["sw02 7"],
            "what was said before does not count"
        );
        assert!(readings.places(&cluster, MacAddress::ethernet([9; 6]), None).is_empty());
    }

    #[test]
    fn all_switches_are_waited_for_but_dead_ones() {
        let (cluster, now) = (cluster(), Instant::now() + seconds(1000));
        let mut readings = Readings::default();
        readings.put(Name::trusted("sw01"), said(&cluster, "sw01", now, Vec::new()));
        assert!(!readings.have_told(&cluster, now), "sw02 was never asked");
        readings.put(Name::trusted("sw02"), said(&cluster, "sw02", now - seconds(1), Vec::new()));
        assert!(!readings.have_told(&cluster, now));
        readings.put(Name::trusted("sw02"), failed(&cluster, "sw02", now - seconds(29)));
        assert!(readings.have_told(&cluster, now));
        readings.put(Name::trusted("sw02"), failed(&cluster, "sw02", now - seconds(31)));
        assert!(!readings.have_told(&cluster, now), "it may be back");
    }

    #[test]
    fn a_switch_is_read_when_somebody_wants_it_but_not_all_the_time() {
        let (cluster, now) = (cluster(), Instant::now() + seconds(1000));
        let sw01 = cluster.switch("sw01").unwrap();
        let due = |readings: &Readings, wanted: Option<Instant>, is_regular: bool| {
            readings.due(sw01, &Wish { wanted, is_regular: &|| is_regular, now })
        };
        let never = Readings::default();
        assert_eq!(due(&never, None, false), None);
        assert_eq!(due(&never, None, true), Some(now));
        assert_eq!(due(&never, Some(now), false), Some(now));

        let begun = now - seconds(1);
        let mut readings = Readings::default();
        readings.put(sw01.name.clone(), said(&cluster, "sw01", begun, Vec::new()));
        assert_eq!(due(&readings, Some(begun), true), Some(begun + PERIOD), "it will do");
        assert_eq!(due(&readings, Some(now), true), Some(begun + PAUSE));
        readings.put(sw01.name.clone(), failed(&cluster, "sw01", begun));
        assert_eq!(due(&readings, Some(now), true), Some(begun + DEAD));

        let old = now - PERIOD;
        readings.put(sw01.name.clone(), said(&cluster, "sw01", old, Vec::new()));
        assert_eq!((due(&readings, None, true), due(&readings, None, false)), (Some(now), None));
    }

    #[test]
    fn a_switch_that_is_described_anew_is_asked_anew() {
        let (cluster, now) = (cluster(), Instant::now());
        let mut readings = Readings::default();
        readings.put(Name::trusted("sw02"), said(&cluster, "sw02", now, vec![at(7, 0)]));
        let mut draft = Draft::new(&cluster);
        draft.put(Switch { read: Some(String::new()), ..switch("sw02", "192.0.2.2") }).unwrap();
        let (same, _) = draft.clone().finish();
        assert_eq!(readings.places(&same, MAC, None).len(), 1, "no community means the usual one");
        draft.put(Switch { read: Some("other".into()), ..switch("sw02", "192.0.2.2") }).unwrap();
        let (changed, _) = draft.finish();
        assert!(readings.of(changed.switch("sw02").unwrap()).is_none());
        assert!(readings.places(&changed, MAC, None).is_empty());
        assert!(readings.keep_those_of(&Cluster::default()) && readings.0.is_empty());
    }
}
