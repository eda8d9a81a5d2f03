//! Tar blocks to members. The reader is strict: an archive that ends early or does not add up is an error.

use std::io::{self, Read};

use tar::{EntryType, Header};

use crate::{
    Error,
    encode::{BLOCK, padding},
    member::{Kind, Member, Metadata, Time},
    sparse::Extent,
};

/// Extended headers and long names are kept in memory; nothing honest is larger.
const LARGEST_RECORD: u64 = 1 << 20;
/// As many extents as a file may have.
const MOST_EXTENTS: usize = 1 << 20;

/// Reads members one after the other. The caller takes all data of a member before asking for the next.
pub(crate) struct Decoder<R> {
    input: R,
    /// Data of the present member that was not read yet, and the padding behind it.
    remaining: u64,
    padding: usize,
}

/// What the records before a header say about it.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    owner: Option<u32>,
    group: Option<u32>,
    modified: Option<Time>,
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// The real size of a file in GNU's PAX sparse format 1.0, whose map stands before its data.
    sparse_size: Option<u64>,
    sparse_name: Option<Vec<u8>>,
    /// Whether the major number of the format is 1, and the minor 0.
    sparse_format: (bool, bool),
}

impl<R: Read> Decoder<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, remaining: 0, padding: 0 }
    }

    /// The next member, or `None` at the end mark.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, Error> {
        self.skip_rest()?;
        let mut extension = Extension::default();
        loop {
            let header = self.header()?;
            if header.as_bytes().iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            check(&header)?;
            let size = number(header.entry_size(), "a size")?;
            match header.entry_type() {
                EntryType::GNULongName => extension.path = Some(until_zero(self.record(size)?)),
                EntryType::GNULongLink => extension.target = Some(until_zero(self.record(size)?)),
                EntryType::XHeader => extension.read(&self.record(size)?)?,
                EntryType::XGlobalHeader => drop(self.record(size)?),
                kind => return self.member(&header, kind, extension).map(Some),
            }
        }
    }

    /// Reads data of the present member; 0 when all was read.
    pub(crate) fn read_data(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let limit = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..limit).filter(|buffer| !buffer.is_empty()) else {
            return Ok(0);
        };
        loop {
            match self.input.read(buffer) {
                Ok(0) => return Err(Error::Truncated { what: "a file".to_owned() }),
                Ok(count) => {
                    self.remaining = self.remaining.saturating_sub(count as u64);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Input { source }),
            }
        }
    }

    /// Reads what follows the end mark, so that a checksum covers the whole stream.
    pub(crate) fn drain(mut self) -> Result<(), Error> {
        io::copy(&mut self.input, &mut io::sink()).map_err(|source| Error::Input { source })?;
        Ok(())
    }

    fn member(
        &mut self,
        header: &Header,
        entry: EntryType,
        extension: Extension,
    ) -> Result<Member, Error> {
        let stored = match extension.size {
            Some(size) => size,
            None => number(header.entry_size(), "a size")?,
        };
        let path = extension
            .sparse_name
            .or(extension.path)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let target =
            extension.target.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let target = target.unwrap_or_default();
        let metadata = Metadata {
            mode: number(header.mode(), "a mode")?,
            owner: extension.owner.map_or_else(|| narrow(header.uid(), "an owner"), Ok)?,
            group: extension.group.map_or_else(|| narrow(header.gid(), "a group"), Ok)?,
            modified: match extension.modified {
                Some(time) => time,
                None => Time {
                    seconds: number(header.mtime(), "a time")?.cast_signed(),
                    nanoseconds: 0,
                },
            },
            attributes: extension.attributes,
        };
        // Old archives tell a directory by the slash.
        let is_directory = entry.is_dir() || (entry == EntryType::Regular && path.ends_with(b"/"));
        (self.remaining, self.padding) = (0, 0);
        let kind = match entry {
            _ if is_directory => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => {
                self.file(stored, extension.sparse_size, extension.sparse_format)?
            }
            EntryType::GNUSparse => self.old_sparse_file(header, stored)?,
            EntryType::Link => Kind::HardLink { target },
            EntryType::Symlink => Kind::Symlink { target },
            EntryType::Char | EntryType::Block => device(header, entry)?,
            EntryType::Fifo => Kind::Fifo,
            other => {
                return Err(Error::malformed(format!(
                    "{} has the unknown type {:?}",
                    String::from_utf8_lossy(&path),
                    char::from(other.as_byte())
                )));
            }
        };
        Ok(Member { path, kind, metadata })
    }

    fn file(
        &mut self,
        stored: u64,
        sparse: Option<u64>,
        format: (bool, bool),
    ) -> Result<Kind, Error> {
        self.expect_data(stored);
        let Some(size) = sparse else { return Ok(Kind::File { size: stored, extents: None }) };
        if format != (true, true) {
            return Err(Error::malformed("it holds a sparse file of an unknown format"));
        }
        let count = self.map_number()?;
        let mut extents = Vec::new();
        for _ in 0..count {
            let (offset, length) = (self.map_number()?, self.map_number()?);
            push_extent(&mut extents, offset, length, size)?;
        }
        // The map fills whole blocks.
        let used = stored - self.remaining;
        let mut rest = [0; BLOCK];
        let mut left = padding(used);
        while left > 0 {
            let count = self.read_data(rest.get_mut(..left).unwrap_or_default())?;
            if count == 0 {
                break;
            }
            left -= count;
        }
        self.finished_map(extents, size)
    }

    /// A decimal number and a newline from the map that stands before the data.
    fn map_number(&mut self) -> Result<u64, Error> {
        let mut value: u64 = 0;
        for _ in 0..20 {
            let mut byte = [0];
            self.read_data(&mut byte)?;
            match byte {
                [b'\n'] => return Ok(value),
                [digit @ b'0'..=b'9'] => {
                    let next = value
                        .checked_mul(10)
                        .and_then(|tens| tens.checked_add(u64::from(digit - b'0')));
                    value = next
                        .ok_or_else(|| Error::malformed("a number in a sparse map is too large"))?;
                }
                _ => break,
            }
        }
        Err(Error::malformed("a sparse map does not consist of numbers"))
    }

    fn old_sparse_file(&mut self, header: &Header, stored: u64) -> Result<Kind, Error> {
        let gnu = header
            .as_gnu()
            .ok_or_else(|| Error::malformed("a sparse file without a GNU header"))?;
        let size = number(gnu.real_size(), "a size")?;
        let mut extents = Vec::new();
        let mut read = |slots: &[tar::GnuSparseHeader]| -> Result<(), Error> {
            for slot in slots.iter().filter(|slot| !slot.is_empty()) {
                let offset = number(slot.offset(), "an offset")?;
                push_extent(&mut extents, offset, number(slot.length(), "a length")?, size)?;
            }
            Ok(())
        };
        read(&gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let mut extension = tar::GnuExtSparseHeader::new();
            self.fill(extension.as_mut_bytes(), "a sparse map")?;
            read(extension.sparse())?;
            more = extension.is_extended();
        }
        self.expect_data(stored);
        self.finished_map(extents, size)
    }

    fn finished_map(&self, extents: Vec<Extent>, size: u64) -> Result<Kind, Error> {
        let kind = Kind::File { size, extents: Some(extents) };
        if kind.stored_size() != self.remaining {
            return Err(Error::malformed("a sparse map does not fit its data"));
        }
        Ok(kind)
    }

    fn header(&mut self) -> Result<Header, Error> {
        let mut header = Header::new_old();
        self.fill(header.as_mut_bytes(), "its members")?;
        Ok(header)
    }

    fn record(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        if size > LARGEST_RECORD {
            return Err(Error::malformed(format!("an extended header has {size} bytes")));
        }
        let mut value = vec![0; usize::try_from(size).unwrap_or_default()];
        self.fill(&mut value, "an extended header")?;
        let mut rest = [0; BLOCK];
        self.fill(rest.get_mut(..padding(size)).unwrap_or_default(), "an extended header")?;
        Ok(value)
    }

    fn fill(&mut self, buffer: &mut [u8], what: &str) -> Result<(), Error> {
        self.input.read_exact(buffer).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => Error::Truncated { what: what.to_owned() },
            _ => Error::Input { source },
        })
    }

    fn expect_data(&mut self, size: u64) {
        self.remaining = size;
        self.padding = padding(size);
    }

    fn skip_rest(&mut self) -> Result<(), Error> {
        let mut buffer = [0; 8192];
        while self.read_data(&mut buffer)? > 0 {}
        let padding = std::mem::take(&mut self.padding);
        self.fill(buffer.get_mut(..padding).unwrap_or_default(), "a file")
    }
}

impl Extension {
    fn read(&mut self, mut records: &[u8]) -> Result<(), Error> {
        while !records.is_empty() {
            let (key, value, rest) = split_record(records)
                .ok_or_else(|| Error::malformed("an extended header cannot be read"))?;
            self.set(key, value)?;
            records = rest;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"GNU.sparse.name" => self.sparse_name = Some(value.to_vec()),
            b"linkpath" => self.target = Some(value.to_vec()),
            b"size" => self.size = Some(parse(value, "a size")?),
            b"uid" => self.owner = Some(parse(value, "an owner")?),
            b"gid" => self.group = Some(parse(value, "a group")?),
            b"mtime" => self.modified = Some(parse_time(value)?),
            b"GNU.sparse.major" => self.sparse_format.0 = value == b"1",
            b"GNU.sparse.minor" => self.sparse_format.1 = value == b"0",
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                self.sparse_size = Some(parse(value, "a size")?);
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.attributes.push((unescaped(name), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// Splits `<length> <key>=<value>\n` off; a value may hold any bytes, newlines too.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(records.get(..space)?).ok()?.parse().ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let (newline, body) = record.get(space + 1..)?.split_last()?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    let (key, value) = body.split_at_checked(equals)?;
    (*newline == b'\n').then_some((key, value.get(1..)?, rest))
}

fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, tail)) = rest.split_first() {
        let (byte, after) = match rest {
            [b'%', b'3', b'D', after @ ..] => (b'=', after),
            [b'%', b'2', b'5', after @ ..] => (b'%', after),
            _ => (*first, tail),
        };
        plain.push(byte);
        rest = after;
    }
    plain
}

fn check(header: &Header) -> Result<(), Error> {
    let sum: u32 = header
        .as_bytes()
        .iter()
        .enumerate()
        .map(|(position, byte)| if (148..156).contains(&position) { 32 } else { u32::from(*byte) })
        .sum();
    match header.cksum() {
        Ok(stored) if stored == sum => Ok(()),
        _ => Err(Error::malformed("a header has a wrong checksum")),
    }
}

fn device(header: &Header, entry: EntryType) -> Result<Kind, Error> {
    let major = number(header.device_major(), "a device number")?.unwrap_or(0);
    let minor = number(header.device_minor(), "a device number")?.unwrap_or(0);
    Ok(if entry == EntryType::Char {
        Kind::Character { major, minor }
    } else {
        Kind::Block { major, minor }
    })
}

fn push_extent(
    extents: &mut Vec<Extent>,
    offset: u64,
    length: u64,
    size: u64,
) -> Result<(), Error> {
    let start = extents.last().map_or(0, |last| last.offset + last.length);
    let fits = offset >= start && offset.checked_add(length).is_some_and(|end| end <= size);
    if !fits || extents.len() >= MOST_EXTENTS {
        return Err(Error::malformed("the sparse map of a file does not add up"));
    }
    extents.push(Extent { offset, length });
    Ok(())
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

fn number<T>(value: io::Result<T>, what: &str) -> Result<T, Error> {
    value.map_err(|error| Error::malformed(format!("{what} is not a number ({error})")))
}

fn narrow(value: io::Result<u64>, what: &str) -> Result<u32, Error> {
    let value = number(value, what)?;
    u32::try_from(value).map_err(|error| Error::malformed(format!("{what} is {value} ({error})")))
}

fn parse<T: std::str::FromStr>(value: &[u8], what: &str) -> Result<T, Error> {
    let parsed = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    parsed
        .ok_or_else(|| Error::malformed(format!("{what} is {:?}", String::from_utf8_lossy(value))))
}

fn parse_time(value: &[u8]) -> Result<Time, Error> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let whole: i64 = parse(whole.as_bytes(), "a time")?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = parse(digits.as_bytes(), "a time")?;
    Ok(match (negative, nanoseconds) {
        (false, _) => Time { seconds: whole, nanoseconds },
        (true, 0) => Time { seconds: -whole, nanoseconds: 0 },
        (true, _) => Time { seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}
