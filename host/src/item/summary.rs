//! What listings show of an item, and what is enough to find those that are not finished.

use super::{ItemId, Priority};
use crate::{name::Name, visit::Millis};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The number of records that an item has.
pub type Seq = u64;

/// Where an item is: what listings show, and what is enough to find the unfinished ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Summary {
    /// The item.
    pub item: ItemId,
    /// Its line.
    pub line: Name,
    /// The revision it was last moved by.
    pub revision: u64,
    /// The input's name.
    pub source: String,
    /// Where it is.
    pub phase: PhaseKind,
    /// The station it is at, or was at last.
    pub station: Option<Name>,
    /// Whether it ended on `done` with a payload: a result, to be delivered once.
    pub result: bool,
    /// Why it jammed, or what it asks, for people; at most [`Summary::REASON`] bytes, not escaped.
    pub reason: Option<String>,
    /// How urgent it is.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// The time that it waits for, where it waits for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Millis>,
    /// The revision on which an attempt began that is not over, where it is known; not told to callers.
    #[serde(skip)]
    pub began: Option<u64>,
    /// When it was taken.
    pub taken: Millis,
    /// When it last changed.
    pub changed: Millis,
}

impl Summary {
    /// The longest `reason` that listings carry, in bytes.
    pub const REASON: usize = 512;
}

/// The phases of an item's life, as listings name them.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum PhaseKind {
    /// Waits for a worker, or for the time of its next attempt.
    Waiting,
    /// Is at a station.
    Working,
    /// Waits for its children.
    Split,
    /// Waits for a person's answer.
    Held,
    /// Waits for a person to clear it.
    Jammed,
    /// Ended on `done`.
    Done,
    /// Ended on `scrap`.
    Scrapped,
    /// Ended at a join.
    Joined,
}

impl PhaseKind {
    /// All of them, in the order of an item's life.
    pub const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Working,
        Self::Split,
        Self::Held,
        Self::Jammed,
        Self::Done,
        Self::Scrapped,
        Self::Joined,
    ];

    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Working => "working",
            Self::Split => "split",
            Self::Held => "held",
            Self::Jammed => "jammed",
            Self::Done => "done",
            Self::Scrapped => "scrapped",
            Self::Joined => "joined",
        }
    }

    /// Whether nothing more will happen to the item.
    pub fn ended(self) -> bool {
        matches!(self, Self::Done | Self::Scrapped | Self::Joined)
    }
}

impl fmt::Display for PhaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
}
