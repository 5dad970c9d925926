//! The audit: who was granted what, and what was called, allowed and denied. The nouns and the chain
//! over them; the journal keeps them.

use crate::{digest::Digest, item::ItemId, name::Name, visit::Millis};
use serde::{Deserialize, Serialize};

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// A line's revision gave a station a right.
    Grant,
    /// A request over HTTP.
    Http,
    /// A connection over TCP.
    Tcp,
    /// A look-up of a name.
    LookUp,
    /// A secret was put into a call.
    Secret,
    /// A file call.
    File,
    /// A visit ran into a limit.
    Limit,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Millis,
    /// What it is about.
    pub deed: Deed,
    /// Whether it was let through.
    pub allowed: bool,
    /// The line.
    pub line: Name,
    /// The line's revision.
    pub revision: u64,
    /// The station.
    pub station: Name,
    /// The digest of the station's component, where it is known.
    pub component: Option<Digest>,
    /// The item; none for what concerns all.
    pub item: Option<ItemId>,
    /// What was done or tried: `GET https://api.example.com/v1/x`, without its query, as it came from
    /// the guest: whoever prints it escapes it.
    pub what: String,
    /// The grant or limit that decided, where one did.
    pub rule: Option<String>,
    /// Why it was denied.
    pub why: Option<String>,
}

impl Entry {
    /// The longest `what` that is kept, in bytes: the guest chooses it.
    pub const WHAT: usize = 2 << 10;
}

/// The chain up to an entry: the digest of the one before and of the entry's own bytes. Over digests,
/// so that an entry's bytes can be erased and the chain still be followed.
pub fn link(before: &Digest, entry: &Digest) -> Digest {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(before.as_bytes());
    bytes[32..].copy_from_slice(entry.as_bytes());
    Digest::of(bytes)
}

/// Takes entries to be kept. Never waits and never fails: whoever keeps them stops the line where it
/// cannot.
pub trait Auditor: Send + Sync + 'static {
    /// Hands entries over, to be kept in the order of the calls.
    fn note(&self, entries: Vec<Entry>);
}
