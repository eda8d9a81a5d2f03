//! Ticket, token, plan and reports.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use perilune_agent::controller::{self, Controller as Client};
use perilune_agent::pinned::Fingerprint;
use perilune_agent::trust::Trust;
use perilune_agent::wait;
use perilune_plan::{OtherController, Phase, Progress, Purpose, Root};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

use crate::console::Memory;
use crate::controller::{Answer, Controller, Request, key, start_with_certificate, start_with_tls};

const PLAN: &str = r#"{"node":"node001","hostname":"node001.cluster",
    "image":{"name":"compute","file":"compute-1.tar.zst","checksum":null,"size":null,"unpacked_size":null,
             "distribution":null,"kernel_file":"k","initrd_file":"i"},
    "root":"memory","prescripts":[],"postscripts":[],"roles":[],"interfaces":[],"boot_interface":"BOOTIF",
    "nameservers":[],"search":[],"kerneloptions":"","secrets":[],"bmc":null}"#;

fn client(controller: &Controller) -> Client {
    Client::new(&controller.url(), "node001", Some("ticket"), &Trust::Anybody, key())
}

/// A controller that does everything right.
fn willing(request: &Request) -> Answer {
    match request.line.as_str() {
        "POST /boot/ticket/node001" => Answer::sealed(201, r#"{"token":"token"}"#, Purpose::Token),
        "GET /boot/plan/node001" => Answer::sealed(200, PLAN, Purpose::Plan),
        _ => Answer::nothing(),
    }
}

#[test]
fn a_ticket_is_changed_for_a_token_and_the_token_shown_for_the_plan() {
    let controller = Controller::start(|_, request| willing(request));
    let (console, _) = Memory::console();
    let plan = client(&controller).plan(&console).unwrap();
    assert_eq!((plan.hostname.as_str(), plan.root), ("node001.cluster", Root::Memory));
    let requests = controller.requests();
    // What the TPM of the machine measured, if this one has any, is beside it.
    let shown: serde_json::Value = serde_json::from_str(&requests[0].body).unwrap();
    assert_eq!(shown["ticket"], "ticket");
    assert_eq!(requests[0].header("x-access-tokens"), None);
    assert_eq!(requests[1].header("x-access-tokens"), Some("token"));
}

#[test]
fn a_failing_controller_is_asked_until_it_works() {
    let controller = Controller::start(|before, request| match before {
        0 => Answer::json(503, r#"{"message":"starting"}"#),
        _ => willing(request),
    });
    let (console, memory) = Memory::console();
    client(&controller).plan(&console).unwrap();
    let text = memory.text();
    assert!(text.contains("the controller fails (503): starting; trying until it works"), "{text}");
    assert!(text.contains("the controller answers again"), "{text}");
}

#[test]
fn a_controller_that_is_away_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (console, seen) = Memory::console();
    let back = thread::spawn(move || {
        // It comes back only when the node has noticed.
        wait::until(Duration::from_secs(20), || {
            seen.text().contains("nothing listens").then_some(())
        })
        .unwrap();
        Controller::start_on(TcpListener::bind(address).unwrap(), |_, request| willing(request))
    });
    Client::new(&format!("http://{address}"), "node001", Some("ticket"), &Trust::Anybody, key())
        .plan(&console)
        .unwrap();
    assert_eq!(back.join().unwrap().lines().len(), 2);
}

#[test]
fn a_refusal_is_final_and_in_the_controllers_words() {
    let controller = Controller::start(|before, request| match before {
        0 => willing(request),
        _ => Answer::json(409, r#"{"message":"its image 'compute' is not packed"}"#),
    });
    let (console, _) = Memory::console();
    let error = client(&controller).plan(&console).unwrap_err();
    assert!(matches!(error, controller::Error::Refused { status: 409, .. }));
    assert!(error.to_string().contains("its image 'compute' is not packed"), "{error}");
}

#[test]
fn a_boot_whose_ticket_is_not_taken_is_over() {
    let controller =
        Controller::start(|_, _| Answer::json(401, r#"{"message":"this ticket has expired"}"#));
    let (console, _) = Memory::console();
    let error = client(&controller).plan(&console).unwrap_err().to_string();
    assert!(error.contains("does not serve this boot: this ticket has expired"), "{error}");
    let without = Client::new(&controller.url(), "node001", None, &Trust::Anybody, key())
        .plan(&console)
        .unwrap_err()
        .to_string();
    assert!(without.contains("no perilune.ticket"), "{without}");
}

#[test]
fn a_token_that_has_run_out_is_renewed_by_the_ticket() {
    let controller = Controller::start(|before, request| match before {
        2 => Answer::json(401, r#"{"message":"token expired"}"#),
        _ => willing(request),
    });
    let (console, memory) = Memory::console();
    let client = client(&controller);
    client.plan(&console).unwrap();
    client.plan(&console).unwrap();
    let expected =
        ["POST /boot/ticket/node001", "GET /boot/plan/node001", "GET /boot/plan/node001"];
    assert_eq!(controller.lines(), [&expected[..], &expected[..2]].concat());
    assert_eq!(memory.text(), "");
}

#[test]
fn an_answer_that_is_not_a_plan_is_said() {
    let controller = Controller::start(|before, request| match before {
        0 => willing(request),
        _ => Answer::json(200, "<html>"),
    });
    let (console, _) = Memory::console();
    let error = client(&controller).plan(&console).unwrap_err();
    assert!(matches!(error, controller::Error::Unreadable(_)), "{error}");
}

#[test]
fn states_and_progress_are_reported_as_the_controller_reads_them() {
    let controller = Controller::start(|_, request| willing(request));
    let (console, memory) = Memory::console();
    let client = client(&controller);
    client.report("error", Some("the disk is too small"), &console);
    client.progress(&Progress {
        phase: Phase::Unpack,
        bytes_done: Some(1),
        bytes_total: Some(2),
        rate: Some(3),
        message: None,
    });
    let requests = controller.requests();
    assert_eq!(requests[1].line, "POST /monitor/node/node001");
    let state = r#"{"monitor":{"status":{"node001":{"state":"install.error","status":"the disk is too small"}}}}"#;
    assert_eq!(requests[1].body, state);
    assert_eq!(requests[2].line, "POST /boot/progress/node001");
    assert_eq!(
        requests[2].body,
        r#"{"phase":"unpack","bytes_done":1,"bytes_total":2,"rate":3,"message":null}"#
    );
    assert_eq!(requests[2].header("x-access-tokens"), Some("token"));
    assert_eq!(memory.text(), "");
}

#[test]
fn a_state_that_is_refused_does_not_stop_a_node() {
    let controller = Controller::start(|before, request| match before {
        0 => willing(request),
        _ => Answer::json(404, r#"{"message":"node001 not found"}"#),
    });
    let (console, memory) = Memory::console();
    client(&controller).report("unpack", None, &console);
    assert!(memory.text().contains("install.unpack was not reported"), "{}", memory.text());
}

#[test]
fn a_controller_with_https_is_believed_as_the_kernel_command_line_says() {
    let (url, certificate) = start_with_tls(&["127.0.0.1"], willing);
    let (console, _) = Memory::console();
    let plan = |trust: &Trust| {
        Client::new(&url, "node001", Some("ticket"), trust, key())
            .plan(&console)
            .map(|plan| plan.node)
    };
    assert_eq!(plan(&Trust::new(false, None)).unwrap(), "node001");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("authorities.crt");
    std::fs::write(&file, certificate).unwrap();
    assert_eq!(plan(&Trust::Authorities(vec![file])).unwrap(), "node001");
}

fn fingerprint(certificate: &str) -> Fingerprint {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    format!("{:x}", Sha256::digest(certificate)).parse().unwrap()
}

#[test]
fn a_controller_is_believed_by_the_certificate_that_the_boot_script_named_and_nobody_else_is() {
    // Whatever name it has, and whatever the clock says.
    let (url, certificate) = start_with_certificate(&["another"], 1980..1990, willing);
    let own = Trust::new(false, Some(fingerprint(&certificate)));
    let (console, memory) = Memory::console();
    let client = Client::new(&url, "node001", Some("ticket"), &own, key());
    assert_eq!(client.plan(&console).unwrap().node, "node001");
    let (_, others) = start_with_tls(&["127.0.0.1"], willing);
    thread::spawn(move || {
        let trust = Trust::new(false, Some(fingerprint(&others)));
        Client::new(&url, "node001", Some("ticket"), &trust, key()).plan(&console).ok();
    });
    wait::until(Duration::from_secs(20), || {
        memory.text().contains("another certificate than the boot script has named").then_some(())
    })
    .unwrap();
}

#[test]
fn a_controller_that_cannot_prove_itself_is_told_on_the_console_and_waited_for() {
    for names in [["127.0.0.1"], ["another"]] {
        let (url, certificate) = start_with_tls(&names, willing);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("authorities.crt");
        // The first is known to nobody, the second is another's.
        let known = if names == ["another"] { certificate.as_str() } else { "" };
        std::fs::write(&file, known).unwrap();
        let (console, memory) = Memory::console();
        // Nobody repairs it, so it is asked until the test ends.
        thread::spawn(move || {
            let trust = Trust::Authorities(vec![file]);
            Client::new(&url, "node001", Some("ticket"), &trust, key()).plan(&console).ok();
        });
        wait::until(Duration::from_secs(20), || {
            memory.text().contains("cannot be believed to be the controller").then_some(())
        })
        .unwrap();
    }
}

#[test]
fn a_certificate_that_is_outside_of_its_time_is_told_with_what_the_clock_says() {
    for (years, expected) in [(2990..3000, "is not valid yet"), (1980..1990, "has run out")] {
        let (url, certificate) = start_with_certificate(&["127.0.0.1"], years, willing);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("authorities.crt");
        std::fs::write(&file, certificate).unwrap();
        let (console, memory) = Memory::console();
        thread::spawn(move || {
            let trust = Trust::Authorities(vec![file]);
            Client::new(&url, "node001", Some("ticket"), &trust, key()).plan(&console).ok();
        });
        wait::until(Duration::from_secs(20), || {
            let text = memory.text();
            (text.contains(expected) && text.contains("by this machine's clock, which says 20"))
                .then_some(())
        })
        .unwrap();
        assert!(!memory.text().contains("add its authority"), "{}", memory.text());
    }
}

/// An address where nobody listens.
fn deserted() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn ticket_and_plan_are_had_from_another_controller_when_the_first_is_away() {
    let third = OtherController { url: format!("http://{}", deserted()), certificate: None };
    let plan =
        PLAN.replacen('{', &format!(r#"{{"controllers":[{}],"#, serde_json::json!(third)), 1);
    let (url, certificate) =
        start_with_tls(&["127.0.0.1"], move |request| match request.line.as_str() {
            "GET /boot/plan/node001" => Answer::sealed(200, &plan, Purpose::Plan),
            _ => willing(request),
        });
    let (console, memory) = Memory::console();
    // Of the first, another certificate is known: each controller is believed by one that was named.
    let trust = Trust::new(false, Some("ab".repeat(32).parse().unwrap()));
    let first = format!("https://{}", deserted());
    let client = Client::new(&first, "node001", Some("ticket"), &trust, key());
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let digits = format!("{:x}", Sha256::digest(certificate));
    client.learn(&[OtherController { url: url.clone(), certificate: Some(digits) }]);
    let plan = client.plan(&console).unwrap();
    assert_eq!(plan.controllers, [third]);
    assert_eq!(client.base(), url);
    assert!(memory.text().contains("asking the next one"), "{}", memory.text());
}
