//! Kickstart files, as the distribution's own installer reads them and runs their scripts.
#![expect(clippy::disallowed_methods, reason = "bash and ksvalidator are what is tested with")]

use std::fs;
use std::process::Command;

use perilune_boot::{Directories, Site, Templates};
use perilune_model::group::{DEFAULT_PARTSCRIPT, DEFAULT_POSTSCRIPT};
use perilune_model::interface::{Interface, Link};
use perilune_model::network::Network;
use perilune_model::{Addresses, Draft};

use crate::cluster::{
    MAC, built_in, change_image, change_node, environment, everything, name, script_of, small,
};
use crate::install::bash_parses;

fn render(draft: &Draft, templates: &Templates) -> String {
    let site = Site { templates, environment: &environment(draft), cluster: draft };
    site.kickstart_file("node001", "a.b.c").unwrap()
}

/// The file of a node whose image is installed by kickstart.
fn file(mut draft: Draft, change: impl FnOnce(&mut Draft)) -> String {
    change_image(&mut draft, |image| image.files.imagefile = Some("kickstart".to_owned()));
    change(&mut draft);
    render(&draft, &built_in())
}

fn with_partscript(script: &str) -> String {
    file(small(), |draft| {
        change_node(draft, |node| node.provisioning.partscript = Some(script.to_owned()));
    })
}

/// The commands, without the sections.
fn commands(file: &str) -> Vec<&str> {
    let mut inside = false;
    let mut commands = Vec::new();
    for line in file.lines() {
        if line.starts_with('%') && !line.starts_with("%include") {
            inside = line != "%end";
        } else if !inside && !line.is_empty() && !line.starts_with('#') {
            commands.push(line);
        }
    }
    commands
}

/// The scripts of the file's sections of this kind.
fn sections(file: &str, kind: &str) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    let mut inside = false;
    for line in file.lines() {
        if !inside && line.split_whitespace().next() == Some(kind) {
            inside = true;
            sections.push(String::new());
        } else if line == "%end" {
            inside = false;
        } else if let Some(section) = sections.last_mut().filter(|_| inside) {
            section.push_str(line);
            section.push('\n');
        }
    }
    sections
}

/// Files of many kinds of nodes.
fn every_file() -> Vec<String> {
    let partscripts = [
        "",
        DEFAULT_PARTSCRIPT,
        "clearpart --drives=sda --all --initlabel\npart / --grow --size=4096 --ondisk=sda\n",
        "ignoredisk --only-use=nvme0n1\nclearpart --all",
        "#!/bin/bash\necho 'clearpart --drives=vda --all' > $LUNA_DISKS\n: <<X\n%end is no end\nX\n",
    ];
    let mut files = Vec::new();
    for partscript in partscripts {
        for draft in [small(), everything()] {
            files.push(file(draft, |draft| {
                change_node(draft, |node| {
                    node.provisioning.partscript = Some(partscript.to_owned());
                    node.provisioning.postscript = Some("echo \"it's\" $HOME\n".to_owned());
                });
            }));
        }
    }
    files
}

#[test]
fn the_parser_of_the_installer_finds_no_fault() {
    let named = std::env::var_os("KSVALIDATOR").unwrap_or_else(|| "ksvalidator".into());
    if Command::new(&named).arg("--help").output().is_err() {
        println!(
            "NOT TESTED with ksvalidator: pip install pykickstart, and name it in KSVALIDATOR"
        );
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for file in every_file() {
        let path = directory.path().join("node.ks");
        fs::write(&path, &file).unwrap();
        let output = Command::new(&named).args(["-v", "RHEL9"]).arg(&path).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{said}\n{file}");
    }
}

#[test]
fn bash_finds_no_error_in_any_section() {
    for file in every_file() {
        for section in sections(&file, "%pre").iter().chain(&sections(&file, "%post")) {
            assert!(bash_parses(section), "in:\n{section}");
        }
    }
}

#[test]
fn no_disk_is_emptied_that_nobody_named() {
    for partscript in ["", DEFAULT_PARTSCRIPT, "mount -t tmpfs tmpfs /sysroot"] {
        let file = with_partscript(partscript);
        assert!(!file.contains("--all") && !file.contains("zerombr"), "{file}");
        assert!(commands(&file).contains(&"%include /tmp/luna-disks.ks"), "{file}");
    }
    let file = with_partscript("clearpart --drives=sdb --all\nautopart\n");
    let about: Vec<&str> =
        commands(&file).into_iter().filter(|line| line.contains("part")).collect();
    assert_eq!(about, ["clearpart --drives=sdb --all", "autopart"]);
    assert!(!file.contains("%include"), "{file}");
}

/// Runs the first script of the file in place of the installer; answers whether it ended well, what it wrote about the disks, and
/// what it said.
fn run_pre(file: &str) -> (bool, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let place = format!("{}/luna-", directory.path().display());
    let script = sections(file, "%pre")[0].replace("/tmp/luna-", &place);
    let script = format!("curl() {{ :; }}\nexport -f curl\n{script}");
    let output = Command::new("bash").arg("-c").arg(script).output().unwrap();
    let disks = fs::read_to_string(directory.path().join("luna-disks.ks")).unwrap_or_default();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), disks, String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_partscript_writes_what_becomes_of_the_disks() {
    let nothing = "clearpart --none --initlabel\nautopart --type=plain\nbootloader\n";
    for (partscript, expected) in [
        ("", nothing),
        ("true", nothing),
        (
            "disk=vda\necho clearpart --drives=$disk --all >> $LUNA_DISKS",
            "clearpart --drives=vda --all\nautopart --type=plain\nbootloader\n",
        ),
        (
            "printf '%s\\n' 'part / --size=1' '  bootloader' > \"$LUNA_DISKS\"\n: <<X\n%end\nX\n",
            "part / --size=1\n  bootloader\n",
        ),
    ] {
        let (succeeded, disks, said) = run_pre(&with_partscript(partscript));
        assert_eq!(disks, expected, "{partscript}: {said}");
        assert!(succeeded, "{partscript}: {said}");
    }
    let (succeeded, disks, said) =
        run_pre(&with_partscript("echo 'clearpart --all' > $LUNA_DISKS; exit 3"));
    assert!(
        !succeeded && said.contains("the partscript failed with exit code 3"),
        "{disks} {said}"
    );
}

#[test]
fn a_root_in_memory_is_nothing_that_the_installer_is_told_of() {
    let file = file(small(), |draft| {
        change_node(draft, |node| {
            node.provisioning.partscript = Some(DEFAULT_PARTSCRIPT.to_owned());
            node.provisioning.postscript = Some(DEFAULT_POSTSCRIPT.to_owned());
        });
    });
    assert!(!file.contains("tmpfs"), "{file}");
}

fn network_lines(file: &str) -> Vec<&str> {
    commands(file).into_iter().filter(|line| line.starts_with("network ")).collect()
}

#[test]
fn the_node_has_its_own_addresses() {
    assert_eq!(
        network_lines(&file(small(), |_| {})),
        [
            "network --hostname=node001.cluster",
            "network --device='52:54:00:00:00:01' --bootproto=static --ip=10.141.0.1 --netmask=255.255.0.0 --gateway=10.141.255.254 --nameserver='10.141.255.254' --onboot=yes --activate",
        ]
    );
    assert_eq!(
        network_lines(&file(everything(), |_| {})),
        [
            "network --hostname=node001.cluster",
            "network --device='bond0' --bondslaves='eth0,eth1' --bondopts=mode='active-backup',miimon=100 --bootproto=static --ip=10.141.0.1 --netmask=255.255.0.0 --gateway=10.141.255.254 --nameserver='10.141.255.254' --mtu=9000 --onboot=yes --activate",
            "network --device='eth2' --vlanid=100 --interfacename='eth2.100' --bootproto=static --ip=10.149.0.1 --netmask=255.255.0.0 --ipv6=fd00:149::1/64 --nameserver='10.149.0.53,10.149.0.54' --nodefroute --onboot=yes",
        ]
    );
}

#[test]
fn dhcp_ipv6_and_a_cheaper_way_out_are_said_as_they_are() {
    let lines = file(small(), |draft| {
        let network = |text: &str, gateway: &str, metric, ipv6: &str| Network {
            name: name(text),
            ipv4: (!gateway.is_empty()).then(|| "10.9.0.0/24".parse().unwrap()),
            gateway: gateway.parse().ok(),
            gateway_metric: Some(metric),
            ipv6: ipv6.parse().ok(),
            ..Network::default()
        };
        draft.put(network("out", "10.9.0.254", 7, "")).unwrap();
        draft.put(network("six", "", 200, "fd00:7::/64")).unwrap();
        let interface = |text: &str, network: &str, address: &str| {
            let mut addresses = Addresses::default();
            addresses.set(address.parse().unwrap());
            Interface {
                name: name(text),
                network: Some(name(network)),
                addresses,
                ..Interface::default()
            }
        };
        change_node(draft, |node| {
            let boot = node.interfaces.first_mut().unwrap();
            boot.dhcp = true;
            boot.macaddress = None;
            node.interfaces.push(interface("eth1", "out", "10.9.0.1"));
            node.interfaces.push(interface("eth2", "six", "fd00:7::1"));
            let vlan = interface("lan", "out", "10.9.0.2");
            let link =
                Link { vlanid: Some(7), vlan_parent: Some("BOOTIF".to_owned()), ..Link::default() };
            node.interfaces.push(Interface { link, ..vlan });
        });
    });
    assert_eq!(
        network_lines(&lines)[1..],
        [
            "network --device='bootif' --bootproto=dhcp --nameserver='10.141.255.254' --nodefroute --onboot=yes --activate",
            "network --device='eth1' --bootproto=static --ip=10.9.0.1 --netmask=255.255.255.0 --gateway=10.9.0.254 --onboot=yes --activate",
            "network --device='eth2' --noipv4 --ipv6=fd00:7::1/64 --nodefroute --onboot=yes --activate",
            "network --device='bootif' --vlanid=7 --interfacename='lan' --bootproto=static --ip=10.9.0.2 --netmask=255.255.255.0 --nodefroute --onboot=yes",
        ]
    );
}

#[test]
fn the_bmc_is_set_up_where_that_is_asked_for() {
    let with = file(everything(), |_| {});
    let sections = sections(&with, "%pre");
    assert!(sections[0].contains("config_bmc() {"), "{with}");
    let call = r#"config_bmc '2' '10.148.0.1' '255.255.0.0' '0.0.0.0' '' \
        '2' '2' 'admin' 'it'\''s "secret"' 'skip'"#;
    assert!(sections[0].contains(call), "{}", sections[0]);
    let without = file(everything(), |draft| {
        change_node(draft, |node| node.provisioning.setupbmc = Some(false));
    });
    assert!(!without.contains("config_bmc") && !without.contains("secret\""), "{without}");
}

#[test]
fn scripts_of_the_site_take_part() {
    let plugins = tempfile::tempdir().unwrap();
    let scripts = plugins.path().join("boot/scripts/compute");
    fs::create_dir_all(&scripts).unwrap();
    fs::write(scripts.join("partscript"), "echo zerombr > $LUNA_DISKS\n").unwrap();
    let directories =
        Directories { plugins: Some(plugins.path().to_owned()), ..Directories::default() };
    let mut draft = small();
    change_image(&mut draft, |image| image.files.imagefile = Some("kickstart".to_owned()));
    let (succeeded, disks, said) = run_pre(&render(&draft, &Templates::new(directories)));
    assert!(succeeded, "{said}");
    assert_eq!(disks, "zerombr\nautopart --type=plain\nbootloader\n");
}

#[test]
fn a_layout_that_nobody_would_follow_keeps_a_node_from_booting() {
    const LAYOUT: &str = r#"{"disks": [{"device": "/dev/sda", "partitions": [{"filesystem": "xfs", "mount": "/"}]}]}"#;
    let with = |is_kickstart: bool, change: fn(&mut Draft)| {
        let mut draft = small();
        if is_kickstart {
            let kickstart = Some("kickstart".to_owned());
            change_image(&mut draft, |image| image.files.imagefile = kickstart);
        }
        change(&mut draft);
        draft
    };
    let of_node: fn(&mut Draft) = |draft| {
        change_node(draft, |node| node.provisioning.disklayout = Some(LAYOUT.to_owned()));
    };
    let of_group: fn(&mut Draft) = |draft| {
        let mut group = (**draft.group("compute").unwrap()).clone();
        group.provisioning.disklayout = Some(LAYOUT.to_owned());
        draft.put(group).unwrap();
    };
    let own_partscript: fn(&mut Draft) = |draft| {
        let mut group = (**draft.group("compute").unwrap()).clone();
        group.provisioning.disklayout = Some(LAYOUT.to_owned());
        draft.put(group).unwrap();
        change_node(draft, |node| node.provisioning.partscript = Some("autopart".to_owned()));
    };
    let blank: fn(&mut Draft) = |draft| {
        change_node(draft, |node| node.provisioning.disklayout = Some(" \n".to_owned()));
    };
    for (change, is_refused) in
        [(of_node, true), (of_group, true), (own_partscript, false), (blank, false)]
    {
        let templates = built_in();
        let told = "its installer does not follow";
        let draft = with(true, change);
        let site =
            Site { templates: &templates, environment: &environment(&draft), cluster: &draft };
        let script = script_of(&site, MAC.parse().unwrap(), "t");
        let refused = script.map_err(|error| error.to_string().contains(told)).err();
        assert_eq!(refused, is_refused.then_some(true));
        let obstacle = site.obstacle(draft.node("node001").unwrap());
        assert_eq!(obstacle.is_some_and(|text| text.contains(told)), is_refused);
        // Neither does the script for an initramfs that was made elsewhere; our own does.
        let draft = with(false, change);
        let site =
            Site { templates: &templates, environment: &environment(&draft), cluster: &draft };
        let refused = site.install_script("node001", "t").map_err(|error| error.to_string());
        assert_eq!(refused.err().is_some_and(|text| text.contains(told)), is_refused);
        assert!(script_of(&site, MAC.parse().unwrap(), "t").is_ok());
    }
}
