//! Messages between peers (BEP 3).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::torrents::InfoHash;

pub(super) const HANDSHAKE: usize = 68;
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
pub(super) const KEEP_ALIVE: [u8; 4] = [0; 4];
pub(super) const CHOKE: [u8; 5] = [0, 0, 0, 1, 0];
pub(super) const UNCHOKE: [u8; 5] = [0, 0, 0, 1, 1];
/// Clients ask for 16 KiB; what is longer than this is refused by most.
pub(super) const LONGEST_BLOCK: u32 = 128 << 10;
/// No message but a bitfield is longer.
const LONGEST: usize = 1 << 10;

/// The torrent that a peer wants; `None` where it speaks something else.
pub(super) fn hash(handshake: &[u8; HANDSHAKE]) -> Option<InfoHash> {
    let rest = handshake.strip_prefix(PROTOCOL)?;
    rest.get(8..28)?.try_into().ok()
}

/// Without any of the extensions.
pub(super) fn handshake(hash: &InfoHash, id: &[u8; 20]) -> Vec<u8> {
    [&PROTOCOL[..], &[0; 8], hash, id].concat()
}

/// A part of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) piece: u32,
    pub(super) begin: u32,
    pub(super) length: u32,
}

/// What a peer says, as far as a seed cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Interested(bool),
    Have(u32),
    Bitfield(Vec<u8>),
    Request(Block),
    Other,
}

pub(super) fn have(piece: u32) -> [u8; 9] {
    let [a, b, c, d] = piece.to_be_bytes();
    [0, 0, 0, 5, 4, a, b, c, d]
}

pub(super) fn piece(block: &Block, bytes: &[u8]) -> Vec<u8> {
    let length = 9_u32.saturating_add(block.length);
    let mut text = Vec::with_capacity(bytes.len() + 13);
    text.extend(length.to_be_bytes());
    text.push(7);
    text.extend(block.piece.to_be_bytes());
    text.extend(block.begin.to_be_bytes());
    text.extend(bytes);
    text
}

/// What comes from a peer. Waiting for a message may be given up at any time: nothing of it is lost.
pub(super) struct Inbox<R> {
    reading: R,
    waiting: Vec<u8>,
    longest: usize,
}

impl<R: AsyncRead + Unpin> Inbox<R> {
    pub(super) fn new(reading: R, pieces: u32) -> Self {
        let bitfield = usize::try_from(pieces / 8 + 2).unwrap_or(usize::MAX);
        Self { reading, waiting: Vec::new(), longest: LONGEST.max(bitfield) }
    }

    /// The next message; `None` when the peer is gone.
    pub(super) async fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            // Whole messages are taken out before more is read: this is bounded by the longest one.
            let mut part = [0; 4096];
            let count = self.reading.read(&mut part).await?;
            if count == 0 {
                return Ok(None);
            }
            self.waiting.extend(part.get(..count).unwrap_or_default());
        }
    }

    fn take(&mut self) -> io::Result<Option<Message>> {
        loop {
            let Some((head, rest)) = self.waiting.split_first_chunk::<4>() else { return Ok(None) };
            let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
            if length > self.longest {
                return Err(io::Error::other("its message is too long"));
            }
            let Some(body) = rest.get(..length) else { return Ok(None) };
            let message = (length > 0).then(|| read(body)).transpose()?;
            self.waiting.drain(..4 + length);
            // One without anything only says that the peer is there.
            if message.is_some() {
                return Ok(message);
            }
        }
    }
}

fn read(body: &[u8]) -> io::Result<Message> {
    let wrong = || io::Error::other("its message has a wrong length");
    let (kind, rest) = body.split_first().ok_or_else(wrong)?;
    let number = |at: usize| {
        let bytes = rest.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_be_bytes).ok_or_else(wrong)
    };
    Ok(match kind {
        2 => Message::Interested(true),
        3 => Message::Interested(false),
        4 => Message::Have(number(0)?),
        5 => Message::Bitfield(rest.to_vec()),
        6 => Message::Request(Block { piece: number(0)?, begin: number(4)?, length: number(8)? }),
        _ => Message::Other,
    })
}
