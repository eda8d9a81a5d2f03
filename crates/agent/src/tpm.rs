//! What the machine's TPM has measured of its firmware.

use std::fs;
use std::path::Path;

/// As the kernel shows it (Documentation/ABI/stable/sysfs-class-tpm): register 0 for SHA-256, hexadecimal.
const REGISTER: &str = "/sys/class/tpm/tpm0/pcr-sha256/0";

/// Register 0, which has the firmware; none without a TPM 2.0.
pub fn measured() -> Option<String> {
    read(Path::new(REGISTER))
}

fn read(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_read_and_none_is_made_up() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("0");
        assert_eq!(read(&file), None);
        fs::write(&file, "3D458CFE\n").unwrap();
        assert_eq!(read(&file).as_deref(), Some("3D458CFE"));
    }
}
