//! The item: its id, what it carries, and (in the modules below) its life as a pure state machine.
//!
//! `record` is what the journal keeps, `fold` turns records into the `state` of where the item is,
//! `step` decides what an event leads to, with `route` for where a port leads. None of them reads a clock, a file or randomness.

mod budget;
mod course;
mod erase;
mod fold;
mod jam;
mod named;
mod passage;
mod payload;
mod record;
mod route;
mod state;
mod step;
mod summary;
mod ticket;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{one_of_each_kind, with_later_facts};

pub use budget::{Budget, Shares};
pub use course::{Began, Course};
pub use erase::{ERASED, NotErased, erased};
pub use fold::FoldError;
pub use jam::Jam;
pub use named::Named;
pub use passage::Passage;
pub use payload::{Body, LabelProblem, Labels, Payload};
pub use record::{
    Arrival, Asker, Child, ChildEnd, Clearing, Destination, End, Facts, Hold, Message, Record,
};
pub use state::{Item, Phase, Split, Wants};
pub use step::{Clear, Event, Given, Refused, Taking, messages, step, take};
pub use summary::{PhaseKind, Seq, Summary};
pub use ticket::{Priority, Ticket};

use crate::escape::shown;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::{fmt, str::FromStr, sync::Arc};

/// An item's id, kept for life: 16 of `a-z2-7` for an input, and one more `.<n>` for each split that
/// it came from (`q3kd5….4.1`). Derived, never drawn: taking the same input twice gives the same id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ItemId(Arc<str>);

/// The text is no [`ItemId`].
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{0}` is no item id")]
pub struct NotAnItem(String);

impl ItemId {
    /// The longest id: splits nest no deeper than this allows.
    pub const MAX_LEN: usize = 128;

    /// The id of the input that `key` names on `line` of the factory with this id.
    pub fn input(factory: &[u8; 16], line: &str, key: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [&factory[..], line.as_bytes(), key.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let bits = u128::from_le_bytes(
            hasher.finalize().as_bytes()[..16]
                .try_into()
                .expect("16 bytes"),
        );
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let text: String = (0..16)
            .map(|i| char::from(ALPHABET[(bits >> (5 * i)) as usize & 31]))
            .collect();
        Self(text.into())
    }

    /// The id of this item's `n`-th child, counted from 1; none where it would be longer than
    /// [`Self::MAX_LEN`].
    pub fn child(&self, n: u32) -> Option<Self> {
        let text = format!("{}.{n}", self.0);
        (text.len() <= Self::MAX_LEN).then(|| Self(text.into()))
    }

    /// The numbers of the splits that it came from, the oldest first: what the children of one tree
    /// are ordered by.
    pub fn path(&self) -> impl Iterator<Item = u32> {
        self.0.split('.').skip(1).filter_map(|n| n.parse().ok())
    }

    /// The item that this one was split from, and its number there.
    pub fn parent(&self) -> Option<(Self, u32)> {
        let (parent, n) = self.0.rsplit_once('.')?;
        Some((Self(parent.into()), n.parse().ok()?))
    }

    /// The input that this item comes from; itself if it is one.
    pub fn root(&self) -> Self {
        match self.0.split_once('.') {
            Some((root, _)) => Self(root.into()),
            None => self.clone(),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ItemId {
    type Err = NotAnItem;

    fn from_str(text: &str) -> Result<Self, NotAnItem> {
        let mut parts = text.split('.');
        let root = parts.next().unwrap_or_default();
        let fits = text.len() <= Self::MAX_LEN
            && root.len() == 16
            && root.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
            && parts.all(|n| n.parse::<u32>().is_ok_and(|k| k > 0 && k.to_string() == n));
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(NotAnItem(shown(text)))
        }
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ItemId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl utoipa::PartialSchema for ItemId {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        String::schema()
    }
}

impl utoipa::ToSchema for ItemId {}
