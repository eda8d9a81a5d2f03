//! Two controllers on one database that serve DHCP on one wire.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use perilune_testkit::process::{command, end, run, wait_for};
use perilune_testkit::{Lab, Postgres, Proxy, WallClock};

use crate::site::{self, Machine, NODE_MAC, limit, unique};
use crate::tools::{DIG, UDHCPC};

const CARD: &str = "eth0";
pub(crate) const CONTROLLERS: [&str; 2] = ["10.141.255.254", "10.141.255.253"];
/// Where those ask from who speak for machines.
const ASKERS: &str = "10.141.99.0/24";
const NODES: u8 = 8;
const STRANGERS: u8 = 12;
pub(crate) const DISCOVER: u8 = 1;
/// How long offers are waited for.
const OFFERS: Duration = Duration::from_millis(700);
/// The wish of firmware that boots by the network: the class, and the kind of machine.
const PXE: &[u8] = b"\x3c\x20PXEClient:Arch:00007:UNDI:003016\x5d\x02\x00\x07";

struct Controller {
    network: Lab,
    directory: tempfile::TempDir,
    daemon: Child,
    /// How it finds the database.
    way: Proxy,
    url: String,
    /// What it takes for the time; without one, the machine's.
    clock: Option<WallClock>,
}

/// The controllers, and the wire that they share.
pub(crate) struct Wire {
    hub: Lab,
    controllers: Vec<Controller>,
    pub(crate) server: Postgres,
}

impl Wire {
    /// Two controllers that serve DHCP, with a range for strangers and the group `compute`.
    pub(crate) fn start() -> Option<Self> {
        let mut server = Postgres::start()?;
        let database = server.fresh();
        let hub = Lab::create(&unique("wire"), &[]).unwrap();
        let mut wire = Self { hub, controllers: Vec::new(), server };
        for number in 0..CONTROLLERS.len() {
            let controller = wire.controller(number, &database);
            wire.controllers.push(controller);
        }
        wire.cli(0, &["cluster", "show"]);
        wire.cli(1, &["cluster", "show"]);
        let range = ["--dhcp-range-begin", "10.141.200.1", "--dhcp-range-end", "10.141.200.200"];
        wire.cli(0, &[&["network", "change", "cluster", "--dhcp", "yes"], &range[..]].concat());
        wire.cli(0, &["group", "add", "compute"]);
        Some(wire)
    }

    fn controller(&self, number: usize, database: &str) -> Controller {
        let network = Lab::create(&unique("controller"), &[]).unwrap();
        site::connect(&self.hub, &network, CARD, &format!("02:00:00:00:01:0{number}"));
        let address = format!("{}/16", CONTROLLERS[number]);
        run(network.command("ip").args(["address", "add", &address, "dev", CARD]), &limit())
            .unwrap();
        // Nothing on this wire is hardware that makes checksums.
        run(network.command("ethtool").args(["-K", CARD, "tx", "off"]), &limit()).unwrap();
        let inside = network.inside(|| TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let way = Proxy::on(inside, self.server.port());
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        if number > 0 {
            // As an administrator copies it.
            let key = self.controllers[0].directory.path().join("data/luna.key");
            std::fs::create_dir(&data).unwrap();
            std::fs::copy(key, data.join("luna.key")).unwrap();
        }
        let url = Postgres::url(database, way.port());
        let mut init = network.command(env!("CARGO_BIN_EXE_perilune"));
        init.args(["database", "init", "--database", &url, "--data-dir"]).arg(&data);
        run(init.env("HOME", directory.path()).env_remove("PERILUNE_CONFIG"), &limit()).unwrap();
        let ini = data.join("luna.ini");
        let text = std::fs::read_to_string(&ini).unwrap();
        let own =
            format!("[DATABASE]\nCONTROLLER = controller{number}\n[BOOT]\nEVIDENCE = search\n");
        let named = format!("{text}\n{own}");
        // Scripts are asked for where the tests listen, by tests that speak for machines.
        let named = named.replace("PROTOCOL = https", "PROTOCOL = http");
        let named = named.replace("[API]\n", &format!("[API]\nPROXIES = {ASKERS}\n"));
        std::fs::write(&ini, named).unwrap();
        let clock = WallClock::new();
        let daemon = serve(&network, directory.path(), &url, clock.as_ref());
        Controller { network, directory, daemon, way, url, clock }
    }

    /// Runs `perilune` on a controller, once that answers.
    pub(crate) fn cli(&self, controller: usize, arguments: &[&str]) -> String {
        let Controller { network, directory, .. } = &self.controllers[controller];
        let mut command = network.command(env!("CARGO_BIN_EXE_perilune"));
        command.args(arguments).env("HOME", directory.path());
        command.env("PERILUNE_CONFIG", directory.path().join("data/luna.ini"));
        let said = wait_for(&limit(), || run(&mut command, &limit()).ok()).unwrap();
        said.unwrap_or_else(|| panic!("{arguments:?}: {:?}", run(&mut command, &limit())))
    }

    pub(crate) fn machine(&self, mac: &str) -> Machine {
        Machine::connect(&self.hub, mac)
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, controller: usize) {
        self.controllers[controller].daemon.kill().unwrap();
        self.controllers[controller].daemon.wait().unwrap();
    }

    /// Starts one that was killed.
    pub(crate) fn start_again(&mut self, controller: usize) {
        let Controller { network, directory, daemon, url, clock, .. } =
            &mut self.controllers[controller];
        *daemon = serve(network, directory.path(), url, clock.as_ref());
    }

    /// Sets the clock of a controller, by so many seconds from the right time, where there is one to set.
    pub(crate) fn set_clock(&self, controller: usize, seconds: i32) {
        if let Some(clock) = &self.controllers[controller].clock {
            clock.is_ahead_by(seconds);
        }
    }

    /// Sends one a signal, such as `STOP`.
    pub(crate) fn signal(&self, controller: usize, name: &str) {
        let process = self.controllers[controller].daemon.id().to_string();
        run(command("kill").args([&format!("-{name}"), &process]), &limit()).unwrap();
    }

    /// Has every controller have a file of images.
    pub(crate) fn put_file(&self, name: &str) {
        for controller in &self.controllers {
            let files = controller.directory.path().join("data/files");
            std::fs::create_dir_all(&files).unwrap();
            std::fs::write(files.join(name), name).unwrap();
        }
    }

    /// The network of a controller's host.
    pub(crate) fn network(&self, controller: usize) -> &Lab {
        &self.controllers[controller].network
    }

    /// The way of a controller to the database.
    pub(crate) fn way(&self, controller: usize) -> &Proxy {
        &self.controllers[controller].way
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for controller in &mut self.controllers {
            end(&mut controller.daemon);
            if std::thread::panicking() {
                let log = std::fs::read_to_string(controller.directory.path().join("log"));
                eprintln!("The log of a daemon:\n{}", log.unwrap_or_default());
            }
        }
    }
}

fn serve(network: &Lab, directory: &Path, url: &str, clock: Option<&WallClock>) -> Child {
    let mut starter = vec!["env".to_owned(), format!("PERILUNE_DATABASE={url}")];
    let variables = clock.map(WallClock::variables);
    starter.extend(
        variables.iter().flatten().map(|(name, value)| format!("{name}={}", value.display())),
    );
    let starter: Vec<&str> = starter.iter().map(String::as_str).collect();
    let listen = ["0.0.0.0:7050".to_owned()];
    site::serve(network, directory, &starter, (&listen, &[CARD]))
}

fn node_mac(number: u8) -> String {
    NODE_MAC.replace(":01", &format!(":0{number}"))
}

/// What one controller offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) address: Ipv4Addr,
    pub(crate) boot_server: Ipv4Addr,
}

/// Looks for a server in the name of a machine; what each controller that runs offers, by its address.
pub(crate) fn offers(asker: &Machine, mac: [u8; 6], running: usize) -> BTreeMap<String, Offer> {
    let ask = || {
        let socket = client();
        socket.set_read_timeout(Some(OFFERS)).unwrap();
        socket.send_to(&message(mac, DISCOVER, &[]), "10.141.255.255:67").unwrap();
        let mut offered = BTreeMap::new();
        let begun = Instant::now();
        while begun.elapsed() < OFFERS && offered.len() < running {
            let Some((_, server, offer)) = heard(&socket, mac) else { break };
            offered.insert(server.to_string(), offer);
        }
        offered
    };
    asker.lab.inside(ask).unwrap()
}

/// The port of clients, in the network of the thread that calls this.
pub(crate) fn client() -> UdpSocket {
    let socket = UdpSocket::bind("0.0.0.0:68").unwrap();
    socket.set_broadcast(true).unwrap();
    socket
}

/// What a machine's firmware says, which is to be answered to all.
pub(crate) fn message(mac: [u8; 6], kind: u8, more: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 240];
    packet[..8].copy_from_slice(&[1, 1, 6, 0, 9, mac[3], mac[4], mac[5]]);
    packet[10] = 0x80;
    packet[28..34].copy_from_slice(&mac);
    packet[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    packet.extend([53, 1, kind]);
    packet.extend_from_slice(PXE);
    packet.extend_from_slice(more);
    packet.push(255);
    packet
}

/// The next answer to a machine: its kind, whose it is, and what it gives. `None` when nothing comes for a while.
pub(crate) fn heard(socket: &UdpSocket, mac: [u8; 6]) -> Option<(u8, Ipv4Addr, Offer)> {
    let mut answer = [0; 2048];
    let (begun, patience) = (Instant::now(), socket.read_timeout().unwrap().unwrap());
    // Others are answered meanwhile.
    while begun.elapsed() < patience {
        let (_, from) = socket.recv_from(&mut answer).ok()?;
        let IpAddr::V4(from) = from.ip() else { continue };
        if answer[28..34] == mac {
            let at = |place: usize| Ipv4Addr::from(*answer[place..].first_chunk::<4>().unwrap());
            return Some((answer[242], from, Offer { address: at(16), boot_server: at(20) }));
        }
    }
    None
}

/// Waits until it is so.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    assert!(wait_for(&limit(), || condition().then_some(())).unwrap().is_some(), "{what}");
}

/// The addresses that strangers have who all ask at once.
fn ask_at_once(udhcpc: &str, strangers: &[Machine]) -> Vec<String> {
    std::thread::scope(|scope| {
        let asking = strangers.iter().map(|stranger| {
            scope.spawn(|| stranger.udhcpc(udhcpc, &[]).unwrap().get("ip").to_owned())
        });
        let asking: Vec<_> = asking.collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    })
}

#[test]
fn two_controllers_answer_nodes_alike_lend_each_address_once_and_one_goes_on_alone() {
    let Some(udhcpc) = UDHCPC.find() else { return };
    let Some(mut wire) = Wire::start() else { return };
    for number in 1..=NODES {
        let (name, mac) = (format!("node00{number}"), node_mac(number));
        wire.cli(0, &["node", "add", &name, "--group", "compute", "--mac", &mac]);
    }
    let asker = wire.machine("52:54:00:00:00:66");
    asker.take("10.141.0.99/16");

    // Both answer a node, with one address and one boot server.
    let node = |number: u8| [0x52, 0x54, 0, 0, 0, number];
    until("the controllers do not know each other", || {
        let told = (1..=NODES).map(|number| offers(&asker, node(number), 2));
        told.into_iter().all(|told| {
            let all: Vec<&Offer> = told.values().collect();
            all.len() == 2 && all[0] == all[1]
        })
    });
    let mut servers = BTreeSet::new();
    for number in 1..=NODES {
        let told = offers(&asker, node(number), 2);
        let all: Vec<&Offer> = told.values().collect();
        assert!(all.len() == 2 && all[0] == all[1], "{told:?}");
        assert_eq!(all[0].address, Ipv4Addr::new(10, 141, 0, number));
        servers.insert(all[0].boot_server.to_string());
    }
    assert_eq!(servers.len(), 2, "each is the boot server of some: {servers:?}");
    let machine = wire.machine(NODE_MAC);
    let told = machine.udhcpc(&udhcpc, &["-V", "PXEClient:Arch:00007", "-x", "0x5d:0007"]).unwrap();
    assert_eq!(told.get("ip"), "10.141.0.1", "{told:?}");
    let one = offers(&asker, node(1), 2).into_values().next().unwrap();
    assert_eq!(told.get("siaddr"), one.boot_server.to_string(), "{told:?}");

    // Each offers a stranger an address of its own share.
    let mut shares: [BTreeSet<Ipv4Addr>; 2] = Default::default();
    for number in 0..20 {
        let told = offers(&asker, [0x52, 0x60, 0, 1, 0, number], 2);
        for (share, controller) in shares.iter_mut().zip(CONTROLLERS) {
            share.insert(told[controller].address);
        }
    }
    assert!(shares[0].is_disjoint(&shares[1]), "{shares:?}");
    let stranger = |number: u8| wire.machine(&format!("52:61:00:00:02:{number:02x}"));
    let strangers: Vec<Machine> = (0..STRANGERS).map(stranger).collect();
    let lent = ask_at_once(&udhcpc, &strangers);
    let unique: BTreeSet<&String> = lent.iter().collect();
    assert_eq!(unique.len(), lent.len(), "{lent:?}");
    // What one has lent the other offers to nobody else, and to its machine again.
    for (number, address) in (0..STRANGERS).zip(&lent) {
        until("a lease is not known to both", || {
            let told = offers(&asker, [0x52, 0x61, 0, 0, 2, number], 2);
            told.len() == 2 && told.values().all(|offer| offer.address.to_string() == *address)
        });
    }

    // One is killed: the other goes on at once.
    wire.kill(0);
    let begun = Instant::now();
    assert_eq!(machine.udhcpc(&udhcpc, &[]).unwrap().get("ip"), "10.141.0.1");
    println!("a node was answered {:?} after one controller was killed", begun.elapsed());
    assert_eq!(ask_at_once(&udhcpc, &strangers), lent, "strangers keep what either had lent");
    let more = wire.machine("52:61:00:00:03:01").udhcpc(&udhcpc, &[]).unwrap().get("ip").to_owned();
    assert!(!lent.contains(&more), "{more} is lent twice");
    // Its machines boot from the other, which lends of its share as well.
    until("nodes are still sent to the one that is gone", || {
        (1..=NODES).all(|number| {
            let told = offers(&asker, node(number), 1);
            told.values().all(|offer| offer.boot_server.to_string() == CONTROLLERS[1])
        })
    });
    println!("all nodes boot from the other after {:?}", begun.elapsed());
    let mut of_others_share = 0;
    for number in 0..20 {
        // Machines whose addresses are looked for where those of the former ones were.
        let told = offers(&asker, [0x52, 0x62, 0, 1, 0, number], 1);
        let address = told[CONTROLLERS[1]].address;
        of_others_share += usize::from(shares[0].contains(&address));
        assert!(!lent.contains(&address.to_string()), "{address} is offered, and lent");
    }
    assert!(of_others_share > 0, "its share is lent by nobody");
}

/// How many addresses there are in [`a_controller_with_a_wrong_clock_lends_nothing_that_is_lent_and_names_who_has_it`].
const FEW: u8 = 6;
const HOUR: i32 = 60 * 60;

/// Whether each controller says that the strangers are where they are, by the names that they have given themselves.
fn are_named(asker: &Machine, dig: &str, addresses: &[String]) -> bool {
    CONTROLLERS.iter().all(|server| {
        let server = format!("@{server}");
        (0..).zip(addresses).all(|(number, address)| {
            let name = format!("stranger{number}.cluster");
            let asked = ["+short", "+tries=2", "+time=2", &server, &name, "A"];
            asker.run_both(dig, &asked).trim() == *address
        })
    })
}

#[test]
fn a_controller_with_a_wrong_clock_lends_nothing_that_is_lent_and_names_who_has_it() {
    let (Some(udhcpc), Some(dig)) = (UDHCPC.find(), DIG.find()) else { return };
    if WallClock::new().is_none() {
        return;
    }
    let Some(wire) = Wire::start() else { return };
    let last = format!("10.141.200.{FEW}");
    wire.cli(0, &["network", "change", "cluster", "--dhcp-range-end", &last]);
    let asker = wire.machine("52:54:00:00:00:66");
    asker.take("10.141.0.99/16");
    let stranger = |number: u8| wire.machine(&format!("52:61:00:00:02:{number:02x}"));
    let strangers: Vec<Machine> = (0..FEW).map(stranger).collect();
    let address = |(number, stranger): (u8, &Machine)| {
        let mut address = None;
        let name = format!("hostname:stranger{number}");
        until("a stranger has no address", || {
            address = stranger.udhcpc(&udhcpc, &["-x", &name]).ok();
            address.is_some()
        });
        address.unwrap().get("ip").to_owned()
    };
    for (controller, seconds) in [(1, 0), (1, HOUR), (1, -HOUR), (0, HOUR), (0, 0), (1, 0)] {
        wire.set_clock(controller, seconds);
        // Those that are lent anew have their ends by this clock.
        let addresses: Vec<String> = (0..).zip(&strangers).map(address).collect();
        let lent: BTreeSet<&String> = addresses.iter().collect();
        assert_eq!(lent.len(), usize::from(FEW), "{lent:?}");
        // What one has lent the other knows a moment later.
        let another = |number| offers(&asker, [0x52, 0x62, 0, 1, 0, number], 1);
        until(&format!("what is lent is offered, controller {controller} by {seconds} s"), || {
            (0..5).all(|number| another(number).is_empty())
        });
        until(&format!("names are not known, controller {controller} by {seconds} s"), || {
            are_named(&asker, &dig, &addresses)
        });
    }
}
