//! The audit as every store keeps it: what is kept of an entry, the chain over all of them, and what
//! following the chain can show. Knows no store.

use super::Journal;
use crate::{
    audit::{Auditor, Deed, Entry, Heading, link},
    digest::Digest,
    item::ItemId,
    name::Name,
};
use std::sync::Arc;

/// An [`Auditor`] that keeps what it is given in a journal.
pub struct JournalAuditor(pub Arc<dyn Journal>);

impl Auditor for JournalAuditor {
    fn note(&self, entries: Vec<Entry>) {
        // A journal that cannot keep them fails every later append, and so stops the line.
        drop(self.0.audit(entries));
    }
}

/// An entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// What it is found by.
    pub heading: Heading,
    /// The entry; none where it was erased.
    pub entry: Option<Entry>,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The chain with it.
    pub chain: Digest,
}

/// Which entries to read. Empty reads everything.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only of this item and of what was split from it.
    pub item: Option<ItemId>,
    /// Only of this station.
    pub station: Option<Name>,
    /// Only of this line.
    pub line: Option<Name>,
    /// Only about this.
    pub deed: Option<Deed>,
    /// Only what was not let through.
    pub denied: bool,
    /// Only from this number on.
    pub from: u64,
    /// At most so many.
    pub most: Option<usize>,
    /// Of more than `most`, the newest instead of the oldest.
    pub newest: bool,
}

impl AuditFilter {
    /// Whether an entry fits, `most` and `newest` aside.
    pub(super) fn fits(&self, seq: u64, heading: &Heading) -> bool {
        let is_below = |top: &ItemId| {
            heading.item.as_ref().is_some_and(|item| {
                let below = item.as_str().strip_prefix(top.as_str());
                below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        seq >= self.from
            && self.item.as_ref().is_none_or(is_below)
            && self.station.as_ref().is_none_or(|s| *s == heading.station)
            && self.line.as_ref().is_none_or(|l| *l == heading.line)
            && self.deed.is_none_or(|deed| deed == heading.deed)
            && !(self.denied && heading.allowed)
    }
}

/// A chain up to its newest entry: as many entries, and the link of the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// How many entries.
    pub entries: u64,
    /// The last link; zeros before the first entry.
    pub head: Digest,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            entries: 0,
            head: Digest::from_bytes([0; 32]),
        }
    }
}

impl Chain {
    /// The chain with one more entry, whose bytes have this digest.
    #[must_use]
    pub fn with(self, heading: &Heading, digest: &Digest) -> Self {
        Self {
            entries: self.entries + 1,
            head: link(&self.head, heading, digest),
        }
    }
}

/// An entry in the form in which it is kept.
pub(super) struct Encoded {
    pub(super) heading: Heading,
    pub(super) facts: Vec<u8>,
    pub(super) digest: Digest,
}

pub(super) fn encode(entry: Entry) -> Result<Encoded, String> {
    let entry = entry.bounded();
    let facts = rmp_serde::to_vec_named(&entry)
        .map_err(|error| format!("an entry of the audit cannot be written: {error}"))?;
    Ok(Encoded {
        heading: entry.heading(),
        digest: Digest::of(&facts),
        facts,
    })
}

pub(super) fn decode(facts: &[u8]) -> Result<Entry, String> {
    rmp_serde::from_slice(facts).map_err(|error| error.to_string())
}

/// What following a whole chain gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// All of it.
    pub chain: Chain,
    /// Entries of which only the digest is left.
    pub erased: u64,
}

/// Where a chain is broken first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// An entry is not there, while later ones are.
    #[error("entry {0} is missing")]
    Missing(u64),
    /// An entry has a number that none has.
    #[error("entry {0} was put in: entries are numbered from 1")]
    Odd(i64),
    /// An entry's bytes or their digest are not those that were kept.
    #[error("entry {0} was changed: its bytes do not have its digest")]
    Changed(u64),
    /// What an entry is found by is not what it says.
    #[error("entry {0} was changed: it is listed as what it is not")]
    Listed(u64),
    /// An entry is not the one that came here.
    #[error("entry {0} was changed, moved or put in: the chain does not lead to it")]
    Unlinked(u64),
    /// The newest entries are not there.
    #[error("entry {first} is missing: the head is that of {head} entries")]
    Cut {
        /// The first that is missing.
        first: u64,
        /// How many there were.
        head: u64,
    },
    /// There are entries that the head does not know, or it is another chain's.
    #[error("entry {0} was put in, or the head was changed: they do not fit")]
    Head(u64),
    /// The chain does not come by the head that was noted elsewhere.
    #[error("entry {0} is not the one of the noted head: the audit was written anew")]
    Another(u64),
}

impl Flaw {
    /// The number of the first entry that is wrong.
    pub fn seq(&self) -> i64 {
        match self {
            Self::Odd(seq) => *seq,
            Self::Missing(seq)
            | Self::Changed(seq)
            | Self::Listed(seq)
            | Self::Unlinked(seq)
            | Self::Cut { first: seq, .. }
            | Self::Head(seq)
            | Self::Another(seq) => i64::try_from(*seq).unwrap_or(i64::MAX),
        }
    }
}

/// An entry as it was found, by whoever may have changed it: what cannot be read is none.
pub(super) struct Found<'a> {
    pub(super) seq: i64,
    pub(super) heading: Option<Heading>,
    /// None where it was erased.
    pub(super) facts: Option<&'a [u8]>,
    pub(super) digest: Option<Digest>,
    pub(super) chain: Option<Digest>,
}

/// Follows a chain entry by entry.
#[derive(Default)]
pub(super) struct Following {
    so_far: Verified,
    noted: Option<Chain>,
}

impl Following {
    pub(super) fn new(noted: Option<Chain>) -> Self {
        Self {
            noted,
            ..Self::default()
        }
    }

    /// The next entry, in the order of their numbers.
    pub(super) fn next(&mut self, found: &Found<'_>) -> Result<(), Flaw> {
        let seq = self.so_far.chain.entries + 1;
        match u64::try_from(found.seq) {
            Ok(number) if number > seq => return Err(Flaw::Missing(seq)),
            Ok(number) if number == seq => {}
            _ => return Err(Flaw::Odd(found.seq)),
        }
        let digest = found.digest.ok_or(Flaw::Changed(seq))?;
        match found.facts {
            Some(facts) if Digest::of(facts) != digest => return Err(Flaw::Changed(seq)),
            Some(facts) => {
                let entry = decode(facts).map_err(|_| Flaw::Changed(seq))?;
                if found.heading.as_ref() != Some(&entry.heading()) {
                    return Err(Flaw::Listed(seq));
                }
            }
            None => self.so_far.erased += 1,
        }
        let heading = found.heading.as_ref().ok_or(Flaw::Listed(seq))?;
        self.so_far.chain = self.so_far.chain.with(heading, &digest);
        if found.chain != Some(self.so_far.chain.head) {
            return Err(Flaw::Unlinked(seq));
        }
        match self.noted {
            Some(noted) if noted.entries == seq && noted != self.so_far.chain => {
                Err(Flaw::Another(seq))
            }
            _ => Ok(()),
        }
    }

    /// There are no more entries, and this is the head that was kept with them.
    pub(super) fn end(self, head: Option<Chain>) -> Result<Verified, Flaw> {
        let chain = self.so_far.chain;
        let cut = |head: u64| Flaw::Cut {
            first: chain.entries + 1,
            head,
        };
        match (head, self.noted) {
            (Some(head), _) if head.entries > chain.entries => Err(cut(head.entries)),
            (_, Some(noted)) if noted.entries > chain.entries => Err(cut(noted.entries)),
            (Some(head), _) if head == chain => Ok(self.so_far),
            (Some(head), _) => Err(Flaw::Head((head.entries + 1).min(chain.entries))),
            (None, _) => Err(Flaw::Head(chain.entries)),
        }
    }
}
