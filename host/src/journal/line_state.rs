//! What a journal keeps of a line beside its items: by which revisions it runs, which stations are
//! paused, and how it came to that.

use crate::{name::Name, visit::Millis};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How a line stands: what a start goes on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineState {
    /// The line.
    pub line: Name,
    /// The file that it was started from, absolute; none of a station that was run by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The revision that runs for all items that are in no ramp.
    pub current: u64,
    /// What runs for a share of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramping>,
    /// Where items go whose station the line does not have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub moves: BTreeMap<Name, Name>,
    /// Stations that start no visits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paused: BTreeMap<Name, Paused>,
    /// Revisions that ran before: attempts that began on one of them may still have to end on it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub older: BTreeSet<u64>,
}

/// A revision that runs for a share of the items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Ramping {
    /// The revision.
    pub to: u64,
    /// For how many of a hundred, 1 to 99.
    pub percent: u8,
}

/// Why a station starts no visits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Paused {
    /// Who paused it.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// When, in milliseconds since 1970.
    pub at: Millis,
}

/// One change of the revisions that a line runs by, as its history keeps it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RetoolRecord {
    /// When, in milliseconds since 1970.
    pub at: Millis,
    /// Who; empty where andon did it by itself.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The revision that runs from then on.
    pub current: u64,
    /// What runs for a share of the items from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramping>,
    /// What else whoever changed it wants to keep: grants that were accepted, why it was rolled back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}

impl LineState {
    /// A line that begins with this revision.
    pub fn new(line: Name, file: Option<String>, current: u64) -> Self {
        Self {
            line,
            file,
            current,
            ramp: None,
            moves: BTreeMap::new(),
            paused: BTreeMap::new(),
            older: BTreeSet::new(),
        }
    }

    /// All revisions that a visit of the line may run on.
    pub fn revisions(&self) -> BTreeSet<u64> {
        let mut all = self.older.clone();
        all.insert(self.current);
        all.extend(self.ramp.map(|ramp| ramp.to));
        all
    }
}
