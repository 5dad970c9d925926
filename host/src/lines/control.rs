//! What people and programs ask of the lines of a state folder, whether or not a daemon runs them. What
//! the API takes and gives are just these types.

use super::{Condition, Fault};
use crate::{
    digest::Digest,
    item::{ItemId, Passage, PhaseKind, Priority, Summary, Ticket},
    journal::{Paused, Ramping},
    name::Name,
    retool::{History, Plan, PlanFor, Promote, Retool, Retooled},
    sandbox::Progress,
    visit::{Answer, Millis, Question},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What an order comes to.
pub type Done<'a, T> = BoxFuture<'a, Result<T, Fault>>;

/// The one way to act on lines. `by` is who does it, as the caller knows it; `item` is an item's id, or
/// a beginning of it that only one of those has which the order can be meant for.
///
/// Whatever is reported as done is durable.
pub trait Control: Send + Sync {
    /// Takes an input. The same key is the same item: then nothing is done, and `known` is set.
    fn submit(&self, by: &str, submit: Submit) -> Done<'_, Submission>;

    /// Clears one jam: where the item is then.
    fn clear(&self, by: &str, item: &str, clear: Clear) -> Done<'_, Summary>;

    /// Clears all jams that fit. One that cannot be cleared keeps no other from it.
    fn clear_all(&self, by: &str, clear: ClearAll) -> Done<'_, ClearedAll>;

    /// Answers what an item is held for.
    fn answer(&self, by: &str, item: &str, answer: GiveAnswer) -> Done<'_, Summary>;

    /// Takes an item and all that was split from it from the line: it ends as scrapped.
    fn cancel(&self, by: &str, item: &str, cancel: Because) -> Done<'_, Summary>;

    /// Takes a new input that begins at a station with the payload and the workspace that `item` had
    /// when it last came there.
    fn rerun(&self, by: &str, item: &str, rerun: Rerun) -> Done<'_, Submission>;

    /// Lets a station start no more visits; what is under way ends.
    fn pause(&self, by: &str, line: &Name, station: &Name, why: Because) -> Done<'_, ()>;

    /// Lets a paused station start visits again.
    fn resume(&self, by: &str, line: &Name, station: &Name, why: Because) -> Done<'_, ()>;

    /// What a retool would change; changes nothing.
    fn plan(&self, line: &Name, wanted: PlanFor) -> Done<'_, Plan>;

    /// Has a line run by another revision, or a share of its items.
    fn retool(&self, by: &str, line: &Name, wanted: Retool) -> Done<'_, Retooled>;

    /// Has all items of a line take the revision of its ramp.
    fn promote(&self, by: &str, line: &Name, wanted: Promote) -> Done<'_, Retooled>;

    /// The changes of the revisions that a line ran by, the oldest first.
    fn history(&self, line: &Name) -> Done<'_, History>;

    /// How the lines stand; one of them, or all.
    fn status(&self, line: Option<&Name>) -> Done<'_, Status>;

    /// The items that fit, in the order in which they were taken.
    fn items(&self, which: Which) -> Done<'_, Vec<Summary>>;

    /// One item.
    fn item(&self, item: &str) -> Done<'_, ItemView>;
}

/// Bytes as JSON has them: text where they are UTF-8, base64 where not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Given {
    /// As they are.
    Text(String),
    /// In base64, with padding.
    Base64(String),
}

/// An input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// The line.
    pub line: Name,
    /// What makes it the same input when it comes again; without one, every submission is a new item.
    /// 1 to 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its name, for people. 1 to 1024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its media type; without one, it is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Its body, at most 64 MiB.
    pub body: Given,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How urgent it is.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// When it has to be through, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Millis>,
}

/// What came of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Submission {
    /// The item.
    pub item: ItemId,
    /// Whether the same input had been taken before; then nothing was done.
    pub known: bool,
}

/// What a person does about a jam.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "how", rename_all = "lowercase", deny_unknown_fields)]
pub enum How {
    /// Makes the visit again.
    Retry,
    /// The same with another body.
    Edit {
        /// The body.
        body: Given,
    },
    /// Lets the item leave by a port with what it came with.
    Skip {
        /// The port; `pass` where none is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<Name>,
    },
    /// Ends the item as scrapped.
    Scrap,
}

/// Clears one jam.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Clear {
    /// How.
    #[serde(flatten)]
    pub how: How,
    /// Why, for whoever looks later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Clears all jams that fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClearAll {
    /// Only of this line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<Name>,
    /// Only at this station.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<Name>,
    /// Only those whose reason contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How; one body is not given to many.
    #[serde(flatten)]
    pub how: How,
    /// Why, for whoever looks later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What clearing several came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClearedAll {
    /// Where those are that were cleared.
    pub cleared: Vec<Summary>,
    /// Those that could not be, and why.
    pub left: Vec<LeftAlone>,
}

/// An item that an order for several did not concern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftAlone {
    /// The item.
    pub item: ItemId,
    /// Why.
    pub why: String,
}

/// Answers a question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GiveAnswer {
    /// One of the choices; empty where only text is given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub choice: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// What the item carried when whoever answers looked at it, [`ItemView::carries`]: an answer for
    /// anything else is refused. Without it the answer is for what the item carries now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Digest>,
    /// Why, for whoever looks later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Why something is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// Why, for whoever looks later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Runs an item again from a station on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rerun {
    /// The station; the item has been there.
    pub from: Name,
    /// What makes it the same order when it comes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How urgent the new item is; as the old one was, where none is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// When it has to be through, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Millis>,
}

/// Which items to list; empty lists everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Only of this line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<Name>,
    /// Only in one of these phases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseKind>,
    /// Only at this station, or last there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<Name>,
    /// Only this item and what was split from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<ItemId>,
    /// Only inputs, not what was split from them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inputs: bool,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<usize>,
    /// Only those after this one: the last item of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ItemId>,
}

/// How a state folder's lines stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Whether they run.
    pub condition: Condition,
    /// Each line, by name.
    pub lines: Vec<LineStatus>,
}

/// How a line stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LineStatus {
    /// Its name.
    pub line: Name,
    /// The file that it was started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The revision that runs.
    pub revision: u64,
    /// What runs for a share of the items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramping>,
    /// Whether its items move: it is carried now.
    pub running: bool,
    /// Why it stopped, where it stopped by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// The line's entry.
    pub entry: Name,
    /// Each station, by name.
    pub stations: Vec<StationStatus>,
    /// How many items are in each phase.
    pub items: BTreeMap<String, u64>,
    /// Visits under way that report how far they are, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub visits: Vec<Visiting>,
}

/// How far a visit has come, as its station says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Far {
    /// Steps done.
    pub done: u64,
    /// Steps in all; 0 where it is not known.
    pub total: u64,
    /// What the station says of it; not escaped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A visit under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Visiting {
    /// The item.
    pub item: ItemId,
    /// The station.
    pub station: Name,
    /// How far it has come.
    pub far: Far,
}

impl From<Progress> for Far {
    fn from(Progress { done, total, note }: Progress) -> Self {
        Self { done, total, note }
    }
}

/// How a station stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StationStatus {
    /// Its name.
    pub station: Name,
    /// Items that wait for a worker, or for their next attempt.
    pub waiting: u64,
    /// Visits under way.
    pub working: u64,
    /// Items that wait for an answer.
    pub held: u64,
    /// Items that wait to be cleared.
    pub jammed: u64,
    /// Attempts that gave their outputs, since the start.
    pub passed: u64,
    /// Attempts that did not, since the start.
    pub failed: u64,
    /// Visits at the same time; 0 where the line itself asks and no visits are made.
    pub workers: u32,
    /// Set where it starts no visits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// Visits that ended in a second, over the last minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Half of the visits of the last minutes took at most so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// And 99 of a hundred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
}

/// One item, as a person looks at it before doing something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemView {
    /// Where it is.
    pub summary: Summary,
    /// What it was submitted with.
    pub ticket: Ticket,
    /// The digest of all that it carries; where it is held, also of the question: what an answer is given
    /// for.
    pub carries: Digest,
    /// What it carries: one payload, or all that a join collected.
    pub payloads: Vec<PayloadView>,
    /// How often it was at each station.
    #[schema(value_type = BTreeMap<String, u32>)]
    pub visits: BTreeMap<Name, u32>,
    /// How far its visit has come, where one is under way and says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub far: Option<Far>,
    /// What is asked, where it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
    /// What was answered during the visit that it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
    /// Its way, the oldest first.
    pub history: Vec<Passage>,
}

/// A payload without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PayloadView {
    /// Its media type.
    pub content_type: String,
    /// The length of its body in bytes, where that is known without looking into a workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub len: Option<u64>,
    /// The file of the workspace that is its body, where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Given {
    /// These bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use base64::Engine as _;
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Base64(base64::engine::general_purpose::STANDARD.encode(bytes)),
        }
    }

    /// The bytes.
    ///
    /// # Errors
    /// When it is no base64.
    pub fn bytes(self) -> Result<Bytes, Fault> {
        use base64::Engine as _;
        match self {
            Self::Text(text) => Ok(text.into()),
            Self::Base64(text) => base64::engine::general_purpose::STANDARD
                .decode(text)
                .map(Into::into)
                .map_err(|error| Fault::invalid(format!("the body is no base64: {error}"))),
        }
    }
}
