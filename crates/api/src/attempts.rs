//! Failed log-ins: how many there may be, so that no password is found by trying. Each failure counts against the user at that address,
//! against the address, and against the user wherever it comes from. Whoever has logged in before from where they are is held up only
//! by failures under their own name at that same address.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use perilune_daemon::rate::Wait;
use perilune_daemon::rate::{Debts, ENTRIES, Rate, forget_least, milliseconds, network};

/// Failures of one user at one address. Whoever mistypes has some tries; whoever guesses has two a minute.
const OF_USER_AT_ADDRESS: Rate = Rate { burst: 5, refill: Duration::from_secs(30) };
/// Failures of one address under all names. Many people may be behind one address.
const OF_ADDRESS: Rate = Rate { burst: 30, refill: Duration::from_secs(5) };
/// Failures of one user from all addresses. No single address can use this up: it is for guessing by many machines.
const OF_USER: Rate = Rate { burst: 200, refill: Duration::from_secs(1) };

/// For this long, one wrong password counts once, however often it is given: a program with an old password locks nobody out. It is as
/// long as one failure of a user at an address counts, so that such a program adds no more failures than expire.
const SAME: Duration = OF_USER_AT_ADDRESS.refill;

/// Characters of a name that are kept, more than any user's name has: a client cannot fill the memory with long names.
const LONGEST_NAME: usize = 256;

/// The failures that count at present.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    users_at_addresses: Debts<(IpAddr, String)>,
    addresses: Debts<IpAddr>,
    users: Debts<String>,
    /// Who has logged in from where, and when last.
    known: BTreeMap<(IpAddr, String), u64>,
    /// Wrong passwords, by what this process alone makes of them, and until when each need not be looked at again.
    wrong: BTreeMap<(IpAddr, String, u64), u64>,
    digest: RandomState,
}

impl Attempts {
    /// Whether somebody at this address may try to log in as this user. `now` is in steady milliseconds, here and below:
    /// a clock that is set to another time locks nobody out.
    pub(crate) fn check(&self, from: IpAddr, user: &str, now: u64) -> Result<(), Wait> {
        let tables = self.lock();
        let (address, name) = (network(from), shortened(user));
        let key = (address, name.clone());
        tables.users_at_addresses.check(&key, OF_USER_AT_ADDRESS, now)?;
        // Failures elsewhere, and under other names, cannot lock out a user who has logged in from here.
        if tables.known.contains_key(&key) {
            return Ok(());
        }
        tables.addresses.check(&address, OF_ADDRESS, now)?;
        tables.users.check(&name, OF_USER, now)
    }

    /// Notes that a password was wrong.
    pub(crate) fn failed(&self, from: IpAddr, user: &str, now: u64) {
        let mut tables = self.lock();
        let (address, name) = (network(from), shortened(user));
        tables.users_at_addresses.add((address, name.clone()), OF_USER_AT_ADDRESS, now);
        tables.addresses.add(address, OF_ADDRESS, now);
        tables.users.add(name, OF_USER, now);
    }

    /// Whether this very password was found wrong a moment ago. Whoever repeats it learns nothing and costs nothing.
    pub(crate) fn is_repeated(&self, from: IpAddr, user: &str, password: &str, now: u64) -> bool {
        let tables = self.lock();
        let key = (network(from), shortened(user), tables.digest.hash_one(password));
        // Not longer than agreed, even after the clock was set back.
        let until = tables.wrong.get(&key).copied().unwrap_or_default();
        (1..=milliseconds(SAME)).contains(&until.saturating_sub(now))
    }

    /// Notes which password was wrong.
    pub(crate) fn remember(&self, from: IpAddr, user: &str, password: &str, now: u64) {
        let mut tables = self.lock();
        let key = (network(from), shortened(user), tables.digest.hash_one(password));
        if !tables.wrong.contains_key(&key) && tables.wrong.len() >= ENTRIES {
            forget_least(&mut tables.wrong);
        }
        tables.wrong.insert(key, now + milliseconds(SAME));
    }

    /// Notes that a password was right.
    pub(crate) fn succeeded(&self, from: IpAddr, user: &str, now: u64) {
        let mut tables = self.lock();
        let key = (network(from), shortened(user));
        tables.users_at_addresses.full_at.remove(&key);
        if !tables.known.contains_key(&key) && tables.known.len() >= ENTRIES {
            forget_least(&mut tables.known);
        }
        tables.known.insert(key, now);
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        // What a panicking holder left is still a table of failures.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shortened(user: &str) -> String {
    user.chars().take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
    const NOW: u64 = 1_000_000_000;

    fn may(attempts: &Attempts, from: IpAddr, user: &str, now: u64) -> bool {
        attempts.check(from, user, now).is_ok()
    }

    /// How many of so many tries, one each second, are let through when all are wrong.
    fn guesses(attempts: &Attempts, from: IpAddr, user: &str, seconds: u64) -> u64 {
        let tried = (0..seconds).filter(|second| {
            let now = NOW + second * 1000;
            let may = may(attempts, from, user, now);
            if may {
                attempts.failed(from, user, now);
            }
            may
        });
        tried.count() as u64
    }

    #[test]
    fn whoever_guesses_one_password_has_five_tries_and_then_two_a_minute() {
        let attempts = Attempts::default();
        assert_eq!(guesses(&attempts, HERE, "ann", 3600), 5 + 3600 / 30 - 1);
    }

    #[test]
    fn the_wait_is_told_and_is_as_long_as_told() {
        let attempts = Attempts::default();
        for _ in 0..5 {
            assert!(may(&attempts, HERE, "ann", NOW));
            attempts.failed(HERE, "ann", NOW);
        }
        let wait = attempts.check(HERE, "ann", NOW).unwrap_err();
        assert_eq!(wait.seconds(), 30);
        assert!(!may(&attempts, HERE, "ann", NOW + 29_999));
        assert!(may(&attempts, HERE, "ann", NOW + 30_000));
    }

    #[test]
    fn neither_others_at_that_address_nor_the_user_elsewhere_are_held_up() {
        let attempts = Attempts::default();
        guesses(&attempts, HERE, "ann", 60);
        let later = NOW + 59_000;
        assert!(!may(&attempts, HERE, "ann", later));
        assert!(may(&attempts, HERE, "bob", later));
        assert!(may(&attempts, THERE, "ann", later));
    }

    #[test]
    fn trying_many_names_from_one_address_is_slow_too_but_not_for_who_is_known_there() {
        let attempts = Attempts::default();
        attempts.succeeded(HERE, "bob", NOW);
        let names: Vec<String> = (0..1000).map(|number| format!("user{number}")).collect();
        let mut let_through = 0;
        for name in &names {
            if may(&attempts, HERE, name, NOW) {
                attempts.failed(HERE, name, NOW);
                let_through += 1;
            }
        }
        assert_eq!(let_through, 30);
        assert!(!may(&attempts, HERE, "carol", NOW));
        assert!(may(&attempts, HERE, "bob", NOW));
        assert!(may(&attempts, THERE, "carol", NOW));
    }

    #[test]
    fn many_machines_that_guess_one_password_have_one_try_a_second_together() {
        let attempts = Attempts::default();
        attempts.succeeded(HERE, "ann", NOW);
        let mut let_through = 0;
        for number in 0..10_000_u32 {
            let from = IpAddr::from(0x0a00_0000_u32.wrapping_add(number).to_be_bytes());
            if may(&attempts, from, "ann", NOW) {
                attempts.failed(from, "ann", NOW);
                let_through += 1;
            }
        }
        assert_eq!(let_through, 200);
        assert!(may(&attempts, THERE, "ann", NOW + 1000));
        assert!(may(&attempts, HERE, "ann", NOW), "ann is known here");
    }

    #[test]
    fn the_right_password_is_a_new_beginning() {
        let attempts = Attempts::default();
        for _ in 0..100 {
            for _ in 0..4 {
                attempts.failed(HERE, "ann", NOW);
            }
            assert!(may(&attempts, HERE, "ann", NOW));
            attempts.succeeded(HERE, "ann", NOW);
        }
    }

    #[test]
    fn a_program_with_an_old_password_holds_nobody_up() {
        let attempts = Attempts::default();
        for second in 0..3600 {
            let now = NOW + second * 1000;
            assert!(may(&attempts, HERE, "ann", now), "after {second} s");
            if !attempts.is_repeated(HERE, "ann", "old", now) {
                attempts.failed(HERE, "ann", now);
                attempts.remember(HERE, "ann", "old", now);
            }
        }
        let now = NOW + 3_599_000;
        assert!(!attempts.is_repeated(HERE, "ann", "older", now));
        assert!(!attempts.is_repeated(HERE, "bob", "old", now));
        assert!(!attempts.is_repeated(THERE, "ann", "old", now));
        assert!(
            !attempts.is_repeated(HERE, "ann", "old", NOW - 86_400_000),
            "the clock was set back"
        );
    }

    #[test]
    fn addresses_of_one_network_of_ipv6_are_one() {
        let attempts = Attempts::default();
        for host in 1..=5 {
            let from: IpAddr = format!("2001:db8::{host}").parse().unwrap();
            attempts.failed(from, "ann", NOW);
        }
        assert!(!may(&attempts, "2001:db8::99".parse().unwrap(), "ann", NOW));
        assert!(may(&attempts, "2001:db8:0:1::99".parse().unwrap(), "ann", NOW));
        // One that carries an IPv4 address is that address.
        guesses(&attempts, "::ffff:192.0.2.1".parse().unwrap(), "ann", 60);
        assert!(!may(&attempts, HERE, "ann", NOW + 59_000));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_who_failed_most_is_forgotten_last() {
        let attempts = Attempts::default();
        for _ in 0..5 {
            attempts.failed(HERE, "ann", NOW);
        }
        // A few more than there is room for: each of those costs a look at all.
        for number in 0..u32::try_from(ENTRIES).unwrap() + 300 {
            let from = IpAddr::from(0x0a00_0000_u32.wrapping_add(number).to_be_bytes());
            let name = format!("{number}{}", "x".repeat(10_000));
            attempts.failed(from, &name, NOW);
            attempts.succeeded(from, &name, NOW + u64::from(number));
            attempts.failed(from, &name, NOW);
            attempts.remember(from, &name, "x", NOW + u64::from(number));
        }
        assert!(!may(&attempts, HERE, "ann", NOW));
        let tables = attempts.lock();
        assert_eq!(tables.users_at_addresses.full_at.len(), ENTRIES);
        assert_eq!(tables.addresses.full_at.len(), ENTRIES);
        assert_eq!(tables.users.full_at.len(), ENTRIES);
        assert_eq!(tables.known.len(), ENTRIES);
        assert_eq!(tables.wrong.len(), ENTRIES);
        assert!(tables.users.full_at.keys().all(|name| name.chars().count() <= LONGEST_NAME));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let attempts = Attempts::default();
        guesses(&attempts, HERE, "ann", 3600);
        let wait = attempts.check(HERE, "ann", NOW - 86_400_000).unwrap_err();
        assert_eq!(wait.seconds(), 30);
    }
}
