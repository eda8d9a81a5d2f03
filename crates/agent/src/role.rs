//! Roles: a script and the systemd unit that runs it, under the names that existing sites know.

use std::path::Path;

use anyhow::{Result, ensure};
use perilune_plan::Role;

use crate::console::Console;
use crate::tool;
use crate::tree::Tree;

/// Puts a role's files into the root and enables its unit there. An image without systemd keeps the files.
pub fn install(role: &Role, tree: &Tree, console: &Console) -> Result<()> {
    let name = role.name.as_str();
    ensure!(
        !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']),
        "'{}' cannot be the name of a role",
        name.escape_debug()
    );
    let unit = format!("luna-{name}.service");
    // A script's first line must be its interpreter's.
    let script = role.script.trim_start_matches(['\n', '\r']);
    tree.write(Path::new("usr/local/roles").join(name), script, 0o750)?;
    tree.write(Path::new("etc/systemd/system").join(&unit), &role.unit, 0o644)?;
    let enabled = tool::run(
        "chroot",
        [tree.root().as_os_str(), "systemctl".as_ref(), "enable".as_ref(), unit.as_ref()],
    );
    match enabled {
        Ok(_) => console.line(&format!("role '{name}' is installed")),
        Err(error) => console.warning(&format!("the unit {unit} could not be enabled: {error}")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::console::tests::Memory;

    fn role(name: &str) -> Role {
        let script = "\n#!/bin/sh\nexit 0\n".to_owned();
        Role { name: name.to_owned(), unit: "[Service]\n".to_owned(), script }
    }

    #[test]
    fn the_files_are_there_also_where_the_unit_cannot_be_enabled() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::default();
        let tree = Tree::new(directory.path());
        install(&role("scratch"), &tree, &Console::new(memory.clone())).unwrap();
        assert_eq!(tree.read("usr/local/roles/scratch").unwrap(), "#!/bin/sh\nexit 0\n");
        let mode = fs::metadata(directory.path().join("usr/local/roles/scratch")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o750);
        assert_eq!(tree.read("etc/systemd/system/luna-scratch.service").unwrap(), "[Service]\n");
        assert!(memory.text().contains("luna-scratch.service could not be enabled"));
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let console = Console::new(Memory::default());
        for name in ["", "../x", ".hidden", "a/b"] {
            let refused = install(&role(name), &Tree::new(directory.path()), &console);
            assert!(refused.unwrap_err().to_string().contains("cannot be the name of a role"));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
