//! What a program needs of the system that runs it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::Endianness;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

/// Whether a program runs wherever the kernel does: nothing is to be loaded beside it.
pub(super) fn is_static(program: &Path) -> Result<bool> {
    let content = fs::read(program).with_context(|| program.display().to_string())?;
    loads_nothing(&content).with_context(|| program.display().to_string())
}

fn loads_nothing(content: &[u8]) -> Result<bool> {
    let header = FileHeader64::<Endianness>::parse(content)?;
    let endian = header.endian()?;
    let parts = header.program_headers(endian, content)?;
    Ok(parts.iter().all(|part| part.p_type(endian) != PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_loads_libraries() {
        assert!(!is_static(&std::env::current_exe().unwrap()).unwrap());
        assert!(loads_nothing(b"no program").is_err());
    }
}
