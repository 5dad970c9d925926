//! What a `line.lock` pins of a line's stations, and what has changed since it was accepted.
//!
//! Knows no file and no component: what is so now is handed in as another [`Lock`].

mod change;
mod file;
mod granted;
mod outside;

pub use change::{Change, Effect, What, changes};
pub use file::BadLock;
pub use granted::Granted;
pub use outside::outside;

use crate::{
    digest::Digest,
    grant::Grants,
    manifest::{Access, Manifest, Requires},
    name::Name,
};
use std::collections::BTreeMap;

/// A line as somebody accepted it, or as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// The values of the variables that went into assets and grants, for whoever asks why those are others.
    pub vars: BTreeMap<String, String>,
    /// What it has outside of its stations, as [`outside`] writes it, by the place in the line file.
    pub outside: BTreeMap<String, String>,
    /// Its stations.
    pub stations: BTreeMap<Name, Pin>,
}

/// A station as somebody accepted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// What the line names: a folder or a file.
    pub r#use: String,
    /// The digest of its component.
    pub component: Digest,
    /// What its manifest asks for, in order.
    pub requires: Vec<Need>,
    /// The digests of its assets, by their places in the guest.
    pub assets: BTreeMap<String, Digest>,
    /// What the line grants it.
    pub grants: Grants,
}

/// Something that a manifest asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// What: `http GET https://api.example.com/**`, `fs read /data`, `secret API_TOKEN`.
    pub what: String,
    /// Why, in the manifest's words.
    pub why: String,
}

impl Need {
    /// All that a manifest asks for, sorted.
    pub fn all(manifest: &Manifest) -> Vec<Self> {
        let Requires {
            fs,
            http,
            tcp,
            secrets,
        } = &manifest.requires;
        let need = |what: String, optional: bool, why: &str| Self {
            what: format!("{what}{}", if optional { " (optional)" } else { "" }),
            why: why.into(),
        };
        let fs = fs.iter().map(|fs| {
            let access = match fs.access {
                Access::Read => "read",
                Access::Write => "write",
            };
            need(format!("fs {access} {}", fs.guest), fs.optional, &fs.why)
        });
        let http = http
            .iter()
            .map(|http| need(format!("http {}", http.rule), http.optional, &http.why));
        let tcp = tcp
            .iter()
            .map(|tcp| need(format!("tcp {}", tcp.to), tcp.optional, &tcp.why));
        let secrets = secrets
            .iter()
            .map(|s| need(format!("secret {}", s.name), s.optional, &s.why));
        let mut all: Vec<Self> = fs.chain(http).chain(tcp).chain(secrets).collect();
        all.sort();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests;
