//! BMCs that take seconds for each answer, whose answers overtake each other, come twice, or belong to an earlier session:
//! each is logged in to, and a wrong password is only said of one that said so.

use std::time::Duration;

use perilune_bmc::ipmi::{Patience, Suite};
use perilune_bmc::{Action, Engine, Error, Limits, Outcome, PowerState, Reply, Target};
use tokio::task::JoinSet;

use crate::fake::{Behaviour, Fake};
use crate::tools::{credentials, run, run_one, target};

const BOTH: &[Suite] = &[Suite::Three, Suite::Seventeen];
const SEEDS: u64 = 24;

/// Everything ten times as fast as it is: a BMC of 0.06 to 0.4 s stands for one of 0.6 to 4 s.
fn tenth(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds / 10.0)
}

fn hurried(mut target: Target) -> Target {
    let Patience { first, last, .. } = Patience::default();
    target.ipmi.patience.first = first / 10;
    target.ipmi.patience.last = last / 10;
    target
}

/// One BMC for each behaviour, all asked at once.
async fn status_of_all(behaviours: Vec<Behaviour>, password: &str) -> Vec<(Outcome, u32)> {
    let mut tasks = JoinSet::new();
    let (mut fakes, mut targets) = (Vec::new(), Vec::new());
    for (number, behaviour) in behaviours.into_iter().enumerate() {
        let fake = Fake::start(&mut tasks, BOTH, behaviour).await;
        fake.machine.lock().unwrap().is_on = true;
        let mut target = hurried(target(&format!("node{number:03}"), fake.address));
        target.credentials = credentials(password);
        targets.push(target);
        fakes.push(fake);
    }
    let mut outcomes =
        run(&Engine::new(Vec::new()), targets, Action::PowerStatus, Limits::default()).await;
    outcomes.sort_by(|one, other| one.name.cmp(&other.name));
    let openings = fakes.iter().map(|fake| fake.machine().openings);
    outcomes.into_iter().zip(openings).collect()
}

fn all_are_on(outcomes: &[(Outcome, u32)]) {
    for (outcome, openings) in outcomes {
        let Outcome { name, result, tries, .. } = outcome;
        assert!(
            matches!(result, Ok(Reply::Power(PowerState::On))),
            "{name} after {tries} tries and {openings} openings: {result:?}"
        );
        assert_eq!(*tries, 1, "{name}");
    }
}

#[tokio::test]
async fn one_that_answers_within_four_seconds_is_logged_in_to_at_once() {
    let of_seed = |seed| Behaviour::Slow(tenth(0.6), tenth(4.0), seed);
    all_are_on(&status_of_all((0..SEEDS).map(of_seed).collect(), "password").await);
}

#[tokio::test]
async fn answers_to_an_earlier_session_are_dropped() {
    let of_seed = |seed| Behaviour::Haunted(tenth(0.6), tenth(4.0), seed);
    all_are_on(&status_of_all((0..SEEDS).map(of_seed).collect(), "password").await);
}

#[tokio::test]
async fn one_that_does_one_thing_after_the_other_is_waited_for() {
    let behaviours = [0.6, 1.5, 2.5, 4.0].map(|seconds| Behaviour::OneByOne(tenth(seconds)));
    all_are_on(&status_of_all(behaviours.to_vec(), "password").await);
}

#[tokio::test]
async fn one_that_replaces_a_session_by_each_opening_is_asked_more_slowly() {
    let behaviours = [0.6, 1.1, 2.5, 4.0].map(|seconds| Behaviour::Replaces(tenth(seconds)));
    all_are_on(&status_of_all(behaviours.to_vec(), "password").await);
}

#[tokio::test]
async fn a_slow_one_says_of_a_wrong_password_that_it_is_wrong() {
    let of_seed = |seed| Behaviour::Haunted(tenth(0.6), tenth(4.0), seed);
    for (outcome, _) in status_of_all((0..SEEDS).map(of_seed).collect(), "guess").await {
        let result = outcome.result;
        assert!(matches!(result, Err(Error::WrongPassword { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn four_seconds_are_within_the_time_that_everybody_has() {
    let mut tasks = JoinSet::new();
    let behaviour = Behaviour::Slow(Duration::from_millis(600), Duration::from_secs(4), 7);
    let fake = Fake::start(&mut tasks, BOTH, behaviour).await;
    let target = target("node001", fake.address);
    let outcome =
        run_one(&Engine::new(Vec::new()), target, Action::PowerOn, Limits::default()).await;
    assert!(matches!(outcome.result, Ok(Reply::Done)), "{:?}", outcome.result);
    assert_eq!(fake.machine().controls, [1]);
}

#[tokio::test]
async fn a_refusal_of_privilege_is_told_as_that() {
    let mut tasks = JoinSet::new();
    for (status, expected) in [
        (0x09, "does not let \"admin\" do this; the user needs more privilege"),
        (0x0a, "does not let \"admin\" do this; the user needs more privilege"),
        (0x11, "it accepts no cipher suite that is allowed here (17, 3)"),
        (0x0d, "refuses user name or password of \"admin\""),
    ] {
        let fake = Fake::start(&mut tasks, BOTH, Behaviour::Opening(status)).await;
        let target = target("node001", fake.address);
        let engine = Engine::new(Vec::new());
        let outcome = run_one(&engine, target, Action::PowerStatus, Limits::default()).await;
        let error = outcome.result.unwrap_err().to_string();
        assert!(error.contains(expected), "{status:#04x}: {error}");
    }
}

#[tokio::test]
async fn a_machine_that_is_as_wanted_already_is_a_success_however_it_is_said() {
    let mut tasks = JoinSet::new();
    for code in [0xd5, 0xcc, 0xc1, 0x80, 0xff] {
        for (action, is_on) in
            [(Action::PowerOn, true), (Action::PowerOff, false), (Action::PowerSoft, false)]
        {
            if action == Action::PowerSoft && code == 0xff {
                continue; // It may be shutting down.
            }
            let fake = Fake::start(&mut tasks, BOTH, Behaviour::PowerCode(code, false)).await;
            fake.machine.lock().unwrap().is_on = is_on;
            let target = target("node001", fake.address);
            let engine = Engine::new(Vec::new());
            let outcome = run_one(&engine, target.clone(), action, Limits::default()).await;
            let result = outcome.result;
            assert!(matches!(result, Ok(Reply::Done)), "{action} {code:#04x}: {result:?}");
            fake.machine.lock().unwrap().is_on = !is_on;
            let refused = run_one(&engine, target, action, Limits::default()).await.result;
            assert!(matches!(refused, Err(Error::Rejected { .. })), "{action}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn a_reset_is_sent_once_whatever_is_odd_about_its_answer() {
    let mut tasks = JoinSet::new();
    for code in [0xc0, 0xc3, 0xce, 0xd5, 0xff] {
        for (action, number) in
            [(Action::PowerReset, 3), (Action::PowerCycle, 2), (Action::PowerSoft, 5)]
        {
            let fake = Fake::start(&mut tasks, BOTH, Behaviour::PowerCode(code, true)).await;
            fake.machine.lock().unwrap().is_on = true;
            let target = target("node001", fake.address);
            let limits = Limits { tries: 5, verification: None, ..Limits::default() };
            let outcome = run_one(&Engine::new(Vec::new()), target, action, limits).await;
            assert_eq!(fake.machine().controls, [number], "{code:#04x}: {:?}", outcome.result);
        }
    }
}
