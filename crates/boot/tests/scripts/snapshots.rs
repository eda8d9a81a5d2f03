//! Whole scripts, as they are sent.

use perilune_boot::{Error, OnDisk, Site};
use perilune_model::Draft;
use perilune_model::provisioning::InstallPolicy;
use perilune_plan::Installation;

use crate::cluster::{
    MAC, built_in, change_image, change_node, environment, everything, script_of, small,
};

fn with_site<T>(draft: &Draft, ask: impl FnOnce(Site<'_>) -> T) -> T {
    let (templates, environment) = (built_in(), environment(draft));
    ask(Site { templates: &templates, environment: &environment, cluster: draft })
}

fn node_script(draft: &Draft) -> String {
    with_site(draft, |site| script_of(&site, MAC.parse().unwrap(), "one-boot-ticket").unwrap().text)
}

#[test]
fn the_menu_lists_nodes_and_groups() {
    insta::assert_snapshot!(with_site(&small(), |site| site.menu().unwrap()));
}

#[test]
fn the_short_menu_asks_at_once() {
    insta::assert_snapshot!(with_site(&small(), |site| site.short_menu().unwrap()));
}

#[test]
fn any_machine_can_go_on_from_its_disk() {
    insta::assert_snapshot!(with_site(&small(), |site| site.disk_script().unwrap()));
}

#[test]
fn a_known_machine_is_sent_past_the_menu() {
    insta::assert_snapshot!(with_site(&small(), |site| site.direct_script(MAC.parse().unwrap())));
}

#[test]
fn an_unknown_machine_is_told_how_it_becomes_a_node() {
    let script = with_site(&small(), |site| {
        let unknown = script_of(&site, "52:54:00:ff:ff:ff".parse().unwrap(), "").unwrap_err();
        assert!(matches!(unknown, Error::UnknownMachine { .. }));
        site.failed_script(&unknown)
    });
    insta::assert_snapshot!(script);
}

#[test]
fn a_node_is_given_its_kernel() {
    insta::assert_snapshot!(node_script(&small()));
}

#[test]
fn a_node_whose_netboot_is_off_goes_on_from_its_disk() {
    let mut draft = small();
    change_node(&mut draft, |node| node.provisioning.netboot = Some(false));
    insta::assert_snapshot!(node_script(&draft));
}

/// The script of a node that was installed on its disk.
fn installed_script(draft: &Draft, reinstall: bool) -> String {
    let start = Installation {
        filesystem: Some("0f4ac1cd-0000-4000-8000-00000000abcd".to_owned()),
        file: Some("/EFI/BOOT/BOOTX64.EFI".to_owned()),
    };
    let on_disk = OnDisk { start: Some(&start), reinstall };
    with_site(draft, |site| {
        let machine = site.machine(MAC.parse().unwrap()).unwrap();
        site.node_script(&machine, "ticket", on_disk).unwrap().text
    })
}

#[test]
fn a_node_that_is_installed_once_goes_on_from_the_disk_that_was_installed() {
    let mut draft = small();
    change_node(&mut draft, |node| {
        node.provisioning.install_policy = Some(InstallPolicy::Once);
    });
    insta::assert_snapshot!(installed_script(&draft, false));
    assert!(installed_script(&draft, true).contains("perilune.ticket=ticket"), "installed anew");
    assert!(node_script(&draft).contains("perilune.ticket="), "installed for the first time");
    change_image(&mut draft, |image| image.files.imagefile = Some("kickstart".to_owned()));
    assert!(installed_script(&draft, false).contains("grub2_pc_autofind.img"));
    assert!(installed_script(&draft, true).contains("inst.ks="));
}

#[test]
fn only_the_policy_once_asks_whether_a_node_is_installed() {
    for policy in [None, Some(InstallPolicy::Always), Some(InstallPolicy::Memory)] {
        let mut draft = small();
        change_node(&mut draft, |node| node.provisioning.install_policy = policy);
        assert!(installed_script(&draft, false).contains("perilune.ticket="), "{policy:?}");
    }
    for (policy, netboot) in [(Some(InstallPolicy::Never), None), (None, Some(false))] {
        let mut draft = small();
        change_node(&mut draft, |node| {
            node.provisioning.install_policy = policy;
            node.provisioning.netboot = netboot.or(node.provisioning.netboot);
        });
        let script = installed_script(&draft, true);
        assert!(script.contains("perilune:0f4ac1cd-") && !script.contains("ticket"), "{script}");
    }
}

#[test]
fn what_a_node_told_of_its_disk_cannot_become_a_command() {
    let mut draft = small();
    change_node(&mut draft, |node| node.provisioning.netboot = Some(false));
    for text in ["a\nshell", "a b", "${uuid}", "", "a||b", "a;b", "a:b", "ü", &"a".repeat(300)] {
        for is_file in [true, false] {
            let known =
                |told: &str, usual: &str| Some((if is_file { told } else { usual }).to_owned());
            let start = Installation { filesystem: known("A", text), file: known(text, "/x") };
            let on_disk = OnDisk { start: Some(&start), reinstall: false };
            let script = with_site(&draft, |site| {
                let machine = site.machine(MAC.parse().unwrap()).unwrap();
                site.node_script(&machine, "", on_disk)
            });
            let script = script.unwrap().text;
            assert!(!script.contains("root-path"), "{text}: {script}");
        }
    }
}

#[test]
fn a_kickstart_image_starts_the_installer_of_the_distribution() {
    let mut draft = small();
    change_image(&mut draft, |image| image.files.imagefile = Some("kickstart".to_owned()));
    insta::assert_snapshot!(node_script(&draft));
    let file = with_site(&draft, |site| site.kickstart_file("node001", "a.b.c").unwrap());
    insta::assert_snapshot!("kickstart_file", file);
}

#[test]
fn a_plain_node_is_installed() {
    let script = with_site(&small(), |site| site.install_script("node001", "a.b.c").unwrap());
    insta::assert_snapshot!(script);
}

#[test]
fn bonds_vlans_bmc_scripts_and_roles_are_installed() {
    let script = with_site(&everything(), |site| site.install_script("node001", "a.b.c").unwrap());
    insta::assert_snapshot!(script);
}

#[test]
fn ubuntu_gets_netplan_and_debian_its_own_files() {
    for distribution in ["ubuntu", "debian"] {
        let mut draft = everything();
        change_image(&mut draft, |image| image.distribution = Some(distribution.to_owned()));
        let script = with_site(&draft, |site| site.install_script("node001", "a.b.c").unwrap());
        let network = script.split_once("setnet() {").unwrap().1;
        let network = network.split_once("\nsecrets() {").unwrap().0;
        insta::assert_snapshot!(format!("network_of_{distribution}"), network);
    }
}
