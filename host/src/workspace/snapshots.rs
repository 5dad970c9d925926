//! Reading snapshots: what was in a workspace at one moment, and what is different between two.

use super::{Change, Entry, Tree, WorkspaceError};
use crate::{content::Content, digest::Digest, escape, journal::Journal};
use bytes::Bytes;
use std::{fs::File, io::Read, sync::Arc};

/// All snapshots of a state folder. Cheap to clone; only reads.
#[derive(Clone)]
pub struct Snapshots {
    content: Content,
    journal: Arc<dyn Journal>,
}

impl Snapshots {
    /// Snapshots whose small blobs are in `journal` and whose large ones are in `content`.
    pub fn new(content: Content, journal: Arc<dyn Journal>) -> Self {
        Self { content, journal }
    }

    /// What the snapshot holds; nothing where there is none.
    ///
    /// # Errors
    /// When its blob is missing or damaged, or cannot be read.
    pub fn tree(&self, snapshot: Option<Digest>) -> Result<Tree, WorkspaceError> {
        let Some(digest) = snapshot else {
            return Ok(Tree::default());
        };
        Tree::decode(&self.blob(&digest)?)
            .map_err(|reason| WorkspaceError::Damaged { digest, reason })
    }

    /// What is different in `after`, by path.
    ///
    /// # Errors
    /// As with [`Self::tree`].
    pub fn diff(
        &self,
        before: Option<Digest>,
        after: Option<Digest>,
    ) -> Result<Vec<Change>, WorkspaceError> {
        if before == after {
            return Ok(Vec::new());
        }
        Ok(self.tree(before)?.diff(&self.tree(after)?))
    }

    /// The bytes of a file in a snapshot; links are not followed.
    ///
    /// # Errors
    /// When it is no file or has more than `most` bytes, and as with [`Self::tree`].
    pub fn read(
        &self,
        snapshot: Option<Digest>,
        path: &str,
        most: u64,
    ) -> Result<Bytes, WorkspaceError> {
        match self.tree(snapshot)?.get(path) {
            Some(Entry::File { len, .. }) if *len > most => Err(WorkspaceError::TooLarge {
                path: escape::line(path),
                len: *len,
                most,
            }),
            Some(Entry::File { digest, .. }) => self.blob(digest),
            _ => Err(WorkspaceError::NoFile {
                path: escape::line(path),
                snapshot: snapshot.map_or("none".into(), |digest| digest.short()),
            }),
        }
    }

    /// A blob of any size.
    ///
    /// # Errors
    /// When it is missing or cannot be read.
    pub fn blob(&self, digest: &Digest) -> Result<Bytes, WorkspaceError> {
        match self.journal.blob(digest)? {
            Some(bytes) => Ok(bytes),
            None => self
                .content
                .get(digest)?
                .ok_or(WorkspaceError::Missing(*digest)),
        }
    }

    /// A small blob; refuses one that is not the digest's, since a program will act on it.
    pub(super) fn small(&self, digest: &Digest) -> Result<Bytes, WorkspaceError> {
        let bytes = self.blob(digest)?;
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            let reason = "its bytes are others".into();
            Err(WorkspaceError::Damaged {
                digest: *digest,
                reason,
            })
        }
    }

    /// A large blob.
    pub(super) fn large(&self, digest: &Digest) -> Result<Large, WorkspaceError> {
        match self.content.file(digest)? {
            Some(file) => Ok(Large::File(file)),
            None => self
                .journal
                .blob(digest)?
                .map(|bytes| Large::Bytes(std::io::Cursor::new(bytes)))
                .ok_or(WorkspaceError::Missing(*digest)),
        }
    }

    pub(super) fn content(&self) -> &Content {
        &self.content
    }
}

/// A blob to be copied.
pub(super) enum Large {
    File(File),
    Bytes(std::io::Cursor<Bytes>),
}

impl Read for Large {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Bytes(bytes) => bytes.read(buffer),
        }
    }
}
