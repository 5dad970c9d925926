//! What a line gives a station, what the operator allows at most, and the pure decisions over both.
//!
//! A grant opens one thing; everything that no grant names stays closed. The effective right is what
//! the line grants *and* the operator's ceiling admits: both are asked for each call, so that it is
//! never wider than either. Knows nothing of how a call is made or stopped.

mod address;
mod folder;
mod http;
mod left;
mod path;
mod rate;
mod rights;
mod secret;
mod target;
mod tcp;

pub use address::{AddressClass, BadAddress, address_class, admit_address};
pub use folder::{Access, BadGuestPath, Mount, SAYING, STATE, guest_path, hosts_own, within};
pub use http::{BadRule, HttpGrant, HttpRule, Methods};
pub use left::{Lack, Left};
pub use rate::{BadPace, Pace, Rates};
pub use rights::{Ceiling, Denied, HttpGiven, Rights, TcpGiven};
pub use secret::{BadHeader, SecretGrant, SecretPlace};
pub use target::{BadTarget, Host, HostPattern, Scheme, Target};
pub use tcp::{BadTcpRule, TcpGrant, TcpRule};

use serde::{Deserialize, Serialize};

/// The entries of a list that nothing comes to, each with the entry before it that is for all of its calls.
pub fn unreached<T>(list: &[T], covers: impl Fn(&T, &T) -> bool) -> Vec<(usize, usize)> {
    (1..list.len())
        .filter_map(|n| {
            let before = (0..n).find(|before| covers(&list[*before], &list[n]))?;
            Some((n, before))
        })
        .collect()
}

/// All that a station is given beside its item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Grants {
    /// Mounted folders.
    pub fs: Vec<Mount>,
    /// Calls over HTTP.
    pub http: Vec<HttpGrant>,
    /// Connections over TCP.
    pub tcp: Vec<TcpGrant>,
    /// Secrets, each for one destination.
    pub secrets: Vec<SecretGrant>,
}

#[cfg(test)]
mod tests;
