//! What the engine promises about many BMCs at once.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use perilune_bmc::ipmi::Suite;
use perilune_bmc::{Action, Engine, Error, Inrush, Limits, Outcome, PowerState, Reply, Target};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fake::{Behaviour, Fake};
use crate::tools::{credentials, ipmitool, is_there, output_text, run, run_one, target};

async fn fakes(
    tasks: &mut JoinSet<()>,
    count: usize,
    behaviour: Behaviour,
) -> (Vec<Fake>, Vec<Target>) {
    let (mut fakes, mut targets) = (Vec::new(), Vec::new());
    for number in 0..count {
        let fake = Fake::start(tasks, &[Suite::Three, Suite::Seventeen], behaviour).await;
        targets.push(target(&format!("node{number:03}"), fake.address));
        fakes.push(fake);
    }
    (fakes, targets)
}

#[tokio::test]
async fn both_suites_are_spoken_and_ipmitool_agrees_about_them() {
    if !is_there("ipmitool", "ipmitool") {
        return;
    }
    let mut tasks = JoinSet::new();
    for (suite, number) in [(Suite::Three, 3), (Suite::Seventeen, 17)] {
        let fake = Fake::start(&mut tasks, &[suite], Behaviour::Good).await;
        let asked = output_text(&ipmitool(fake.address, number, "chassis power status").await);
        assert_eq!(asked, "Chassis Power is off", "suite {number}");
        let target = target("node001", fake.address);
        let outcome =
            run_one(&Engine::new(Vec::new()), target, Action::PowerOn, Limits::default()).await;
        assert!(matches!(outcome.result, Ok(Reply::Done)), "suite {number}: {:?}", outcome.result);
        assert_eq!(outcome.power, Some(PowerState::On));
        let asked = output_text(&ipmitool(fake.address, number, "chassis power status").await);
        assert_eq!(asked, "Chassis Power is on", "suite {number}");
    }
}

#[tokio::test]
async fn the_suite_that_worked_is_remembered() {
    let mut tasks = JoinSet::new();
    let fake = Fake::start(&mut tasks, &[Suite::Three], Behaviour::Good).await;
    let engine = Engine::new(Vec::new());
    for openings in [2, 3] {
        let target = target("node001", fake.address);
        let outcome = run_one(&engine, target, Action::PowerStatus, Limits::default()).await;
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        assert_eq!(fake.machine().openings, openings, "17 is offered once only");
    }
}

#[tokio::test]
async fn every_action_does_what_its_word_says_and_leaves_no_session() {
    let mut tasks = JoinSet::new();
    let (fakes, targets) = fakes(&mut tasks, 1, Behaviour::Good).await;
    let engine = Engine::new(Vec::new());
    let limits = Limits { verification: None, ..Limits::default() };
    let actions = [
        Action::PowerOn,
        Action::PowerCycle,
        Action::PowerReset,
        Action::PowerSoft,
        Action::PowerOff,
    ];
    for action in actions {
        let outcome = run_one(&engine, targets[0].clone(), action, limits.clone()).await;
        assert!(matches!(outcome.result, Ok(Reply::Done)), "{action}: {:?}", outcome.result);
    }
    assert_eq!(fakes[0].machine().controls, [1, 2, 3, 5, 0]);
    for (action, shines) in [(Action::Identify, true), (Action::NoIdentify, false)] {
        run_one(&engine, targets[0].clone(), action, limits.clone()).await.result.unwrap();
        assert_eq!(fakes[0].machine().is_identified, shines);
    }
    assert_eq!(fakes[0].machine().open_sessions, 0);
}

#[tokio::test]
async fn a_wrong_password_is_said_once_and_never_repeated() {
    let mut tasks = JoinSet::new();
    let (fakes, targets) = fakes(&mut tasks, 1, Behaviour::Good).await;
    let engine = Engine::new(Vec::new());
    let mut wrong = targets[0].clone();
    wrong.credentials = credentials("guess");
    let limits = Limits { tries: 5, ..Limits::default() };
    let outcome = run_one(&engine, wrong.clone(), Action::PowerStatus, limits.clone()).await;
    assert!(matches!(outcome.result, Err(Error::WrongPassword { .. })), "{:?}", outcome.result);
    assert_eq!(fakes[0].machine().openings, 1);
    let again = run_one(&engine, wrong, Action::PowerStatus, limits.clone()).await;
    assert!(matches!(again.result, Err(Error::Held { .. })), "{:?}", again.result);
    assert_eq!((again.tries, fakes[0].machine().openings), (0, 1), "nothing was sent");
    let right = run_one(&engine, targets[0].clone(), Action::PowerStatus, limits).await;
    assert!(right.result.is_ok(), "{:?}", right.result);
}

#[tokio::test]
async fn an_unknown_user_is_a_wrong_password() {
    let mut tasks = JoinSet::new();
    let (_fakes, targets) = fakes(&mut tasks, 1, Behaviour::Good).await;
    let mut target = targets[0].clone();
    target.credentials.user = "nobody".to_owned();
    let outcome =
        run_one(&Engine::new(Vec::new()), target, Action::PowerStatus, Limits::default()).await;
    let error = outcome.result.unwrap_err().to_string();
    assert!(error.contains("refuses user name or password of \"nobody\""), "{error}");
}

#[tokio::test]
async fn a_user_with_too_little_privilege_is_told_so() {
    let mut tasks = JoinSet::new();
    let (fakes, targets) = fakes(&mut tasks, 1, Behaviour::Good).await;
    let mut target = targets[0].clone();
    target.ipmi.privilege = perilune_bmc::ipmi::Privilege::User;
    let engine = Engine::new(Vec::new());
    let status = run_one(&engine, target.clone(), Action::PowerStatus, Limits::default()).await;
    assert!(status.result.is_ok(), "a user may ask: {:?}", status.result);
    let outcome = run_one(&engine, target, Action::PowerOn, Limits::default()).await;
    assert!(matches!(outcome.result, Err(Error::NotPermitted { .. })), "{:?}", outcome.result);
    assert!(fakes[0].machine().controls.is_empty());
}

#[tokio::test]
async fn a_dead_bmc_is_left_alone_after_three_requests_unless_somebody_insists() {
    let mut tasks = JoinSet::new();
    let (fakes, targets) = fakes(&mut tasks, 1, Behaviour::Hangs).await;
    let mut target = targets[0].clone();
    target.ipmi.patience.first = Duration::from_millis(10);
    let engine = Engine::new(Vec::new());
    let limits = Limits { tries: 1, ..Limits::default() };
    for _ in 0..3 {
        let outcome = run_one(&engine, target.clone(), Action::PowerStatus, limits.clone()).await;
        assert!(matches!(outcome.result, Err(Error::TimedOut { .. })), "{:?}", outcome.result);
    }
    let packets = fakes[0].machine().packets;
    let held = run_one(&engine, target.clone(), Action::PowerStatus, limits.clone()).await;
    assert!(matches!(held.result, Err(Error::Held { .. })), "{:?}", held.result);
    assert_eq!(fakes[0].machine().packets, packets);
    let insisting = Limits { insist: true, ..limits };
    let outcome = run_one(&engine, target, Action::PowerStatus, insisting).await;
    assert!(matches!(outcome.result, Err(Error::TimedOut { .. })), "{:?}", outcome.result);
}

#[tokio::test]
async fn two_operators_on_one_bmc_are_told_of_each_other() {
    let mut tasks = JoinSet::new();
    let (fakes, targets) = fakes(&mut tasks, 1, Behaviour::Late(Duration::from_millis(100))).await;
    let engine = Engine::new(Vec::new());
    let (on, off) = tokio::join!(
        run_one(&engine, targets[0].clone(), Action::PowerOn, Limits::default()),
        run_one(&engine, targets[0].clone(), Action::PowerOff, Limits::default()),
    );
    assert!(matches!(on.result, Ok(Reply::Done)), "{:?}", on.result);
    assert!(matches!(off.result, Err(Error::Busy { action: Action::PowerOn })), "{:?}", off.result);
    assert_eq!(fakes[0].machine().controls, [1]);
}

#[tokio::test]
async fn who_only_asks_waits_for_the_turn() {
    let mut tasks = JoinSet::new();
    let (_fakes, targets) = fakes(&mut tasks, 1, Behaviour::Late(Duration::from_millis(50))).await;
    let engine = Engine::new(Vec::new());
    let ask = || run_one(&engine, targets[0].clone(), Action::PowerStatus, Limits::default());
    let (one, two, on) = tokio::join!(
        ask(),
        ask(),
        run_one(&engine, targets[0].clone(), Action::PowerOn, Limits::default())
    );
    for outcome in [one, two, on] {
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    }
}

#[tokio::test]
async fn a_ramp_and_a_rack_bound_how_fast_machines_are_switched_on() {
    let mut tasks = JoinSet::new();
    let (_fakes, mut targets) = fakes(&mut tasks, 8, Behaviour::Good).await;
    for target in targets.iter_mut().take(4) {
        target.group = Some("rack1".to_owned());
    }
    let inrush =
        Inrush { machines: NonZeroUsize::new(2).unwrap(), within: Duration::from_millis(400) };
    let limits = Limits { inrush: Some(inrush), ..Limits::default() };
    let engine = Engine::new(Vec::new());
    let began = Instant::now();
    let outcomes = run(&engine, targets.clone(), Action::PowerOn, limits).await;
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()), "{outcomes:?}");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(400), "four of one rack, two at a time: {took:?}");
    assert!(outcomes.iter().take(6).filter(|outcome| *outcome.name < *"node004").count() <= 2);

    // Asking draws no current: nobody waits for the next of these hours.
    let inrush = Inrush { within: Duration::from_hours(1), ..inrush };
    let limits = Limits { inrush: Some(inrush), ..Limits::default() };
    let outcomes = run(&engine, targets.clone(), Action::PowerStatus, limits).await;
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()), "{outcomes:?}");

    let limits = Limits { starts_per_second: Some(20.0), ..Limits::default() };
    let began = Instant::now();
    run(&engine, targets, Action::PowerOff, limits).await;
    assert!(began.elapsed() >= Duration::from_millis(7 * 50 - 50), "eight at twenty a second");
}

#[tokio::test]
async fn cancelling_ends_it_and_names_what_was_not_done() {
    let mut tasks = JoinSet::new();
    let (fakes, targets) = fakes(&mut tasks, 3, Behaviour::Hangs).await;
    let limits = Limits { concurrent: NonZeroUsize::new(2).unwrap(), ..Limits::default() };
    let cancel = CancellationToken::new();
    let (sender, mut receiver) = mpsc::channel(16);
    let engine = Engine::new(Vec::new());
    let run = engine.run(targets, Action::PowerOn, limits, cancel.clone(), sender);
    let stop = async {
        while fakes[0].machine().packets == 0 || fakes[1].machine().packets == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    };
    tokio::join!(run, stop);
    let mut outcomes: Vec<Outcome> = Vec::new();
    while let Some(outcome) = receiver.recv().await {
        outcomes.push(outcome);
    }
    outcomes.sort_by(|one, two| one.name.cmp(&two.name));
    let [first, second, third] = outcomes.try_into().expect("one outcome each");
    for begun in [first, second] {
        assert!(matches!(begun.result, Err(Error::Unconfirmed { .. })), "{:?}", begun.result);
    }
    assert!(matches!(third.result, Err(Error::Cancelled)), "{:?}", third.result);
    assert_eq!(fakes[2].machine().packets, 0);
}

#[tokio::test]
async fn the_deadline_ends_it() {
    let mut tasks = JoinSet::new();
    let (_fakes, targets) = fakes(&mut tasks, 2, Behaviour::Hangs).await;
    let limits = Limits { deadline: Duration::from_millis(300), ..Limits::default() };
    let outcomes = run(&Engine::new(Vec::new()), targets, Action::PowerStatus, limits).await;
    assert_eq!(outcomes.len(), 2);
    for outcome in outcomes {
        assert!(
            matches!(outcome.result, Err(Error::DeadlinePassed { .. })),
            "{:?}",
            outcome.result
        );
    }
}

#[tokio::test]
async fn when_nobody_listens_any_more_it_ends() {
    let mut tasks = JoinSet::new();
    let (_fakes, targets) = fakes(&mut tasks, 2, Behaviour::Hangs).await;
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let engine = Engine::new(Vec::new());
    let run = engine.run(
        targets,
        Action::PowerStatus,
        Limits::default(),
        CancellationToken::new(),
        sender,
    );
    tokio::time::timeout(Duration::from_secs(1), run).await.expect("it ends at once");
}

#[tokio::test]
async fn a_hundred_thousand_names_are_no_trouble() {
    let nowhere = target("node", ([127, 0, 0, 1], 1).into());
    let targets: Vec<Target> = (0..100_000)
        .map(|number| Target { name: format!("node{number}"), ..nowhere.clone() })
        .collect();
    let limits = Limits { deadline: Duration::from_millis(500), ..Limits::default() };
    let outcomes = run(&Engine::new(Vec::new()), targets, Action::PowerStatus, limits).await;
    assert_eq!(outcomes.len(), 100_000);
}

#[tokio::test]
async fn absurd_limits_are_made_sensible() {
    let mut tasks = JoinSet::new();
    let (_fakes, mut targets) = fakes(&mut tasks, 1, Behaviour::Good).await;
    targets[0].ipmi.patience.first = Duration::MAX;
    let verification = perilune_bmc::Verification { within: Duration::MAX, every: Duration::MAX };
    let inrush = Inrush { machines: NonZeroUsize::MAX, within: Duration::MAX };
    let limits = Limits {
        concurrent: NonZeroUsize::MAX,
        starts_per_second: Some(f64::NAN),
        inrush: Some(inrush),
        deadline: Duration::MAX,
        attempt: Duration::MAX,
        tries: 0,
        pause: Duration::MAX,
        verification: Some(verification),
        insist: true,
    };
    let outcome =
        run_one(&Engine::new(Vec::new()), targets[0].clone(), Action::PowerOn, limits).await;
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
}
