//! The daemon's API: HTTP and JSON over the socket in the state folder, and over loopback where that is
//! wanted. It carries out nothing itself: every order goes to [`Control`].
//!
//! A request comes in by one of the `doors`, is let through by the one `gate`, and is answered by one of
//! the `routes`. [`client`] is the other side of the socket.

mod bodies;
pub mod client;
mod doors;
mod events;
mod failure;
mod gate;
mod logs;
mod metrics;
mod routes;
pub mod socket;
pub mod tokens;

#[cfg(test)]
mod tests;

pub use doors::user;
pub use events::Event;
pub use logs::{LogError, Logged, logged, recent};
pub use routes::{Accepted, Drain, Outcome, ResultView, moment, openapi};

use crate::lines::{Condition, Control, LineNotice, State};
use doors::Patience;
use events::Events;
use socket::{Socket, SocketError};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokens::Known;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{broadcast, watch},
    task::JoinSet,
};

/// What is served.
pub struct Served {
    /// Carries out orders.
    pub control: Arc<dyn Control>,
    /// Where results and logs are.
    pub state: State,
    /// What happens.
    pub notices: broadcast::Receiver<Arc<LineNotice>>,
    /// Whether the lines run.
    pub condition: watch::Receiver<Condition>,
}

/// What every route works with.
struct Api {
    control: Arc<dyn Control>,
    state: State,
    condition: watch::Receiver<Condition>,
    events: Arc<Events>,
    /// Signalled when followers and waiters have to end.
    stop: watch::Receiver<bool>,
    /// Set when somebody asks to drain: within what time.
    drain: watch::Sender<Option<Duration>>,
}

/// Waits until the daemon stops: a sender that is gone has stopped as well.
async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There is no socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Others than this machine would be let in.
    #[error(
        "`{0}` is no address of loopback\n  hint: `127.0.0.1:PORT`; to be reached from elsewhere, put something that encrypts before it"
    )]
    NotLoopback(SocketAddr),
    /// The address is not to be had.
    #[error("cannot listen on `{0}`: {1}")]
    Listen(SocketAddr, io::Error),
}

/// Whether the daemon may listen on this address.
///
/// # Errors
/// When it is none of loopback.
pub fn loopback(address: SocketAddr) -> Result<(), ServeError> {
    match address.ip().is_loopback() {
        true => Ok(()),
        false => Err(ServeError::NotLoopback(address)),
    }
}

/// A daemon's API while it is open.
pub struct Server {
    /// Where it is reached over TCP.
    pub address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    asked: watch::Receiver<Option<Duration>>,
    doors: JoinSet<()>,
    _socket: Socket,
}

impl Server {
    /// Opens the socket of the state folder, and `listen` where it is given. The caller holds the state
    /// folder's lock until the server is gone.
    ///
    /// # Errors
    /// When one of the two cannot be opened.
    pub async fn open(served: Served, listen: Option<SocketAddr>) -> Result<Self, ServeError> {
        Self::open_within(served, listen, Patience::default()).await
    }

    async fn open_within(
        served: Served,
        listen: Option<SocketAddr>,
        patience: Patience,
    ) -> Result<Self, ServeError> {
        listen.map_or(Ok(()), loopback)?;
        let tcp = match listen {
            None => None,
            Some(address) => {
                let failed = |error| ServeError::Listen(address, error);
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                let address = listener.local_addr().map_err(failed)?;
                Some((listener, address))
            }
        };
        let (socket, unix) = Socket::make(&served.state.folder)?;
        let unix = UnixListener::from_std(unix).map_err(|reason| SocketError::System {
            doing: "listen on",
            path: socket::path(&served.state.folder),
            reason,
        })?;
        let known = Arc::new(Known::of(&served.state.folder));
        let (stop, stopped) = watch::channel(false);
        let (drain, asked) = watch::channel(None);
        let events = Events::new(crate::conveyor::wall_clock());
        let api = Arc::new(Api {
            control: served.control,
            state: served.state,
            condition: served.condition,
            events: events.clone(),
            stop: stopped.clone(),
            drain,
        });
        let router = routes::router(api, known);
        let mut doors = JoinSet::new();
        tokio::spawn(events.listen(served.notices));
        doors.spawn(doors::open(unix, router.clone(), patience, stopped.clone()));
        let address = tcp.map(|(listener, address)| {
            doors.spawn(doors::open(listener, router, patience, stopped));
            address
        });
        Ok(Self {
            address,
            stop,
            asked,
            doors,
            _socket: socket,
        })
    }

    /// Waits until a caller asks to drain: the time within which.
    pub async fn asked_to_drain(&mut self) -> Duration {
        match self.asked.wait_for(Option::is_some).await {
            Ok(asked) => asked.unwrap_or_default(),
            // Nobody can ask any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes no more requests, and lets those under way be answered.
    pub async fn close(mut self) {
        self.stop.send_replace(true);
        while self.doors.join_next().await.is_some() {}
    }
}
