//! A switch that sets itself up: it asks DHCP, and fetches what it is told.

use crate::site::{CONTROLLER, Site};
use crate::tools::{CURL, UDHCPC};

const SWITCH: &str = "52:54:00:00:00:71";
const MANAGEMENT: &str = "52:54:00:00:00:72";
const SECRET: &str = "nv set system aaa user admin password Geheim1";

#[test]
fn a_switch_is_told_where_its_recipe_is_and_gets_its_configuration_at_its_own_address_alone() {
    let (Some(udhcpc), Some(curl)) = (UDHCPC.find(), CURL.find()) else { return };
    let site = Site::start("10.141.200.1", "10.141.200.100");
    let switch = |more: &[&str]| site.cli(&[&["switch", "change", "sw01"], more].concat());
    let place = ["--network", "cluster", "--ipaddress", "10.141.3.1", "--macaddress", SWITCH];
    site.cli(&[&["switch", "add", "sw01"], &place[..]].concat());
    let machine = site.machine(SWITCH);
    // It is a described machine: its own address, its name, and nothing to boot.
    let options = ["-O", "114", "-O", "239", "-O", "bootfile", "-O", "tftp", "-O", "hostname"];
    let told = machine.udhcpc(&udhcpc, &options).unwrap();
    assert_eq!((told.get("ip"), told.get("hostname")), ("10.141.3.1", "sw01"), "{told:?}");
    assert_eq!((told.get("boot_file"), told.get("opt114")), ("", ""), "{told:?}");
    assert!(!site.cli(&["node", "unknown"]).contains(SWITCH));
    switch(&["--netboot", "yes", "--default-url", "files/nvos.bin", "--ostype", "cumulus"]);
    switch(&["--tftp-enable", "yes", "--ztpconfig", SECRET, "--ztpformat", "commands"]);
    let told = machine.udhcpc(&udhcpc, &options).unwrap();
    let recipe = format!("http://{CONTROLLER}:7050/boot/switch/sw01");
    let image = format!("http://{CONTROLLER}:7050/files/nvos.bin");
    assert_eq!(told.get("boot_file"), recipe, "{told:?}");
    assert_eq!(told.get("tftp"), CONTROLLER, "{told:?}");
    assert_eq!(
        (text(told.get("opt114")), text(told.get("opt239"))),
        (image.clone(), recipe.clone()),
        "{told:?}"
    );
    // It fetches what it was told, step by step, without a token.
    let fetch = |machine: &crate::site::Machine, url: &str| {
        machine.run(&curl, &["-sS", "-w", " %{http_code}", url]).unwrap()
    };
    let steps = fetch(&machine, &recipe);
    for part in [
        image.as_str(),
        "01-image",
        "02-commands-list",
        "03-connectivity-check",
        &format!("{recipe}/commands"),
        CONTROLLER,
    ] {
        assert!(steps.contains(part), "{part}: {steps}");
    }
    let commands = format!("{recipe}/commands");
    assert_eq!(fetch(&machine, &commands), format!("{SECRET} 200"));
    assert!(!steps.contains("Geheim1"));
    // Nobody else gets the configuration: neither a stranger beside it, nor the controller's own programs.
    let stranger = site.machine("52:54:00:00:00:77");
    stranger.udhcpc(&udhcpc, &[]).unwrap();
    let refused = fetch(&stranger, &commands);
    assert!(refused.ends_with(" 403") && !refused.contains("Geheim1"), "{refused}");
    let own = site
        .network
        .command(&curl)
        .args(["-sS", &commands.replace(CONTROLLER, "127.0.0.1")])
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&own.stdout).contains("Geheim1"));
    assert!(fetch(&stranger, &recipe).ends_with(" 200"), "the recipe is no secret");
    assert!(
        fetch(&stranger, &format!("http://{CONTROLLER}:7050/boot/switch/sw02")).ends_with(" 404")
    );
    // A port of it that it is managed by has its own address, and the switch's name.
    let port = ["switch", "interface", "set", "sw01", "eth0", "--network", "cluster"];
    site.cli(
        &[&port[..], &["--ipaddress", "10.141.3.2", "--macaddress", MANAGEMENT, "--mgmt", "yes"]]
            .concat(),
    );
    let managed = site.machine(MANAGEMENT);
    let told = managed.udhcpc(&udhcpc, &options).unwrap();
    assert_eq!(
        (told.get("ip"), told.get("boot_file")),
        ("10.141.3.2", recipe.as_str()),
        "{told:?}"
    );
    assert_eq!(fetch(&managed, &commands), format!("{SECRET} 200"));
    switch(&["--netboot", "no"]);
    assert_eq!(machine.udhcpc(&udhcpc, &options).unwrap().get("boot_file"), "");
}

/// udhcpc shows options that it does not know as hexadecimal digits.
fn text(digits: &str) -> String {
    let bytes = digits
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
}
