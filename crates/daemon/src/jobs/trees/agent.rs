//! Where the program is that becomes `/init` of the installer.

use std::path::{Path, PathBuf};

use crate::jobs::error::Error;

const VARIABLE: &str = "PERILUNE_AGENT";
const NAME: &str = "perilune-agent";

/// The configured place, else the environment's, else beside this program or where packages put it.
pub(super) fn find(configured: Option<&Path>) -> Result<PathBuf, Error> {
    let variable = std::env::var_os(VARIABLE).map(PathBuf::from);
    let program = std::env::current_exe().ok();
    among(candidates(configured, variable, program.as_deref()))
}

/// Whoever names a place wants that one and no other.
fn candidates(
    configured: Option<&Path>,
    variable: Option<PathBuf>,
    program: Option<&Path>,
) -> Vec<PathBuf> {
    if let Some(named) = configured.map(Path::to_owned).or(variable) {
        return vec![named];
    }
    let Some(directory) = program.and_then(Path::parent) else { return vec![PathBuf::from(NAME)] };
    vec![directory.join(NAME), directory.join("../libexec/perilune").join(NAME)]
}

fn among(candidates: Vec<PathBuf>) -> Result<PathBuf, Error> {
    let found = candidates.iter().find(|path| path.is_file()).cloned();
    found.ok_or(Error::NoAgent { looked_for: candidates })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_place_counts_before_the_usual_ones() {
        let program = Path::new("/usr/bin/perilune");
        let usual = candidates(None, None, Some(program));
        assert_eq!(
            usual,
            ["/usr/bin/perilune-agent", "/usr/bin/../libexec/perilune/perilune-agent"]
                .map(PathBuf::from)
        );
        let from_variable = candidates(None, Some("/opt/agent".into()), Some(program));
        assert_eq!(from_variable, [PathBuf::from("/opt/agent")]);
        let configured =
            candidates(Some(Path::new("/srv/agent")), Some("/opt/agent".into()), Some(program));
        assert_eq!(configured, [PathBuf::from("/srv/agent")]);
    }

    #[test]
    fn an_absent_agent_is_told_with_every_place_that_was_looked_at() {
        let error = among(vec!["/nowhere/perilune-agent".into()]).unwrap_err();
        assert!(error.to_string().contains("/nowhere/perilune-agent"), "{error}");
        assert!(error.to_string().contains("PERILUNE_AGENT"), "{error}");
    }
}
