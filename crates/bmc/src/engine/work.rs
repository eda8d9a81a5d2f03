//! One target's way through an action: speak to the BMC, and look whether it did it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::memory::{Change, Talk};
use super::{Limits, Shared};
use crate::connection::Connection;
use crate::{Action, Error, PowerState, Reply, Target};

/// Reading a list may take this many times as long as another action: an event log can have hundreds of entries.
const LISTS: u32 = 6;

pub(super) struct Work {
    pub(super) number: usize,
    pub(super) target: Arc<Target>,
    pub(super) began: Option<Instant>,
    pub(super) tries: u32,
    stage: Stage,
    change: Option<Change>,
    /// The power before the first try of a power on. What a later try finds may be what the first one did.
    pub(super) before: Option<PowerState>,
}

enum Stage {
    Act,
    /// The BMC has accepted the action; its power is looked at until it has changed.
    Look {
        accepted: Instant,
        seen: Option<PowerState>,
        connection: Option<Connection>,
    },
}

/// What is next for some work.
pub(super) enum Step {
    Finished(Box<Work>, Result<Done, Error>, Option<(Connection, Talk)>),
    /// Goes on later.
    Resume(Box<Work>, Instant),
    /// Begins anew later.
    Retry(Box<Work>, Instant),
    Closed,
}

pub(super) struct Done {
    pub(super) reply: Reply,
    pub(super) power: Option<PowerState>,
    pub(super) before: Option<PowerState>,
}

impl Work {
    pub(super) fn new(number: usize, target: Target) -> Self {
        let target = Arc::new(target);
        Self {
            number,
            target,
            began: None,
            tries: 0,
            stage: Stage::Act,
            change: None,
            before: None,
        }
    }

    /// Whether the BMC has accepted the action already.
    pub(super) fn is_accepted(&self) -> bool {
        matches!(self.stage, Stage::Look { .. })
    }

    pub(super) async fn step(
        mut self: Box<Self>,
        shared: Arc<Shared>,
        action: Action,
        limits: Arc<Limits>,
    ) -> Step {
        let now = Instant::now();
        let began = *self.began.get_or_insert(now);
        let tries = match self.admit(&shared, action, &limits, now) {
            Ok(tries) => tries,
            Err(error) => return Step::Finished(self, Err(error), None),
        };
        let talk = match shared.memory.talk(self.target.key(), now) {
            Ok(talk) => talk,
            Err(at) => return Step::Resume(self, at),
        };
        tracing::trace!(node = %self.target.name, %action, waited = ?began.elapsed(), "speaking to the BMC");
        if let Stage::Look { .. } = self.stage {
            return self.look(&shared, action, &limits, talk).await;
        }
        self.tries += 1;
        match self.act(&shared, action, &limits).await {
            Err(error) if error.is_passing() && self.tries < tries => {
                tracing::debug!(node = %self.target.name, %error, "to be tried again");
                let pause = limits.pause_after(self.tries, crate::random::number());
                Step::Retry(self, Instant::now() + pause)
            }
            Err(error) => {
                // Once for each request, not for each try: a hold counts requests that failed.
                shared.memory.note_failure(&self.target, &error, Instant::now());
                Step::Finished(self, Err(error), None)
            }
            Ok((connection, reply)) => {
                shared.memory.note_success(&self.target);
                self.after(action, &limits, (connection, talk), reply).await
            }
        }
    }

    /// Whether it may be done at all, and how often it may be tried.
    fn admit(
        &mut self,
        shared: &Shared,
        action: Action,
        limits: &Limits,
        now: Instant,
    ) -> Result<u32, Error> {
        // Kept over all tries and looks: nobody else changes the machine between two of them.
        if action.is_change() && self.change.is_none() {
            self.change = Some(shared.memory.change(self.target.key(), action)?);
        }
        // Who has begun goes on, whatever another request has found out meanwhile.
        if limits.insist || self.tries > 0 {
            return Ok(limits.tries);
        }
        shared.memory.admit(&self.target, now, limits.tries)
    }

    async fn act(
        &mut self,
        shared: &Shared,
        action: Action,
        limits: &Limits,
    ) -> Result<(Connection, Reply), Error> {
        let conversation = async {
            let mut connection = shared.connect(&self.target).await?;
            if action == Action::PowerOn && self.before.is_none() {
                self.before = power_of(&mut connection).await?;
            }
            let reply = connection.perform(action).await?;
            Ok((connection, reply))
        };
        let time = if action.reads_much() { limits.attempt * LISTS } else { limits.attempt };
        let Ok(result) = tokio::time::timeout(time, conversation).await else {
            let address = self.target.ipmi_address();
            // The BMC may have done it: what must not be done twice is not tried again.
            return Err(if action.must_not_repeat() {
                Error::Unconfirmed { action, address }
            } else {
                Error::TimedOut { address, tries: 1, waited: time, has_answered: true }
            });
        };
        result
    }

    /// The action was accepted: that is all, or its effect has to be seen.
    async fn after(
        mut self: Box<Self>,
        action: Action,
        limits: &Limits,
        open: (Connection, Talk),
        reply: Reply,
    ) -> Step {
        let Some((verification, wanted)) = limits.verification.zip(action.leads_to()) else {
            let power = match reply {
                Reply::Power(state) => Some(state),
                _ => None,
            };
            let done = Done { reply, power, before: self.before };
            return Step::Finished(self, Ok(done), Some(open));
        };
        let (mut connection, talk) = open;
        let accepted = Instant::now();
        // Between off and on again a machine that is cycled rests for some seconds: before, "on" says nothing.
        if action == Action::PowerCycle {
            self.stage = Stage::Look { accepted, seen: None, connection: Some(connection) };
            return Step::Resume(self, accepted + verification.every * 3);
        }
        let look =
            tokio::time::timeout(limits.attempt, connection.perform(Action::PowerStatus)).await;
        let seen = match look {
            Ok(Ok(Reply::Power(state))) => Some(state),
            _ => None,
        };
        if seen == Some(wanted) {
            let done = Done { reply: Reply::Done, power: seen, before: self.before };
            return Step::Finished(self, Ok(done), Some((connection, talk)));
        }
        self.stage = Stage::Look { accepted, seen, connection: Some(connection) };
        Step::Resume(self, accepted + verification.every)
    }

    async fn look(
        mut self: Box<Self>,
        shared: &Shared,
        action: Action,
        limits: &Limits,
        talk: Talk,
    ) -> Step {
        let Stage::Look { accepted, seen, connection } = &mut self.stage else {
            return Step::Retry(self, Instant::now());
        };
        let Verification { within, every, wanted } = verification(limits, action);
        let taken = connection.take();
        let look = async {
            let mut connection = match taken {
                Some(connection) => connection,
                None => shared.connect(&self.target).await?,
            };
            let reply = connection.perform(Action::PowerStatus).await?;
            Ok::<_, Error>((connection, reply))
        };
        let looked = tokio::time::timeout(limits.attempt, look).await;
        if let Ok(Ok((open, Reply::Power(state)))) = looked {
            if Some(state) == wanted {
                let done = Done { reply: Reply::Done, power: Some(state), before: self.before };
                return Step::Finished(self, Ok(done), Some((open, talk)));
            }
            *seen = Some(state);
            *connection = Some(open);
        }
        // A look that failed shows nothing about the power; the next one connects anew.
        let waited = accepted.elapsed();
        if waited < within {
            return Step::Resume(self, Instant::now() + every);
        }
        let (seen, last) = (*seen, connection.take());
        let address = self.target.ipmi_address();
        let error = match seen {
            Some(seen) => Error::NotChanged { action, seen, waited },
            None => Error::Unconfirmed { action, address },
        };
        Step::Finished(self, Err(error), last.map(|connection| (connection, talk)))
    }
}

/// The power at present, where the BMC tells it.
async fn power_of(connection: &mut Connection) -> Result<Option<PowerState>, Error> {
    match connection.perform(Action::PowerStatus).await {
        Ok(Reply::Power(state)) => Ok(Some(state)),
        Err(error) if error.is_passing() => Err(error),
        Ok(_) | Err(_) => Ok(None),
    }
}

struct Verification {
    within: Duration,
    every: Duration,
    wanted: Option<PowerState>,
}

fn verification(limits: &Limits, action: Action) -> Verification {
    let super::Verification { within, every } = limits.verification.unwrap_or_default();
    Verification { within, every, wanted: action.leads_to() }
}
