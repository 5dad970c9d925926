//! What is asked of a retool, and what it comes to: what the command and the API give and take.

use super::Plan;
use crate::{
    digest::Digest,
    journal::{Guard, RetoolRecord},
    name::Name,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What a line is to run by. Without both, its file as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Aim {
    /// A line file, absolute, or its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// A revision that was kept, to go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// What would change, and what of it does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanFor {
    /// What the line is to run by.
    #[serde(default)]
    pub aim: Aim,
    /// Where unfinished items of stations go that the new revision does not have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub moves: BTreeMap<Name, Name>,
    /// Replays the last recorded visits of each station that changes against it, at most so many of each, 1
    /// to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<u32>,
}

/// A retool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retool {
    /// What the line is to run by.
    #[serde(default)]
    pub aim: Aim,
    /// Why, for whoever looks later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The names of the grants that may become wider; `shadow` where replayed visits may come out differently.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<String>,
    /// The digest of the plan that was looked at; another one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Digest>,
    /// For how many of a hundred items, 1 to 99; for all, where none is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<u8>,
    /// When a ramp is rolled back by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// Where unfinished items of stations go that the new revision does not have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub moves: BTreeMap<Name, Name>,
    /// Lets stations that the new revision does not have go on until no item is there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drain: bool,
    /// Stops attempts under way at stations whose grants narrow, and makes them again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub now: bool,
    /// Replays the last recorded visits of each station that changes against it, at most so many of each, 1
    /// to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<u32>,
}

/// Ends a ramp: all items take its revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    /// Why, for whoever looks later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What came of a retool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Retooled {
    /// What changed.
    pub plan: Plan,
    /// Whether anything did. Where nothing was to change, nothing is kept of the retool either.
    pub changed: bool,
    /// The revision that runs, or that the ramp leads to.
    pub revision: u64,
    /// For how many microseconds no visit could be started.
    pub pause_us: u64,
    /// How many waiting items were sent to another station.
    pub moved: u64,
    /// How many attempts were stopped, to be made again.
    #[serde(default)]
    pub stopped: u64,
    /// Stations that go on until no item is there. The change is complete then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub draining: Vec<Name>,
}

impl Retooled {
    /// Nothing was another, so that nothing was done.
    pub(crate) fn nothing(plan: Plan) -> Self {
        Self {
            changed: false,
            revision: plan.from,
            plan,
            pause_us: 0,
            moved: 0,
            stopped: 0,
            draining: Vec::new(),
        }
    }
}

/// The changes of the revisions that a line ran by, the oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// The line.
    pub line: Name,
    /// The changes.
    pub retools: Vec<RetoolRecord>,
}
