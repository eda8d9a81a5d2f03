//! Three controllers, a database with a synchronous standby, and everything that can go wrong between them while changes are made at all.
//! `cargo xtask chaos` does the same for longer.

use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use perilune_testkit::{Cut, Postgres, Proxy, WallClock};
use serde_json::json;

use crate::changes::Changes;
use crate::controllers::{Site, is_master, pause, wait};
use crate::kill::Daemon;
use crate::masters::Masters;

const CONTROLLERS: usize = 3;
/// As many faults as a short run has: one of each kind.
const FAULTS: usize = 12;
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
    /// The master stands still until another is it, and goes on.
    Deposed,
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
    Fault::Deposed,
    Fault::Killed,
    Fault::Away,
    Fault::Full,
    Fault::Failover,
    Fault::Right,
    Fault::Cut,
    Fault::Restart,
];

struct Chaos {
    /// With the server that takes changes.
    site: Mutex<Site>,
    standby: Mutex<Option<Postgres>>,
    /// The ways of each controller to both servers.
    proxies: Vec<[Proxy; 2]>,
    daemons: Vec<RwLock<Arc<Daemon>>>,
    changes: Changes,
    masters: Masters,
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
        let masters = Masters::note(&site);
        site.clocks = (0..CONTROLLERS).filter_map(|_| WallClock::new()).collect();
        let daemons = (0..CONTROLLERS).map(|number| RwLock::new(Arc::new(site.start(number))));
        let daemons = daemons.collect();
        Some(Self {
            site: Mutex::new(site),
            standby: Mutex::new(Some(standby)),
            proxies,
            daemons,
            changes: Changes::at(CONTROLLERS),
            masters,
        })
    }

    fn daemon(&self, number: usize) -> Arc<Daemon> {
        Arc::clone(&self.daemons[number].read().unwrap())
    }

    /// Changes what the master writes into the file of a server. Whether it is stored does not matter.
    fn change_a_network(&self, controller: usize, number: usize) {
        let end = format!("10.141.200.{}", 2 + number % 250);
        let range =
            json!({ "dhcp": true, "dhcp_range_begin": "10.141.200.1", "dhcp_range_end": end });
        self.daemon(controller).config("network", "cluster", &range);
    }

    /// Sets the clock of a controller, where there is one to set.
    fn clock(&self, controller: usize, seconds: i32) {
        if let Some(clock) = self.site.lock().unwrap().clocks.get(controller) {
            clock.is_ahead_by(seconds);
        }
    }

    fn bring(&self, fault: Fault, controller: usize) {
        let needle = Changes::prefix(controller);
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
            Fault::Deposed => {
                let master = || (0..CONTROLLERS).find(|number| is_master(&self.daemon(*number)));
                wait("there is no master", || master().is_some());
                let Some(former) = master() else { return };
                self.daemon(former).signal("STOP");
                let next = (former + 1) % CONTROLLERS;
                self.change_a_network(next, usize::from(u8::MAX));
                wait("nobody else becomes the master", || {
                    let mut others = (0..CONTROLLERS).filter(|number| *number != former);
                    others.any(|number| is_master(&self.daemon(number)))
                });
                self.daemon(former).signal("CONT");
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

    /// Brings so many faults, one after the other.
    fn fail(&self, faults: usize) {
        for number in 0..faults {
            let (fault, controller) = (KINDS[number % FAULTS], number % CONTROLLERS);
            let begun = Instant::now();
            self.bring(fault, controller);
            self.change_a_network(controller, number);
            pause(BETWEEN);
            self.changes.until_all_make();
            let took = begun.elapsed().as_millis();
            println!(
                "{number}: {fault:?} at controller {controller}; all make changes again after {took} ms"
            );
        }
    }

    fn check(&self) {
        let all: Vec<Arc<Daemon>> = (0..CONTROLLERS).map(|number| self.daemon(number)).collect();
        // Who was logged in by a clock that was wrong is not by one that is right.
        for (number, daemon) in all.iter().enumerate() {
            self.clock(number, 0);
            assert_eq!(daemon.log_in(), Some(201));
        }
        self.changes.check(&all);
        let site = self.site.lock().unwrap();
        self.masters.check(&site.server, site.database());
        println!("longest without a change: {} ms", self.changes.longest_pause().as_millis());
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_or_doubled_whatever_fails() {
    let Some(chaos) = Chaos::start() else { return };
    let faults = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
    let faults: usize = faults.unwrap_or(FAULTS);
    let daemon = |controller: usize| chaos.daemon(controller);
    chaos.masters.watch_while(&daemon, || {
        chaos.changes.make_while(&daemon, || chaos.fail(faults));
    });
    chaos.check();
}
