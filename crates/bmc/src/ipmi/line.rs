//! One question and its answer over a network that loses, repeats and reorders packets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Garbled;
use super::hub::{Hub, Mailbox};
use crate::Error;

const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How often and how long a BMC is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// How long the first answer may take, before the question is sent again. Each later wait is half as long again.
    pub first: Duration,
    /// How often a question is sent to a BMC that has not said anything yet.
    pub to_silent: u32,
    /// How often a question is sent to a BMC that lives.
    pub to_alive: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { first: Duration::from_millis(400), to_silent: 3, to_alive: 5 }
    }
}

pub(super) struct Line {
    pub(super) hub: Arc<Hub>,
    pub(super) peer: SocketAddr,
    pub(super) mailbox: Mailbox,
    pub(super) patience: Patience,
}

impl Line {
    pub(super) fn new(hub: &Arc<Hub>, peer: SocketAddr, patience: Patience) -> Self {
        Self { mailbox: hub.mailbox(peer), hub: Arc::clone(hub), peer, patience }
    }

    /// Sends what `question` makes for each try, until `accept` takes an answer. `accept` says None to what answers
    /// something else (an answer that came twice, or late), and `Garbled` to what answers nothing.
    pub(super) async fn ask<T>(
        &mut self,
        sends: u32,
        mut question: impl FnMut(u32) -> Vec<u8>,
        mut accept: impl FnMut(&[u8]) -> Result<Option<T>, Garbled>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let mut wait = self.patience.first.min(LONGEST_WAIT);
        let mut nonsense = None;
        for attempt in 0..sends {
            self.hub.send(self.peer, &question(attempt)).await?;
            let until = Instant::now() + wait;
            wait = wait.mul_f64(1.5).min(LONGEST_WAIT);
            while let Ok(Some(letter)) = tokio::time::timeout_at(until, self.mailbox.next()).await {
                match accept(&letter) {
                    Ok(Some(answer)) => return Ok(answer),
                    Ok(None) => {}
                    Err(garbled) => nonsense = Some(garbled),
                }
            }
        }
        let address = self.peer;
        Err(match nonsense {
            Some(Garbled(reason)) => Error::Garbled { address, reason },
            None => Error::TimedOut { address, tries: sends, waited: began.elapsed() },
        })
    }
}
