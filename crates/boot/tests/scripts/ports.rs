//! Which port machines are sent to for their scripts: one of the daemon's own, since another server in front hides who asks.

use perilune_boot::{Environment, Error, Protocol, Settings, Site};
use perilune_model::MacAddress;

use crate::cluster::{self, MAC, name};

#[test]
fn every_script_sends_machines_to_the_daemons_own_port_for_the_next_one() {
    let cluster = cluster::everything().finish().0;
    let settings = Settings {
        web_server: Some((Protocol::Http, 7051)),
        listen: vec![(Protocol::Http, ([0, 0, 0, 0], 7050).into())],
        ..Settings::default()
    };
    let environment = Environment::of(&cluster, &settings);
    let site =
        Site { templates: &cluster::built_in(), environment: &environment, cluster: &cluster };
    let mac: MacAddress = MAC.parse().unwrap();
    let waiting =
        Error::Waiting { mac: MAC.to_owned(), wish: "node001".to_owned(), replaces: false };
    let unknown = Error::UnknownMachine { mac: MAC.to_owned() };
    let manual = format!("/boot/manual/group/compute/{MAC}");
    let scripts = [
        ("menu", site.menu().unwrap()),
        ("short menu", site.short_menu().unwrap()),
        ("disk", site.disk_script().unwrap()),
        ("direct", site.direct_script(mac)),
        ("failed", site.failed_script(&unknown)),
        ("waiting", site.waiting_script(&waiting, &manual)),
        ("ask again", site.ask_again_script(&name("node001"), mac, 1)),
        ("busy", site.busy_script(&manual, 7)),
        ("node", cluster::script_of(&site, mac, "ticket").unwrap().text),
    ];
    for (kind, script) in scripts {
        assert!(script.contains(":7050/boot"), "{kind}: {script}");
        assert!(!script.contains(":7051/boot"), "{kind}: {script}");
    }
}

#[test]
fn a_machine_that_asks_too_often_waits_and_asks_the_same_again() {
    let cluster = cluster::everything().finish().0;
    let settings = Settings::default();
    let environment = Environment::of(&cluster, &settings);
    let site =
        Site { templates: &cluster::built_in(), environment: &environment, cluster: &cluster };
    let script = site.busy_script("/boot/search/mac/${net0/mac}\nreboot?again=1", 9);
    assert!(script.contains("\nsleep 9\n"), "{script}");
    assert!(script.contains("/boot/search/mac/{net0/mac}reboot?again=1 ||\n"), "{script}");
}
