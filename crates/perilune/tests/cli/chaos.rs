//! Three controllers, a database with a synchronous standby, and everything that can go wrong between them while changes are made at all.
//!
//! The history is the order of all changes, so that it alone tells whether the promises were kept. `cargo xtask chaos` does the same for longer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use perilune_testkit::{Cut, Postgres, Proxy, WallClock};
use serde_json::json;

use crate::controllers::{Site, groups, pause, wait};
use crate::kill::Daemon;

const CONTROLLERS: usize = 3;
const WRITERS: usize = 2;
/// As many faults as a short run has: one of each kind.
const FAULTS: usize = 11;
/// How many there are to be, where somebody says so.
const VARIABLE: &str = "PERILUNE_CHAOS_FAULTS";
/// How long changes are made between two faults.
const BETWEEN: Duration = Duration::from_millis(700);

const HOUR: i32 = 60 * 60;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A commit arrives at the database, and its answer does not.
    Unanswered,
    /// A commit is on its way when the connection is lost.
    Cut,
    /// A controller stands still for a while, and goes on.
    Stopped,
    /// A controller is killed, and started again.
    Killed,
    /// A controller does not reach the database for a while.
    Away,
    /// The database is killed, and its standby takes its place.
    Failover,
    /// The database is killed, and started again.
    Restart,
    /// The disk of the database is full for a while.
    Full,
    /// The clock of a controller is set an hour ahead, or back, and stays so.
    Ahead,
    Behind,
    /// The clocks of all controllers are set right.
    Right,
}

const KINDS: [Fault; FAULTS] = [
    Fault::Ahead,
    Fault::Behind,
    Fault::Unanswered,
    Fault::Stopped,
    Fault::Killed,
    Fault::Away,
    Fault::Full,
    Fault::Failover,
    Fault::Right,
    Fault::Cut,
    Fault::Restart,
];

/// What the writers know of the groups that they asked for.
#[derive(Default)]
struct Known {
    acknowledged: BTreeSet<String>,
    refused: BTreeSet<String>,
    unsure: BTreeSet<String>,
}

struct Chaos {
    /// With the server that takes changes.
    site: Mutex<Site>,
    standby: Mutex<Option<Postgres>>,
    /// The ways of each controller to both servers.
    proxies: Vec<[Proxy; 2]>,
    daemons: Vec<RwLock<Arc<Daemon>>>,
    known: Mutex<Known>,
    is_over: AtomicBool,
    /// How many changes each controller has acknowledged.
    made: [AtomicUsize; CONTROLLERS],
    /// When any of them did last, and the longest time in which none did.
    last: Mutex<(Instant, Duration)>,
}

/// Whatever happens, the writers end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Chaos {
    fn start() -> Option<Self> {
        // Room for what is made in a long run.
        let mut site = Site::on(Postgres::start_on_disk(1024)?, CONTROLLERS);
        let standby = site.server.standby();
        let ports = [site.server.port(), standby.port()];
        let proxies: Vec<[Proxy; 2]> = (0..CONTROLLERS).map(|_| ports.map(Proxy::start)).collect();
        for [first, second] in &proxies {
            let url = Postgres::url(site.database(), first.port());
            let own = format!("127.0.0.1:{}", first.port());
            let both = format!("{own},127.0.0.1:{}", second.port());
            site.ways.push(url.replace(&own, &both));
        }
        site.clocks = (0..CONTROLLERS).filter_map(|_| WallClock::new()).collect();
        let daemons = (0..CONTROLLERS).map(|number| RwLock::new(Arc::new(site.start(number))));
        let daemons = daemons.collect();
        Some(Self {
            site: Mutex::new(site),
            standby: Mutex::new(Some(standby)),
            proxies,
            daemons,
            known: Mutex::default(),
            is_over: AtomicBool::new(false),
            made: Default::default(),
            last: Mutex::new((Instant::now(), Duration::ZERO)),
        })
    }

    fn daemon(&self, number: usize) -> Arc<Daemon> {
        Arc::clone(&self.daemons[number].read().unwrap())
    }

    /// Makes groups at one controller until it is over.
    fn write(&self, controller: usize, writer: usize) {
        let mut number = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            number += 1;
            let name = format!("chaos{controller}w{writer}n{number}");
            let daemon = self.daemon(controller);
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
    fn until_all_make(&self) {
        for made in &self.made {
            let before = made.load(Ordering::Relaxed);
            wait("a controller makes nothing any more", || made.load(Ordering::Relaxed) > before);
        }
    }

    /// Sets the clock of a controller, where there is one to set.
    fn clock(&self, controller: usize, seconds: i32) {
        if let Some(clock) = self.site.lock().unwrap().clocks.get(controller) {
            clock.is_ahead_by(seconds);
        }
    }

    fn bring(&self, fault: Fault, controller: usize) {
        let needle = format!("chaos{controller}w");
        match fault {
            Fault::Unanswered | Fault::Cut => {
                let cut = if fault == Fault::Cut { Cut::Before } else { Cut::After };
                for proxy in &self.proxies[controller] {
                    proxy.cut_at(&needle, cut);
                }
            }
            Fault::Stopped => {
                self.daemon(controller).signal("STOP");
                pause(Duration::from_secs(2));
                self.daemon(controller).signal("CONT");
            }
            Fault::Killed => {
                self.daemon(controller).signal("KILL");
                let started = self.site.lock().unwrap().start(controller);
                *self.daemons[controller].write().unwrap() = Arc::new(started);
            }
            Fault::Away => {
                self.proxies[controller].iter().for_each(Proxy::close);
                pause(Duration::from_secs(2));
                self.proxies[controller].iter().for_each(Proxy::open);
            }
            Fault::Failover => {
                let Some(standby) = self.standby.lock().unwrap().take() else { return };
                let mut site = self.site.lock().unwrap();
                site.server.crash();
                standby.promote();
                site.server = standby;
            }
            Fault::Restart => {
                let mut site = self.site.lock().unwrap();
                site.server.crash();
                pause(Duration::from_millis(500));
                site.server.run(&[]);
            }
            Fault::Ahead => self.clock(controller, HOUR),
            Fault::Behind => self.clock(controller, -HOUR),
            Fault::Right => (0..CONTROLLERS).for_each(|number| self.clock(number, 0)),
            Fault::Full => {
                let mut site = self.site.lock().unwrap();
                site.server.fill_disk();
                pause(Duration::from_secs(2));
                site.server.free_disk();
            }
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

    fn check(&self) {
        let known = self.known.lock().unwrap();
        let all: Vec<Arc<Daemon>> = (0..CONTROLLERS).map(|number| self.daemon(number)).collect();
        // Who was logged in by a clock that was wrong is not by one that is right.
        for (number, daemon) in all.iter().enumerate() {
            self.clock(number, 0);
            assert_eq!(daemon.log_in(), Some(201));
        }
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
        let history = Self::history(&all[0]);
        let revisions: Vec<u64> = history.keys().copied().collect();
        let expected: Vec<u64> = (1..=u64::try_from(revisions.len()).unwrap()).collect();
        assert_eq!(revisions, expected, "the history has no gap");
        for daemon in &all {
            assert_eq!(Self::history(daemon), history, "all have one history");
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
        let longest = self.last.lock().unwrap().1.as_millis();
        println!(
            "{acknowledged} changes acknowledged, {unsure} of which nobody was told, 0 lost, 0 twice; longest without one: {longest} ms"
        );
        assert!(acknowledged > 50, "{acknowledged}");
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_or_doubled_whatever_fails() {
    let Some(chaos) = Chaos::start() else { return };
    let faults = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
    let faults: usize = faults.unwrap_or(FAULTS);
    std::thread::scope(|scope| {
        let _over = Over(&chaos.is_over);
        for controller in 0..CONTROLLERS {
            for writer in 0..WRITERS {
                let chaos = &chaos;
                scope.spawn(move || chaos.write(controller, writer));
            }
        }
        chaos.until_all_make();
        for number in 0..faults {
            let (fault, controller) = (KINDS[number % FAULTS], number % CONTROLLERS);
            let begun = Instant::now();
            chaos.bring(fault, controller);
            pause(BETWEEN);
            chaos.until_all_make();
            let took = begun.elapsed().as_millis();
            println!(
                "{number}: {fault:?} at controller {controller}; all make changes again after {took} ms"
            );
        }
    });
    chaos.check();
}
