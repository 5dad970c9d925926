//! The way out of a visit to the network, as the imports see it.
//!
//! Behind it stands the egress, in this process or, for a runner process, in the host's. Nothing here
//! decides anything: a [`Way`] is asked for each call, and what it refuses is refused.

pub use crate::effect::Failure;

use crate::{
    limits::Limit,
    visit::{Millis, Violation},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

/// Gives each visit its way out, when the guest first asks for one.
pub trait Egress: Send + Sync + 'static {
    /// The way out of one visit. Dropping it ends what the guest was still reading; a request that is
    /// being sent goes on to its end.
    fn enter(&self, visit: &Arc<crate::visit::Visit>) -> Arc<dyn Way>;
}

/// Where the egress finds secrets, when a call is about to leave.
pub trait Vault: Send + Sync + 'static {
    /// The secret of this name; none where there is none. Blocks.
    ///
    /// # Errors
    /// When the place where it is kept cannot be read; the text never holds a part of it.
    fn secret(&self, name: &str) -> std::io::Result<Option<Zeroizing<String>>>;
}

/// A body in either direction; its error ends it.
pub type WayBody = UnsyncBoxBody<Bytes, Refusal>;

/// How long the guest wants to wait; the grant's own `timeout` bounds it as well.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patience {
    /// For the connection.
    pub connect: Option<Duration>,
    /// For the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// Between two bytes of the answer.
    pub between_bytes: Option<Duration>,
}

/// When an answer came: beside its head, where it is kept in the effect log. The guest's clock is moved to
/// it, so that a run that gets the same answer later reads the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CameAt(pub Millis);

/// A connection, counted and checked. What is written goes out by itself, without a flush. Where the
/// egress ends it, its error is a [`Refusal`] inside of [`std::io::Error`].
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// The way out of one visit.
pub trait Way: Send + Sync + 'static {
    /// Sends a request, whose URI is absolute, and waits for the head of its answer.
    fn send(
        &self,
        request: Request<WayBody>,
        patience: Patience,
    ) -> BoxFuture<'static, Result<Response<WayBody>, Refusal>>;

    /// Looks a name up. The answer holds for the visit: it is what [`Self::connect`] admits.
    fn look_up(&self, name: String) -> BoxFuture<'static, Result<Vec<IpAddr>, Refusal>>;

    /// Connects to an address that stands in a grant or that a look-up of the visit gave.
    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, Result<Box<dyn Connection>, Refusal>>;
}

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// It is not granted, and that ends the visit.
    #[error("`{}`: {}", .0.what, .0.why)]
    Violation(Violation),
    /// It is not granted, and the station's `violation = "deny"` makes that an error in the guest.
    #[error("`{}`: {}", .0.what, .0.why)]
    Denied(Violation),
    /// The visit ran into a limit.
    #[error("over the limit `{}`", .0.key())]
    Over(Limit),
    /// It was granted and failed.
    #[error("granted, and failed: {0:?}")]
    Failed(Failure),
    /// The visit does other than before, which ends it. The text says what.
    #[error("{0}")]
    Diverged(String),
    /// Nobody knows whether it was done before, which ends the visit. The text says what.
    #[error("{0}")]
    Unknown(String),
}
