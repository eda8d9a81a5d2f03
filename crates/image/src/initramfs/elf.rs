//! What an ELF file says about what it needs.

use object::{
    Endianness, FileKind, elf,
    read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader},
};

/// What a program or library is linked to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Linked {
    pub(crate) interpreter: Option<String>,
    /// Names of libraries, in order.
    pub(crate) needed: Vec<String>,
    /// Directories to look in first, `$ORIGIN` not replaced.
    pub(crate) search: Vec<String>,
    machine: u16,
    is_64_bit: bool,
}

impl Linked {
    pub(crate) fn parse(data: &[u8]) -> object::read::Result<Self> {
        if FileKind::parse(data)? == FileKind::Elf32 {
            linked(elf::FileHeader32::<Endianness>::parse(data)?, data)
        } else {
            linked(elf::FileHeader64::<Endianness>::parse(data)?, data)
        }
    }

    /// Whether a library of this kind can be loaded beside `other`.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        self.machine == other.machine && self.is_64_bit == other.is_64_bit
    }
}

/// The values of `key` in the `.modinfo` section of a kernel module.
pub(crate) fn module_information(data: &[u8], key: &str) -> object::read::Result<Vec<String>> {
    if FileKind::parse(data)? == FileKind::Elf32 {
        information(elf::FileHeader32::<Endianness>::parse(data)?, data, key)
    } else {
        information(elf::FileHeader64::<Endianness>::parse(data)?, data, key)
    }
}

fn linked<E: FileHeader<Endian = Endianness>>(
    header: &E,
    data: &[u8],
) -> object::read::Result<Linked> {
    let endian = header.endian()?;
    let mut linked = Linked {
        machine: header.e_machine(endian).0,
        is_64_bit: header.is_class_64(),
        ..Linked::default()
    };
    let segments = header.program_headers(endian, data)?;
    let text_at = |address: u64| {
        let loaded = segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD);
        let found = loaded.filter_map(|segment| {
            let start: u64 = segment.p_vaddr(endian).into();
            let bytes = segment.data(endian, data).ok()?;
            bytes.get(usize::try_from(address.checked_sub(start)?).ok()?..)
        });
        text(found.last().unwrap_or_default())
    };
    for segment in segments {
        if let Some(interpreter) = segment.interpreter(endian, data)? {
            linked.interpreter = Some(text(interpreter));
        }
        let Some(entries) = segment.dynamic(endian, data)? else { continue };
        let Some(strings) = entries.iter().find(|entry| entry.tag(endian) == elf::DT_STRTAB) else {
            continue;
        };
        for entry in entries.iter().take_while(|entry| entry.tag(endian) != elf::DT_NULL) {
            let string = || text_at(strings.val(endian).saturating_add(entry.val(endian)));
            match entry.tag(endian) {
                elf::DT_NEEDED => linked.needed.push(string()),
                elf::DT_RPATH | elf::DT_RUNPATH => {
                    linked.search.extend(
                        string().split(':').filter(|path| !path.is_empty()).map(str::to_owned),
                    );
                }
                _ => {}
            }
        }
    }
    Ok(linked)
}

fn information<E: FileHeader<Endian = Endianness>>(
    header: &E,
    data: &[u8],
    key: &str,
) -> object::read::Result<Vec<String>> {
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let Some((_, section)) = sections.section_by_name(endian, b".modinfo") else {
        return Ok(Vec::new());
    };
    let records = section.data(endian, data)?.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let values = records.filter_map(|record| {
        let (found, value) = record.split_once('=')?;
        (found == key).then(|| value.to_owned())
    });
    Ok(values.collect())
}

/// Up to the first zero byte.
fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
