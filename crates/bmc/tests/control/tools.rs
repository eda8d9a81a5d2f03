//! Targets, runs, and programs that tests use.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use perilune_bmc::{Action, Credentials, Driver, Engine, Limits, Outcome, Target};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::fake::{PASSWORD, USER};

pub(crate) fn credentials(password: &str) -> Credentials {
    Credentials { user: USER.to_owned(), password: password.to_owned() }
}

pub(crate) fn target(name: &str, address: SocketAddr) -> Target {
    let mut target = Target::new(name, address.ip(), credentials(PASSWORD));
    target.ipmi.port = address.port();
    target
}

pub(crate) fn redfish_target(address: SocketAddr) -> Target {
    let mut target = Target::new("node001", address.ip(), credentials(PASSWORD));
    target.driver = Driver::Redfish;
    target.redfish.port = address.port();
    target
}

/// Outcomes in the order in which they came.
pub(crate) async fn run(
    engine: &Engine,
    targets: Vec<Target>,
    action: Action,
    limits: Limits,
) -> Vec<Outcome> {
    let (sender, mut receiver) = mpsc::channel(16);
    let mut outcomes = Vec::new();
    let run = engine.run(targets, action, limits, CancellationToken::new(), sender);
    let collect = async {
        while let Some(outcome) = receiver.recv().await {
            outcomes.push(outcome);
        }
    };
    let both = async { tokio::join!(run, collect) };
    tokio::time::timeout(Duration::from_mins(1), both).await.expect("a run ends in time");
    outcomes
}

pub(crate) async fn run_one(
    engine: &Engine,
    target: Target,
    action: Action,
    limits: Limits,
) -> Outcome {
    let mut outcomes = run(engine, vec![target], action, limits).await;
    assert_eq!(outcomes.len(), 1, "one target, one outcome");
    outcomes.remove(0)
}

/// What came of each: "on", "ok", or the message of the error.
pub(crate) fn texts(outcomes: &[Outcome]) -> BTreeMap<String, String> {
    let text = |outcome: &Outcome| match &outcome.result {
        Ok(reply) => reply.to_string(),
        Err(error) => error.chain(),
    };
    outcomes.iter().map(|outcome| (outcome.name.clone(), text(outcome))).collect()
}

pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':').map(|directory| Path::new(directory).join(program)).find(|path| path.exists())
}

/// Whether a program is there; if not, says loudly that a test shows nothing. Where everything must be, it fails.
pub(crate) fn is_there(program: &str, package: &str) -> bool {
    if find(program).is_some() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{program} is missing: install the package {package}"
    );
    println!("NOT TESTED: {program} is missing; install the package {package}");
    false
}

pub(crate) async fn ipmitool(address: SocketAddr, suite: u8, words: &str) -> Output {
    let (host, port, suite) =
        (address.ip().to_string(), address.port().to_string(), suite.to_string());
    let login =
        ["-I", "lanplus", "-C", &suite, "-U", USER, "-P", PASSWORD, "-H", &host, "-p", &port];
    let mut command = Command::new("ipmitool");
    command.args(login).args(words.split(' ')).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(30), command.output()).await;
    output.expect("ipmitool ends").expect("ipmitool runs")
}

pub(crate) fn output_text(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ipmitool: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
