//! Reads on a thread of its own while what came before is worked on: the network and the processor at once.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

const BLOCK: usize = 1 << 20;
/// So many blocks wait at most.
const BLOCKS: usize = 16;

/// Gives `work` the bytes of `input`. Its errors arrive after the bytes before them.
pub fn while_reading<T>(input: &mut (dyn Read + Send), work: impl FnOnce(&mut dyn Read) -> T) -> T {
    let (sender, blocks) = sync_channel::<io::Result<Vec<u8>>>(BLOCKS);
    thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                let mut block = Vec::with_capacity(BLOCK);
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
        });
        work(&mut Blocks { blocks, block: io::Cursor::default() })
    })
}

struct Blocks {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: io::Cursor<Vec<u8>>,
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.block.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.blocks.recv() {
                Ok(block) => self.block = io::Cursor::new(block?),
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
        while_reading(&mut bytes.as_slice(), |input| input.read_to_end(&mut all).unwrap());
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
        let result =
            while_reading(&mut bytes.as_slice().chain(Broken), |input| input.read_to_end(&mut all));
        assert_eq!(result.unwrap_err().to_string(), "the image is gone");
        assert!(all == bytes);
    }

    #[test]
    fn who_stops_early_is_not_held_up() {
        let first = while_reading(&mut io::repeat(7), |input| {
            let mut byte = [0];
            input.read_exact(&mut byte).unwrap();
            byte
        });
        assert_eq!(first, [7]);
    }
}
