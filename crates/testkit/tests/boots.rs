//! Real machines on a real bridge, served by dnsmasq: what the tests of the daemon build on.
#![cfg(test)]

use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use perilune_testkit::machine::{Accelerator, Description, Firmware};
use perilune_testkit::process::{describe, end, run, wait_for};
use perilune_testkit::{Lab, Limit, Machine};

const SCRIPT: &str = "#!ipxe\necho This is the script of ${net0/mac}\nsleep 600\n";

/// Without root and qemu there is no lab. That is fine on a desk, and a failure where everything is tested.
fn has_lab() -> bool {
    let able = rustix::process::geteuid().is_root()
        && ["/usr/sbin/dnsmasq", "/usr/bin/qemu-system-x86_64"]
            .iter()
            .all(|path| Path::new(path).exists());
    assert!(able || std::env::var_os("CI").is_none(), "this test needs root, dnsmasq and qemu");
    able
}

fn description(name: &str, firmware: Firmware) -> Description {
    Description {
        name: name.to_owned(),
        firmware,
        mac_address: "52:54:00:00:00:07".to_owned(),
        memory_mebibytes: 512,
        processors: 1,
        disk_bytes: None,
        other_disks: Vec::new(),
        network_first: true,
        accelerator: Accelerator::Software,
        bmc_port: None,
    }
}

#[test]
fn a_thread_inside_sees_only_the_network_of_the_lab() {
    if !has_lab() {
        return;
    }
    let lab = Lab::create(&format!("kit-a-{}", std::process::id()), &["10.141.0.1/16"]).unwrap();
    let bound = lab.inside(|| UdpSocket::bind("10.141.0.1:0").is_ok()).unwrap();
    assert!(bound, "the bridge's address can be used inside");
    assert!(UdpSocket::bind("10.141.0.1:0").is_err(), "and not outside");
}

#[test]
fn a_dropped_lab_ends_what_runs_in_it() {
    if !has_lab() {
        return;
    }
    let name = format!("kit-b-{}", std::process::id());
    let lab = Lab::create(&name, &["10.141.0.1/16"]).unwrap();
    let mut sleeper = lab.command("sleep").arg("600").spawn().unwrap();
    let inside =
        wait_for(&Limit::seconds(10), || Some(()).filter(|()| lab.processes().unwrap().len() == 1));
    assert!(inside.unwrap().is_some(), "the process runs inside");
    drop(lab);
    let ended = wait_for(&Limit::seconds(10), || sleeper.try_wait().unwrap());
    assert!(ended.unwrap().is_some(), "and is gone with the lab");
    assert!(perilune_testkit::lab::names(&name).unwrap().is_empty());
}

#[test]
fn a_bios_machine_and_a_uefi_machine_boot_from_the_network() {
    if !has_lab() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let lab = Lab::create(&format!("kit-c-{}", std::process::id()), &["10.141.0.1/16"]).unwrap();
    fs::write(directory.path().join("boot.ipxe"), SCRIPT).unwrap();
    fs::copy("/usr/lib/ipxe/ipxe.efi", directory.path().join("ipxe.efi")).unwrap();
    let mut server = lab.command("dnsmasq");
    server.args([
        "--no-daemon",
        "--conf-file=/dev/null",
        "--port=0",
        "--user=root",
        "--no-ping",
        "--dhcp-authoritative",
    ]);
    server.args([
        "--interface=br0",
        "--dhcp-range=10.141.0.100,10.141.0.200",
        "--enable-tftp",
        "--dhcp-leasefile=/dev/null",
    ]);
    server.args([
        "--dhcp-match=set:ipxe,175",
        "--dhcp-boot=tag:ipxe,boot.ipxe",
        "--dhcp-boot=tag:!ipxe,ipxe.efi",
    ]);
    server.arg(format!("--tftp-root={}", directory.path().display()));
    println!("{}", describe(&server));
    let mut server = server.spawn().unwrap();
    for firmware in [Firmware::Bios, Firmware::UefiWithoutRom] {
        let name = format!("{firmware:?}").to_lowercase();
        let mut machine =
            Machine::start(&lab, &description(&name, firmware), directory.path()).unwrap();
        let greeting = "This is the script of 52:54:00:00:00:07";
        let greets = || Some(()).filter(|()| machine.console().contains(greeting));
        let greeted = wait_for(&Limit::seconds(180), greets).unwrap();
        assert!(greeted.is_some(), "{name} stopped at:\n{}", machine.console());
        let length = machine.console().len();
        machine.reset().unwrap();
        let again = || {
            Some(()).filter(|()| {
                machine.console().get(length..).is_some_and(|new| new.contains(greeting))
            })
        };
        assert!(
            wait_for(&Limit::seconds(180), again).unwrap().is_some(),
            "{name} boots again after a reset"
        );
        assert!(machine.is_running());
        machine.power_off();
    }
    end(&mut server);
    let left =
        run(lab.command("ip").args(["-o", "link", "show", "br0"]), &Limit::seconds(10)).unwrap();
    assert!(left.contains("br0"), "the lab is still there: {left}");
}
