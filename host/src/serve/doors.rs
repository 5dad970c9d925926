//! Connections: taken from the socket and from loopback, so many at a time, each within its time.
//! Knows nothing of what is asked.

use super::{
    bodies::Room,
    gate::{Peer, Seats},
    stopped,
};
use crate::role::Door;
use axum::Router;
use hyper::{Request, body::Incoming, server::conn::http1, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    collections::VecDeque,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, UnixListener},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{Sleep, sleep},
};

/// The most connections that one door has at a time.
const MOST: usize = 256;
/// The most bytes of a request's head.
const HEAD_BYTES: usize = 64 << 10;
/// How long no connection is taken after the system could give none.
const REST: Duration = Duration::from_millis(100);

/// How long callers may take, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// At a time and by one door; more wait outside, but for strangers' places.
    pub(super) most: usize,
    /// To say what is asked; an idle connection ends as well.
    pub(super) head: Duration,
    /// To send a body.
    pub(super) body: Duration,
    /// To read any of what they are sent.
    pub(super) stalled: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            most: MOST,
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            stalled: Duration::from_secs(30),
        }
    }
}

/// Where connections come from.
pub(super) trait Way: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection, how it came, and the name of whoever made it, where that is known.
    fn next(&self) -> impl Future<Output = io::Result<Coming<Self::Stream>>> + Send;
}

/// A connection, how it came, and the name of whoever made it.
type Coming<S> = (S, Door, Option<Arc<str>>);

impl Way for UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn next(&self) -> io::Result<Coming<Self::Stream>> {
        let (stream, _) = self.accept().await?;
        let uid = stream.peer_cred()?.uid();
        let name = match uid == rustix::process::geteuid().as_raw() {
            true => user(),
            false => name_of(uid),
        };
        Ok((stream, Door::Socket, Some(name.into())))
    }
}

/// The name of the user that runs this process.
pub fn user() -> String {
    std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| name_of(rustix::process::geteuid().as_raw()))
}

/// What a user is called whose name nobody says.
fn name_of(uid: u32) -> String {
    match uid {
        0 => "root".into(),
        uid => format!("user {uid}"),
    }
}

impl Way for TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn next(&self) -> io::Result<Coming<Self::Stream>> {
        let (stream, _) = self.accept().await?;
        // Answers and events are small, and somebody waits for them.
        stream.set_nodelay(true)?;
        let port = stream.local_addr()?.port();
        Ok((stream, Door::Loopback { port }, None))
    }
}

/// Takes connections until `stop` is signalled, then lets those that are there end. Where there are as many
/// as there may be, the oldest of those over which nobody known has called makes way.
pub(super) async fn open(
    way: impl Way,
    router: Router,
    patience: Patience,
    stop: watch::Receiver<bool>,
) {
    let room = Room::new();
    let seats = Seats::default();
    let mut connections = JoinSet::new();
    let mut strangers = Strangers::default();
    let mut stopped = pin!(stopped(stop.clone()));
    'open: loop {
        let taken = tokio::select! {
            biased;
            () = &mut stopped => break,
            Some(_) = connections.join_next() => continue,
            taken = way.next() => taken,
        };
        let (stream, door, name) = match taken {
            Ok(coming) => coming,
            Err(error) => {
                // The caller went away, or the system has no more descriptors for now.
                tracing::warn!("a connection was not taken: {error}");
                sleep(REST).await;
                continue;
            }
        };
        while connections.len() >= patience.most {
            strangers.send_one_away();
            tokio::select! {
                biased;
                () = &mut stopped => break 'open,
                _ = connections.join_next() => {}
            }
        }
        let known = Arc::new(AtomicBool::new(name.is_some()));
        let peer = Peer {
            door,
            name,
            known: known.clone(),
            seat: seats.seat(),
            patience: patience.body,
            room: room.clone(),
        };
        let stream = Reading::of(stream, patience.stalled);
        let serving = serve(stream, peer, router.clone(), patience.head, stop.clone());
        strangers.came(known, connections.spawn(serving));
    }
    while connections.join_next().await.is_some() {}
}

/// Connections over which nobody known has called yet, the oldest first; others may be among them until
/// they are looked at.
#[derive(Default)]
struct Strangers(VecDeque<(Arc<AtomicBool>, AbortHandle)>);

impl Strangers {
    fn came(&mut self, known: Arc<AtomicBool>, connection: AbortHandle) {
        let gone = |(known, connection): &(Arc<AtomicBool>, AbortHandle)| {
            known.load(Relaxed) || connection.is_finished()
        };
        // Those that stay long are looked at but now and then.
        while self.0.front().is_some_and(gone) {
            self.0.pop_front();
        }
        if self.0.len() >= 2 * MOST {
            self.0.retain(|it| !gone(it));
        }
        if !known.load(Relaxed) {
            self.0.push_back((known, connection));
        }
    }

    fn send_one_away(&mut self) {
        while let Some((known, connection)) = self.0.pop_front() {
            if !known.load(Relaxed) && !connection.is_finished() {
                connection.abort();
                return;
            }
        }
    }
}

async fn serve<S>(
    stream: Reading<S>,
    peer: Peer,
    router: Router,
    head: Duration,
    stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let routes = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        routes.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stopped(stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}

/// A stream whose other side has to read what it is sent.
struct Reading<S> {
    stream: S,
    /// How long it may take none of it.
    patience: Duration,
    /// Since it stopped to.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Reading<S> {
    fn of(stream: S, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            stalled: None,
        }
    }

    /// What came of a write, unless nothing came of any for too long.
    fn within<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Reading<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Reading<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncWriteExt as _, duplex};

    #[tokio::test]
    async fn who_reads_nothing_of_what_it_is_sent_is_left() {
        let (ours, theirs) = duplex(16);
        let mut ours = Reading::of(ours, Duration::from_millis(10));
        let error = ours.write_all(&[0; 64]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }
}
