//! Requests that are remembered, with what became of each machine: for whoever polls or follows them.

use std::sync::Arc;
use std::time::Duration;

use perilune_boards::{Board, Rules, Update};

use super::run::{Row, Run};

/// How long the results of a request are kept: milliseconds.
const KEPT: u64 = 60 * 60 * 1000;
/// As many requests are remembered; the oldest one that is over is forgotten first.
const REMEMBERED: usize = 256;
/// Bytes of results that are kept; beyond, the oldest request that is over is forgotten first.
const ROOM: usize = 256 << 20;
/// Requests that are not over count here alone: of so many, the one is forgotten that has had no result for longest.
const RULES: Rules = Rules { keys: 4 * REMEMBERED, changes: 64 };

/// Requests by their identifiers. Not stored: what a daemon that stops has not done is not done, and who asked asks again.
pub(super) struct Runs {
    board: Board<String, Run>,
}

impl Runs {
    /// `life` is the store's.
    pub(super) fn new(life: u64) -> Self {
        Self { board: Board::volatile(life, RULES) }
    }

    /// Remembers a request, and forgets others where there is no room.
    pub(super) fn begin(&self, run: Run, now: u64) {
        let runs = self.board.snapshot();
        let mut kept: Vec<&Arc<Run>> = runs.iter().map(|(_, run)| run).collect();
        kept.sort_by_key(|run| run.request.begun);
        let (mut count, mut size) = (kept.len(), kept.iter().map(|run| run.size).sum::<usize>());
        for old in kept.into_iter().filter(|run| run.is_over) {
            let is_old = old.request.begun + KEPT <= now;
            if !is_old && count < REMEMBERED && size <= ROOM {
                continue;
            }
            count -= 1;
            size -= old.size;
            self.board.update(&old.request.id, |_| Update::Remove);
        }
        self.board.update(&run.request.id.clone(), |_| Update::Put(run));
    }

    /// Notes what became of one machine.
    pub(super) fn note(&self, id: &String, row: Row) {
        self.board.update(id, |run| run.map_or(Update::Keep, |run| Update::Put(run.with(row))));
    }

    /// There will be no more results.
    pub(super) fn end(&self, id: &String) {
        self.board.update(id, |run| match run {
            Some(run) if !run.is_over => Update::Put(run.ended()),
            _ => Update::Keep,
        });
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Run>> {
        self.board.get(id)
    }

    /// The latest first.
    pub(super) fn all(&self) -> Vec<Arc<Run>> {
        let mut runs: Vec<_> =
            self.board.snapshot().iter().map(|(_, run)| Arc::clone(run)).collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.request.begun));
        runs
    }

    /// Waits until a request has more than so many results, or is over, or `patience` has passed; answers it as it is then.
    pub(super) async fn more_than(
        &self,
        id: &str,
        known: usize,
        patience: Duration,
    ) -> Option<Arc<Run>> {
        let id = id.to_owned();
        let more =
            self.board.until(&id, |run| run.is_none_or(|run| run.is_over || run.done() > known));
        // Both ways of ending mean the same to whoever looks next.
        drop(tokio::time::timeout(patience, more).await);
        self.board.get(&id)
    }
}

#[cfg(test)]
mod tests {
    use perilune_boards::Since;
    use tokio_util::sync::CancellationToken;

    use super::super::run::{Order, Request};
    use super::*;

    const NOW: u64 = 1_767_348_000_000;
    const SOON: Duration = Duration::from_secs(20);

    fn run(id: &str, begun: u64) -> Run {
        let request = Request {
            id: id.to_owned(),
            order: Order::read("power", "status"),
            total: 100,
            user: "luna".to_owned(),
            begun,
            cancel: CancellationToken::new(),
        };
        Run::new(Arc::new(request), Vec::new())
    }

    fn row(number: usize) -> Row {
        Row::impossible(&format!("node{number:03}"), "no".to_owned(), "no")
    }

    #[tokio::test]
    async fn each_of_two_followers_gets_every_result_and_then_the_end() {
        let (runs, id) = (Runs::new(1), "1.2".to_owned());
        runs.begin(run(&id, NOW), NOW);
        let follow = async {
            let mut told = Vec::new();
            loop {
                let run = runs.more_than(&id, told.len(), SOON).await.unwrap();
                told.extend(run.after(told.len()).iter().map(|row| row.node.clone()));
                if run.is_over {
                    return told;
                }
            }
        };
        let work = async {
            for number in 0..50 {
                runs.note(&id, row(number));
                tokio::task::yield_now().await;
            }
            runs.end(&id);
        };
        let other = async { runs.more_than(&id, usize::MAX, SOON).await.unwrap().after(0) };
        let (told, other, ()) = tokio::join!(follow, other, work);
        let expected: Vec<_> = (0..50).map(|number| format!("node{number:03}")).collect();
        assert_eq!(told, expected);
        assert_eq!(other.iter().map(|row| row.node.clone()).collect::<Vec<_>>(), expected);
        assert!(runs.more_than("3.4", 0, SOON).await.is_none());
    }

    #[tokio::test]
    async fn who_follows_slowly_or_from_before_a_restart_is_told_everything() {
        let (runs, id) = (Runs::new(1), "1.2".to_owned());
        let (before, mut slow) = runs.board.subscribe();
        runs.begin(run(&id, NOW), NOW);
        for number in 0..=RULES.changes {
            runs.note(&id, row(number));
        }
        let Some(Since::Whole(whole)) = slow.next().await else { panic!("it missed too much") };
        assert_eq!(whole.get(&id).map(|run| run.done()), Some(RULES.changes + 1));
        // Killed: what was seen is gone with the daemon, and nobody takes the new one's numbers for the old ones.
        let restarted = Runs::new(2);
        assert!(restarted.get(&id).is_none());
        for known in [before.sequence(), whole.sequence()] {
            assert!(matches!(restarted.board.since(known), Since::Whole(_)));
        }
    }

    #[test]
    fn what_is_over_is_forgotten_after_an_hour_or_for_want_of_room_and_what_runs_is_not() {
        let runs = Runs::new(1);
        runs.begin(run("runs", NOW), NOW);
        for number in 0..=REMEMBERED {
            let id = number.to_string();
            runs.begin(run(&id, NOW + 1 + number as u64), NOW);
            runs.end(&id);
        }
        let remembered = |id: &str| runs.get(id).is_some();
        assert_eq!(runs.all().len(), REMEMBERED);
        assert!(remembered("runs") && !remembered("0") && !remembered("1") && remembered("2"));
        runs.begin(run("late", NOW + 2 * KEPT), NOW + 2 * KEPT);
        assert_eq!(runs.all().len(), 2);
        assert!(remembered("runs") && remembered("late"));
    }

    #[test]
    fn requests_that_never_end_take_bounded_memory() {
        let runs = Runs::new(1);
        for number in 0..2 * RULES.keys {
            runs.begin(run(&number.to_string(), NOW), NOW);
        }
        assert_eq!(runs.all().len(), RULES.keys);
        // What is not remembered any more may still end.
        runs.note(&"0".to_owned(), row(0));
        runs.end(&"0".to_owned());
        assert!(runs.get("0").is_none());
    }
}
