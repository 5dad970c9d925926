//! Housekeeping of a state folder: what is no longer needed goes, what somebody wants gone is erased,
//! copies are made and put back, and what is there is held against what should be.
//!
//! Decides what is needed; the stores only do as they are told. Knows nothing of lines that run: all of
//! this may be done while they do, except where it says that it needs the folder for itself.

mod backup;
mod collect;
mod doctor;
mod erase;
mod export;
mod restore;
mod revisions;
mod uses;

#[cfg(test)]
mod tests;

pub use backup::{Backup, Manifest, back_up};
pub use collect::{Collected, Collector, GRACE, survey};
pub use doctor::{Finding, Findings, examine, repair};
pub use erase::{Erase, Erased, erase};
pub use export::{Export, export};
pub use restore::{Restored, restore};

use crate::{
    content::ContentError,
    item::{FoldError, ItemId, NotErased, Refused},
    journal::JournalError,
    workspace::WorkspaceError,
};
use std::{io, path::Path};

/// Why housekeeping could not be done.
#[derive(Debug, thiserror::Error)]
pub enum HousekeepingError {
    /// The journal says no.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The content store says no.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// What keeps a blob cannot be read, so nobody knows which blobs are needed.
    #[error("{user} needs what cannot be read: {reason}\n  hint: `andon doctor` finds all such")]
    Unreadable {
        /// What needs it.
        user: String,
        /// Why it cannot be read.
        reason: String,
    },
    /// Whoever asked for it wants it no more.
    #[error("it was stopped")]
    Stopped,
    /// An item's records make no sense.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// An item cannot be erased.
    #[error(transparent)]
    NotErased(#[from] NotErased),
    /// An item that was under way cannot be jammed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no such item.
    #[error("there is no item `{0}`\n  hint: `andon items` lists them")]
    NoItem(ItemId),
    /// A folder that is to be made is there already.
    #[error("`{0}` is there already and is not empty\n  hint: name a folder that there is not")]
    There(String),
    /// A backup is none, or not whole.
    #[error("`{path}` is no whole backup: {reason}\n  hint: take another one")]
    Damaged {
        /// The backup.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The system says no.
    #[error("cannot {doing} `{path}`: {reason}")]
    System {
        /// `read`, `write`, ….
        doing: &'static str,
        /// The file or folder.
        path: String,
        /// What the system says.
        reason: io::Error,
    },
}

impl HousekeepingError {
    fn system(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |reason| Self::System {
            doing,
            path: path.display().to_string(),
            reason,
        }
    }

    fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.display().to_string(),
            reason: reason.into(),
        }
    }
}

impl From<WorkspaceError> for HousekeepingError {
    fn from(error: WorkspaceError) -> Self {
        match error {
            WorkspaceError::Journal(error) => Self::Journal(error),
            WorkspaceError::Content(error) => Self::Content(error),
            other => Self::Unreadable {
                user: "a snapshot".into(),
                reason: other.to_string(),
            },
        }
    }
}
