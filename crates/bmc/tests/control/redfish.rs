//! Redfish: the verbs, certificates, logins, and BMCs with peculiarities.

use perilune_bmc::redfish::{Authentication, Fingerprint, Trust};
use perilune_bmc::{Action, Driver, Engine, Error, Limits, Outcome, PowerState, Reply, Target};
use tokio::task::JoinSet;

use crate::fake::redfish::{Fake, Peculiarities};
use crate::tools::{credentials, redfish_target, run_one};

async fn bmc(tasks: &mut JoinSet<()>, peculiarities: Peculiarities) -> (Fake, Target) {
    let fake = Fake::start(tasks, peculiarities).await;
    let target = redfish_target(fake.address);
    (fake, target)
}

async fn ask(target: &Target, action: Action) -> Outcome {
    run_one(&Engine::new(Vec::new()), target.clone(), action, Limits::default()).await
}

#[tokio::test]
async fn power_goes_on_and_off_and_is_verified() {
    let mut tasks = JoinSet::new();
    let (fake, target) = bmc(&mut tasks, Peculiarities::default()).await;
    for (action, state) in [(Action::PowerOn, PowerState::On), (Action::PowerOff, PowerState::Off)]
    {
        let outcome = ask(&target, action).await;
        assert!(matches!(outcome.result, Ok(Reply::Done)), "{action}: {:?}", outcome.result);
        assert_eq!(outcome.power, Some(state));
        assert_eq!(ask(&target, Action::PowerStatus).await.result.unwrap(), Reply::Power(state));
    }
    assert_eq!(fake.state().resets, ["On", "ForceOff"]);
}

#[tokio::test]
async fn the_kind_of_reset_is_one_that_the_bmc_offers() {
    let mut tasks = JoinSet::new();
    let resets = Some(vec!["ForceOn", "PushPowerButton", "ForceRestart"]);
    let (fake, target) =
        bmc(&mut tasks, Peculiarities { resets, ..Peculiarities::default() }).await;
    for action in [Action::PowerOn, Action::PowerSoft, Action::PowerReset] {
        assert!(ask(&target, action).await.result.is_ok(), "{action}");
    }
    assert_eq!(fake.state().resets, ["ForceOn", "PushPowerButton", "ForceRestart"]);
    let refused = ask(&target, Action::PowerOff).await.result.unwrap_err();
    let expected = "power off is not supported by this BMC (its resets: ForceOn, PushPowerButton, ForceRestart)";
    assert_eq!(refused.to_string(), expected);
}

#[tokio::test]
async fn a_bmc_that_cannot_cycle_is_switched_off_and_on() {
    let mut tasks = JoinSet::new();
    let (fake, target) = bmc(&mut tasks, Peculiarities::default()).await;
    let off = ask(&target, Action::PowerCycle).await;
    assert!(matches!(off.result, Err(Error::Rejected { .. })), "it is off: {:?}", off.result);
    assert!(ask(&target, Action::PowerOn).await.result.is_ok());
    assert!(ask(&target, Action::PowerCycle).await.result.is_ok());
    assert_eq!(fake.state().resets, ["On", "ForceOff", "On"]);
}

#[tokio::test]
async fn a_task_is_waited_for_and_its_end_told() {
    let mut tasks = JoinSet::new();
    let completed = Peculiarities { task_ends_as: Some("Completed"), ..Peculiarities::default() };
    let (fake, target) = bmc(&mut tasks, completed).await;
    assert!(ask(&target, Action::PowerOn).await.result.is_ok());
    assert!(fake.state().requests.contains(&"GET /redfish/v1/Tasks/1".to_owned()));
    let failed = Peculiarities { task_ends_as: Some("Exception"), ..Peculiarities::default() };
    let (_fake, target) = bmc(&mut tasks, failed).await;
    let error = ask(&target, Action::PowerOn).await.result.unwrap_err().to_string();
    assert!(error.contains("its task ended as Exception: the fuse is blown"), "{error}");
}

#[tokio::test]
async fn a_light_shines_although_somebody_else_changed_the_system() {
    let mut tasks = JoinSet::new();
    let (fake, target) =
        bmc(&mut tasks, Peculiarities { changes_tag: true, ..Peculiarities::default() }).await;
    assert!(ask(&target, Action::Identify).await.result.is_ok());
    assert_eq!(fake.state().light, "Blinking");
    assert!(ask(&target, Action::NoIdentify).await.result.is_ok());
    assert_eq!(fake.state().light, "Off");
}

#[tokio::test]
async fn the_log_is_the_makers_and_comes_in_pages() {
    let mut tasks = JoinSet::new();
    let (fake, target) =
        bmc(&mut tasks, Peculiarities { vendor: "Dell", ..Peculiarities::default() }).await;
    let log = ask(&target, Action::SelList).await.result.unwrap().to_string();
    let line = "2026-01-02T10:00:00Z | Fan | It stopped. | Asserted";
    assert_eq!(log, format!("1 | {line}\n2 | {line}"));
    assert!(ask(&target, Action::SelClear).await.result.is_ok());
    assert!(fake.state().log_cleared);
    let (_fake, lenovo) =
        bmc(&mut tasks, Peculiarities { vendor: "Lenovo", ..Peculiarities::default() }).await;
    assert_eq!(ask(&lenovo, Action::SelList).await.result.unwrap(), Reply::Events(Vec::new()));
}

#[tokio::test]
async fn sensors_and_inventory_are_told() {
    let mut tasks = JoinSet::new();
    let (_fake, target) = bmc(&mut tasks, Peculiarities::default()).await;
    let sensors = ask(&target, Action::Sensors).await.result.unwrap().to_string();
    assert_eq!(sensors, "Inlet | 21.000 degrees C | ok");
    let inventory = ask(&target, Action::Inventory).await.result.unwrap().to_string();
    assert_eq!(inventory, "product | manufacturer | ACME\nproduct | serial number | S-1");
}

#[tokio::test]
async fn a_wrong_password_is_sent_once() {
    let mut tasks = JoinSet::new();
    let (fake, mut target) = bmc(&mut tasks, Peculiarities::default()).await;
    target.credentials = credentials("guess");
    let limits = Limits { tries: 5, ..Limits::default() };
    let engine = Engine::new(Vec::new());
    // Where it is refused with each request it is tried in a session, before it is called wrong.
    for (authentication, times) in [(Authentication::Basic, 2), (Authentication::Session, 1)] {
        target.redfish.authentication = authentication;
        engine.forget(&target);
        let before = fake.state().logins;
        let outcome = run_one(&engine, target.clone(), Action::PowerStatus, limits.clone()).await;
        assert!(matches!(outcome.result, Err(Error::WrongPassword { .. })), "{:?}", outcome.result);
        assert_eq!(fake.state().logins, before + times, "{authentication:?}");
        let again = run_one(&engine, target.clone(), Action::PowerStatus, limits.clone()).await;
        assert!(matches!(again.result, Err(Error::Held { .. })), "{:?}", again.result);
    }
}

#[tokio::test]
async fn a_session_is_given_back() {
    let mut tasks = JoinSet::new();
    let (fake, mut target) = bmc(&mut tasks, Peculiarities::default()).await;
    target.redfish.authentication = Authentication::Session;
    assert!(ask(&target, Action::PowerStatus).await.result.is_ok());
    assert_eq!((fake.state().logins, fake.state().open_sessions), (1, 0));
    let (_fake, mut without) =
        bmc(&mut tasks, Peculiarities { no_sessions: true, ..Peculiarities::default() }).await;
    without.redfish.authentication = Authentication::Session;
    assert!(ask(&without, Action::PowerStatus).await.result.is_ok());
}

#[tokio::test]
async fn one_that_is_not_ready_or_closes_every_connection_is_borne_with() {
    let mut tasks = JoinSet::new();
    let (fake, target) =
        bmc(&mut tasks, Peculiarities { not_ready: 2, ..Peculiarities::default() }).await;
    assert!(ask(&target, Action::PowerStatus).await.result.is_ok());
    assert!(fake.state().requests.len() > 3);
    let (_fake, target) =
        bmc(&mut tasks, Peculiarities { closes: true, ..Peculiarities::default() }).await;
    let outcome = ask(&target, Action::PowerOn).await;
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
}

#[tokio::test]
async fn nonsense_is_called_so() {
    let mut tasks = JoinSet::new();
    for nonsense in ["<html>", "[[[[", "\"text\"", "{\"Systems\": 7}", ""] {
        let (_fake, target) =
            bmc(&mut tasks, Peculiarities { nonsense: Some(nonsense), ..Peculiarities::default() })
                .await;
        let error = ask(&target, Action::PowerStatus).await.result.unwrap_err();
        assert!(
            matches!(error, Error::Garbled { .. } | Error::Rejected { .. }),
            "{nonsense}: {error:?}"
        );
    }
}

#[tokio::test]
async fn the_first_certificate_is_kept_and_another_one_refused() {
    let mut tasks = JoinSet::new();
    let (fake, target) = bmc(&mut tasks, Peculiarities::default()).await;
    let engine = Engine::new(Vec::new());
    let first = run_one(&engine, target.clone(), Action::PowerStatus, Limits::default()).await;
    assert!(first.result.is_ok(), "{:?}", first.result);
    assert_eq!(first.certificate, Some(Fingerprint::of(&fake.certificate)));
    // Somebody else takes its address.
    let address = fake.address;
    tasks.shutdown().await;
    let other = Fake::start_at(&mut tasks, address, Peculiarities::default()).await;
    let refused = run_one(&engine, target.clone(), Action::PowerStatus, Limits::default()).await;
    assert!(
        matches!(refused.result, Err(Error::CertificateChanged { .. })),
        "{:?}",
        refused.result
    );
    assert!(other.state().requests.is_empty(), "nothing was told to it");
    engine.forget(&target);
    let accepted = run_one(&engine, target, Action::PowerStatus, Limits::default()).await;
    assert!(accepted.result.is_ok(), "{:?}", accepted.result);
}

#[tokio::test]
async fn a_pinned_certificate_is_that_one_only() {
    let mut tasks = JoinSet::new();
    let (fake, mut target) = bmc(&mut tasks, Peculiarities::default()).await;
    target.redfish.trust = Trust::Pinned(Fingerprint::of(&fake.certificate));
    assert!(ask(&target, Action::PowerStatus).await.result.is_ok());
    target.redfish.trust = Trust::Pinned(Fingerprint::of(b"another"));
    let refused = ask(&target, Action::PowerStatus).await.result;
    assert!(matches!(refused, Err(Error::CertificateChanged { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_certificate_is_verified_by_an_authority_for_its_address_or_name() {
    let mut tasks = JoinSet::new();
    let (fake, mut target) = bmc(&mut tasks, Peculiarities::default()).await;
    let engine = Engine::new(vec![fake.certificate.clone()]);
    let ask =
        |target: &Target| run_one(&engine, target.clone(), Action::PowerStatus, Limits::default());
    target.redfish.trust = Trust::Verified { name: None };
    let verified = ask(&target).await.result;
    assert!(verified.is_ok(), "{verified:?}");
    target.redfish.trust = Trust::Verified { name: Some("bmc.example".to_owned()) };
    let refused = ask(&target).await.result;
    assert!(matches!(refused, Err(Error::CertificateRefused { .. })), "{refused:?}");
    target.redfish.trust = Trust::Verified { name: None };
    let stranger =
        run_one(&Engine::new(Vec::new()), target.clone(), Action::PowerStatus, Limits::default())
            .await;
    assert!(
        matches!(stranger.result, Err(Error::CertificateRefused { .. })),
        "{:?}",
        stranger.result
    );
    target.redfish.trust = Trust::Unverified;
    assert!(ask(&target).await.result.is_ok());
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let mut target = redfish_target(([127, 0, 0, 1], 1).into());
    target.driver = Driver::Redfish;
    let error = ask(&target, Action::PowerStatus).await.result.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}
