//! The calls of WASI 0.2.

use super::{
    Family, Fault, View,
    names::look_up,
    socket::{Setting as _, Socket, at_once},
    streams::{Reader, Writer},
};
use futures::{
    FutureExt as _,
    future::{BoxFuture, MaybeDone, maybe_done},
};
use std::{
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::Poll,
    vec,
};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::{
    self, DynPollable, Pollable, SocketError, SocketResult,
    bindings::sockets::{
        instance_network,
        ip_name_lookup::{self, ResolveAddressStream},
        network::{self, ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress},
        tcp, tcp_create_socket, udp_create_socket,
    },
    subscribe,
};

/// What the host keeps behind the guest's handles. The handles' own types are wasmtime's, which
/// nobody else can make; only their numbers are used.
type Ours = TcpSocket;

/// A socket with the streams that it was given.
struct TcpSocket {
    socket: Socket,
    streams: Option<(Reader, Writer)>,
}

/// The right to use the network, which is none: each call is judged by itself.
struct Network;

/// An answer to a look-up.
struct Answer {
    answer: MaybeDone<BoxFuture<'static, Result<Vec<IpAddr>, Fault>>>,
    left: Option<vec::IntoIter<IpAddr>>,
}

fn socket(handle: &Resource<p2::TcpSocket>) -> Resource<Ours> {
    Resource::new_borrow(handle.rep())
}

impl From<Fault> for SocketError {
    fn from(fault: Fault) -> Self {
        match code(fault) {
            Some(code) => code.into(),
            None => Self::trap(fault),
        }
    }
}

fn code(fault: Fault) -> Option<ErrorCode> {
    Some(match fault {
        Fault::Denied => ErrorCode::AccessDenied,
        Fault::Argument => ErrorCode::InvalidArgument,
        Fault::State => ErrorCode::InvalidState,
        Fault::Busy => ErrorCode::ConcurrencyConflict,
        Fault::Idle => ErrorCode::NotInProgress,
        Fault::WouldBlock => ErrorCode::WouldBlock,
        Fault::Name => ErrorCode::NameUnresolvable,
        Fault::Refused => ErrorCode::ConnectionRefused,
        Fault::Timeout => ErrorCode::Timeout,
        Fault::Broken => ErrorCode::ConnectionReset,
        Fault::Over => return None,
    })
}

impl From<IpAddressFamily> for Family {
    fn from(family: IpAddressFamily) -> Self {
        match family {
            IpAddressFamily::Ipv4 => Self::V4,
            IpAddressFamily::Ipv6 => Self::V6,
        }
    }
}

impl network::Host for View<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let error = self.table.get(&error)?;
        Ok(error.downcast_ref::<Fault>().and_then(|fault| code(*fault)))
    }
}

impl network::HostNetwork for View<'_> {
    fn drop(&mut self, handle: Resource<p2::Network>) -> wasmtime::Result<()> {
        self.table
            .delete(Resource::<Network>::new_own(handle.rep()))?;
        Ok(())
    }
}

impl instance_network::Host for View<'_> {
    fn instance_network(&mut self) -> wasmtime::Result<Resource<p2::Network>> {
        let network = self.table.push(Network)?;
        Ok(Resource::new_own(network.rep()))
    }
}

impl ip_name_lookup::Host for View<'_> {
    fn resolve_addresses(
        &mut self,
        _: Resource<p2::Network>,
        name: String,
    ) -> SocketResult<Resource<ResolveAddressStream>> {
        let mut answer = maybe_done(look_up(&name, &*self.way, self.tape)?);
        // Asked now, whether the guest waits for the answer or not; what ends the visit does so here.
        let _ = answer.poll_unpin(&mut at_once());
        if let Some(Err(fault)) = Pin::new(&mut answer).output_mut() {
            return Err((*fault).into());
        }
        let answer = self.table.push(Answer { answer, left: None })?;
        Ok(Resource::new_own(answer.rep()))
    }
}

impl ip_name_lookup::HostResolveAddressStream for View<'_> {
    fn resolve_next_address(
        &mut self,
        handle: Resource<ResolveAddressStream>,
    ) -> SocketResult<Option<IpAddress>> {
        let answer = Resource::<Answer>::new_borrow(handle.rep());
        let Answer { answer, left } = self.table.get_mut(&answer)?;
        if let Some(left) = left {
            return Ok(left.next().map(Into::into));
        }
        if answer.poll_unpin(&mut at_once()).is_pending() {
            return Err(Fault::WouldBlock.into());
        }
        match Pin::new(answer).output_mut() {
            Some(Ok(addresses)) => {
                let left = left.insert(std::mem::take(addresses).into_iter());
                Ok(left.next().map(Into::into))
            }
            Some(Err(fault)) => Err((*fault).into()),
            None => Ok(None),
        }
    }

    fn subscribe(
        &mut self,
        handle: Resource<ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, Resource::<Answer>::new_borrow(handle.rep()))
    }

    fn drop(&mut self, handle: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table
            .delete(Resource::<Answer>::new_own(handle.rep()))?;
        Ok(())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Answer {
    async fn ready(&mut self) {
        poll_fn(|cx| self.answer.poll_unpin(cx)).await;
    }
}

impl tcp_create_socket::Host for View<'_> {
    fn create_tcp_socket(
        &mut self,
        family: IpAddressFamily,
    ) -> SocketResult<Resource<p2::TcpSocket>> {
        let socket = self.table.push(Ours {
            socket: Socket::new(family.into()),
            streams: None,
        })?;
        Ok(Resource::new_own(socket.rep()))
    }
}

impl udp_create_socket::Host for View<'_> {
    async fn create_udp_socket(
        &mut self,
        _: IpAddressFamily,
    ) -> SocketResult<Resource<p2::UdpSocket>> {
        Err(ErrorCode::AccessDenied.into())
    }
}

impl tcp::Host for View<'_> {}

/// Settings, each read and written under its name.
macro_rules! settings {
    ($($get:ident, $set:ident: $type:ty;)*) => {$(
        fn $get(&mut self, this: Resource<p2::TcpSocket>) -> SocketResult<$type> {
            Ok(self.table.get(&socket(&this))?.socket.options.$get)
        }

        fn $set(&mut self, this: Resource<p2::TcpSocket>, value: $type) -> SocketResult<()> {
            self.table.get_mut(&socket(&this))?.socket.options.$get = value.checked()?;
            Ok(())
        }
    )*};
}

impl tcp::HostTcpSocket for View<'_> {
    async fn start_bind(
        &mut self,
        _: Resource<p2::TcpSocket>,
        _: Resource<p2::Network>,
        _: IpSocketAddress,
    ) -> SocketResult<()> {
        Err(ErrorCode::AccessDenied.into())
    }

    fn finish_bind(&mut self, _: Resource<p2::TcpSocket>) -> SocketResult<()> {
        Err(ErrorCode::NotInProgress.into())
    }

    fn start_connect(
        &mut self,
        this: Resource<p2::TcpSocket>,
        _: Resource<p2::Network>,
        to: IpSocketAddress,
    ) -> SocketResult<()> {
        let ours = self.table.get_mut(&socket(&this))?;
        let to = SocketAddr::from(to);
        Ok(ours.socket.connect(to, &*self.way, self.tape)?)
    }

    fn finish_connect(
        &mut self,
        this: Resource<p2::TcpSocket>,
    ) -> SocketResult<(Resource<p2::DynInputStream>, Resource<p2::DynOutputStream>)> {
        let parent = socket(&this);
        let ours = self.table.get_mut(&parent)?;
        match ours.socket.poll_connected(&mut at_once(), self.tape) {
            Poll::Pending => return Err(Fault::WouldBlock.into()),
            Poll::Ready(came) => came?,
        }
        let reader = Reader::new(ours.socket.take_receiving()?, self.tape.clone());
        let writer = Writer::new(ours.socket.take_sending()?, self.tape.clone());
        ours.streams = Some((reader.clone(), writer.clone()));
        let input: p2::DynInputStream = Box::new(reader);
        let output: p2::DynOutputStream = Box::new(writer);
        let input = self.table.push_child(input, &parent)?;
        let output = self.table.push_child(output, &parent)?;
        Ok((input, output))
    }

    async fn start_listen(&mut self, _: Resource<p2::TcpSocket>) -> SocketResult<()> {
        Err(ErrorCode::AccessDenied.into())
    }

    fn finish_listen(&mut self, _: Resource<p2::TcpSocket>) -> SocketResult<()> {
        Err(ErrorCode::NotInProgress.into())
    }

    fn accept(
        &mut self,
        _: Resource<p2::TcpSocket>,
    ) -> SocketResult<(
        Resource<p2::TcpSocket>,
        Resource<p2::DynInputStream>,
        Resource<p2::DynOutputStream>,
    )> {
        Err(ErrorCode::InvalidState.into())
    }

    fn local_address(&mut self, this: Resource<p2::TcpSocket>) -> SocketResult<IpSocketAddress> {
        let ours = self.table.get(&socket(&this))?;
        Ok(ours.socket.local_address()?.into())
    }

    fn remote_address(&mut self, this: Resource<p2::TcpSocket>) -> SocketResult<IpSocketAddress> {
        let ours = self.table.get(&socket(&this))?;
        Ok(ours.socket.remote_address()?.into())
    }

    fn is_listening(&mut self, _: Resource<p2::TcpSocket>) -> wasmtime::Result<bool> {
        Ok(false)
    }

    fn address_family(
        &mut self,
        this: Resource<p2::TcpSocket>,
    ) -> wasmtime::Result<IpAddressFamily> {
        Ok(match self.table.get(&socket(&this))?.socket.family {
            Family::V4 => IpAddressFamily::Ipv4,
            Family::V6 => IpAddressFamily::Ipv6,
        })
    }

    fn set_listen_backlog_size(&mut self, _: Resource<p2::TcpSocket>, _: u64) -> SocketResult<()> {
        Err(ErrorCode::NotSupported.into())
    }

    settings! {
        keep_alive_enabled, set_keep_alive_enabled: bool;
        keep_alive_idle_time, set_keep_alive_idle_time: u64;
        keep_alive_interval, set_keep_alive_interval: u64;
        keep_alive_count, set_keep_alive_count: u32;
        hop_limit, set_hop_limit: u8;
        receive_buffer_size, set_receive_buffer_size: u64;
        send_buffer_size, set_send_buffer_size: u64;
    }

    fn subscribe(
        &mut self,
        this: Resource<p2::TcpSocket>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, socket(&this))
    }

    fn shutdown(
        &mut self,
        this: Resource<p2::TcpSocket>,
        how: tcp::ShutdownType,
    ) -> SocketResult<()> {
        use tcp::ShutdownType as Type;
        let ours = self.table.get(&socket(&this))?;
        let (reader, writer) = ours.streams.as_ref().ok_or(Fault::State)?;
        if matches!(how, Type::Receive | Type::Both) {
            reader.close();
        }
        if matches!(how, Type::Send | Type::Both) {
            writer.close();
        }
        Ok(())
    }

    fn drop(&mut self, this: Resource<p2::TcpSocket>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Ours>::new_own(this.rep()))?;
        Ok(())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Ours {
    async fn ready(&mut self) {
        poll_fn(|cx| self.socket.poll_attempt(cx)).await;
    }
}
