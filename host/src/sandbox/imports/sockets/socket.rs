//! A socket for TCP as the guest sees it: what it is connected to, and its settings.

use super::{Family, Fault};
use crate::sandbox::{
    tape::Tape,
    way::{Connection, Refusal, Way},
};
use futures::{
    FutureExt as _,
    future::{BoxFuture, MaybeDone, maybe_done},
    task::noop_waker_ref,
};
use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{ReadHalf, WriteHalf};

/// A context for calls that must not wait.
pub(super) fn at_once() -> Context<'static> {
    Context::from_waker(noop_waker_ref())
}

/// One direction of a connection each.
pub(super) type Receiving = ReadHalf<Box<dyn Connection>>;
pub(super) type Sending = WriteHalf<Box<dyn Connection>>;

type Attempt = MaybeDone<BoxFuture<'static, Result<Box<dyn Connection>, Refusal>>>;

/// A socket.
pub(super) struct Socket {
    pub(super) family: Family,
    pub(super) options: Options,
    state: State,
}

enum State {
    New,
    Connecting {
        to: SocketAddr,
        attempt: Attempt,
    },
    Connected {
        to: SocketAddr,
        receiving: Option<Receiving>,
        sending: Option<Sending>,
    },
    Failed,
}

impl Socket {
    pub(super) fn new(family: Family) -> Self {
        Self {
            family,
            options: Options::default(),
            state: State::New,
        }
    }

    /// Begins to connect.
    pub(super) fn connect(
        &mut self,
        to: SocketAddr,
        way: &dyn Way,
        tape: &Arc<Tape>,
    ) -> Result<(), Fault> {
        match self.state {
            State::New => {}
            State::Connecting { .. } => return Err(Fault::Busy),
            State::Connected { .. } | State::Failed => return Err(Fault::State),
        }
        if Family::of(to) != self.family || to.port() == 0 || to.ip().is_unspecified() {
            return Err(Fault::Argument);
        }
        let mut attempt = maybe_done(way.connect(to));
        // Begun now, whether the guest asks how it goes or not; and what ends the visit does so here.
        let _ = attempt.poll_unpin(&mut at_once());
        self.state = State::Connecting { to, attempt };
        if let State::Connecting { attempt, .. } = &mut self.state
            && let Some(Err(Refusal::Violation(_) | Refusal::Over(_))) =
                Pin::new(attempt).output_mut()
            && let Poll::Ready(Err(fault)) = self.poll_connected(&mut at_once(), tape)
        {
            return Err(fault);
        }
        Ok(())
    }

    /// Waits until the attempt has come to its end; how, is for [`Self::poll_connected`].
    pub(super) fn poll_attempt(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Connecting { attempt, .. } => attempt.poll_unpin(cx),
            State::New | State::Connected { .. } | State::Failed => Poll::Ready(()),
        }
    }

    /// How the attempt ended.
    pub(super) fn poll_connected(
        &mut self,
        cx: &mut Context<'_>,
        tape: &Tape,
    ) -> Poll<Result<(), Fault>> {
        let State::Connecting { to, attempt } = &mut self.state else {
            return Poll::Ready(Err(Fault::Idle));
        };
        ready!(attempt.poll_unpin(cx));
        let (to, came) = (*to, Pin::new(attempt).take_output());
        self.state = State::Failed;
        Poll::Ready(match came {
            Some(Ok(connection)) => {
                let (receiving, sending) = tokio::io::split(connection);
                self.state = State::Connected {
                    to,
                    receiving: Some(receiving),
                    sending: Some(sending),
                };
                Ok(())
            }
            Some(Err(refusal)) => Err(Fault::of(refusal, tape)),
            None => Err(Fault::State),
        })
    }

    /// The direction towards the guest; once.
    pub(super) fn take_receiving(&mut self) -> Result<Receiving, Fault> {
        match &mut self.state {
            State::Connected { receiving, .. } => receiving.take().ok_or(Fault::State),
            _ => Err(Fault::State),
        }
    }

    /// The direction from the guest; once.
    pub(super) fn take_sending(&mut self) -> Result<Sending, Fault> {
        match &mut self.state {
            State::Connected { sending, .. } => sending.take().ok_or(Fault::State),
            _ => Err(Fault::State),
        }
    }

    /// What the guest is told of its own end: nothing.
    pub(super) fn local_address(&self) -> Result<SocketAddr, Fault> {
        self.remote_address().map(|_| self.family.unspecified())
    }

    /// What the guest connected to.
    pub(super) fn remote_address(&self) -> Result<SocketAddr, Fault> {
        match &self.state {
            State::Connected { to, .. } => Ok(*to),
            _ => Err(Fault::State),
        }
    }
}

/// Settings that the guest reads as it wrote them. They are wishes: how the host treats its
/// connections is the host's affair.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) keep_alive_enabled: bool,
    /// In nanoseconds, as the interval.
    pub(super) keep_alive_idle_time: u64,
    pub(super) keep_alive_interval: u64,
    pub(super) keep_alive_count: u32,
    pub(super) hop_limit: u8,
    pub(super) receive_buffer_size: u64,
    pub(super) send_buffer_size: u64,
}

impl Default for Options {
    /// What Linux begins with.
    fn default() -> Self {
        Self {
            keep_alive_enabled: false,
            keep_alive_idle_time: 7_200_000_000_000,
            keep_alive_interval: 75_000_000_000,
            keep_alive_count: 9,
            hop_limit: 64,
            receive_buffer_size: super::streams::CHUNK as u64,
            send_buffer_size: super::streams::CHUNK as u64,
        }
    }
}

/// A setting as it may be set: zero stands for nothing in any of the numbers.
pub(super) trait Setting: Copy {
    /// Itself, if it may be set.
    fn checked(self) -> Result<Self, Fault>;
}

macro_rules! settings {
    ($($number:ty),*) => {$(
        impl Setting for $number {
            fn checked(self) -> Result<Self, Fault> {
                if self == 0 { Err(Fault::Argument) } else { Ok(self) }
            }
        }
    )*};
}

settings!(u8, u32, u64);

impl Setting for bool {
    fn checked(self) -> Result<Self, Fault> {
        Ok(self)
    }
}
