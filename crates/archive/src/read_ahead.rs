//! Reads on a thread of its own while what came before is worked on: the network, decompression and the file system at once.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

const BLOCK: usize = 1 << 20;

/// Gives `work` the bytes of `input`, of which at most `mebibytes` wait. Its errors arrive after the bytes before them.
pub fn while_reading<T>(
    input: &mut (dyn Read + Send),
    mebibytes: usize,
    work: impl FnOnce(&mut (dyn Read + Send)) -> T,
) -> T {
    let (sender, full) = sync_channel::<io::Result<Vec<u8>>>(mebibytes);
    let (used, empty) = sync_channel(mebibytes);
    thread::scope(|scope| {
        scope.spawn(move || read(input, &sender, &empty));
        work(&mut Blocks { full, used, block: io::Cursor::default() })
    })
}

fn read(
    input: &mut (dyn Read + Send),
    sender: &SyncSender<io::Result<Vec<u8>>>,
    empty: &Receiver<Vec<u8>>,
) {
    loop {
        let mut block = empty.try_recv().unwrap_or_else(|_none| Vec::with_capacity(BLOCK));
        let read = (&mut *input).take(BLOCK as u64).read_to_end(&mut block);
        let is_last = !matches!(read, Ok(1..));
        if !block.is_empty() && sender.send(Ok(block)).is_err() {
            return;
        }
        if let Err(error) = read {
            // Nobody to tell is nothing to tell.
            sender.send(Err(error)).ok();
        }
        if is_last {
            return;
        }
    }
}

struct Blocks {
    full: Receiver<io::Result<Vec<u8>>>,
    /// What was read goes back: memory that was just given up costs the kernel a page fault for each of its pages.
    used: SyncSender<Vec<u8>>,
    block: io::Cursor<Vec<u8>>,
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.block.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.full.recv() {
                Ok(block) => {
                    let mut last = std::mem::replace(&mut self.block, io::Cursor::new(block?));
                    last.get_mut().clear();
                    // Where as many wait already, or nothing is read any more, it is let go.
                    self.used.try_send(last.into_inner()).ok();
                }
                Err(_at_its_end) => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        (0..700_000_u32).flat_map(u32::to_le_bytes).collect()
    }

    #[test]
    fn the_bytes_are_the_same() {
        let bytes = bytes();
        let mut all = Vec::new();
        while_reading(&mut bytes.as_slice(), 2, |input| input.read_to_end(&mut all).unwrap());
        assert!(all == bytes);
    }

    #[test]
    fn an_error_comes_after_what_was_before() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the image is gone"))
            }
        }
        let bytes = bytes();
        let mut all = Vec::new();
        let result = while_reading(&mut bytes.as_slice().chain(Broken), 16, |input| {
            input.read_to_end(&mut all)
        });
        assert_eq!(result.unwrap_err().to_string(), "the image is gone");
        assert!(all == bytes);
    }

    #[test]
    fn who_stops_early_is_not_held_up() {
        let first = while_reading(&mut io::repeat(7), 2, |input| {
            let mut byte = [0];
            input.read_exact(&mut byte).unwrap();
            byte
        });
        assert_eq!(first, [7]);
    }
}
