//! What a program needs of the system that runs it: which version of glibc.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::FileHeader as _;

/// Enterprise Linux 9 has this one; Debian 12 a newer.
const OLDEST: (u32, u32) = (2, 34);

/// The version of glibc that the program needs at least. One that EL 9 does not have is refused.
pub(super) fn needed_libc(program: &Path) -> Result<String> {
    let content = fs::read(program).with_context(|| program.display().to_string())?;
    let versions = versions(&content).with_context(|| program.display().to_string())?;
    let needed = newest(&versions).context("it needs no glibc, so that it is not the program")?;
    ensure!(
        needed <= OLDEST,
        "{} needs glibc {}.{}, and Enterprise Linux 9 has {}.{}: build on an older system",
        program.display(),
        needed.0,
        needed.1,
        OLDEST.0,
        OLDEST.1
    );
    Ok(format!("{}.{}", needed.0, needed.1))
}

/// The versions of symbols that the program needs from libraries, such as `GLIBC_2.34`.
fn versions(content: &[u8]) -> Result<Vec<String>> {
    let header = FileHeader64::<Endianness>::parse(content)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, content)?;
    let mut found = Vec::new();
    let Some((mut libraries, strings)) = sections.gnu_verneed(endian, content)? else {
        return Ok(found);
    };
    let strings = sections.strings(endian, content, strings)?;
    while let Some((_, mut versions)) = libraries.next()? {
        while let Some(version) = versions.next()? {
            found.push(String::from_utf8_lossy(version.name(endian, strings)?).into_owned());
        }
    }
    Ok(found)
}

fn newest(versions: &[String]) -> Option<(u32, u32)> {
    let number = |version: &String| {
        let mut parts = version.strip_prefix("GLIBC_")?.split('.').map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    versions.iter().filter_map(number).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_counts_and_numbers_are_numbers() {
        let versions = ["GLIBC_2.9", "GLIBC_2.34", "GLIBC_2.2.5", "GCC_3.0", "GLIBC_PRIVATE"]
            .map(str::to_owned);
        assert_eq!(newest(&versions), Some((2, 34)));
        assert_eq!(newest(&["GCC_3.0".to_owned()]), None);
    }

    #[test]
    fn this_very_program_needs_a_glibc() {
        let content = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(newest(&versions(&content).unwrap()) >= Some((2, 2)));
        assert!(versions(b"no program").is_err());
    }
}
