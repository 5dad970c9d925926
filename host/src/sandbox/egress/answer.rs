//! The body of an answer on its way to the guest: bounded in size and time. The guest pulls it from
//! the connection itself, so that nothing waits in between. What passes is recorded, and is kept before
//! the guest hears of the end.

use super::{
    exchange::{self, Record},
    pool::Kept,
    recording::{Keeping, UNREAD},
    redact::{Needles, Redactor},
    unpack::Unpacker,
};
use crate::{
    effect::Rest,
    sandbox::way::{Failure, Refusal},
};
use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use std::{
    future::{Future as _, poll_fn},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep, sleep_until},
};

/// The body of an answer. Where its guest goes away in the midst of it, it may read on by itself.
pub(super) struct Answer(Option<Box<Inner>>);

struct Inner {
    body: Incoming,
    /// The connection, to be kept when the body was read to its end.
    kept: Option<Kept>,
    record: Record,
    /// How many bytes the guest may still get.
    left: u64,
    /// When the whole exchange is over.
    deadline: Pin<Box<Sleep>>,
    /// How long the guest waits for each piece, and for the one that comes next.
    between: Option<(Duration, Pin<Box<Sleep>>)>,
    /// While the station is over its pace.
    pause: Option<Pin<Box<Sleep>>>,
    /// What came and is not unpacked yet.
    packed: Bytes,
    unpacker: Option<Unpacker>,
    needles: Needles,
    redactor: Redactor,
    stage: Stage,
    /// Whether the guest takes what is read.
    taken: bool,
    /// What the guest gets when the answer is kept, and how far that is.
    held: Option<(Option<Keeping>, Rest, Piece)>,
}

/// A piece of the body; none when there is no more.
type Piece = Result<Option<Bytes>, Refusal>;

/// What bounds a body.
pub(super) struct Bounds {
    /// The most bytes that the guest gets, unpacked.
    pub(super) most: u64,
    /// When the whole exchange is over.
    pub(super) deadline: Instant,
    /// How long the guest waits between two pieces.
    pub(super) between: Option<Duration>,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// More comes.
    Reading,
    /// Nothing more comes; what was held back is to be passed on.
    Read,
    /// The guest has all, or an error.
    Ended,
}

impl Answer {
    pub(super) fn new(
        body: Incoming,
        kept: Kept,
        record: Record,
        bounds: Bounds,
        unpacker: Option<Unpacker>,
        needles: Needles,
    ) -> Self {
        let between = |time| (time, Box::pin(sleep(time)));
        let mut answer = Inner {
            body,
            kept: Some(kept),
            record,
            left: bounds.most,
            deadline: Box::pin(sleep_until(bounds.deadline)),
            between: bounds.between.map(between),
            pause: None,
            packed: Bytes::new(),
            unpacker,
            needles,
            redactor: Redactor::default(),
            stage: Stage::Reading,
            taken: true,
            held: None,
        };
        answer.end_early();
        // Nobody may ask for the body of an answer that has none.
        if answer.is_drained() {
            let nothing = answer.close(Rest::Whole);
            debug_assert!(nothing.is_none(), "what is empty is not long");
        }
        Self(Some(Box::new(answer)))
    }
}

impl Inner {
    /// Gives the connection back as soon as nothing more comes: guests seldom ask for the end.
    fn end_early(&mut self) {
        if self.body.is_end_stream()
            && let Some(kept) = self.kept.take()
        {
            self.record.visiting.outlet.pool.put(kept);
        }
    }

    /// The next piece, recorded. The last of what comes is held until the answer is kept.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        if self.held.is_none() {
            let piece = ready!(self.pull(cx));
            let Some(recording) = &mut self.record.recording else {
                return Poll::Ready(piece);
            };
            if let Ok(Some(piece)) = &piece {
                recording.piece(piece, self.taken);
            }
            let rest = match &piece {
                Ok(Some(_)) if !self.is_drained() => return Poll::Ready(piece),
                Ok(_) => Rest::Whole,
                Err(Refusal::Failed(failure)) => Rest::Failed(*failure),
                Err(_) => Rest::Failed(Failure::TooLong),
            };
            let keeping = self.close(rest);
            self.held = Some((keeping, rest, piece));
        }
        let kept = match &mut self.held {
            Some((Some(keeping), rest, _)) => {
                let kept = ready!(Pin::new(keeping).poll(cx));
                Some((kept.map_err(io::Error::from).flatten(), *rest))
            }
            _ => None,
        };
        let counts = self.record.counts();
        if let (Some((body, rest)), Some(recording)) = (kept, &mut self.record.recording) {
            recording.keep(body, rest, counts);
        }
        let held = self.held.take();
        Poll::Ready(held.map_or(Ok(None), |(_, _, piece)| piece))
    }

    /// Whether nothing comes after what was read.
    fn is_drained(&self) -> bool {
        let plain = self.unpacker.is_none() && self.needles.is_empty();
        self.stage == Stage::Ended || plain && self.body.is_end_stream()
    }

    fn close(&mut self, rest: Rest) -> Option<Keeping> {
        let counts = self.record.counts();
        self.record.recording.as_mut()?.close(rest, counts)
    }

    /// Reads what the guest left, as far as that is not too much, and records it.
    async fn read_on(mut self: Box<Self>) {
        (self.taken, self.between) = (false, None);
        let mut read = 0;
        while self.held.is_some() || read <= UNREAD {
            match poll_fn(|cx| self.poll(cx)).await {
                Ok(Some(piece)) => read += piece.len() as u64,
                Ok(None) | Err(_) => return,
            }
        }
        if let Some(keeping) = self.close(Rest::Unread) {
            let body = keeping.await.map_err(io::Error::from).flatten();
            let counts = self.record.counts();
            if let Some(recording) = &mut self.record.recording {
                recording.keep(body, Rest::Unread, counts);
            }
        }
    }

    fn pull(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        loop {
            if self.stage == Stage::Ended {
                return Poll::Ready(Ok(None));
            }
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            let piece = if self.stage == Stage::Read {
                self.stage = Stage::Ended;
                Bytes::from(self.redactor.finish(&self.needles))
            } else if let Some(unpacker) = &mut self.unpacker
                && !self.packed.is_empty()
            {
                let piece = unpacker.next(&mut self.packed).map_err(Refusal::Failed)?;
                self.look_through(piece.into())?
            } else {
                match ready!(self.read(cx)?) {
                    Some(data) if self.unpacker.is_some() => {
                        self.packed = data;
                        continue;
                    }
                    Some(data) => self.look_through(data)?,
                    None => {
                        self.stage = Stage::Read;
                        let rest = self.unpacker.as_mut().map(Unpacker::finish).transpose();
                        let rest = rest.map_err(Refusal::Failed)?.unwrap_or_default();
                        self.look_through(rest.into())?
                    }
                }
            };
            if !piece.is_empty() {
                return Poll::Ready(Ok(Some(piece)));
            }
        }
    }

    /// A piece from the server, counted.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are not passed on.
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    self.count(data.len() as u64)?;
                    return Poll::Ready(Ok(Some(data)));
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(Refusal::Failed(exchange::failure(&error))));
                }
                Poll::Ready(None) => {
                    self.end_early();
                    return Poll::Ready(Ok(None));
                }
                Poll::Pending => {}
            }
            let quiet =
                |(_, timer): &mut (Duration, Pin<Box<Sleep>>)| timer.as_mut().poll(cx).is_ready();
            if self.between.as_mut().is_some_and(quiet)
                || self.deadline.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Err(Refusal::Failed(Failure::Timeout)));
            }
            return Poll::Pending;
        }
    }

    fn count(&mut self, bytes: u64) -> Result<(), Refusal> {
        if let Some((time, timer)) = &mut self.between {
            timer.as_mut().reset(Instant::now() + *time);
        }
        self.record.exchange.bytes_in += bytes;
        // A server that always has something to say leaves nobody time to look at the timer.
        if Instant::now() >= self.deadline.deadline() {
            return Err(Refusal::Failed(Failure::Timeout));
        }
        let visiting = &self.record.visiting;
        visiting.received(bytes)?;
        let wait = visiting.outlet.bytes.take(bytes);
        if !wait.is_zero() {
            self.pause = Some(Box::pin(sleep(wait)));
        }
        self.end_early();
        Ok(())
    }

    /// What of a piece, as it is unpacked, the guest may have.
    fn look_through(&mut self, piece: Bytes) -> Result<Bytes, Refusal> {
        let left = self.left.checked_sub(piece.len() as u64);
        self.left = left.ok_or(Refusal::Failed(Failure::TooLong))?;
        if self.needles.is_empty() {
            return Ok(piece);
        }
        Ok(self.redactor.push(&self.needles, &piece).into())
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Refusal;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Refusal>>> {
        let Some(this) = &mut self.get_mut().0 else {
            return Poll::Ready(None);
        };
        let polled = ready!(this.poll(cx));
        if polled.is_err() {
            this.stage = Stage::Ended;
        }
        Poll::Ready(polled.transpose().map(|piece| piece.map(Frame::data)))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let Some(inner) = self.0.take() else {
            return;
        };
        let recording = inner.record.recording.as_ref();
        let goes_on = inner.held.is_some() || recording.is_some_and(|one| one.reads_on());
        // Without a runtime the host is about to end; what is known by now is recorded.
        if goes_on && let Ok(runtime) = Handle::try_current() {
            runtime.spawn(inner.read_on());
        }
    }
}
