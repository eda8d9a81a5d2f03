//! How many BMCs at once, how fast, and how long it may take: what the site allows, and what a request asks for beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use perilune_bmc::{Action, Inrush, Limits, Target, Verification};
use perilune_wire::control::Wishes;

use crate::config;

/// As long as a BMC keeps its place that does not answer, with all tries and the pauses between.
const DEAD: Duration = Duration::from_secs(10);

/// The limits of one request.
pub(super) fn limits(
    site: &config::Control,
    wishes: &Wishes,
    action: Action,
    targets: &[Target],
) -> Limits {
    let mut limits = match site.batch_size {
        Some(size) => Limits::in_batches(size, site.batch_delay),
        None => Limits::default(),
    };
    limits.concurrent = site.concurrent.unwrap_or(limits.concurrent);
    limits.starts_per_second =
        site.ramp.map(|ramp| f64::from(ramp.get())).or(limits.starts_per_second);
    limits.inrush = site.rack_inrush.map(|(machines, within)| Inrush { machines, within });
    // A request may ask for less than the site allows, and never for more.
    limits.concurrent =
        wishes.concurrent.map_or(limits.concurrent, |wished| wished.min(limits.concurrent));
    if let Some(ramp) = wishes.ramp.map(|ramp| f64::from(ramp.get())) {
        limits.starts_per_second =
            Some(limits.starts_per_second.map_or(ramp, |site| site.min(ramp)));
    }
    match wishes.verify {
        Some(false) => limits.verification = None,
        Some(true) => limits.verification = Some(Verification::default()),
        None => {}
    }
    limits.insist = wishes.insist;
    let needed = limits.deadline.saturating_add(time_in_line(&limits, action, targets));
    limits.deadline = wishes.deadline.or(site.deadline).unwrap_or(needed);
    limits
}

/// How long the last machine waits for its turn. Nobody who asks for a gentle ramp wants the end of the line cut off.
fn time_in_line(limits: &Limits, action: Action, targets: &[Target]) -> Duration {
    let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
    let rate = limits.starts_per_second.filter(|rate| *rate > 0.0);
    let ramp = rate.map_or(Duration::ZERO, |rate| {
        Duration::try_from_secs_f64(f64::from(count) / rate).unwrap_or(Duration::MAX)
    });
    let at_once = u32::try_from(limits.concurrent.get()).unwrap_or(u32::MAX);
    let places = DEAD.saturating_mul(count / at_once);
    let racks = match limits.inrush.filter(|_| action.switches_on()) {
        Some(Inrush { machines, within }) => {
            let machines = u32::try_from(machines.get()).unwrap_or(u32::MAX);
            within.saturating_mul(largest_rack(targets) / machines)
        }
        None => Duration::ZERO,
    };
    ramp.saturating_add(places).saturating_add(racks)
}

fn largest_rack(targets: &[Target]) -> u32 {
    let mut racks: BTreeMap<&str, u32> = BTreeMap::new();
    for rack in targets.iter().filter_map(|target| target.group.as_deref()) {
        *racks.entry(rack).or_default() += 1;
    }
    racks.into_values().max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::num::{NonZeroU32, NonZeroUsize};

    use perilune_bmc::Credentials;

    use super::*;

    fn row(count: usize, rack: Option<&str>) -> Vec<Target> {
        let credentials = Credentials { user: "admin".to_owned(), password: String::new() };
        let target = Target::new("node", Ipv4Addr::LOCALHOST.into(), credentials);
        vec![Target { group: rack.map(str::to_owned), ..target }; count]
    }

    fn of(site: &config::Control, wishes: &Wishes, count: usize) -> Limits {
        limits(site, wishes, Action::PowerOn, &row(count, Some("rack1")))
    }

    #[test]
    fn a_request_may_ask_for_less_than_the_site_allows_and_never_for_more() {
        let site = config::Control {
            concurrent: NonZeroUsize::new(100),
            ramp: NonZeroU32::new(50),
            ..config::Control::default()
        };
        let wishes = |concurrent, ramp| Wishes {
            concurrent: NonZeroUsize::new(concurrent),
            ramp: NonZeroU32::new(ramp),
            ..Wishes::default()
        };
        let less = of(&site, &wishes(10, 5), 1);
        assert_eq!((less.concurrent.get(), less.starts_per_second), (10, Some(5.0)));
        let more = of(&site, &wishes(1000, 500), 1);
        assert_eq!((more.concurrent.get(), more.starts_per_second), (100, Some(50.0)));
    }

    #[test]
    fn a_long_line_has_the_time_that_its_ramp_needs() {
        let ramp = Wishes { ramp: NonZeroU32::new(10), ..Wishes::default() };
        let site = config::Control::default();
        assert!(of(&site, &ramp, 10_000).deadline > Duration::from_secs(1_000));
        let batches = config::Control {
            batch_size: NonZeroUsize::new(10),
            batch_delay: Duration::from_secs(1),
            ..config::Control::default()
        };
        assert!(of(&batches, &Wishes::default(), 5_000).deadline > Duration::from_secs(500));
        let rack = config::Control {
            rack_inrush: Some((NonZeroUsize::MIN, Duration::from_secs(30))),
            ..config::Control::default()
        };
        assert!(of(&rack, &Wishes::default(), 40).deadline > Duration::from_mins(20));
        assert!(of(&site, &Wishes::default(), 40).deadline < Duration::from_mins(3));
    }

    #[test]
    fn a_deadline_that_was_given_is_kept() {
        let site = config::Control {
            deadline: Some(Duration::from_secs(30)),
            ..config::Control::default()
        };
        assert_eq!(of(&site, &Wishes::default(), 10_000).deadline, Duration::from_secs(30));
        let wishes = Wishes { deadline: Some(Duration::from_secs(5)), ..Wishes::default() };
        assert_eq!(of(&site, &wishes, 10_000).deadline, Duration::from_secs(5));
    }
}
