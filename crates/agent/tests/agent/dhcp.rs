//! The DHCP client against dnsmasq, in a network of its own.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use perilune_agent::dhcp::{self, Lease};
use perilune_agent::link::Link;
use perilune_testkit::process::{command, end, run};
use perilune_testkit::{Lab, Limit};

const MAC: &str = "52:54:00:00:00:07";

/// Without root and dnsmasq there is no lab. That is fine on a desk, and a failure where everything is tested.
fn has_lab() -> bool {
    let able = rustix::process::geteuid().is_root() && Path::new("/usr/sbin/dnsmasq").exists();
    assert!(able || std::env::var_os("CI").is_none(), "this test needs root and dnsmasq");
    able
}

/// A network with a server's address, and beside it a machine whose card `nic0` is connected to it: a kernel takes
/// no packet from an address that is its own.
struct Place {
    network: Lab,
    machine: Lab,
}

fn place(name: &str) -> Place {
    let name = format!("agent-{name}-{}", std::process::id());
    let network = Lab::create(&name, &["10.141.255.254/16"]).unwrap();
    let machine = Lab::create(&format!("{name}-m"), &[]).unwrap();
    let ip = |lab: &Lab, words: &[&str]| {
        run(command("ip").args(["-n", lab.name()]).args(words), &Limit::seconds(10)).unwrap();
    };
    let cable = ["link", "add", "nic0", "address", MAC, "netns", machine.name(), "type", "veth"];
    ip(&network, &[&cable[..], &["peer", "name", "port0"]].concat());
    ip(&network, &["link", "set", "port0", "master", "br0", "up"]);
    ip(&machine, &["link", "set", "nic0", "up"]);
    Place { network, machine }
}

fn ask(place: &Place, seconds: u64) -> Result<Lease, dhcp::Error> {
    let link = Link { name: "nic0".to_owned(), mac: MAC.parse().unwrap() };
    place.machine.inside(|| dhcp::acquire(&link, Duration::from_secs(seconds))).unwrap()
}

fn dnsmasq(lab: &Lab, directory: &Path) -> Child {
    let leases = format!("--dhcp-leasefile={}", directory.join("leases").display());
    lab.command("/usr/sbin/dnsmasq")
        .args([
            "-k",
            "-C",
            "/dev/null",
            "--port=0",
            "--interface=br0",
            "--user=root",
            "--no-ping",
            &leases,
        ])
        .args([
            "--dhcp-range=10.141.3.1,10.141.3.9,255.255.0.0,1h",
            "--dhcp-host=52:54:00:00:00:07,10.141.3.5",
        ])
        .args([
            "--dhcp-option=3,10.141.255.253",
            "--dhcp-option=6,10.141.255.254",
            "--dhcp-option=15,cluster",
        ])
        .spawn()
        .unwrap()
}

#[test]
fn an_address_is_lent_with_all_that_belongs_to_it() {
    if !has_lab() {
        return;
    }
    let place = place("dhcp");
    let directory = tempfile::tempdir().unwrap();
    let mut server = dnsmasq(&place.network, directory.path());
    let lease = ask(&place, 30);
    end(&mut server);
    let lease = lease.unwrap();
    assert_eq!(lease.address.to_string(), "10.141.3.5/16");
    assert_eq!(lease.gateway, Some([10, 141, 255, 253].into()));
    assert_eq!(lease.server, std::net::Ipv4Addr::from([10, 141, 255, 254]));
    assert_eq!((lease.nameservers.len(), lease.domain.as_deref()), (1, Some("cluster")));
}

#[test]
fn silence_is_an_error_that_names_the_interface() {
    if !has_lab() {
        return;
    }
    let error = ask(&place("silent"), 1).unwrap_err().to_string();
    assert!(error.contains("no DHCP server answers on nic0"), "{error}");
}
