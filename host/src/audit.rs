//! The audit: who was granted what, and what was called, allowed and denied. The nouns and the chain
//! over them; the journal keeps them.

use crate::{digest::Digest, item::ItemId, name::Name, visit::Millis};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// Somebody paused a station, or let it go on.
    Pause,
}

impl Deed {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Grant,
        Self::Http,
        Self::Tcp,
        Self::LookUp,
        Self::Secret,
        Self::File,
        Self::Limit,
        Self::Pause,
    ];

    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::LookUp => "look-up",
            Self::Secret => "secret",
            Self::File => "file",
            Self::Limit => "limit",
            Self::Pause => "pause",
        }
    }
}

/// The text is no [`Deed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("deeds are `grant`, `http`, `tcp`, `look-up`, `secret`, `file`, `limit` and `pause`")]
pub struct NotADeed;

impl FromStr for Deed {
    type Err = NotADeed;

    fn from_str(text: &str) -> Result<Self, NotADeed> {
        let fits = |deed: &Self| deed.key() == text;
        Self::ALL.into_iter().find(fits).ok_or(NotADeed)
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
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
    /// Why it was denied, or done.
    pub why: Option<String>,
}

impl Entry {
    /// The longest `what` that is kept, in bytes: the guest chooses it. The other texts, in which it may
    /// be quoted, are held to the same.
    pub const WHAT: usize = 2 << 10;

    /// The entry with every text cut to [`Self::WHAT`].
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let texts = [Some(&mut self.what), self.rule.as_mut(), self.why.as_mut()];
        for text in texts.into_iter().flatten() {
            if text.len() > Self::WHAT {
                text.truncate(text.floor_char_boundary(Self::WHAT - '…'.len_utf8()));
                text.push('…');
            }
        }
        self
    }

    /// What it is found by.
    pub fn heading(&self) -> Heading {
        Heading {
            at: self.at,
            deed: self.deed,
            allowed: self.allowed,
            line: self.line.clone(),
            revision: self.revision,
            station: self.station.clone(),
            item: self.item.clone(),
        }
    }
}

/// What an entry is found by: kept beside its bytes, and still there when those were erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "they are those of `Entry`")]
pub struct Heading {
    pub at: Millis,
    pub deed: Deed,
    pub allowed: bool,
    pub line: Name,
    pub revision: u64,
    pub station: Name,
    pub item: Option<ItemId>,
}

/// The chain up to an entry: the digest of the one before, of the entry's own bytes, and of what it is
/// found by. Over digests, so that an entry's bytes can be erased and the chain still be followed.
pub fn link(before: &Digest, heading: &Heading, entry: &Digest) -> Digest {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(before.as_bytes());
    bytes.extend_from_slice(entry.as_bytes());
    bytes.extend_from_slice(&heading.at.to_le_bytes());
    bytes.extend_from_slice(&heading.revision.to_le_bytes());
    bytes.push(u8::from(heading.allowed));
    let item = heading.item.as_ref().map_or("", ItemId::as_str);
    // None of these has a zero in it.
    for text in [heading.deed.key(), &heading.line, &heading.station, item] {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
    Digest::of(bytes)
}

/// Takes entries to be kept. Never waits and never fails: whoever keeps them stops the line where it
/// cannot.
pub trait Auditor: Send + Sync + 'static {
    /// Hands entries over, to be kept in the order of the calls.
    fn note(&self, entries: Vec<Entry>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_have_the_names_that_are_written() {
        for deed in Deed::ALL {
            assert_eq!(serde_json::json!(deed), deed.key());
            assert_eq!(deed.key().parse(), Ok(deed));
        }
        assert_eq!("Grant".parse::<Deed>(), Err(NotADeed));
    }

    #[test]
    fn texts_are_bounded() {
        let entry = Entry {
            at: 0,
            deed: Deed::File,
            allowed: false,
            line: "l".parse().expect("a name"),
            revision: 1,
            station: "s".parse().expect("a name"),
            component: None,
            item: None,
            what: "ü".repeat(Entry::WHAT),
            rule: Some("x".repeat(Entry::WHAT)),
            why: Some("x".repeat(Entry::WHAT + 1)),
        };
        let bounded = entry.clone().bounded();
        assert!(bounded.what.len() <= Entry::WHAT && bounded.what.ends_with("ü…"));
        assert_eq!(bounded.rule, entry.rule);
        assert_eq!(bounded.why.expect("kept").len(), Entry::WHAT);
    }
}
