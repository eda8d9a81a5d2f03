//! Memory for what clients send. It is counted while a body arrives, and with it what the body becomes once it is read; each kind of
//! client has a part of its own, so that strangers take none from nodes, and neither takes any from people.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

const MEBI: u64 = 1 << 20;
/// What the memory of the connection itself holds of a body: no client is refused that much, so that log-ins and tickets always arrive.
const FREE: u64 = 4 << 10;
/// Lists grow by doubling, and keys take memory beside their values.
const OF_VALUE: u64 = 2 * size_of::<Value>() as u64;

/// Who sends a body, as far as that is known before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Nobody who has shown anything.
    Stranger,
    /// A machine, by the token or the ticket of its boot.
    Machine,
    /// A person, or a program with a token of its own.
    Person,
}

impl Sender {
    /// As large as a body may be where the route says nothing else.
    pub(crate) fn largest(self) -> usize {
        match self {
            Self::Stranger => 64 << 10,
            Self::Machine => 512 << 10,
            Self::Person => 16 << 20,
        }
    }
}

/// The memory of all bodies.
#[derive(Debug)]
pub(crate) struct Bodies {
    strangers: Part,
    machines: Part,
    people: Part,
}

#[derive(Debug, Clone)]
struct Part {
    most: u64,
    used: Arc<AtomicU64>,
}

/// Why there is no memory for a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Others use it.
    #[error("too much is being sent at the moment; try again in a moment")]
    Full,
    /// It would need more than there is at all.
    #[error("the body has too many values to be read at once; send it in several parts")]
    TooMuch,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::new(16 * MEBI, 64 * MEBI, 1024 * MEBI)
    }
}

impl Bodies {
    fn new(strangers: u64, machines: u64, people: u64) -> Self {
        let part = |most| Part { most, used: Arc::default() };
        Self { strangers: part(strangers), machines: part(machines), people: part(people) }
    }

    /// The memory of a body that begins to arrive.
    pub(crate) fn begin(&self, sender: Sender) -> Share {
        let part = match sender {
            Sender::Stranger => &self.strangers,
            Sender::Machine => &self.machines,
            Sender::Person => &self.people,
        };
        Share { part: part.clone(), arrived: 0, taken: 0 }
    }
}

/// The memory of one body; others have it when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    part: Part,
    arrived: u64,
    taken: u64,
}

impl Share {
    /// So many more bytes have arrived.
    pub(crate) fn arrive(&mut self, bytes: usize) -> Result<(), Error> {
        self.arrived += bytes as u64;
        let missing = self.arrived.saturating_sub(FREE).saturating_sub(self.taken);
        self.take(missing)
    }

    /// The body is about to become a value of JSON, which takes many times as much as its text.
    pub(crate) fn read(&mut self, text: &[u8]) -> Result<(), Error> {
        let begins = |byte: &&u8| matches!(byte, b',' | b':' | b'[' | b'{');
        let values = text.iter().filter(begins).count() as u64;
        self.take(values.saturating_mul(OF_VALUE))
    }

    fn take(&mut self, bytes: u64) -> Result<(), Error> {
        let Part { most, used } = &self.part;
        if self.taken.saturating_add(bytes) > *most {
            return Err(Error::TooMuch);
        }
        let more = |used: u64| used.checked_add(bytes).filter(|used| used <= most);
        let taken = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.map_err(|_used| Error::Full)?;
        self.taken += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.part.used.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIBI: usize = 1 << 10;

    fn bodies() -> Bodies {
        Bodies::new(256 << 10, 256 << 10, MEBI)
    }

    #[test]
    fn strangers_fill_their_own_part_and_nobody_elses() {
        let bodies = bodies();
        let mut held = Vec::new();
        let refused = loop {
            let mut share = bodies.begin(Sender::Stranger);
            match share.arrive(64 * KIBI) {
                Ok(()) => held.push(share),
                Err(error) => break error,
            }
        };
        assert_eq!((refused, held.len()), (Error::Full, 4));
        assert_eq!(bodies.begin(Sender::Stranger).arrive(4 * KIBI), Ok(()), "a log-in");
        assert_eq!(bodies.begin(Sender::Machine).arrive(64 * KIBI), Ok(()));
        assert_eq!(bodies.begin(Sender::Person).arrive(64 * KIBI), Ok(()));
        drop(held);
        assert_eq!(bodies.strangers.used.load(Ordering::Relaxed), 0);
        assert_eq!(bodies.begin(Sender::Stranger).arrive(64 * KIBI), Ok(()));
    }

    #[test]
    fn a_body_counts_for_what_it_becomes() {
        let bodies = bodies();
        let numbers = format!("[{}0]", "0,".repeat(4 * KIBI));
        let mut share = bodies.begin(Sender::Person);
        share.arrive(numbers.len()).unwrap();
        share.read(numbers.as_bytes()).unwrap();
        assert!(share.taken > 4 * KIBI as u64 * size_of::<Value>() as u64);
        let mut share = bodies.begin(Sender::Machine);
        assert_eq!(share.read(numbers.as_bytes()), Err(Error::TooMuch));
        let text = format!("{{\"text\": \"{}\"}}", "x".repeat(64 * KIBI));
        assert_eq!(share.read(text.as_bytes()), Ok(()));
    }
}
