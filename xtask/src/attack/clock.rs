//! A controller whose clock is set to another day under it. The real clock is everybody's on this machine, so the daemon alone is told
//! another time, by a library that it is started with.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use perilune_testkit::Limit;
use perilune_testkit::process::{command, run};
use serde_json::json;

use crate::attack::boot::Boot;
use crate::attack::ground::{Ground, NODE, NODE_MAC, Scheme};
use crate::attack::machine::User;
use crate::attack::matrix::Machines;
use crate::attack::request::{Answer, Request};

const DAY: i64 = 24 * 60 * 60;
/// As long as a log-in has to wait at most after a few wrong passwords.
const LONGEST_WAIT: u64 = 30;
/// Adds the seconds that stand in a file to the time of day, and to no other clock.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    const char *path = getenv("CLOCK_OFFSET");
    if (clock == CLOCK_REALTIME && result == 0 && path) {
        FILE *file = fopen(path, "r");
        long seconds = 0;
        if (file) {
            if (fscanf(file, "%ld", &seconds) == 1) now->tv_sec += seconds;
            fclose(file);
        }
    }
    return result;
}
"#;

/// The time that the daemon is told, as long as it is started with it.
struct Clock(PathBuf);

impl Clock {
    fn give(ground: &mut Ground<'_>) -> Result<Self> {
        let source = ground.site.path("clock.c");
        let (library, offset) = (ground.site.path("clock.so"), ground.site.path("clock"));
        fs::write(&source, LIBRARY)?;
        let mut compile = command("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        run(&mut compile, &Limit::seconds(60))?;
        let clock = Self(offset);
        clock.set(0)?;
        let environment = [("LD_PRELOAD", library), ("CLOCK_OFFSET", clock.0.clone())]
            .map(|(name, value)| (name.to_owned(), value));
        ground.daemon.set_environment(environment.into());
        Ok(clock)
    }

    fn set(&self, seconds: i64) -> Result<()> {
        Ok(fs::write(&self.0, seconds.to_string())?)
    }
}

/// A clock that jumps by a day, back and on, while somebody waits to log in, and while a node boots; then a start with it a day off.
pub(super) fn jumps(ground: &mut Ground<'_>, machines: &Machines) -> Result<()> {
    let clock = Clock::give(ground)?;
    ground.crash()?;
    let result = waits(&clock, machines)
        .context("a log-in")
        .and_then(|()| boots(&clock, ground, machines).context("a boot"));
    ground.daemon.set_environment(Vec::new());
    ground.crash()?;
    result
}

fn waits(clock: &Clock, machines: &Machines) -> Result<()> {
    for _ in 0..6 {
        guess(machines)?;
    }
    ensure!(wait(&guess(machines)?).is_some(), "guessing passwords costs no time");
    for seconds in [-DAY, DAY, 0] {
        clock.set(seconds)?;
        let told = wait(&guess(machines)?);
        ensure!(
            told.is_none_or(|told| told <= LONGEST_WAIT),
            "with the clock set by {seconds} s a log-in waits for {told:?} s"
        );
    }
    Ok(())
}

fn guess(machines: &Machines) -> Result<Answer> {
    // Another password each time: the same one counts once.
    let password = format!("{:?}", std::time::Instant::now());
    let body = json!({ "username": "nobody", "password": password });
    machines.elsewhere.ask(User::Root, &Request::post(Scheme::Http, "/token", body))
}

/// The seconds that a refusal says.
fn wait(answer: &Answer) -> Option<u64> {
    let (_, rest) = answer.text.split_once("wait ")?;
    rest.split_whitespace().next()?.parse().ok()
}

fn boots(clock: &Clock, ground: &mut Ground<'_>, machines: &Machines) -> Result<()> {
    for (first, second) in [(-DAY, DAY), (DAY, -DAY)] {
        ground.arm(NODE, 600)?;
        let boot = Boot::new(&machines.node, User::Root, Scheme::Http)?;
        let ticket = boot.ticket(NODE_MAC)?.context("no ticket")?;
        clock.set(first)?;
        let token = boot.exchange(&ticket)?.ok().context("the ticket is refused after a jump")?;
        clock.set(second)?;
        boot.plan(&token).context("the plan after a jump")?;
        boot.install(&ticket).context("the rest after a jump")?;
        clock.set(0)?;
    }
    // What is stored is of another day than the clock of the next start.
    for seconds in [-DAY, DAY] {
        clock.set(seconds)?;
        ground.crash()?;
        machines.node.start_firmware().context("no address after a start on another day")?;
        ensure!(ground.becomes_expected(NODE)?, "no window after a start on another day");
        let boot = Boot::new(&machines.node, User::Root, Scheme::Https)?;
        let ticket = boot.ticket(NODE_MAC)?.context("no ticket after a start on another day")?;
        boot.install(&ticket).context("after a start on another day")?;
    }
    Ok(())
}
