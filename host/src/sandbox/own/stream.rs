//! Bytes that flow over a call: the bodies of a request and its answer, and both directions of a
//! connection. The same at both ends of the socket.
//!
//! Each direction has a window: so many bytes may be on their way that the other end has not read yet.

use super::{
    channel::bad,
    wire::{Call, News, Number},
};
use crate::sandbox::way::{Failure, Refusal};
use bytes::{Buf as _, Bytes};
use http_body::Frame;
use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};

/// Bytes of one direction that are on their way.
const WINDOW: usize = 64 << 10;
/// The most bytes of one message.
const PART: usize = 16 << 10;
/// Streams of one process at the same time; far more than its visits may have open.
const MOST: usize = 1 << 17;

/// Tells the other end something of a stream.
pub(super) trait Tell: Send + Sync {
    fn tell(&self, stream: Call, news: News<'_>);
}

/// The streams of one socket.
#[derive(Default)]
pub(super) struct Streams(Mutex<HashMap<Call, Stream>>);

struct Stream {
    visit: Number,
    /// Gone where nobody reads any more.
    incoming: Option<mpsc::UnboundedSender<Result<Bytes, Refusal>>>,
    /// What the other end may still send.
    admitted: usize,
    outgoing: Arc<Mutex<Credit>>,
    /// Which ends are still held here: reading, writing.
    held: [bool; 2],
}

/// What may still be sent.
struct Credit {
    bytes: usize,
    closed: bool,
    /// Why the other end does not read any more, where it said so.
    refused: Option<Refusal>,
    waits: Option<Waker>,
}

impl Credit {
    fn wake(&mut self) {
        if let Some(waker) = self.waits.take() {
            waker.wake();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Streams {
    /// Opens both directions of a call.
    pub(super) fn open(
        self: &Arc<Self>,
        stream: Call,
        visit: Number,
        tell: Arc<dyn Tell>,
    ) -> io::Result<(Incoming, Outgoing)> {
        let (send, come) = mpsc::unbounded_channel();
        let credit = Arc::new(Mutex::new(Credit {
            bytes: WINDOW,
            closed: false,
            refused: None,
            waits: None,
        }));
        let mut all = lock(&self.0);
        if all.len() >= MOST || all.contains_key(&stream) {
            return Err(bad("too many streams, or one twice".into()));
        }
        all.insert(
            stream,
            Stream {
                visit,
                incoming: Some(send),
                admitted: WINDOW,
                outgoing: credit.clone(),
                held: [true, true],
            },
        );
        let end = End {
            streams: self.clone(),
            stream,
            tell,
        };
        let incoming = Incoming {
            end: end.clone(),
            come,
            rest: Bytes::new(),
            over: false,
        };
        let outgoing = Outgoing {
            end,
            credit,
            over: false,
        };
        Ok((incoming, outgoing))
    }

    /// Hears of a stream. Of one that is over nothing is to be heard any more.
    pub(super) fn hear(&self, stream: Call, news: News<'_>) -> io::Result<()> {
        let mut all = lock(&self.0);
        let Some(found) = all.get_mut(&stream) else {
            return Ok(());
        };
        let give = |found: &mut Stream, what| {
            if let Some(incoming) = &found.incoming
                && incoming.send(what).is_err()
            {
                found.incoming = None;
            }
        };
        match news {
            News::Data(bytes) => {
                found.admitted = (found.admitted.checked_sub(bytes.len()))
                    .ok_or_else(|| bad("more bytes than were admitted".into()))?;
                give(found, Ok(Bytes::copy_from_slice(bytes)));
            }
            News::End => found.incoming = None,
            News::Broken(refusal) => {
                give(found, Err(refusal));
                found.incoming = None;
            }
            News::Credit(bytes) => {
                let mut credit = lock(&found.outgoing);
                credit.bytes = credit.bytes.saturating_add(bytes as usize);
                credit.wake();
            }
            News::Close(why) => {
                let mut credit = lock(&found.outgoing);
                credit.closed = true;
                credit.refused = why;
                credit.wake();
            }
        }
        Ok(())
    }

    /// The other end of a visit's streams is gone, or all of them where none is named.
    pub(super) fn forget(&self, visit: Option<Number>) {
        for found in lock(&self.0).values_mut() {
            if visit.is_none_or(|visit| visit == found.visit) {
                if let Some(incoming) = found.incoming.take() {
                    // Whoever reads may be gone as well.
                    let _ = incoming.send(Err(Refusal::Failed(Failure::Broken)));
                }
                let mut credit = lock(&found.outgoing);
                credit.closed = true;
                credit.wake();
            }
        }
    }
}

/// What both directions have in common.
#[derive(Clone)]
struct End {
    streams: Arc<Streams>,
    stream: Call,
    tell: Arc<dyn Tell>,
}

impl End {
    /// This direction is not held any more.
    fn drop(&self, direction: usize) {
        let mut all = lock(&self.streams.0);
        if let Some(found) = all.get_mut(&self.stream) {
            found.held[direction] = false;
            if direction == 0 {
                found.incoming = None;
            }
            if found.held == [false, false] {
                all.remove(&self.stream);
            }
        }
    }
}

/// What comes from the other end.
pub(super) struct Incoming {
    end: End,
    come: mpsc::UnboundedReceiver<Result<Bytes, Refusal>>,
    rest: Bytes,
    over: bool,
}

impl Incoming {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Refusal>>> {
        let came = std::task::ready!(self.come.poll_recv(cx));
        match &came {
            Some(Ok(bytes)) => {
                if let Some(found) = lock(&self.end.streams.0).get_mut(&self.end.stream) {
                    found.admitted += bytes.len();
                }
                let credit = News::Credit(bytes.len() as u32);
                self.end.tell.tell(self.end.stream, credit);
            }
            Some(Err(_)) | None => self.over = true,
        }
        Poll::Ready(came)
    }
}

impl Incoming {
    /// Reads no more, and says why.
    pub(super) fn refuse(mut self, refusal: Refusal) {
        self.over = true;
        self.end
            .tell
            .tell(self.end.stream, News::Close(Some(refusal)));
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.end.drop(0);
        if !self.over {
            self.end.tell.tell(self.end.stream, News::Close(None));
        }
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Refusal;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Refusal>>> {
        let part = self.poll_part(cx);
        part.map(|part| part.map(|part| part.map(Frame::data)))
    }
}

impl AsyncRead for Incoming {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            match std::task::ready!(self.poll_part(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(refusal)) => return Poll::Ready(Err(io::Error::other(refusal))),
                Some(Ok(bytes)) => self.rest = bytes,
            }
        }
        let n = self.rest.len().min(into.remaining());
        into.put_slice(&self.rest[..n]);
        self.rest.advance(n);
        Poll::Ready(Ok(()))
    }
}

/// What goes to the other end. Dropped before its end, the other end sees it broken.
pub(super) struct Outgoing {
    end: End,
    credit: Arc<Mutex<Credit>>,
    over: bool,
}

impl Outgoing {
    /// How much of `wanted` bytes may be sent; nothing where nobody reads any more.
    fn poll_room(&self, cx: &mut Context<'_>, wanted: usize) -> Poll<Option<usize>> {
        let mut credit = lock(&self.credit);
        if credit.closed {
            return Poll::Ready(None);
        }
        let room = wanted.min(credit.bytes).min(PART);
        if room == 0 && wanted > 0 {
            credit.waits = Some(cx.waker().clone());
            return Poll::Pending;
        }
        credit.bytes -= room;
        Poll::Ready(Some(room))
    }

    /// Sends bytes as the window opens: whether anybody still reads.
    pub(super) async fn send(&mut self, mut bytes: Bytes) -> bool {
        while !bytes.is_empty() {
            let room = std::future::poll_fn(|cx| self.poll_room(cx, bytes.len())).await;
            let Some(room) = room else {
                return false;
            };
            let part = bytes.split_to(room);
            let news = News::Data(serde_bytes::Bytes::new(&part));
            self.end.tell.tell(self.end.stream, news);
        }
        true
    }

    /// Waits until nobody reads any more.
    pub(super) async fn closed(&mut self) {
        std::future::poll_fn(|cx| {
            let mut credit = lock(&self.credit);
            if credit.closed {
                return Poll::Ready(());
            }
            credit.waits = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Ends it.
    pub(super) fn end(mut self, how: Result<(), &Refusal>) {
        self.over = true;
        let news = match how {
            Ok(()) => News::End,
            Err(refusal) => News::Broken(refusal.clone()),
        };
        self.end.tell.tell(self.end.stream, news);
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.end.drop(1);
        if !self.over {
            let refusal = Refusal::Failed(Failure::Broken);
            self.end.tell.tell(self.end.stream, News::Broken(refusal));
        }
    }
}

impl AsyncWrite for Outgoing {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(room) = std::task::ready!(self.poll_room(cx, bytes.len())) else {
            let refused = lock(&self.credit).refused.clone();
            let error = refused.map_or_else(|| io::ErrorKind::BrokenPipe.into(), io::Error::other);
            return Poll::Ready(Err(error));
        };
        let news = News::Data(serde_bytes::Bytes::new(&bytes[..room]));
        self.end.tell.tell(self.end.stream, news);
        Poll::Ready(Ok(room))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.over {
            self.over = true;
            self.end.tell.tell(self.end.stream, News::End);
        }
        Poll::Ready(Ok(()))
    }
}

/// Both directions of a connection.
pub(super) struct Both(pub(super) Incoming, pub(super) Outgoing);

impl AsyncRead for Both {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Both {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.1).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.1).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.1).poll_shutdown(cx)
    }
}
