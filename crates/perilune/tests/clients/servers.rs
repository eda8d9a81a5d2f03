//! Servers that a site runs itself: ISC dhcpd, Kea and BIND, whose files the daemon writes, and which answer machines.

mod programs;

use std::fs;
use std::path::PathBuf;

use perilune_testkit::process::{command, run, wait_for};
use perilune_testkit::services;
use serde_json::Value;

use crate::proxy::token;
use crate::site::{CONTROLLER, Machine, NODE_MAC, Site, limit};
use crate::tools::{CURL, DHCLIENT, DHCPD, DIG, KEA4, KEA6, NAMED, NSUPDATE, PERFDHCP, UDHCPC};

/// A site whose servers these are.
struct Beside {
    site: Site,
}

/// A small disk at a directory, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(directory: PathBuf) -> Self {
        fs::create_dir_all(&directory).unwrap();
        let mut mount = command("mount");
        mount.args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(&directory);
        run(&mut mount, &limit()).unwrap();
        Self(directory)
    }

    /// Leaves no room. Answers what takes it.
    fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        fs::write(&filler, vec![0; 1 << 20]).unwrap_err();
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(command("umount").arg("--lazy").arg(&self.0), &limit()).ok();
    }
}

impl Beside {
    /// Servers by their keys in `[SERVICES]`, and more of `[DHCP]`. The daemon serves DHCP itself unless a server does.
    fn start(services: &[(&str, &str)], more: &str) -> Self {
        Self::start_on(Site::start("10.141.100.1", "10.141.100.99"), services, more)
    }

    /// The same on a site that is there.
    fn start_on(mut site: Site, services: &[(&str, &str)], more: &str) -> Self {
        let at = site.data().join("etc");
        let servers = services::in_directory(&at, services).unwrap();
        site.configure(&format!("{servers}{more}"));
        fs::create_dir_all(site.data().join("templates")).unwrap();
        if services.iter().any(|(key, _)| *key == "DHCP") {
            site.restart_without_dhcp();
        } else {
            site.restart();
        }
        Self { site }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.site.data().join("etc").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Waits until this holds.
    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let found = wait_for(&limit(), || holds().then_some(())).unwrap();
        let log = || {
            let names = [
                "cluster.luna.zone",
                "manager.log",
                "named.log",
                "dhcpd.log",
                "kea-dhcp4.log",
                "kea-dhcp6.log",
            ];
            names.map(|name| self.read(name)).concat()
        };
        assert!(found.is_some(), "{what}: {}\n{}", self.status(), log());
    }

    fn status(&self) -> String {
        self.site.refused_or_said(&["status"])
    }

    fn get(&self, path: &str, with_token: bool) -> Value {
        let curl = CURL.find().unwrap();
        let mut command = self.site.network.command(&curl);
        command.args(["--silent", &format!("http://127.0.0.1:7050{path}")]);
        if with_token {
            let token = token(&self.site, &curl);
            command.args(["--header", &format!("x-access-tokens: {token}")]);
        }
        serde_json::from_str(&run(&mut command, &limit()).unwrap()).unwrap()
    }

    /// Asks a service to act, and waits for all that is said of it.
    fn act(&self, path: &str) -> String {
        let asked = self.get(&format!("/service/{path}"), true);
        let request = asked["request_id"].as_str().unwrap().to_owned();
        let mut said = asked["message"].as_str().unwrap().to_owned();
        let over = wait_for(&limit(), || {
            let polled = self.get(&format!("/service/status/{request}"), false);
            let message = polled["message"].as_str().unwrap();
            if message == "No data for this request" {
                return Some(());
            }
            said = format!("{said};;{message}");
            None
        });
        assert!(over.unwrap().is_some(), "{said}");
        said
    }
}

fn dig(beside: &Beside, words: &[&str]) -> String {
    let dig = DIG.find().unwrap();
    let server = format!("@{CONTROLLER}");
    let mut command = beside.site.network.command(&dig);
    command.args([server.as_str(), "+short", "+tries=1", "+time=1"]).args(words);
    run(&mut command, &limit()).unwrap_or_default()
}

/// Starts the BIND that does not run, and asks for what is not there.
fn by_the_command_line(beside: &Beside) {
    let site = &beside.site;
    let (code, said) = site.refused(&["service", "status", "dns", "luna2"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("dns does not run") && said.contains("luna2"), "{said}");
    assert!(
        site.cli(&["--dry-run", "service", "start", "dns"]).contains("would be asked to start")
    );
    assert!(!dig(beside, &["node001.cluster"]).contains("10.141.0.1"), "a trial started it");
    assert!(site.cli(&["service", "start", "dns"]).contains("finished start service dns"));
    beside.until("named is not started", || dig(beside, &["node001.cluster"]) == "10.141.0.1\n");
    assert!(site.cli(&["service", "status"]).contains("OK, running"));
    let (code, said) = site.refused(&["service", "restart", "cups"]);
    assert!(code == Some(1) && said.contains("Service Name cups Is Not Recognized"), "{said}");
}

#[test]
fn a_bind_of_the_site_answers_from_files_that_follow_the_cluster() {
    let (Some(_), Some(_), Some(_)) = (NAMED.find(), DIG.find(), CURL.find()) else { return };
    let beside = Beside::start(&[("DNS", "named")], "");
    let site = &beside.site;
    beside.until("named is not told to read its files", || {
        beside.read("manager.log").contains("reload named")
    });
    // It was not started yet: that is told, and `start` does.
    beside.until("a server that does not run is not told", || {
        beside.status().contains("named does not know the cluster as it is")
    });
    let monitor = beside.get("/monitor/service/dns", false);
    assert!(
        monitor["monitor"]["Service"]["dns"].as_str().unwrap().starts_with("FAIL, not running")
    );
    let said = beside.act("dns/start");
    assert!(said.starts_with("service for dns start queued"), "{said}");
    for words in [
        "queued service dns start with queue_id ",
        ":: start service dns",
        ":: finished start service dns",
    ] {
        assert!(said.contains(words), "{said}");
    }
    beside.until("named does not answer", || dig(&beside, &["node001.cluster"]) == "10.141.0.1\n");
    beside.until("it still is said to lack", || !beside.status().contains("does not know"));
    assert_eq!(dig(&beside, &["-x", "10.141.0.1"]), "node001.cluster.\n");
    let monitor = beside.get("/monitor/service/named", false);
    assert_eq!(monitor["monitor"]["Service"]["named"], "OK, running");
    // Changes follow by themselves, networks with their zones too.
    site.cli(&["node", "add", "node[002-040]", "--group", "compute"]);
    site.cli(&["network", "add", "ib", "--network", "10.149.0.0/16"]);
    site.cli(&["network", "change", "ib", "--network", "fd00:149::/64"]);
    site.cli(&["dns", "set", "ib", "fileserver", "10.149.3.7"]);
    site.cli(&["dns", "set", "ib", "fileserver6", "fd00:149::7"]);
    beside.until("a change does not follow", || dig(&beside, &["fileserver.ib"]) == "10.149.3.7\n");
    assert_eq!(dig(&beside, &["node040.cluster"]), "10.141.0.40\n");
    assert_eq!(dig(&beside, &["fileserver6.ib", "AAAA"]), "fd00:149::7\n");
    assert_eq!(dig(&beside, &["-x", "fd00:149::7"]), "fileserver6.ib.\n");
    assert!(beside.file("ib.luna.zone").exists());
    other_records(&beside);
    let serial = || dig(&beside, &["cluster", "SOA"]).split(' ').nth(2).map(str::to_owned);
    let before = serial();
    // A zone of somebody else's is asked of its own server, and a zone that says nothing new keeps its number.
    site.cli(&[
        "network",
        "change",
        "ib",
        "--non-authoritative",
        "yes",
        "--nameserver-ip",
        "10.141.9.9",
    ]);
    beside.until("it is not forwarded", || beside.read("named.luna.zones").contains("10.141.9.9"));
    beside.until("a file of a former zone is left", || !beside.file("ib.luna.zone").exists());
    assert_eq!(serial(), before);
    // A template of the site that BIND refuses changes nothing, and is told in BIND's words.
    let main = beside.read("named.conf");
    site.write(
        "templates/templ_dns_conf.cfg",
        "options { directory \"{{ directory }}\"; nonsense yes; };\n",
    );
    site.cli(&["node", "add", "node041", "--group", "compute"]);
    beside.until("what is refused is not told", || {
        beside.status().contains("unknown option 'nonsense'")
    });
    assert_eq!(beside.read("named.conf"), main);
    let said = beside.act("dns/reload");
    assert!(said.contains("error reload service dns: named config file has errors"), "{said}");
    assert_eq!(dig(&beside, &["node040.cluster"]), "10.141.0.40\n", "it goes on");
    fs::remove_file(site.data().join("templates/templ_dns_conf.cfg")).unwrap();
    assert!(beside.act("dns/reload").contains("finished reload service dns"));
    beside.until("it does not recover", || dig(&beside, &["node041.cluster"]) == "10.141.0.41\n");
    assert!(beside.act("dns/stop").contains("finished stop"));
    assert!(!dig(&beside, &["node001.cluster"]).contains("10.141.0.1"));
    by_the_command_line(&beside);
    // What nobody knows is said in the stream, as before.
    assert!(beside.act("dns/dance").contains("Service Action dance Is Not Recognized"));
    assert!(beside.act("cups/start").contains("Service Name cups Is Not Recognized."));
}

/// BIND reads what is described beside addresses, whatever its texts have.
fn other_records(beside: &Beside) {
    let long = "x".repeat(600);
    let texts = ["a \"b\" \\ ; $ORIGIN x. ( @", "one\ntwo", "caf\u{e9}", long.as_str()];
    let set = |words: &[&str]| beside.site.cli(&[&["dns", "set", "ib"], words].concat());
    set(&[&["text"], &texts[..], &["--type", "TXT"]].concat());
    set(&["www", "fileserver", "--type", "CNAME"]);
    set(&["_ldap._tcp", "0 5 389 fileserver", "0 0 0 .", "--type", "SRV"]);
    set(&["@", "10 fileserver", "--type", "MX"]);
    let has = |words: &[&str], expected: &str| dig(beside, words) == expected;
    beside.until("MX does not follow", || has(&["ib", "MX"], "10 fileserver.ib.\n"));
    assert_eq!(dig(beside, &["www.ib"]), "fileserver.ib.\n10.149.3.7\n");
    let mut services: Vec<String> =
        dig(beside, &["_ldap._tcp.ib", "SRV"]).lines().map(str::to_owned).collect();
    services.sort();
    assert_eq!(services, ["0 0 0 .", "0 5 389 fileserver.ib."]);
    let told = dig(beside, &["text.ib", "TXT"]);
    let pieces = format!("\"{}\" \"{}\" \"{}\"", "x".repeat(255), "x".repeat(255), "x".repeat(90));
    for expected in
        [r#""a \"b\" \\ ; $ORIGIN x. ( @""#, r#""one\010two""#, r#""caf\195\169""#, &pieces]
    {
        assert!(told.lines().any(|line| line == expected), "{expected}: {told}");
    }
}

/// A network of BMCs on the wire of the nodes: they are told apart by their vendor class.
fn shares_its_wire(beside: &Beside, udhcpc: &str) {
    let range = ["--dhcp-range-begin", "10.148.9.1", "--dhcp-range-end", "10.148.9.50"];
    let words = ["network", "add", "ipmi", "--network", "10.148.0.0/16", "--shared", "cluster"];
    beside.site.cli(&[&words[..], &["--dhcp", "yes"], &range[..]].concat());
    let bmc = beside.site.machine("52:54:00:00:0d:01");
    let lent = |words: &[&str]| {
        bmc.udhcpc(udhcpc, words).map(|told| told.get("ip").to_owned()).unwrap_or_default()
    };
    beside.until("a BMC has no address of its network", || lent(&[]).starts_with("10.148.9."));
    let other = beside.site.machine("52:54:00:00:0d:02");
    let told = other.udhcpc(udhcpc, &["-V", "PXEClient"]).unwrap();
    assert!(told.get("ip").starts_with("10.141.100."), "{told:?}");
    beside.site.cli(&["network", "remove", "ipmi", "--yes"]);
}

#[test]
fn a_dhcpd_of_the_site_serves_nodes_by_the_file_that_is_written() {
    let (Some(_), Some(udhcpc), Some(_)) = (DHCPD.find(), UDHCPC.find(), CURL.find()) else {
        return;
    };
    let beside = Beside::start(&[("DHCP", "dhcpd")], "");
    let site = &beside.site;
    beside.until("dhcpd does not run", || {
        beside.get("/monitor/service/dhcp", false)["monitor"]["Service"]["dhcp"] == "OK, running"
    });
    let node = site.machine(NODE_MAC);
    let told = node.udhcpc(&udhcpc, &["-x", "0x5d:0007"]).unwrap();
    assert_eq!((told.get("ip"), told.get("subnet")), ("10.141.0.1", "255.255.0.0"));
    assert_eq!((told.get("boot_file"), told.get("siaddr")), ("luna_ipxe.efi", CONTROLLER));
    assert_eq!(told.get("hostname"), "node001");
    let told = node.udhcpc(&udhcpc, &["-x", "0x4d:69505845"]).unwrap();
    assert_eq!(told.get("boot_file"), format!("http://{CONTROLLER}:7050/boot"));
    programs::suit_the_firmware(&beside, &node, &udhcpc);
    let stranger = site.machine("52:54:00:00:0b:01");
    let lent = stranger.udhcpc(&udhcpc, &[]).unwrap().get("ip").to_owned();
    assert!(lent.starts_with("10.141.100."), "{lent}");
    // A change is there after one restart, however many nodes it has.
    let restarts = || beside.read("manager.log").matches("restart dhcpd").count();
    let before = restarts();
    for number in 2..12 {
        let (name, mac) = (format!("node{number:03}"), format!("52:54:00:00:00:{number:02x}"));
        site.cli(&["node", "add", &name, "--group", "compute", "--mac", &mac]);
    }
    let new = site.machine("52:54:00:00:00:0b");
    beside.until("a new node is not served", || {
        new.udhcpc(&udhcpc, &[]).is_ok_and(|told| told.get("ip") == "10.141.0.11")
    });
    assert!(restarts() - before <= 3, "{}", beside.read("manager.log"));
    shares_its_wire(&beside, &udhcpc);
    // What dhcpd refuses leaves the file and dhcpd as they are.
    let kept = beside.read("dhcpd.conf");
    site.write("templates/templ_dhcpd.cfg", "subnet {{ NONSENSE }} {\n");
    site.cli(&["node", "change", "node001", "--mac", "52:54:00:00:00:aa"]);
    beside.until("what is refused is not told", || {
        beside.status().contains("dhcpd config file has errors")
    });
    assert_eq!(beside.read("dhcpd.conf"), kept);
    let said = beside.act("dhcp/restart");
    assert!(said.contains("error restart service dhcp: dhcpd config file has errors"), "{said}");
    assert_eq!(node.udhcpc(&udhcpc, &[]).unwrap().get("ip"), "10.141.0.1", "it goes on");
    // A site's own template, with the variables that it was written for.
    site.write(
        "templates/templ_dhcpd.cfg",
        "authoritative;\n{% for n in SUBNETS %}subnet {{ SUBNETS[n]['network'] }} netmask {{ SUBNETS[n]['netmask'] }} {\n\
         option domain-name \"{{ SUBNETS[n]['domain'] }}\";\nnext-server {{ SUBNETS[n]['nextserver'] }};\n}\n{% endfor %}\
         {% for n in RESERVATIONS %}{% for h in RESERVATIONS[n] %}host {{ h.name }}.{{ h.domain }} {\n\
         hardware ethernet {{ h.macaddress }};\nfixed-address {{ h.ipaddress }};\n}\n{% endfor %}{% endfor %}",
    );
    assert!(beside.act("dhcp/restart").contains("finished restart service dhcp"));
    let moved = site.machine("52:54:00:00:00:aa");
    beside.until("the site's own template is not used", || {
        moved
            .udhcpc(&udhcpc, &[])
            .is_ok_and(|told| told.get("ip") == "10.141.0.1" && told.get("domain") == "cluster")
    });
}

#[test]
fn a_full_disk_is_told_and_the_server_goes_on_with_the_files_that_it_has() {
    let (Some(_), Some(udhcpc)) = (DHCPD.find(), UDHCPC.find()) else { return };
    let site = Site::start("10.141.100.1", "10.141.100.99");
    let directory = site.data().join("etc");
    let disk = SmallDisk::at(directory);
    let beside = Beside::start_on(site, &[("DHCP", "dhcpd")], "");
    // The disk goes before the site, however this ends.
    let disk = disk;
    let site = &beside.site;
    let node = site.machine(NODE_MAC);
    let has = |machine: &Machine, address: &str| {
        machine.udhcpc(&udhcpc, &[]).is_ok_and(|told| told.get("ip") == address)
    };
    beside.until("dhcpd does not serve", || has(&node, "10.141.0.1"));
    let filler = disk.fill();
    let before = beside.read("dhcpd.conf");
    site.cli(&["node", "add", "node002", "--group", "compute", "--mac", "52:54:00:00:00:02"]);
    beside.until("a full disk is not told", || {
        let status = beside.status();
        status.contains("dhcpd.conf") && status.contains("make room on that disk")
    });
    assert_eq!(beside.read("dhcpd.conf"), before, "half a file is in its place");
    assert!(has(&node, "10.141.0.1"), "dhcpd does not go on");
    fs::remove_file(filler).unwrap();
    site.cli(&["node", "add", "node003", "--group", "compute", "--mac", "52:54:00:00:00:03"]);
    let new = site.machine("52:54:00:00:00:02");
    beside.until("it does not follow when there is room", || has(&new, "10.141.0.2"));
    beside.until("it still is said to lack", || !beside.status().contains("make room"));
}

#[test]
fn kea_takes_changes_without_a_restart() {
    let (Some(_), Some(udhcpc), Some(perfdhcp)) = (KEA4.find(), UDHCPC.find(), PERFDHCP.find())
    else {
        return;
    };
    let beside = Beside::start(&[("DHCP", "kea-dhcp4")], "");
    let site = &beside.site;
    let node = site.machine(NODE_MAC);
    beside.until("Kea does not serve", || {
        node.udhcpc(&udhcpc, &["-x", "0x5d:0007"]).is_ok_and(|told| {
            (told.get("ip"), told.get("boot_file"), told.get("siaddr"))
                == ("10.141.0.1", "luna_ipxe.efi", CONTROLLER)
        })
    });
    let told = node.udhcpc(&udhcpc, &["-x", "0x4d:69505845"]).unwrap();
    assert_eq!(told.get("boot_file"), format!("http://{CONTROLLER}:7050/boot"));
    programs::suit_the_firmware(&beside, &node, &udhcpc);
    let starts = beside.read("manager.log");
    // Strangers ask all the time while nodes come.
    let load = site.machine("52:54:00:00:0c:01");
    load.take("10.141.50.1/16");
    let mut generator = load.lab.command(&perfdhcp);
    generator.args(["-4", "-r", "100", "-R", "50", "-p", "6", "-W", "2000000", "-l", "nic0"]);
    let load = std::thread::spawn(move || run(&mut generator, &limit()));
    for number in 2..40 {
        let (name, mac) = (format!("node{number:03}"), format!("52:54:00:00:00:{number:02x}"));
        site.cli(&["node", "add", &name, "--group", "compute", "--mac", &mac]);
    }
    let said = load.join().unwrap().unwrap_or_else(|error| error.to_string());
    // Kea closes its sockets for the moment in which it takes a configuration. What was asked then is asked of it again.
    let count = |label: &str| {
        let lines = said.lines().filter_map(|line| line.strip_prefix(label));
        lines.map(|count| count.trim().parse::<u32>().unwrap()).collect::<Vec<_>>()
    };
    let (sent, received) = (count("sent packets: "), count("received packets: "));
    assert!(sent.len() == 2 && sent[0] > 500, "{said}");
    assert!(received[0] >= sent[0], "{said}");
    let new = site.machine("52:54:00:00:00:27");
    beside.until("a new node is not served", || {
        new.udhcpc(&udhcpc, &[]).is_ok_and(|told| told.get("ip") == "10.141.0.39")
    });
    assert_eq!(beside.read("manager.log"), starts, "Kea was restarted");
    shares_its_wire(&beside, &udhcpc);
    // One that hangs holds up nothing else, and is told of until it follows.
    let kea = beside.read("kea-dhcp4.pid");
    let signal = |name: &str| {
        run(command("kill").args([name, kea.trim()]), &limit()).unwrap();
    };
    signal("-STOP");
    site.cli(&["node", "add", "node040", "--group", "compute", "--mac", "52:54:00:00:00:28"]);
    beside.until("a Kea that hangs is not told", || {
        beside.status().contains("did not answer within")
    });
    assert!(site.cli(&["node", "show", "node040"]).contains("10.141.0.40"));
    signal("-CONT");
    site.cli(&["node", "add", "node041", "--group", "compute", "--mac", "52:54:00:00:00:29"]);
    let new = site.machine("52:54:00:00:00:29");
    beside.until("Kea does not follow when it answers again", || {
        new.udhcpc(&udhcpc, &[]).is_ok_and(|told| told.get("ip") == "10.141.0.41")
    });
    beside.until("it still is said to lack", || !beside.status().contains("does not know"));
    assert_eq!(beside.read("manager.log"), starts, "Kea was restarted");
    // Kea that was stopped is told of, and follows when it is back.
    assert!(beside.act("dhcp/stop").contains("finished stop"));
    assert!(beside.act("dhcp/start").contains("finished start"));
    beside.until("Kea does not come back", || node.udhcpc(&udhcpc, &[]).is_ok());
}

#[test]
fn kea_and_dhcpd_serve_ipv6_by_the_files_that_are_written() {
    let (Some(_), Some(dhcpd), Some(dhclient)) = (KEA6.find(), DHCPD.find(), DHCLIENT.find())
    else {
        return;
    };
    let beside = Beside::start(&[("DHCP6", "kea-dhcp6")], "");
    let site = &beside.site;
    site.address("fd00:141::fe/64");
    site.cli(&[
        "network",
        "change",
        "cluster",
        "--network",
        "fd00:141::/64",
        "--dhcp-range-begin",
        "fd00:141::1000",
        "--dhcp-range-end",
        "fd00:141::1fff",
    ]);
    site.cli(&["node", "change", "node001", "--interface", "BOOTIF,ipaddress=fd00:141::1"]);
    beside.until("it does not run", || {
        beside.get("/monitor/service/dhcp6", false)["monitor"]["Service"]["dhcp6"] == "OK, running"
    });
    let node = site.machine(NODE_MAC);
    node.run("ip", &["link", "set", "nic0", "up"]).unwrap();
    let leased = || {
        fs::remove_file(node.file("leases")).ok();
        let file = |name: &str| node.file(name).display().to_string();
        fs::write(node.file("empty.conf"), "").unwrap();
        let words = [
            "-6",
            "-1",
            "-D",
            "LL",
            "-cf",
            &file("empty.conf"),
            "-sf",
            "/bin/true",
            "-lf",
            &file("leases"),
            "-pf",
            &file("pid"),
            "nic0",
        ];
        node.run(&dhclient, &words).ok();
        fs::read_to_string(node.file("leases")).unwrap_or_default()
    };
    beside.until("the node does not get its address", || leased().contains("iaaddr fd00:141::1 "));
    // The same cluster for dhcpd.
    let text = beside.read("kea-dhcp6.conf");
    assert!(text.contains("fd00:141::1000 - fd00:141::1fff"), "{text}");
    drop(beside);
    let other = Beside::start(&[("DHCP6", "dhcpd6")], "");
    other.site.cli(&[
        "network",
        "change",
        "cluster",
        "--network",
        "fd00:141::/64",
        "--dhcp-range-begin",
        "fd00:141::1000",
        "--dhcp-range-end",
        "fd00:141::1fff",
    ]);
    other.until("dhcpd6.conf is not written", || other.read("dhcpd6.conf").contains("range6"));
    let file = other.file("dhcpd6.conf").display().to_string();
    run(other.site.network.command(&dhcpd).args(["-6", "-t", "-cf", &file]), &limit()).unwrap();
}

#[test]
fn a_zone_that_the_dhcp_server_changes_as_well_is_told_and_not_written() {
    const KEY: &str = "aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gMTI=";
    let (Some(_), Some(_), Some(nsupdate)) = (NAMED.find(), DIG.find(), NSUPDATE.find()) else {
        return;
    };
    let keys = format!("TSIGKEY = {KEY}\nTSIGALGO = hmac-sha256\n");
    let beside = Beside::start(&[("DNS", "named")], &keys);
    let site = &beside.site;
    site.cli(&["network", "change", "cluster", "--dhcp-nodes-in-pool", "yes"]);
    beside.until("the zone is not written so", || {
        beside.read("named.luna.zones").contains("grant tsig_key")
    });
    assert!(beside.act("dns/start").contains("finished start"));
    beside.until("named does not answer", || {
        dig(&beside, &["controller.cluster"]) == "10.141.255.254\n"
    });
    // What a DHCP server says of what it lends.
    let file = beside.file("update");
    let words = format!(
        "server 127.0.0.1\nkey hmac-sha256:tsig_key {KEY}\nzone cluster.\nupdate add laptop.cluster. 300 A 10.141.100.7\nsend\n"
    );
    fs::write(&file, words).unwrap();
    run(site.network.command(&nsupdate).arg(file.display().to_string()), &limit()).unwrap();
    assert_eq!(dig(&beside, &["laptop.cluster"]), "10.141.100.7\n");
    let zone = beside.file("cluster.luna.zone");
    let written = fs::metadata(&zone).unwrap().modified().unwrap();
    site.cli(&["dns", "set", "cluster", "www", "10.141.200.3"]);
    beside.until("BIND is not told", || dig(&beside, &["www.cluster"]) == "10.141.200.3\n");
    site.cli(&["dns", "set", "cluster", "www", "10.141.200.4"]);
    beside.until("a former address is left", || dig(&beside, &["www.cluster"]) == "10.141.200.4\n");
    let text = ["dns", "set", "cluster", "www", "a \"b\" \\ ; c", "one\ntwo", "--type", "TXT"];
    site.cli(&text);
    beside.until("BIND is not told of a text", || {
        let told = dig(&beside, &["www.cluster", "TXT"]);
        told.contains(r#""a \"b\" \\ ; c""#) && told.contains(r#""one\010two""#)
    });
    site.cli(&["dns", "remove", "cluster", "www", "--type", "TXT"]);
    beside.until("a former text is left", || dig(&beside, &["www.cluster", "TXT"]).is_empty());
    assert_eq!(dig(&beside, &["laptop.cluster"]), "10.141.100.7\n", "what is lent is lost");
    assert_eq!(fs::metadata(&zone).unwrap().modified().unwrap(), written, "the file is BIND's own");
}
