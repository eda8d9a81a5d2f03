//! keepalived, as docs/controllers.md configures it: the address that it keeps is where a controller is ready, and stays where it is when none is.

use std::fs;
use std::path::Path;
use std::process::Child;

use perilune_testkit::Limit;
use perilune_testkit::process::{end, run, wait_for};

use crate::controllers::{CONTROLLERS, Wire, until};
use crate::site::{Machine, limit};
use crate::tools::{CURL, KEEPALIVED};

const DOCUMENT: &str = include_str!("../../../../docs/controllers.md");
/// One that no host of the wire has.
const ADDRESS: &str = "10.141.255.250";
/// Longer than it takes to move.
const SETTLED: u64 = 6;
/// As long as a database that is away is looked at.
const AWAY: u64 = 12;

/// The keepalived of each controller, which ends with this.
struct Keepers(Vec<Child>);

impl Drop for Keepers {
    fn drop(&mut self) {
        for process in &mut self.0 {
            end(process);
        }
    }
}

/// What is to be written into its configuration, here for another address and a controller that speaks http.
fn recipe() -> String {
    let (_, rest) = DOCUMENT.split_once("For keepalived:\n\n```\n").expect("it is in the document");
    let (recipe, _) = rest.split_once("```").unwrap();
    let here = recipe.replace("10.141.255.254/16", &format!("{ADDRESS}/16"));
    here.replace("https://127.0.0.1", "http://127.0.0.1")
}

fn start(wire: &Wire, program: &str, directory: &Path) -> Keepers {
    let start = |controller: usize| {
        let file = |name: &str| directory.join(format!("{controller}.{name}"));
        fs::write(file("conf"), recipe()).unwrap();
        let log = fs::File::create(file("log")).unwrap();
        let mut keepalived = wire.network(controller).command(program);
        keepalived.args(["--vrrp", "--dont-fork", "--log-console", "--use-file"]);
        keepalived.arg(file("conf")).arg("--pid").arg(file("pid"));
        keepalived.arg("--vrrp_pid").arg(file("vrrp.pid"));
        keepalived.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    };
    Keepers((0..CONTROLLERS.len()).map(start).collect())
}

/// The controllers that have the address.
fn holders(wire: &Wire) -> Vec<usize> {
    let has = |controller: &usize| {
        let mut show = wire.network(*controller).command("ip");
        let shown = run(show.args(["-4", "-oneline", "address", "show"]), &limit()).unwrap();
        shown.contains(&format!(" {ADDRESS}/"))
    };
    (0..CONTROLLERS.len()).filter(has).collect()
}

fn stays(wire: &Wire, holder: usize, seconds: u64, what: &str) {
    let elsewhere = || Some(holders(wire)).filter(|holders| *holders != [holder]);
    let moved = wait_for(&Limit::seconds(seconds), elsewhere).unwrap();
    assert_eq!(moved, None, "{what}");
}

/// Waits until the address is there, and whoever goes to it is answered there.
fn comes_to(wire: &Wire, holder: usize, (machine, curl): (&Machine, &str), what: &str) {
    until(what, || holders(wire) == [holder]);
    let url = format!("http://{ADDRESS}:7050/ping");
    until(what, || machine.run(curl, &["-sf", "--max-time", "1", &url]).is_ok());
}

fn is_ready(wire: &Wire, controller: usize, curl: &str) -> bool {
    let mut ask = wire.network(controller).command(curl);
    run(ask.args(["-sf", "http://127.0.0.1:7050/ha/ready"]), &limit()).is_ok()
}

#[test]
fn the_shared_address_goes_where_a_controller_is_ready_and_stays_when_none_is() {
    let (Some(keepalived), Some(curl)) = (KEEPALIVED.find(), CURL.find()) else { return };
    let Some(mut wire) = Wire::start() else { return };
    let all_are = |wire: &Wire, ready: bool| {
        until(&format!("all are to be ready: {ready}"), || {
            (0..CONTROLLERS.len()).all(|controller| is_ready(wire, controller, &curl) == ready)
        });
    };
    all_are(&wire, true);
    let directory = tempfile::tempdir().unwrap();
    let _keepers = start(&wire, &keepalived, directory.path());
    let machine = wire.machine("52:54:00:00:00:66");
    machine.take("10.141.0.99/16");
    let client = (&machine, curl.as_str());

    until("nobody has the address", || holders(&wire).len() == 1);
    stays(&wire, holders(&wire)[0], SETTLED, "at the beginning");
    let mut holder = holders(&wire)[0];
    comes_to(&wire, holder, client, "it is answered");

    let name = format!("controller{holder}");
    wire.cli(holder, &["controller", "drain", &name]);
    holder = 1 - holder;
    comes_to(&wire, holder, client, "drained");
    wire.cli(holder, &["controller", "drain", &name, "--undo"]);
    all_are(&wire, true);
    stays(&wire, holder, SETTLED, "not drained any more");

    wire.signal(holder, "TERM");
    let stopped = holder;
    holder = 1 - stopped;
    comes_to(&wire, holder, client, "stopped");
    wire.kill(stopped);
    wire.start_again(stopped);
    all_are(&wire, true);
    stays(&wire, holder, SETTLED, "started again");

    wire.kill(holder);
    let killed = holder;
    holder = 1 - killed;
    comes_to(&wire, holder, client, "killed");
    wire.start_again(killed);
    all_are(&wire, true);

    for controller in 0..CONTROLLERS.len() {
        wire.way(controller).close();
    }
    all_are(&wire, false);
    stays(&wire, holder, AWAY, "the database is away");
    for controller in 0..CONTROLLERS.len() {
        wire.way(controller).open();
    }
    all_are(&wire, true);
    stays(&wire, holder, SETTLED, "the database is back");
}
