//! One entry of the firmware's list, as bytes (UEFI specification, sections 3.1.3 and 10.3).

/// May be started.
const ACTIVE: u32 = 1;
/// Kinds of the pieces of a device path.
const MESSAGING: u8 = 3;
const MEDIA: u8 = 4;
const END: [u8; 4] = [0x7f, 0xff, 4, 0];
/// Of messaging: a hardware address, IPv4, IPv6, an address of the web.
const OF_NETWORK: [u8; 4] = [11, 12, 13, 24];
/// Of media.
const HARD_DRIVE: u8 = 1;
const FILE: u8 = 4;
/// The hard drive has a GPT, and is known by the identity there.
const GPT: [u8; 2] = [2, 2];

/// A partition of a GPT.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) number: u32,
    /// In blocks of the disk.
    pub(super) start: u64,
    pub(super) size: u64,
    /// As it stands in the table.
    pub(super) identity: [u8; 16],
}

/// An entry that starts a file of a partition.
pub(super) fn render(label: &str, partition: &Partition, file: &str) -> Vec<u8> {
    let mut drive = partition.number.to_le_bytes().to_vec();
    drive.extend(partition.start.to_le_bytes());
    drive.extend(partition.size.to_le_bytes());
    drive.extend(partition.identity);
    drive.extend(GPT);
    let path = [
        piece(MEDIA, HARD_DRIVE, &drive),
        piece(MEDIA, FILE, &wide(&file.replace('/', "\\"))),
        END.to_vec(),
    ]
    .concat();
    let mut entry = ACTIVE.to_le_bytes().to_vec();
    entry.extend(u16::try_from(path.len()).unwrap_or(u16::MAX).to_le_bytes());
    entry.extend(wide(label));
    entry.extend(path);
    entry
}

/// All texts are short.
fn piece(kind: u8, part: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 4).unwrap_or(u16::MAX).to_le_bytes();
    [&[kind, part], length.as_slice(), content].concat()
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// The name of an entry, and where its path begins.
fn name(entry: &[u8]) -> Option<(String, usize)> {
    let (pairs, _) = entry.get(6..)?.as_chunks::<2>();
    let end = pairs.iter().position(|pair| *pair == [0, 0])?;
    let units: Vec<u16> = pairs.iter().take(end).map(|pair| u16::from_le_bytes(*pair)).collect();
    Some((String::from_utf16_lossy(&units), 6 + 2 * (end + 1)))
}

pub(super) fn label(entry: &[u8]) -> Option<String> {
    name(entry).map(|(name, _)| name)
}

/// Whether an entry starts from the network: its path says so, or it has started this machine and names no disk.
pub(super) fn is_network(entry: &[u8], has_started: bool) -> bool {
    let kinds = pieces(entry);
    let is_of_network = |(kind, part): &(u8, u8)| *kind == MESSAGING && OF_NETWORK.contains(part);
    kinds.iter().any(is_of_network)
        || (has_started && !kinds.iter().any(|(kind, _)| *kind == MEDIA))
}

/// The kinds of the pieces of the path. What is no path has none.
fn pieces(entry: &[u8]) -> Vec<(u8, u8)> {
    let mut found = Vec::new();
    let Some((_, mut at)) = name(entry) else { return found };
    while let Some(&[kind, part, low, high]) = entry.get(at..at + 4) {
        let length = usize::from(u16::from_le_bytes([low, high]));
        if kind == END[0] || length < 4 {
            break;
        }
        found.push((kind, part));
        at += length;
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file on a disk, and a card with a hardware address.
    pub(in super::super) const OTHER: [u8; 22] =
        [1, 0, 0, 0, 12, 0, b'o', 0, 0, 0, 4, 4, 8, 0, b'x', 0, 0, 0, 0x7f, 0xff, 4, 0];
    pub(in super::super) const NETWORK: [u8; 51] = {
        let mut entry = [0; 51];
        (entry[0], entry[4], entry[6]) = (1, 41, b'n');
        (entry[10], entry[11], entry[12]) = (MESSAGING, 11, 37);
        (entry[47], entry[48], entry[49]) = (END[0], END[1], END[2]);
        entry
    };

    /// Of firmware that names neither card nor disk.
    pub(in super::super) fn nameless() -> Vec<u8> {
        [&[1, 0, 0, 0, 8, 0, b'v', 0, 0, 0, 1, 3, 4, 0], END.as_slice()].concat()
    }

    #[test]
    fn an_entry_is_what_firmware_reads() {
        let partition = Partition { number: 2, start: 0x1000, size: 0x80000, identity: [9; 16] };
        let entry = render("Perilune", &partition, "/EFI/BOOT/BOOTX64.EFI");
        assert_eq!(label(&entry).as_deref(), Some("Perilune"));
        assert_eq!(pieces(&entry), [(4, 1), (4, 4)]);
        let path = &entry[6 + 18..];
        assert_eq!(usize::from(u16::from_le_bytes([entry[4], entry[5]])), path.len());
        assert_eq!(path.len(), 42 + 4 + 2 * ("/EFI/BOOT/BOOTX64.EFI".len() + 1) + 4);
        assert_eq!(path[..12], [4, 1, 42, 0, 2, 0, 0, 0, 0, 0x10, 0, 0]);
        assert_eq!(path[40..42], [2, 2]);
        assert!(path.ends_with(&[b'I', 0, 0, 0, 0x7f, 0xff, 4, 0]));
        assert!(!is_network(&entry, true));
    }

    #[test]
    fn entries_of_the_network_are_known() {
        assert!(
            is_network(&NETWORK, false) && !is_network(&OTHER, false) && !is_network(&OTHER, true)
        );
        assert!(is_network(&nameless(), true) && !is_network(&nameless(), false));
    }

    #[test]
    fn nonsense_has_no_name_and_an_end() {
        for nonsense in [&[][..], &[1], &[0xff; 7], &[1, 0, 0, 0, 4, 0, b'x', 0], &[0; 64]] {
            assert!(!is_network(nonsense, false), "{nonsense:x?}");
        }
        assert_eq!(label(&[1, 0, 0, 0, 4, 0, b'x', 0]), None);
    }
}
