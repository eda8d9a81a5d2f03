//! Who was the master when, by the word of the database, and whether anybody else believed to be it, or did what the master alone does.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use perilune_testkit::Postgres;

use crate::changes::Over;
use crate::controllers::{Site, is_master, pause};
use crate::kill::Daemon;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(10);
/// Notes whatever is said of the master, in the transaction in which it is said.
const NOTE: &str = "
    CREATE TABLE reign (number bigserial, epoch bigint, holder text, said bigint, until bigint);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO reign (epoch, holder, said, until) VALUES (NEW.epoch, NEW.holder,
            extract(epoch FROM clock_timestamp()) * 1000, extract(epoch FROM NEW.until) * 1000);
        RETURN NEW;
    END $$;
    CREATE TRIGGER note AFTER UPDATE ON master FOR EACH ROW EXECUTE FUNCTION note();";
const NOTED: &str = "SELECT epoch, holder, said, until FROM reign ORDER BY number";

/// A controller said that it is the master, until a time unless it says so again: milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    epoch: u64,
    holder: String,
    at: u64,
    until: u64,
}

/// What is seen of all controllers.
pub(crate) struct Masters {
    /// The file that each of them writes as the master, and nobody else.
    files: Vec<PathBuf>,
    /// When which of them was written.
    written: Mutex<BTreeSet<(usize, u64)>>,
    /// Who said to be the master, between when that was asked and when it was answered.
    believed: Mutex<Vec<(usize, u64, u64)>>,
    is_over: AtomicBool,
}

impl Masters {
    /// Has each controller write a file for a server, as the master, and the database note who is it.
    pub(crate) fn note(site: &Site) -> Self {
        site.server.sql(site.database(), NOTE);
        let files = site.data.iter().map(|directory| directory.path().join("dhcpd.conf"));
        let files: Vec<PathBuf> = files.collect();
        for (directory, file) in site.data.iter().zip(&files) {
            let ini = directory.path().join("luna.ini");
            let text = std::fs::read_to_string(&ini).unwrap();
            let services = "[SERVICES]\nDHCP = dhcpd\nDNS =\nCOMMAND = /bin/true\n";
            let dhcp = format!("[DHCP]\nCONFIG_PATH = {}\n", file.display());
            std::fs::write(&ini, format!("{text}\n{services}{dhcp}")).unwrap();
        }
        let (written, believed) = (Mutex::default(), Mutex::default());
        Self { files, written, believed, is_over: AtomicBool::new(false) }
    }

    /// Looks at them for as long as this takes.
    pub(crate) fn watch_while(
        &self,
        daemon: &(impl Fn(usize) -> Arc<Daemon> + Sync),
        fail: impl FnOnce(),
    ) {
        std::thread::scope(|scope| {
            let _over = Over(&self.is_over);
            for controller in 0..self.files.len() {
                scope.spawn(move || self.ask(controller, daemon));
            }
            scope.spawn(|| self.look());
            fail();
        });
    }

    fn ask(&self, controller: usize, daemon: &impl Fn(usize) -> Arc<Daemon>) {
        while !self.is_over.load(Ordering::Relaxed) {
            let asked = now();
            if is_master(&daemon(controller)) {
                self.believed.lock().unwrap().push((controller, asked, now()));
            }
            pause(LOOK);
        }
    }

    fn look(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            for (controller, file) in self.files.iter().enumerate() {
                // What a file is renamed to is changed at that moment.
                let Ok(found) = file.metadata() else { continue };
                let seconds = u64::try_from(found.ctime()).unwrap() * 1000;
                let at = seconds + u64::try_from(found.ctime_nsec()).unwrap() / 1_000_000;
                self.written.lock().unwrap().insert((controller, at));
            }
            pause(LOOK);
        }
    }

    /// No two were the master under one epoch, nobody believed to be it who was not, and nobody wrote who was it no longer.
    pub(crate) fn check(&self, server: &Postgres, database: &str) {
        let said = read(&server.sql(database, NOTED));
        let (written, believed) = (self.written.lock().unwrap(), self.believed.lock().unwrap());
        if let Some(wrong) = wrong(&said, &written, &believed) {
            panic!("{wrong}");
        }
        let epochs: BTreeSet<u64> = said.iter().map(|one| one.epoch).collect();
        println!(
            "{} reigns under an epoch of their own; {} files written and {} times said to be the master, by nobody else",
            epochs.len(),
            written.len(),
            believed.len()
        );
        assert!(epochs.len() > 1 && !written.is_empty() && !believed.is_empty());
    }
}

/// What is wrong with what was seen: what the database was told, when who wrote, and who believed to be the master from when to when.
fn wrong(
    said: &[Said],
    written: &BTreeSet<(usize, u64)>,
    believed: &[(usize, u64, u64)],
) -> Option<String> {
    let mut holders: BTreeMap<u64, &str> = BTreeMap::new();
    for one in said {
        let holder = holders.entry(one.epoch).or_insert(&one.holder);
        if *holder != one.holder {
            return Some(format!("two were the master under epoch {}", one.epoch));
        }
    }
    if !said.is_sorted_by_key(|one| one.epoch) {
        return Some(format!("an epoch came again: {said:?}"));
    }
    let name = |controller: usize| format!("controller{controller}");
    for (controller, at) in written {
        let master = said.iter().rfind(|one| one.at <= *at);
        if master.is_none_or(|one| one.holder != name(*controller) || one.until < *at) {
            return Some(format!(
                "controller{controller} wrote at {at}; the last that was said is {master:?}"
            ));
        }
    }
    for (controller, asked, answered) in believed {
        let was = said.iter().enumerate().any(|(number, one)| {
            let others = said[number..].iter().find(|next| next.epoch != one.epoch);
            let until = others.map_or(one.until, |next| next.at.min(one.until));
            one.holder == name(*controller) && one.at <= *answered && until >= *asked
        });
        if !was {
            return Some(format!(
                "controller{controller} said to be the master at {asked}: {said:?}"
            ));
        }
    }
    None
}

/// Two reigns, of ten seconds each: the second begins when the first is over.
fn two_reigns() -> Vec<Said> {
    let said = |epoch, controller, at| Said {
        epoch,
        holder: format!("controller{controller}"),
        at,
        until: at + 10_000,
    };
    vec![said(1, 0, 1_000), said(1, 0, 3_000), said(2, 1, 13_500), said(2, 1, 15_500)]
}

#[test]
fn what_masters_must_not_do_is_found_where_they_do_it() {
    let seen = |said: &[Said], written: &[(usize, u64)], believed: &[(usize, u64, u64)]| {
        wrong(said, &written.iter().copied().collect(), believed)
    };
    let good = two_reigns();
    let (written, believed) =
        ([(0, 12_900), (1, 13_600)], [(0, 1_000, 1_100), (1, 20_000, 20_001)]);
    assert_eq!(seen(&good, &written, &believed), None);
    let found = |said: &[Said], written, believed, expected: &str| {
        let wrong = seen(said, written, believed).unwrap_or_default();
        assert!(wrong.contains(expected), "{expected}: {wrong}");
    };
    // Two under one epoch, as after a failover that took back who was given it.
    let mut two = good.clone();
    two[3].holder = "controller2".to_owned();
    found(&two, &[], &[], "two were the master under epoch 2");
    let mut again = good.clone();
    again.push(Said { at: 30_000, until: 40_000, ..good[0].clone() });
    found(&again, &[], &[], "an epoch came again");
    // Who was stopped writes when its time is over, when another is it, or without ever having been it.
    found(&good, &[(0, 13_400)], &[], "controller0 wrote at 13400");
    found(&good, &[(0, 13_600)], &[], "controller0 wrote at 13600");
    found(&good, &[(2, 2_000)], &[], "controller2 wrote at 2000");
    found(&good, &[(0, 900)], &[], "controller0 wrote at 900");
    found(&good, &[(1, 25_600)], &[], "controller1 wrote at 25600");
    // The same for who only believes it; how long the question took counts for it.
    found(&good, &[], &[(0, 13_501, 13_600)], "controller0 said to be the master at 13501");
    found(&good, &[], &[(1, 12_000, 13_499)], "controller1 said to be the master at 12000");
    found(&good, &[], &[(2, 2_000, 2_100)], "controller2 said to be the master at 2000");
    assert_eq!(seen(&good, &[], &[(1, 12_000, 13_500)]), None);
}

fn read(text: &str) -> Vec<Said> {
    let line = |line: &str| {
        let mut fields = line.split('|');
        let mut next = || fields.next().unwrap();
        let (epoch, holder) = (next().parse().unwrap(), next().to_owned());
        Said { epoch, holder, at: next().parse().unwrap(), until: next().parse().unwrap() }
    };
    text.lines().map(line).collect()
}

#[expect(clippy::disallowed_methods, reason = "the database's clock is this machine's")]
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
