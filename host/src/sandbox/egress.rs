//! The egress: the one way out to the network, and the only room that opens sockets.
//!
//! Each call is decided by the rights of its station, over the parsed URL and then over the
//! addresses that its name led to; just these are dialled. No proxy is used and no redirect
//! followed: a redirect is the guest's to follow, by a call of its own. Secrets are put in here and
//! looked for in what comes back. Knows nothing of guests and their imports, and decides nothing
//! itself: that is done in `grant`.

mod answer;
mod book;
mod dial;
mod exchange;
mod head;
mod interim;
mod names;
mod passage;
mod played;
mod pool;
pub mod post;
mod rate;
mod recording;
mod redact;
mod secrets;
mod spool;
mod tcp;
#[cfg(test)]
mod tests;
mod unpack;

pub use book::{Log, Played};
pub use exchange::Exchange;
pub use passage::Closed;

use super::way::{Egress, Vault, Way};
use crate::{
    audit::{Auditor, Entry},
    digest::Digest,
    grant::{Rates, Rights},
    limits::Limits,
    line::OnViolation,
    name::Name,
    visit::{Millis, Visit},
};
use passage::Passage;
use pool::Pool;
use rate::Paced;
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// What the egress is given.
pub struct Means {
    /// Where secrets are found.
    pub vault: Arc<dyn Vault>,
    /// Who takes down what was allowed and denied.
    pub auditor: Arc<dyn Auditor>,
    /// Servers to ask for names, over UDP and TCP, instead of those of the system; all of them at
    /// their port. The system's file of hosts is looked at in either case.
    pub resolvers: Vec<SocketAddr>,
    /// The time, for the audit and the effect log.
    pub clock: fn() -> Millis,
    /// Where effects are kept; without it every call leaves, and nothing is known of it afterwards.
    pub log: Option<Log>,
}

/// What the egress has to know of a station.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What it may do.
    pub rights: Rights,
    /// How fast it may do it, all its visits together.
    pub rate: Rates,
    /// The limits of one visit; of them `requests`, `sent` and `received` are kept here.
    pub limits: Limits,
    /// What a call leads to that is not granted.
    pub violation: OnViolation,
    /// The digest of its component.
    pub component: Digest,
    /// Where a grant would be added: `review/line.toml:14`.
    pub granted_at: String,
}

/// Which station of which revision of which line.
type Key = (Name, u64, Name);

/// The gate that calls leave by.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

/// The gate's own.
struct Inner {
    means: Means,
    names: names::Names,
    dialler: dial::Dialler,
    under_way: Arc<Semaphore>,
    stations: RwLock<HashMap<Key, Arc<Outlet>>>,
}

/// Exchanges under way at the same time, of one station: what each keeps of the host's (a connection, a
/// body that is being sent) outlasts a guest that goes away, so it is bounded by itself.
const OF_STATION: usize = 64;
/// The same of all stations together.
const OF_ALL: u32 = 1024;

/// What all visits of a station share.
struct Outlet {
    under_way: Arc<Semaphore>,
    terms: Terms,
    // Shared by all revisions on which the station has the same pace.
    requests: Arc<Paced>,
    connections: Arc<Paced>,
    bytes: Arc<Paced>,
    pool: Pool,
}

impl Gate {
    /// A gate that lets no station through yet.
    pub fn new(means: Means) -> Self {
        Self(Arc::new(Inner {
            names: names::Names::new(means.resolvers.clone()),
            dialler: dial::Dialler::default(),
            means,
            under_way: Arc::new(Semaphore::new(OF_ALL as usize)),
            stations: RwLock::default(),
        }))
    }

    /// Waits until no request is under way any more. Each has its `timeout`, so that it ends.
    pub async fn settled(&self) {
        // It is never closed; if it were, there would be nothing to wait for.
        drop(self.0.under_way.acquire_many(OF_ALL).await);
    }

    /// Lets a station through on these terms. Visits that are under way go on as they began. What another
    /// revision used up of the same pace stays used up.
    pub fn admit(&self, line: &Name, revision: u64, station: &Name, terms: Terms) {
        let mut stations = (self.0.stations.write()).unwrap_or_else(PoisonError::into_inner);
        let others = (stations.iter())
            .filter(|((of, _, name), _)| of == line && name == station)
            .map(|(_, outlet)| outlet);
        let rate = &terms.rate;
        let (mut requests, mut connections, mut bytes) = (None, None, None);
        for other in others {
            let theirs = &other.terms.rate;
            let same = |same: bool, paced: &Arc<Paced>| same.then(|| paced.clone());
            requests = requests.or(same(theirs.requests == rate.requests, &other.requests));
            connections = connections.or(same(
                theirs.connections == rate.connections,
                &other.connections,
            ));
            bytes = bytes.or(same(theirs.bytes == rate.bytes, &other.bytes));
        }
        let outlet = Outlet {
            under_way: Arc::new(Semaphore::new(OF_STATION)),
            requests: requests.unwrap_or_else(|| Arc::new(Paced::new(rate.requests))),
            connections: connections.unwrap_or_else(|| Arc::new(Paced::new(rate.connections))),
            bytes: bytes.unwrap_or_else(|| Arc::new(Paced::new(rate.bytes))),
            pool: Pool::default(),
            terms,
        };
        stations.insert((line.clone(), revision, station.clone()), Arc::new(outlet));
    }
}

impl Gate {
    /// Lets the stations of a revision through no more. Visits that are under way go on as they began.
    pub fn dismiss(&self, line: &Name, revision: u64) {
        let mut stations = (self.0.stations.write()).unwrap_or_else(PoisonError::into_inner);
        stations.retain(|(theirs, number, _), _| theirs != line || *number != revision);
    }
}

impl Egress for Gate {
    fn enter(&self, visit: &Arc<Visit>) -> Arc<dyn Way> {
        let key = (visit.line.clone(), visit.revision, visit.station.clone());
        let stations = (self.0.stations.read()).unwrap_or_else(PoisonError::into_inner);
        match stations.get(&key) {
            Some(outlet) => Arc::new(Passage::new(self.0.clone(), outlet.clone(), visit.clone())),
            None => Arc::new(Closed),
        }
    }
}

/// A vault with nothing in it.
pub struct NoSecrets;

impl Vault for NoSecrets {
    fn secret(&self, _: &str) -> io::Result<Option<Zeroizing<String>>> {
        Ok(None)
    }
}

/// An auditor that keeps nothing: for a check, a bench.
pub struct Unaudited;

impl Auditor for Unaudited {
    fn note(&self, _: Vec<Entry>) {}
}
