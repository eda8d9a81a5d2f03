//! Which of the name servers answer. One that is named and does not exist makes every look-up on the node wait for seconds.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::console::Console;

const PORT: u16 = 53;
const TRIES: usize = 3;
const WAIT: Duration = Duration::from_secs(1);
/// A query for the name servers of the root (RFC 1035, section 4.1): any answer will do, a refusal too. The first two bytes name it.
const QUERY: [u8; 17] = [0x50, 0x4c, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    /// It answers.
    Some,
    /// Nothing is heard of it: it may be off for now.
    Silence,
    /// The machine is there and says that it serves no names.
    None,
}

/// The servers in the order in which they are to be asked: those that answer first, those that are silent last, and without those that
/// say that they are none.
pub fn sorted(servers: &[IpAddr], console: &Console) -> Vec<IpAddr> {
    let mut asked: Vec<(Answer, IpAddr)> = thread::scope(|scope| {
        let asking: Vec<_> = servers
            .iter()
            .map(|server| (*server, scope.spawn(|| ask(SocketAddr::from((*server, PORT))))))
            .collect();
        asking
            .into_iter()
            .map(|(server, answer)| (answer.join().unwrap_or(Answer::Silence), server))
            .collect()
    });
    for (answer, server) in &asked {
        match answer {
            Answer::Some => {}
            Answer::Silence => {
                console.warning(&format!("the name server {server} does not answer at present"));
            }
            Answer::None => {
                console.warning(&format!("{server} is not a name server, and is left out"));
            }
        }
    }
    asked.retain(|(answer, _)| *answer != Answer::None);
    asked.sort_by_key(|(answer, _)| *answer);
    asked.into_iter().map(|(_, server)| server).collect()
}

fn ask(server: SocketAddr) -> Answer {
    let mut heard = Answer::Silence;
    for _try in 0..TRIES {
        match ask_once(server) {
            Ok(()) => return Answer::Some,
            // It may be starting at this very moment: its word counts when it is the last one.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                heard = Answer::None;
                crate::wait::pause(WAIT);
            }
            Err(_silent) => heard = Answer::Silence,
        }
    }
    heard
}

fn ask_once(server: SocketAddr) -> io::Result<()> {
    let own: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((own, 0))?;
    socket.connect(server)?;
    socket.send(&QUERY)?;
    let end = Instant::now() + WAIT;
    let mut answer = [0; 512];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = socket.recv(&mut answer)?;
        let is_answer = answer.get(..3).is_some_and(|start| {
            start.starts_with(&QUERY[..2]) && start.last().is_some_and(|flags| flags & 0x80 != 0)
        });
        if length >= 12 && is_answer {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::tests::Memory;

    #[test]
    fn a_server_that_answers_is_told_from_one_that_is_silent_and_from_none() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let answering = thread::spawn(move || {
            let mut query = [0; 512];
            let (length, from) = server.recv_from(&mut query).unwrap();
            // What belongs to another query, and what is too short, are no answers.
            server.send_to(&[0; 12], from).unwrap();
            server.send_to(&query[..2], from).unwrap();
            query[2] |= 0x80;
            server.send_to(&query[..length], from).unwrap();
        });
        assert_eq!(ask(address), Answer::Some);
        answering.join().unwrap();
        assert_eq!(ask(silent.local_addr().unwrap()), Answer::Silence);
        let nobody = silent.local_addr().unwrap();
        drop(silent);
        assert_eq!(ask(nobody), Answer::None);
    }

    #[test]
    fn servers_that_are_none_are_left_out_and_said() {
        let memory = Memory::default();
        // Nothing listens at this port of the loopback addresses.
        let nobody: Vec<IpAddr> = vec!["127.0.0.9".parse().unwrap(), "::1".parse().unwrap()];
        let sorted = sorted(&nobody, &Console::new(memory.clone()));
        assert!(sorted.iter().all(IpAddr::is_ipv6), "{sorted:?}");
        assert!(memory.text().contains("127.0.0.9 is not a name server"), "{}", memory.text());
    }
}
