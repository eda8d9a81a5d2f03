//! A thousand nodes and some strangers that boot again and again while their controllers and the database fail.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, json};

use crate::controllers::{
    CONTROLLERS, DISCOVER, Offer, Wire, client, heard, message, offers, until,
};
use crate::site::Machine;
use crate::tools::UDHCPC;

const NODES: u16 = 1000;
/// As many of them ask at the same moment.
const AT_ONCE: u16 = 8;
const STRANGERS: u8 = 20;
const REQUEST: u8 = 3;
const OFFER: u8 = 2;
const ACK: u8 = 5;
/// How long firmware waits before it asks again; real ones wait longer.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a machine takes to begin anew, and to boot once more.
const ANEW: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_secs(10);
/// Who has not booted by then has failed.
const LONGEST_BOOT: Duration = Duration::from_mins(1);

/// What the machines know.
struct Storm {
    is_over: AtomicBool,
    boots: AtomicUsize,
    booted: Mutex<BTreeSet<u16>>,
    slowest: Mutex<Duration>,
    /// When DHCP answered anybody last, and the longest time in which it did not.
    last: Mutex<(Instant, Duration)>,
    /// What strangers have, by their last numbers.
    lent: Mutex<BTreeMap<u8, Ipv4Addr>>,
}

fn mac_of(node: u16) -> [u8; 6] {
    let [high, low] = node.to_be_bytes();
    [0x52, 0x54, 0, 1, high, low]
}

impl Storm {
    /// Asks once; the first answer of this kind, with whose it is.
    fn ask(
        &self,
        socket: &UdpSocket,
        mac: [u8; 6],
        (kind, more): (u8, &[u8]),
        wanted: u8,
    ) -> Option<(Ipv4Addr, Offer)> {
        socket.send_to(&message(mac, kind, more), "10.141.255.255:67").unwrap();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let (kind, server, offer) = heard(socket, mac)?;
            let mut last = self.last.lock().unwrap();
            *last = (Instant::now(), last.1.max(last.0.elapsed()));
            if kind == wanted {
                return Some((server, offer));
            }
        }
        None
    }

    /// Asks for an address as firmware does; `None` where somebody did not answer.
    fn address(&self, socket: &UdpSocket, mac: [u8; 6]) -> Option<Offer> {
        let (server, offered) = self.ask(socket, mac, (DISCOVER, &[]), OFFER)?;
        let [wanted, server] = [offered.address, server].map(|address| address.octets());
        let more = [&[50, 4][..], &wanted, &[54, 4], &server].concat();
        let given = self.ask(socket, mac, (REQUEST, &more), ACK);
        given.map(|(_, given)| given)
    }

    /// Boots nodes until it is over. Who is not answered begins anew, as firmware does, when the others have had their turn.
    fn boot_nodes(&self, machine: &Machine, first: u16) {
        let boot = || {
            let socket = client();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let own = (1..=NODES).filter(|node| node % AT_ONCE == first);
            // When each is to boot, and since when it tries to.
            let start = Instant::now();
            let mut due: BTreeSet<(Instant, u16)> = own.map(|node| (start, node)).collect();
            let mut begun: BTreeMap<u16, Instant> = BTreeMap::new();
            while !self.is_over.load(Ordering::Relaxed) {
                let Some((at, node)) = due.pop_first() else { return };
                pause(at.saturating_duration_since(Instant::now()));
                let since = *begun.entry(node).or_insert_with(Instant::now);
                if !self.boots_now(&socket, node) {
                    assert!(since.elapsed() < LONGEST_BOOT, "node {node} does not boot");
                    due.insert((Instant::now() + ANEW, node));
                    continue;
                }
                begun.remove(&node);
                due.insert((Instant::now() + AGAIN, node));
                self.boots.fetch_add(1, Ordering::Relaxed);
                self.booted.lock().unwrap().insert(node);
                let mut slowest = self.slowest.lock().unwrap();
                *slowest = slowest.max(since.elapsed());
            }
        };
        machine.lab.inside(boot).unwrap();
    }

    fn boots_now(&self, socket: &UdpSocket, node: u16) -> bool {
        let Some(given) = self.address(socket, mac_of(node)) else { return false };
        let [high, low] = node.to_be_bytes();
        assert_eq!(given.address, Ipv4Addr::new(10, 141, high, low), "node {node}");
        let script = script(given.boot_server, mac_of(node), given.address);
        script.is_some_and(|script| script.contains("perilune.ticket="))
    }

    /// Has strangers ask until it is over; what any of them has nobody else has.
    fn ask_as_strangers(&self, machine: &Machine) {
        let ask = || {
            let socket = client();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            for number in (0..STRANGERS).cycle() {
                if self.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let mac = [0x52, 0x63, 0, 2, 0, number];
                let Some(given) = self.address(&socket, mac) else { continue };
                let mut lent = self.lent.lock().unwrap();
                lent.insert(number, given.address);
                let holders = lent.values().filter(|address| **address == given.address);
                assert_eq!(holders.count(), 1, "{} is lent twice: {lent:?}", given.address);
            }
        };
        machine.lab.inside(ask).unwrap();
    }
}

/// The boot script of a machine at an address from a controller, where that answers.
fn script(server: Ipv4Addr, mac: [u8; 6], from: Ipv4Addr) -> Option<String> {
    let place = SocketAddr::from((server, 7050));
    let mut stream = TcpStream::connect_timeout(&place, PATIENCE).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    let request = format!(
        "GET /boot/search/mac/{mac} HTTP/1.1\r\nhost: controller\r\nx-forwarded-for: {from}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}

/// Whoever fails, the machines end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Describes the nodes, at addresses that follow from their numbers.
fn describe(wire: &Wire) {
    let mut nodes = Map::new();
    for node in 1..=NODES {
        let [high, low] = node.to_be_bytes();
        let mac = mac_of(node).map(|byte| format!("{byte:02x}")).join(":");
        let address = format!("10.141.{high}.{low}");
        let interface = json!({ "interface": "BOOTIF", "network": "cluster", "macaddress": mac, "ipaddress": address });
        let fields = json!({ "group": "compute", "interfaces": [interface] });
        nodes.insert(format!("node{node:04}"), fields);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({ "node": nodes }).to_string()).unwrap();
    let file = file.path().display().to_string();
    wire.cli(0, &["apply", "-f", &file, "--merge", "--yes"]);
    let [kernel, installer, tree] = ["kernel", "installer", "tree.tar.zst"];
    for name in [kernel, installer, tree] {
        wire.put_file(name);
    }
    let files = ["--kernelfile", kernel, "--initrdfile", installer, "--imagefile", tree];
    wire.cli(0, &[&["osimage", "add", "compute"], &files[..]].concat());
    wire.cli(0, &["group", "change", "compute", "--osimage", "compute"]);
}

#[expect(clippy::disallowed_methods, reason = "machines and faults take their time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// How long something fails; the long time is enough for others to take over what was one's.
const SHORT: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(10);

fn fail_in_turn(wire: &mut Wire, storm: &Storm, prober: &Machine) {
    let both = |fault: &str| {
        let begun = Instant::now();
        until("a controller does not answer again", || {
            offers(prober, mac_of(1), 2).len() == CONTROLLERS.len()
        });
        let gap = std::mem::take(&mut storm.last.lock().unwrap().1).as_millis();
        let boots = storm.boots.load(Ordering::Relaxed);
        println!(
            "{fault}: longest time without an answer {gap} ms; {boots} boots; both answer after {:?}",
            begun.elapsed()
        );
    };
    both("nothing");
    for controller in 0..CONTROLLERS.len() {
        wire.signal(controller, "STOP");
        pause(SHORT);
        wire.signal(controller, "CONT");
        both("stopped for 3 s");
        wire.kill(controller);
        pause(SHORT);
        wire.start_again(controller);
        both("killed for 3 s");
        wire.way(controller).close();
        pause(SHORT);
        wire.way(controller).open();
        both("does not reach the database for 3 s");
    }
    for seconds in [3600, -3600, 0] {
        wire.set_clock(0, seconds);
        pause(SHORT);
        both(&format!("a clock that is wrong by {seconds} s"));
    }
    wire.server.crash();
    pause(SHORT);
    wire.server.run(&[]);
    both("the database is away for 3 s");
    wire.kill(0);
    pause(LONG);
    wire.start_again(0);
    both("killed for 10 s");
}

#[test]
fn a_thousand_nodes_boot_and_no_address_is_lent_twice_while_everything_fails_in_turn() {
    if UDHCPC.find().is_none() {
        return;
    }
    let Some(mut wire) = Wire::start() else { return };
    describe(&wire);
    let machine = |number: u16, address: &str| {
        let machine = wire.machine(&format!("52:54:00:00:01:{number:02x}"));
        machine.take(address);
        machine
    };
    let askers: Vec<Machine> = (0..AT_ONCE)
        .map(|number| machine(number, &format!("10.141.99.{}/16", number + 1)))
        .collect();
    let (strangers, prober) = (machine(90, "10.141.99.90/16"), machine(91, "10.141.99.91/16"));
    until("the controllers do not know the nodes", || offers(&prober, mac_of(NODES), 2).len() == 2);
    let storm = Storm {
        is_over: AtomicBool::new(false),
        boots: AtomicUsize::new(0),
        booted: Mutex::default(),
        slowest: Mutex::default(),
        last: Mutex::new((Instant::now(), Duration::ZERO)),
        lent: Mutex::default(),
    };
    std::thread::scope(|scope| {
        let _over = Over(&storm.is_over);
        for (first, asker) in (0..).zip(&askers) {
            let storm = &storm;
            scope.spawn(move || storm.boot_nodes(asker, first));
        }
        scope.spawn(|| storm.ask_as_strangers(&strangers));
        fail_in_turn(&mut wire, &storm, &prober);
        until("not every node has booted", || {
            storm.booted.lock().unwrap().len() == usize::from(NODES)
        });
    });
    let (boots, slowest) = (storm.boots.load(Ordering::Relaxed), *storm.slowest.lock().unwrap());
    let lent = storm.lent.lock().unwrap().len();
    println!("{boots} boots, 0 failed, the slowest took {slowest:?}; {lent} strangers");
    assert_eq!(lent, usize::from(STRANGERS));
}
