//! What the journal keeps of an item. A kind is never changed once released: what has to differ is
//! a new kind, or a new version of one, and the old stays readable.

use super::{Budget, ItemId, Jam, Labels, Payload, Shares, Ticket};
use crate::{
    digest::Digest,
    name::Name,
    visit::{Answer, LogLine, Millis, Question, Usage},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One thing that happened to an item, with the decision that followed from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The item came to be: an input was taken, or its parent was split.
    Taken {
        /// When.
        at: Millis,
        /// The line.
        line: Name,
        /// The line's revision.
        revision: u64,
        /// The name of the input (`0003-fix.patch`), or of its parent's input.
        source: String,
        /// Where it goes first.
        to: Destination,
        /// What it carries.
        payload: Payload,
        /// The workspace it starts with (a child's is its parent's).
        workspace: Option<Digest>,
        /// The stations at which its ancestors were split, the oldest first.
        lineage: Vec<Name>,
        /// How often its ancestors were at each station: loops stay bounded through splits.
        visits: BTreeMap<Name, u32>,
        /// How many descendants it may have, where an ancestor left it so many; else the limit of the
        /// station that first splits it says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budget: Option<Budget>,
        /// What it was submitted with.
        #[serde(default, skip_serializing_if = "Ticket::is_plain")]
        ticket: Ticket,
    },
    /// An attempt began, or goes on after an interruption or an answer.
    Started {
        /// When.
        at: Millis,
        /// On which revision of the line; 0 in records of before that was kept.
        #[serde(default, skip_serializing_if = "is_none")]
        revision: u64,
    },
    /// The host ended during an attempt; the attempt is made again under the same number.
    Interrupted {
        /// When that was found.
        at: Millis,
        /// Whether the host ended the attempt itself, so that the visit cannot be the cause.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stopped: bool,
    },
    /// The host ended the attempt itself; it is made anew under the same number, on the revision that is
    /// its by then.
    Recalled {
        /// When.
        at: Millis,
        /// Why.
        why: String,
    },
    /// The visit gave one output, or a clearing moved the item on.
    Moved {
        /// When.
        at: Millis,
        /// The port.
        port: Name,
        /// Where that led, labels and bounds of loops taken into account.
        to: Destination,
        /// What the item carries now, labels merged.
        payload: Payload,
        /// The workspace now.
        workspace: Option<Digest>,
        /// Of the attempt.
        facts: Facts,
    },
    /// The visit gave several outputs: the item waits for its children.
    Split {
        /// When.
        at: Millis,
        /// The children, in the order of the outputs.
        children: Vec<Child>,
        /// The workspace that every child starts with.
        workspace: Option<Digest>,
        /// The join that collects them, where the line has one.
        join: Option<Name>,
        /// Until when a join waits for the children, where it is bounded.
        until: Option<Millis>,
        /// How many descendants it may have after this, and each child; none in records of before
        /// there was such a limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shares: Option<Shares>,
        /// Of the attempt.
        facts: Facts,
    },
    /// The visit gave no output: the item is finished.
    Finished {
        /// When.
        at: Millis,
        /// Of the attempt.
        facts: Facts,
    },
    /// The attempt failed and is made again.
    Failed {
        /// When.
        at: Millis,
        /// Why, for people.
        reason: String,
        /// Not before this.
        again: Millis,
        /// Of the attempt.
        facts: Facts,
    },
    /// The item cannot go on by itself.
    Jammed {
        /// When.
        at: Millis,
        /// Why.
        jam: Jam,
        /// Of the attempt, where an attempt led to it.
        facts: Option<Facts>,
    },
    /// A child ended.
    ChildEnded {
        /// When.
        at: Millis,
        /// Its number.
        child: u32,
        /// How.
        end: ChildEnd,
    },
    /// All children have ended, or the time to wait is over: the item goes on with what arrived at
    /// the join, or ends.
    Gathered {
        /// When.
        at: Millis,
        /// The join where it goes on; none where nothing arrived, so that the item is done.
        join: Option<Name>,
    },
    /// A person cleared a jam.
    Cleared {
        /// When.
        at: Millis,
        /// Who.
        by: String,
        /// Why.
        why: String,
        /// How.
        how: Clearing,
    },
    /// A station, or the line at a station of its own, asks what a person has to answer.
    Asked {
        /// When.
        at: Millis,
        /// The question, with all that an answer is checked against.
        hold: Box<Hold>,
        /// Of the attempt; none where the line asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        facts: Option<Facts>,
    },
    /// The question was answered. Where the line asked, `Moved` or `Split` follows in the same append and
    /// says where the choice led.
    Answered {
        /// The answer; its `by` is empty where the time was over and the line's `otherwise` answered.
        answer: Answer,
        /// Why, as whoever answered said it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
    /// A person took the item from the line: it ends as scrapped.
    Cancelled {
        /// When.
        at: Millis,
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// A retool took its station away and sent it to another.
    Relocated {
        /// When.
        at: Millis,
        /// The station where it waits now.
        to: Name,
    },
    /// What the item carried and what was said of it was erased from the records before this one.
    Erased {
        /// When.
        at: Millis,
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
}

/// A question that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What is asked.
    pub question: Question,
    /// Who asks.
    pub asker: Asker,
    /// The digest of what the item carried when it was asked, and of when and where that was: an answer
    /// is given for this and nothing else.
    pub payload: Digest,
    /// Until when an answer is waited for.
    pub until: Option<Millis>,
    /// The choice that is taken then; without one the item jams.
    pub otherwise: Option<String>,
    /// Whether whoever submitted the item may not answer.
    pub not_submitter: bool,
}

/// Who asks a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asker {
    /// The station: its visit goes on with the answer.
    Station,
    /// The line: the item leaves by the port of the choice.
    Line,
}

/// What is kept of an attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// What it used.
    pub usage: Usage,
    /// What it wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogLine>,
    /// Why the station rejected the item, where that led it to the port `reject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where an output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// To the queue of a station.
    Station(Name),
    /// To a join: the item ends and its payload arrives at the join of its ancestor.
    Join(Name),
    /// The end `done`: a result.
    Done,
    /// The end `scrap`.
    Scrap,
    /// It may go nowhere: it jams.
    Nowhere(Jam),
}

/// A child of a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Child {
    /// Its number under its parent, never used twice.
    pub n: u32,
    /// The port it was put on.
    pub port: Name,
    /// Where that leads.
    pub to: Destination,
    /// What it carries, labels merged.
    pub payload: Payload,
}

/// How an item ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// On `done`, with a result; or without one, by returning no output, or through its children.
    Done,
    /// On `scrap`, or scrapped by a person.
    Scrapped,
    /// It arrived at a join and goes on as part of its ancestor.
    Joined,
}

/// What a parent is told of a child's end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChildEnd {
    /// How it ended.
    pub end: End,
    /// What it, or its own children, brought to joins that wait further up, in their order.
    pub arrivals: Vec<Arrival>,
    /// How many descendants it was allowed and did not have.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unused: u64,
}

fn is_none(number: &u64) -> bool {
    *number == 0
}

/// A payload that arrived at a join.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    /// The item that brought it.
    pub item: ItemId,
    /// The join.
    pub join: Name,
    /// The payload.
    pub payload: Payload,
    /// The bringer's workspace.
    pub workspace: Option<Digest>,
    /// How often the bringer was at each station.
    pub visits: BTreeMap<Name, u32>,
    /// Who beside its submitter had a part in it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub also: BTreeSet<String>,
}

/// How a person clears a jam.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Clearing {
    /// The visit is made again, its attempts counted anew.
    Retry,
    /// The same with another payload.
    Edit(Payload),
    /// The item leaves by this port with what it came with; `Moved` or, for a join with several
    /// inputs, `Split` follows in the same append and says where to.
    Skip {
        /// The port.
        port: Name,
    },
    /// The item ends as scrapped.
    Scrap,
}

/// What one item tells another. Delivered at least once, in any order; the receiver's state drops
/// what it has already seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A split made a child: its first record.
    Spawn {
        /// The child.
        child: ItemId,
        /// Its `Taken`.
        taken: Box<Record>,
    },
    /// A child ended.
    ChildEnded {
        /// The parent.
        parent: ItemId,
        /// The child's number.
        child: u32,
        /// How.
        end: ChildEnd,
    },
}

impl Message {
    /// The item it is for.
    pub fn to(&self) -> &ItemId {
        match self {
            Self::Spawn { child, .. } => child,
            Self::ChildEnded { parent, .. } => parent,
        }
    }
}

impl Arrival {
    /// Labels are the payload's; a shorthand for routes.
    pub fn labels(&self) -> &Labels {
        &self.payload.labels
    }
}

impl Record {
    /// The names of all kinds, as stores keep them beside the facts.
    pub const KINDS: [&str; 17] = [
        "taken",
        "started",
        "interrupted",
        "recalled",
        "moved",
        "split",
        "finished",
        "failed",
        "jammed",
        "child-ended",
        "gathered",
        "cleared",
        "asked",
        "answered",
        "cancelled",
        "relocated",
        "erased",
    ];

    /// The newest version of any kind that is written; all are at their first.
    pub const VERSION: u32 = 1;

    /// The name of its kind: one of [`Self::KINDS`].
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "taken",
            Self::Started { .. } => "started",
            Self::Interrupted { .. } => "interrupted",
            Self::Recalled { .. } => "recalled",
            Self::Moved { .. } => "moved",
            Self::Split { .. } => "split",
            Self::Finished { .. } => "finished",
            Self::Failed { .. } => "failed",
            Self::Jammed { .. } => "jammed",
            Self::ChildEnded { .. } => "child-ended",
            Self::Gathered { .. } => "gathered",
            Self::Cleared { .. } => "cleared",
            Self::Asked { .. } => "asked",
            Self::Answered { .. } => "answered",
            Self::Cancelled { .. } => "cancelled",
            Self::Relocated { .. } => "relocated",
            Self::Erased { .. } => "erased",
        }
    }
}
