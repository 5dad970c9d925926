//! `wasi:sockets`, 0.2 and 0.3, over the visit's way out: no socket of the system is opened here.
//!
//! A station may look granted names up and connect to granted places over TCP; it can neither listen
//! nor speak UDP. What is granted is decided behind the [`Way`], never here. The guest learns nothing
//! of the host's own addresses.

mod names;
mod p2;
mod p3;
mod socket;
mod streams;
#[cfg(test)]
mod tests;

use crate::sandbox::{
    state::State,
    tape::Tape,
    way::{Failure, Refusal, Way},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};
use wasmtime::component::{HasData, Linker, ResourceTable};

struct HasSockets;

impl HasData for HasSockets {
    type Data<'a> = View<'a>;
}

/// What the calls need of a visit's state.
struct View<'a> {
    table: &'a mut ResourceTable,
    way: Arc<dyn Way>,
    tape: &'a Arc<Tape>,
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    fn view(state: &mut State) -> View<'_> {
        View {
            way: state.out.way().clone(),
            table: &mut state.table,
            tape: &state.tape,
        }
    }
    use wasmtime_wasi::{
        p2::bindings::{LinkOptions, sockets as old},
        p3::bindings::sockets as new,
    };
    let options = (&LinkOptions::default()).into();
    old::network::add_to_linker::<_, HasSockets>(linker, &options, view)?;
    old::instance_network::add_to_linker::<_, HasSockets>(linker, view)?;
    old::ip_name_lookup::add_to_linker::<_, HasSockets>(linker, view)?;
    old::tcp_create_socket::add_to_linker::<_, HasSockets>(linker, view)?;
    old::tcp::add_to_linker::<_, HasSockets>(linker, view)?;
    // No socket for UDP is ever made, so what could be done with one needs no stand-in.
    old::udp_create_socket::add_to_linker::<_, HasSockets>(linker, view)?;
    new::types::add_to_linker::<_, HasSockets>(linker, view)?;
    new::ip_name_lookup::add_to_linker::<_, HasSockets>(linker, view)?;
    Ok(())
}

/// Which addresses a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn of(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(_) => Self::V4,
            SocketAddr::V6(_) => Self::V6,
        }
    }

    /// What a guest is told of its own end.
    fn unspecified(self) -> SocketAddr {
        let address: IpAddr = match self {
            Self::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        (address, 0).into()
    }
}

/// Why a call came to nothing; both versions of WASI have a code for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("not granted")]
    Denied,
    #[error("invalid argument")]
    Argument,
    #[error("invalid state")]
    State,
    #[error("a connection is being made")]
    Busy,
    #[error("no connection is being made")]
    Idle,
    #[error("not yet")]
    WouldBlock,
    #[error("the name is not known")]
    Name,
    #[error("nobody answered")]
    Refused,
    #[error("it took too long")]
    Timeout,
    #[error("the connection broke off")]
    Broken,
    /// It ended the visit: what the guest is told does not matter any more.
    #[error("the visit is over")]
    Over,
}

impl Fault {
    /// What a refusal is to the guest. One that ends the visit is put on the tape.
    fn of(refusal: Refusal, tape: &Tape) -> Self {
        tape.refused(&refusal);
        match refusal {
            Refusal::Denied(_) => Self::Denied,
            Refusal::Failed(failure) => match failure {
                Failure::Name => Self::Name,
                Failure::Timeout => Self::Timeout,
                Failure::Connect => Self::Refused,
                Failure::Broken
                | Failure::Tls
                | Failure::Protocol
                | Failure::Request
                | Failure::TooLong => Self::Broken,
            },
            Refusal::Violation(_)
            | Refusal::Over(_)
            | Refusal::Diverged(_)
            | Refusal::Unknown(_) => Self::Over,
        }
    }

    /// The same of a connection that fails while it is used.
    fn of_stream(error: std::io::Error, tape: &Tape) -> Self {
        match error.downcast::<Refusal>() {
            Ok(refusal) => Self::of(refusal, tape),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Self::Timeout,
            Err(_) => Self::Broken,
        }
    }
}
