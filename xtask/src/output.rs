//! What the reader sees: steps, the commands as a person would type them, and one line for each event.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these tasks talk to the person who started them"
)]

use std::time::Instant;

use perilune_testkit::process::{command, describe};

/// Prints lines with the time since the start. Each is one write, so that threads do not mix theirs.
pub(crate) struct Output {
    started: Instant,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now() }
    }

    /// A new chapter.
    pub(crate) fn step(&self, text: &str) {
        println!("\n[{:6.1} s] == {text}", self.seconds());
    }

    pub(crate) fn line(&self, text: &str) {
        println!("[{:6.1} s] {text}", self.seconds());
    }

    pub(crate) fn event(&self, node: &str, text: &str) {
        println!("[{:6.1} s] {node:<9} {text}", self.seconds());
    }

    /// A command that is about to run, as a person would type it.
    pub(crate) fn command(&self, program: &str, arguments: &[String]) {
        println!("[{:6.1} s] $ {}", self.seconds(), describe(command(program).args(arguments)));
    }

    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

/// A block of text as it is: a table, a log.
pub(crate) fn block(text: &str) {
    println!("{text}");
}

/// Why it ended: what failed, and each cause below it.
pub(crate) fn failure(error: &anyhow::Error) {
    let causes: Vec<String> =
        error.chain().map(|cause| cause.to_string().trim_end().to_owned()).collect();
    eprintln!("\nFAILED: {}", causes.join("\n  because "));
}
