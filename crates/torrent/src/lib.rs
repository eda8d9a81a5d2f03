//! Images by BitTorrent (BEP 3): what a torrent says, what peers say to each other, what a tracker is asked, and a client that fetches one
//! file and gives it to others meanwhile. Without a runtime: the client is a part of the initramfs.

pub mod bencode;
pub mod client;
pub mod metainfo;
pub mod tracker;
pub mod wire;

/// What peers call a torrent by: SHA-1 of what it says of its files.
pub type InfoHash = [u8; 20];
