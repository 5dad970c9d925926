//! Grants for connections over TCP: `host:port`.

use super::{
    http::{port_of, split_port},
    target::HostPattern,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};

/// Where a station may connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TcpRule {
    /// The hosts.
    pub host: HostPattern,
    /// The port.
    pub port: u16,
}

impl TcpRule {
    /// Whether every connection that `other` is for is one of these.
    pub fn covers(&self, other: &Self) -> bool {
        self.port == other.port && self.host.covers(&other.host)
    }

    /// Whether some connection may be one of these and one of `other` too.
    pub fn meets(&self, other: &Self) -> bool {
        self.port == other.port && self.host.meets(&other.host)
    }
}

/// The text is no place to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`host:port` is meant, such as `db.internal:5432`")]
pub struct BadTcpRule;

impl FromStr for TcpRule {
    type Err = BadTcpRule;

    fn from_str(text: &str) -> Result<Self, BadTcpRule> {
        let (host, port) = split_port(text.trim());
        Ok(Self {
            host: host.parse().map_err(|_| BadTcpRule)?,
            port: port.and_then(port_of).ok_or(BadTcpRule)?,
        })
    }
}

impl fmt::Display for TcpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Serialize for TcpRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TcpRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Connections over TCP that a station may make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpGrant {
    /// Where to.
    pub rule: TcpRule,
    /// Whether the host's name may lead to private addresses.
    #[serde(default)]
    pub private: bool,
    /// Whether a visit may connect again where it sent something before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idempotent: bool,
}
