//! The two directions of a connection, each with a bounded buffer: who does not read is not sent to.

use super::{
    Fault,
    socket::{Receiving, Sending, at_once},
};
use crate::sandbox::tape::Tape;
use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf},
    runtime::Handle,
    sync::oneshot,
    task::JoinHandle,
};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

/// The most that the host keeps of one direction, in bytes.
pub(super) const CHUNK: usize = 64 << 10;
/// How much is read at once. Together with what the system keeps, enough for a fast network.
const READ: usize = 16 << 10;
/// How long what a guest wrote is still sent when it has let go of it: nobody counts the time any more.
const LINGER: Duration = Duration::from_secs(10);

/// What comes from the other end.
pub(super) struct Incoming {
    receiving: Option<Receiving>,
    /// Read, and not yet asked for.
    ahead: BytesMut,
    failure: Option<io::Error>,
}

impl Incoming {
    pub(super) fn new(receiving: Receiving) -> Self {
        Self {
            receiving: Some(receiving),
            ahead: BytesMut::new(),
            failure: None,
        }
    }

    /// Waits for bytes, the end or a failure, whichever comes first.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.ahead.is_empty() {
            return Poll::Ready(());
        }
        let Some(receiving) = &mut self.receiving else {
            return Poll::Ready(());
        };
        self.ahead.resize(READ, 0);
        let mut buffer = ReadBuf::new(&mut self.ahead);
        let came = Pin::new(receiving).poll_read(cx, &mut buffer);
        let filled = buffer.filled().len();
        self.ahead.truncate(filled);
        match ready!(came) {
            Ok(()) if filled > 0 => {}
            Ok(()) => self.close(),
            Err(error) => {
                self.close();
                self.failure = Some(error);
            }
        }
        Poll::Ready(())
    }

    /// The next bytes, at most `most`; none at the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<Bytes>> {
        ready!(self.poll_ready(cx));
        if let Some(error) = self.failure.take() {
            return Poll::Ready(Err(error));
        }
        let most = most.min(self.ahead.len());
        Poll::Ready(Ok(self.ahead.split_to(most).freeze()))
    }

    /// Reads no more.
    pub(super) fn close(&mut self) {
        self.receiving = None;
        self.ahead = BytesMut::new();
    }
}

/// Says to the other end that nothing more comes. Never waits.
pub(super) fn finish(mut sending: Sending) {
    let mut last = async move { sending.shutdown().await }.boxed();
    if last.poll_unpin(&mut at_once()).is_pending()
        && let Ok(runtime) = Handle::try_current()
    {
        runtime.spawn(tokio::time::timeout(LINGER, last));
    }
}

/// A write on a task of its own, that gives the connection back.
type Write = JoinHandle<Result<Sending, Fault>>;

/// What goes to the other end.
enum Outgoing {
    /// Nothing is on its way.
    Idle(Sending),
    /// What was written is being sent, without a bound in time while the second part is held.
    Busy(Write, oneshot::Sender<()>),
    /// Closed or broken off. What was written before may still be being sent.
    Closed { _held: Option<oneshot::Sender<()>> },
    /// Broken off; the guest is yet to be told.
    Failed(Fault),
}

impl Outgoing {
    const CLOSED: Self = Self::Closed { _held: None };

    /// Waits until more may be written, or nothing more can be.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Busy(write, _) = self {
            *self = match ready!(write.poll_unpin(cx)) {
                Ok(Ok(sending)) => Self::Idle(sending),
                Ok(Err(fault)) => Self::Failed(fault),
                Err(_) => Self::Failed(Fault::Broken),
            };
        }
        Poll::Ready(())
    }

    /// How much may be written now.
    fn check(&mut self) -> StreamResult<usize> {
        if self.poll_ready(&mut at_once()).is_pending() {
            return Ok(0);
        }
        match std::mem::replace(self, Self::CLOSED) {
            Self::Failed(fault) => Err(told(fault)),
            same => {
                *self = same;
                match self {
                    Self::Idle(_) => Ok(CHUNK),
                    _ => Err(StreamError::Closed),
                }
            }
        }
    }

    fn write(&mut self, bytes: Bytes, tape: &Arc<Tape>) -> StreamResult<()> {
        if bytes.len() > self.check()? {
            return Err(StreamError::trap(
                "more is written than `check-write` permits",
            ));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let Self::Idle(sending) = std::mem::replace(self, Self::CLOSED) else {
            return Err(StreamError::Closed);
        };
        let (held, let_go) = oneshot::channel();
        let mut write = send(sending, bytes, let_go, tape.clone()).boxed();
        *self = match write.poll_unpin(&mut at_once()) {
            Poll::Ready(Ok(sending)) => Self::Idle(sending),
            Poll::Ready(Err(fault)) => return Err(told(fault)),
            Poll::Pending => Self::Busy(tokio::spawn(write), held),
        };
        Ok(())
    }

    /// Nothing more comes after what was written.
    fn close(&mut self) {
        *self = match std::mem::replace(self, Self::CLOSED) {
            Self::Idle(sending) => {
                finish(sending);
                Self::CLOSED
            }
            Self::Busy(write, held) => {
                tokio::spawn(async move {
                    if let Ok(Ok(sending)) = write.await {
                        finish(sending);
                    }
                });
                Self::Closed { _held: Some(held) }
            }
            same => same,
        };
    }
}

/// Sends all of it, for as long as somebody may ask, and a while longer.
async fn send(
    mut sending: Sending,
    bytes: Bytes,
    let_go: oneshot::Receiver<()>,
    tape: Arc<Tape>,
) -> Result<Sending, Fault> {
    let linger = async {
        let _ = let_go.await;
        tokio::time::sleep(LINGER).await;
    };
    tokio::select! {
        sent = sending.write_all(&bytes) => match sent {
            Ok(()) => Ok(sending),
            Err(error) => Err(Fault::of_stream(error, &tape)),
        },
        () = linger => Err(Fault::Timeout),
    }
}

fn told(fault: Fault) -> StreamError {
    match fault {
        Fault::Over => StreamError::Trap(fault.into()),
        other => StreamError::LastOperationFailed(other.into()),
    }
}

/// The input stream of WASI 0.2. Shared with its socket, which may close it.
#[derive(Clone)]
pub(super) struct Reader {
    incoming: Arc<Mutex<Incoming>>,
    tape: Arc<Tape>,
}

impl Reader {
    pub(super) fn new(receiving: Receiving, tape: Arc<Tape>) -> Self {
        Self {
            incoming: Arc::new(Mutex::new(Incoming::new(receiving))),
            tape,
        }
    }

    pub(super) fn close(&self) {
        lock(&self.incoming).close();
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        poll_fn(|cx| lock(&self.incoming).poll_ready(cx)).await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        match lock(&self.incoming).poll_read(&mut at_once(), size) {
            Poll::Pending => Ok(Bytes::new()),
            Poll::Ready(Ok(bytes)) if bytes.is_empty() && size > 0 => Err(StreamError::Closed),
            Poll::Ready(Ok(bytes)) => Ok(bytes),
            Poll::Ready(Err(error)) => Err(told(Fault::of_stream(error, &self.tape))),
        }
    }
}

/// The output stream of WASI 0.2, likewise.
#[derive(Clone)]
pub(super) struct Writer {
    outgoing: Arc<Mutex<Outgoing>>,
    tape: Arc<Tape>,
}

impl Writer {
    pub(super) fn new(sending: Sending, tape: Arc<Tape>) -> Self {
        Self {
            outgoing: Arc::new(Mutex::new(Outgoing::Idle(sending))),
            tape,
        }
    }

    pub(super) fn close(&self) {
        lock(&self.outgoing).close();
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        poll_fn(|cx| lock(&self.outgoing).poll_ready(cx)).await;
    }
}

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        lock(&self.outgoing).write(bytes, &self.tape)
    }

    /// Everything is on its way already.
    fn flush(&mut self) -> StreamResult<()> {
        match &*lock(&self.outgoing) {
            Outgoing::Closed { .. } => Err(StreamError::Closed),
            Outgoing::Idle(_) | Outgoing::Busy(..) | Outgoing::Failed(_) => Ok(()),
        }
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        lock(&self.outgoing).check()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
