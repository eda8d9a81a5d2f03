//! What a node tells when it is installed on a disk.

use serde::{Deserialize, Serialize};

/// Where a node starts from by itself. What is not known is unset: a script may have made the root.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Installation {
    /// The UUID of the file system with the boot loader's first file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<String>,
    /// That file there: an EFI program, or the configuration of GRUB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

const LONGEST: usize = 200;

impl Installation {
    /// The same without what is too long to be kept. It comes from a machine.
    #[must_use]
    pub fn within_bounds(self) -> Self {
        let kept = |text: Option<String>| text.filter(|text| text.len() <= LONGEST);
        Self { filesystem: kept(self.filesystem), file: kept(self.file) }
    }

    /// The file system and the file, when both can be put into a boot loader's script.
    pub fn start(&self) -> Option<(&str, &str)> {
        let is_plain = |text: &&str| {
            let is_fit = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            !text.is_empty() && text.len() <= LONGEST && text.chars().all(is_fit)
        };
        let filesystem = self.filesystem.as_deref().filter(is_plain)?;
        let file = self.file.as_deref().filter(is_plain).filter(|file| file.starts_with('/'))?;
        Some((filesystem, file))
    }
}
