//! The delivery of a result to a sink, as it is kept until the sink has it: a result is handed over at
//! least once, by whoever runs the line, also when that ends in between.

use crate::{item::ItemId, name::Name, visit::Millis};
use serde::{Deserialize, Serialize};

/// How far the delivery of a result to a sink is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The item that ended with the result.
    pub item: ItemId,
    /// The sink, by its name on the line.
    pub sink: Name,
    /// How often it was tried.
    pub attempts: u32,
    /// Not before this.
    pub next: Millis,
    /// Whether it is still owed.
    pub state: DeliveryState,
    /// Why the last attempt failed, for people; not escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether a sink is still owed a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryState {
    /// It is to be tried, for the first time or again.
    Owed,
    /// The sink has it.
    Done,
    /// It was given up.
    GivenUp,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Owed, Self::Done, Self::GivenUp];

    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Owed => "owed",
            Self::Done => "done",
            Self::GivenUp => "given-up",
        }
    }
}

impl Delivery {
    /// The longest `reason` that is kept, in bytes: a stranger's server may have chosen it.
    pub const REASON: usize = 512;

    /// One that was never tried, of a result that came to be at this time.
    pub fn first(item: ItemId, sink: Name, at: Millis) -> Self {
        Self {
            item,
            sink,
            attempts: 0,
            next: at,
            state: DeliveryState::Owed,
            reason: None,
        }
    }

    /// With its reason cut to [`Self::REASON`].
    #[must_use]
    pub(super) fn bounded(mut self) -> Self {
        if let Some(reason) = self.reason.as_mut().filter(|r| r.len() > Self::REASON) {
            reason.truncate(reason.floor_char_boundary(Self::REASON - '…'.len_utf8()));
            reason.push('…');
        }
        self
    }
}
