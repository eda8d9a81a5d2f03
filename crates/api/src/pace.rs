//! How slow a client may be. Only the time counts that is waited for the client: so much of it for each so many bytes.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// How long it may be waited for each so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// The time that is waited.
    pub(crate) longest: Duration,
    /// The bytes that must have moved by then.
    pub(crate) least: u64,
}

/// What is left of somebody's patience with a client.
#[derive(Debug)]
pub(crate) struct Pace {
    patience: Patience,
    waited: Duration,
    moved: u64,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience, waited: Duration::ZERO, moved: 0, since: None, timer: None }
    }

    /// Nothing moves; ready when it was waited for too long.
    pub(crate) fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let left = self.patience.longest.saturating_sub(self.waited);
        self.since.get_or_insert_with(Instant::now);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(left)));
        timer.as_mut().poll(context)
    }

    /// So many bytes have moved. A byte now and then does not make up for the time in between.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.timer = None;
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
        self.moved += bytes as u64;
        if self.moved >= self.patience.least {
            (self.moved, self.waited) = (0, Duration::ZERO);
        }
    }
}

/// Why a body is not read on, or an answer not given on.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("it came too slowly")]
    Slow,
    #[error("it took longer than any may take")]
    Late,
}

/// What a client sends; it ends with an error when that comes too slowly, or takes too long in all.
#[derive(Debug)]
pub(crate) struct PacedBody<B> {
    inner: B,
    pace: Pace,
    until: Instant,
}

impl<B> PacedBody<B> {
    pub(crate) fn new(inner: B, patience: Patience, in_all: Duration) -> Self {
        Self { inner, pace: Pace::new(patience), until: Instant::now() + in_all }
    }
}

impl<B> Body for PacedBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if Instant::now() >= self.until {
            return Poll::Ready(Some(Err(Error::Late.into())));
        }
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(frame) => {
                let piece = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                self.pace.moved(piece.map_or(0, Bytes::len));
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => self.pace.wait(context).map(|()| Some(Err(Error::Slow.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer, which may take only so long in all. That it goes on meanwhile is seen where it is written.
#[derive(Debug)]
pub(crate) struct LimitedAnswer<B> {
    inner: B,
    until: Instant,
}

impl<B> LimitedAnswer<B> {
    pub(crate) fn new(inner: B, in_all: Duration) -> Self {
        Self { inner, until: Instant::now() + in_all }
    }
}

impl<B> Body for LimitedAnswer<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if Instant::now() >= self.until {
            return Poll::Ready(Some(Err(Error::Late.into())));
        }
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::poll_fn;

    use super::*;

    /// Whether a client is cut off that sends so many bytes after each pause, so often.
    async fn is_cut_off(pace: &mut Pace, pause: Duration, bytes: usize, often: usize) -> bool {
        for _ in 0..often {
            let waiting = poll_fn(|context| pace.wait(context));
            if tokio::time::timeout(pause, waiting).await.is_ok() {
                return true;
            }
            pace.moved(bytes);
        }
        false
    }

    const PAUSE: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn a_byte_now_and_then_is_too_slow_and_a_steady_trickle_is_not() {
        let short = Patience { longest: 20 * PAUSE, least: 1000 };
        assert!(is_cut_off(&mut Pace::new(short), PAUSE, 1, 900).await);
        let long = Patience { longest: 2000 * PAUSE, least: 1000 };
        assert!(!is_cut_off(&mut Pace::new(long), PAUSE, 500, 60).await);
    }

    #[tokio::test]
    async fn what_moved_without_waiting_or_reached_the_least_begins_anew() {
        let mut pace = Pace::new(Patience { longest: 2000 * PAUSE, least: 1000 });
        let began = Instant::now();
        is_cut_off(&mut pace, PAUSE, 1, 1).await;
        // It counts from the first look, which may come after the pause has begun.
        let waited = pace.waited;
        assert!(!waited.is_zero() && waited <= began.elapsed());
        pace.moved(1);
        assert_eq!(pace.waited, waited, "nobody waited");
        pace.moved(998);
        assert!(pace.waited.is_zero());
    }

    #[tokio::test]
    async fn a_body_that_goes_on_for_ever_ends() {
        let patience = Patience { longest: Duration::from_hours(1), least: 1 };
        let endless = futures_util::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(Bytes::from_static(&[7; 100]))
        });
        let body = axum::body::Body::from_stream(endless);
        let mut body = PacedBody::new(body, patience, 3 * PAUSE);
        let ended = loop {
            match poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error.to_string(),
                None => break String::new(),
            }
        };
        assert_eq!(ended, Error::Late.to_string());
    }
}
