//! One grant of whatever kind, as a person reads and accepts it; and which grant is within which.

use crate::{
    escape::line as escaped,
    grant::{Grants, HttpGrant, Mount, SecretGrant, SecretPlace, TcpGrant},
    limits::write_size,
};
use std::fmt;

/// One grant. Written on one line with all that is not as usual:
/// `http GET https://api.example.com/v1/** private timeout=1m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted<'g> {
    /// A folder.
    Fs(&'g Mount),
    /// Calls over HTTP.
    Http(&'g HttpGrant),
    /// Connections over TCP.
    Tcp(&'g TcpGrant),
    /// A secret for one destination.
    Secret(&'g SecretGrant),
}

impl<'g> Granted<'g> {
    /// All of them, kind by kind, each in its order.
    pub fn all(grants: &'g Grants) -> Vec<Self> {
        let Grants {
            fs,
            http,
            tcp,
            secrets,
        } = grants;
        (fs.iter().map(Self::Fs))
            .chain(http.iter().map(Self::Http))
            .chain(tcp.iter().map(Self::Tcp))
            .chain(secrets.iter().map(Self::Secret))
            .collect()
    }

    /// Whether something may be open by both, so that the first of the two decides.
    pub(super) fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fs(mine), Self::Fs(theirs)) => mine.guest == theirs.guest,
            (Self::Http(mine), Self::Http(theirs)) => mine.rule.meets(&theirs.rule),
            (Self::Tcp(mine), Self::Tcp(theirs)) => {
                mine.rule.covers(&theirs.rule) || theirs.rule.covers(&mine.rule)
            }
            (Self::Secret(mine), Self::Secret(theirs)) => {
                mine.place == theirs.place && mine.r#for.meets(&theirs.r#for)
            }
            _ => false,
        }
    }

    /// Whether it is for all that `other` is for. Where it cannot tell, it says no.
    pub(super) fn reaches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fs(mine), Self::Fs(theirs)) => mine.guest == theirs.guest,
            (Self::Http(mine), Self::Http(theirs)) => mine.rule.covers(&theirs.rule),
            (Self::Tcp(mine), Self::Tcp(theirs)) => mine.rule.covers(&theirs.rule),
            (Self::Secret(mine), Self::Secret(theirs)) => {
                mine.place == theirs.place && mine.r#for.covers(&theirs.r#for)
            }
            _ => false,
        }
    }

    /// Whether, for what both are for, it allows all that `other` allows.
    pub(super) fn allows(&self, other: &Self) -> bool {
        // Without a bound is more than any.
        let within = |theirs: Option<u64>, mine: Option<u64>| match (theirs, mine) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(theirs), Some(mine)) => theirs <= mine,
        };
        match (self, other) {
            (Self::Fs(mine), Self::Fs(theirs)) => {
                mine.host == theirs.host
                    && mine.access >= theirs.access
                    && within(theirs.quota, mine.quota)
                    && within(theirs.max_files, mine.max_files)
            }
            (Self::Http(mine), Self::Http(theirs)) => {
                mine.private >= theirs.private
                    && mine.idempotent >= theirs.idempotent
                    && mine.resample >= theirs.resample
                    && mine.max_response >= theirs.max_response
                    && mine.timeout >= theirs.timeout
            }
            (Self::Tcp(mine), Self::Tcp(theirs)) => {
                mine.private >= theirs.private && mine.idempotent >= theirs.idempotent
            }
            (Self::Secret(mine), Self::Secret(theirs)) => mine.name == theirs.name,
            _ => false,
        }
    }

    /// Whether both are for the same thing, so that one stands in the other's stead.
    pub(super) fn replaces(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fs(a), Self::Fs(b)) => a.guest == b.guest,
            (Self::Http(a), Self::Http(b)) => a.rule == b.rule,
            (Self::Tcp(a), Self::Tcp(b)) => a.rule == b.rule,
            (Self::Secret(a), Self::Secret(b)) => a.name == b.name && a.place == b.place,
            _ => false,
        }
    }
}

impl fmt::Display for Granted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |f: &mut fmt::Formatter<'_>, set: bool, name: &str| match set {
            true => write!(f, " {name}"),
            false => Ok(()),
        };
        match self {
            Self::Fs(mount) => {
                let access = match mount.access {
                    crate::grant::Access::Read => "read",
                    crate::grant::Access::Write => "write",
                };
                let host = mount.host.display().to_string();
                let (guest, host) = (escaped(&mount.guest), escaped(&host));
                write!(f, "fs {access} {guest} from {host}")?;
                if let Some(quota) = mount.quota {
                    write!(f, " quota={}", write_size(quota))?;
                }
                match mount.max_files {
                    Some(files) => write!(f, " max-files={files}"),
                    None => Ok(()),
                }
            }
            Self::Http(grant) => {
                write!(f, "http {}", grant.rule)?;
                flag(f, grant.private, "private")?;
                flag(f, grant.idempotent, "idempotent")?;
                flag(f, grant.resample, "resample")?;
                if grant.max_response != HttpGrant::MAX_RESPONSE {
                    write!(f, " max-response={}", write_size(grant.max_response))?;
                }
                if grant.timeout != HttpGrant::TIMEOUT {
                    let timeout = humantime::format_duration(grant.timeout).to_string();
                    write!(f, " timeout={}", timeout.replace(' ', ""))?;
                }
                Ok(())
            }
            Self::Tcp(grant) => {
                write!(f, "tcp {}", grant.rule)?;
                flag(f, grant.private, "private")?;
                flag(f, grant.idempotent, "idempotent")
            }
            Self::Secret(grant) => {
                write!(f, "secret {}", grant.name)?;
                match &grant.place {
                    SecretPlace::Header { name, prefix } => {
                        write!(f, " header={}", escaped(name))?;
                        if !prefix.is_empty() {
                            write!(f, " prefix={:?}", escaped(prefix))?;
                        }
                    }
                    SecretPlace::Query { name } => write!(f, " query={}", escaped(name))?,
                }
                write!(f, " for {}", grant.r#for)
            }
        }
    }
}
