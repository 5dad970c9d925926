//! What can go wrong with a workspace, and whose fault it is.

use crate::{content::ContentError, digest::Digest, escape, item::ItemId, journal::JournalError};
use std::{io, path::Path};

/// Why a workspace could not be given or kept. Paths of the guest are escaped in the messages.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WorkspaceError {
    /// The station left something that cannot be kept.
    #[error("`/workspace/{path}` {what}\n  hint: {hint}")]
    Unkept {
        /// Where, below `/workspace`; escaped.
        path: String,
        /// What is the matter with it.
        what: String,
        /// What the station has to do.
        hint: &'static str,
    },
    /// The item is at a station already.
    #[error("the workspace of `{0}` is in use")]
    InUse(ItemId),
    /// A blob that a snapshot or a record names is not there.
    #[error("the blob {0} is missing from the state folder")]
    Missing(Digest),
    /// A snapshot's manifest is none.
    #[error("the snapshot {digest} is damaged: {reason}")]
    Damaged {
        /// The snapshot.
        digest: Digest,
        /// What is wrong.
        reason: String,
    },
    /// There is no such path in the snapshot, or it is not a file.
    #[error("`{path}` is no file of the snapshot {snapshot}")]
    NoFile {
        /// The path; escaped.
        path: String,
        /// The snapshot; none where the workspace is empty.
        snapshot: String,
    },
    /// A file is larger than what the caller wants to hold.
    #[error("`{path}` has {len} bytes, more than the {most} that are read at once")]
    TooLarge {
        /// The path; escaped.
        path: String,
        /// Its length.
        len: u64,
        /// As asked.
        most: u64,
    },
    /// The system says no.
    #[error("cannot {doing} `{path}`: {reason}")]
    System {
        /// `read`, `write`, ….
        doing: &'static str,
        /// The file or folder; escaped.
        path: String,
        /// What the system says.
        reason: String,
        /// Its kind: a full disk is told from a read-only one.
        kind: io::ErrorKind,
    },
    /// The content store says no.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The journal says no.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl WorkspaceError {
    /// Whether it is the station's doing: then the attempt failed, and the host is well.
    pub fn is_stations(&self) -> bool {
        matches!(self, Self::Unkept { .. })
    }

    pub(super) fn system<E: Into<io::Error>>(
        doing: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> Self {
        move |error| {
            let error = error.into();
            Self::System {
                doing,
                path: escape::bytes(path.as_ref().as_os_str().as_encoded_bytes()),
                reason: error.to_string(),
                kind: error.kind(),
            }
        }
    }

    pub(super) fn unkept(path: &str, what: impl Into<String>, hint: &'static str) -> Self {
        // The path is the guest's own choice; its end is what tells it from others.
        let shown: String = path.chars().rev().take(200).collect();
        let shown: String = shown.chars().rev().collect();
        Self::Unkept {
            path: escape::line(&shown),
            what: what.into(),
            hint,
        }
    }
}

impl From<WorkspaceError> for io::Error {
    fn from(error: WorkspaceError) -> Self {
        let kind = match &error {
            WorkspaceError::System { kind, .. } => *kind,
            WorkspaceError::Content(error) => error.kind,
            WorkspaceError::Missing(_) | WorkspaceError::NoFile { .. } => io::ErrorKind::NotFound,
            WorkspaceError::Damaged { .. } => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
