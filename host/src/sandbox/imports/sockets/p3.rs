//! The calls of WASI 0.3.

use super::{
    Family, Fault, HasSockets, View,
    names::look_up,
    socket::{Sending, Setting as _, Socket},
    streams::{CHUNK, Incoming, finish},
};
use crate::sandbox::tape::Tape;
use std::{
    future::poll_fn,
    iter,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{io::AsyncWrite as _, sync::oneshot};
use wasmtime::{
    AsContextMut as _, StoreContextMut,
    component::{
        Access, Accessor, Destination, FutureReader, Resource, Source, StreamConsumer,
        StreamProducer, StreamReader, StreamResult,
    },
};
use wasmtime_wasi::{
    p3::{
        bindings::sockets::{
            ip_name_lookup::{self, ErrorCode as NameError},
            types::{self, ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress},
        },
        sockets::{SocketError, SocketResult},
    },
    sockets::{TcpSocket, UdpSocket},
};

/// As in WASI 0.2: the handles are wasmtime's, what stands behind them is ours.
fn socket(handle: &Resource<TcpSocket>) -> Resource<Socket> {
    Resource::new_borrow(handle.rep())
}

fn code(fault: Fault) -> ErrorCode {
    match fault {
        Fault::Denied | Fault::Over => ErrorCode::AccessDenied,
        Fault::Argument => ErrorCode::InvalidArgument,
        Fault::State | Fault::Busy | Fault::Idle | Fault::WouldBlock => ErrorCode::InvalidState,
        Fault::Name => ErrorCode::RemoteUnreachable,
        Fault::Refused => ErrorCode::ConnectionRefused,
        Fault::Timeout => ErrorCode::Timeout,
        Fault::Broken => ErrorCode::ConnectionReset,
    }
}

impl From<Fault> for SocketError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Over => Self::trap(fault),
            other => code(other).into(),
        }
    }
}

impl From<IpAddressFamily> for Family {
    fn from(family: IpAddressFamily) -> Self {
        match family {
            IpAddressFamily::Ipv4 => Self::V4,
            IpAddressFamily::Ipv6 => Self::V6,
        }
    }
}

impl types::Host for View<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }
}

impl ip_name_lookup::Host for View<'_> {}

impl<U> ip_name_lookup::HostWithStore<U> for HasSockets {
    async fn resolve_addresses(
        store: &Accessor<U, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<IpAddress>, NameError>> {
        let asked = store.with(|mut access| {
            let view = access.get();
            look_up(&name, &*view.way, view.tape)
        });
        let answer = match asked {
            Ok(answer) => answer.await,
            Err(fault) => Err(fault),
        };
        match answer {
            Ok(addresses) => Ok(Ok(addresses.into_iter().map(Into::into).collect())),
            Err(Fault::Over) => Err(Fault::Over.into()),
            Err(Fault::Denied) => Ok(Err(NameError::AccessDenied)),
            Err(Fault::Argument) => Ok(Err(NameError::InvalidArgument)),
            Err(Fault::Timeout) => Ok(Err(NameError::TemporaryResolverFailure)),
            Err(_) => Ok(Err(NameError::NameUnresolvable)),
        }
    }
}

/// How a stream ended, for the future beside it.
struct End(Option<oneshot::Sender<Result<(), ErrorCode>>>);

impl End {
    fn came(&mut self, end: Result<(), ErrorCode>) {
        if let Some(sender) = self.0.take() {
            // A guest that does not ask is not told.
            let _ = sender.send(end);
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.came(Ok(()));
    }
}

/// Gives the guest what comes in.
struct Producer {
    incoming: Incoming,
    tape: Arc<Tape>,
    end: End,
}

impl<D> StreamProducer<D> for Producer {
    type Item = u8;
    type Buffer = bytes::BytesMut;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        to: Destination<'a, u8, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = &mut *self;
        if this.incoming.poll_ready(cx).is_pending() {
            return match finish {
                true => Poll::Ready(Ok(StreamResult::Cancelled)),
                false => Poll::Pending,
            };
        }
        // Of length zero, it only asks whether there is something.
        if to.remaining(store.as_context_mut()) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut to = to.as_direct(store, CHUNK);
        let room = to.remaining();
        match ready!(this.incoming.poll_read(cx, room.len())) {
            Ok(bytes) if bytes.is_empty() => {
                this.end.came(Ok(()));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
            Ok(bytes) => {
                room[..bytes.len()].copy_from_slice(&bytes);
                to.mark_written(bytes.len());
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Err(error) => {
                let fault = Fault::of_stream(error, &this.tape);
                this.end.came(Err(code(fault)));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
        }
    }
}

/// Sends what the guest gives.
struct Consumer {
    sending: Option<Sending>,
    tape: Arc<Tape>,
    end: End,
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if let Some(sending) = self.sending.take() {
            finish(sending);
        }
    }
}

impl<D> StreamConsumer<D> for Consumer {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        from: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = &mut *self;
        let mut from = from.as_direct(store);
        let bytes = from.remaining();
        let Some(sending) = &mut this.sending else {
            return Poll::Ready(Ok(StreamResult::Dropped));
        };
        if bytes.is_empty() {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match Pin::new(sending).poll_write(cx, &bytes[..bytes.len().min(CHUNK)]) {
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(sent)) => {
                from.mark_read(sent);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(Err(error)) => {
                this.sending = None;
                let fault = Fault::of_stream(error, &this.tape);
                this.end.came(Err(code(fault)));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
        }
    }
}

/// A future that is there already.
fn failed<T>(
    store: &mut Access<'_, T, HasSockets>,
    fault: Fault,
) -> wasmtime::Result<FutureReader<Result<(), ErrorCode>>>
where
    T: 'static,
{
    FutureReader::new(store, async move { wasmtime::error::Ok(Err(code(fault))) })
}

impl<T: Send> types::HostTcpSocketWithStore<T> for HasSockets {
    async fn connect(
        store: &Accessor<T, Self>,
        handle: Resource<TcpSocket>,
        to: IpSocketAddress,
    ) -> SocketResult<()> {
        let to = SocketAddr::from(to);
        store.with(|mut access| -> SocketResult<()> {
            let view = access.get();
            let socket = view
                .table
                .get_mut(&socket(&handle))
                .map_err(SocketError::trap)?;
            Ok(socket.connect(to, &*view.way, view.tape)?)
        })?;
        poll_fn(|cx| {
            store.with(|mut access| -> Poll<SocketResult<()>> {
                let view = access.get();
                let socket = view
                    .table
                    .get_mut(&socket(&handle))
                    .map_err(SocketError::trap)?;
                socket.poll_connected(cx, view.tape).map_err(Into::into)
            })
        })
        .await
    }

    async fn listen(
        _: Access<'_, T, Self>,
        _: Resource<TcpSocket>,
    ) -> SocketResult<StreamReader<Resource<TcpSocket>>> {
        Err(ErrorCode::AccessDenied.into())
    }

    fn send(
        mut store: Access<'_, T, Self>,
        handle: Resource<TcpSocket>,
        mut data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Result<(), ErrorCode>>> {
        let view = store.get();
        let tape = view.tape.clone();
        match view.table.get_mut(&socket(&handle))?.take_sending() {
            Ok(sending) => {
                let (end, ended) = oneshot::channel();
                data.pipe(
                    &mut store,
                    Consumer {
                        sending: Some(sending),
                        tape,
                        end: End(Some(end)),
                    },
                )?;
                FutureReader::new(&mut store, ended)
            }
            Err(fault) => {
                data.close(&mut store)?;
                failed(&mut store, fault)
            }
        }
    }

    fn receive(
        mut store: Access<'_, T, Self>,
        handle: Resource<TcpSocket>,
    ) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Result<(), ErrorCode>>)> {
        let view = store.get();
        let tape = view.tape.clone();
        match view.table.get_mut(&socket(&handle))?.take_receiving() {
            Ok(receiving) => {
                let (end, ended) = oneshot::channel();
                let producer = Producer {
                    incoming: Incoming::new(receiving),
                    tape,
                    end: End(Some(end)),
                };
                Ok((
                    StreamReader::new(&mut store, producer)?,
                    FutureReader::new(&mut store, ended)?,
                ))
            }
            Err(fault) => Ok((
                StreamReader::new(&mut store, iter::empty())?,
                failed(&mut store, fault)?,
            )),
        }
    }
}

/// Settings, each read and written under its name.
macro_rules! settings {
    ($($name:ident, $get:ident, $set:ident: $type:ty;)*) => {$(
        fn $get(&mut self, this: Resource<TcpSocket>) -> SocketResult<$type> {
            Ok(self.socket(&this)?.options.$name)
        }

        fn $set(&mut self, this: Resource<TcpSocket>, value: $type) -> SocketResult<()> {
            self.socket(&this)?.options.$name = value.checked()?;
            Ok(())
        }
    )*};
}

impl View<'_> {
    fn socket(&mut self, handle: &Resource<TcpSocket>) -> SocketResult<&mut Socket> {
        self.table
            .get_mut(&socket(handle))
            .map_err(SocketError::trap)
    }
}

impl types::HostTcpSocket for View<'_> {
    fn create(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let socket = self.table.push(Socket::new(family.into()));
        let socket = socket.map_err(SocketError::trap)?;
        Ok(Resource::new_own(socket.rep()))
    }

    async fn bind(&mut self, _: Resource<TcpSocket>, _: IpSocketAddress) -> SocketResult<()> {
        Err(ErrorCode::AccessDenied.into())
    }

    fn get_local_address(&mut self, this: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.socket(&this)?.local_address()?.into())
    }

    fn get_remote_address(&mut self, this: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.socket(&this)?.remote_address()?.into())
    }

    fn get_is_listening(&mut self, _: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        Ok(false)
    }

    fn get_address_family(
        &mut self,
        this: Resource<TcpSocket>,
    ) -> wasmtime::Result<IpAddressFamily> {
        Ok(match self.table.get(&socket(&this))?.family {
            Family::V4 => IpAddressFamily::Ipv4,
            Family::V6 => IpAddressFamily::Ipv6,
        })
    }

    fn set_listen_backlog_size(&mut self, _: Resource<TcpSocket>, _: u64) -> SocketResult<()> {
        Err(ErrorCode::NotSupported.into())
    }

    settings! {
        keep_alive_enabled, get_keep_alive_enabled, set_keep_alive_enabled: bool;
        keep_alive_idle_time, get_keep_alive_idle_time, set_keep_alive_idle_time: u64;
        keep_alive_interval, get_keep_alive_interval, set_keep_alive_interval: u64;
        keep_alive_count, get_keep_alive_count, set_keep_alive_count: u32;
        hop_limit, get_hop_limit, set_hop_limit: u8;
        receive_buffer_size, get_receive_buffer_size, set_receive_buffer_size: u64;
        send_buffer_size, get_send_buffer_size, set_send_buffer_size: u64;
    }

    fn drop(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Socket>::new_own(this.rep()))?;
        Ok(())
    }
}

/// No socket for UDP is ever made; none of the other calls can come.
impl<T> types::HostUdpSocketWithStore<T> for HasSockets {
    async fn send(
        _: &Accessor<T, Self>,
        _: Resource<UdpSocket>,
        _: Vec<u8>,
        _: Option<IpSocketAddress>,
    ) -> SocketResult<()> {
        closed()
    }

    async fn receive(
        _: &Accessor<T, Self>,
        _: Resource<UdpSocket>,
    ) -> SocketResult<(Vec<u8>, IpSocketAddress)> {
        closed()
    }
}

fn closed<T>() -> SocketResult<T> {
    Err(ErrorCode::AccessDenied.into())
}

impl types::HostUdpSocket for View<'_> {
    async fn create(&mut self, _: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        closed()
    }

    async fn bind(&mut self, _: Resource<UdpSocket>, _: IpSocketAddress) -> SocketResult<()> {
        closed()
    }

    async fn connect(&mut self, _: Resource<UdpSocket>, _: IpSocketAddress) -> SocketResult<()> {
        closed()
    }

    fn disconnect(&mut self, _: Resource<UdpSocket>) -> SocketResult<()> {
        closed()
    }

    fn get_local_address(&mut self, _: Resource<UdpSocket>) -> SocketResult<IpSocketAddress> {
        closed()
    }

    fn get_remote_address(&mut self, _: Resource<UdpSocket>) -> SocketResult<IpSocketAddress> {
        closed()
    }

    fn get_address_family(&mut self, _: Resource<UdpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Err(Fault::Denied.into())
    }

    fn get_unicast_hop_limit(&mut self, _: Resource<UdpSocket>) -> SocketResult<u8> {
        closed()
    }

    fn set_unicast_hop_limit(&mut self, _: Resource<UdpSocket>, _: u8) -> SocketResult<()> {
        closed()
    }

    fn get_receive_buffer_size(&mut self, _: Resource<UdpSocket>) -> SocketResult<u64> {
        closed()
    }

    fn set_receive_buffer_size(&mut self, _: Resource<UdpSocket>, _: u64) -> SocketResult<()> {
        closed()
    }

    fn get_send_buffer_size(&mut self, _: Resource<UdpSocket>) -> SocketResult<u64> {
        closed()
    }

    fn set_send_buffer_size(&mut self, _: Resource<UdpSocket>, _: u64) -> SocketResult<()> {
        closed()
    }

    fn drop(&mut self, _: Resource<UdpSocket>) -> wasmtime::Result<()> {
        Ok(())
    }
}
