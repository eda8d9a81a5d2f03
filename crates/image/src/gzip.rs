//! Gzip on all processors: pieces are compressed side by side and stand in the file one after the other, which
//! RFC 1952 (section 2.2) allows and every gzip reads.

use std::{
    io::{self, Write},
    thread,
};

use flate2::{Compression, write::GzEncoder};

/// Large enough that the pieces cost next to nothing, small enough to keep all processors busy.
const PIECE: usize = 1 << 20;

/// `finish` must be called.
pub(crate) struct ParallelGzip<W> {
    output: W,
    pending: Vec<u8>,
    /// As much is gathered before it is compressed.
    batch: usize,
}

impl<W: Write> ParallelGzip<W> {
    pub(crate) fn new(output: W, processors: usize) -> Self {
        let batch = processors.max(1) * PIECE;
        Self { output, pending: Vec::with_capacity(batch), batch }
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        if self.pending.is_empty() {
            // Nothing at all would not be a gzip file.
            self.output.write_all(&compressed(&[])?)?;
        }
        self.compress_pending()?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn compress_pending(&mut self) -> io::Result<()> {
        let pieces = self.pending.chunks(PIECE);
        let compressed: Vec<io::Result<Vec<u8>>> = thread::scope(|scope| {
            let workers: Vec<_> =
                pieces.map(|piece| scope.spawn(move || compressed(piece))).collect();
            let failed = |_panic| Err(io::Error::other("a compressing thread panicked"));
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(failed)).collect()
        });
        for piece in compressed {
            self.output.write_all(&piece?)?;
        }
        self.pending.clear();
        Ok(())
    }
}

impl<W: Write> Write for ParallelGzip<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let room = self.batch - self.pending.len();
        let taken = buffer.get(..room).unwrap_or(buffer);
        self.pending.extend_from_slice(taken);
        if self.pending.len() == self.batch {
            self.compress_pending()?;
        }
        Ok(taken.len())
    }

    /// Pieces stay whole: only `finish` writes the last one.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn compressed(piece: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(piece.len() / 2), Compression::default());
    encoder.write_all(piece)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn pieces_make_one_stream() {
        for length in [0, 1, PIECE, 2 * PIECE, 5 * PIECE + 17] {
            let data: Vec<u8> =
                (0..=250).flat_map(|byte| [byte; 1000]).cycle().take(length).collect();
            let mut encoder = ParallelGzip::new(Vec::new(), 2);
            encoder.write_all(&data).unwrap();
            let stream = encoder.finish().unwrap();
            let mut found = Vec::new();
            flate2::read::MultiGzDecoder::new(&stream[..]).read_to_end(&mut found).unwrap();
            assert!(found == data, "{length}");
        }
    }
}
