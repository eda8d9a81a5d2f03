//! The one task that writes files and has servers act, one thing after the other.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use perilune_boot::Templates;
use perilune_model::Cluster;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::dhcp::{self, Written};
use super::queue::Asked;
use super::{Action, Kind, Servers, bind, command};
use crate::clock;
use crate::config::ServerSettings;
use crate::state::State;

/// A change is written when there was no other for so long.
const QUIET: Duration = Duration::from_millis(500);
/// At the latest so long after the first, however many follow.
const LATEST: Duration = Duration::from_secs(5);
/// The addresses of this host, which are in files as well, are looked at so often: followers of the cluster are not told of them.
const LOOK: Duration = Duration::from_secs(5);
/// What failed is tried again after so long: a disk has room again, a server is back.
const AGAIN: Duration = Duration::from_mins(1);

/// Follows the cluster, and what is asked for.
pub(super) struct Worker {
    state: State,
    servers: Servers,
    settings: Arc<ServerSettings>,
    templates: Arc<Templates>,
    cluster: watch::Receiver<Arc<Cluster>>,
    /// When to write, and when at the latest.
    due: Option<(Instant, Instant)>,
    /// The addresses of this host that the files have.
    own: Vec<IpAddr>,
    /// Servers whose files are there, and that have not read them yet.
    unread: Vec<Kind>,
}

impl Worker {
    pub(super) fn new(
        state: State,
        settings: Arc<ServerSettings>,
        templates: Arc<Templates>,
    ) -> Self {
        let cluster = state.cluster.subscribe();
        let servers = state.servers.clone();
        let now = Instant::now();
        let due = Some((now, now));
        let own = Vec::new();
        Self { state, servers, settings, templates, cluster, due, own, unread: Vec::new() }
    }

    /// Runs until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let due = self.due.map(|(due, latest)| due.min(latest));
            let wait = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.cluster.changed() => match changed {
                    Ok(()) => self.note_change(),
                    Err(_) => return,
                },
                () = self.servers.asked() => {}
                () = sleep(LOOK) => self.look(),
                () = wait => self.write_all(&stop).await,
            }
            while let Some(asked) = self.servers.next() {
                if stop.is_cancelled() {
                    return;
                }
                self.perform(asked).await;
            }
        }
    }

    fn look(&mut self) {
        let now = self.own_addresses();
        if now != self.own {
            self.note_change();
        }
    }

    fn own_addresses(&self) -> Vec<IpAddr> {
        self.state.cluster.published().own_addresses().keys().copied().collect()
    }

    fn note_change(&mut self) {
        let now = Instant::now();
        let latest = self.due.map_or(now + LATEST, |(_, latest)| latest);
        self.due = Some((now + QUIET, latest));
    }

    /// Writes all files, and has those servers read them that must.
    async fn write_all(&mut self, stop: &CancellationToken) {
        self.due = None;
        self.own = self.own_addresses();
        for kind in Kind::ALL {
            if self.settings.unit(kind).is_none() || stop.is_cancelled() {
                continue;
            }
            let outcome = self.follow(kind).await;
            let is_failed = outcome.is_err();
            let failure = outcome.err().map(|reason| self.told(kind, &reason));
            if self.servers.note(kind, failure.clone())
                && let Some(failure) = failure
            {
                tracing::warn!("{failure}");
            }
            if is_failed {
                let again = Instant::now() + AGAIN;
                self.due = self.due.or(Some((again, again)));
            }
        }
    }

    /// What is said of a server that does not follow.
    fn told(&self, kind: Kind, reason: &str) -> String {
        let unit = self.settings.unit(kind).unwrap_or_default();
        let reason = reason.trim_end_matches('.');
        format!(
            "{unit} does not know the cluster as it is, and goes on as before: {reason}. It is tried again after each change, and every {} s",
            AGAIN.as_secs()
        )
    }

    async fn follow(&mut self, kind: Kind) -> Result<(), String> {
        match self.write(kind).await? {
            Written::Nothing => {}
            Written::Taken => self.unread.retain(|unread| *unread != kind),
            Written::File if self.unread.contains(&kind) => {}
            Written::File => self.unread.push(kind),
        }
        if !self.unread.contains(&kind) {
            return Ok(());
        }
        // BIND reads its files anew; dhcpd cannot.
        let action = if kind == Kind::Dns { Action::Reload } else { Action::Restart };
        self.command(kind, action).await?;
        self.unread.retain(|unread| *unread != kind);
        tracing::info!(
            server = self.settings.unit(kind).unwrap_or_default(),
            "follows the cluster"
        );
        Ok(())
    }

    async fn command(&self, kind: Kind, action: Action) -> Result<(), String> {
        let outcome = command::act(&self.settings, kind, action).await;
        self.servers.forget(kind).await;
        outcome
    }

    async fn write(&self, kind: Kind) -> Result<Written, String> {
        let (state, keys, templates) = (&self.state, &self.settings.keys, &self.templates);
        match kind {
            Kind::Dhcp | Kind::Dhcp6 => {
                let server = match kind {
                    Kind::Dhcp => &self.settings.dhcp,
                    _ => &self.settings.dhcp6,
                };
                let Some(server) = server else { return Ok(Written::Nothing) };
                dhcp::write(state, server, keys, templates).await
            }
            Kind::Dns => {
                let Some(server) = &self.settings.dns else { return Ok(Written::Nothing) };
                let is_new = bind::write(state, server, keys, templates).await?;
                Ok(if is_new { Written::File } else { Written::Nothing })
            }
        }
    }

    /// Does what was asked for: files are written before, and where they cannot be, nothing is done.
    async fn perform(&mut self, asked: Asked) {
        let Asked { kind, action, words, user, request } = asked;
        let jobs = self.state.jobs.clone();
        jobs.tell_more(clock::milliseconds(), &user, &request, &words);
        let outcome = self.act(kind, action).await;
        let now = clock::milliseconds();
        let failure = outcome.err().map(|reason| format!("{words}: {reason}"));
        if failure.is_none() {
            jobs.tell_more(now, &user, &request, &format!("finished {words}"));
        }
        jobs.end_telling(now, &user, &request, failure.as_deref());
    }

    async fn act(&mut self, kind: Kind, action: Action) -> Result<(), String> {
        if action != Action::OnlyStart {
            let family = [Kind::Dhcp, Kind::Dhcp6];
            let written: &[Kind] = if kind == Kind::Dns { &[Kind::Dns] } else { &family };
            for own in written {
                let is_new = self.write(*own).await? == Written::File;
                if is_new && !self.unread.contains(own) {
                    self.unread.push(*own);
                }
            }
        }
        self.command(kind, action).await?;
        if action != Action::Stop {
            self.unread.retain(|unread| *unread != kind);
            self.servers.note(kind, None);
        }
        // What was written for another server on the way is for that one to read.
        if !self.unread.is_empty() {
            self.note_change();
        }
        Ok(())
    }
}
