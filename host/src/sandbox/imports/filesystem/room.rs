//! How much a folder holds, and how much it may.
//!
//! Each name of a file counts with the file's length, as a snapshot would hold it: holes count, and so
//! does each hard link. What nobody can name any more but a guest still has open counts until it is
//! closed. Besides two numbers, only what guests have open is remembered, so that it costs the host
//! nothing to have a million files counted.

use super::place::Facts;
use crate::{limits::Limit, workspace::Held};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat},
    io::Errno,
};
use std::{
    collections::HashMap,
    fs::File,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How deep folders are counted; a folder with deeper ones counts as full.
const DEPTH: usize = 256;
/// Others than andon may change a folder of the host's: what was counted longer ago is counted again
/// when the next visit begins to use it.
const STALE: Duration = Duration::from_secs(60);

/// What happens to a call that finds no room.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Then {
    /// It ends the visit: the folder is the item's own.
    End(Limit),
    /// The guest sees a full disk, and goes on.
    Refuse,
}

/// How much of one thing there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) most: u64,
    pub(crate) then: Then,
}

/// What a folder may hold, as one visit may fill it.
pub(crate) struct Room {
    pub(crate) usage: User,
    pub(crate) bytes: Option<Bound>,
    pub(crate) entries: Option<Bound>,
}

/// Which of a folder's bounds leaves no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Bytes,
    Entries,
}

impl Room {
    /// Begins a change: nobody else makes one until the answer is dropped. `root` is the folder, to be
    /// counted where that was not done yet.
    pub(super) fn change(&self, root: &File) -> io::Result<Change<'_>> {
        let usage = &*self.usage.0;
        let mut known = lock(&usage.known);
        let again = usage.again.swap(false, Ordering::AcqRel);
        let held = match *known {
            Some(held) if !again => held,
            _ => {
                let held = count(root)?;
                lock(&usage.users).counted = Some(Instant::now());
                held
            }
        };
        let freed = usage.freed.swap(0, Ordering::AcqRel);
        *known = Some(Held {
            bytes: held.bytes.saturating_sub(freed),
            entries: held.entries,
        });
        Ok(Change { room: self, known })
    }
}

/// A change under way. What it takes is counted before it happens.
pub(super) struct Change<'a> {
    room: &'a Room,
    known: MutexGuard<'a, Option<Held>>,
}

impl Change<'_> {
    fn held(&mut self) -> &mut Held {
        self.known.get_or_insert_default()
    }

    /// Takes room for so much more.
    pub(super) fn take(&mut self, bytes: u64, entries: u64) -> Result<(), Full> {
        let room = self.room;
        let held = self.held();
        let sum = Held {
            bytes: held.bytes.saturating_add(bytes),
            entries: held.entries.saturating_add(entries),
        };
        let over = |bound: Option<Bound>, sum: u64| bound.is_some_and(|bound| sum > bound.most);
        // What an earlier station left may be too much already; it is growing that finds no room.
        if bytes > 0 && over(room.bytes, sum.bytes) {
            return Err(Full::Bytes);
        }
        if entries > 0 && over(room.entries, sum.entries) {
            return Err(Full::Entries);
        }
        *held = sum;
        Ok(())
    }

    /// Gives room back.
    pub(super) fn give(&mut self, bytes: u64, entries: u64) {
        let held = self.held();
        held.bytes = held.bytes.saturating_sub(bytes);
        held.entries = held.entries.saturating_sub(entries);
    }

    /// One name of a file or link is gone; `facts` are those of before.
    pub(super) fn lost(&mut self, facts: &Facts) {
        let mut bytes = 0;
        if facts.kind == FileType::RegularFile {
            bytes = facts.size;
            if facts.links <= 1 {
                let mut open = lock(&self.room.usage.0.open);
                if let Some(kept) = open.get_mut(&facts.id) {
                    kept.nameless = true;
                    bytes = 0;
                }
            }
        }
        self.give(bytes, 1);
    }
}

/// What a folder holds: one for all who use it in this process.
#[derive(Default)]
pub(super) struct Usage {
    /// Held for as long as a change takes, so that no two of them count the same room. None: to be
    /// counted when it matters.
    known: Mutex<Option<Held>>,
    /// Whether to count again.
    again: AtomicBool,
    /// Held for moments only.
    users: Mutex<Users>,
    /// Files that guests have open. Held for moments only.
    open: Mutex<HashMap<Id, Kept>>,
    /// Bytes of files without a name that were closed since the last change.
    freed: AtomicU64,
}

/// Device and inode.
pub(super) type Id = (u64, u64);

#[derive(Default)]
struct Users {
    visits: usize,
    counted: Option<Instant>,
}

/// A file that is open.
#[derive(Default)]
struct Kept {
    handles: u32,
    nameless: bool,
}

/// Uses a folder for the length of a visit.
pub(crate) struct User(Arc<Usage>);

impl User {
    /// Of a folder of which it is known what it holds; none: to be counted.
    pub(crate) fn alone(held: Option<Held>) -> Self {
        let usage = Usage {
            known: Mutex::new(held),
            ..Usage::default()
        };
        Self::of(Arc::new(usage))
    }

    fn of(usage: Arc<Usage>) -> Self {
        let mut users = lock(&usage.users);
        let stale = (users.counted).is_some_and(|counted| counted.elapsed() > STALE);
        if users.visits == 0 && stale {
            usage.again.store(true, Ordering::Release);
        }
        users.visits += 1;
        drop(users);
        Self(usage)
    }

    /// A guest opened a file.
    pub(super) fn opened(&self, id: Id) {
        lock(&self.0.open).entry(id).or_default().handles += 1;
    }

    /// A guest closed a file; `len` says how long it is now.
    pub(super) fn closed(&self, id: Id, len: impl FnOnce() -> u64) {
        let mut open = lock(&self.0.open);
        let Some(kept) = open.get_mut(&id) else {
            return;
        };
        kept.handles -= 1;
        if kept.handles == 0 {
            if kept.nameless {
                self.0.freed.fetch_add(len(), Ordering::AcqRel);
            }
            open.remove(&id);
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        lock(&self.0.users).visits -= 1;
    }
}

/// The folders of the host's whose content is counted, by device and inode: stations that are granted
/// the same one share what is known of it.
#[derive(Default)]
pub(crate) struct Counted(Mutex<HashMap<Id, Weak<Usage>>>);

/// Keeps what is known of a folder while a station is ready that writes to it.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Usage>);

impl Counted {
    /// What is known of the folder.
    pub(crate) fn of(&self, folder: &File) -> io::Result<Shared> {
        let id = Facts::of(folder)?.id;
        let mut all = lock(&self.0);
        all.retain(|_, usage| usage.strong_count() > 0);
        let known = all.get(&id).and_then(Weak::upgrade);
        let usage = known.unwrap_or_default();
        all.insert(id, Arc::downgrade(&usage));
        Ok(Shared(usage))
    }
}

impl Shared {
    pub(crate) fn enter(&self) -> User {
        User::of(self.0.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks panics between two halves of a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is in a folder. Follows no link, and keeps one open folder for each level at most.
fn count(root: &File) -> io::Result<Held> {
    let mut held = Held::default();
    let mut folders = vec![Dir::read_from(root)?];
    loop {
        let depth = folders.len();
        let Some(folder) = folders.last_mut() else {
            return Ok(held);
        };
        let Some(entry) = folder.read() else {
            folders.pop();
            continue;
        };
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        held.entries += 1;
        let inside = folder.fd()?;
        let stat = match statat(inside, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Somebody else took it away meanwhile.
            Err(Errno::NOENT) => continue,
            stat => stat?,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                held.bytes = (held.bytes).saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
            }
            FileType::Directory => {
                if depth == DEPTH {
                    return Ok(Held {
                        bytes: u64::MAX,
                        entries: u64::MAX,
                    });
                }
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
                match openat(inside, name, flags, Mode::empty()) {
                    // Swapped or taken away meanwhile, or closed to the host and so to its guests.
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => {}
                    opened => folders.push(Dir::new(opened?)?),
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn what_a_folder_holds_is_counted_by_name_and_length() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/one"), "12345").unwrap();
        fs::hard_link(dir.path().join("a/one"), dir.path().join("a/b/two")).unwrap();
        symlink("/etc", dir.path().join("link")).unwrap();
        let holes = File::create(dir.path().join("holes")).unwrap();
        holes.set_len(1_000_000).unwrap();
        let held = count(&File::open(dir.path()).unwrap()).unwrap();
        let expected = Held {
            bytes: 1_000_010,
            entries: 6,
        };
        assert_eq!(held, expected);
    }

    #[test]
    fn a_folder_that_is_too_deep_counts_as_full() {
        let dir = tempfile::tempdir().unwrap();
        let deep: std::path::PathBuf = std::iter::repeat_n("d", DEPTH + 1).collect();
        fs::create_dir_all(dir.path().join(deep)).unwrap();
        let held = count(&File::open(dir.path()).unwrap()).unwrap();
        assert_eq!(held.entries, u64::MAX);
    }

    #[test]
    fn stations_share_what_is_known_of_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = File::open(dir.path()).unwrap();
        let counted = Counted::default();
        let (one, two) = (counted.of(&root).unwrap(), counted.of(&root).unwrap());
        let room = |shared: &Shared| Room {
            usage: shared.enter(),
            bytes: Some(Bound {
                most: 10,
                then: Then::Refuse,
            }),
            entries: None,
        };
        let (one, two) = (room(&one), room(&two));
        assert_eq!(one.change(&root).unwrap().take(8, 1), Ok(()));
        assert_eq!(two.change(&root).unwrap().take(3, 1), Err(Full::Bytes));
        one.change(&root).unwrap().give(8, 1);
        assert_eq!(two.change(&root).unwrap().take(3, 1), Ok(()));
    }
}
