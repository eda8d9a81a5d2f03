//! What the shell completes, in a bash that somebody types into.
#![expect(clippy::disallowed_methods, reason = "a test may block")]

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::kill::Daemon;
use crate::{perilune, said};

/// As long is waited for what the shell shows.
const PATIENCE: Duration = Duration::from_secs(60);

/// An interactive bash on a terminal of its own (`script`, of the essential package bsdutils).
struct Bash {
    process: Child,
    shown: Receiver<Vec<u8>>,
    text: String,
}

impl Drop for Bash {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Bash {
    fn start(data: &Path) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_perilune")).parent().unwrap();
        let path = format!("{}:/usr/bin:/bin", program.display());
        let mut process = Command::new("script")
            .args(["-qfec", "bash --norc --noprofile -i", "/dev/null"])
            .env_clear()
            .env("PATH", path)
            .env("HOME", data)
            .env("TERM", "dumb")
            .env("PS1", "")
            .env("PERILUNE_CONFIG", data.join("luna.ini"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = process.stdout.take().unwrap();
        let (sender, shown) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let mut bash = Self { process, shown, text: String::new() };
        bash.types("bind 'set bell-style none'; bind 'set enable-bracketed-paste off'\n");
        bash.types("source <(perilune completion bash); echo rea''dy\n");
        bash.until("ready");
        bash
    }

    fn types(&mut self, keys: &str) {
        self.process.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// What is shown until this is.
    fn until(&mut self, wanted: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.text.find(wanted) {
                let rest = self.text.split_off(place + wanted.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("'{wanted}' is not shown: {}", self.text),
            }
        }
    }

    /// The words that a line has become, when it was typed with a tab at its end.
    fn completed(&mut self, line: &str) -> String {
        // The line is not run: it is what the shell is told to print.
        self.types("\x15");
        self.types(&format!("{line}\t"));
        self.types("\x01printf '<%s>' \x05; echo e''nd\n");
        let shown = self.until("end");
        let words = shown.rsplit_once('<').map(|(before, _)| before.len()).unwrap_or_default();
        let line = shown[..words].rfind('\n').map_or(0, |place| place + 1);
        shown[line..].trim_end_matches("end").trim().to_owned()
    }
}

#[test]
fn names_commands_options_and_selectors_are_completed_in_a_real_shell() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let _daemon = Daemon::start(data);
    for words in [
        &["group", "add", "compute"][..],
        &["rack", "add", "row-1"],
        &["node", "add", "login1,worker[1-2]", "--group", "compute", "--label", "canary=yes"],
    ] {
        let output = perilune(data, words);
        assert!(output.status.success(), "{words:?}: {}", said(&output));
    }
    let mut bash = Bash::start(data);
    for (typed, words) in [
        ("perilune netw", "<perilune><network>"),
        ("perilune node interf", "<perilune><node><interface>"),
        ("perilune node list --colu", "<perilune><node><list><--columns>"),
        ("perilune node show log", "<perilune><node><show><login1>"),
        (
            "perilune node change login1,worker1,worker2 --gro",
            "<perilune><node><change><login1,worker1,worker2><--group>",
        ),
        (
            "perilune node change login1 --group com",
            "<perilune><node><change><login1><--group><compute>",
        ),
        ("perilune nodes rack:r", "<perilune><nodes><rack:row-1>"),
        ("perilune nodes @com", "<perilune><nodes><@compute>"),
        ("perilune nodes worker1,log", "<perilune><nodes><worker1,login1>"),
        ("perilune nodes label:can", "<perilune><nodes><label:canary=yes>"),
        ("perilune power off @com", "<perilune><power><off><@compute>"),
        ("perilune node list -x log", "<perilune><node><list><-x><login1>"),
        // In quotes, as selectors with & and ! are written.
        ("perilune nodes 'rack:row-1&log", "<perilune><nodes><rack:row-1&login1>"),
        ("perilune nodes \"rack:row-1&@com", "<perilune><nodes><rack:row-1&@compute>"),
        // What nobody knows stays as it is.
        ("perilune nodes nobody", "<perilune><nodes><nobody>"),
    ] {
        assert_eq!(bash.completed(typed), words, "{typed}");
    }
}
