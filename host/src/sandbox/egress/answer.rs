//! The body of an answer on its way to the guest: bounded in size and time. The guest pulls it from
//! the connection itself, so that nothing waits in between.

use super::{
    exchange::{self, Record},
    pool::Kept,
    redact::{Needles, Redactor},
    unpack::Unpacker,
};
use crate::sandbox::way::{Failure, Refusal};
use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// The body of an answer.
pub(super) struct Answer {
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
}

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
        let mut answer = Self {
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
        };
        answer.end_early();
        answer
    }

    /// Gives the connection back as soon as nothing more comes: guests seldom ask for the end.
    fn end_early(&mut self) {
        if self.body.is_end_stream()
            && let Some(kept) = self.kept.take()
        {
            self.record.visiting.outlet.pool.put(kept);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>> {
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
        let this = self.get_mut();
        let polled = ready!(this.poll(cx));
        if polled.is_err() {
            this.stage = Stage::Ended;
        }
        Poll::Ready(polled.transpose().map(|piece| piece.map(Frame::data)))
    }
}
