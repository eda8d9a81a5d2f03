//! The loop around it: solicitations in, advertisements out.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::Ipv6Net;
use tokio_util::sync::CancellationToken;

use crate::advertisement::advertisement;
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

/// Prefixes are told unasked so often: long before hosts forget them (RFC 4861, section 6.2.1).
const EVERY: Duration = Duration::from_mins(10);

/// The prefixes of this wire whose addresses come by DHCPv6, as of now.
pub type Prefixes = Arc<dyn Fn() -> Vec<Ipv6Net> + Send + Sync>;

/// What answers on one interface.
pub struct Responder {
    socket: Socket,
    interface: String,
    rule: Rule,
    prefixes: Prefixes,
    /// What keeps it from answering, as it was told last.
    told: Option<&'static str>,
}

impl fmt::Debug for Responder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Responder")
            .field("interface", &self.interface)
            .finish_non_exhaustive()
    }
}

impl Responder {
    /// Begins to listen. Needs the right to raw sockets (`CAP_NET_RAW`); call it within the runtime that will run it.
    pub fn open(interface: &str, rule: Rule, prefixes: Prefixes) -> io::Result<Self> {
        let socket = Socket::open(interface)?;
        Ok(Self { socket, interface: interface.to_owned(), rule, prefixes, told: None })
    }

    /// Answers until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut schedule = Schedule::default();
        let mut buffer = vec![0; LARGEST_PACKET];
        self.warn_if_it_cannot_answer();
        let mut again = tokio::time::interval(EVERY);
        loop {
            let due = schedule.due();
            tokio::select! {
                () = stop.cancelled() => return,
                () = wait(due) => {
                    self.advertise();
                    schedule.done(Instant::now());
                }
                _ = again.tick() => {
                    if !(self.prefixes)().is_empty() {
                        schedule.solicited(Instant::now(), delay());
                    }
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
        let prefixes = (self.prefixes)();
        match self.socket.send_to_all_nodes(&advertisement(&prefixes), source) {
            Ok(()) if !prefixes.is_empty() => {
                let prefixes: Vec<String> = prefixes.iter().map(Ipv6Net::to_string).collect();
                tracing::info!(
                    interface = self.interface,
                    prefixes = prefixes.join(", "),
                    "machines that look for an IPv6 router are sent to DHCPv6"
                );
            }
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
