//! Programs of the initramfs, all called here: their output is captured, and a failure says what they said.
#![expect(
    clippy::disallowed_methods,
    reason = "the agent has nothing else to do while a tool runs"
)]

use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const DIRECTORIES: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// How many of its last lines a failed tool is quoted with.
const QUOTED: usize = 4;

/// Why a tool did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "the program {program} is not in the initramfs; install it in the image and pack the image again"
    )]
    Missing { program: String },
    #[error("{program} cannot be started: {source}")]
    NotStarted { program: String, source: std::io::Error },
    #[error("{command} failed ({status}): {said}")]
    Failed { command: String, status: String, said: String },
}

/// A command with the search path of the initramfs and nothing else in its environment.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", DIRECTORIES)
        .env("HOME", "/root")
        .env("TERM", "linux")
        .env("LC_ALL", "C");
    command.current_dir("/");
    command
}

/// Runs a tool and returns what it wrote.
pub fn run<Word: AsRef<OsStr>>(
    program: &str,
    words: impl IntoIterator<Item = Word>,
) -> Result<String, Error> {
    feed(program, words, "")
}

/// Runs a tool with `input` on its standard input.
pub fn feed<Word: AsRef<OsStr>>(
    program: &str,
    words: impl IntoIterator<Item = Word>,
    input: &str,
) -> Result<String, Error> {
    let (command, output) = output(program, words, input)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let said = text + &String::from_utf8_lossy(&output.stderr);
    Err(Error::Failed {
        command: describe(&command),
        status: output.status.to_string(),
        said: quote(&said),
    })
}

/// How a tool ended whose exit status says more than yes and no.
#[derive(Debug)]
pub struct End {
    /// Nothing when it was killed.
    pub code: Option<i32>,
    pub said: String,
}

/// Runs a tool, and tells how it ended.
pub fn end<Word: AsRef<OsStr>>(
    program: &str,
    words: impl IntoIterator<Item = Word>,
) -> Result<End, Error> {
    let (_, output) = output(program, words, "")?;
    let said = [output.stdout, output.stderr].concat();
    Ok(End { code: output.status.code(), said: String::from_utf8_lossy(&said).into_owned() })
}

fn output<Word: AsRef<OsStr>>(
    program: &str,
    words: impl IntoIterator<Item = Word>,
    input: &str,
) -> Result<(Command, Output), Error> {
    let mut command = command(program);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let not_started = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound => Error::Missing { program: program.to_owned() },
        _ => Error::NotStarted { program: program.to_owned(), source },
    };
    let mut child = command.spawn().map_err(not_started)?;
    // A tool that ends without reading says why; that it hung up does not matter. All input is short.
    drop(child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes())));
    let output = child.wait_with_output().map_err(not_started)?;
    Ok((command, output))
}

/// Whether a tool is there.
pub fn exists(program: &str) -> bool {
    find(program).is_some()
}

/// Where a tool is.
pub fn find(program: &str) -> Option<PathBuf> {
    DIRECTORIES
        .split(':')
        .map(|directory| Path::new(directory).join(program))
        .find(|place| place.exists())
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// The last lines of what was said, on one line.
pub fn quote(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let quoted = lines.get(lines.len().saturating_sub(QUOTED)..).unwrap_or_default().join(" / ");
    if quoted.is_empty() { "it said nothing".to_owned() } else { quoted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_returned() {
        assert_eq!(run("echo", ["one", "two"]).unwrap(), "one two\n");
        assert_eq!(feed("cat", [""; 0], "text").unwrap(), "text");
    }

    #[test]
    fn a_failure_says_what_the_tool_said() {
        let error =
            run("sh", ["-c", "echo first; echo second >&2; exit 3"]).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with("first / second"), "{error}");
    }

    #[test]
    fn a_missing_tool_says_what_to_do() {
        let error = run("no-such-tool", [""; 0]).unwrap_err().to_string();
        assert!(error.contains("no-such-tool is not in the initramfs"), "{error}");
    }
}
