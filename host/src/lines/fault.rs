//! Why an order to the lines was not carried out: for people a text, for programs a kind.

use crate::{conveyor::Unable, item::Refused, journal::JournalError};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why an order was not carried out. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Fault {
    /// What sort of reason it is.
    pub kind: FaultKind,
    /// The reason, with what to do after `\n  hint: `. Not escaped.
    pub message: String,
    /// In how many seconds it is worth trying again, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// What sort of reason keeps an order from being carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The order makes no sense by itself.
    Invalid,
    /// There is no such line, station or item.
    NotFound,
    /// As things stand it cannot be done.
    Conflict,
    /// There is no room now.
    Full,
    /// Nothing is taken now: the lines wait for the disk, or are stopping.
    Unavailable,
    /// Whoever asks may not do that.
    Forbidden,
    /// Something is wrong with this andon, its state folder or the machine.
    Internal,
}

impl Fault {
    /// An order that makes no sense by itself.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::of(FaultKind::Invalid, message)
    }

    /// What is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::of(FaultKind::NotFound, message)
    }

    /// What cannot be done as things stand.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::of(FaultKind::Conflict, message)
    }

    /// What went wrong inside.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::of(FaultKind::Internal, message)
    }

    /// What the disk has no room for now.
    pub fn no_room(message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(5),
            ..Self::of(FaultKind::Unavailable, message)
        }
    }

    /// A reason of this kind.
    pub fn of(kind: FaultKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl From<Unable> for Fault {
    fn from(unable: Unable) -> Self {
        let kind = match &unable {
            Unable::Full { .. } => FaultKind::Full,
            Unable::Refused(Refused::Submitter { .. }) => FaultKind::Forbidden,
            Unable::Refused(Refused::NoChoice { .. }) => FaultKind::Invalid,
            Unable::Refused(_) | Unable::Waiting { .. } => FaultKind::Conflict,
            Unable::NoItem(_) | Unable::NoStation(_) => FaultKind::NotFound,
            Unable::Stopping => FaultKind::Unavailable,
            Unable::Failed(_) => FaultKind::Internal,
        };
        let retry_after = match &unable {
            Unable::Full { after, .. } => Some(after.as_secs().max(1)),
            Unable::Stopping => Some(1),
            _ => None,
        };
        Self {
            kind,
            message: unable.to_string(),
            retry_after,
        }
    }
}

impl From<JournalError> for Fault {
    fn from(error: JournalError) -> Self {
        let text = error.to_string();
        match error.is_full() {
            true => Self::no_room(text),
            false => Self::internal(text),
        }
    }
}
