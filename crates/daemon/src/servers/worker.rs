//! The one task that writes files and has servers act, one thing after the other.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use perilune_boot::{Directories, Templates};
use perilune_model::Cluster;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::dhcp::{self, Written};
use super::fence::Fence;
use super::queue::{Action, Asked, Kind, Servers};
use super::{bind, command};
use crate::clock;
use crate::config::ServerSettings;
use crate::state::State;

/// A change is written when there was no other for so long.
const QUIET: Duration = Duration::from_millis(500);
/// At the latest so long after the first, however many follow.
const LATEST: Duration = Duration::from_secs(5);
/// The addresses of this host, which are in files as well, are looked at so often: followers of the cluster are not told of them.
const LOOK: Duration = Duration::from_secs(5);
/// The database, which did not say whether this controller may write, is asked again after so long.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// What failed is tried again after so long: a disk has room again, a server is back.
const AGAIN: Duration = Duration::from_mins(1);

/// Starts to write, where there is anything to write.
pub(crate) fn start(state: &State, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
    let settings: Arc<ServerSettings> = state.servers.settings();
    if settings.dhcp.is_none() && settings.dhcp6.is_none() && settings.dns.is_none() {
        return;
    }
    let directories =
        Directories { templates: state.settings.template_files.clone(), plugins: None };
    let templates = Arc::new(perilune_render::templates(directories));
    tasks.spawn(Worker::new(state.clone(), settings, templates).run(stop.clone()));
}

/// Follows the cluster, and what is asked for.
struct Worker {
    state: State,
    servers: Servers,
    settings: Arc<ServerSettings>,
    templates: Arc<Templates>,
    fence: Fence,
    /// Tells of another master, where the master alone writes.
    master: Option<watch::Receiver<Option<u64>>>,
    /// The last epoch of the master in which this controller was it.
    epoch: Option<u64>,
    cluster: watch::Receiver<Arc<Cluster>>,
    /// When to write, and when at the latest.
    due: Option<(Instant, Instant)>,
    /// The addresses of this host that the files have.
    own: Vec<IpAddr>,
    /// The state of the inventories that the files have: DHCPv6 knows machines by their numbers.
    inventories: u64,
    /// Servers whose files are there, and that have not read them yet.
    unread: Vec<Kind>,
}

impl Worker {
    fn new(state: State, settings: Arc<ServerSettings>, templates: Arc<Templates>) -> Self {
        let cluster = state.cluster.subscribe();
        let servers = state.servers.clone();
        let now = Instant::now();
        let due = Some((now, now));
        let fence = Fence::new(&state.controllers, &settings);
        let master = fence.follow();
        let epoch = master.as_ref().and_then(|master| *master.borrow());
        let (own, inventories, unread) = (Vec::new(), 0, Vec::new());
        Self {
            state,
            servers,
            settings,
            templates,
            fence,
            master,
            epoch,
            cluster,
            due,
            own,
            inventories,
            unread,
        }
    }

    /// Runs until `stop`.
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let due = self.due.map(|(due, latest)| due.min(latest));
            let wait = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let other_master = async {
                match &mut self.master {
                    Some(master) => {
                        master.changed().await.ok();
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = other_master => self.note_master(),
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

    /// Where this controller has become the master, its servers may have read older files than are there now: those may be shared. When nobody
    /// else was in between, nobody wrote.
    fn note_master(&mut self) {
        let now = self.master.as_ref().and_then(|master| *master.borrow());
        let Some(epoch) = now else { return };
        let was_it = self.epoch.is_some_and(|last| epoch <= last.saturating_add(1));
        self.epoch = Some(epoch);
        if !was_it {
            let configured = Kind::ALL.into_iter();
            self.unread = configured.filter(|kind| self.settings.unit(*kind).is_some()).collect();
        }
        self.note_change();
    }

    fn look(&mut self) {
        let is_told = self.settings.dhcp6.is_some();
        let has_numbers = is_told && self.state.inventories.sequence() != self.inventories;
        if has_numbers || self.own_addresses() != self.own {
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
        self.inventories = self.state.inventories.sequence();
        if self.fence.confirm().await.is_err() {
            self.leave_to_master();
            return;
        }
        for kind in Kind::ALL {
            if self.settings.unit(kind).is_none() || stop.is_cancelled() {
                continue;
            }
            let outcome = self.follow(kind).await;
            if outcome.is_err() && !self.fence.is_open() {
                self.leave_to_master();
                return;
            }
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

    /// Another controller writes, or will: whatever is wrong is its to tell. What the servers of this one have read it does not know.
    fn leave_to_master(&mut self) {
        for kind in Kind::ALL {
            self.servers.note(kind, None);
        }
        self.unread.clear();
        if self.fence.is_open() {
            // The database has not answered. Whoever is the master anew is told so.
            let again = Instant::now() + ASK_AGAIN;
            self.due = self.due.or(Some((again, again)));
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
        self.fence.confirm().await?;
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
        let (keys, templates, fence) = (&self.settings.keys, &self.templates, &self.fence);
        let state = &self.state;
        match kind {
            Kind::Dhcp | Kind::Dhcp6 => {
                let server = match kind {
                    Kind::Dhcp => &self.settings.dhcp,
                    _ => &self.settings.dhcp6,
                };
                let Some(server) = server else { return Ok(Written::Nothing) };
                dhcp::write(state, server, (keys, templates), fence).await
            }
            Kind::Dns => {
                let Some(server) = &self.settings.dns else { return Ok(Written::Nothing) };
                let is_new = bind::write(state, server, (keys, templates), fence).await?;
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
        // Whoever has a server stop need not write for it.
        let may_write = self.fence.confirm().await.is_ok();
        if !may_write && !matches!(action, Action::OnlyStart | Action::Stop) {
            return Err(self.fence.refusal());
        }
        if action != Action::OnlyStart && may_write {
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
