//! The outside of a DHCP packet, both ways: a head of fixed fields, and options (RFC 2131, section 2).
//!
//! Machines may send anything. One option of a wrong length hides none behind it, and what the relay said is kept as it came, so that it
//! can go back byte for byte.

use std::net::Ipv4Addr;
use std::ops::Range;

/// Where the options begin, behind the mark of DHCP.
const OPTIONS: usize = 240;
const MAGIC: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const SERVER_NAME: Range<usize> = 44..108;
const FILE: Range<usize> = 108..236;
/// RFC 951 and RFC 1542, section 2.1: some firmware drops anything shorter.
const SHORTEST: usize = 300;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
/// The flag of those who cannot receive at an address that they do not have yet.
const BROADCAST: u8 = 0x80;

/// Codes of the options that are read or written here.
pub(crate) mod code {
    pub(crate) const PAD: u8 = 0;
    pub(crate) const SUBNET_MASK: u8 = 1;
    pub(crate) const ROUTER: u8 = 3;
    pub(crate) const NAME_SERVER: u8 = 6;
    pub(crate) const HOST_NAME: u8 = 12;
    pub(crate) const DOMAIN_NAME: u8 = 15;
    pub(crate) const INTERFACE_MTU: u8 = 26;
    pub(crate) const BROADCAST_ADDRESS: u8 = 28;
    pub(crate) const TIME_SERVER: u8 = 42;
    pub(crate) const REQUESTED_ADDRESS: u8 = 50;
    pub(crate) const LEASE_TIME: u8 = 51;
    pub(crate) const OVERLOAD: u8 = 52;
    pub(crate) const KIND: u8 = 53;
    pub(crate) const SERVER: u8 = 54;
    pub(crate) const PARAMETER_LIST: u8 = 55;
    pub(crate) const MESSAGE: u8 = 56;
    pub(crate) const LARGEST_MESSAGE: u8 = 57;
    pub(crate) const RENEWAL: u8 = 58;
    pub(crate) const REBINDING: u8 = 59;
    pub(crate) const VENDOR_CLASS: u8 = 60;
    pub(crate) const CLIENT_IDENTIFIER: u8 = 61;
    pub(crate) const TFTP_SERVER: u8 = 66;
    pub(crate) const BOOT_FILE: u8 = 67;
    pub(crate) const USER_CLASS: u8 = 77;
    pub(crate) const CLIENT_NAME: u8 = 81;
    pub(crate) const RELAY: u8 = 82;
    pub(crate) const ARCHITECTURE: u8 = 93;
    /// RFC 3679 and later use: where the image of a switch is.
    pub(crate) const DEFAULT_URL: u8 = 114;
    pub(crate) const SUBNET_SELECTION: u8 = 118;
    pub(crate) const DOMAIN_SEARCH: u8 = 119;
    /// The site's own, by which existing tools tell our answers.
    pub(crate) const LUNA: u8 = 129;
    /// iPXE's encapsulated options.
    pub(crate) const IPXE: u8 = 175;
    /// Where Cumulus Linux finds what it sets itself up with.
    pub(crate) const CUMULUS_URL: u8 = 239;
    pub(crate) const END: u8 = 255;
}

/// A request as it came: its head, and those of its options that are read here.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    head: [u8; OPTIONS],
    options: Vec<(u8, Vec<u8>)>,
    /// Every instance of option 82 with its code and length, in the order in which they came.
    relay: Vec<u8>,
}

impl Packet {
    /// Reads a packet; `None` for what is no request, or whose options do not end where it does.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (head, options) = bytes.split_first_chunk::<OPTIONS>()?;
        if !head.ends_with(&MAGIC) || head.first() != Some(&REQUEST) {
            return None;
        }
        let mut packet = Self { head: *head, options: Vec::new(), relay: Vec::new() };
        packet.take(options)?;
        // RFC 2131, section 4.1: the file's field first, then the server's name.
        let overload = packet.option(code::OVERLOAD).and_then(<[u8]>::first).copied();
        for (bit, field) in [(1, FILE), (2, SERVER_NAME)] {
            if overload.is_some_and(|overload| overload <= 3 && overload & bit != 0) {
                // What is broken in there hides nothing that was read before.
                packet.take(head.get(field)?);
            }
        }
        Some(packet)
    }

    /// Takes the options of a field; `None` when one is longer than the field.
    fn take(&mut self, mut rest: &[u8]) -> Option<()> {
        while let Some((code, tail)) = rest.split_first() {
            match *code {
                code::PAD => rest = tail,
                code::END => break,
                code => {
                    let (length, tail) = tail.split_first()?;
                    let (value, next) = tail.split_at_checked(usize::from(*length))?;
                    self.keep(code, *length, value);
                    rest = next;
                }
            }
        }
        Some(())
    }

    /// Keeps what is read here. RFC 3396: the parts of a long option are joined. One of a fixed length is never in parts: of several, the
    /// first of the right length counts.
    fn keep(&mut self, code: u8, length: u8, value: &[u8]) {
        let fixed = match code {
            code::KIND | code::OVERLOAD => Some(1),
            code::LARGEST_MESSAGE => Some(2),
            code::REQUESTED_ADDRESS | code::SERVER | code::SUBNET_SELECTION => Some(4),
            code::PARAMETER_LIST
            | code::HOST_NAME
            | code::VENDOR_CLASS
            | code::CLIENT_IDENTIFIER
            | code::USER_CLASS
            | code::CLIENT_NAME
            | code::RELAY
            | code::ARCHITECTURE
            | code::IPXE => None,
            _ => return,
        };
        if code == code::RELAY {
            self.relay.extend([code, length]);
            self.relay.extend(value);
        }
        if fixed.is_some_and(|length| value.len() != length) {
            return;
        }
        match self.options.iter_mut().find(|(known, _)| *known == code) {
            Some((_, known)) if fixed.is_none() => known.extend(value),
            Some(_) => {}
            None => self.options.push((code, value.to_vec())),
        }
    }

    /// The value of an option that is read here.
    pub(crate) fn option(&self, code: u8) -> Option<&[u8]> {
        self.options.iter().find(|(known, _)| *known == code).map(|(_, value)| value.as_slice())
    }

    /// The address in an option of four bytes.
    pub(crate) fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.option(code)?.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes))
    }

    /// The kind of hardware, as ARP numbers it, and how long its addresses are said to be.
    pub(crate) fn hardware(&self) -> [u8; 2] {
        self.field(1)
    }

    /// Room for a hardware address; how much of it counts, [`Self::hardware`] says.
    pub(crate) fn client_address(&self) -> [u8; 16] {
        self.field(28)
    }

    /// The number of the exchange, chosen by the client.
    pub(crate) fn transaction(&self) -> u32 {
        u32::from_be_bytes(self.field(4))
    }

    /// The address that the client has and goes on using.
    pub(crate) fn current(&self) -> Ipv4Addr {
        self.field(12).into()
    }

    /// The relay's address on the client's side.
    pub(crate) fn relay_address(&self) -> Ipv4Addr {
        self.field(24).into()
    }

    fn field<const LENGTH: usize>(&self, at: usize) -> [u8; LENGTH] {
        let field = self.head.get(at..).and_then(<[u8]>::first_chunk);
        field.copied().unwrap_or([0; LENGTH])
    }

    /// How many bytes an answer may have: what the client says, and at least what everybody takes (RFC 2131, section 2).
    fn largest_answer(&self) -> usize {
        const EVERYBODY: u16 = 576;
        /// What reaches a client through any Ethernet in one piece.
        const ETHERNET: u16 = 1500;
        const IP_AND_UDP: u16 = 28;
        let said = self.option(code::LARGEST_MESSAGE).and_then(<[u8]>::first_chunk::<2>);
        let said = said.map_or(EVERYBODY, |bytes| u16::from_be_bytes(*bytes));
        usize::from(said.clamp(EVERYBODY, ETHERNET) - IP_AND_UDP)
    }
}

/// A packet that goes back.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    request: &'a Packet,
    /// The client's own address, while it has one.
    pub(crate) current: Ipv4Addr,
    /// The address that it is given.
    pub(crate) given: Ipv4Addr,
    /// Where its boot program is.
    pub(crate) next_server: Ipv4Addr,
    /// Its boot program.
    pub(crate) file: String,
    /// Whether a relay must broadcast the answer though the client does not ask for it.
    pub(crate) must_broadcast: bool,
    options: Vec<u8>,
}

impl<'a> Message<'a> {
    pub(crate) fn reply_to(request: &'a Packet) -> Self {
        Self {
            request,
            current: Ipv4Addr::UNSPECIFIED,
            given: Ipv4Addr::UNSPECIFIED,
            next_server: Ipv4Addr::UNSPECIFIED,
            file: String::new(),
            must_broadcast: false,
            options: Vec::with_capacity(SHORTEST),
        }
    }

    /// Adds an option, in several parts where it is long (RFC 3396); one without a value is none. What no longer fits into what the client
    /// takes is left out: what it cannot do without comes first.
    pub(crate) fn put(&mut self, code: u8, value: &[u8]) {
        const PART: usize = 255;
        let length = value.len() + 2 * value.len().div_ceil(PART);
        let end = 1;
        if OPTIONS + self.options.len() + length + end > self.request.largest_answer() {
            tracing::debug!(code, length, "a DHCP option does not fit into the answer");
            return;
        }
        for part in value.chunks(PART) {
            self.options.push(code);
            self.options.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
            self.options.extend(part);
        }
    }

    /// The packet. What the relay said goes back to it as it came, behind everything else (RFC 3046, section 2.2). It does not count against
    /// what the client takes, since the relay takes it out again.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let relay = &self.request.relay;
        let mut bytes = Vec::with_capacity(OPTIONS + self.options.len() + relay.len() + 64);
        let [hardware, length] = self.request.hardware();
        bytes.extend([REPLY, hardware, length, 0]);
        let transaction: [u8; 4] = self.request.field(4);
        bytes.extend(transaction);
        let [mut flags, more] = self.request.field(10);
        if self.must_broadcast {
            flags |= BROADCAST;
        }
        bytes.extend([0, 0, flags, more]);
        let addresses = [self.current, self.given, self.next_server, self.request.relay_address()];
        bytes.extend(addresses.iter().flat_map(Ipv4Addr::octets));
        bytes.extend(self.request.client_address());
        bytes.resize(FILE.start, 0);
        // The field ends in a zero byte; a longer name is in option 67 alone.
        bytes.extend(self.file.bytes().filter(|_| self.file.len() < FILE.len()));
        bytes.resize(FILE.end, 0);
        bytes.extend(MAGIC);
        bytes.extend(&self.options);
        bytes.extend(relay);
        bytes.push(code::END);
        bytes.resize(bytes.len().max(SHORTEST), 0);
        bytes
    }
}
