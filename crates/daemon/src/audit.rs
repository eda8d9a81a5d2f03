//! Who was refused what, who was given which secret, and what was changed and done: stored, bounded, and for collectors as lines of JSON.
//!
//! What strangers can cause has a place of its own, and so has what nodes do when they boot, so that neither pushes out what people did.

mod changes;
mod log;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use perilune_boards::{Board, Durability, Rules, Unreadable, Update, Writer};
use perilune_store::{Store, Table};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

pub(crate) use changes::follow;
pub use log::Destination;
pub(crate) use log::Lines;

use crate::clock;
use crate::rate::{Debts, Rate, network};

/// As many entries of each place are kept; beyond, the oldest go.
const OF_PEOPLE: Rules = Rules { keys: 20_000, changes: 64 };
const OF_NODES: Rules = Rules { keys: 20_000, changes: 64 };
const OF_REFUSALS: Rules = Rules { keys: 5_000, changes: 64 };
/// Refusals of one address that are told one by one; more are counted.
const TOLD_OF_ADDRESS: Rate = Rate { burst: 60, refill: Duration::from_secs(10) };
/// Refusals of all addresses together.
const TOLD_OF_ALL: Rate = Rate { burst: 1000, refill: Duration::from_millis(200) };
/// The same again within this time is counted with the entry that is there.
const AGAIN: u64 = 60_000;
/// As many entries may be counted up.
const RECENT: usize = 1024;
/// As long is a text of an entry.
const LONGEST: usize = 512;
/// Entries are put on their boards together after this time: one by one they would take longer than the requests that they tell of.
const TOGETHER: Duration = Duration::from_millis(100);
/// As many are put there at once, whenever they came.
const MANY: usize = 1024;

/// What an entry tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Somebody was refused.
    Refused,
    /// Somebody was given a secret, or a token that opens some.
    Secret,
    /// What is described was changed.
    Changed,
    /// Something was done that is no change of what is described.
    Done,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Refused, Self::Secret, Self::Changed, Self::Done];

    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Secret => "secret",
            Self::Changed => "changed",
            Self::Done => "done",
        }
    }
}

/// One thing that happened, or one that happened several times within a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When: milliseconds since 1970.
    pub at: u64,
    /// When the last time.
    pub last: u64,
    /// How often.
    pub count: u64,
    /// What kind of thing.
    pub kind: Kind,
    /// Who: a user, `token NAME (USER)`, `node NAME`, `machine MAC`, or `nobody`.
    pub who: String,
    /// From where: an address.
    pub from: String,
    /// What, in words.
    pub what: String,
    /// The revision that a change made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// The number of an entry. Later ones are larger, over restarts too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub u64);

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As long as any, so that texts are in the order of numbers.
        write!(formatter, "{:020}", self.0)
    }
}

/// The audit; clones share it.
#[derive(Debug, Clone)]
pub struct Audit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    people: Board<Number, Entry>,
    nodes: Board<Number, Entry>,
    refusals: Board<Number, Entry>,
    next: AtomicU64,
    recent: Mutex<Recent>,
    /// Something is to be put on a board, or nobody is left who notes anything.
    waits: Arc<Notify>,
    lines: Option<Lines>,
}

#[derive(Debug, Default)]
struct Recent {
    entries: BTreeMap<(Kind, String, String, String), (Number, u64)>,
    /// What is not on its board yet; of what happened again, how often since.
    waiting: BTreeMap<Number, Entry>,
    addresses: Debts<IpAddr>,
    all: Debts<()>,
}

/// What stores it.
pub struct Writers {
    boards: [Writer<Number, Entry>; 3],
    shared: Weak<Shared>,
    waits: Arc<Notify>,
}

impl Writers {
    /// Runs until nothing is left to store.
    pub async fn run(self) {
        let [people, nodes, refusals] = self.boards;
        tokio::join!(gather(self.shared, self.waits), people.run(), nodes.run(), refusals.run());
    }
}

/// Puts entries on their boards, until nobody is left who notes any; the last of them puts there what is left.
async fn gather(shared: Weak<Shared>, waits: Arc<Notify>) {
    loop {
        waits.notified().await;
        tokio::time::sleep(TOGETHER).await;
        let Some(shared) = shared.upgrade() else { return };
        shared.put_on_boards();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.put_on_boards();
        self.waits.notify_one();
    }
}

impl Shared {
    fn put_on_boards(&self) {
        // The lock is held until they are there: who reads sees all that was noted before.
        let mut recent = self.recent();
        let waiting = std::mem::take(&mut recent.waiting);
        for board in [&self.people, &self.nodes, &self.refusals] {
            let is_its_own = |entry: &Entry| std::ptr::eq(self.board(entry), board);
            let its_own = waiting.iter().filter(|(_, entry)| is_its_own(entry));
            let numbers: Vec<Number> = its_own.map(|(number, _)| *number).collect();
            board.update_each(&numbers, |number, known| match (waiting.get(number), known) {
                (Some(entry), None) => Update::Put(entry.clone()),
                (Some(entry), Some(known)) => Update::Put(known.and_again(entry)),
                (None, _) => Update::Keep,
            });
        }
    }

    fn board(&self, entry: &Entry) -> &Board<Number, Entry> {
        let is_machine = entry.who.starts_with("node ") || entry.who.starts_with("machine ");
        match entry.kind {
            Kind::Refused => &self.refusals,
            Kind::Secret | Kind::Changed | Kind::Done if is_machine => &self.nodes,
            Kind::Secret | Kind::Changed | Kind::Done => &self.people,
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// What happened before, and the same since.
    fn and_again(&self, since: &Self) -> Self {
        let count = self.count.saturating_add(since.count);
        Self { last: since.last, count, ..self.clone() }
    }
}

impl Audit {
    /// What was noted before, what stores new entries, and what could not be read.
    pub(crate) async fn open(
        store: &Store,
        lines: Option<Lines>,
    ) -> Result<(Self, Writers, Vec<Unreadable>), perilune_store::Error> {
        let key = |text: &str| text.parse().ok().map(Number);
        let open = |table, rules| Board::open(store, table, key, Durability::Behind, rules);
        let ((people, of_people, mut unreadable), nodes, refusals) = tokio::try_join!(
            open(Table::Audit, OF_PEOPLE),
            open(Table::AuditNodes, OF_NODES),
            open(Table::AuditRefusals, OF_REFUSALS),
        )?;
        let (nodes, of_nodes, others) = nodes;
        unreadable.extend(others);
        let (refusals, of_refusals, others) = refusals;
        unreadable.extend(others);
        let last = [&people, &nodes, &refusals].map(|board| {
            let board = board.snapshot();
            board.range(..).next_back().map_or(0, |(number, _)| number.0)
        });
        let next = AtomicU64::new(last.into_iter().max().unwrap_or_default() + 1);
        let recent = Mutex::default();
        let waits = Arc::new(Notify::new());
        let own = Arc::clone(&waits);
        let shared = Arc::new(Shared { people, nodes, refusals, next, recent, waits, lines });
        let boards = [of_people, of_nodes, of_refusals];
        let writers = Writers { boards, shared: Arc::downgrade(&shared), waits: own };
        Ok((Self(shared), writers, unreadable))
    }

    /// Somebody was refused. Whoever asks again and again is counted, not told each time.
    pub fn refused(&self, who: &str, from: IpAddr, what: &str) {
        let now = clock::steady_milliseconds();
        let from = {
            let mut recent = self.0.recent();
            let address = network(from);
            if recent.all.check(&(), TOLD_OF_ALL, now).is_err() {
                Err("many addresses".to_owned())
            } else if recent.addresses.check(&address, TOLD_OF_ADDRESS, now).is_err() {
                Err(from.to_string())
            } else {
                recent.addresses.add(address, TOLD_OF_ADDRESS, now);
                recent.all.add((), TOLD_OF_ALL, now);
                Ok(from.to_string())
            }
        };
        match from {
            Ok(from) => self.note(Kind::Refused, who, &from, what),
            Err(from) => self.note(Kind::Refused, "", &from, "many more requests"),
        }
    }

    /// Somebody was given a secret.
    pub fn secret(&self, who: &str, from: IpAddr, what: &str) {
        self.note(Kind::Secret, who, &from.to_string(), what);
    }

    /// Somebody did something.
    pub fn done(&self, who: &str, from: IpAddr, what: &str) {
        self.note(Kind::Done, who, &from.to_string(), what);
    }

    /// The latest entries, newest first: those before a number where one is given, and only such as are wanted.
    pub fn latest(
        &self,
        before: Option<u64>,
        limit: usize,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Vec<(u64, Arc<Entry>)> {
        self.0.put_on_boards();
        let before = Number(before.unwrap_or(u64::MAX));
        let mut found = Vec::new();
        for board in [&self.0.people, &self.0.nodes, &self.0.refusals] {
            let board = board.snapshot();
            let entries = board.range(..before).rev().filter(|(_, entry)| wanted(entry));
            found.extend(entries.take(limit).map(|(number, entry)| (number.0, Arc::clone(entry))));
        }
        found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        found.truncate(limit);
        found
    }

    /// The last revision whose change was noted.
    fn last_revision(&self) -> Option<u64> {
        let of = |board: &Board<Number, Entry>| {
            let board = board.snapshot();
            board.range(..).rev().find_map(|(_, entry)| entry.revision)
        };
        of(&self.0.people).max(of(&self.0.nodes))
    }

    fn changed(&self, at: u64, who: &str, from: &str, what: &str, revision: u64) {
        let entry = entry(Kind::Changed, who, from, what, (at, Some(revision)));
        let mut recent = self.0.recent();
        self.begin(&mut recent, entry);
        self.tell(recent);
    }

    fn note(&self, kind: Kind, who: &str, from: &str, what: &str) {
        let now = clock::milliseconds();
        let entry = entry(kind, who, from, what, (now, None));
        let key = (kind, entry.who.clone(), entry.from.clone(), entry.what.clone());
        let mut recent = self.0.recent();
        let known = recent.entries.get(&key).copied();
        // A clock that was set back begins a new entry.
        if let Some((number, _)) = known.filter(|(_, at)| now.saturating_sub(*at) < AGAIN) {
            let again = recent.waiting.get(&number).map(|waiting| waiting.and_again(&entry));
            recent.waiting.insert(number, again.unwrap_or(entry));
        } else {
            if recent.entries.len() >= RECENT {
                recent.entries.retain(|_, (_, at)| now.saturating_sub(*at) < AGAIN);
            }
            if recent.entries.len() >= RECENT {
                recent.entries.clear();
            }
            let number = self.begin(&mut recent, entry);
            recent.entries.insert(key, (number, now));
        }
        self.tell(recent);
    }

    /// A new entry, told to collectors.
    fn begin(&self, recent: &mut Recent, entry: Entry) -> Number {
        let number = Number(self.0.next.fetch_add(1, Ordering::Relaxed));
        if let Some(lines) = &self.0.lines {
            lines.write(number.0, &entry);
        }
        recent.waiting.insert(number, entry);
        number
    }

    /// Has what waits put on its board, soon or at once.
    fn tell(&self, recent: MutexGuard<'_, Recent>) {
        let waiting = recent.waiting.len();
        drop(recent);
        if waiting >= MANY {
            self.0.put_on_boards();
        } else if waiting == 1 {
            self.0.waits.notify_one();
        }
    }
}

fn entry(
    kind: Kind,
    who: &str,
    from: &str,
    what: &str,
    (at, revision): (u64, Option<u64>),
) -> Entry {
    let bounded = |text: &str| -> String {
        text.chars().filter(|character| !character.is_control()).take(LONGEST).collect()
    };
    Entry {
        at,
        last: at,
        count: 1,
        kind,
        who: bounded(who),
        from: bounded(from),
        what: bounded(what),
        revision,
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    async fn audit(directory: &std::path::Path, lines: Option<Lines>) -> (Audit, JoinSet<()>) {
        let (store, _) = Store::open(directory, &directory.join("key")).unwrap();
        let (audit, writers, unreadable) = Audit::open(&store, lines).await.unwrap();
        assert!(unreadable.is_empty());
        let mut tasks = JoinSet::new();
        tasks.spawn(writers.run());
        (audit, tasks)
    }

    fn whats(audit: &Audit) -> Vec<(String, u64)> {
        let latest = audit.latest(None, 100_000, |_| true);
        latest.into_iter().map(|(_, entry)| (entry.what.clone(), entry.count)).collect()
    }

    #[tokio::test]
    async fn what_strangers_ask_is_counted_and_pushes_nothing_out() {
        let directory = tempfile::tempdir().unwrap();
        let (audit, _tasks) = audit(directory.path(), None).await;
        audit.secret("ann", HERE, "the backup");
        for number in 0..50_000_u32 {
            audit.refused("nobody", HERE, &format!("GET /{number}"));
        }
        for number in 0..50_000_u32 {
            let from = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
            audit.refused("nobody", from, "GET /config/node");
        }
        let told = whats(&audit);
        assert!(told.contains(&("the backup".to_owned(), 1)));
        assert!(told.len() <= 1200, "{}", told.len());
        let counted: u64 = told.iter().map(|(_, count)| count).sum();
        assert_eq!(counted, 100_001, "every one is counted");
    }

    #[tokio::test]
    async fn boots_of_nodes_push_nothing_of_people_out() {
        let directory = tempfile::tempdir().unwrap();
        let (audit, _tasks) = audit(directory.path(), None).await;
        audit.secret("ann", HERE, "the backup");
        for number in 0..30_000 {
            audit.secret(&format!("node node{number}"), HERE, "its plan");
        }
        assert_eq!(audit.latest(None, 1, |entry| entry.who == "ann").len(), 1);
        assert_eq!(audit.latest(None, 100_000, |_| true).len(), 20_001);
    }

    #[tokio::test]
    async fn numbers_go_on_over_a_restart_and_texts_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let (first, mut tasks) = audit(directory.path(), None).await;
        first.done("ann", HERE, &format!("one\nline {}", "x".repeat(10_000)));
        drop(first);
        while tasks.join_next().await.is_some() {}
        let (second, _tasks) = audit(directory.path(), None).await;
        second.done("ann", HERE, "two");
        let latest = second.latest(None, 9, |_| true);
        let [(later, two), (earlier, one)] = latest.as_slice() else { panic!("{latest:?}") };
        assert!(later > earlier && two.what == "two");
        assert_eq!(one.what.len(), LONGEST);
        assert!(one.what.starts_with("oneline "));
    }
}
