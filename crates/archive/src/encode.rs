//! Members to tar blocks.
//!
//! The headers are GNU ones, because those carry names, owners and sizes of any kind and the old sparse format,
//! which every tar reads. What they lack (extended attributes, fractions of a second) stands before them in a
//! PAX extended header.

use tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header};

use crate::{
    access_list::text_of,
    member::{Kind, Member, Metadata, Time},
    sparse::Extent,
};

pub(crate) const BLOCK: usize = 512;
/// Names that do not fit in a header's field get a record of their own.
const FIELD: usize = 100;

/// All blocks that precede the member's data.
pub(crate) fn header_of(member: &Member) -> Vec<u8> {
    let mut blocks = Vec::with_capacity(3 * BLOCK);
    let records = extended_records(&member.metadata);
    if !records.is_empty() {
        record(&mut blocks, EntryType::XHeader, b"././@PaxHeader", &records);
    }
    let name = stored_name(&member.path, &member.kind);
    long(&mut blocks, EntryType::GNULongName, &name);
    let target = stored_target(&member.kind);
    long(&mut blocks, EntryType::GNULongLink, &target);

    let metadata = &member.metadata;
    let mut header = Header::new_gnu();
    fill(&mut header.as_old_mut().name, &name);
    fill(&mut header.as_old_mut().linkname, &target);
    header.set_mode(metadata.mode & 0o7777);
    header.set_uid(metadata.owner.into());
    header.set_gid(metadata.group.into());
    header.set_mtime(u64::try_from(metadata.modified.seconds).unwrap_or(0));
    header.set_entry_type(entry_type(&member.kind));
    header.set_size(member.kind.stored_size());
    let mut rest: &[Extent] = &[];
    let map;
    if let Some(gnu) = header.as_gnu_mut() {
        if let Kind::Character { major, minor } | Kind::Block { major, minor } = member.kind {
            gnu.set_device_major(major);
            gnu.set_device_minor(minor);
        }
        if let Kind::File { size, extents: Some(extents) } = &member.kind {
            map = closed_map(extents, *size);
            rest = write_extents(&mut gnu.sparse, &map);
            gnu.set_real_size(*size);
            gnu.set_is_extended(!rest.is_empty());
        }
    }
    header.set_cksum();
    blocks.extend_from_slice(header.as_bytes());
    while !rest.is_empty() {
        let mut extension = GnuExtSparseHeader::new();
        rest = write_extents(extension.sparse_mut(), rest);
        extension.set_is_extended(!rest.is_empty());
        blocks.extend_from_slice(extension.as_bytes());
    }
    blocks
}

/// Zeros that fill the last block of `size` bytes of data.
pub(crate) fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    if over == 0 { 0 } else { BLOCK - over }
}

fn stored_name(path: &[u8], kind: &Kind) -> Vec<u8> {
    let mut name = b"./".to_vec();
    name.extend_from_slice(path);
    if matches!(kind, Kind::Directory) && !path.is_empty() {
        name.push(b'/');
    }
    name
}

fn stored_target(kind: &Kind) -> Vec<u8> {
    match kind {
        Kind::HardLink { target } => stored_name(target, kind),
        Kind::Symlink { target } => target.clone(),
        _ => Vec::new(),
    }
}

fn entry_type(kind: &Kind) -> EntryType {
    match kind {
        Kind::Directory => EntryType::Directory,
        Kind::File { extents: Some(_), .. } => EntryType::GNUSparse,
        Kind::File { extents: None, .. } => EntryType::Regular,
        Kind::HardLink { .. } => EntryType::Link,
        Kind::Symlink { .. } => EntryType::Symlink,
        Kind::Character { .. } => EntryType::Char,
        Kind::Block { .. } => EntryType::Block,
        Kind::Fifo => EntryType::Fifo,
    }
}

/// A hole at the end is told by an empty extent behind it.
fn closed_map(extents: &[Extent], size: u64) -> Vec<Extent> {
    let mut map = extents.to_vec();
    let end = map.last().map_or(0, |last| last.offset + last.length);
    if end < size {
        map.push(Extent { offset: size, length: 0 });
    }
    map
}

/// Fills the slots and returns what did not fit.
fn write_extents<'a>(slots: &mut [GnuSparseHeader], map: &'a [Extent]) -> &'a [Extent] {
    for (slot, extent) in slots.iter_mut().zip(map) {
        slot.set_offset(extent.offset);
        slot.set_length(extent.length);
    }
    map.get(slots.len()..).unwrap_or_default()
}

fn long(blocks: &mut Vec<u8>, kind: EntryType, name: &[u8]) {
    if name.len() >= FIELD {
        let mut value = name.to_vec();
        value.push(0);
        record(blocks, kind, b"././@LongLink", &value);
    }
}

fn record(blocks: &mut Vec<u8>, kind: EntryType, name: &[u8], value: &[u8]) {
    let mut header = Header::new_gnu();
    fill(&mut header.as_old_mut().name, name);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(kind);
    header.set_size(value.len() as u64);
    header.set_cksum();
    blocks.extend_from_slice(header.as_bytes());
    blocks.extend_from_slice(value);
    blocks.resize(blocks.len() + padding(value.len() as u64), 0);
}

fn fill(field: &mut [u8], value: &[u8]) {
    field.fill(0);
    for (to, from) in field.iter_mut().zip(value) {
        *to = *from;
    }
}

fn extended_records(metadata: &Metadata) -> Vec<u8> {
    let mut records = Vec::new();
    if metadata.modified.nanoseconds != 0 || metadata.modified.seconds < 0 {
        pax(&mut records, b"mtime", decimal(metadata.modified).as_bytes());
    }
    for (name, value) in &metadata.attributes {
        let mut key = b"SCHILY.xattr.".to_vec();
        for byte in name {
            match byte {
                b'%' => key.extend_from_slice(b"%25"),
                b'=' => key.extend_from_slice(b"%3D"),
                other => key.push(*other),
            }
        }
        pax(&mut records, &key, value);
        add_for_gnu_tar(&mut records, name, value);
    }
    records
}

/// GNU tar's `--acls` and `--selinux` do not look among the attributes.
fn add_for_gnu_tar(records: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let list = |key: &[u8], records: &mut Vec<u8>| {
        if let Some(text) = text_of(value) {
            pax(records, key, text.as_bytes());
        }
    };
    match name {
        b"system.posix_acl_access" => list(b"SCHILY.acl.access", records),
        b"system.posix_acl_default" => list(b"SCHILY.acl.default", records),
        b"security.selinux" => {
            let label = value.strip_suffix(&[0]).unwrap_or(value);
            pax(records, b"RHT.security.selinux", label);
        }
        _ => {}
    }
}

/// `<length> <key>=<value>\n`, where the length counts its own digits.
fn pax(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + digits(length) {
        length = rest + digits(length);
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn decimal(time: Time) -> String {
    let Time { seconds, nanoseconds } = time;
    if seconds < 0 && nanoseconds > 0 {
        return format!("-{}.{:09}", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanoseconds);
    }
    if nanoseconds == 0 { seconds.to_string() } else { format!("{seconds}.{nanoseconds:09}") }
}
