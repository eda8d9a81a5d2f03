//! Changes that are made at several controllers without a pause, whatever fails meanwhile, and what became of each.
//!
//! The history is the order of all changes, so that it alone tells whether the promises were kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::controllers::{groups, pause, wait};
use crate::kill::Daemon;

/// As many writers each controller has.
const WRITERS: usize = 2;

/// What the writers know of the groups that they asked for.
#[derive(Default)]
struct Known {
    acknowledged: BTreeSet<String>,
    refused: BTreeSet<String>,
    unsure: BTreeSet<String>,
}

/// The changes, and how many each controller has acknowledged.
pub(crate) struct Changes {
    known: Mutex<Known>,
    is_over: AtomicBool,
    made: Vec<AtomicUsize>,
    /// When any of them did last, and the longest time in which none did.
    last: Mutex<(Instant, Duration)>,
}

/// Whatever happens, the writers end.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Changes {
    /// None so far, at so many controllers.
    pub(crate) fn at(controllers: usize) -> Self {
        Self {
            known: Mutex::default(),
            is_over: AtomicBool::new(false),
            made: (0..controllers).map(|_| AtomicUsize::default()).collect(),
            last: Mutex::new((Instant::now(), Duration::ZERO)),
        }
    }

    /// What every change of a controller has in its name.
    pub(crate) fn prefix(controller: usize) -> String {
        format!("chaos{controller}w")
    }

    /// Makes groups at all controllers for as long as this takes.
    pub(crate) fn make_while(
        &self,
        daemon: &(impl Fn(usize) -> Arc<Daemon> + Sync),
        fail: impl FnOnce(),
    ) {
        std::thread::scope(|scope| {
            let _over = Over(&self.is_over);
            for controller in 0..self.made.len() {
                for writer in 0..WRITERS {
                    scope.spawn(move || self.write(controller, writer, || daemon(controller)));
                }
            }
            self.until_all_make();
            fail();
        });
    }

    /// Makes groups at one controller until it is over.
    fn write(&self, controller: usize, writer: usize, daemon: impl Fn() -> Arc<Daemon>) {
        let mut number = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            number += 1;
            let name = format!("{}{writer}n{number}", Self::prefix(controller));
            let daemon = daemon();
            let code = daemon.config("group", &name, &json!({}));
            let is_shown = || daemon.get(&format!("/config/group/{name}")).map(|(code, _)| code);
            if code == Some(201) {
                // What a controller has acknowledged it shows, or it does not answer at all.
                assert_ne!(is_shown(), Some(404), "{name} was acknowledged and is not shown");
                self.made[controller].fetch_add(1, Ordering::Relaxed);
                let mut last = self.last.lock().unwrap();
                *last = (Instant::now(), last.1.max(last.0.elapsed()));
            }
            let mut known = self.known.lock().unwrap();
            match code {
                Some(201) => known.acknowledged.insert(name),
                // Others were always first, or there was no room for it, or the token is over by this controller's clock; it is as if it
                // had not been asked for.
                Some(401 | 409 | 507) => known.refused.insert(name),
                Some(503) | None => known.unsure.insert(name),
                Some(code) => panic!("{name}: {code}"),
            };
            drop(known);
            if code == Some(401) {
                daemon.log_in();
            }
            if code != Some(201) {
                pause(Duration::from_millis(50));
            }
        }
    }

    /// Waits until each controller has acknowledged something from now on.
    pub(crate) fn until_all_make(&self) {
        for made in &self.made {
            let before = made.load(Ordering::Relaxed);
            wait("a controller makes nothing any more", || made.load(Ordering::Relaxed) > before);
        }
    }

    /// The longest time in which no controller acknowledged anything, since this was last asked.
    pub(crate) fn longest_pause(&self) -> Duration {
        let mut last = self.last.lock().unwrap();
        std::mem::take(&mut last.1)
    }

    /// Waits until each controller makes changes after a fault, and prints how long that took.
    pub(crate) fn until_recovered(&self, fault: &str, begun: Instant) {
        self.until_all_make();
        let (took, longest) = (begun.elapsed(), self.longest_pause());
        println!("{fault}: all make changes after {took:?}, longest without one {longest:?}");
    }

    /// What must hold of all of them, by what these controllers show.
    pub(crate) fn check(&self, all: &[Arc<Daemon>]) {
        let known = self.known.lock().unwrap();
        wait("not all show what was acknowledged", || {
            all.iter().all(|daemon| groups(daemon).is_superset(&known.acknowledged))
        });
        wait("they do not agree", || {
            let shown: Vec<_> = all.iter().map(|daemon| groups(daemon)).collect();
            shown.windows(2).all(|two| two[0] == two[1])
        });
        let shown = groups(&all[0]);
        for name in &shown {
            let is_known = known.acknowledged.contains(name) || known.unsure.contains(name);
            assert!(is_known, "{name} is there, and nobody was told that it may be");
        }
        let history = history(&all[0]);
        let revisions: Vec<u64> = history.keys().copied().collect();
        let expected: Vec<u64> = (1..=u64::try_from(revisions.len()).unwrap()).collect();
        assert_eq!(revisions, expected, "the history has no gap");
        for daemon in all {
            assert_eq!(self::history(daemon), history, "all have one history");
        }
        let mut times = BTreeMap::new();
        for action in history.values() {
            if let Some(name) = action.strip_prefix("POST /config/group/") {
                *times.entry(name.to_owned()).or_insert(0) += 1;
            }
        }
        for name in &known.acknowledged {
            assert_eq!(times.get(name), Some(&1), "{name} is there once");
        }
        let made: BTreeSet<String> = times.into_keys().collect();
        assert_eq!(made, shown, "the history leads to what is shown");
        assert!(known.refused.is_disjoint(&shown), "what was refused is not there");
        let (acknowledged, unsure) = (known.acknowledged.len(), known.unsure.len());
        println!(
            "{acknowledged} changes acknowledged, {unsure} of which nobody was told, 0 lost, 0 twice"
        );
        assert!(acknowledged > 50, "{acknowledged}");
    }
}

/// All that the history has, oldest first: who was asked for, by revision.
fn history(daemon: &Daemon) -> BTreeMap<u64, String> {
    let mut entries = BTreeMap::new();
    let mut before = u64::MAX >> 1;
    loop {
        let (code, page) = daemon.get(&format!("/history?limit=500&before={before}")).unwrap();
        assert_eq!(code, 200, "{page}");
        let page = page["history"].as_array().unwrap().clone();
        let Some(last) = page.last() else { return entries };
        before = last["revision"].as_u64().unwrap();
        for entry in &page {
            let revision = entry["revision"].as_u64().unwrap();
            entries.insert(revision, entry["action"].as_str().unwrap().to_owned());
        }
    }
}
