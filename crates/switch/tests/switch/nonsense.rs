//! Switches that are not there, and what is no switch.

use std::net::SocketAddr;

use perilune_switch::{Error, read};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::target;

/// Somebody who answers every packet with what `answer` makes of it.
async fn somebody(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> (SocketAddr, JoinSet<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut packet = [0; 2048];
        while let Ok((length, asker)) = socket.recv_from(&mut packet).await {
            socket.send_to(&answer(&packet[..length]), asker).await.ok();
        }
    });
    (address, tasks)
}

async fn fails(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) {
    let (address, _somebody) = somebody(answer).await;
    failure(address).await;
}

async fn failure(address: SocketAddr) -> Error {
    let error = read(&target(address)).await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    error
}

#[tokio::test]
async fn nobody_is_silent() {
    let address = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = failure(address).await;
    assert!(matches!(error, Error::Silent { .. } | Error::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn rubbish_is_no_answer() {
    let mut all = JoinSet::new();
    for rubbish in [&b""[..], b"hello", &[0x30], &[0x30, 0x82, 0xff, 0xff], &[0xff; 1400]] {
        all.spawn(fails(move |_| rubbish.to_vec()));
    }
    all.join_all().await;
}

#[tokio::test]
async fn an_echo_and_broken_echoes_are_no_answers() {
    let mut all = JoinSet::new();
    all.spawn(fails(<[u8]>::to_vec));
    for broken in 0..40 {
        all.spawn(fails(move |packet| {
            let mut copy = packet.to_vec();
            for byte in copy.iter_mut().skip(broken) {
                *byte ^= 0xa5;
            }
            copy
        }));
    }
    all.join_all().await;
}

/// An answer that repeats one row for ever would keep a reader busy.
#[tokio::test]
async fn a_table_that_goes_round_in_circles_ends() {
    let answer = |request: &[u8]| {
        // The request: a sequence, version, community, then the PDU (RFC 3416) with its identifier.
        let pdu = 2 + 3 + 2 + usize::from(request[6]);
        let identifier = &request[pdu + 2..pdu + 4 + usize::from(request[pdu + 3])];
        let row = [
            &[0x30, 25, 0x06, 20][..],
            &[0x2b, 6, 1, 2, 1, 17, 7, 1, 2, 2, 1, 2, 10, 0x52, 0x54, 0, 0, 0, 1, 1],
            &[0x02, 1, 7],
        ]
        .concat();
        let rows = [&[0x30, u8::try_from(row.len()).unwrap()][..], &row].concat();
        let body = [identifier, &[0x02, 1, 0, 0x02, 1, 0], &rows].concat();
        let response = [&[0xa2, u8::try_from(body.len()).unwrap()][..], &body].concat();
        let message = [&request[2..pdu], &response].concat();
        [&[0x30, u8::try_from(message.len()).unwrap()][..], &message].concat()
    };
    let (address, _somebody) = somebody(answer).await;
    let error = failure(address).await;
    assert!(matches!(error, Error::Garbled { .. }), "{error:?}");
}
