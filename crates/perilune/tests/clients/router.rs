//! Machines that look for an IPv6 router: `rdisc6` asks as their firmware does.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use perilune_testkit::Lab;
use perilune_testkit::lab::BRIDGE;
use perilune_testkit::process::{end, run, wait_for};

use crate::site::{Machine, NODE_MAC, Site, limit};
use crate::tools::{RADVD, RDISC6, SETPRIV, UDHCPC};

/// Asks once, and waits longer than any answer takes.
const ASK: [&str; 6] = ["-1", "-r", "1", "-w", "6000", "nic0"];

fn place() -> (Site, Machine) {
    let site = Site::start("10.141.200.1", "10.141.200.100");
    let machine = site.machine(NODE_MAC);
    (site, machine)
}

/// The first answer. Neither side can use its link-local address before the kernel is sure of it.
fn first_answer(machine: &Machine, rdisc6: &str) -> String {
    let ask = || machine.run(rdisc6, &ASK).ok();
    wait_for(&limit(), ask).unwrap().expect("an advertisement")
}

fn configure(site: &mut Site, value: &str) {
    let file = site.data().join("luna.ini");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.split("\n[DHCP]").next().unwrap();
    fs::write(&file, format!("{text}\n[DHCP]\nROUTER_ADVERTISEMENTS = {value}\n")).unwrap();
    site.restart();
}

/// Has a machine forward what comes by any of its interfaces.
fn forward(lab: &Lab) {
    let script = "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding";
    run(lab.command("sh").args(["-c", script]), &limit()).unwrap();
}

/// A program that advertises an interface as a way to elsewhere.
struct Router(Child);

impl Router {
    fn start(program: &str, lab: &Lab, interface: &str, directory: &Path) -> Self {
        forward(lab);
        let file = |name: &str| directory.join(name);
        let configuration = format!(
            "interface {interface} {{ AdvSendAdvert on; AdvCurHopLimit 77; \
             prefix fd00:141::/64 {{ AdvAutonomous on; }}; }};\n"
        );
        fs::write(file("radvd.conf"), configuration).unwrap();
        let mut radvd = lab.command(program);
        radvd.args(["--nodaemon", "--logmethod", "none", "--config"]).arg(file("radvd.conf"));
        Self(radvd.arg("--pidfile").arg(file("radvd.pid")).spawn().unwrap())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// Where the machine sends what is for elsewhere, once it knows.
fn default_route(machine: &Machine) -> String {
    let look = || machine.run("ip", &["-6", "route", "show", "default"]).unwrap();
    let known = wait_for(&limit(), || Some(look()).filter(|route| !route.is_empty())).unwrap();
    let route = known.expect("a router advertises itself");
    route.split(" expires").next().unwrap_or_default().to_owned()
}

#[test]
fn a_machine_hears_at_once_that_nobody_routes_and_gains_nothing() {
    let Some(rdisc6) = RDISC6.find() else { return };
    let (_site, machine) = place();
    let told = first_answer(&machine, &rdisc6);
    let value = |label: &str| {
        let line = told.lines().find(|line| line.starts_with(label));
        let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
        value.unwrap_or_else(|| panic!("no '{label}' in: {told}")).to_owned()
    };
    assert!(value("Router lifetime").starts_with("0 "), "{told}");
    assert!(value("Hop limit").starts_with("undefined"), "{told}");
    assert_eq!(value("Stateful address conf."), "No");
    assert_eq!(value("Stateful other conf."), "No");
    assert!(value("Reachable time").starts_with("unspecified"), "{told}");
    assert!(!told.contains("Prefix") && told.contains("from fe80::"), "{told}");
    let routes = machine.run("ip", &["-6", "route", "show", "dev", "nic0"]).unwrap();
    assert!(routes.lines().all(|route| route.starts_with("fe80::/64")), "{routes}");
    let addresses = machine.run("ip", &["-6", "-o", "address", "show", "dev", "nic0"]).unwrap();
    assert!(addresses.lines().all(|address| address.contains("inet6 fe80::")), "{addresses}");
}

#[test]
fn however_many_ask_there_are_three_seconds_between_two_answers() {
    let Some(rdisc6) = RDISC6.find() else { return };
    let (_site, machine) = place();
    first_answer(&machine, &rdisc6);
    for _ in 0..2 {
        let begin = Instant::now();
        machine.run(&rdisc6, &ASK).unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(2900), "{:?}", begin.elapsed());
    }
}

#[test]
fn a_site_says_no_and_machines_get_their_addresses_all_the_same() {
    let (Some(rdisc6), Some(udhcpc)) = (RDISC6.find(), UDHCPC.find()) else { return };
    let (mut site, machine) = place();
    first_answer(&machine, &rdisc6);
    configure(&mut site, "no");
    machine.run(&rdisc6, &ASK).expect_err("nobody answers");
    assert_eq!(machine.udhcpc(&udhcpc, &[]).unwrap().get("ip"), "10.141.0.1");
}

#[test]
fn a_controller_that_routes_leaves_answering_to_its_router_program_unless_told_otherwise() {
    let Some(rdisc6) = RDISC6.find() else { return };
    let (mut site, machine) = place();
    first_answer(&machine, &rdisc6);
    forward(&site.network);
    machine.run(&rdisc6, &ASK).expect_err("its own program would be contradicted");
    let said = site.log();
    assert!(
        said.contains("this machine forwards IPv6") && said.contains("ROUTER_ADVERTISEMENTS = yes"),
        "{said}"
    );
    configure(&mut site, "yes");
    first_answer(&machine, &rdisc6);
}

#[test]
fn another_router_of_the_network_keeps_its_place_and_what_it_said() {
    let (Some(rdisc6), Some(radvd)) = (RDISC6.find(), RADVD.find()) else { return };
    let (site, machine) = place();
    let other = site.machine("52:54:00:00:00:77");
    let _router = Router::start(&radvd, &other.lab, "nic0", &other.file(""));
    let route = default_route(&machine);
    let ask = || machine.run(&rdisc6, &["-m", "-r", "1", "-w", "6000", "nic0"]).ok();
    let both =
        |told: &String| [" 0 (0x", " 1800 (0x"].iter().all(|lifetime| told.contains(lifetime));
    wait_for(&limit(), || ask().filter(both)).unwrap().expect("both answer");
    assert_eq!(default_route(&machine), route);
    let hop_limit = machine.run("cat", &["/proc/sys/net/ipv6/conf/nic0/hop_limit"]).unwrap();
    assert_eq!(hop_limit.trim(), "77");
}

#[test]
fn a_router_program_on_the_controller_itself_is_not_contradicted() {
    let (Some(rdisc6), Some(radvd)) = (RDISC6.find(), RADVD.find()) else { return };
    let (site, machine) = place();
    first_answer(&machine, &rdisc6);
    let _router = Router::start(&radvd, &site.network, BRIDGE, &site.data());
    let route = default_route(&machine);
    for _ in 0..2 {
        let told = machine.run(&rdisc6, &["-m", "-r", "1", "-w", "6000", "nic0"]).unwrap();
        let lifetimes = told.lines().filter(|line| line.starts_with("Router lifetime"));
        assert!(lifetimes.clone().count() > 0, "{told}");
        assert!(lifetimes.clone().all(|line| line.contains(" 1800 (0x")), "{told}");
    }
    assert_eq!(default_route(&machine), route);
}

#[test]
fn without_the_right_to_raw_sockets_a_warning_says_what_it_costs_and_all_else_goes_on() {
    let (Some(setpriv), Some(udhcpc)) = (SETPRIV.find(), UDHCPC.find()) else { return };
    let (mut site, machine) = place();
    site.restart_by(&[&setpriv, "--bounding-set", "-net_raw", "--inh-caps", "-net_raw"]);
    let said = site.log();
    let warning = said.lines().rfind(|line| line.contains("WARN")).unwrap_or_default();
    assert!(warning.contains("CAP_NET_RAW") && warning.contains("at each boot"), "{said}");
    assert_eq!(machine.udhcpc(&udhcpc, &[]).unwrap().get("ip"), "10.141.0.1");
}
