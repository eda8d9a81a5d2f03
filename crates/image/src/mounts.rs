//! What becomes of file systems that are mounted inside an image's tree.

use std::path::Path;

use perilune_archive::{Error, Mount, Options, Totals, measure};

/// What becomes of them. What is not mounted belongs to the tree in any case, subvolumes included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mounts {
    /// They are named, and nothing is made: half an image looks like a whole one until a node boots it.
    #[default]
    Refuse,
    /// What is in them stays out.
    LeaveOut,
    /// What is in them belongs to the tree.
    Include,
}

/// Where only a running system has files. What is mounted there, as for a shell by chroot, is never part of an image.
const RUNNING: [&str; 5] = ["proc", "sys", "dev", "run", "tmp"];

/// Measures a tree, and adds to `options` what is not read of it. What stays out because that was asked for is told.
pub(crate) fn measured(
    tree: &Path,
    options: &mut Options,
    mounts: Mounts,
    warnings: &mut Vec<String>,
) -> Result<Totals, Error> {
    loop {
        let found = match measure(tree, options) {
            Err(Error::Mounted { mounts, .. }) => mounts,
            other => return other,
        };
        let (of_running, others): (Vec<Mount>, Vec<Mount>) = found
            .into_iter()
            .partition(|mount| RUNNING.iter().any(|name| mount.path.starts_with(name)));
        options.empty_directories.extend(of_running.into_iter().map(|mount| mount.path));
        match mounts {
            _ if others.is_empty() => {}
            Mounts::Refuse => return Err(Error::Mounted { tree: tree.to_owned(), mounts: others }),
            Mounts::Include => options.one_file_system = false,
            Mounts::LeaveOut => {
                let told = others
                    .iter()
                    .map(|mount| format!("{mount} is mounted in the tree and was left out"));
                warnings.extend(told);
                options.empty_directories.extend(others.into_iter().map(|mount| mount.path));
            }
        }
    }
}
