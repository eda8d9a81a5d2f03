//! How long it is waited for a client that does not take what it asked for. One that takes it slowly lives on; one that takes nothing, or
//! a byte now and then, is cut off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::pace::{Pace, Patience};

/// So much may wait in the system for a client, beside what is on its way. With more, a slow client would look for minutes as if it
/// took nothing, and thousands of them would hold much memory.
const AHEAD: u32 = 128 << 10;

/// A connection whose other end must take what it asked for.
#[derive(Debug)]
pub(crate) struct Patient {
    stream: TcpStream,
    pace: Pace,
}

impl Patient {
    pub(crate) fn new(stream: TcpStream, patience: Patience) -> Self {
        if let Err(error) = SockRef::from(&stream).set_tcp_notsent_lowat(AHEAD) {
            tracing::debug!(%error, "the system keeps as much for a client as it likes");
        }
        Self { stream, pace: Pace::new(patience) }
    }

    /// What became of writing, or its end when too little could be written for too long.
    fn judge(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            self.pace.moved(*written.as_ref().unwrap_or(&0));
            return Poll::Ready(written);
        }
        ready!(self.pace.wait(context));
        // Nobody will take what the system still keeps for it.
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).ok();
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not take what it asked for",
        )))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, buffer);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
