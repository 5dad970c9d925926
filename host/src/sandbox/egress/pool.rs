//! Kept connections of one station, by address, scheme, host, grant and secrets: who may use one is
//! who might have opened it.

use super::spool::Spool;
use crate::grant::{Host, Scheme};
use hyper::client::conn::http1::SendRequest;
use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The most connections of a station that are kept while nobody uses them.
const MOST: usize = 64;
/// How long one is kept; servers keep theirs about as long.
const LONGEST: Duration = Duration::from_secs(30);

/// What a connection is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Purpose {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    pub(super) port: u16,
    /// The position of the line's grant.
    pub(super) grant: usize,
    /// The names of the secrets that are put in.
    pub(super) secrets: Vec<String>,
}

/// A connection that speaks HTTP.
pub(super) struct Kept {
    pub(super) purpose: Purpose,
    pub(super) address: SocketAddr,
    pub(super) sender: SendRequest<Spool>,
}

/// The connections that nobody uses, the one that was used last at the end.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<(Instant, Kept)>>);

impl Pool {
    /// A connection for this purpose to one of these addresses.
    pub(super) fn take(&self, purpose: &Purpose, addresses: &[SocketAddr]) -> Option<Kept> {
        let mut kept = self.kept();
        sweep(&mut kept);
        let fits = |(_, kept): &(Instant, Kept)| {
            kept.purpose == *purpose && addresses.contains(&kept.address)
        };
        let at = kept.iter().rposition(fits)?;
        Some(kept.remove(at).1)
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn put(&self, connection: Kept) {
        let mut kept = self.kept();
        sweep(&mut kept);
        if kept.len() == MOST {
            kept.remove(0);
        }
        kept.push((Instant::now(), connection));
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(Instant, Kept)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sweep(kept: &mut Vec<(Instant, Kept)>) {
    kept.retain(|(since, kept)| since.elapsed() < LONGEST && !kept.sender.is_closed());
}
