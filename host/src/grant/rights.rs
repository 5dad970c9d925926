//! What a station may really do: what its line grants and the operator's ceiling admits.

use super::{
    Grants, HttpGrant, SecretGrant, TcpGrant,
    address::{BadAddress, admit_address},
    target::{Host, Target},
};
use core::net::IpAddr;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the operator allows at most, in every line of the factory. What it does not name is closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceiling {
    /// As in a line; `guest`, and the headers of secrets, are not looked at.
    pub grants: Grants,
    /// Whether lines may name programs of this host that are told of jams and holds.
    #[serde(default)]
    pub commands: bool,
}

/// The effective rights of one station.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// What the line grants.
    pub grants: Grants,
    /// What the operator allows at most; without it, all that the line grants.
    pub ceiling: Option<Ceiling>,
}

/// Why a call is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The line does not grant it.
    #[error("no grant of the station's line is for it")]
    NotGranted,
    /// The line grants it, and the ceiling does not admit it.
    #[error("`{0}` of the line grants it, and the ceiling of `andon.toml` does not admit it")]
    Ceiling(String),
    /// The address is not one that the grant opens.
    #[error(transparent)]
    Address(#[from] BadAddress),
}

/// What a granted call over HTTP may do: the narrower of line and ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpGiven<'r> {
    /// The line's grant: the first that is for the call.
    pub grant: &'r HttpGrant,
    ceiling: Option<&'r HttpGrant>,
}

impl<'r> HttpGiven<'r> {
    /// The ceiling's entry that admits it: the first that is for the call.
    pub fn ceiling(&self) -> Option<&'r HttpGrant> {
        self.ceiling
    }

    /// The longest answer, in bytes.
    pub fn max_response(&self) -> u64 {
        let ceiling = self.ceiling.map_or(u64::MAX, |c| c.max_response);
        self.grant.max_response.min(ceiling)
    }

    /// From the call to the end of its answer.
    pub fn timeout(&self) -> Duration {
        let ceiling = self.ceiling.map_or(Duration::MAX, |c| c.timeout);
        self.grant.timeout.min(ceiling)
    }

    /// Whether an address, that the host's name led to or that stands in the URL, may be dialled.
    ///
    /// # Errors
    /// When it may not.
    pub fn admit(&self, address: IpAddr) -> Result<(), BadAddress> {
        admit_address(address, &self.grant.rule.host, self.grant.private)?;
        match self.ceiling {
            Some(ceiling) => admit_address(address, &ceiling.rule.host, ceiling.private),
            None => Ok(()),
        }
    }
}

/// What a granted connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpGiven<'r> {
    /// The line's grant.
    pub grant: &'r TcpGrant,
    ceiling: Option<&'r TcpGrant>,
}

impl<'r> TcpGiven<'r> {
    /// The ceiling's entry that admits it: the first that is for the connection.
    pub fn ceiling(&self) -> Option<&'r TcpGrant> {
        self.ceiling
    }

    /// Whether an address may be dialled; as for HTTP.
    ///
    /// # Errors
    /// When it may not.
    pub fn admit(&self, address: IpAddr) -> Result<(), BadAddress> {
        admit_address(address, &self.grant.rule.host, self.grant.private)?;
        match self.ceiling {
            Some(ceiling) => admit_address(address, &ceiling.rule.host, ceiling.private),
            None => Ok(()),
        }
    }
}

impl Rights {
    /// Whether a call may be made, as far as its URL tells; the address is asked for afterwards.
    ///
    /// # Errors
    /// When it may not.
    pub fn http(&self, method: &str, target: &Target) -> Result<HttpGiven<'_>, Denied> {
        let ambiguous = target.ambiguous();
        let fits = |grant: &&HttpGrant| grant.rule.admits_known(method, target, ambiguous);
        let grant = self
            .grants
            .http
            .iter()
            .find(fits)
            .ok_or(Denied::NotGranted)?;
        let ceiling = match &self.ceiling {
            None => None,
            Some(ceiling) => match ceiling.grants.http.iter().find(fits) {
                None => return Err(Denied::Ceiling(grant.rule.to_string())),
                some => some,
            },
        };
        Ok(HttpGiven { grant, ceiling })
    }

    /// Whether a connection may be made to `port` of `host`, a name or a literal address.
    ///
    /// # Errors
    /// When it may not.
    pub fn tcp(&self, host: &Host, port: u16) -> Result<TcpGiven<'_>, Denied> {
        let fits = |grant: &&TcpGrant| grant.rule.port == port && grant.rule.host.admits(host);
        let grant = self
            .grants
            .tcp
            .iter()
            .find(fits)
            .ok_or(Denied::NotGranted)?;
        let ceiling = match &self.ceiling {
            None => None,
            Some(ceiling) => match ceiling.grants.tcp.iter().find(fits) {
                None => return Err(Denied::Ceiling(grant.rule.to_string())),
                some => some,
            },
        };
        Ok(TcpGiven { grant, ceiling })
    }

    /// Whether a name may be looked up: only one that a connection over TCP is granted to. HTTP needs
    /// no look-up by the guest, and a name that is looked up is a message to whoever owns it.
    ///
    /// # Errors
    /// When it may not.
    pub fn look_up(&self, name: &str) -> Result<(), Denied> {
        let host = Host::Name(name.into());
        let mut denied = Denied::NotGranted;
        for grant in &self.grants.tcp {
            match self.tcp(&host, grant.rule.port) {
                Ok(_) => return Ok(()),
                Err(other @ Denied::Ceiling(_)) => denied = other,
                Err(_) => {}
            }
        }
        Err(denied)
    }

    /// The secrets that are put into a call: for each place the first of the line's that is for it.
    pub fn secrets<'r>(
        &'r self,
        method: &'r str,
        target: &'r Target,
    ) -> impl Iterator<Item = &'r SecretGrant> {
        let fits = move |grant: &&SecretGrant| grant.r#for.admits(method, target);
        let all = &self.grants.secrets;
        all.iter()
            .enumerate()
            .filter(move |(n, grant)| {
                let taken = |before: &SecretGrant| before.place == grant.place && fits(&before);
                fits(grant) && !all[..*n].iter().any(taken)
            })
            .map(|(_, grant)| grant)
            .filter(move |grant| {
                self.ceiling.as_ref().is_none_or(|ceiling| {
                    let mut allowed = ceiling.grants.secrets.iter().filter(fits);
                    allowed.any(|other| other.name == grant.name)
                })
            })
    }
}
