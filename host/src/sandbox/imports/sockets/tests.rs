//! Calls as a guest of WASI 0.2 makes them, over a way out that is made up.

use super::*;
use crate::{
    limits::{Limit, Limits},
    sandbox::{
        tape::End,
        way::{Connection, Patience, WayBody},
    },
    visit::Violation,
};
use futures::future::BoxFuture;
use http::{Request, Response};
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
};
use tokio::{
    io::{
        AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex,
    },
    sync::oneshot,
};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, Pollable as _, SocketError, StreamError, TcpSocket,
    bindings::sockets::{
        ip_name_lookup::{Host as _, HostResolveAddressStream},
        network::{ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress},
        tcp::{HostTcpSocket, ShutdownType},
        tcp_create_socket::Host as _,
        udp_create_socket::Host as _,
    },
};

type Attempt = BoxFuture<'static, Result<Box<dyn Connection>, Refusal>>;

/// Answers as it was told to, and remembers what it was asked.
#[derive(Default)]
struct Double {
    asked: Mutex<Vec<String>>,
    names: Mutex<VecDeque<Result<Vec<IpAddr>, Refusal>>>,
    attempts: Mutex<VecDeque<Attempt>>,
}

impl Way for Double {
    fn send(
        &self,
        _: Request<WayBody>,
        _: Patience,
    ) -> BoxFuture<'static, Result<Response<WayBody>, Refusal>> {
        unreachable!("sockets send no requests")
    }

    fn look_up(&self, name: String) -> BoxFuture<'static, Result<Vec<IpAddr>, Refusal>> {
        self.asked.lock().unwrap().push(name);
        Box::pin(std::future::ready(
            self.names.lock().unwrap().pop_front().unwrap(),
        ))
    }

    fn connect(&self, to: SocketAddr) -> Attempt {
        self.asked.lock().unwrap().push(to.to_string());
        self.attempts.lock().unwrap().pop_front().unwrap()
    }
}

struct Visit {
    table: ResourceTable,
    way: Arc<Double>,
    tape: Arc<Tape>,
}

impl Visit {
    fn new() -> Self {
        Self {
            table: ResourceTable::new(),
            way: Arc::default(),
            tape: Arc::new(Tape::new(&Limits::default())),
        }
    }

    fn calls(&mut self) -> View<'_> {
        View {
            table: &mut self.table,
            way: self.way.clone(),
            tape: &self.tape,
        }
    }

    fn will(
        &self,
        attempt: impl Future<Output = Result<Box<dyn Connection>, Refusal>> + Send + 'static,
    ) {
        self.way
            .attempts
            .lock()
            .unwrap()
            .push_back(Box::pin(attempt));
    }

    fn socket(&mut self) -> Resource<TcpSocket> {
        self.calls()
            .create_tcp_socket(IpAddressFamily::Ipv4)
            .ok()
            .unwrap()
    }

    fn start(&mut self, socket: &Resource<TcpSocket>, to: &str) -> Result<(), SocketError> {
        let to: SocketAddr = to.parse().unwrap();
        let this = Resource::new_borrow(socket.rep());
        let network = Resource::new_borrow(0);
        self.calls().start_connect(this, network, to.into())
    }

    /// The streams of a connection whose other end holds `room` bytes each way.
    fn connected(&mut self, room: usize) -> (Resource<TcpSocket>, Streams, DuplexStream) {
        let (near, far) = duplex(room);
        self.will(async { Ok(Box::new(near) as Box<dyn Connection>) });
        let socket = self.socket();
        self.start(&socket, "192.0.2.1:5432").ok().unwrap();
        let this = Resource::new_borrow(socket.rep());
        let streams = self.calls().finish_connect(this).ok().unwrap();
        (socket, streams, far)
    }

    fn input(&mut self, streams: &Streams) -> &mut DynInputStream {
        self.table.get_mut(&streams.0).unwrap()
    }

    fn output(&mut self, streams: &Streams) -> &mut DynOutputStream {
        self.table.get_mut(&streams.1).unwrap()
    }
}

type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

fn again(socket: &Resource<TcpSocket>) -> Resource<TcpSocket> {
    Resource::new_borrow(socket.rep())
}

#[track_caller]
fn code<T>(result: Result<T, SocketError>) -> ErrorCode {
    match result {
        Ok(_) => panic!("it went well"),
        Err(error) => error.downcast().unwrap(),
    }
}

fn violation() -> Violation {
    Violation {
        what: "connect 192.0.2.1:5432".into(),
        why: "no grant".into(),
        hint: "grant it".into(),
    }
}

#[tokio::test]
async fn a_connection_is_spoken_over() {
    let mut visit = Visit::new();
    let (socket, streams, mut far) = visit.connected(1 << 10);
    assert_eq!(visit.way.asked.lock().unwrap()[..], ["192.0.2.1:5432"]);
    let remote = visit.calls().remote_address(again(&socket)).ok().unwrap();
    assert_eq!(SocketAddr::from(remote).to_string(), "192.0.2.1:5432");
    let local = visit.calls().local_address(again(&socket)).ok().unwrap();
    assert_eq!(SocketAddr::from(local).to_string(), "0.0.0.0:0");

    assert!(visit.input(&streams).read(10).unwrap().is_empty());
    visit.output(&streams).write("ping".into()).unwrap();
    let mut heard = [0; 4];
    far.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"ping");
    far.write_all(b"pong and more").await.unwrap();
    visit.input(&streams).ready().await;
    assert_eq!(visit.input(&streams).read(4).unwrap(), "pong");
    assert_eq!(visit.input(&streams).read(100).unwrap(), " and more");

    visit
        .calls()
        .shutdown(again(&socket), ShutdownType::Send)
        .ok()
        .unwrap();
    assert_eq!(far.read(&mut heard).await.unwrap(), 0);
    let closed = visit.output(&streams).check_write();
    assert!(matches!(closed, Err(StreamError::Closed)));
    drop(far);
    visit.input(&streams).ready().await;
    let ended = visit.input(&streams).read(1);
    assert!(matches!(ended, Err(StreamError::Closed)));
}

#[tokio::test]
async fn connecting_takes_its_time() {
    let mut visit = Visit::new();
    let (answer, answered) = oneshot::channel();
    visit.will(async { answered.await.unwrap() });
    let socket = visit.socket();
    assert_eq!(
        code(visit.calls().finish_connect(again(&socket))),
        ErrorCode::NotInProgress
    );
    assert_eq!(
        code(visit.start(&socket, "[::1]:5432")),
        ErrorCode::InvalidArgument
    );
    assert_eq!(
        code(visit.start(&socket, "0.0.0.0:5432")),
        ErrorCode::InvalidArgument
    );
    assert_eq!(
        code(visit.start(&socket, "192.0.2.1:0")),
        ErrorCode::InvalidArgument
    );
    visit.start(&socket, "192.0.2.1:5432").ok().unwrap();
    assert_eq!(
        code(visit.start(&socket, "192.0.2.1:5432")),
        ErrorCode::ConcurrencyConflict
    );
    assert_eq!(
        code(visit.calls().finish_connect(again(&socket))),
        ErrorCode::WouldBlock
    );
    assert_eq!(
        code(visit.calls().local_address(again(&socket))),
        ErrorCode::InvalidState
    );
    assert!(answer.send(Err(Refusal::Failed(Failure::Connect))).is_ok());
    let refused = visit.calls().finish_connect(again(&socket));
    assert_eq!(code(refused), ErrorCode::ConnectionRefused);
    assert_eq!(
        code(visit.start(&socket, "192.0.2.1:5432")),
        ErrorCode::InvalidState
    );
    // An attempt that nobody waits for ends with its socket.
    let (answer, answered) = oneshot::channel();
    visit.will(async { answered.await.unwrap() });
    let socket = visit.socket();
    visit.start(&socket, "192.0.2.1:5432").ok().unwrap();
    HostTcpSocket::drop(&mut visit.calls(), socket).unwrap();
    assert!(answer.is_closed());
}

#[tokio::test]
async fn who_does_not_read_is_not_sent_to() {
    let mut visit = Visit::new();
    let (_, streams, mut far) = visit.connected(1 << 10);
    let most = visit.output(&streams).check_write().unwrap();
    assert_eq!(most, streams::CHUNK);
    visit
        .output(&streams)
        .write(vec![b'x'; most].into())
        .unwrap();
    assert_eq!(visit.output(&streams).check_write().unwrap(), 0);
    let more = visit.output(&streams).write("y".into());
    assert!(matches!(more, Err(StreamError::Trap(_))));
    let mut all = vec![0; most];
    far.read_exact(&mut all).await.unwrap();
    visit.output(&streams).ready().await;
    assert_eq!(visit.output(&streams).check_write().unwrap(), most);
}

#[tokio::test]
async fn what_was_written_goes_out_after_its_end() {
    let mut visit = Visit::new();
    let (socket, streams, mut far) = visit.connected(16);
    visit
        .output(&streams)
        .write("twice as much as there is room".into())
        .unwrap();
    visit
        .calls()
        .shutdown(again(&socket), ShutdownType::Both)
        .ok()
        .unwrap();
    visit.table.delete(streams.0).unwrap();
    visit.table.delete(streams.1).unwrap();
    HostTcpSocket::drop(&mut visit.calls(), socket).unwrap();
    let mut all = String::new();
    far.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "twice as much as there is room");
    assert!(visit.table.is_empty());
}

#[tokio::test]
async fn what_is_not_granted_ends_the_visit() {
    let mut visit = Visit::new();
    visit.will(async { Err(Refusal::Violation(violation())) });
    let socket = visit.socket();
    let refused = visit.start(&socket, "192.0.2.1:5432").unwrap_err();
    assert!(refused.downcast_ref().is_none(), "the guest goes on");
    assert_eq!(visit.tape.end(), Some(&End::Violation(violation())));

    let mut visit = Visit::new();
    visit.will(async { Err(Refusal::Denied(violation())) });
    let socket = visit.socket();
    visit.start(&socket, "192.0.2.1:5432").ok().unwrap();
    let denied = visit.calls().finish_connect(again(&socket));
    assert_eq!(code(denied), ErrorCode::AccessDenied);
    let refusals = [Refusal::Denied(violation()), Refusal::Failed(Failure::Name)];
    visit.way.names.lock().unwrap().extend(refusals.map(Err));
    for expected in [ErrorCode::AccessDenied, ErrorCode::NameUnresolvable] {
        let network = Resource::new_borrow(0);
        let looked = visit.calls().resolve_addresses(network, "a.example".into());
        assert_eq!(code(looked), expected);
    }
    assert_eq!(visit.tape.end(), None);
}

/// A connection that the egress ends.
struct Ended(Limit);

impl AsyncRead for Ended {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other(Refusal::Over(self.0))))
    }
}

impl AsyncWrite for Ended {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::Error::other(Refusal::Over(self.0))))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_stream_over_its_limit_ends_the_visit() {
    for (limit, reads) in [(Limit::Received, true), (Limit::Sent, false)] {
        let mut visit = Visit::new();
        visit.will(async move { Ok(Box::new(Ended(limit)) as Box<dyn Connection>) });
        let socket = visit.socket();
        visit.start(&socket, "192.0.2.1:5432").ok().unwrap();
        let streams = visit.calls().finish_connect(again(&socket)).ok().unwrap();
        let error = if reads {
            visit.input(&streams).read(1).unwrap_err()
        } else {
            visit.output(&streams).write("x".into()).unwrap_err()
        };
        assert!(matches!(error, StreamError::Trap(_)), "{error:?}");
        assert_eq!(visit.tape.end(), Some(&End::Over(limit)));
    }
}

#[tokio::test]
async fn names_are_looked_up_and_addresses_are_not() {
    let mut visit = Visit::new();
    let found: Vec<IpAddr> = ["192.0.2.1", "2001:db8::1"]
        .map(|a| a.parse().unwrap())
        .into();
    visit.way.names.lock().unwrap().push_back(Ok(found.clone()));
    let mut look_up = |name: &str| {
        let network = Resource::new_borrow(0);
        let answer = visit.calls().resolve_addresses(network, name.into())?;
        let mut all: Vec<IpAddr> = Vec::new();
        loop {
            let handle = Resource::new_borrow(answer.rep());
            match visit.calls().resolve_next_address(handle)? {
                Some(IpAddress::Ipv4((a, b, c, d))) => all.push([a, b, c, d].into()),
                Some(IpAddress::Ipv6(_)) => all.push("2001:db8::1".parse().unwrap()),
                None => break,
            }
        }
        HostResolveAddressStream::drop(&mut visit.calls(), answer).unwrap();
        Ok(all)
    };
    assert_eq!(look_up("DB.example").ok().unwrap(), found);
    for literal in [
        "192.0.2.1",
        "0300.0.2.1",
        "3221225985",
        "[2001:db8::1]",
        "2001:db8::1",
    ] {
        assert_eq!(look_up(literal).ok().unwrap().len(), 1, "{literal}");
    }
    let long = "a".repeat(256);
    for bad in ["", "a b", "db.example.", "a\0b", "a@b", long.as_str()] {
        assert_eq!(code(look_up(bad)), ErrorCode::InvalidArgument, "{bad:?}");
    }
    assert_eq!(visit.way.asked.lock().unwrap()[..], ["db.example"]);
    assert!(visit.table.is_empty());
}

#[tokio::test]
async fn servers_and_datagrams_are_closed() {
    let mut visit = Visit::new();
    let socket = visit.socket();
    let any: IpSocketAddress = Family::V4.unspecified().into();
    let network = || Resource::new_borrow(0);
    let bound = visit
        .calls()
        .start_bind(again(&socket), network(), any)
        .await;
    assert_eq!(code(bound), ErrorCode::AccessDenied);
    let listens = visit.calls().start_listen(again(&socket)).await;
    assert_eq!(code(listens), ErrorCode::AccessDenied);
    assert_eq!(
        code(visit.calls().accept(again(&socket))),
        ErrorCode::InvalidState
    );
    for family in [IpAddressFamily::Ipv4, IpAddressFamily::Ipv6] {
        let made = visit.calls().create_udp_socket(family).await;
        assert_eq!(code(made), ErrorCode::AccessDenied);
    }
    let mut calls = visit.calls();
    calls.set_hop_limit(again(&socket), 3).ok().unwrap();
    assert_eq!(calls.hop_limit(again(&socket)).ok().unwrap(), 3);
    let none = calls.set_keep_alive_count(again(&socket), 0);
    assert_eq!(code(none), ErrorCode::InvalidArgument);
    assert!(visit.way.asked.lock().unwrap().is_empty());
}
