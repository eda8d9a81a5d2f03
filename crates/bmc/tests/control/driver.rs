//! Which way a BMC is spoken to: found out, or a site's own plugin.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use perilune_bmc::ipmi::Suite;
use perilune_bmc::{Action, Driver, Engine, Error, Limits, PowerState, Program, Reply, Target};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::fake::redfish::{Fake as RedfishFake, Peculiarities};
use crate::fake::{Behaviour, Fake};
use crate::tools::{redfish_target, run_one, target};

#[tokio::test]
async fn what_a_bmc_speaks_is_found_out_once() {
    let mut tasks = JoinSet::new();
    let engine = Engine::new(Vec::new());
    let fake = RedfishFake::start(&mut tasks, Peculiarities::default()).await;
    let target = Target { driver: Driver::Auto, ..redfish_target(fake.address) };
    for requests in [4, 7] {
        let outcome =
            run_one(&engine, target.clone(), Action::PowerStatus, Limits::default()).await;
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        assert_eq!(
            fake.state().requests.len(),
            requests,
            "the root is read once more the first time only"
        );
    }
}

#[tokio::test]
async fn where_there_is_no_redfish_ipmi_is_spoken() {
    let mut tasks = JoinSet::new();
    let engine = Engine::new(Vec::new());
    let fake = Fake::start(&mut tasks, &[Suite::Seventeen], Behaviour::Good).await;
    let mut target = target("node001", fake.address);
    target.driver = Driver::Auto;
    target.redfish.port = 1;
    let outcome = run_one(&engine, target, Action::PowerStatus, Limits::default()).await;
    assert_eq!(outcome.result.unwrap(), Reply::Power(PowerState::Off));
}

fn plugin(script: &str) -> (TempDir, Target) {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("plugin");
    fs::write(&path, format!("#!/bin/sh\ncd {} || exit 9\n{script}\n", directory.path().display()))
        .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut target = target("node001", ([127, 0, 0, 9], 623).into());
    target.driver = Driver::Plugin(Program { words: vec![path.clone()], path, user: None });
    (directory, target)
}

async fn ask(target: &Target, action: Action) -> Result<Reply, Error> {
    run_one(&Engine::new(Vec::new()), target.clone(), action, Limits::default()).await.result
}

#[tokio::test]
async fn a_plugin_is_asked_in_json_and_answers_in_json() {
    let (directory, target) = plugin("cat >question; echo '{\"power\": \"on\"}'");
    assert_eq!(ask(&target, Action::PowerStatus).await.unwrap(), Reply::Power(PowerState::On));
    let question = fs::read_to_string(directory.path().join("question")).unwrap();
    let question: serde_json::Value = serde_json::from_str(&question).unwrap();
    let expected = serde_json::json!({
        "version": 1, "name": "node001", "address": "127.0.0.9", "group": null,
        "username": "admin", "password": "password", "action": "power status",
    });
    assert_eq!(question, expected);
}

#[tokio::test]
async fn a_plugins_power_is_verified_too() {
    let script = "grep -q 'power on' && echo on >state\n[ -f state ] && echo '{\"power\":\"on\"}' || echo '{\"power\":\"off\"}'";
    let (_directory, target) = plugin(script);
    assert_eq!(ask(&target, Action::PowerStatus).await.unwrap(), Reply::Power(PowerState::Off));
    assert_eq!(ask(&target, Action::PowerOn).await.unwrap(), Reply::Done);
}

#[tokio::test]
async fn a_plugin_that_fails_is_quoted() {
    let scripts = [
        ("echo '{\"error\": \"no such outlet\"}'", "no such outlet"),
        ("echo 'cannot connect' >&2; exit 3", "it failed (exit status: 3): cannot connect"),
        ("echo on", "its answer is not the JSON that is expected"),
        ("echo '{}'", "its answer to \"power status\" lacks \"power\""),
    ];
    for (script, expected) in scripts {
        let (_directory, target) = plugin(script);
        let error = ask(&target, Action::PowerStatus).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{script}: {error}");
    }
    let mut missing = plugin("").1;
    let path = PathBuf::from("/nonexistent");
    missing.driver = Driver::Plugin(Program { words: vec![path.clone()], path, user: None });
    let error = ask(&missing, Action::PowerStatus).await.unwrap_err().to_string();
    assert!(error.contains("control plugin /nonexistent: it cannot be started"), "{error}");
}

#[tokio::test]
async fn a_plugin_that_hangs_is_ended_with_all_that_it_started() {
    let (directory, target) = plugin("sleep 1000 & echo $! >child; wait");
    let limits = Limits { attempt: Duration::from_millis(500), tries: 1, ..Limits::default() };
    let outcome = run_one(&Engine::new(Vec::new()), target, Action::PowerStatus, limits).await;
    assert!(outcome.result.is_err(), "{outcome:?}");
    let child = fs::read_to_string(directory.path().join("child")).unwrap();
    let process = PathBuf::from(format!("/proc/{}", child.trim()));
    let is_gone = || {
        let status = fs::read_to_string(process.join("stat")).unwrap_or_default();
        status.is_empty() || status.contains(") Z ")
    };
    let until = Instant::now() + Duration::from_secs(5);
    while !is_gone() {
        assert!(Instant::now() < until, "what the plugin started still runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
