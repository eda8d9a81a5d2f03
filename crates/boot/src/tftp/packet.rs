//! TFTP packets (RFC 1350) and options (RFC 2347, 2348, 2349, 7440), to and from bytes.
//!
//! Public for fuzzing: nothing here does any input or output, and any bytes may come in.

use std::time::Duration;

const READ: u16 = 1;
const WRITE: u16 = 2;
const DATA: u16 = 3;
const ACKNOWLEDGEMENT: u16 = 4;
const ERROR: u16 = 5;
const OPTIONS: u16 = 6;

/// RFC 1350: what a client without options gets.
const PLAIN_BLOCK_SIZE: u16 = 512;
/// RFC 2348.
const BLOCK_SIZES: std::ops::RangeInclusive<u16> = 8..=65464;
/// A bigger window only fills the buffers on the way: 64 blocks of 1468 bytes are 0.75 ms at 1 Gbit/s.
const LARGEST_WINDOW: u16 = 64;
/// Longer requests are nobody's: RFC 2347 allows 512 bytes, some firmware sends a little more.
const LONGEST_REQUEST: usize = 1024;

/// The error codes that we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// What the message says.
    Undefined = 0,
    /// There is no such file.
    NotFound = 1,
    /// It may not be read, or not be written.
    AccessViolation = 2,
    /// The request cannot be understood.
    IllegalOperation = 4,
}

/// How the file is to be presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Byte by byte.
    Octet,
    /// Lines end in CR LF (RFC 764); what `tftp` programs of old ask for unless told otherwise.
    Netascii,
}

/// What a client asks first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// To be sent a file.
    Read(Read),
    /// To send one, which nobody may.
    Write,
}

/// A wish to read, with the options as we grant them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The file, as the client calls it: printable ASCII.
    pub name: String,
    /// How many bytes were cut off the name that it sent: all from the first one that is not printable.
    pub cut: usize,
    /// How it is to be presented.
    pub mode: Mode,
    /// Bytes in a block (`blksize`).
    pub block_size: Option<u16>,
    /// Blocks that may go before one is acknowledged (`windowsize`).
    pub window: Option<u16>,
    /// When blocks are sent again (`timeout`).
    pub timeout: Option<Duration>,
    /// Whether it wants to know the size (`tsize`).
    pub wants_size: bool,
}

impl Read {
    /// Bytes in a block, where nothing is agreed 512.
    pub fn block_size(&self) -> u16 {
        self.block_size.unwrap_or(PLAIN_BLOCK_SIZE)
    }

    /// Blocks in a window, where nothing is agreed one.
    pub fn window(&self) -> u16 {
        self.window.unwrap_or(1)
    }

    /// The answer to the options, when there were any that we grant.
    pub fn grant(&self, size: usize) -> Option<Vec<u8>> {
        let mut packet = OPTIONS.to_be_bytes().to_vec();
        let mut add = |name: &str, value: u64| {
            packet.extend(name.as_bytes());
            packet.push(0);
            packet.extend(value.to_string().as_bytes());
            packet.push(0);
        };
        if let Some(block_size) = self.block_size {
            add("blksize", block_size.into());
        }
        if let Some(timeout) = self.timeout {
            add("timeout", timeout.as_secs());
        }
        if self.wants_size {
            add("tsize", size as u64);
        }
        if let Some(window) = self.window {
            add("windowsize", window.into());
        }
        (packet.len() > 2).then_some(packet)
    }
}

/// Why a first packet gets an error in answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Its texts do not end in zero bytes, or are not UTF-8.
    #[error("the request is not made of texts that end in zero bytes")]
    Text,
    /// A mode that RFC 1350 does not have, or that nobody uses any more.
    #[error("mode {0:?} is unknown: use octet or netascii")]
    Mode(String),
}

/// Reads a first packet. `None`: it is no request at all, and deserves no answer.
pub fn parse_request(packet: &[u8]) -> Option<Result<Request, Malformed>> {
    let (opcode, rest) = split_u16(packet)?;
    match opcode {
        READ if packet.len() <= LONGEST_REQUEST => Some(parse_read(rest).map(Request::Read)),
        WRITE => Some(Ok(Request::Write)),
        _ => None,
    }
}

fn parse_read(bytes: &[u8]) -> Result<Read, Malformed> {
    // Firmware pads its requests; what follows the last zero byte is not part of any text.
    let end = bytes.iter().rposition(|byte| *byte == 0).ok_or(Malformed::Text)?;
    let mut texts = bytes.get(..end).unwrap_or_default().split(|byte| *byte == 0);
    let sent = texts.next().unwrap_or_default();
    // Firmware that reads its file's name past the end sends what lies there, too.
    let printable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let name: String =
        sent.iter().copied().take_while(|byte| printable(byte)).map(char::from).collect();
    let cut = sent.len() - name.len();
    let mut text = || texts.next().map(std::str::from_utf8);
    let Some(Ok(mode)) = text() else { return Err(Malformed::Text) };
    if name.is_empty() && cut > 0 {
        return Err(Malformed::Text);
    }
    let mode = match mode {
        mode if mode.eq_ignore_ascii_case("octet") => Mode::Octet,
        mode if mode.eq_ignore_ascii_case("netascii") => Mode::Netascii,
        other => return Err(Malformed::Mode(other.to_owned())),
    };
    let mut read =
        Read { name, cut, mode, block_size: None, window: None, timeout: None, wants_size: false };
    while let (Some(Ok(option)), Some(Ok(value))) = (text(), text()) {
        read.apply(&option.to_ascii_lowercase(), value);
    }
    Ok(read)
}

impl Read {
    /// Takes one option over. RFC 2347: what we do not grant we leave out of the answer.
    fn apply(&mut self, option: &str, value: &str) {
        let Ok(number) = value.parse::<u64>() else { return };
        let limited = u16::try_from(number).unwrap_or(u16::MAX);
        match option {
            "blksize" if limited >= *BLOCK_SIZES.start() => {
                self.block_size = Some(limited.min(*BLOCK_SIZES.end()));
            }
            "windowsize" if limited >= 1 => self.window = Some(limited.min(LARGEST_WINDOW)),
            "timeout" if (1..=255).contains(&number) => {
                self.timeout = Some(Duration::from_secs(number));
            }
            "tsize" => self.wants_size = true,
            _ => {}
        }
    }
}

/// What a client says during a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has all blocks up to the one with this number.
    Acknowledged(u16),
    /// It ends the transfer.
    Failed { code: u16, message: String },
}

/// Reads a packet of a running transfer. `None`: it means nothing here.
pub fn parse_answer(packet: &[u8]) -> Option<Answer> {
    let (opcode, rest) = split_u16(packet)?;
    let (number, rest) = split_u16(rest)?;
    match opcode {
        ACKNOWLEDGEMENT => Some(Answer::Acknowledged(number)),
        ERROR => {
            let text = rest.split(|byte| *byte == 0).next().unwrap_or_default();
            let message = String::from_utf8_lossy(text).into_owned();
            Some(Answer::Failed { code: number, message })
        }
        _ => None,
    }
}

/// Writes a block into `packet`, in place of what it held.
pub fn write_data(packet: &mut Vec<u8>, number: u16, data: &[u8]) {
    packet.clear();
    packet.extend(DATA.to_be_bytes());
    packet.extend(number.to_be_bytes());
    packet.extend(data);
}

/// The packet that ends or refuses a transfer.
pub fn error(code: ErrorCode, message: &str) -> Vec<u8> {
    let mut packet = ERROR.to_be_bytes().to_vec();
    packet.extend((code as u16).to_be_bytes());
    packet.extend(message.bytes().filter(|byte| *byte != 0));
    packet.push(0);
    packet
}

fn split_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(packet: &[u8]) -> Read {
        match parse_request(packet).unwrap().unwrap() {
            Request::Read(read) => read,
            Request::Write => panic!("a write request"),
        }
    }

    #[test]
    fn firmware_asks_with_options_in_any_case() {
        let read = read(b"\0\x01boot/a.efi\0OCTET\0TSIZE\x000\0BlkSize\x001468\0windowsize\x004\0");
        assert_eq!((read.name.as_str(), read.mode), ("boot/a.efi", Mode::Octet));
        assert_eq!((read.block_size(), read.window(), read.wants_size), (1468, 4, true));
        assert_eq!(
            read.grant(77).unwrap(),
            b"\0\x06blksize\x001468\0tsize\x0077\0windowsize\x004\0"
        );
    }

    #[test]
    fn what_cannot_be_granted_is_left_out() {
        let read =
            read(b"\0\x01a\0octet\0blksize\x007\0timeout\x000\0windowsize\0many\0multicast\0\0");
        assert_eq!((read.block_size(), read.window(), read.timeout), (512, 1, None));
        assert_eq!(read.grant(1), None);
    }

    #[test]
    fn a_wish_that_is_too_big_is_cut() {
        let read = read(b"\0\x01a\0octet\0blksize\x0099999\0windowsize\x0065535\0");
        assert_eq!((read.block_size(), read.window()), (65464, LARGEST_WINDOW));
    }

    #[test]
    fn a_name_ends_before_the_first_byte_that_is_not_printable() {
        for tail in [
            "\u{ff}".as_bytes(),
            b"\xff",
            b"\xff\xff",
            b"\n",
            b"\x7f",
            b"\x1b[0m",
            b"\xe4.efi",
            b"\x80a",
        ] {
            let packet =
                [b"\0\x01luna_ipxe.efi".as_slice(), tail, b"\0octet\0tsize\x000\0"].concat();
            let read = read(&packet);
            assert_eq!(read.name, "luna_ipxe.efi", "{tail:?}");
            assert_eq!((read.cut, read.mode, read.wants_size), (tail.len(), Mode::Octet, true));
        }
        let whole = read(b"\0\x01dir/a file~!.efi\0octet\0");
        assert_eq!((whole.name.as_str(), whole.cut), ("dir/a file~!.efi", 0));
    }

    #[test]
    fn bytes_behind_the_last_text_are_ignored() {
        assert_eq!(read(b"\0\x01a\0octet\0tsize\x000\0padding").name, "a");
    }

    #[test]
    fn bad_requests_are_told_apart() {
        assert_eq!(parse_request(b"\0\x02a\0octet\0"), Some(Ok(Request::Write)));
        assert_eq!(parse_request(b"\0\x01a"), Some(Err(Malformed::Text)));
        assert_eq!(parse_request(b"\0\x01\xff\xff\0octet\0"), Some(Err(Malformed::Text)));
        assert_eq!(
            parse_request(b"\0\x01a\0mail\0"),
            Some(Err(Malformed::Mode("mail".to_owned())))
        );
        assert_eq!(parse_request(b"\0\x04\0\x01"), None);
        assert_eq!(parse_request(b"\0"), None);
    }

    proptest! {
        #[test]
        fn no_packet_makes_us_fall_over(packet in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _request = parse_request(&packet);
            let _answer = parse_answer(&packet);
        }

        #[test]
        fn a_name_is_printable_whatever_was_sent(sent in proptest::collection::vec(1..=255_u8, 0..80)) {
            let packet = [b"\0\x01".as_slice(), &sent, b"\0octet\0"].concat();
            if let Some(Ok(Request::Read(read))) = parse_request(&packet) {
                prop_assert!(read.name.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
                prop_assert!(sent.starts_with(read.name.as_bytes()));
                prop_assert_eq!(read.name.len() + read.cut, sent.len());
            }
        }

        #[test]
        fn no_option_makes_us_fall_over(text in "[a-z0-9\\x00]{0,80}") {
            let packet = [b"\0\x01name\0octet\0".as_slice(), text.as_bytes(), b"\0"].concat();
            let read = read(&packet);
            prop_assert!(BLOCK_SIZES.contains(&read.block_size()));
            prop_assert!((1..=LARGEST_WINDOW).contains(&read.window()));
        }
    }
}
