//! Hears of it when what visits leave behind finds no room on the disk: that is no fault of a station, so
//! its attempt does not count, and all lines wait.

use crate::{
    digest::Digest,
    disk,
    item::ItemId,
    sandbox::{Contents, Folder, Folders, LeaveError, Left},
    visit::Visit,
    workspace::Held,
};
use std::{
    fs::File,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::sync::mpsc;

/// Whether there was no room lately. Cheap to clone.
#[derive(Clone)]
pub(super) struct Room(Arc<Inner>);

struct Inner {
    full: AtomicBool,
    /// Told the first time; what the system said.
    tell: mpsc::UnboundedSender<String>,
}

impl Room {
    pub(super) fn new(tell: mpsc::UnboundedSender<String>) -> Self {
        Self(Arc::new(Inner {
            full: AtomicBool::new(false),
            tell,
        }))
    }

    /// Whether reports of visits are to be held back, since they may tell of the disk only.
    pub(super) fn is_out(&self) -> bool {
        self.0.full.load(Relaxed)
    }

    /// There is room again.
    pub(super) fn is_back(&self) {
        self.0.full.store(false, Relaxed);
    }

    fn heard<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.hear(error);
        }
        result
    }

    fn hear(&self, error: &io::Error) {
        if disk::is_full(error.kind()) && !self.0.full.swap(true, Relaxed) {
            // Nobody hears it where all lines end.
            let _ = self.0.tell.send(error.to_string());
        }
    }
}

/// A store of the visits, listened to.
pub(super) struct Heard<T> {
    pub(super) store: T,
    pub(super) room: Room,
}

impl<T: Folders> Folders for Heard<T> {
    fn enter(&self, visit: &Visit) -> io::Result<Box<dyn Folder>> {
        let folder = self.room.heard(self.store.enter(visit))?;
        let room = self.room.clone();
        Ok(Box::new(Entered { folder, room }))
    }

    fn parted(&self, item: &ItemId) {
        self.store.parted(item);
    }
}

impl<T: Contents> Contents for Heard<T> {
    fn put(&self, bytes: &[u8]) -> io::Result<Digest> {
        self.room.heard(self.store.put(bytes))
    }

    fn open(&self, digest: &Digest) -> io::Result<File> {
        self.store.open(digest)
    }
}

struct Entered {
    folder: Box<dyn Folder>,
    room: Room,
}

impl Folder for Entered {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn joined(&self) -> Vec<Option<&Path>> {
        self.folder.joined()
    }

    fn held(&self) -> Option<Held> {
        self.folder.held()
    }

    fn leave(self: Box<Self>, most: Held) -> Result<Left, LeaveError> {
        let left = self.folder.leave(most);
        if let Err(LeaveError::Host(error)) = &left {
            self.room.hear(error);
        }
        left
    }
}
