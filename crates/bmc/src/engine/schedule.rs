//! Who comes next, and when: so many starts in a second, so many machines of one rack within a time. Knows neither
//! BMCs nor clocks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::Inrush;

/// How much lateness is caught up with: timers are not exact, and many starts in a second need several at one tick.
const CATCH_UP: Duration = Duration::from_millis(50);

pub(crate) struct Schedule<W> {
    interval: Duration,
    next_start: Option<Instant>,
    inrush: Option<Inrush>,
    lanes: Vec<Lane<W>>,
    lane_of: BTreeMap<String, usize>,
    /// The lane that is asked first, so that racks take turns.
    turn: usize,
    /// By their time; the serial number keeps those of one moment apart, and in their order.
    waiting: BTreeMap<(Instant, u64), Waiting<W>>,
    serial: u64,
    /// How much work is in the lanes, so that empty lanes need not be looked through.
    fresh: usize,
}

struct Lane<W> {
    queue: VecDeque<W>,
    /// The latest starts, as many as the inrush limit allows within its time.
    starts: VecDeque<Instant>,
}

enum Waiting<W> {
    /// Goes on at once when its time has come.
    Continue(W),
    /// Begins anew, in its lane.
    Begin(usize, W),
}

#[derive(Debug, PartialEq)]
pub(crate) enum Next<W> {
    Start(W),
    At(Instant),
    Nothing,
}

impl<W> Schedule<W> {
    pub(crate) fn new(starts_per_second: Option<f64>, inrush: Option<Inrush>) -> Self {
        let rate = starts_per_second.filter(|rate| rate.is_finite() && *rate > 0.0);
        let interval = rate
            .map(|rate| Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::from_hours(1)));
        Self {
            interval: interval.unwrap_or_default(),
            next_start: None,
            inrush,
            lanes: Vec::new(),
            lane_of: BTreeMap::new(),
            turn: 0,
            waiting: BTreeMap::new(),
            serial: 0,
            fresh: 0,
        }
    }

    /// The lane of a group. Whoever has none has a lane alone: an unknown rack cannot be overloaded knowingly.
    fn lane(&mut self, group: Option<&str>) -> usize {
        let group = if self.inrush.is_some() { group } else { Some("") };
        if let Some(lane) = group.and_then(|group| self.lane_of.get(group)) {
            return *lane;
        }
        self.lanes.push(Lane { queue: VecDeque::new(), starts: VecDeque::new() });
        let lane = self.lanes.len() - 1;
        if let Some(group) = group {
            self.lane_of.insert(group.to_owned(), lane);
        }
        lane
    }

    pub(crate) fn add(&mut self, group: Option<&str>, work: W) {
        let lane = self.lane(group);
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.queue.push_back(work);
            self.fresh += 1;
        }
    }

    /// For work that has begun: it goes on at that moment.
    pub(crate) fn resume(&mut self, at: Instant, work: W) {
        self.serial += 1;
        self.waiting.insert((at, self.serial), Waiting::Continue(work));
    }

    /// For work that has to begin anew, within the limits, at that moment or later.
    pub(crate) fn retry(&mut self, at: Instant, group: Option<&str>, work: W) {
        let lane = self.lane(group);
        self.serial += 1;
        self.waiting.insert((at, self.serial), Waiting::Begin(lane, work));
    }

    pub(crate) fn next(&mut self, now: Instant) -> Next<W> {
        // Work that goes on comes before work that begins: no limit on starts concerns it.
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > now {
                break;
            }
            match entry.remove() {
                Waiting::Continue(work) => return Next::Start(work),
                Waiting::Begin(lane, work) => {
                    if let Some(lane) = self.lanes.get_mut(lane) {
                        // Behind those that have not had their turn: a dead BMC takes nobody else's.
                        lane.queue.push_back(work);
                        self.fresh += 1;
                    }
                }
            }
        }
        let later = self.waiting.first_key_value().map(|((at, _), _)| *at);
        let begun = self.begin(now);
        match (begun, later) {
            (Next::Start(work), _) => Next::Start(work),
            (Next::At(one), Some(other)) => Next::At(one.min(other)),
            (Next::Nothing, Some(at)) | (Next::At(at), None) => Next::At(at),
            (Next::Nothing, None) => Next::Nothing,
        }
    }

    fn begin(&mut self, now: Instant) -> Next<W> {
        if self.fresh == 0 {
            return Next::Nothing;
        }
        if let Some(at) = self.next_start.filter(|at| *at > now) {
            return Next::At(at);
        }
        let mut earliest: Option<Instant> = None;
        for step in 0..self.lanes.len() {
            let number = (self.turn + step) % self.lanes.len();
            let Some(lane) = self.lanes.get_mut(number).filter(|lane| !lane.queue.is_empty())
            else {
                continue;
            };
            if let Some(at) = lane.free_at(self.inrush).filter(|at| *at > now) {
                earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
                continue;
            }
            let Some(work) = lane.queue.pop_front() else { continue };
            lane.note_start(now, self.inrush);
            self.turn = number + 1;
            self.fresh -= 1;
            self.note_start(now);
            return Next::Start(work);
        }
        earliest.map_or(Next::Nothing, Next::At)
    }

    fn note_start(&mut self, now: Instant) {
        if self.interval.is_zero() {
            return;
        }
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        let due = self.next_start.map_or(now, |due| due.max(earliest));
        self.next_start = Some(due + self.interval);
    }

    /// Everything that has not been handed out.
    pub(crate) fn into_rest(self) -> impl Iterator<Item = W> {
        let waiting = self.waiting.into_values().map(|waiting| match waiting {
            Waiting::Continue(work) | Waiting::Begin(_, work) => work,
        });
        self.lanes.into_iter().flat_map(|lane| lane.queue).chain(waiting)
    }
}

impl<W> Lane<W> {
    /// When another machine of it may be switched on.
    fn free_at(&self, inrush: Option<Inrush>) -> Option<Instant> {
        let inrush = inrush?;
        let oldest = self.starts.front().filter(|_| self.starts.len() >= inrush.machines.get())?;
        Some(*oldest + inrush.within)
    }

    fn note_start(&mut self, now: Instant, inrush: Option<Inrush>) {
        let Some(inrush) = inrush else { return };
        self.starts.push_back(now);
        while self.starts.len() > inrush.machines.get() {
            self.starts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use proptest::prelude::*;

    use super::*;

    /// Runs a schedule dry; when each work was started, in milliseconds.
    fn starts(mut schedule: Schedule<&'static str>) -> Vec<(u128, &'static str)> {
        let began = Instant::now();
        let mut now = began;
        let mut starts = Vec::new();
        loop {
            match schedule.next(now) {
                Next::Start(work) => starts.push(((now - began).as_millis(), work)),
                Next::At(at) => {
                    assert!(at > now, "waiting for the past");
                    now = at;
                }
                Next::Nothing => return starts,
            }
        }
    }

    fn inrush(machines: usize, milliseconds: u64) -> Inrush {
        let machines = NonZeroUsize::new(machines).unwrap();
        Inrush { machines, within: Duration::from_millis(milliseconds) }
    }

    #[test]
    fn without_limits_all_start_at_once_in_their_order() {
        let mut schedule = Schedule::new(None, None);
        for work in ["a", "b", "c"] {
            schedule.add(Some(work), work);
        }
        assert_eq!(starts(schedule), [(0, "a"), (0, "b"), (0, "c")]);
    }

    #[test]
    fn a_ramp_spaces_the_starts() {
        let mut schedule = Schedule::new(Some(10.0), None);
        for work in ["a", "b", "c"] {
            schedule.add(None, work);
        }
        assert_eq!(starts(schedule), [(0, "a"), (100, "b"), (200, "c")]);
    }

    #[test]
    fn a_rack_that_has_to_wait_does_not_hold_up_the_others() {
        let mut schedule = Schedule::new(None, Some(inrush(1, 500)));
        for (rack, work) in
            [("one", "1a"), ("one", "1b"), ("one", "1c"), ("two", "2a"), ("two", "2b")]
        {
            schedule.add(Some(rack), work);
        }
        let expected = [(0, "1a"), (0, "2a"), (500, "1b"), (500, "2b"), (1000, "1c")];
        assert_eq!(starts(schedule), expected);
    }

    #[test]
    fn machines_without_a_rack_wait_for_none() {
        let mut schedule = Schedule::new(None, Some(inrush(1, 500)));
        for work in ["a", "b"] {
            schedule.add(None, work);
        }
        assert_eq!(starts(schedule), [(0, "a"), (0, "b")]);
    }

    #[test]
    fn what_begins_anew_is_counted_again_and_what_goes_on_is_not() {
        let now = Instant::now();
        let mut schedule = Schedule::new(None, Some(inrush(1, 500)));
        schedule.add(Some("one"), "first");
        assert_eq!(schedule.next(now), Next::Start("first"));
        schedule.retry(now + Duration::from_millis(100), Some("one"), "again");
        schedule.resume(now + Duration::from_millis(200), "on");
        assert_eq!(schedule.next(now), Next::At(now + Duration::from_millis(100)));
        let at = now + Duration::from_millis(300);
        assert_eq!(schedule.next(at), Next::Start("on"));
        assert_eq!(schedule.next(at), Next::At(now + Duration::from_millis(500)));
        assert_eq!(schedule.next(now + Duration::from_millis(500)), Next::Start("again"));
        assert_eq!(schedule.next(now + Duration::from_secs(9)), Next::Nothing);
    }

    #[test]
    fn the_rest_is_all_that_was_not_handed_out() {
        let now = Instant::now();
        let mut schedule = Schedule::new(None, None);
        for work in ["a", "b", "c"] {
            schedule.add(None, work);
        }
        assert_eq!(schedule.next(now), Next::Start("a"));
        schedule.resume(now + Duration::from_secs(1), "a");
        assert_eq!(schedule.into_rest().collect::<Vec<_>>(), ["b", "c", "a"]);
    }

    proptest! {
        #[test]
        fn no_rack_ever_exceeds_its_limit(racks in proptest::collection::vec(0..4usize, 0..40), machines in 1..4usize) {
            let names = ["one", "two", "three", "four"];
            let mut schedule = Schedule::new(Some(50.0), Some(inrush(machines, 200)));
            for rack in &racks {
                schedule.add(Some(names[*rack]), names[*rack]);
            }
            let starts = starts(schedule);
            prop_assert_eq!(starts.len(), racks.len());
            for name in names {
                let own: Vec<u128> = starts.iter().filter(|(_, rack)| *rack == name).map(|(at, _)| *at).collect();
                for window in own.windows(machines + 1) {
                    prop_assert!(window[machines] - window[0] >= 200);
                }
            }
        }
    }
}
