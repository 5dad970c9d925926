//! What travels with an item and its children from the beginning: who submitted it, how urgent it is,
//! until when it has to be through.

use super::ItemId;
use crate::visit::Millis;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt};

/// What an input was submitted with. Children have that of their input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Ticket {
    /// Who submitted it, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How urgent it is.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// When it has to be through: an attempt that would start later jams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Millis>,
    /// The item that this one runs again from some station on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<ItemId>,
    /// Who else had a part in what it carries: whoever edited it, or an item that was joined into it, and
    /// the submitters of the items that it runs again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub also: BTreeSet<String>,
    /// Whether an item that it runs again was submitted by nobody knows whom.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

/// How urgent an item is: a waiting item goes before all that are less urgent.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
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
pub enum Priority {
    /// Before the others.
    High,
    /// The default.
    #[default]
    Normal,
    /// When nothing else waits.
    Low,
}

impl Ticket {
    /// Whether it says nothing.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Whether somebody submitted it or had a part in what it carries; none where they may have, since not
    /// all of those are known.
    pub fn is_of(&self, name: &str) -> Option<bool> {
        if self.by.as_deref() == Some(name) || self.also.contains(name) {
            return Some(true);
        }
        (self.by.is_some() && !self.unknown).then_some(false)
    }

    /// What `item`, which has this ticket, is run again with by somebody.
    pub fn again(&self, item: ItemId, by: String) -> Self {
        Self {
            by: Some(by),
            priority: self.priority,
            deadline: None,
            rerun: Some(item),
            also: self.also.iter().chain(&self.by).cloned().collect(),
            unknown: self.unknown || self.by.is_none(),
        }
    }
}

impl Priority {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// Whether it is the default.
    pub fn is_normal(&self) -> bool {
        *self == Self::Normal
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
}
