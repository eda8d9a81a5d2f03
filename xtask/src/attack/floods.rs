//! Nobody stops the others: bodies, connections, claims, DHCP.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::attack::boot::Boot;
use crate::attack::firmware;
use crate::attack::ground::{Ground, NODE, NODE_MAC, Scheme};
use crate::attack::machine::{Machine, User};
use crate::attack::matrix::Machines;
use crate::attack::request::Request;
use crate::daemon::PLAIN_PORT;

const MEBI: u64 = 1 << 20;
/// What the daemon may have at most, whatever strangers send: the row was a daemon killed at 2 GiB.
const MEMORY: u64 = 512 * MEBI;
const CONTROLLER: Ipv4Addr = Ipv4Addr::new(10, 141, 255, 254);

/// Large bodies of numbers, which take many times their length once they are parsed, many at once and without a token.
pub(super) fn bodies(ground: &Ground<'_>, machines: &Machines) -> Result<()> {
    const LENGTH: usize = 15 << 20;
    let numbers = format!("[{}0]", "0,".repeat(LENGTH / 2));
    machines.stranger.inside(|| {
        std::thread::scope(|scope| {
            for _ in 0..120 {
                let numbers = numbers.as_bytes();
                scope.spawn(move || {
                    let Ok(mut stream) = connect(None) else { return };
                    let head = format!("POST /token HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", numbers.len());
                    stream.write_all(head.as_bytes()).ok();
                    // It is expected to be cut off.
                    stream.write_all(numbers).ok();
                    stream.read_to_end(&mut Vec::new()).ok();
                });
            }
        });
    })?;
    let most = ground.most_memory()?;
    ensure!(most < MEMORY, "the daemon took {} MiB of memory", most / MEBI);
    ground.get("/config/node").map(drop)
}

/// Connections that send a byte now and then, from many addresses of one machine; meanwhile the node boots and the administrator works.
pub(super) fn slow_bodies(
    ground: &Ground<'_>,
    machines: &Machines,
    addresses: u8,
    each: usize,
) -> Result<()> {
    let own: Vec<Ipv4Addr> =
        (1..=addresses).map(|last| Ipv4Addr::new(10, 141, 201, last)).collect();
    for address in &own {
        machines.stranger.take(*address)?;
    }
    ground.arm(NODE, 600)?;
    let held = machines.stranger.inside(|| hold(&own, each))?;
    ensure!(!held.is_empty(), "no connection was taken");
    let honest = Boot::new(&machines.node, User::Root, Scheme::Http)?;
    let booted = (|| -> Result<()> {
        let ticket = honest
            .ticket(NODE_MAC)?
            .context("the node gets no script while others hold connections")?;
        honest.install(&ticket)?;
        ground
            .get("/config/node")
            .context("the administrator is not served while others hold connections")
            .map(drop)
    })();
    drop(held);
    machines.stranger.leave()?;
    machines.stranger.take(Ipv4Addr::new(10, 141, 200, 90))?;
    booted
}

/// Opens slow requests; those that are refused are not counted.
fn hold(own: &[Ipv4Addr], each: usize) -> Vec<TcpStream> {
    let begin = |address: Ipv4Addr| -> Option<TcpStream> {
        let mut stream = connect(Some(address)).ok()?;
        stream
            .write_all(b"POST /token HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
            .ok()?;
        Some(stream)
    };
    own.iter()
        .flat_map(|address| (0..each).map_while(|_| begin(*address)).collect::<Vec<_>>())
        .collect()
}

/// A connection to the daemon, from this address where one is wanted.
fn connect(from: Option<Ipv4Addr>) -> std::io::Result<TcpStream> {
    let to = SocketAddr::from((CONTROLLER, PLAIN_PORT));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    if let Some(from) = from {
        socket.bind(&SocketAddr::from((from, 0)).into())?;
    }
    let limit = Duration::from_secs(3);
    socket.connect_timeout(&to.into(), limit)?;
    socket.set_write_timeout(Some(limit))?;
    socket.set_read_timeout(Some(limit))?;
    Ok(socket.into())
}

/// Claims of one machine, as fast as it can.
pub(super) fn claims(ground: &Ground<'_>, machines: &Machines, count: u32) -> Result<()> {
    let revision = ground.revision()?;
    machines.stranger.inside(|| -> std::io::Result<()> {
        let mut stream = connect(None)?;
        for number in 0..count {
            let [_, a, b, c] = number.to_be_bytes();
            let path = format!("/boot/manual/group/compute/02:01:00:{a:02x}:{b:02x}:{c:02x}");
            let asked =
                stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes());
            let answered = asked.and_then(|()| stream.read(&mut [0; 16_384]));
            if answered.is_err() || answered.is_ok_and(|length| length == 0) {
                stream = connect(None)?;
            }
        }
        Ok(())
    })??;
    let changes = ground.revision()?.saturating_sub(revision);
    ensure!(changes == 0, "{count} claims made {changes} changes");
    Ok(())
}

/// One machine invents others until the range is empty, declines what it gets, and floods the list of unknown machines; an honest stranger
/// and a node still get addresses.
pub(super) fn addresses(ground: &Ground<'_>, machines: &Machines) -> Result<()> {
    let invented = |number: u32| {
        let [_, a, b, c] = number.to_be_bytes();
        format!("02:02:00:{a:02x}:{b:02x}:{c:02x}")
    };
    for part in 0..8_u32 {
        let packets: Result<Vec<Vec<u8>>> =
            (0..100).map(|number| firmware::discover(&invented(part * 100 + number))).collect();
        machines.stranger.broadcast(User::Root, 68, &packets?)?;
        let wanted = |number: u32| {
            let last = u8::try_from(number % 100).unwrap_or_default() + 1;
            firmware::choose(
                &invented(part * 100 + number),
                Ipv4Addr::new(10, 141, 200, last),
                CONTROLLER,
            )
        };
        let packets: Result<Vec<Vec<u8>>> = (0..100).map(wanted).collect();
        machines.stranger.broadcast(User::Root, 68, &packets?)?;
    }
    machines.node.start_firmware().context("the node is given no address in the flood")?;
    ground.close(NODE)?;
    let honest = ground.plug("honest", "52:54:00:dd:00:01")?;
    honest.start_firmware().context("an honest stranger is given no address in the flood")?;
    let unknown = ground.get("/monitor/unknown")?.to_string();
    ensure!(
        unknown.contains("52:54:00:dd:00:01"),
        "an honest stranger is not on the list of unknown machines"
    );
    Ok(())
}

/// Clients that ask for much and never read it.
pub(super) fn deaf_clients(ground: &Ground<'_>, machines: &Machines) -> Result<()> {
    let deaf = machines.stranger.inside(|| {
        let ask = |_: u32| -> Option<TcpStream> {
            let mut stream = connect(None).ok()?;
            socket2::SockRef::from(&stream).set_recv_buffer_size(4096).ok()?;
            let request = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(64);
            stream.write_all(request.as_bytes()).ok()?;
            Some(stream)
        };
        (0..64).filter_map(ask).collect::<Vec<_>>()
    })?;
    let most = ground.most_memory()?;
    let answered = ground.get("/config/node").map(drop);
    drop(deaf);
    ensure!(most < MEMORY, "clients that do not read cost {} MiB of memory", most / MEBI);
    answered
}

/// What acts although it is asked for by GET is not done for HEAD, which programs send to look.
pub(super) fn acting_heads(ground: &Ground<'_>, machine: &Machine) -> Result<()> {
    let token = &ground.administrator;
    let revision = ground.revision()?;
    for path in [
        "/config/node/node002/_delete",
        "/config/osimage/compute/_pack",
        "/config/network/cluster/_nextfreeip",
        "/control/action/power/node002/_on",
    ] {
        let answer = machine.ask(User::Root, &Request::head(Scheme::Http, path).token(token))?;
        ensure!(answer.status == 405, "HEAD {path} is answered {}", answer.status);
    }
    ensure!(ground.revision()? == revision, "a HEAD changed the cluster");
    Ok(())
}
