//! What the sandbox needs from the stores: the item's workspace and the content of large bodies.
//!
//! Knows nothing of how either is kept.

use crate::{digest::Digest, item::ItemId, visit::Visit, workspace::Held};
use bytes::Bytes;
use std::{fs::File, io, path::Path};

/// Gives a visit its workspace, when the guest first asks for files.
pub trait Folders: Send + Sync + 'static {
    /// Brings the visit's workspace into being as the previous station left it. Blocks.
    ///
    /// # Errors
    /// What the file system says.
    fn enter(&self, visit: &Visit) -> io::Result<Box<dyn Folder>>;

    /// The item has no visit soon: its directories may go. Where none are kept, nothing is to be done.
    fn parted(&self, _item: &ItemId) {}
}

/// A workspace that a visit is in. Dropping it throws away what the visit changed.
pub trait Folder: Send + Sync {
    /// The folder that the guest sees as `/workspace`.
    fn path(&self) -> &Path;

    /// The folders that a join sees as `/workspace/in/<n>`, by position; none where the input's
    /// workspace was empty.
    fn joined(&self) -> Vec<Option<&Path>>;

    /// What the workspace held when it was entered; none where it has to be counted.
    fn held(&self) -> Option<Held> {
        None
    }

    /// Keeps what the visit changed, and refuses a workspace that holds more than `most`. Blocks.
    ///
    /// # Errors
    /// What the file system says, or what the station put there that cannot be kept.
    fn leave(self: Box<Self>, most: Held) -> Result<Left, LeaveError>;
}

/// Why a workspace cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// The station's doing: too much, or what no snapshot holds.
    #[error("{0}")]
    Station(String),
    /// The host's trouble, which may pass.
    #[error(transparent)]
    Host(#[from] io::Error),
}

/// What a visit left behind.
#[derive(Debug, Default)]
pub struct Left {
    /// The workspace's snapshot; none where nothing changed.
    pub workspace: Option<Digest>,
    /// Small blobs that the journal has to keep with the record.
    pub blobs: Vec<(Digest, Bytes)>,
}

/// Keeps bodies that are too large for a record.
pub trait Contents: Send + Sync + 'static {
    /// Keeps bytes durably: their digest. Blocks.
    ///
    /// # Errors
    /// What the file system says.
    fn put(&self, bytes: &[u8]) -> io::Result<Digest>;

    /// A file that holds just the bytes under a digest, opened for reading. Blocks.
    ///
    /// # Errors
    /// What the file system says; also when they are not there.
    fn open(&self, digest: &Digest) -> io::Result<File>;
}
