//! Service mode: what went wrong, in words that can be read from across the room, and a shell.
#![expect(clippy::disallowed_methods, reason = "the agent waits for the person at the console")]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::console::Console;
use crate::tool;
use crate::wait;

/// The argument with which this program starts itself to become a shell.
pub const SHELL: &str = "console-shell";
/// A shell that ends sooner had nobody to talk to.
const SHORTEST: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_secs(30);

/// Tells a person what happened and gives them a shell; returns when they leave it.
pub fn wait_for_person(lines: &[String], console: &Console) {
    console.banner(lines);
    let started = Instant::now();
    let ended = Command::new("/proc/self/exe").arg(SHELL).status();
    if let Err(error) = ended {
        console.warning(&format!("no shell can be started: {error}"));
    }
    if started.elapsed() < SHORTEST {
        console.line(&format!("nobody is at this console; trying again in {} s", PAUSE.as_secs()));
        wait::pause(PAUSE);
    }
}

/// Becomes a shell that owns the console, so that keys can stop what it runs. Returns only when it cannot.
pub fn become_shell() -> Result<()> {
    let device = console_device();
    let open = || fs::OpenOptions::new().read(true).write(true).open(&device);
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

/// The terminal behind `/dev/console`, which itself cannot be owned by a session.
fn console_device() -> PathBuf {
    let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let name = active.split_whitespace().last().unwrap_or("console");
    let name = if name == "tty0" { "tty1" } else { name };
    Path::new("/dev").join(name)
}
