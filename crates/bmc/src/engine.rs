//! One action on many BMCs, all at once within limits. A dead BMC costs itself only.

mod limits;
mod memory;
mod schedule;
mod work;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use limits::{Inrush, Limits, Verification};

use crate::connection::Connection;
use crate::ipmi::{self, Hub, Remembered};
use crate::plugin::Plugin;
use crate::redfish::{Authorities, Fingerprint, Service};
use crate::{Action, Driver, Error, PowerState, Reply, Target};
use memory::{Memory, Protocol};
use rustls::pki_types::CertificateDer;
use schedule::{Next, Schedule};
use work::{Done, Step, Work};

/// What became of one target.
#[derive(Debug)]
pub struct Outcome {
    pub name: String,
    pub action: Action,
    pub result: Result<Reply, Error>,
    /// The power before a power on, where the BMC told it.
    pub before: Option<PowerState>,
    /// The power as it was last seen, where it was looked at.
    pub power: Option<PowerState>,
    /// How often it was tried; zero when it was not.
    pub tries: u32,
    /// Since it was begun with.
    pub elapsed: Duration,
    /// Of a BMC that was reached over Redfish: to be kept, and pinned the next time.
    pub certificate: Option<Fingerprint>,
}

/// Packets of IPMI since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    pub sent: u64,
    pub received: u64,
}

/// Speaks to BMCs, and remembers of them what the next request can use. Make one and keep it; clones are the same.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    hub: Arc<Hub>,
    pub(crate) memory: Arc<Memory>,
    authorities: Arc<Authorities>,
}

impl Shared {
    pub(crate) async fn connect(&self, target: &Target) -> Result<Connection, Error> {
        match &target.driver {
            Driver::Ipmi => self.connect_ipmi(target).await,
            Driver::Redfish => self.connect_redfish(target).await,
            Driver::Plugin(program) => {
                Ok(Connection::Plugin(Box::new(Plugin::new(program, target))))
            }
            Driver::Auto => match self.find_out(target).await? {
                Protocol::Ipmi => self.connect_ipmi(target).await,
                Protocol::Redfish => self.connect_redfish(target).await,
            },
        }
    }

    async fn connect_ipmi(&self, target: &Target) -> Result<Connection, Error> {
        let session = ipmi::open(&self.hub, target, self.memory.ipmi(target)).await?;
        let (suite, slowest) = (Some(session.suite()), session.slowest());
        self.memory.note_ipmi(target, Remembered { suite, slowest });
        if target.driver == Driver::Auto {
            self.memory.note_protocol(target, Protocol::Ipmi);
        }
        Ok(Connection::Ipmi(Box::new(session)))
    }

    async fn connect_redfish(&self, target: &Target) -> Result<Connection, Error> {
        let pinned = self.memory.certificate(target);
        let in_session = self.memory.wants_session(target);
        let service = Service::open(target, pinned, in_session, &self.authorities).await?;
        self.memory.note_certificate(target, service.certificate());
        self.memory.note_wants_session(target, service.wants_session());
        Ok(Connection::Redfish(Box::new(service)))
    }

    /// Which of the two a BMC speaks; Redfish, if both.
    async fn find_out(&self, target: &Target) -> Result<Protocol, Error> {
        if let Some(protocol) = self.memory.protocol(target) {
            return Ok(protocol);
        }
        let pinned = self.memory.certificate(target);
        match Service::probe(target, pinned, &self.authorities).await {
            Ok(()) => {
                self.memory.note_protocol(target, Protocol::Redfish);
                Ok(Protocol::Redfish)
            }
            // Somebody may pretend to be the BMC, and hope for a protocol that gives more away.
            Err(error @ (Error::CertificateChanged { .. } | Error::CertificateRefused { .. })) => {
                Err(error)
            }
            Err(error) => {
                // Not remembered yet: only a session shows that the BMC speaks IPMI (`connect_ipmi`).
                tracing::debug!(node = %target.name, %error, "no Redfish there: IPMI is tried");
                Ok(Protocol::Ipmi)
            }
        }
    }
}

impl Engine {
    /// `authorities` have signed the certificates of those BMCs whose certificates are to be verified.
    pub fn new(authorities: Vec<CertificateDer<'static>>) -> Self {
        let authorities = Arc::new(Authorities::new(authorities));
        let shared = Shared { hub: Arc::default(), memory: Arc::default(), authorities };
        Self { shared: Arc::new(shared) }
    }

    /// Sends one outcome for each target, as they come, and ends when all are sent: at the deadline at the latest,
    /// and at once when it is cancelled or nobody listens any more.
    pub async fn run(
        &self,
        targets: Vec<Target>,
        action: Action,
        limits: Limits,
        cancel: CancellationToken,
        outcomes: mpsc::Sender<Outcome>,
    ) {
        let limits = limits.sensible();
        let mut schedule =
            Schedule::new(limits.starts_per_second, limits.inrush.filter(|_| action.switches_on()));
        let deadline = Instant::now() + limits.deadline;
        for (number, target) in targets.into_iter().enumerate() {
            schedule.add(target.group.clone().as_deref(), Box::new(Work::new(number, target)));
        }
        let run = Run {
            shared: Arc::clone(&self.shared),
            action,
            limits: Arc::new(limits),
            outcomes,
            unsent: VecDeque::new(),
            tasks: JoinSet::new(),
            schedule,
            in_flight: BTreeMap::new(),
        };
        run.until_end(deadline, &cancel).await;
    }

    /// Forgets what is remembered of a BMC: failures, a refused password, a pinned certificate. For one that was repaired.
    pub fn forget(&self, target: &Target) {
        self.shared.memory.forget(target);
    }

    pub fn traffic(&self) -> Traffic {
        let (sent, received) = self.shared.hub.packets();
        Traffic { sent, received }
    }
}

struct Run {
    shared: Arc<Shared>,
    action: Action,
    limits: Arc<Limits>,
    outcomes: mpsc::Sender<Outcome>,
    /// Outcomes that the listener has not taken yet. While there are many, nothing new is begun.
    unsent: VecDeque<Outcome>,
    tasks: JoinSet<Step>,
    schedule: Schedule<Box<Work>>,
    /// What is with a task just now, by the number of the work.
    in_flight: BTreeMap<usize, InFlight>,
}

struct InFlight {
    target: Arc<Target>,
    tries: u32,
    began: Option<Instant>,
}

#[derive(Clone, Copy)]
enum Ending {
    AllDone,
    Deadline,
    Cancelled,
}

impl Run {
    async fn until_end(mut self, deadline: Instant, cancel: &CancellationToken) {
        let ending = tokio::select! {
            // Of several that are ready at one moment, the first here counts: a cancelled run is told as cancelled.
            biased;
            () = cancel.cancelled() => Ending::Cancelled,
            () = tokio::time::sleep_until(deadline) => Ending::Deadline,
            ending = self.until_done() => ending,
        };
        // Before the report: a task that ran on could still act on a BMC that is reported as unfinished. Sessions that are cut off
        // say goodbye as they are dropped.
        self.tasks.shutdown().await;
        self.report_unfinished(ending).await;
    }

    async fn until_done(&mut self) -> Ending {
        loop {
            let wake = self.start_due();
            if wake.is_none() && self.tasks.is_empty() && self.unsent.is_empty() {
                return Ending::AllDone;
            }
            let joined = tokio::select! {
                permit = self.outcomes.reserve(), if !self.unsent.is_empty() => {
                    let Ok(permit) = permit else { return Ending::Cancelled };
                    if let Some(outcome) = self.unsent.pop_front() {
                        permit.send(outcome);
                    }
                    None
                }
                joined = self.tasks.join_next(), if !self.tasks.is_empty() => joined,
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => None,
                () = self.outcomes.closed() => return Ending::Cancelled,
            };
            if let Some(joined) = joined {
                self.note(joined);
            }
        }
    }

    /// Starts what may start; when to look again, unless something happens before.
    fn start_due(&mut self) -> Option<Instant> {
        let most = self.limits.concurrent.get();
        // Outcomes that wait are bounded as well: a slow listener delays new starts instead of filling the memory.
        while self.tasks.len() < most && self.unsent.len() < most {
            match self.schedule.next(Instant::now()) {
                Next::Start(work) => self.start(work),
                Next::At(at) => return Some(at),
                Next::Nothing => return None,
            }
        }
        None
    }

    fn start(&mut self, work: Box<Work>) {
        let Work { number, tries, began, .. } = *work;
        let target = Arc::clone(&work.target);
        self.in_flight.insert(number, InFlight { target, tries, began });
        self.tasks.spawn(work.step(
            Arc::clone(&self.shared),
            self.action,
            Arc::clone(&self.limits),
        ));
    }

    fn note(&mut self, joined: Result<Step, JoinError>) {
        let step = match joined {
            Ok(step) => step,
            // A bug; as if it had happened here.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return,
        };
        match step {
            Step::Finished(work, result, open) => {
                self.in_flight.remove(&work.number);
                self.finish(&work, result);
                // After the outcome, so that nobody waits for a log-out; with `talk`, so that nobody else speaks to the BMC before
                // it; as one of the tasks, so that it counts among those that are spoken to.
                if let Some((connection, talk)) = open {
                    self.tasks.spawn(async move {
                        connection.close().await;
                        drop(talk);
                        Step::Closed
                    });
                }
            }
            Step::Resume(work, at) => {
                self.in_flight.remove(&work.number);
                self.schedule.resume(at, work);
            }
            Step::Retry(work, at) => {
                self.in_flight.remove(&work.number);
                self.schedule.retry(at, work.target.group.clone().as_deref(), work);
            }
            Step::Closed => {}
        }
    }

    fn finish(&mut self, work: &Work, result: Result<Done, Error>) {
        let (result, before, power) = match result {
            Ok(Done { reply, power, before }) => (Ok(reply), before, power),
            Err(error) => {
                let power = match error {
                    Error::NotChanged { seen, .. } => Some(seen),
                    _ => None,
                };
                (Err(error), work.before, power)
            }
        };
        let (tries, began) = (work.tries, work.began);
        let outcome = self.outcome(&work.target, result, tries, began);
        self.unsent.push_back(Outcome { before, power, ..outcome });
    }

    fn outcome(
        &self,
        target: &Target,
        result: Result<Reply, Error>,
        tries: u32,
        began: Option<Instant>,
    ) -> Outcome {
        Outcome {
            name: target.name.clone(),
            action: self.action,
            result,
            before: None,
            power: None,
            tries,
            elapsed: began.map_or(Duration::ZERO, |began| began.elapsed()),
            certificate: self.shared.memory.certificate(target),
        }
    }

    /// Whatever was not finished when the end came. What may have happened is said to be so.
    async fn report_unfinished(mut self, ending: Ending) {
        let ended = |limits: &Limits| match ending {
            Ending::Deadline => Error::DeadlinePassed { deadline: limits.deadline },
            Ending::AllDone | Ending::Cancelled => Error::Cancelled,
        };
        let unconfirmed =
            |target: &Target, action| Error::Unconfirmed { action, address: target.ipmi_address() };
        let (limits, action) = (Arc::clone(&self.limits), self.action);
        let empty = Schedule::new(None, None);
        for work in std::mem::replace(&mut self.schedule, empty).into_rest() {
            let accepted = work.is_accepted();
            let error = if accepted { unconfirmed(&work.target, action) } else { ended(&limits) };
            self.finish(&work, Err(error));
        }
        for InFlight { target, tries, began } in std::mem::take(&mut self.in_flight).into_values() {
            let error =
                if action.is_change() { unconfirmed(&target, action) } else { ended(&limits) };
            let outcome = self.outcome(&target, Err(error), tries, began);
            self.unsent.push_back(outcome);
        }
        for outcome in std::mem::take(&mut self.unsent) {
            if self.outcomes.send(outcome).await.is_err() {
                return;
            }
        }
    }
}
