//! What is written about a node's network, read by the programs that it is written for: every way to get an address, with and without
//! VLANs, bonds, MTUs, name servers. wicked cannot be had from the distribution: its files are held against its manual pages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use perilune_agent::console::Console;
use perilune_agent::interfaces::{self, Kind};
use perilune_agent::mac::MacAddress;
use perilune_agent::tree::Tree;
use perilune_plan::{Image, Interface, Plan, Root, Route, Wipe};
use perilune_testkit::process::command;

const BOOT: MacAddress = MacAddress::ethernet([0x52, 0x54, 0, 0, 0, 1]);

/// An image with one program that configures networks, and the plan's configuration in it.
struct Configured {
    directory: tempfile::TempDir,
    plan: Plan,
}

fn configured(plan: Plan, kind: Kind) -> Configured {
    let directory = tempfile::tempdir().unwrap();
    let tree = Tree::new(directory.path());
    let program = match kind {
        Kind::NetworkManager => "usr/sbin/NetworkManager",
        Kind::Networkd => "usr/lib/systemd/systemd-networkd",
        Kind::Netplan => "usr/sbin/netplan",
        Kind::Ifupdown => "usr/sbin/ifup",
        Kind::Ifcfg => "etc/sysconfig/network-scripts/ifup",
        Kind::Wicked => "usr/sbin/wicked",
    };
    tree.write(program, "", 0o755).unwrap();
    let console = Console::new(std::io::sink());
    assert_eq!(interfaces::write(&tree, &plan, BOOT, &console).unwrap(), Some(kind));
    Configured { directory, plan }
}

impl Configured {
    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// The files of a directory, with their texts.
    fn files(&self, directory: &str) -> Vec<(String, String)> {
        let entries = fs::read_dir(self.path(directory)).into_iter().flatten();
        let mut files: Vec<(String, String)> = entries
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let text = fs::read_to_string(entry.path()).unwrap();
                (entry.file_name().into_string().unwrap(), text)
            })
            .collect();
        files.sort();
        files
    }
}

fn plan(interfaces: Vec<Interface>, servers: &[&str], search: &[&str]) -> Plan {
    Plan {
        node: "node001".to_owned(),
        hostname: "node001.cluster".to_owned(),
        image: Image {
            name: "image".to_owned(),
            file: String::new(),
            torrent: None,
            checksum: None,
            size: None,
            unpacked_size: None,
            distribution: None,
            kernel_file: String::new(),
            initrd_file: String::new(),
        },
        once: false,
        root: Root::Memory,
        boot_order: None,
        memory_limit: None,
        wipe: Wipe::No,
        prescripts: Vec::new(),
        postscripts: Vec::new(),
        roles: Vec::new(),
        interfaces,
        boot_interface: "BOOTIF".to_owned(),
        nameservers: servers.iter().map(|server| server.parse().unwrap()).collect(),
        search: search.iter().map(|&domain| domain.to_owned()).collect(),
        kernel_arguments: String::new(),
        secrets: Vec::new(),
        bmc: None,
        identity: None,
        script_timeout: 7200,
        hosts: Vec::new(),
        ntp_servers: Vec::new(),
        timezone: None,
        locale: None,
        time: 0,
        controllers: Vec::new(),
    }
}

fn interface(name: &str) -> Interface {
    Interface { name: name.to_owned(), kind: "ethernet".to_owned(), ..Interface::default() }
}

fn with_mac(name: &str, last: u8) -> Interface {
    Interface { mac: Some(format!("52:54:00:00:00:{last:02x}")), ..interface(name) }
}

/// Static routes of each kind, of both families.
fn routes(number: u8) -> Vec<Route> {
    let route = |destination: String, gateway: Option<String>, on_link: bool| Route {
        destination,
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        metric: on_link.then_some(50),
        on_link,
    };
    vec![
        route(format!("172.{number}.0.0/16"), Some(format!("10.{number}.0.253")), false),
        route(format!("172.{number}.1.0/24"), Some(format!("192.0.2.{number}")), true),
        route(format!("198.51.100.{number}/32"), None, false),
        route(format!("fd01:{number:x}::/64"), Some(format!("fd00:{number:x}::253")), false),
        route(format!("fd02:{number:x}::/64"), None, false),
    ]
}

/// Every way to get addresses; `number` makes them different.
fn addressings(number: u8) -> Vec<Interface> {
    let ipv4 = format!("10.{number}.0.1/16");
    let ipv6 = format!("fd00:{number:x}::1/64");
    let gateways = [format!("10.{number}.0.254"), format!("fd00:{number:x}::254")]
        .map(|gateway| gateway.parse().unwrap());
    let mut all = Vec::new();
    for addresses in [vec![], vec![&ipv4], vec![&ipv6], vec![&ipv4, &ipv6]] {
        for dhcp in [false, true] {
            for metric in [None, Some(101)] {
                all.push(Interface {
                    addresses: addresses.iter().map(|&address| address.clone()).collect(),
                    dhcp,
                    gateways: metric.map_or_else(Vec::new, |_| gateways.to_vec()),
                    gateway_metric: metric,
                    routes: metric.map_or_else(Vec::new, |_| routes(number)),
                    ..Interface::default()
                });
            }
        }
    }
    all
}

/// Every shape of a node, each with one addressing.
fn shapes(given: &Interface, mtu: Option<u16>) -> Vec<Vec<Interface>> {
    let as_is = |interface: Interface| Interface {
        addresses: given.addresses.clone(),
        dhcp: given.dhcp,
        gateways: given.gateways.clone(),
        gateway_metric: given.gateway_metric,
        mtu,
        ..interface
    };
    let boot = || Interface { addresses: vec!["10.200.0.1/16".to_owned()], ..interface("BOOTIF") };
    let vlan = |parent: &str| Interface {
        vlanid: Some(30),
        vlan_parent: Some(parent.to_owned()),
        ..interface("storage")
    };
    let bond = |mode: &str, parts: &[&str]| Interface {
        bond_mode: Some(mode.to_owned()),
        bond_slaves: parts.iter().map(|&part| part.to_owned()).collect(),
        ..interface("bond0")
    };
    vec![
        vec![as_is(interface("BOOTIF"))],
        vec![boot(), as_is(with_mac("data", 2))],
        vec![boot(), as_is(interface("eth5"))],
        vec![boot(), as_is(vlan("BOOTIF"))],
        vec![interface("BOOTIF"), as_is(bond("4", &["BOOTIF", "eth9"]))],
        vec![
            boot(),
            with_mac("left", 3),
            bond("active-backup", &["left", "right"]),
            as_is(vlan("bond0")),
        ],
        vec![boot(), Interface { kind: "infiniband".to_owned(), ..as_is(interface("ib0")) }],
    ]
}

fn all_plans() -> Vec<Plan> {
    const NAMES: [(&[&str], &[&str]); 4] = [
        (&["10.141.255.254", "fd00::254"], &["cluster", "ib"]),
        (&["10.141.255.254"], &["cluster"]),
        (&["fd00::254"], &[]),
        (&[], &["cluster"]),
    ];
    let mut plans = Vec::new();
    for (number, given) in (1..).zip(addressings(7)) {
        for mtu in [None, Some(9000)] {
            for shape in shapes(&given, mtu) {
                let (servers, search) = NAMES[(number + plans.len()) % NAMES.len()];
                plans.push(plan(shape, servers, search));
            }
        }
    }
    plans
}

/// Whether a program is there; under CI it must be.
fn has(program: &str) -> bool {
    let is_there = Path::new(program).exists();
    assert!(is_there || std::env::var_os("CI").is_none(), "{program} is not there");
    is_there
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The values of one key in one section.
fn value<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let start = format!("[{section}]");
    let lines = text.lines().skip_while(|line| *line != start).skip(1);
    let mut lines = lines.take_while(|line| !line.starts_with('['));
    lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

#[test]
fn network_manager_loads_every_profile_and_understands_all_of_it() {
    if !has("/usr/bin/nmcli") {
        return;
    }
    let mut profiles = BTreeSet::new();
    for plan in all_plans() {
        let configured = configured(plan, Kind::NetworkManager);
        let files = configured.files("etc/NetworkManager/system-connections");
        assert!(!files.is_empty());
        profiles.extend(files);
    }
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in &profiles {
        let file = directory.path().join("profile");
        fs::write(&file, text).unwrap();
        let mut nmcli = command("nmcli");
        nmcli.args(["--offline", "connection", "modify", "connection.autoconnect", "yes"]);
        let output = nmcli.stdin(fs::File::open(&file).unwrap()).output().unwrap();
        assert!(output.status.success(), "{name}:\n{text}\n{}", said(&output));
        let understood = String::from_utf8_lossy(&output.stdout);
        for (section, key) in [
            ("connection", "master"),
            ("connection", "interface-name"),
            ("ethernet", "mac-address"),
            ("ethernet", "mtu"),
            ("infiniband", "mtu"),
            ("vlan", "id"),
            ("vlan", "parent"),
            ("bond", "mode"),
            ("ipv4", "method"),
            ("ipv4", "dns"),
            ("ipv4", "dns-search"),
            ("ipv4", "route-metric"),
            ("ipv6", "method"),
            ("ipv6", "dns"),
            ("ipv6", "dns-search"),
        ] {
            let (ours, theirs) = (value(text, section, key), value(&understood, section, key));
            let same = ours.map(str::to_lowercase) == theirs.map(str::to_lowercase);
            assert!(same || ours.is_none(), "{name}: {section}.{key}:\n{text}\n{understood}");
        }
        for family in ["ipv4", "ipv6"] {
            let addresses = value(text, family, "address1");
            let gateway = value(text, family, "gateway");
            let read = value(&understood, family, "address1").unwrap_or_default().to_owned()
                + value(&understood, family, "gateway").unwrap_or_default();
            for part in addresses.into_iter().chain(gateway) {
                assert!(read.contains(part), "{name}: {family} {part}:\n{text}\n{understood}");
            }
        }
    }
    assert!(profiles.len() > 100, "{}", profiles.len());
}

#[test]
fn network_manager_connects_nothing_that_has_no_profile() {
    if !has("/usr/sbin/NetworkManager") {
        return;
    }
    let plan = all_plans().swap_remove(0);
    let configured = configured(plan, Kind::NetworkManager);
    let text = fs::read_to_string(configured.path("etc/NetworkManager/conf.d/90-perilune.conf"));
    let file = configured.path("main.conf");
    fs::write(&file, text.unwrap()).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let mut program = command("NetworkManager");
    program.arg("--print-config").arg("--config").arg(&file);
    program.arg("--config-dir").arg(empty.path()).arg("--system-config-dir").arg(empty.path());
    let output = program.output().unwrap();
    assert!(said(&output).contains("no-auto-default=*"), "{}", said(&output));
}

#[test]
fn netplan_generates_from_every_plan() {
    let generate = ["/usr/libexec/netplan/generate", "/usr/lib/netplan/generate"]
        .into_iter()
        .find(|place| Path::new(place).exists());
    let Some(generate) = generate else {
        has("/usr/libexec/netplan/generate");
        return;
    };
    for plan in all_plans() {
        let configured = configured(plan, Kind::Netplan);
        let output =
            command(generate).arg("--root-dir").arg(configured.directory.path()).output().unwrap();
        let text = fs::read_to_string(configured.path("etc/netplan/90-perilune.yaml")).unwrap();
        let is_well = output.status.success() && output.stderr.is_empty();
        assert!(is_well, "{text}\n{}", said(&output));
        let generated: Vec<String> =
            configured.files("run/systemd/network").into_iter().map(|(_, text)| text).collect();
        let generated = generated.concat();
        assert!(generated.contains("Name=boot0"), "{text}\n{generated}");
        for interface in &configured.plan.interfaces {
            for address in &interface.addresses {
                assert!(generated.contains(address), "{address}: {text}\n{generated}");
            }
        }
    }
}

/// What runs in namespaces of its own, with the given script as root.
fn apart(script: &str, files: &Path) -> Option<Output> {
    let able = rustix_is_root();
    assert!(able || std::env::var_os("CI").is_none(), "namespaces need root");
    if !able {
        return None;
    }
    let mut unshare = command("unshare");
    unshare.args(["--mount", "--net", "sh", "-e", "-c", script, "sh"]).arg(files);
    Some(unshare.output().unwrap())
}

fn rustix_is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

#[test]
fn networkd_and_udev_read_every_file_without_complaint() {
    const PLACE: &str = "/etc/systemd/network";
    if !has("/lib/systemd/systemd-networkd") {
        return;
    }
    let all = tempfile::tempdir().unwrap();
    for (number, plan) in all_plans().into_iter().enumerate() {
        for (name, text) in configured(plan, Kind::Networkd).files("etc/systemd/network") {
            fs::write(all.path().join(format!("{number}-{name}")), text).unwrap();
        }
    }
    // A file that nobody can read shows that complaints are seen.
    fs::write(all.path().join("zz-wrong.network"), "[Match]\nName=x\n[Network]\nNoSuchKey=1\n")
        .unwrap();
    fs::write(all.path().join("zz-wrong.link"), "[Match]\nNoSuchKey=x\n[Link]\nName=x\n").unwrap();
    let script = "mount --bind \"$1\" /etc/systemd/network
        mount -t tmpfs none /run
        mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
        chown -R systemd-network:systemd-network /run/systemd/netif
        SYSTEMD_LOG_TARGET=console timeout 3 /lib/systemd/systemd-networkd 2>&1 || true
        SYSTEMD_LOG_TARGET=console udevadm test-builtin net_setup_link /sys/class/net/lo 2>&1 || true";
    let Some(output) = apart(script, all.path()) else { return };
    let said = said(&output);
    let complaints: Vec<&str> = said.lines().filter(|line| line.contains(PLACE)).collect();
    let is_wrong = |line: &&&str| line.contains("zz-wrong") && line.contains("NoSuchKey");
    assert!(complaints.iter().filter(is_wrong).count() >= 2, "{said}");
    let ours: Vec<_> = complaints.iter().filter(|line| !line.contains("zz-wrong")).collect();
    let ours: Vec<_> = ours.iter().filter(|line| !is_chatter(line)).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}

/// What udev tells of files that are in order.
fn is_chatter(line: &str) -> bool {
    ["Parsed configuration file", "Config file", "was already configured by"]
        .iter()
        .any(|text| line.contains(text))
}

#[test]
fn ifupdown_understands_every_stanza() {
    if !has("/sbin/ifquery") {
        return;
    }
    for plan in all_plans() {
        let configured = configured(plan, Kind::Ifupdown);
        let file = configured.path("etc/network/interfaces");
        let text = fs::read_to_string(&file).unwrap();
        let run = |program: &str, words: &[&str]| {
            let mut program = command(program);
            program
                .arg("--interfaces")
                .arg(&file)
                .arg("--state-dir")
                .arg(configured.directory.path());
            let output = program.args(words).output().unwrap();
            assert!(output.status.success(), "{words:?}:\n{text}\n{}", said(&output));
            said(&output)
        };
        let listed = run("ifquery", &["--list", "-a"]);
        for interface in &configured.plan.interfaces {
            let name = if interface.name == "BOOTIF" { "boot0" } else { &interface.name };
            assert!(listed.lines().any(|line| line == name), "{name}: {text}\n{listed}");
        }
        // What it would do.
        let done = run("ifup", &["--no-act", "--force", "--verbose", "--no-loopback", "-a"]);
        let bonded: Vec<&String> = configured
            .plan
            .interfaces
            .iter()
            .flat_map(|interface| &interface.bond_slaves)
            .collect();
        for interface in &configured.plan.interfaces {
            for address in interface.addresses.iter().filter(|_| !bonded.contains(&&interface.name))
            {
                let address = address.split('/').next().unwrap();
                assert!(done.contains(address), "{address}: {text}\n{done}");
            }
            let is_fixed = |mark: char| interface.addresses.iter().any(|a| a.contains(mark));
            let asks = interface.dhcp && !is_fixed('.');
            assert!(!asks || done.contains("dhclient") || done.contains("dhcp"), "{text}\n{done}");
        }
    }
}

#[test]
fn ifupdown_brings_cards_and_vlans_up() {
    if !has("/sbin/ifquery") {
        return;
    }
    let boot = Interface {
        addresses: vec!["10.141.0.1/16".to_owned(), "fd00::1/64".to_owned()],
        gateways: vec!["10.141.255.253".parse().unwrap(), "fd00::253".parse().unwrap()],
        gateway_metric: Some(101),
        mtu: Some(1400),
        ..interface("BOOTIF")
    };
    let data = Interface { addresses: vec!["10.142.0.1/16".to_owned()], ..with_mac("data", 2) };
    let configured = configured(plan(vec![boot, data], &[], &[]), Kind::Ifupdown);
    let script = "ip link add boot0 type veth peer name other0; ip link set other0 up
        ip link add data type veth peer name other1; ip link set other1 up
        export PATH=/usr/sbin:/sbin:/usr/bin:/bin
        ifup --interfaces \"$1/etc/network/interfaces\" --state-dir \"$1\" -a
        ip -o address; ip route; ip -6 route; ip -o link";
    let Some(output) = apart(script, configured.directory.path()) else { return };
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    for part in [
        "inet 10.141.0.1/16",
        "inet6 fd00::1/64",
        "inet 10.142.0.1/16",
        "default via 10.141.255.253 dev boot0",
        "default via fd00::253 dev boot0",
        "metric 101",
        "mtu 1400",
    ] {
        assert!(said.contains(part), "{part}:\n{said}");
    }
}

/// The variables of ifcfg(5), ifcfg-bonding(5) and ifcfg-vlan(5) that are written, and what each may be.
fn is_of_wicked(key: &str, value: &str) -> bool {
    let number = |most: u32| value.parse::<u32>().is_ok_and(|number| number <= most);
    let start = key.split('_').next().unwrap_or_default();
    match (key, start) {
        ("STARTMODE", _) => ["auto", "hotplug", "manual", "off", "nfsroot"].contains(&value),
        ("BOOTPROTO", _) => ["static", "dhcp", "dhcp4", "dhcp6", "none"].contains(&value),
        ("MTU", _) => number(65535),
        ("VLAN_ID", _) => number(4095),
        ("ETHERDEVICE", _) => !value.is_empty(),
        ("BONDING_MASTER", _) => value == "yes",
        ("BONDING_MODULE_OPTS", _) => value.starts_with("mode=") && value.ends_with(" miimon=100"),
        (_, "BONDING") => key.starts_with("BONDING_SLAVE_") && !value.is_empty(),
        (_, "IPADDR") => value.parse::<ipnet::IpNet>().is_ok(),
        _ => false,
    }
}

#[test]
fn files_of_wicked_have_the_variables_of_its_manual() {
    for plan in all_plans() {
        let configured = configured(plan, Kind::Wicked);
        let mut addresses = Vec::new();
        for (name, text) in configured.files("etc/sysconfig/network") {
            for line in text.lines() {
                if name.starts_with("ifcfg-") {
                    let (key, quoted) = line.split_once('=').unwrap();
                    let value = quoted.strip_prefix('\'').unwrap().strip_suffix('\'').unwrap();
                    assert!(is_of_wicked(key, value), "{name}: {line}\n{text}");
                    addresses.extend(key.starts_with("IPADDR").then(|| value.to_owned()));
                } else if name.starts_with("ifroute-") {
                    let words: Vec<&str> = line.split(' ').collect();
                    let device = name.trim_start_matches("ifroute-");
                    let (gateway, rest) = (words[1].parse::<std::net::IpAddr>(), &words[4..]);
                    assert!(
                        gateway.is_ok()
                            && (words[0], words[2], words[3]) == ("default", "-", device)
                    );
                    assert!(
                        rest.is_empty() || (rest[0] == "metric" && rest[1].parse::<u32>().is_ok())
                    );
                } else {
                    assert_eq!(name, "config");
                    assert!(
                        line.starts_with("NETCONFIG_DNS_STATIC_") && line.ends_with('"'),
                        "{line}"
                    );
                }
            }
        }
        let expected = configured.plan.interfaces.iter().flat_map(|interface| &interface.addresses);
        assert!(expected.clone().all(|address| addresses.contains(address)), "{addresses:?}");
    }
}
