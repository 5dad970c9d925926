//! Grants for secrets: each is put into calls to one destination, behind the egress. Here are their
//! names only; the values are never part of a line.

use super::http::HttpRule;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where in a call a secret is put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretPlace {
    /// Into a header, behind `prefix` (`Bearer `); what the guest put there is replaced.
    Header {
        /// In lower case.
        name: String,
        /// What stands before the secret.
        prefix: String,
    },
    /// Into a parameter of the query; what the guest put there is replaced.
    Query {
        /// Its name.
        name: String,
    },
}

/// Headers that belong to a connection or that the host writes: nothing of a line's is put there.
const OWN: [&str; 14] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// Why a secret cannot be put into a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHeader {
    /// It is no header's name in lower case.
    Name,
    /// It belongs to the connection.
    Own,
}

impl SecretPlace {
    /// Whether a secret may be put into the header of this name.
    ///
    /// # Errors
    /// When it may not.
    pub fn header_name(name: &str) -> Result<(), BadHeader> {
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b)
            });
        if !fits {
            return Err(BadHeader::Name);
        }
        if OWN.contains(&name) {
            return Err(BadHeader::Own);
        }
        Ok(())
    }

    /// What stands before a secret in this header where a grant does not say.
    pub fn prefix_of(header: &str) -> &'static str {
        match header {
            "authorization" => "Bearer ",
            _ => "",
        }
    }

    /// Whether a text may stand before a secret in a header.
    pub fn is_prefix(text: &str) -> bool {
        text.len() <= 256 && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
    }

    /// Whether a parameter of a query may have this name.
    pub fn is_parameter(name: &str) -> bool {
        (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-_~".contains(&b))
    }
}

/// A secret for one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretGrant {
    /// The secret's name: 1 to 64 of `A-Z0-9_`, beginning with a letter.
    pub name: String,
    /// Where it is put.
    pub place: SecretPlace,
    /// Which calls it is put into; they have to be granted as well.
    pub r#for: HttpRule,
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { name, .. } => write!(f, "the header `{name}`"),
            Self::Query { name } => write!(f, "the parameter `{name}`"),
        }
    }
}

impl SecretGrant {
    /// Whether `name` is one that a secret may have.
    pub fn is_name(name: &str) -> bool {
        (1..=64).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    }
}
