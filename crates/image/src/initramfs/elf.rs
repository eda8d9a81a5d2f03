//! What an ELF file says about what it needs.

use object::{
    Endianness, FileKind, elf,
    read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym},
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

/// What a kernel module says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ModuleFacts {
    /// The records of its `.modinfo` section: key and value.
    information: Vec<(String, String)>,
    /// The functions of the kernel, and of other modules, that it calls.
    pub(crate) undefined: Vec<String>,
}

impl ModuleFacts {
    pub(crate) fn parse(data: &[u8]) -> object::read::Result<Self> {
        if FileKind::parse(data)? == FileKind::Elf32 {
            facts(elf::FileHeader32::<Endianness>::parse(data)?, data)
        } else {
            facts(elf::FileHeader64::<Endianness>::parse(data)?, data)
        }
    }

    /// The values of a key, such as `firmware` or `alias`.
    pub(crate) fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        let of_key = self.information.iter().filter(move |(found, _)| found == key);
        of_key.map(|(_, value)| value.as_str())
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

fn facts<E: FileHeader<Endian = Endianness>>(
    header: &E,
    data: &[u8],
) -> object::read::Result<ModuleFacts> {
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let mut facts = ModuleFacts::default();
    if let Some((_, section)) = sections.section_by_name(endian, b".modinfo") {
        let records =
            section.data(endian, data)?.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let pairs = records.filter_map(|record| {
            let (key, value) = record.split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        });
        facts.information = pairs.collect();
    }
    let symbols = sections.symbols(endian, data, elf::SHT_SYMTAB)?;
    let undefined = symbols.iter().filter(|symbol| symbol.st_shndx(endian) == elf::SHN_UNDEF);
    for symbol in undefined {
        let name = String::from_utf8_lossy(symbol.name(endian, symbols.strings())?).into_owned();
        facts.undefined.extend(Some(name).filter(|name| !name.is_empty()));
    }
    Ok(facts)
}

/// Up to the first zero byte.
fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
