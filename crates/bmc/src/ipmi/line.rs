//! One question and its answer over a network that loses, repeats and reorders packets, and with BMCs that take seconds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::garbled::Garbled;
use super::hub::{Hub, Mailbox};
use crate::Error;

const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// A BMC that took so long for an answer is given half as long again for the next one.
const MARGIN: f64 = 1.5;

/// How often and how long a BMC is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// How long the first answer may take, before the question is sent again. Each later wait is twice as long.
    pub first: Duration,
    /// How long an answer is waited for at least after the question was sent for the last time.
    pub last: Duration,
    /// How often a question is sent to a BMC that has not said anything yet.
    pub to_silent: u32,
    /// How often a question is sent to a BMC that lives.
    pub to_alive: u32,
}

impl Default for Patience {
    /// As patient as `ipmitool -N 5`. A question is not repeated often: a slow BMC makes half a session of each opening,
    /// and has only a few.
    fn default() -> Self {
        let (first, last) = (Duration::from_secs(1), Duration::from_secs(5));
        Self { first, last, to_silent: 3, to_alive: 3 }
    }
}

/// What a packet is, for a question that may have been sent several times.
pub(super) enum Heard<T> {
    /// An answer to something else, that came twice or late.
    Nothing,
    /// An answer that counts when none comes that is better.
    Perhaps(T),
    Answer(T),
}

pub(super) struct Line {
    pub(super) hub: Arc<Hub>,
    pub(super) peer: SocketAddr,
    pub(super) mailbox: Mailbox,
    pub(super) patience: Patience,
    /// The longest that an answer has taken: a question is not sent again before.
    pub(super) slowest: Duration,
    /// Of the next message: every message before the session has a tag of its own, which its answer repeats.
    next_tag: u8,
}

/// The tags of one question, in the order in which it is sent.
#[derive(Clone, Copy)]
pub(super) struct Tags {
    first: u8,
    count: u8,
}

impl Tags {
    pub(super) fn of(self, attempt: u32) -> u8 {
        self.first.wrapping_add(u8::try_from(attempt).unwrap_or_default())
    }

    /// Which sending of the question has this tag.
    pub(super) fn attempt(self, tag: u8) -> Option<u32> {
        let attempt = tag.wrapping_sub(self.first);
        (attempt < self.count).then_some(u32::from(attempt))
    }
}

impl Line {
    pub(super) fn new(
        hub: &Arc<Hub>,
        peer: SocketAddr,
        patience: Patience,
        slowest: Duration,
    ) -> Self {
        let [next_tag] = crate::random::bytes();
        let mailbox = hub.mailbox(peer);
        Self { mailbox, hub: Arc::clone(hub), peer, patience, slowest, next_tag }
    }

    /// Under another number: what answers to the former one is not heard any more.
    pub(super) fn begin_anew(&mut self) {
        self.mailbox = self.hub.mailbox(self.peer);
    }

    pub(super) fn tags(&mut self, sends: u32) -> Tags {
        let tags = Tags { first: self.next_tag, count: u8::try_from(sends).unwrap_or(u8::MAX) };
        self.next_tag = tags.first.wrapping_add(tags.count);
        tags
    }

    /// Sends what `question` makes for each try, until `accept` takes an answer. `accept` is told how often the question
    /// was sent again so far, and says `Garbled` to what answers nothing.
    pub(super) async fn ask<T>(
        &mut self,
        sends: u32,
        mut question: impl FnMut(u32) -> Vec<u8>,
        mut accept: impl FnMut(&[u8], u32) -> Result<Heard<T>, Garbled>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let usual = self.slowest.mul_f64(MARGIN).min(LONGEST_WAIT);
        let mut wait = self.patience.first.max(usual).min(LONGEST_WAIT);
        let last = self.patience.last.max(usual).min(LONGEST_WAIT);
        let mut nonsense = None;
        for attempt in 0..sends {
            self.hub.send(self.peer, &question(attempt)).await?;
            let sent = Instant::now();
            let mut until = sent + if attempt + 1 == sends { wait.max(last) } else { wait };
            wait = (wait * 2).min(LONGEST_WAIT);
            let mut candidate = None;
            while let Ok(Some(letter)) = tokio::time::timeout_at(until, self.mailbox.next()).await {
                match accept(&letter, attempt) {
                    Ok(Heard::Answer(answer)) => {
                        self.slowest = self.slowest.max(began.elapsed());
                        return Ok(answer);
                    }
                    // Asked once more, the BMC would only be confused: what is on its way is waited for.
                    Ok(Heard::Perhaps(answer)) => {
                        candidate = Some(answer);
                        until = until.max(sent + last);
                    }
                    Ok(Heard::Nothing) => {}
                    Err(garbled) => nonsense = Some(garbled),
                }
            }
            if let Some(answer) = candidate {
                self.slowest = self.slowest.max(began.elapsed());
                return Ok(answer);
            }
        }
        let address = self.peer;
        Err(match nonsense {
            Some(Garbled(reason)) => Error::Garbled { address, reason },
            None => {
                let waited = began.elapsed();
                Error::TimedOut { address, tries: sends, waited, has_answered: true }
            }
        })
    }
}
