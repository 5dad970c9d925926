//! Workspaces: the directory that each item owns, and its content at each step.
//!
//! The directories are a working copy: what counts are the snapshots, blobs that records name, and
//! from them any directory can be made again. So nothing in them is synced, a crash may take them all,
//! and a directory is used as it stands only while this process knows that it equals its snapshot.
//!
//! Knows nothing of guests and mounts. What stations leave in a directory is hostile: links are kept
//! and never followed, and what cannot be kept is refused with an error that names it.

mod error;
mod folder;
mod gone;
mod restore;
mod scan;
mod snapshots;
mod trash;
mod tree;

#[cfg(test)]
mod tests;

pub use error::WorkspaceError;
pub use snapshots::Snapshots;
pub use tree::{Change, Entry, Tree};

use crate::{content::Content, digest::Digest, item::ItemId, journal::Journal};
use bytes::Bytes;
use gone::Gone;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{Mode, mkdirat},
    io::Errno,
};
use scan::Stamps;
use std::{
    collections::HashMap,
    fs::DirBuilder,
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};
use trash::Trash;

/// How much a folder holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Bytes of all files: their lengths, and a file with two names counts twice.
    pub bytes: u64,
    /// Files, folders and links.
    pub entries: u64,
}

/// What a workspace may be like after a visit, beside how much it holds.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// How deep folders nest. Default 64.
    pub depth: usize,
    /// Bytes of all paths and of the texts of links: the host holds them at once. Default 64 MiB.
    pub names: usize,
    /// Bytes of small files that one snapshot hands over to be kept in the journal's commit; what is
    /// over it goes to the content store, file by file. Default 64 MiB.
    pub riding: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            depth: 64,
            names: 64 << 20,
            riding: 64 << 20,
        }
    }
}

/// The directories of all items. Cheap to clone; all methods may be called from any thread.
#[derive(Clone)]
pub struct Workspaces(Arc<Inner>);

struct Inner {
    root: PathBuf,
    snapshots: Snapshots,
    bounds: Bounds,
    /// Made by the first visit that touches a file.
    base: OnceLock<Result<Base, WorkspaceError>>,
    known: Mutex<Known>,
    gone: Gone,
}

struct Base {
    work: OwnedFd,
    trash: Trash,
}

/// What this process knows of the directories that it made.
#[derive(Default)]
struct Known {
    items: HashMap<ItemId, Slot>,
    /// How many stamps the marks hold together.
    stamps: usize,
}

/// An item's directory.
#[derive(Default)]
struct Slot {
    in_use: bool,
    /// What it equals; unknown after a failed attempt.
    clean: Option<Mark>,
    /// What the directories of the joined inputs equal. Stations may only read them.
    joined: Option<Vec<Option<Digest>>>,
}

struct Mark {
    at: Option<Digest>,
    tree: Tree,
    stamps: Stamps,
    held: Held,
}

impl Known {
    /// The most stamps kept: some 200 bytes each. A directory without is made again.
    const MOST: usize = 100_000;

    fn take(&mut self, item: &ItemId) -> Option<Mark> {
        let mark = self.items.get_mut(item)?.clean.take()?;
        self.stamps -= mark.stamps.len();
        Some(mark)
    }
}

impl Workspaces {
    /// The workspaces below the folder `root`. Touches no disk.
    pub fn open(root: impl Into<PathBuf>, content: Content, journal: Arc<dyn Journal>) -> Self {
        Self::with_bounds(root, content, journal, Bounds::default())
    }

    /// The same with other bounds.
    pub fn with_bounds(
        root: impl Into<PathBuf>,
        content: Content,
        journal: Arc<dyn Journal>,
        bounds: Bounds,
    ) -> Self {
        Self(Arc::new(Inner {
            root: root.into(),
            snapshots: Snapshots::new(content, journal),
            bounds,
            base: OnceLock::new(),
            known: Mutex::default(),
            gone: Gone::default(),
        }))
    }

    /// What was in the workspaces.
    pub fn snapshots(&self) -> &Snapshots {
        &self.0.snapshots
    }

    /// The workspace of an item as the snapshot `base` has it, with the workspaces of a join's inputs.
    /// Costs nothing until it is entered.
    pub fn of(&self, item: &ItemId, base: Option<Digest>, joined: &[Option<Digest>]) -> Workspace {
        Workspace {
            all: self.clone(),
            item: item.clone(),
            base,
            joined: joined.into(),
            entered: None,
        }
    }

    /// The folder that all directories are in, brought into being and emptied of what an earlier process
    /// left. Names with a `+` in them are those of no item.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn root(&self) -> Result<&Path, WorkspaceError> {
        self.base()?;
        Ok(&self.0.root)
    }

    /// Whether this process made any directory for the item.
    fn holds(&self, item: &ItemId) -> bool {
        self.known().items.contains_key(item)
    }

    /// Removes the item's directories, if this process made any: the item ended.
    ///
    /// # Errors
    /// When they cannot be removed; nothing is lost by that but room.
    pub fn forget(&self, item: &ItemId) -> Result<(), WorkspaceError> {
        let mut known = self.known();
        match known.items.get(item) {
            None => return Ok(()),
            Some(slot) if slot.in_use => return Err(WorkspaceError::InUse(item.clone())),
            Some(_) => {}
        }
        known.take(item);
        known.items.remove(item);
        drop(known);
        let base = self.base()?;
        base.trash.remove(base.work.as_fd(), &joined_name(item))?;
        base.trash.remove(base.work.as_fd(), item.as_str())
    }

    /// Has the item's directories removed later, if this process made any: the item is gone. Whether the
    /// caller has to see to it that somebody calls [`Self::clear_away`], where it may take its time.
    pub fn part(&self, item: &ItemId) -> bool {
        self.holds(item) && self.0.gone.add(item.clone())
    }

    /// Removes directories of items that are gone until there are none. Blocks.
    pub fn clear_away(&self) {
        while let Some(item) = self.0.gone.next() {
            // Nothing is lost by one that stays but room; the next process removes it.
            let _ = self.forget(&item);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Whoever panicked left at worst a directory marked as in use.
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of the directories, emptied of what an earlier process left: it is not known to equal
    /// anything. Only whoever owns the state folder enters workspaces, so nobody else uses them.
    fn base(&self) -> Result<&Base, WorkspaceError> {
        let root = &self.0.root;
        let make = || {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(root)
                .map_err(WorkspaceError::system("create", root))?;
            let fail = |errno: Errno| WorkspaceError::system("open", root)(errno);
            let work = folder::open_one(rustix::fs::CWD, root.as_path()).map_err(fail)?;
            let trash = Trash::open(&work)?;
            let (work, names) = folder::names(work, usize::MAX).map_err(fail)?;
            for name in names {
                let name = name.to_string_lossy();
                if name != Trash::NAME {
                    trash.remove(work.as_fd(), &name)?;
                }
            }
            Ok(Base { work, trash })
        };
        self.0.base.get_or_init(make).as_ref().map_err(Clone::clone)
    }
}

/// The workspace of one attempt. Dropped without [`Workspace::leave`], it counts as failed.
pub struct Workspace {
    all: Workspaces,
    item: ItemId,
    base: Option<Digest>,
    joined: Box<[Option<Digest>]>,
    entered: Option<Entered>,
}

struct Entered {
    mounts: Mounts,
    folder: OwnedFd,
    tree: Tree,
    stamps: Stamps,
    held: Held,
}

/// Where the directories of an attempt are. Their parents belong to the host alone, so a station can
/// swap nothing that these paths lead through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounts {
    /// For `/workspace`, to read and write.
    pub workspace: PathBuf,
    /// For `/workspace/in/<n>`, from 0; they must be mounted read-only.
    pub joined: Vec<PathBuf>,
}

/// What a visit made of its workspace.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Names it.
    pub digest: Digest,
    /// What the journal has to keep together with the record that names it.
    pub blobs: Vec<(Digest, Bytes)>,
}

impl Workspace {
    /// Makes the directories equal to what they should hold, at the first call; where they are.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn enter(&mut self) -> Result<&Mounts, WorkspaceError> {
        if self.entered.is_none() {
            let base = self.all.base()?;
            let (mark, joined) = {
                let mut known = self.all.known();
                let slot = known.items.entry(self.item.clone()).or_default();
                if slot.in_use {
                    return Err(WorkspaceError::InUse(self.item.clone()));
                }
                slot.in_use = true;
                let joined = slot.joined.take();
                (known.take(&self.item), joined)
            };
            let entered = self.make(base, mark, joined);
            if entered.is_err() {
                self.give_back(None);
            }
            self.entered = Some(entered?);
        }
        Ok(&self.entered.as_ref().expect("it was made above").mounts)
    }

    fn make(
        &self,
        base: &Base,
        mark: Option<Mark>,
        joined: Option<Vec<Option<Digest>>>,
    ) -> Result<Entered, WorkspaceError> {
        let inner = &self.all.0;
        let name = self.item.as_str();
        let (folder, tree, stamps, held) = match mark.filter(|mark| mark.at == self.base) {
            Some(mark) => {
                let folder = folder::open_one(&base.work, name)
                    .map_err(|errno| WorkspaceError::system("open", name)(errno))?;
                (folder, mark.tree, mark.stamps, mark.held)
            }
            None => {
                let tree = inner.snapshots.tree(self.base)?;
                let folder = fresh(base, name)?;
                let stamps = restore::restore(&folder, &tree, &inner.snapshots)?;
                let held = tree.held();
                (folder, tree, stamps, held)
            }
        };
        let mut mounts = Mounts {
            workspace: inner.root.join(name),
            joined: Vec::new(),
        };
        if !self.joined.is_empty() {
            let name = joined_name(&self.item);
            if joined.as_deref() != Some(&*self.joined) {
                let above = fresh(base, &name)?;
                for (n, snapshot) in self.joined.iter().enumerate() {
                    let name = n.to_string();
                    let tree = inner.snapshots.tree(*snapshot)?;
                    restore::restore(&make_one(&above, &name)?, &tree, &inner.snapshots)?;
                }
            }
            let paths = 0..self.joined.len();
            mounts.joined = paths
                .map(|n| inner.root.join(&name).join(n.to_string()))
                .collect();
        }
        Ok(Entered {
            mounts,
            folder,
            tree,
            stamps,
            held,
        })
    }

    /// What it held when it was entered; none before.
    pub fn held(&self) -> Option<Held> {
        self.entered.as_ref().map(|entered| entered.held)
    }

    /// Ends the attempt: of one that passed, what it made of the workspace, which may hold `most`; nothing
    /// where it changed nothing, or failed, which is what no `most` says. After a failed one the directory is made again when it is next entered.
    ///
    /// # Errors
    /// When the workspace holds what cannot be kept ([`WorkspaceError::is_stations`]), or the disk is
    /// full. The attempt counts as failed then.
    pub fn leave(mut self, most: Option<Held>) -> Result<Option<Snapshot>, WorkspaceError> {
        let (Some(most), Some(entered)) = (most, &self.entered) else {
            return Ok(None);
        };
        let inner = &self.all.0;
        let content = inner.snapshots.content();
        let (tree, stamps) = (&entered.tree, &entered.stamps);
        let mut found = scan::scan(&entered.folder, tree, stamps, content, &inner.bounds, most)?;
        let (mut at, mut snapshot) = (self.base, None);
        if found.tree != *tree {
            let manifest = found.tree.encode();
            let digest = Digest::of(&manifest);
            let mut blobs = std::mem::take(&mut found.blobs);
            if manifest.len() <= Content::SMALL {
                blobs.push((digest, manifest.into()));
            } else {
                content.put(&manifest)?;
            }
            at = Some(digest);
            snapshot = Some(Snapshot { digest, blobs });
        }
        let mark = Mark {
            at,
            tree: found.tree,
            stamps: found.stamps,
            held: found.held,
        };
        self.give_back((!found.shared).then_some(mark));
        Ok(snapshot)
    }

    fn give_back(&mut self, mark: Option<Mark>) {
        let entered = self.entered.take();
        let mut known = self.all.known();
        let all = known.stamps;
        let Some(slot) = known.items.get_mut(&self.item) else {
            return;
        };
        slot.in_use = false;
        if entered.is_some_and(|entered| !entered.mounts.joined.is_empty()) {
            slot.joined = Some(self.joined.to_vec());
        }
        if let Some(mark) = mark.filter(|mark| all + mark.stamps.len() <= Known::MOST) {
            let more = mark.stamps.len();
            slot.clean = Some(mark);
            known.stamps += more;
        }
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if self.entered.is_some() {
            self.give_back(None);
        }
    }
}

fn joined_name(item: &ItemId) -> String {
    // No item id has a `+`.
    format!("{item}+in")
}

/// The folder `name`, made new.
fn fresh(base: &Base, name: &str) -> Result<OwnedFd, WorkspaceError> {
    match make_one(&base.work, name) {
        Err(WorkspaceError::System {
            kind: ErrorKind::AlreadyExists,
            ..
        }) => {
            base.trash.remove(base.work.as_fd(), name)?;
            make_one(&base.work, name)
        }
        made => made,
    }
}

fn make_one(parent: &OwnedFd, name: &str) -> Result<OwnedFd, WorkspaceError> {
    mkdirat(parent, name, Mode::RWXU)
        .map_err(|errno| WorkspaceError::system("create", Path::new(name))(errno))?;
    folder::open_one(parent, name)
        .map_err(|errno| WorkspaceError::system("open", Path::new(name))(errno))
}
