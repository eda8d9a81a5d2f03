//! What is remembered of each BMC from one request to the next: who is just speaking to it, how it was spoken to
//! successfully, and that it failed lately.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::ipmi::Remembered;
use crate::redfish::Fingerprint;
use crate::target::Key;
use crate::{Action, Credentials, Error, Target};

/// How long a BMC rests between two conversations: firmware that is asked without a pause forgets to answer.
const REST: Duration = Duration::from_millis(50);
/// How often somebody who waits for a conversation to end looks whether it has. Nobody is woken: the schedule of each run knows
/// times, not the conversations of other runs.
const TURN: Duration = Duration::from_millis(25);
/// After this many failed requests in a row, a BMC is left alone for a while.
const FAILURES: u32 = 3;
/// The first such pause. Each further failure doubles it, up to the longest.
const SHORTEST_HOLD: Duration = Duration::from_secs(30);
const LONGEST_HOLD: Duration = Duration::from_mins(5);
/// A password that was refused is not sent again before this: BMCs lock users out after a few.
const PASSWORD_HOLD: Duration = Duration::from_mins(5);
/// BMCs to remember, more than any site has. Beyond, those are forgotten that have no hold and no certificate, and that nobody
/// speaks to or changes.
const MOST: usize = 100_000;

#[derive(Default)]
pub(crate) struct Memory {
    bmcs: Mutex<BTreeMap<Key, Bmc>>,
}

#[derive(Default)]
struct Bmc {
    is_talking: bool,
    rests_until: Option<Instant>,
    changing: Option<Action>,
    failures: u32,
    hold: Option<Hold>,
    ipmi: Remembered,
    /// It refuses the password with each request, and takes it in a session.
    wants_session: bool,
    certificate: Option<Fingerprint>,
    /// For a BMC whose driver is found out.
    protocol: Option<Protocol>,
}

/// What a BMC turned out to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Ipmi,
    Redfish,
}

struct Hold {
    until: Instant,
    reason: String,
    /// The hold is for these only: another password may be tried at once.
    credentials: Option<[u8; 32]>,
}

/// While it lives, nobody else speaks to the BMC.
pub(crate) struct Talk {
    memory: Arc<Memory>,
    key: Key,
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.memory.with(self.key, |bmc| {
            bmc.is_talking = false;
            bmc.rests_until = Some(Instant::now() + REST);
        });
    }
}

/// While it lives, nobody else changes anything on the BMC.
pub(crate) struct Change {
    memory: Arc<Memory>,
    key: Key,
}

impl Drop for Change {
    fn drop(&mut self) {
        self.memory.with(self.key, |bmc| bmc.changing = None);
    }
}

impl Memory {
    /// `work` cannot await, so that the lock is never held while a BMC is waited for.
    fn with<T>(&self, key: Key, work: impl FnOnce(&mut Bmc) -> T) -> T {
        let mut bmcs = self.locked();
        if bmcs.len() >= MOST && !bmcs.contains_key(&key) {
            bmcs.retain(|_, bmc| {
                bmc.is_talking
                    || bmc.changing.is_some()
                    || bmc.hold.is_some()
                    || bmc.certificate.is_some()
            });
        }
        work(bmcs.entry(key).or_default())
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Key, Bmc>> {
        self.bmcs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to speak to a BMC; or when to ask for it again.
    pub(crate) fn talk(self: &Arc<Self>, key: Key, now: Instant) -> Result<Talk, Instant> {
        self.with(key, |bmc| {
            if bmc.is_talking {
                return Err(now + TURN);
            }
            if let Some(until) = bmc.rests_until.filter(|until| *until > now) {
                return Err(until);
            }
            bmc.is_talking = true;
            Ok(())
        })?;
        Ok(Talk { memory: Arc::clone(self), key })
    }

    /// The right to change something; or what somebody else is just changing.
    pub(crate) fn change(self: &Arc<Self>, key: Key, action: Action) -> Result<Change, Error> {
        self.with(key, |bmc| match bmc.changing {
            Some(other) => Err(Error::Busy { action: other }),
            None => {
                bmc.changing = Some(action);
                Ok(())
            }
        })?;
        Ok(Change { memory: Arc::clone(self), key })
    }

    /// Whether a BMC may be tried, and how often at most.
    pub(crate) fn admit(&self, target: &Target, now: Instant, tries: u32) -> Result<u32, Error> {
        self.with(target.key(), |bmc| {
            let concerns = |hold: &Hold| {
                hold.credentials.is_none_or(|held| held == fingerprint(&target.credentials))
            };
            if let Some(hold) = bmc.hold.as_ref().filter(|hold| hold.until > now && concerns(hold))
            {
                return Err(Error::Held {
                    reason: hold.reason.clone(),
                    remaining: hold.until - now,
                });
            }
            // After a hold, one try shows whether it is back.
            Ok(if bmc.failures >= FAILURES { 1 } else { tries.max(1) })
        })
    }

    pub(crate) fn note_success(&self, target: &Target) {
        self.with(target.key(), |bmc| {
            bmc.failures = 0;
            bmc.hold = None;
        });
    }

    pub(crate) fn note_failure(&self, target: &Target, error: &Error, now: Instant) {
        self.with(target.key(), |bmc| {
            if matches!(error, Error::WrongPassword { .. }) {
                let credentials = Some(fingerprint(&target.credentials));
                let until = now + PASSWORD_HOLD;
                bmc.hold = Some(Hold { until, reason: error.chain(), credentials });
            } else if error.is_of_a_dead_bmc() {
                bmc.failures = bmc.failures.saturating_add(1);
                bmc.protocol = None;
                let Some(beyond) = bmc.failures.checked_sub(FAILURES) else { return };
                let pause = SHORTEST_HOLD.saturating_mul(1 << beyond.min(8)).min(LONGEST_HOLD);
                bmc.hold =
                    Some(Hold { until: now + pause, reason: error.chain(), credentials: None });
            }
        });
    }

    pub(crate) fn ipmi(&self, target: &Target) -> Remembered {
        self.with(target.key(), |bmc| bmc.ipmi)
    }

    pub(crate) fn note_ipmi(&self, target: &Target, remembered: Remembered) {
        self.with(target.key(), |bmc| bmc.ipmi = remembered);
    }

    pub(crate) fn wants_session(&self, target: &Target) -> bool {
        self.with(target.key(), |bmc| bmc.wants_session)
    }

    pub(crate) fn note_wants_session(&self, target: &Target, wants: bool) {
        self.with(target.key(), |bmc| bmc.wants_session = wants);
    }

    pub(crate) fn protocol(&self, target: &Target) -> Option<Protocol> {
        self.with(target.key(), |bmc| bmc.protocol)
    }

    pub(crate) fn note_protocol(&self, target: &Target, protocol: Protocol) {
        self.with(target.key(), |bmc| bmc.protocol = Some(protocol));
    }

    pub(crate) fn certificate(&self, target: &Target) -> Option<Fingerprint> {
        self.with(target.key(), |bmc| bmc.certificate)
    }

    pub(crate) fn note_certificate(&self, target: &Target, certificate: Fingerprint) {
        self.with(target.key(), |bmc| bmc.certificate = Some(certificate));
    }

    pub(crate) fn forget(&self, target: &Target) {
        self.with(target.key(), |bmc| {
            let (is_talking, changing) = (bmc.is_talking, bmc.changing);
            *bmc = Bmc { is_talking, changing, ..Bmc::default() };
        });
    }
}

fn fingerprint(credentials: &Credentials) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(credentials.user.as_bytes());
    hash.update([0]);
    hash.update(credentials.password.as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn target(password: &str) -> Target {
        let credentials = Credentials { user: "admin".to_owned(), password: password.to_owned() };
        Target::new("node001", Ipv4Addr::LOCALHOST.into(), credentials)
    }

    fn dead() -> Error {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 623));
        Error::TimedOut { address, tries: 3, waited: SECOND, has_answered: false }
    }

    #[test]
    fn after_three_failures_a_bmc_is_left_alone_and_then_tried_once() {
        let (memory, now, target) = (Memory::default(), Instant::now(), target("secret"));
        for _ in 0..2 {
            memory.note_failure(&target, &dead(), now);
        }
        assert_eq!(memory.admit(&target, now, 5).unwrap(), 5);
        memory.note_failure(&target, &dead(), now);
        let error = memory.admit(&target, now + 29 * SECOND, 5).unwrap_err().to_string();
        assert!(
            error.starts_with("not tried for another 1 s, because lately: no answer from"),
            "{error}"
        );
        assert_eq!(memory.admit(&target, now + 31 * SECOND, 5).unwrap(), 1);
        memory.note_failure(&target, &dead(), now + 31 * SECOND);
        assert!(memory.admit(&target, now + 90 * SECOND, 5).is_err(), "the second hold is longer");
        memory.note_success(&target);
        assert_eq!(memory.admit(&target, now, 5).unwrap(), 5);
    }

    #[test]
    fn a_refused_password_is_not_sent_again_but_another_one_is() {
        let (memory, now) = (Memory::default(), Instant::now());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 623));
        let error = Error::WrongPassword { address, user: "admin".to_owned() };
        memory.note_failure(&target("wrong"), &error, now);
        assert!(matches!(memory.admit(&target("wrong"), now, 2), Err(Error::Held { .. })));
        assert!(memory.admit(&target("right"), now, 2).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_conversation_at_a_time_and_a_rest_between_two() {
        let (memory, key) = (Arc::new(Memory::default()), target("secret").key());
        let talk = memory.talk(key, Instant::now()).ok().unwrap();
        assert!(memory.talk(key, Instant::now()).is_err());
        drop(talk);
        let at = memory.talk(key, Instant::now()).err().unwrap();
        assert_eq!(at, Instant::now() + REST);
        assert!(memory.talk(key, at).is_ok());
    }

    #[test]
    fn who_changes_something_is_named_to_who_comes_second() {
        let (memory, key) = (Arc::new(Memory::default()), target("secret").key());
        let change = memory.change(key, Action::PowerOff).ok().unwrap();
        let error = memory.change(key, Action::PowerOn).err().unwrap().to_string();
        assert_eq!(
            error,
            "another request is just doing \"power off\" on this BMC; try again when it has ended"
        );
        drop(change);
        assert!(memory.change(key, Action::PowerOn).is_ok());
    }
}
