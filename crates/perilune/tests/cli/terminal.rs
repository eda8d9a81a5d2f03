//! A terminal with somebody in front of it.
#![expect(clippy::disallowed_methods, reason = "a test may block")]

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// As long is waited for what is shown.
const PATIENCE: Duration = Duration::from_mins(1);

/// A command on a terminal of its own (`script`, of the essential package bsdutils).
pub(crate) struct Terminal {
    process: Child,
    shown: Receiver<Vec<u8>>,
    text: String,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Terminal {
    /// Runs a command line; the program is found as `perilune`, and the daemon whose data is in this directory.
    pub(crate) fn start(line: &str, data: &Path) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_perilune")).parent().unwrap();
        let path = format!("{}:/usr/bin:/bin", program.display());
        let mut process = Command::new("script")
            .args(["-qfec", line, "/dev/null"])
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
        Self { process, shown, text: String::new() }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.process.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until what is typed at a terminal is not shown.
    pub(crate) fn until_it_shows_nothing(terminal: &str) {
        let begun = Instant::now();
        loop {
            let state = Command::new("stty").args(["-a", "-F", terminal]).output().unwrap();
            let state = String::from_utf8_lossy(&state.stdout).into_owned();
            if state.split_whitespace().any(|word| word == "-echo") {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{terminal}: {state}");
        }
    }

    /// What is shown until this is.
    pub(crate) fn until(&mut self, wanted: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.text.find(wanted) {
                let rest = self.text.split_off(place + wanted.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("'{wanted}' is not shown ({error}): {}", self.text),
            }
        }
    }
}
