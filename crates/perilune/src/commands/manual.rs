//! `perilune manual`, for those who make packages: manual pages, from the definition of the command line.

use std::path::PathBuf;

use clap::Args;

use crate::arguments::command;
use crate::failure::Failure;

#[derive(Args)]
pub(crate) struct Manual {
    /// The directory for the pages
    directory: PathBuf,
}

/// A page for each command. They are the same for the same program: no date is in them.
pub(crate) fn run(arguments: &Manual) -> Result<(), Failure> {
    std::fs::create_dir_all(&arguments.directory)?;
    Ok(clap_mangen::generate_to(command(), &arguments.directory)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        run(&Manual { directory: directory.path().to_owned() })
            .unwrap_or_else(|_| panic!("no pages"));
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert!(
            read("perilune.1").contains("Turns racks of blank machines into a running cluster")
        );
        assert!(read("perilune-node-add.1").contains("\\-\\-group"));
        assert!(std::fs::read_dir(directory.path()).unwrap().count() > 100);
        assert!(!directory.path().join("perilune-manual.1").exists(), "it is for packagers alone");
    }
}
