//! Redfish as BMCs have it beside the standard: what is so already, tags, logins, odd answers, several systems.

use perilune_bmc::{Action, Driver, Engine, Error, Limits, PowerState, Reply, Target};
use serde_json::json;
use tokio::task::JoinSet;

use crate::fake::redfish::{Fake, Peculiarities};
use crate::tools::{credentials, redfish_target, run_one};

async fn bmc(tasks: &mut JoinSet<()>, peculiarities: Peculiarities) -> (Fake, Target) {
    let fake = Fake::start(tasks, peculiarities).await;
    let target = redfish_target(fake.address);
    (fake, target)
}

async fn ask(target: &Target, action: Action) -> Result<Reply, Error> {
    let engine = Engine::new(Vec::new());
    run_one(&engine, target.clone(), action, Limits::default()).await.result
}

#[tokio::test]
async fn what_is_as_wanted_already_is_a_success_however_it_is_said() {
    let mut tasks = JoinSet::new();
    for (status, id) in [
        (409, "ResourceInStandby"),
        (409, "PSU501"),
        (400, "NoOperation"),
        (400, "InvalidOperationForSystemState"),
        (405, "ActionNotSupported"),
        (500, "GeneralError"),
        (503, "ServiceTemporarilyUnavailable"),
    ] {
        let refuses_same = Some((status, id));
        let (fake, target) =
            bmc(&mut tasks, Peculiarities { refuses_same, ..Peculiarities::default() }).await;
        for action in [Action::PowerOff, Action::PowerOn, Action::PowerOn, Action::PowerOff] {
            let result = ask(&target, action).await;
            assert!(matches!(result, Ok(Reply::Done)), "{status} {id}, {action}: {result:?}");
        }
        for action in [Action::Identify, Action::Identify, Action::SelClear, Action::SelClear] {
            let result = ask(&target, action).await;
            assert!(matches!(result, Ok(Reply::Done)), "{status} {id}, {action}: {result:?}");
        }
        assert_eq!((fake.state().light.as_str(), fake.state().is_on), ("Blinking", false));
    }
}

#[tokio::test]
async fn a_refusal_stays_one_where_the_state_is_another() {
    let mut tasks = JoinSet::new();
    let reset_answer = Some((409, "{}"));
    let (_fake, target) =
        bmc(&mut tasks, Peculiarities { reset_answer, ..Peculiarities::default() }).await;
    let result = ask(&target, Action::PowerOn).await;
    assert!(matches!(result, Err(Error::Rejected { .. })), "{result:?}");
}

#[tokio::test]
async fn a_weak_tag_is_tried_without_its_mark_and_then_any_tag() {
    let mut tasks = JoinSet::new();
    for form in ["W/{}", "{}", "*"] {
        let peculiarities = Peculiarities { wants_tag: Some(form), ..Peculiarities::default() };
        let (fake, target) = bmc(&mut tasks, peculiarities).await;
        let result = ask(&target, Action::Identify).await;
        assert!(result.is_ok(), "{form}: {result:?}");
        assert_eq!(fake.state().light, "Blinking", "{form}");
    }
}

#[tokio::test]
async fn a_password_that_is_refused_with_each_request_is_tried_in_a_session_once() {
    let mut tasks = JoinSet::new();
    for closed_root in [false, true] {
        let peculiarities =
            Peculiarities { no_basic: true, closed_root, ..Peculiarities::default() };
        let (fake, target) = bmc(&mut tasks, peculiarities).await;
        let engine = Engine::new(Vec::new());
        for _ in 0..3 {
            let limits = Limits::default();
            let outcome = run_one(&engine, target.clone(), Action::PowerStatus, limits).await;
            assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        }
        let state = fake.state();
        let sessions = state.requests.iter().filter(|request| request.starts_with("POST")).count();
        assert_eq!((sessions, state.open_sessions), (3, 0));
        let in_vain = state.logins as usize - sessions;
        assert_eq!(in_vain, if closed_root { 4 } else { 1 }, "it is known afterwards");
    }
}

#[tokio::test]
async fn a_root_that_is_closed_to_strangers_is_no_wrong_password() {
    let mut tasks = JoinSet::new();
    let (_fake, mut target) =
        bmc(&mut tasks, Peculiarities { closed_root: true, ..Peculiarities::default() }).await;
    for driver in [Driver::Redfish, Driver::Auto] {
        target.driver = driver;
        let result = ask(&target, Action::PowerStatus).await;
        assert!(matches!(result, Ok(Reply::Power(PowerState::Off))), "{result:?}");
    }
    target.credentials = credentials("guess");
    let result = ask(&target, Action::PowerStatus).await;
    assert!(matches!(result, Err(Error::WrongPassword { .. })), "{result:?}");
}

#[tokio::test]
async fn a_session_that_is_refused_for_another_reason_is_no_wrong_password() {
    let mut tasks = JoinSet::new();
    for (refusal, expected) in [
        ((503, "SessionLimitExceeded"), "has no free session"),
        ((400, "CreateLimitReachedForResource"), "has no free session"),
        ((403, "PasswordChangeRequired"), "must be changed first"),
        ((403, "InsufficientPrivilege"), "needs more privilege"),
        ((400, "UnauthorizedLoginAttempt"), "refuses user name or password"),
        ((401, "ResourceAtUriUnauthorized"), "refuses user name or password"),
    ] {
        let session_refusal = Some(refusal);
        let peculiarities =
            Peculiarities { no_basic: true, session_refusal, ..Peculiarities::default() };
        let (_fake, target) = bmc(&mut tasks, peculiarities).await;
        let error = ask(&target, Action::PowerStatus).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{refusal:?}: {error}");
    }
}

#[tokio::test]
async fn a_reset_is_sent_once_whatever_is_odd_about_its_answer() {
    let mut tasks = JoinSet::new();
    for (status, body) in [
        (200, "<html>done"),
        (204, ""),
        (202, "{\"@odata.id\": \"/redfish/v1/Tasks/none\"}"),
        (202, "{\"@odata.id\": \"/logs/FaultList\"}"),
        (202, "{\"@odata.id\": \"//elsewhere\"}"),
        (302, ""),
        (400, "{}"),
        (400, "<html>"),
        (401, ""),
        (409, "{}"),
        (422, "{}"),
        (429, ""),
        (500, ""),
        (502, ""),
        (503, ""),
        (504, "{}"),
    ] {
        for action in [Action::PowerReset, Action::PowerSoft] {
            let reset_answer = Some((status, body));
            let (fake, target) =
                bmc(&mut tasks, Peculiarities { reset_answer, ..Peculiarities::default() }).await;
            fake.switch_on();
            let result = ask(&target, action).await;
            assert_eq!(fake.state().resets.len(), 1, "{action}, {status} {body}: {result:?}");
            let is_done = status < 300 && !body.contains("elsewhere");
            assert_eq!(result.is_ok(), is_done, "{action}, {status} {body}: {result:?}");
            if status >= 500 {
                assert!(matches!(result, Err(Error::Unconfirmed { .. })), "{result:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_machine_is_chosen_among_several_systems() {
    let mut tasks = JoinSet::new();
    let board = json!({"SystemType": "Physical", "PowerState": "On", "BiosVersion": "1",
        "Boot": {"BootSourceOverrideEnabled": "Disabled"}, "ProcessorSummary": {"Count": 8},
        "Actions": {"#ComputerSystem.Reset": {"target": "/wrong"}}});
    let card = json!({"SystemType": "DPU", "PowerState": "On",
        "Actions": {"#ComputerSystem.Reset": {"target": "/wrong"}}});
    let fabric = json!({"Name": "Fabric", "PowerState": "On"});
    let absent = json!({"PowerState": "On", "Status": {"State": "Absent"},
        "Actions": {"#ComputerSystem.Reset": {"target": "/wrong"}}});
    for systems in [
        vec![("HGX_Baseboard_0", board.clone())],
        vec![("HGX_Baseboard_0", board.clone()), ("Bluefield", card.clone())],
        vec![("Card1", card)],
        vec![("0", fabric)],
        vec![("Blade1", absent)],
        vec![("Chassis", json!({}))],
    ] {
        let peculiarities = Peculiarities { systems, ..Peculiarities::default() };
        let named = format!("{:?}", peculiarities.systems);
        let (fake, target) = bmc(&mut tasks, peculiarities).await;
        let result = ask(&target, Action::PowerOn).await;
        assert!(result.is_ok(), "{named}: {result:?}");
        assert_eq!(fake.state().resets, ["On"], "{named}");
    }
}

#[tokio::test]
async fn between_two_machines_nobody_guesses_and_the_setup_says_which() {
    let mut tasks = JoinSet::new();
    let other = json!({"PowerState": "On",
        "Actions": {"#ComputerSystem.Reset": {"target": "/wrong"}}});
    let systems = vec![("Blade2", other)];
    let (fake, mut target) =
        bmc(&mut tasks, Peculiarities { systems, ..Peculiarities::default() }).await;
    let error = ask(&target, Action::PowerReset).await.unwrap_err().to_string();
    let expected = "it has several systems that may be meant: Blade2, 1; say which with the field system of the BMC setup";
    assert!(error.contains(expected), "{error}");
    assert!(fake.state().resets.is_empty());
    target.redfish.system = Some("1".to_owned());
    assert!(ask(&target, Action::PowerReset).await.is_ok());
    assert_eq!(fake.state().resets, ["ForceRestart"]);
    target.redfish.system = Some("blade2".to_owned());
    let status = ask(&target, Action::PowerStatus).await;
    assert!(matches!(status, Ok(Reply::Power(PowerState::On))), "{status:?}");
    target.redfish.system = Some("3".to_owned());
    let error = ask(&target, Action::PowerStatus).await.unwrap_err().to_string();
    assert!(error.contains("it has no system \"3\"; there are: Blade2, 1"), "{error}");
}
