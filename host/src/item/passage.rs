//! An item's way as others read it: what happened to it, record by record, without what it carried.

use super::{Clearing, Destination, Facts, FoldError, Item, ItemId, Record};
use crate::{
    name::Name,
    visit::{Millis, Usage},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One thing that happened to an item. What is not of its kind is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Passage {
    /// When, in milliseconds since 1970.
    pub at: Millis,
    /// The kind of the record: `taken`, `started`, `moved`, `failed`, `jammed`, `cleared`, …
    pub kind: String,
    /// The station where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<Name>,
    /// The how manieth visit there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u32>,
    /// The how manieth attempt at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The revision by which the attempt runs that began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The port by which it left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Name>,
    /// Where to: a station or a join by its name, `done` or `scrap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What was split from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<ItemId>,
    /// Why an attempt failed, or why it jammed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Millis>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What the attempt used that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

impl Passage {
    /// An item's way, as its records tell it.
    ///
    /// # Errors
    /// When the records do not follow from each other.
    pub fn all(id: &ItemId, records: &[Record]) -> Result<Vec<Self>, FoldError> {
        let mut now: Option<Item> = None;
        let mut all = Vec::with_capacity(records.len());
        for record in records {
            // A record that begins an attempt is of that attempt.
            let mut one = Self::of(id, record);
            if let Some((station, nth, attempt)) = now.as_ref().and_then(Item::attempt) {
                one.station = Some(station.clone());
                (one.nth, one.attempt) = (Some(nth), Some(attempt));
            }
            all.push(one);
            match &mut now {
                Some(item) => item.apply(record)?,
                None => now = Item::fold(id.clone(), std::slice::from_ref(record))?,
            }
        }
        Ok(all)
    }

    fn of(id: &ItemId, record: &Record) -> Self {
        let mut one = Self {
            at: record.at(),
            kind: record.kind().into(),
            station: None,
            nth: None,
            attempt: None,
            revision: None,
            port: None,
            to: None,
            children: Vec::new(),
            reason: None,
            again: None,
            by: None,
            why: None,
            usage: record.facts().map(|facts| facts.usage),
        };
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        match record {
            Record::Taken { to, .. } => one.to = to.word().map(Into::into),
            Record::Started { revision, .. } => one.revision = Some(*revision),
            Record::Moved {
                port, to, facts, ..
            } => {
                (one.port, one.to) = (Some(port.clone()), to.word().map(Into::into));
                one.reason = facts.reason.clone();
            }
            Record::Split { children, .. } => {
                one.children = children.iter().filter_map(|it| id.child(it.n)).collect();
            }
            Record::Failed { reason, again, .. } => {
                (one.reason, one.again) = (Some(reason.clone()), Some(*again));
            }
            Record::Jammed { jam, .. } => one.reason = Some(jam.to_string()),
            Record::Recalled { why, .. } => one.why = said(why),
            Record::Relocated { to, .. } => one.to = Some(to.to_string()),
            Record::Gathered { join, .. } => one.to = join.as_ref().map(Name::to_string),
            Record::Answered { answer, why } => {
                (one.by, one.why) = (said(&answer.by), said(why));
            }
            Record::Cleared { by, why, how, .. } => {
                (one.by, one.why) = (said(by), said(why));
                if let Clearing::Skip { port, .. } = how {
                    one.port = Some(port.clone());
                }
            }
            Record::Cancelled { by, why, .. } | Record::Erased { by, why, .. } => {
                (one.by, one.why) = (said(by), said(why));
            }
            Record::Interrupted { .. }
            | Record::Asked { .. }
            | Record::Finished { .. }
            | Record::ChildEnded { .. } => {}
        }
        one
    }
}

impl Record {
    /// What was found out about the attempt that it ended, where it ended one.
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            Self::Moved { facts, .. }
            | Self::Split { facts, .. }
            | Self::Finished { facts, .. }
            | Self::Failed { facts, .. } => Some(facts),
            Self::Asked { facts, .. } | Self::Jammed { facts, .. } => facts.as_ref(),
            _ => None,
        }
    }
}

impl Destination {
    /// A station or join by its name, an end by its word; none where it jams.
    pub fn word(&self) -> Option<&str> {
        match self {
            Self::Station(name) | Self::Join(name) => Some(name),
            Self::Done => Some("done"),
            Self::Scrap => Some("scrap"),
            Self::Nowhere(_) => None,
        }
    }
}
