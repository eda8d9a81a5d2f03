//! BIND on a machine of the network.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use perilune_testkit::process::{end, wait_for};

use crate::site::{Machine, limit};

/// `named` on a machine. It ends with this value.
pub(super) struct Bind {
    process: Child,
    directory: tempfile::TempDir,
}

impl Bind {
    /// Starts it with options and zones. `DIR` in them stands for its directory.
    pub(super) fn start(machine: &Machine, program: &str, options: &str, rest: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().display().to_string();
        let text = format!(
            "options {{ directory \"DIR\"; pid-file \"DIR/pid\"; session-keyfile none; managed-keys-directory \"DIR\"; listen-on {{ any; }}; \
             listen-on-v6 {{ none; }}; dnssec-validation no; notify no; {options} }};\ncontrols {{ }};\n{rest}"
        );
        let file = directory.path().join("named.conf");
        fs::write(&file, text.replace("DIR", &place)).unwrap();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let mut named = machine.lab.command(program);
        named.arg("-g").arg("-c").arg(&file).stdout(Stdio::null()).stderr(log);
        let process = named.spawn().unwrap();
        let bind = Self { process, directory };
        let runs = || bind.log().contains("running").then_some(());
        assert!(wait_for(&limit(), runs).unwrap().is_some(), "{}", bind.log());
        bind
    }

    /// A zone file, as BIND finds it.
    pub(super) fn zone(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        (directory, file)
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        end(&mut self.process);
        if std::thread::panicking() {
            eprintln!("The log of BIND:\n{}", self.log());
        }
    }
}
