//! What comes from a peer, as it comes.

use std::collections::VecDeque;
use std::io;

use perilune_torrent::wire::{Error, Inbox as Waiting, Message};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Messages of a peer. Waiting for one may be given up at any time: nothing of it is lost.
pub(super) struct Inbox<R> {
    reading: R,
    waiting: Waiting,
    messages: VecDeque<Result<Message, Error>>,
}

impl<R: AsyncRead + Unpin> Inbox<R> {
    pub(super) fn new(reading: R, pieces: u32) -> Self {
        Self { reading, waiting: Waiting::new(pieces, false), messages: VecDeque::new() }
    }

    /// The next message; `None` when the peer is gone.
    pub(super) async fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return message.map(Some).map_err(io::Error::other);
            }
            // All messages are followed before more is read: what waits is bounded.
            let mut part = [0; 4096];
            let count = self.reading.read(&mut part).await?;
            if count == 0 {
                return Ok(None);
            }
            self.waiting.add(part.get(..count).unwrap_or_default());
            self.messages.extend(self.waiting.messages());
        }
    }
}
