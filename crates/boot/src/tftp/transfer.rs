//! One transfer: which blocks to send next ([`Window`]), and the loop that sends them ([`run`]).

use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::packet::{Answer, parse_answer, write_data};

/// How long we wait for a client that says nothing about it; doubled for each time it stays silent.
const PATIENCE: Duration = Duration::from_secs(1);
const LONGEST_PATIENCE: Duration = Duration::from_secs(8);
/// With the patience above, a client that was switched off is given up after 31 seconds.
const ATTEMPTS: u32 = 6;

/// How a transfer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    /// The client sent an error: firmware does so on purpose when it only wanted to know the size.
    Aborted {
        code: u16,
        message: String,
    },
    /// The client's port is closed, or it was silent for too long.
    Vanished,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Send(RangeInclusive<u64>),
    Wait,
    End(End),
}

/// The blocks of a file on their way to a client. Blocks count from one without end; on the wire their
/// numbers have 16 bits and begin anew at zero.
#[derive(Debug)]
pub(super) struct Window {
    bytes: Arc<[u8]>,
    block_size: usize,
    width: u64,
    last: u64,
    acknowledged: u64,
    sent: u64,
    /// The options are granted, and the client has not yet agreed.
    greeting: bool,
    /// The window was sent again because of a repeated acknowledgement.
    repeated: bool,
}

impl Window {
    pub(super) fn new(bytes: Arc<[u8]>, block_size: u16, width: u16, greeting: bool) -> Self {
        let block_size = usize::from(block_size.max(1));
        // A file whose last block is full ends with an empty one.
        let last = (bytes.len() / block_size) as u64 + 1;
        let width = u64::from(width.max(1));
        let sent = 0;
        Self { bytes, block_size, width, last, acknowledged: 0, sent, greeting, repeated: false }
    }

    /// All that may be on its way now.
    pub(super) fn open(&mut self) -> Step {
        let end = self.last.min(self.acknowledged + self.width);
        self.sent = self.sent.max(end);
        Step::Send(self.acknowledged + 1..=end)
    }

    /// RFC 7440, section 4: an acknowledgement of any block in the window begins the next window behind it.
    pub(super) fn acknowledge(&mut self, number: u16) -> Step {
        let ahead = u64::from(number.wrapping_sub(wire_number(self.acknowledged)));
        if ahead == 0 {
            return self.acknowledge_again();
        }
        if ahead > self.sent - self.acknowledged {
            return Step::Wait;
        }
        self.acknowledged += ahead;
        self.repeated = false;
        if self.acknowledged == self.last { Step::End(End::Complete) } else { self.open() }
    }

    /// With single blocks, answering a repeated acknowledgement would double every packet from there on
    /// (RFC 1123, 4.2.3.1). In a window it says that the first block was lost: send again, but once.
    fn acknowledge_again(&mut self) -> Step {
        if self.greeting {
            self.greeting = false;
            return self.open();
        }
        if self.width == 1 || self.repeated {
            return Step::Wait;
        }
        self.repeated = true;
        self.open()
    }

    fn block(&self, block: u64) -> &[u8] {
        let start =
            usize::try_from(block - 1).unwrap_or(usize::MAX).saturating_mul(self.block_size);
        let end = start.saturating_add(self.block_size).min(self.bytes.len());
        self.bytes.get(start..end).unwrap_or_default()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the number on the wire begins anew at zero")]
fn wire_number(block: u64) -> u16 {
    block as u16
}

/// Sends a file to the peer of `socket`. `greeting` is the answer to its options, when it sent any;
/// `interval` is what it wants us to wait before we send again; `heard` is called at its first sign of life.
pub(super) async fn run(
    socket: &UdpSocket,
    mut window: Window,
    greeting: Option<Vec<u8>>,
    interval: Option<Duration>,
    heard: impl Fn(),
) -> End {
    let mut patience = interval.unwrap_or(PATIENCE);
    let mut attempts = 1;
    let mut buffer = vec![0; 516];
    let mut step = match &greeting {
        Some(packet) => send(socket, packet).await,
        None => window.open(),
    };
    let mut deadline = Instant::now() + patience;
    loop {
        match step {
            Step::Send(ref blocks) => {
                step = send_blocks(socket, &window, blocks.clone(), &mut buffer).await;
                continue;
            }
            Step::End(end) => return end,
            Step::Wait => {}
        }
        step = match timeout_at(deadline, socket.recv(&mut buffer)).await {
            Ok(Ok(length)) => {
                let answer = parse_answer(buffer.get(..length).unwrap_or_default());
                let next = match answer {
                    Some(Answer::Acknowledged(number)) => window.acknowledge(number),
                    Some(Answer::Failed { code, message }) => {
                        Step::End(End::Aborted { code, message })
                    }
                    None => Step::Wait,
                };
                if matches!(next, Step::Send(_)) {
                    heard();
                    attempts = 1;
                    patience = interval.unwrap_or(PATIENCE);
                    deadline = Instant::now() + patience;
                }
                next
            }
            Ok(Err(error)) => failed(&error),
            Err(_elapsed) if attempts >= ATTEMPTS => Step::End(End::Vanished),
            Err(_elapsed) => {
                attempts += 1;
                patience = interval.unwrap_or_else(|| LONGEST_PATIENCE.min(patience * 2));
                deadline = Instant::now() + patience;
                match &greeting {
                    Some(packet) if window.greeting => send(socket, packet).await,
                    _ => window.open(),
                }
            }
        };
    }
}

async fn send_blocks(
    socket: &UdpSocket,
    window: &Window,
    blocks: RangeInclusive<u64>,
    buffer: &mut Vec<u8>,
) -> Step {
    for block in blocks {
        write_data(buffer, wire_number(block), window.block(block));
        if let end @ Step::End(_) = send(socket, buffer).await {
            return end;
        }
    }
    buffer.resize(516, 0);
    Step::Wait
}

async fn send(socket: &UdpSocket, packet: &[u8]) -> Step {
    match socket.send(packet).await {
        Ok(_) => Step::Wait,
        Err(error) => failed(&error),
    }
}

/// A closed port ends the transfer; any other failure is a lost packet, which time repairs.
fn failed(error: &std::io::Error) -> Step {
    if error.kind() == ErrorKind::ConnectionRefused { Step::End(End::Vanished) } else { Step::Wait }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(length: usize, block_size: u16, width: u16) -> Window {
        let bytes: Vec<u8> = (0..=250_u8).cycle().take(length).collect();
        Window::new(bytes.into(), block_size, width, false)
    }

    #[test]
    fn single_blocks_go_one_by_one_and_a_full_last_block_is_followed_by_an_empty_one() {
        let mut window = window(1024, 512, 1);
        assert_eq!(window.open(), Step::Send(1..=1));
        assert_eq!(window.acknowledge(1), Step::Send(2..=2));
        assert_eq!(window.acknowledge(1), Step::Wait);
        assert_eq!(window.acknowledge(2), Step::Send(3..=3));
        assert!(window.block(3).is_empty());
        assert_eq!(window.acknowledge(3), Step::End(End::Complete));
    }

    #[test]
    fn a_window_is_sent_again_from_the_first_lost_block() {
        let mut window = window(10_000, 512, 4);
        assert_eq!(window.open(), Step::Send(1..=4));
        assert_eq!(window.acknowledge(2), Step::Send(3..=6));
        assert_eq!(window.acknowledge(2), Step::Send(3..=6));
        assert_eq!(window.acknowledge(2), Step::Wait, "more copies would only crowd the network");
        assert_eq!(window.acknowledge(6), Step::Send(7..=10));
    }

    #[test]
    fn an_acknowledgement_from_nowhere_changes_nothing() {
        let mut window = window(10_000, 512, 4);
        assert_eq!(window.open(), Step::Send(1..=4));
        assert_eq!(window.acknowledge(5), Step::Wait);
        assert_eq!(window.acknowledge(60_000), Step::Wait);
    }

    #[test]
    fn an_agreed_greeting_opens_the_window() {
        let mut window = Window::new(Arc::from(b"abc".as_slice()), 512, 8, true);
        assert_eq!(window.acknowledge(0), Step::Send(1..=1));
    }

    proptest! {
        #[test]
        fn a_client_gets_every_byte_whatever_it_loses(
            length in 0usize..700_000,
            width in 1u16..20,
            mut losses in proptest::collection::vec(0u16..20, 1..50),
        ) {
            // Who loses everything for ever gets nothing.
            losses.push(1);
            // Eight byte blocks: longer files pass the end of the 16-bit numbers.
            let mut window = window(length, 8, width);
            let mut received = Vec::new();
            let mut losses = losses.into_iter().cycle();
            let mut step = window.open();
            loop {
                match step {
                    Step::Send(blocks) => {
                        let kept = usize::from(losses.next().unwrap_or_default());
                        for block in blocks.clone().take(kept) {
                            let start = usize::try_from(block - 1).unwrap() * 8;
                            received.truncate(start);
                            received.extend_from_slice(window.block(block));
                        }
                        let last = blocks.end().min(&(blocks.start() + kept as u64 - 1)).to_owned();
                        step = window.acknowledge(wire_number(last));
                    }
                    Step::Wait => step = window.open(),
                    Step::End(end) => {
                        prop_assert_eq!(end, End::Complete);
                        break;
                    }
                }
            }
            prop_assert_eq!(&received[..], &window.bytes[..]);
        }
    }
}
