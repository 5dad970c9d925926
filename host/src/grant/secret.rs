//! Grants for secrets: each is put into calls to one destination, behind the egress. Here are their
//! names only; the values are never part of a line.

use super::http::HttpRule;
use serde::{Deserialize, Serialize};

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
