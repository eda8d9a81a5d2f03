//! BMCs that misbehave: each ends in time, with the right verdict, and costs itself only.

use std::time::Duration;

use perilune_bmc::ipmi::Suite;
use perilune_bmc::{Action, Engine, Error, Limits, PowerState, Reply};
use tokio::task::JoinSet;

use crate::fake::{Behaviour, Fake};
use crate::tools::{run, run_one, target, texts};

const BOTH: &[Suite] = &[Suite::Three, Suite::Seventeen];

async fn status_of(behaviour: Behaviour) -> (Result<Reply, Error>, Fake) {
    let mut tasks = JoinSet::new();
    let fake = Fake::start(&mut tasks, BOTH, behaviour).await;
    fake.machine.lock().unwrap().is_on = true;
    let target = target("node001", fake.address);
    let outcome =
        run_one(&Engine::new(Vec::new()), target, Action::PowerStatus, Limits::default()).await;
    (outcome.result, fake)
}

fn is_on(result: &Result<Reply, Error>) -> bool {
    matches!(result, Ok(Reply::Power(PowerState::On)))
}

#[tokio::test]
async fn one_that_hangs_is_given_up_in_seconds() {
    let (result, fake) = status_of(Behaviour::Hangs).await;
    assert!(matches!(result, Err(Error::TimedOut { tries: 3, .. })), "{result:?}");
    assert_eq!(fake.machine().packets, 3, "it is given the time of a slow one, and that once");
}

#[tokio::test]
async fn one_that_answers_late_is_heard() {
    let (result, _) = status_of(Behaviour::Late(Duration::from_millis(700))).await;
    assert!(is_on(&result), "{result:?}");
}

#[tokio::test]
async fn one_that_answers_twice_is_understood() {
    let (result, _) = status_of(Behaviour::Twice).await;
    assert!(is_on(&result), "{result:?}");
}

#[tokio::test]
async fn one_that_answers_out_of_order_is_understood() {
    let (result, _) = status_of(Behaviour::OutOfOrder).await;
    assert!(is_on(&result), "{result:?}");
}

#[tokio::test]
async fn one_that_talks_nonsense_is_called_so() {
    let (result, _) = status_of(Behaviour::Garbage).await;
    assert!(matches!(result, Err(Error::Garbled { .. })), "{result:?}");
}

#[tokio::test]
async fn packets_with_wrong_check_codes_are_never_believed() {
    let (result, _) = status_of(Behaviour::WrongChecks).await;
    assert!(matches!(result, Err(Error::Garbled { reason: "wrong check code", .. })), "{result:?}");
}

#[tokio::test]
async fn messages_with_wrong_checksums_are_never_believed() {
    let (result, _) = status_of(Behaviour::WrongChecksums).await;
    let reason = "wrong checksum of the data";
    assert!(
        matches!(&result, Err(Error::Garbled { reason: told, .. }) if *told == reason),
        "{result:?}"
    );
}

#[tokio::test]
async fn one_that_starts_anew_in_the_middle_is_tried_again() {
    // After the opening, and after all of the session's beginning.
    for answers in [1, 3] {
        let (result, fake) = status_of(Behaviour::ResetsAfter(answers)).await;
        assert!(is_on(&result), "after {answers} answers: {result:?}");
        assert!(fake.machine().openings > 1);
    }
}

#[tokio::test]
async fn one_that_dies_in_the_middle_is_given_up() {
    for answers in 1..4 {
        let (result, _) = status_of(Behaviour::HangsAfter(answers)).await;
        assert!(
            matches!(result, Err(Error::TimedOut { .. })),
            "after {answers} answers: {result:?}"
        );
    }
}

#[tokio::test]
async fn one_without_a_free_session_is_called_so() {
    let (result, _) = status_of(Behaviour::NoFreeSession).await;
    assert!(matches!(result, Err(Error::NoFreeSession { .. })), "{result:?}");
}

#[tokio::test]
async fn a_reset_that_was_not_confirmed_is_not_sent_by_a_second_session() {
    let mut tasks = JoinSet::new();
    let fake = Fake::start(&mut tasks, BOTH, Behaviour::SilentPower).await;
    let target = target("node001", fake.address);
    let outcome =
        run_one(&Engine::new(Vec::new()), target, Action::PowerReset, Limits::default()).await;
    assert!(matches!(outcome.result, Err(Error::Unconfirmed { .. })), "{:?}", outcome.result);
    assert_eq!(fake.machine().openings, 1);
}

#[tokio::test]
async fn a_power_on_that_was_not_confirmed_is_sent_again() {
    let mut tasks = JoinSet::new();
    let fake = Fake::start(&mut tasks, BOTH, Behaviour::SilentPower).await;
    let target = target("node001", fake.address);
    let outcome =
        run_one(&Engine::new(Vec::new()), target, Action::PowerOn, Limits::default()).await;
    assert!(matches!(outcome.result, Err(Error::TimedOut { .. })), "{:?}", outcome.result);
    assert_eq!(outcome.tries, 2);
}

#[tokio::test]
async fn one_that_only_says_that_it_did_it_is_found_out() {
    let mut tasks = JoinSet::new();
    let fake = Fake::start(&mut tasks, BOTH, Behaviour::IgnoresPower).await;
    let target = target("node001", fake.address);
    let verification = perilune_bmc::Verification {
        within: Duration::from_millis(600),
        every: Duration::from_millis(200),
    };
    let limits = Limits { verification: Some(verification), ..Limits::default() };
    let outcome = run_one(&Engine::new(Vec::new()), target, Action::PowerOn, limits).await;
    assert!(
        matches!(outcome.result, Err(Error::NotChanged { seen: PowerState::Off, .. })),
        "{:?}",
        outcome.result
    );
    assert_eq!(outcome.power, Some(PowerState::Off));
}

#[tokio::test]
async fn the_good_ones_do_not_wait_for_the_bad_ones() {
    let mut tasks = JoinSet::new();
    let behaviours = [
        ("good", Behaviour::Good),
        ("hangs", Behaviour::Hangs),
        ("garbage", Behaviour::Garbage),
        ("twice", Behaviour::Twice),
        ("last", Behaviour::Good),
    ];
    let mut targets = Vec::new();
    for (name, behaviour) in behaviours {
        let fake = Fake::start(&mut tasks, BOTH, behaviour).await;
        targets.push(target(name, fake.address));
    }
    let outcomes =
        run(&Engine::new(Vec::new()), targets, Action::PowerStatus, Limits::default()).await;
    let first: Vec<&str> = outcomes.iter().take(3).map(|outcome| outcome.name.as_str()).collect();
    assert!(["good", "twice", "last"].iter().all(|name| first.contains(name)), "{first:?}");
    let texts = texts(&outcomes);
    assert_eq!(texts["good"], "off");
    assert!(texts["hangs"].starts_with("no answer from"), "{}", texts["hangs"]);
    assert!(texts["garbage"].contains("nothing that could be used"), "{}", texts["garbage"]);
}
