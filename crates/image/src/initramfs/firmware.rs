//! Firmware that modules name.

use std::path::PathBuf;

use super::contents::Contents;
use crate::Error;

/// Adds the firmware file, plain or compressed, from the first place where the kernel would look for it. What the
/// image does not have is no failure: drivers name files for every revision of their hardware.
pub(crate) fn add(
    contents: &mut Contents<'_>,
    kernel_version: &str,
    name: &str,
) -> Result<(), Error> {
    for directory in [
        format!("updates/{kernel_version}"),
        "updates".to_owned(),
        kernel_version.to_owned(),
        String::new(),
    ] {
        for end in ["", ".zst", ".xz"] {
            let path = PathBuf::from("lib/firmware").join(&directory).join(format!("{name}{end}"));
            if contents.tree().file(&path).is_some() {
                contents.add(&path)?;
                return Ok(());
            }
        }
    }
    Ok(())
}
