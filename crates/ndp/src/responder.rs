//! The loop around it: solicitations in, advertisements out.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::advertisement::NO_ROUTER;
use crate::schedule::{LONGEST_DELAY, Schedule};
use crate::socket::Socket;
use crate::solicitation;

/// As large as any solicitation may be.
const LARGEST_PACKET: usize = 1500;
/// How long to wait when the system cannot receive.
const PAUSE: Duration = Duration::from_millis(100);

/// What to do where this machine may be a router itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Be silent there: a program that advertises this machine as a router would be contradicted, for its advertisements come from the
    /// same address as ours.
    UnlessRouter,
    /// Answer there, too: no such program runs.
    Always,
}

/// What answers on one interface.
#[derive(Debug)]
pub struct Responder {
    socket: Socket,
    interface: String,
    rule: Rule,
    /// What keeps it from answering, as it was told last.
    told: Option<&'static str>,
}

impl Responder {
    /// Begins to listen. Needs the right to raw sockets (`CAP_NET_RAW`); call it within the runtime that will run it.
    pub fn open(interface: &str, rule: Rule) -> io::Result<Self> {
        let socket = Socket::open(interface)?;
        Ok(Self { socket, interface: interface.to_owned(), rule, told: None })
    }

    /// Answers until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut schedule = Schedule::default();
        let mut buffer = vec![0; LARGEST_PACKET];
        self.warn_if_it_cannot_answer();
        loop {
            let due = schedule.due();
            tokio::select! {
                () = stop.cancelled() => return,
                () = wait(due) => {
                    self.advertise();
                    schedule.done(Instant::now());
                }
                received = self.socket.receive(&mut buffer) => match received {
                    Ok(arrival) => {
                        let packet = buffer.get(..arrival.length).unwrap_or_default();
                        let source = arrival.source;
                        match solicitation::check(packet, source, arrival.hop_limit) {
                            Ok(()) => schedule.solicited(Instant::now(), delay()),
                            Err(reason) => {
                                tracing::debug!(interface = self.interface, %source, reason, "a router solicitation is not answered");
                            }
                        }
                    }
                    Err(error) => {
                        tracing::warn!(interface = self.interface, %error, "router solicitations cannot be received");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
    }

    fn advertise(&mut self) {
        let Some(source) = self.warn_if_it_cannot_answer() else { return };
        match self.socket.send_to_all_nodes(&NO_ROUTER, source) {
            Ok(()) => {
                tracing::info!(
                    interface = self.interface,
                    "machines that look for an IPv6 router are told that none is here"
                );
            }
            // A new address is not used until the kernel is sure that nobody else has it; the machine will ask again.
            Err(error) => {
                tracing::info!(interface = self.interface, %source, %error, "a router solicitation cannot be answered yet");
            }
        }
    }

    /// The address to answer from. What keeps us from answering is told when it begins, and not each time.
    fn warn_if_it_cannot_answer(&mut self) -> Option<std::net::Ipv6Addr> {
        let source = match self.socket.link_local() {
            _ if self.rule == Rule::UnlessRouter && is_router(&self.interface) => Err(
                "this machine forwards IPv6 there, so that answering is left to its own router advertisements; where it sends \
                     none, set ROUTER_ADVERTISEMENTS = yes in [DHCP] of luna.ini",
            ),
            Ok(Some(address)) => Ok(address),
            Ok(None) => Err(
                "it has no IPv6 link-local address yet; it has one when IPv6 is not disabled there and its cable is plugged in",
            ),
            Err(_) => Err("its addresses cannot be listed"),
        };
        match source {
            Ok(address) => {
                self.told = None;
                Some(address)
            }
            Err(reason) => {
                if self.told != Some(reason) {
                    tracing::warn!(
                        interface = self.interface,
                        reason,
                        "router solicitations are not answered here: where nobody else answers, iPXE waits about 15 s at each boot"
                    );
                    self.told = Some(reason);
                }
                None
            }
        }
    }
}

/// Whether the kernel forwards what comes by this interface: then a program may advertise it as a router.
fn is_router(interface: &str) -> bool {
    let path: PathBuf = ["/proc/sys/net/ipv6/conf", interface, "forwarding"].iter().collect();
    std::fs::read_to_string(path).is_ok_and(|text| text.trim() != "0")
}

async fn wait(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// By chance between nothing and the longest.
fn delay() -> Duration {
    let mut bytes = [0; 2];
    // Without chance, all of it: nobody is answered too early.
    if getrandom::fill(&mut bytes).is_err() {
        return LONGEST_DELAY;
    }
    LONGEST_DELAY * u32::from(u16::from_le_bytes(bytes)) / u32::from(u16::MAX)
}
