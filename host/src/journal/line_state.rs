//! What a journal keeps of a line beside its items: by which revisions it runs, which stations are
//! paused, and how it came to that.

use crate::{digest::Digest, name::Name, visit::Millis};
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
    /// The factory's file that bounds it, as seen from the state folder where both are below a common one;
    /// none where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factory: Option<String>,
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

/// What sort of a change of revisions it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RetoolKind {
    /// All items take another revision.
    #[default]
    Apply,
    /// A share of the items takes another revision.
    Ramp,
    /// All items take the revision of the ramp.
    Promote,
    /// Back to a revision that ran before.
    Rollback,
    /// The same by itself: the revision of the ramp jammed too much.
    AutoRollback,
    /// Stations that were drained are gone.
    Drained,
    /// A change that was kept and could not be carried out: what ran before it runs on.
    Undone,
}

impl RetoolKind {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Ramp => "ramp",
            Self::Promote => "promote",
            Self::Rollback => "rollback",
            Self::AutoRollback => "auto-rollback",
            Self::Drained => "drained",
            Self::Undone => "undone",
        }
    }
}

/// When a ramp is rolled back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Guard {
    /// By how many percentage points the new revision's jam rate may pass the old one's, 1 to 100.
    pub margin: u8,
    /// How many visits of the new revision have to have ended before it is judged.
    pub least: u64,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            margin: 10,
            least: 20,
        }
    }
}

/// Stations that are waited for until no item is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Drains {
    /// The revision that runs then.
    pub to: u64,
    /// The stations, which it does not have.
    pub stations: BTreeSet<Name>,
}

/// A component that is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ComponentChange {
    /// Of which station.
    pub station: Name,
    /// As it was; none of a new station.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Digest>,
    /// As it is; none where the station is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Digest>,
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
    /// What sort of a change it was.
    #[serde(default)]
    pub kind: RetoolKind,
    /// The revision that it is compared with: the one that ran before.
    #[serde(default)]
    pub from: u64,
    /// The revision that runs from then on.
    pub current: u64,
    /// What runs for a share of the items from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramping>,
    /// When that is rolled back by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// What the change waits for before it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drains: Option<Drains>,
    /// The components that are others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentChange>,
    /// The names of the wider grants that were accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<String>,
    /// The line's file from then on, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The factory's file that bounds it from then on, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factory: Option<String>,
    /// What else there is to say of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}

impl LineState {
    /// A line that begins with this revision.
    pub fn new(line: Name, file: Option<String>, current: u64) -> Self {
        Self {
            line,
            file,
            factory: None,
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
