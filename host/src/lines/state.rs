//! The stores of a state folder, opened together.

use crate::{
    content::{Content, ContentError},
    digest::Digest,
    item::{Body, Payload},
    journal::{Journal, JournalError, sqlite::Sqlite},
    workspace::{WorkspaceError, Workspaces},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long to wait for a state folder that another process holds.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is tried meanwhile.
const POLL: Duration = Duration::from_millis(20);

/// An open state folder. Cheap to clone.
#[derive(Clone)]
pub struct State {
    /// Where it is.
    pub folder: PathBuf,
    /// What happened to each item.
    pub journal: Arc<dyn Journal>,
    /// Bodies that are too large for a record.
    pub content: Content,
    /// The items' directories.
    pub workspaces: Workspaces,
}

/// Why there is no body of a payload.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The workspace that it is in cannot be read.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// It is not there any more.
    #[error("blob {0} is gone")]
    Gone(Digest),
}

impl BodyError {
    /// Whether it may be read another time: it is there as far as is known, and the system says no.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Content(_) => true,
            Self::Workspace(error) => matches!(
                error,
                WorkspaceError::System { .. }
                    | WorkspaceError::Content(_)
                    | WorkspaceError::Journal(_)
            ),
            Self::Gone(_) => false,
        }
    }
}

impl State {
    /// Opens a state folder for this process alone, making it where there is none. Waits two seconds for
    /// another process to let go of it.
    ///
    /// # Errors
    /// When another process uses it, or the journal cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        let patience = Instant::now() + PATIENCE;
        let journal = loop {
            match Sqlite::open(folder) {
                // A process that was just killed holds its lock until it is gone.
                Err(JournalError::InUse(_)) if Instant::now() < patience => {
                    std::thread::sleep(POLL);
                }
                opened => break opened?,
            }
        };
        Ok(Self::with(folder, Arc::new(journal)))
    }

    /// Opens a state folder to look at, also while another process uses it.
    ///
    /// # Errors
    /// When there is none, or the journal cannot be read.
    pub fn view(folder: &Path) -> Result<Self, JournalError> {
        let journal: Arc<dyn Journal> = Arc::new(Sqlite::open_read_only(folder)?);
        Ok(Self::with(folder, journal))
    }

    /// The bytes of a payload, wherever they are. `workspace` is the one that it was put out with.
    ///
    /// # Errors
    /// When they cannot be read, or are gone.
    pub fn body(&self, payload: &Payload, workspace: Option<Digest>) -> Result<Vec<u8>, BodyError> {
        Ok(match &payload.body {
            Body::Inline(bytes) => bytes.to_vec(),
            Body::Stored { digest, .. } => self
                .content
                .get(digest)?
                .ok_or(BodyError::Gone(*digest))?
                .to_vec(),
            Body::File(path) => self
                .workspaces
                .snapshots()
                .read(workspace, path, u64::MAX)?
                .to_vec(),
        })
    }

    fn with(folder: &Path, journal: Arc<dyn Journal>) -> Self {
        let content = Content::open(folder.join("blobs"));
        let workspaces = Workspaces::open(folder.join("work"), content.clone(), journal.clone());
        Self {
            folder: folder.into(),
            journal,
            content,
            workspaces,
        }
    }
}
