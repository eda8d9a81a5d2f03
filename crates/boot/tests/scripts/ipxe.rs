//! Boot scripts as iPXE reads them: every label that is jumped to exists, and every line begins with a command.

use perilune_boot::{Environment, OnDisk, Site};
use perilune_model::Draft;
use perilune_plan::Installation;

use crate::cluster::{
    MAC, built_in, change_image, change_node, environment, everything, name, script_of, small,
};

const COMMANDS: &[&str] = &[
    "boot", "chain", "choose", "config", "echo", "exit", "goto", "imgfree", "initrd", "iseq",
    "isset", "item", "kernel", "menu", "prompt", "read", "reboot", "sanboot", "set", "shell",
    "sleep", "ifclose", "dhcp",
];

/// The problems of a script.
pub(crate) fn problems(script: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines: Vec<&str> = script.lines().collect();
    if lines.first() != Some(&"#!ipxe") {
        problems.push("the first line is not #!ipxe".to_owned());
    }
    let labels: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix(':')).collect();
    for (number, line) in lines.iter().enumerate() {
        let mut problem =
            |text: String| problems.push(format!("line {}: {text}: {line}", number + 1));
        if line.starts_with([':', '#']) {
            continue;
        }
        for command in line.split(" || ").flat_map(|part| part.split(" && ")) {
            let command = command.trim_end_matches(" ||");
            let words: Vec<&str> = command.split_whitespace().collect();
            match words.as_slice() {
                [] | ["goto", "${selected}"] => {}
                ["goto", label] if labels.contains(label) => {}
                ["goto", label] => problem(format!("no label {label}")),
                [command, ..] if COMMANDS.contains(command) => {}
                [command, ..] => problem(format!("no command {command}")),
            }
        }
    }
    // What is chosen in the first menu is jumped to.
    let first_menu = script.split("\nchoose ").next().unwrap_or_default();
    let items = first_menu.lines().filter_map(|line| line.strip_prefix("item "));
    for item in items.filter_map(|item| item.split(' ').next()).filter(|item| *item != "--gap") {
        if !labels.contains(&item) {
            problems.push(format!("the menu's item {item} has no label"));
        }
    }
    problems
}

fn all_scripts(draft: &Draft) -> Vec<String> {
    scripts_of(draft, &environment(draft))
}

fn scripts_of(draft: &Draft, environment: &Environment) -> Vec<String> {
    let start = Installation { filesystem: Some("AB-12".to_owned()), file: Some("/x".to_owned()) };
    let on_disk = OnDisk { start: Some(&start), reinstall: false };
    let templates = built_in();
    let site = Site { templates: &templates, environment, cluster: draft };
    let mac = MAC.parse().unwrap();
    let unknown = script_of(&site, "52:54:00:ff:ff:ff".parse().unwrap(), "").unwrap_err();
    vec![
        site.menu().unwrap(),
        site.short_menu().unwrap(),
        site.disk_script().unwrap(),
        site.direct_script(mac),
        site.failed_script(&unknown),
        site.busy_script("/boot", 7),
        site.ask_again_script(&name("node001"), mac, 1),
        script_of(&site, mac, "ticket").unwrap().text,
        site.node_script(&site.machine(mac).unwrap(), "ticket", on_disk).unwrap().text,
    ]
}

#[test]
fn every_jump_has_its_label_and_every_line_its_command() {
    let mut from_disk = small();
    change_node(&mut from_disk, |node| node.provisioning.netboot = Some(false));
    let mut kickstart = small();
    change_image(&mut kickstart, |image| image.files.imagefile = Some("kickstart".to_owned()));
    for draft in [small(), everything(), from_disk, kickstart] {
        for script in all_scripts(&draft) {
            assert_eq!(problems(&script), Vec::<String>::new(), "in:\n{script}");
        }
    }
}

#[test]
fn every_script_asks_the_other_controllers_where_the_first_does_not_answer() {
    let draft = everything();
    let others = ["http://10.141.255.253:7051", "http://10.141.255.252:7051"];
    let mut environment = environment(&draft);
    let alone = scripts_of(&draft, &environment);
    environment.other_boots = others.map(str::to_owned).to_vec();
    let own = environment.boot_url();
    for (script, alone) in scripts_of(&draft, &environment).into_iter().zip(alone) {
        assert_eq!(problems(&script), Vec::<String>::new(), "in:\n{script}");
        let mut taken = script.clone();
        for line in alone.lines().filter(|line| line.contains(&format!(" {own}/boot"))) {
            let command = line.split(" ||").next().unwrap();
            for other in others {
                let same = format!(" || {}", command.replace(&own, other));
                assert!(script.contains(&same), "{same}\n{script}");
                taken = taken.replace(&same, "");
            }
        }
        assert!(taken == alone && script != alone, "{script}");
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let found = problems("#!ipxe\ngoto nowhere\nfrobnicate || goto start\n:start\n");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_big_cluster_has_a_short_menu() {
    let mut draft = small();
    for number in 3..1000 {
        let address = format!("10.141.{}.{}", number / 200, number % 200 + 1);
        draft.put(crate::cluster::node(&format!("node{number:04}"), &address, None)).unwrap();
    }
    let script = all_scripts(&draft).remove(0);
    assert!(script.contains("and 799 more"), "{script}");
    assert_eq!(problems(&script), Vec::<String>::new());
}

#[test]
fn a_node_is_told_which_certificate_the_controller_shows() {
    let draft = small();
    let (templates, mut environment) = (built_in(), environment(&draft));
    let script = |environment: &Environment| {
        let site = Site { templates: &templates, environment, cluster: &draft };
        script_of(&site, MAC.parse().unwrap(), "ticket").unwrap().text
    };
    assert!(!script(&environment).contains("perilune.certificate"));
    environment.certificate = Some("0f".repeat(32));
    let told = format!("perilune.ticket=ticket perilune.certificate={} ", "0f".repeat(32));
    assert!(script(&environment).contains(&told), "{}", script(&environment));
}
