//! Tells the tracker of this peer, and the client of others.

use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::progress::Progress;
use super::{Ask, Fetch};
use crate::tracker::{self, Announcement, Event};

/// Whoever comes first knows nobody: it asks again sooner while it speaks with so few.
const FEW: usize = 8;
const SOON: [u64; 3] = [2, 4, 8];
/// Whatever the tracker says: it forgets whom it has not heard for long.
const LONGEST_INTERVAL: u64 = 120;
const SHORTEST_INTERVAL: u64 = 5;
/// After an announcement that failed.
const AGAIN: u64 = 5;

pub(super) fn run(
    fetch: &Fetch<'_>,
    port: u16,
    ask: &Ask<'_>,
    told: &SyncSender<Vec<SocketAddr>>,
    progress: &Progress,
) {
    let mut event = Event::Started;
    let mut is_complete = false;
    let mut soon = SOON.into_iter();
    loop {
        let now_complete = progress.is_complete();
        if now_complete && !is_complete && event == Event::None {
            event = Event::Completed;
        }
        is_complete = now_complete;
        let said = announcement(fetch, port, event, progress);
        let answer = ask(&said).and_then(|body| tracker::read(&body));
        let interval = match answer {
            Ok(answer) => {
                event = Event::None;
                // When it is behind with those that it was told of, it needs no more.
                told.try_send(answer.peers).ok();
                answer.interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL)
            }
            // Without a tracker, the peers that are known go on. Nobody at all is seen by who waits for pieces.
            Err(_reason) => AGAIN,
        };
        let few = (progress.peers() < FEW && !is_complete).then(|| soon.next()).flatten();
        let seconds = few.map_or(interval, |soon| soon.min(interval));
        progress.pause(Duration::from_secs(seconds), is_complete);
        if progress.is_over() {
            break;
        }
    }
    // It is a favour to the others: nobody waits for an answer for long.
    ask(&announcement(fetch, port, Event::Stopped, progress)).ok();
}

fn announcement(fetch: &Fetch<'_>, port: u16, event: Event, progress: &Progress) -> Announcement {
    let downloaded = progress.verified();
    Announcement {
        hash: fetch.torrent.hash,
        id: fetch.id,
        port,
        left: fetch.torrent.layout.length.saturating_sub(downloaded),
        downloaded,
        uploaded: progress.given(),
        event,
    }
}
