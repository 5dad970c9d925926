//! The body of an answer on its way to the guest: bounded in size and time. The guest pulls it from
//! the connection itself, so that nothing waits in between.

use super::{
    exchange::{self, Record},
    pool::Kept,
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
    ended: bool,
}

impl Answer {
    pub(super) fn new(
        body: Incoming,
        kept: Kept,
        record: Record,
        most: u64,
        deadline: Instant,
        between: Option<Duration>,
    ) -> Self {
        let mut answer = Self {
            body,
            kept: Some(kept),
            record,
            left: most,
            deadline: Box::pin(sleep_until(deadline)),
            between: between.map(|time| (time, Box::pin(sleep(time)))),
            pause: None,
            ended: false,
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

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Refusal>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            let data = match Pin::new(&mut self.body).poll_frame(cx) {
                // Trailers are not passed on.
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_) => continue,
                },
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(Refusal::Failed(exchange::failure(&error)))));
                }
                Poll::Ready(None) => {
                    self.end_early();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    let quiet = |(_, timer): &mut (Duration, Pin<Box<Sleep>>)| {
                        timer.as_mut().poll(cx).is_ready()
                    };
                    if self.between.as_mut().is_some_and(quiet)
                        || self.deadline.as_mut().poll(cx).is_ready()
                    {
                        return Poll::Ready(Some(Err(Refusal::Failed(Failure::Timeout))));
                    }
                    return Poll::Pending;
                }
            };
            if let Some((time, timer)) = &mut self.between {
                timer.as_mut().reset(Instant::now() + *time);
            }
            return Poll::Ready(Some(self.take(data)));
        }
    }

    /// A piece that came, counted.
    fn take(&mut self, data: Bytes) -> Result<Bytes, Refusal> {
        let bytes = data.len() as u64;
        self.record.exchange.bytes_in += bytes;
        let visiting = &self.record.visiting;
        visiting.received(bytes)?;
        let wait = visiting.outlet.bytes.take(bytes);
        if !wait.is_zero() {
            self.pause = Some(Box::pin(sleep(wait)));
        }
        self.left = (self.left.checked_sub(bytes)).ok_or(Refusal::Failed(Failure::TooLong))?;
        self.end_early();
        Ok(data)
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
        if this.ended {
            return Poll::Ready(None);
        }
        let polled = ready!(this.poll(cx));
        if !matches!(polled, Some(Ok(_))) {
            this.ended = true;
        }
        Poll::Ready(polled.map(|piece| piece.map(Frame::data)))
    }
}
