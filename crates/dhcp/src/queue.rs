//! The order in which requests are answered when more come than can be.
//!
//! Exchanges that have begun end first, since a machine that was promised an address and hears nothing begins anew and costs twice.
//! Known nodes come next; strangers who begin wait, and are the ones who are turned away.

use std::collections::{BTreeMap, VecDeque};

use perilune_model::MacAddress;

/// What waits: a machine's request.
pub(crate) trait Waits {
    /// The machine, as it calls itself.
    fn machine(&self) -> MacAddress;
    /// Which kind of request it is.
    fn number(&self) -> u8;
}

/// As many requests of known machines wait as a room full of them sends at once.
const MANY: usize = 4096;
/// As many strangers wait as are answered before they ask again.
const FEW: usize = 512;
/// While more than `CROWD` requests wait, a first message that has waited this many milliseconds is dropped: its sender asks again before the answer would
/// help it, and another machine can be answered instead.
const PATIENCE: u64 = 300;
const CROWD: usize = 64;

/// Where a request waits, in the order in which they are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// A node goes on with what it has begun.
    NodeGoesOn,
    /// A stranger goes on with what it was offered or lent.
    StrangerGoesOn,
    /// A node begins.
    NodeBegins,
    /// A stranger begins, or says what we know nothing of.
    StrangerBegins,
}

impl Line {
    /// That of a node or a stranger who looks for a server, or goes on; of strangers only those go on who have an address from us.
    pub(crate) fn of(is_node: bool, begins: bool, has_address: bool) -> Self {
        match (is_node, begins) {
            (true, true) => Self::NodeBegins,
            (true, false) => Self::NodeGoesOn,
            (false, false) if has_address => Self::StrangerGoesOn,
            (false, _) => Self::StrangerBegins,
        }
    }
}

/// Requests that wait.
#[derive(Debug)]
pub(crate) struct Queue<R> {
    nodes_go_on: Waiting<R>,
    strangers_go_on: Waiting<R>,
    nodes_begin: Waiting<R>,
    strangers_begin: Waiting<R>,
}

impl<R> Default for Queue<R> {
    fn default() -> Self {
        Self {
            nodes_go_on: Waiting::default(),
            strangers_go_on: Waiting::default(),
            nodes_begin: Waiting::default(),
            strangers_begin: Waiting::default(),
        }
    }
}

impl<R: Waits> Queue<R> {
    /// Takes a request in at this time, in milliseconds; answers whether there was room.
    pub(crate) fn push(&mut self, line: Line, request: R, now: u64) -> bool {
        match line {
            Line::NodeGoesOn => self.nodes_go_on.push(request, now, MANY),
            Line::StrangerGoesOn => self.strangers_go_on.push(request, now, MANY),
            Line::NodeBegins => self.nodes_begin.push(request, now, MANY),
            Line::StrangerBegins => self.strangers_begin.push(request, now, FEW),
        }
    }

    /// The next to be answered. Strangers wait while their leases cannot be stored.
    pub(crate) fn pop(&mut self, strangers: bool, now: u64) -> Option<R> {
        if let Some(request) = self.nodes_go_on.pop() {
            return Some(request);
        }
        if strangers && let Some(request) = self.strangers_go_on.pop() {
            return Some(request);
        }
        self.nodes_begin.drop_late(now);
        let node = self.nodes_begin.pop();
        if node.is_some() || !strangers {
            return node;
        }
        self.strangers_begin.drop_late(now);
        self.strangers_begin.pop()
    }

    /// Whether [`Self::pop`] has one.
    pub(crate) fn has(&self, strangers: bool) -> bool {
        let of_strangers = !self.strangers_go_on.is_empty() || !self.strangers_begin.is_empty();
        !self.nodes_go_on.is_empty() || !self.nodes_begin.is_empty() || strangers && of_strangers
    }
}

/// One line. A machine stands in it once for each kind of request: what it says last counts.
#[derive(Debug)]
struct Waiting<R> {
    order: VecDeque<(MacAddress, u8)>,
    requests: BTreeMap<(MacAddress, u8), (u64, R)>,
}

impl<R> Default for Waiting<R> {
    fn default() -> Self {
        Self { order: VecDeque::new(), requests: BTreeMap::new() }
    }
}

impl<R: Waits> Waiting<R> {
    fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    fn push(&mut self, request: R, now: u64, limit: usize) -> bool {
        let key = (request.machine(), request.number());
        if let Some(former) = self.requests.get_mut(&key) {
            // Its place stays; what it waits for is new.
            *former = (now, request);
            return true;
        }
        if self.requests.len() >= limit {
            return false;
        }
        self.order.push_back(key);
        self.requests.insert(key, (now, request));
        true
    }

    fn pop(&mut self) -> Option<R> {
        self.requests.remove(&self.order.pop_front()?).map(|(_, request)| request)
    }

    fn drop_late(&mut self, now: u64) {
        while self.order.len() > CROWD
            && let Some(first) = self.order.front()
            && self.requests.get(first).is_none_or(|(came, _)| came + PATIENCE < now)
        {
            self.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Kind, Request};

    fn request(last: u8, kind: u8) -> Request {
        let mut packet = vec![0; 240];
        packet[..3].copy_from_slice(&[1, 1, 6]);
        packet[28..34].copy_from_slice(&[2, 0, 0, 0, 0, last]);
        packet[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        packet.extend([53, 1, kind, 255]);
        Request::read(&packet).unwrap()
    }

    fn order(queue: &mut Queue<Request>, strangers: bool) -> Vec<u8> {
        let macs = std::iter::from_fn(|| queue.pop(strangers, 0)).map(|request| request.mac);
        macs.map(|mac| mac.as_bytes()[5]).collect()
    }

    #[test]
    fn what_has_begun_ends_first_then_nodes_begin_then_strangers() {
        let mut queue = Queue::default();
        let lines =
            [Line::StrangerBegins, Line::NodeBegins, Line::StrangerGoesOn, Line::NodeGoesOn];
        for (line, last) in lines.into_iter().zip(1..) {
            assert!(queue.push(line, request(last, 1), 0));
            assert!(queue.push(line, request(last + 10, 1), 0));
        }
        assert_eq!(order(&mut queue, false), [4, 14, 2, 12]);
        assert!(!queue.has(false) && queue.has(true));
        assert_eq!(order(&mut queue, true), [3, 13, 1, 11]);
        assert!(!queue.has(true));
    }

    #[test]
    fn a_machine_waits_once_with_what_it_said_last_and_a_flood_of_strangers_is_turned_away() {
        let mut queue = Queue::default();
        for _ in 0..3 {
            assert!(queue.push(Line::NodeGoesOn, request(1, 3), 0));
        }
        assert!(queue.push(Line::NodeGoesOn, request(1, 7), 0));
        assert_eq!(order(&mut queue, true), [1, 1]);
        let admitted = (0..=255).flat_map(|last| (1..8).map(move |kind| request(last, kind)));
        let admitted =
            admitted.filter(|request| queue.push(Line::StrangerBegins, request.clone(), 0));
        assert_eq!(admitted.count(), FEW);
    }

    #[test]
    fn who_waited_too_long_in_a_crowd_makes_room_for_who_came_later() {
        let mut queue = Queue::default();
        for last in 0..100 {
            queue.push(Line::NodeBegins, request(last, 1), 0);
            queue.push(Line::NodeGoesOn, request(last, 3), 0);
        }
        queue.push(Line::NodeBegins, request(5, 1), 1_000);
        let left: Vec<Request> = std::iter::from_fn(|| queue.pop(true, 1_000)).collect();
        let begin = left.iter().filter(|request| request.kind == Kind::Discover).count();
        assert_eq!((left.len() - begin, begin), (100, 65), "the one that asked again, and a few");
        // A few are served however long they waited.
        for last in 0..60 {
            queue.push(Line::StrangerBegins, request(last, 1), 0);
        }
        assert_eq!(std::iter::from_fn(|| queue.pop(true, 60_000)).count(), 60);
    }

    #[test]
    fn a_stranger_goes_on_only_with_what_it_was_offered() {
        assert_eq!(Line::of(false, false, false), Line::StrangerBegins);
        assert_eq!(Line::of(false, false, true), Line::StrangerGoesOn);
        assert_eq!(Line::of(false, true, true), Line::StrangerBegins);
        assert_eq!(Line::of(true, false, false), Line::NodeGoesOn);
    }
}
