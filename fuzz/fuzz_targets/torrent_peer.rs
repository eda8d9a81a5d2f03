//! Whatever a peer or a tracker sends is read or refused, and what waits stays small.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perilune_torrent::metainfo::Torrent;
use perilune_torrent::tracker;
use perilune_torrent::wire::{self, Block, Inbox, Message};

fuzz_target!(|data: &[u8]| {
    let _ = Torrent::read(data);
    let _ = tracker::read(data);
    for takes_blocks in [true, false] {
        let mut inbox = Inbox::new(100, takes_blocks);
        let mut again = Inbox::new(100, takes_blocks);
        // As it comes from a socket: in parts.
        for part in data.chunks(7) {
            inbox.add(part);
            for message in inbox.messages() {
                let Ok(message) = message else { return };
                let Some(text) = written(&message) else { continue };
                again.add(&text);
                assert_eq!(again.messages(), [Ok(message)]);
            }
        }
    }
});

/// What says the same, where there is only one way to say it.
fn written(message: &Message) -> Option<Vec<u8>> {
    Some(match message {
        Message::Choke(false) => wire::UNCHOKE.to_vec(),
        Message::Interested(true) => wire::INTERESTED.to_vec(),
        Message::Interested(false) => wire::NOT_INTERESTED.to_vec(),
        Message::Have(piece) => wire::have(*piece).to_vec(),
        Message::Request(block) => wire::request(block),
        Message::Cancel(block) => wire::cancel(block),
        Message::Piece { piece, begin, bytes } if !bytes.is_empty() => {
            let length = u32::try_from(bytes.len()).ok()?;
            wire::piece(&Block { piece: *piece, begin: *begin, length }, bytes)
        }
        Message::Choke(true) | Message::Piece { .. } | Message::Bitfield(_) | Message::Other => return None,
    })
}
