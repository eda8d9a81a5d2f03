//! Messages between peers.

use crate::InfoHash;

pub const HANDSHAKE: usize = 68;
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
pub const KEEP_ALIVE: [u8; 4] = [0; 4];
pub const UNCHOKE: [u8; 5] = [0, 0, 0, 1, 1];
pub const INTERESTED: [u8; 5] = [0, 0, 0, 1, 2];
pub const NOT_INTERESTED: [u8; 5] = [0, 0, 0, 1, 3];
/// As much is asked for at a time; clients refuse much more.
pub const BLOCK: u32 = 16 << 10;
/// What is longer than this is refused by most.
pub const LONGEST_BLOCK: u32 = 128 << 10;
/// No message but a bitfield or a block is longer.
const LONGEST: usize = 1 << 10;

/// Why a peer is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("its message is too long")]
    TooLong,
    #[error("its message has a wrong length")]
    WrongLength,
}

/// The torrent that a peer wants; `None` where it speaks something else.
pub fn hash(handshake: &[u8; HANDSHAKE]) -> Option<InfoHash> {
    let rest = handshake.strip_prefix(PROTOCOL)?;
    rest.get(8..28)?.try_into().ok()
}

/// What a peer calls itself.
pub fn id(handshake: &[u8; HANDSHAKE]) -> [u8; 20] {
    handshake.last_chunk().copied().unwrap_or_default()
}

/// Without any of the extensions.
pub fn handshake(hash: &InfoHash, id: &[u8; 20]) -> Vec<u8> {
    [&PROTOCOL[..], &[0; 8], hash, id].concat()
}

/// A part of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    pub piece: u32,
    pub begin: u32,
    pub length: u32,
}

/// What a peer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Choke(bool),
    Interested(bool),
    Have(u32),
    Bitfield(Vec<u8>),
    Request(Block),
    Cancel(Block),
    Piece { piece: u32, begin: u32, bytes: Vec<u8> },
    Other,
}

pub fn have(piece: u32) -> [u8; 9] {
    let [a, b, c, d] = piece.to_be_bytes();
    [0, 0, 0, 5, 4, a, b, c, d]
}

/// The pieces that somebody has, where not all of none.
pub fn bitfield(has: &[bool]) -> Vec<u8> {
    let bytes = has.chunks(8).map(|eight| {
        eight.iter().enumerate().fold(0, |byte, (bit, has)| byte | (u8::from(*has) << (7 - bit)))
    });
    let mut text = number(1 + has.len().div_ceil(8)).to_vec();
    text.push(5);
    text.extend(bytes);
    text
}

pub fn request(block: &Block) -> Vec<u8> {
    of_block(6, block)
}

pub fn cancel(block: &Block) -> Vec<u8> {
    of_block(8, block)
}

fn of_block(kind: u8, block: &Block) -> Vec<u8> {
    let numbers = [block.piece, block.begin, block.length].map(u32::to_be_bytes);
    [&[0, 0, 0, 13, kind][..], numbers.as_flattened()].concat()
}

pub fn piece(block: &Block, bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len() + 13);
    text.extend(number(9 + bytes.len()));
    text.push(7);
    text.extend(block.piece.to_be_bytes());
    text.extend(block.begin.to_be_bytes());
    text.extend(bytes);
    text
}

fn number(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// What came from a peer and was not read yet.
#[derive(Debug)]
pub struct Inbox {
    waiting: Vec<u8>,
    longest: usize,
}

impl Inbox {
    /// For a torrent of so many pieces. Whoever asks for nothing is sent no blocks.
    pub fn new(pieces: u32, takes_blocks: bool) -> Self {
        let bitfield = usize::try_from(pieces / 8 + 2).unwrap_or(usize::MAX);
        let block = if takes_blocks { 9 + BLOCK as usize } else { 0 };
        Self { waiting: Vec::new(), longest: LONGEST.max(bitfield).max(block) }
    }

    /// Takes what has come. Whole messages must have been taken out before: what waits is then shorter than the longest one.
    pub fn add(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The messages that are whole, in their order, and whatever is wrong behind them.
    pub fn messages(&mut self) -> Vec<Result<Message, Error>> {
        let mut messages = Vec::new();
        let mut at = 0;
        while let Some((head, rest)) =
            self.waiting.get(at..).and_then(<[u8]>::split_first_chunk::<4>)
        {
            let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
            if length > self.longest {
                messages.push(Err(Error::TooLong));
                break;
            }
            let Some(body) = rest.get(..length) else { break };
            at += 4 + length;
            // One without anything only says that the peer is there.
            if length > 0 {
                messages.push(read(body));
            }
        }
        self.waiting.drain(..at);
        messages
    }
}

fn read(body: &[u8]) -> Result<Message, Error> {
    let (kind, rest) = body.split_first().ok_or(Error::WrongLength)?;
    let number = |at: usize| {
        let bytes = rest.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_be_bytes).ok_or(Error::WrongLength)
    };
    let block = || Ok(Block { piece: number(0)?, begin: number(4)?, length: number(8)? });
    Ok(match kind {
        0 => Message::Choke(true),
        1 => Message::Choke(false),
        2 => Message::Interested(true),
        3 => Message::Interested(false),
        4 => Message::Have(number(0)?),
        5 => Message::Bitfield(rest.to_vec()),
        6 => Message::Request(block()?),
        7 => Message::Piece {
            piece: number(0)?,
            begin: number(4)?,
            bytes: rest.get(8..).unwrap_or_default().to_vec(),
        },
        8 => Message::Cancel(block()?),
        _ => Message::Other,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIECES: u32 = 20;

    fn all(inbox: &mut Inbox, bytes: &[u8], part: usize) -> Vec<Result<Message, Error>> {
        let mut messages = Vec::new();
        for part in bytes.chunks(part.max(1)) {
            inbox.add(part);
            messages.extend(inbox.messages());
            if messages.iter().any(Result::is_err) {
                break;
            }
            assert!(inbox.waiting.len() <= inbox.longest + 4, "what waits is bounded");
        }
        messages
    }

    #[test]
    fn what_is_said_is_heard_however_it_is_cut() {
        let block = Block { piece: 3, begin: 16_384, length: 4 };
        let said = [
            KEEP_ALIVE.to_vec(),
            [UNCHOKE, INTERESTED, NOT_INTERESTED].concat(),
            have(7).to_vec(),
            bitfield(&[true, false, false, false, false, false, false, false, true]),
            request(&block),
            cancel(&block),
            piece(&block, b"data"),
            vec![0, 0, 0, 2, 20, 0],
        ];
        let heard = vec![
            Message::Choke(false),
            Message::Interested(true),
            Message::Interested(false),
            Message::Have(7),
            Message::Bitfield(vec![0x80, 0x80]),
            Message::Request(block),
            Message::Cancel(block),
            Message::Piece { piece: 3, begin: 16_384, bytes: b"data".to_vec() },
            Message::Other,
        ];
        for part in 1..30 {
            let mut inbox = Inbox::new(PIECES, true);
            let messages: Result<Vec<_>, _> =
                all(&mut inbox, &said.concat(), part).into_iter().collect();
            assert_eq!(messages.as_ref(), Ok(&heard), "{part}");
        }
    }

    #[test]
    fn what_is_too_long_or_too_short_is_no_message() {
        let wrong = |bytes: &[u8]| all(&mut Inbox::new(PIECES, false), bytes, 4096).pop();
        assert_eq!(wrong(&[0xff; 5]), Some(Err(Error::TooLong)));
        let block = Block { piece: 0, begin: 0, length: BLOCK };
        let long = piece(&block, &[0; BLOCK as usize]);
        assert_eq!(wrong(&long), Some(Err(Error::TooLong)), "nobody asked for blocks");
        assert!(all(&mut Inbox::new(PIECES, true), &long, 4096).iter().all(Result::is_ok));
        for short in [&[0, 0, 0, 2, 4, 0][..], &[0, 0, 0, 5, 6, 0, 0, 0, 0], &[0, 0, 0, 1, 7]] {
            assert_eq!(wrong(short), Some(Err(Error::WrongLength)), "{short:?}");
        }
    }

    #[test]
    fn a_handshake_says_which_torrent_and_who() {
        let text = handshake(&[7; 20], b"-PE0001-aaaaaaaaaaaa");
        let text: [u8; HANDSHAKE] = text.try_into().unwrap();
        assert_eq!((hash(&text), id(&text)), (Some([7; 20]), *b"-PE0001-aaaaaaaaaaaa"));
        assert_eq!(hash(&[b'G'; HANDSHAKE]), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600), part in 1_usize..50) {
            all(&mut Inbox::new(PIECES, true), &bytes, part);
        }
    }
}
