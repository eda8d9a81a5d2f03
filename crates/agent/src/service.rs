//! Shows what went wrong in large letters on the console, and offers a shell.
#![expect(clippy::disallowed_methods, reason = "the agent waits for the person at the console")]

use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::fs::OFlags;

use crate::console::Console;
use crate::tool;
use crate::wait;

/// The argument with which this program starts itself to become a shell; the terminal follows.
pub const SHELL: &str = "console-shell";
/// A shell that ends sooner had nobody to talk to.
const SHORTEST: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_secs(30);

/// Tells a person what happened and gives them a shell; returns when they leave it.
pub fn wait_for_person(lines: &[String], console: &Console) {
    console.banner(lines);
    let started = Instant::now();
    shell(&usual_terminal(), console);
    if started.elapsed() < SHORTEST {
        console.line(&format!("nobody is at this console; trying again in {} s", PAUSE.as_secs()));
        wait::pause(PAUSE);
    }
}

/// Tells a person what happened, and goes on after `pause` unless somebody presses Enter: then they have a shell for as long as they
/// want. `next` is what follows, such as "trying again".
pub fn pause_for_person(lines: &[String], pause: Duration, next: &str, console: &Console) {
    console.banner(lines);
    let mut keyboards: Vec<Keyboard> = terminals().into_iter().filter_map(Keyboard::open).collect();
    console.line(&format!("press Enter for a shell; {next} in {} s", pause.as_secs()));
    let pressed = wait::until(pause, || {
        keyboards
            .iter_mut()
            .find_map(|keyboard| keyboard.pressed().then(|| keyboard.device.clone()))
    });
    // The shell opens the terminal anew.
    drop(keyboards);
    if let Some(device) = pressed {
        console.line("this is a shell on the node; leave it with 'exit' to try again");
        shell(&device, console);
    }
}

/// Runs a shell to its end.
fn shell(device: &Path, console: &Console) {
    let ended = Command::new("/proc/self/exe").arg(SHELL).arg(device).status();
    if let Err(error) = ended {
        console.warning(&format!("no shell can be started: {error}"));
    }
}

/// A terminal that is listened to without becoming ours.
struct Keyboard {
    device: PathBuf,
    input: fs::File,
}

impl Keyboard {
    fn open(device: PathBuf) -> Option<Self> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
        let flags = i32::try_from(flags).ok()?;
        let input = fs::OpenOptions::new().read(true).custom_flags(flags).open(&device).ok()?;
        let mut keyboard = Self { device, input };
        // What was typed before the question is no answer to it.
        keyboard.pressed();
        Some(keyboard)
    }

    /// Whether Enter was pressed since it was asked last.
    fn pressed(&mut self) -> bool {
        let mut buffer = [0; 256];
        let mut pressed = false;
        while let Ok(count) = self.input.read(&mut buffer) {
            if count == 0 {
                break;
            }
            pressed |= buffer.iter().take(count).any(|byte| matches!(byte, b'\n' | b'\r'));
        }
        pressed
    }
}

/// Becomes a shell that owns the console, so that keys can stop what it runs. Returns only when it cannot.
pub fn become_shell(device: &Path) -> Result<()> {
    let open = || fs::OpenOptions::new().read(true).write(true).open(device);
    let terminal = open().with_context(|| format!("cannot open {}", device.display()))?;
    rustix::process::setsid().ok();
    // Another session may own the console; the shell then works without job control.
    rustix::process::ioctl_tiocsctty(&terminal).ok();
    let streams = (
        terminal.try_clone().context("the console")?,
        terminal.try_clone().context("the console")?,
    );
    let mut shell = tool::command("bash");
    shell.args(["--norc", "--noprofile", "-i"]).current_dir("/root");
    shell.env("PS1", "service # ").env("TERM", "vt220");
    shell.stdin(Stdio::from(terminal)).stdout(streams.0).stderr(streams.1);
    Err(shell.exec()).context("cannot start bash; install it in the image and pack the image again")
}

/// The terminals behind `/dev/console`, which itself cannot be owned by a session; the last is where the kernel speaks first.
fn terminals() -> Vec<PathBuf> {
    let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    terminals_of(&active)
}

fn terminals_of(active: &str) -> Vec<PathBuf> {
    let names = active.split_whitespace().map(|name| if name == "tty0" { "tty1" } else { name });
    names.map(|name| Path::new("/dev").join(name)).collect()
}

fn usual_terminal() -> PathBuf {
    terminals().pop().unwrap_or_else(|| PathBuf::from("/dev/console"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::console::tests::Memory;

    #[test]
    fn every_console_of_the_kernel_is_listened_to() {
        let expected = ["/dev/tty1", "/dev/ttyS0"].map(PathBuf::from);
        assert_eq!(terminals_of("tty0 ttyS0\n"), expected);
        assert_eq!(terminals_of("\n"), Vec::<PathBuf>::new());
    }

    #[test]
    fn only_enter_counts_and_only_after_the_question() {
        let directory = tempfile::tempdir().unwrap();
        let device = directory.path().join("tty");
        tool::run("mkfifo", [&device]).unwrap();
        // Both ends, so that the other end does not have to be there first.
        let mut person = fs::OpenOptions::new().read(true).write(true).open(&device).unwrap();
        person.write_all(b"typed before\n").unwrap();
        let mut keyboard = Keyboard::open(device).unwrap();
        assert!(!keyboard.pressed());
        person.write_all(b"abc").unwrap();
        assert!(!keyboard.pressed());
        person.write_all(b"d\r").unwrap();
        assert!(keyboard.pressed());
        assert!(!keyboard.pressed());
    }

    #[test]
    fn the_console_says_how_long_it_waits() {
        let memory = Memory::default();
        let lines = ["THIS NODE IS NOT INSTALLED".to_owned()];
        pause_for_person(&lines, Duration::ZERO, "trying again", &Console::new(memory.clone()));
        assert!(memory.text().contains("press Enter for a shell; trying again in 0 s"));
    }
}
