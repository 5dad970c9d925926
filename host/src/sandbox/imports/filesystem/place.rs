//! Folders that a visit was given, and the calls on what is in them. Blocks; knows no version of WASI.
//!
//! Paths and links are confined by capabilities: each call resolves its path below an open folder, and
//! what would lead out of it fails. What grows is counted first, and what is denied is noted.

use super::{
    denials::Denials,
    room::{Bound, Change, Full, Id, Room, Then},
};
use crate::{
    grant::{self, Access},
    limits::write_size,
    sandbox::{meter::Over, tape::Tape},
};
use cap_primitives::fs::{
    self as cap, DirOptions, FollowSymlinks, Metadata, MetadataExt as _, OpenOptions,
    OpenOptionsExt as _, SystemTimeSpec,
};
use rustix::{
    fs::{FileType, OFlags},
    io::Errno,
};
use std::{
    fs::{File, FileTimes},
    io,
    os::unix::fs::FileExt as _,
    path::{Component, Path},
    sync::Arc,
    time::SystemTime,
};

/// The longest path that is remembered of what is open, to be told of in a denial.
const PATH: usize = 1 << 10;

/// A folder that a visit was given.
pub(crate) struct Place {
    /// Where the guest sees it.
    pub(crate) guest: String,
    pub(crate) access: Access,
    /// Whether it is a folder of the host's and not one of andon's own: there may be pipes and devices in
    /// it, it may lie on a network, and others may use what the guest leaves there.
    pub(crate) foreign: bool,
    /// None where nothing is counted.
    pub(crate) room: Option<Room>,
    pub(crate) denials: Arc<Denials>,
    pub(crate) tape: Arc<Tape>,
}

/// A file or folder that the guest has open.
pub(crate) struct Open {
    pub(super) file: Arc<File>,
    pub(super) folder: bool,
    pub(super) mode: Mode,
    place: Arc<Place>,
    /// The place's own folder; none where this is it.
    root: Option<Arc<File>>,
    /// How the guest may call it.
    path: String,
    /// What the room knows it by.
    watched: Option<Id>,
}

/// What an open file or folder was opened for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mode {
    pub(super) read: bool,
    pub(super) write: bool,
}

/// How a file or folder is opened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct How {
    pub(super) follow: bool,
    pub(super) create: bool,
    pub(super) exclusive: bool,
    pub(super) truncate: bool,
    pub(super) folder: bool,
    pub(super) mode: Mode,
}

/// Where to write.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    End,
    Offset(u64),
}

/// What the system knows of a file.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) kind: FileType,
    pub(super) links: u64,
    pub(super) size: u64,
    pub(super) id: Id,
    /// Seconds since 1970 and nanoseconds.
    pub(super) accessed: Time,
    pub(super) modified: Time,
    pub(super) changed: Time,
}

pub(super) type Time = (i64, u32);

impl Facts {
    /// Of an open file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from(&Metadata::from_file(file)?))
    }

    /// For how many files its length counts.
    fn names(&self) -> u64 {
        self.links.max(1)
    }

    fn plain(&self) -> bool {
        matches!(
            self.kind,
            FileType::RegularFile | FileType::Directory | FileType::Symlink
        )
    }
}

impl From<&Metadata> for Facts {
    fn from(of: &Metadata) -> Self {
        let time = |s, ns: i64| (s, u32::try_from(ns).unwrap_or(0));
        Self {
            kind: FileType::from_raw_mode(of.mode()),
            links: of.nlink(),
            size: of.size(),
            id: (of.dev(), of.ino()),
            accessed: time(of.atime(), of.atime_nsec()),
            modified: time(of.mtime(), of.mtime_nsec()),
            changed: time(of.ctime(), of.ctime_nsec()),
        }
    }
}

impl Place {
    fn writes(&self) -> bool {
        self.access == Access::Write
    }

    /// Whether calls are made on the visit's own thread, which saves waking another one for each. Safe
    /// where all files are andon's own: a guest can make nothing but regular files, folders and links. In
    /// a folder of the host's a call could block for ever.
    pub(super) fn quick(&self) -> bool {
        !self.foreign
    }

    fn deny(&self, what: &str, why: impl Into<String>) -> io::Error {
        self.denials.note(what, why.into());
        Errno::PERM.into()
    }

    /// What becomes of a call that finds no room.
    fn full(&self, room: &Room, full: Full, what: impl FnOnce() -> String) -> io::Error {
        let (bound, word): (_, fn(u64) -> String) = match full {
            Full::Bytes => (room.bytes, write_size),
            Full::Entries => (room.entries, |n| n.to_string()),
        };
        match bound {
            Some(Bound {
                then: Then::End(limit),
                ..
            }) => io::Error::other(self.tape.exceed(limit)),
            Some(Bound { most, .. }) => {
                let (key, guest) = (
                    if full == Full::Bytes {
                        "quota"
                    } else {
                        "max-files"
                    },
                    &self.guest,
                );
                let why = format!("`{guest}` is over its `{key}` of {}", word(most));
                self.denials.note(&what(), why);
                Errno::NOSPC.into()
            }
            None => Errno::NOSPC.into(),
        }
    }
}

/// Whether an error says that a path leads out of its folder.
fn leads_out(error: &io::Error) -> bool {
    // The only refusal that does not come from the system.
    error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}

impl Open {
    /// The folder itself, as the guest is given it.
    pub(crate) fn place(place: Place, folder: File) -> Self {
        Self {
            file: Arc::new(folder),
            folder: true,
            mode: Mode {
                read: true,
                write: place.writes(),
            },
            path: place.guest.clone(),
            place: Arc::new(place),
            root: None,
            watched: None,
        }
    }

    pub(super) fn quick(&self) -> bool {
        self.place.quick()
    }

    /// The limit that the visit ran into, if that is what an error is.
    pub(super) fn over(error: &io::Error) -> Option<Over> {
        error.get_ref()?.downcast_ref().copied()
    }

    pub(super) fn facts(&self) -> io::Result<Facts> {
        Facts::of(&self.file)
    }

    /// The open folder.
    ///
    /// # Errors
    /// `ENOTDIR`.
    fn dir(&self) -> io::Result<&File> {
        if self.folder {
            Ok(&self.file)
        } else {
            Err(Errno::NOTDIR.into())
        }
    }

    /// The open file.
    ///
    /// # Errors
    /// `EBADF`, as WASI has it.
    pub(super) fn plain(&self) -> io::Result<&File> {
        if self.folder {
            Err(Errno::BADF.into())
        } else {
            Ok(&self.file)
        }
    }

    /// What a denial calls a call.
    fn call(&self, doing: &str, path: &str) -> String {
        match path {
            "" => format!("{doing} `{}`", self.path),
            path => format!("{doing} `{}/{path}`", self.path),
        }
    }

    /// Refuses a path to what is the host's own, wherever in a granted folder it may stand.
    fn not_the_hosts(&self, doing: &str, path: &str, changes: bool) -> io::Result<()> {
        match grant::hosts_own(path, changes).filter(|_| self.place.foreign) {
            None => Ok(()),
            Some(name) => {
                let why = format!("`{name}` is the host's own, in every folder");
                Err(self.place.deny(&self.call(doing, path), why))
            }
        }
    }

    /// Refuses a call that changes something where nothing may be changed.
    fn may_change(&self, doing: &str, path: &str) -> io::Result<()> {
        if self.place.writes() {
            return self.not_the_hosts(doing, path, true);
        }
        let why = format!("`{}` may only be read", self.place.guest);
        Err(self.place.deny(&self.call(doing, path), why))
    }

    /// Notes that a path leads out, if that is what went wrong.
    fn confined<T>(&self, doing: &str, path: &str, done: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &done
            && leads_out(error)
        {
            let why = format!("it leads out of `{}`", self.place.guest);
            self.place.denials.note(&self.call(doing, path), why);
        }
        done
    }

    /// Begins a change that is counted; none where nothing is.
    fn change(&self) -> io::Result<Option<Change<'_>>> {
        let root = self.root.as_deref().unwrap_or(&self.file);
        (self.place.room.as_ref())
            .map(|room| room.change(root))
            .transpose()
    }

    fn take(
        &self,
        change: &mut Option<Change<'_>>,
        (bytes, entries): (u64, u64),
        what: impl FnOnce() -> String,
    ) -> io::Result<()> {
        if let (Some(change), Some(room)) = (change, &self.place.room) {
            let taken = change.take(bytes, entries);
            taken.map_err(|full| self.place.full(room, full, what))?;
        }
        Ok(())
    }

    /// Opens what stands at `path`.
    pub(super) fn open_at(&self, path: &str, how: How) -> io::Result<Self> {
        let dir = self.dir()?;
        if how.folder && (how.create || how.exclusive || how.truncate) {
            return Err(Errno::INVAL.into());
        }
        self.not_the_hosts("open", path, false)?;
        if how.create || how.truncate || how.mode.write {
            self.may_change("write", path)?;
        }
        // Opening a device may do something, so it is looked at first; what was swapped in between is
        // seen below, where it is open.
        if self.place.foreign
            && let Ok(found) = cap::stat(dir, Path::new(path), follow(how.follow))
            && !Facts::from(&found).plain()
        {
            return Err(self.special(path));
        }
        let mut change = self.change()?;
        let opened = self.confined("open", path, self.made(&mut change, path, how))?;
        let facts = Facts::of(&opened)?;
        let folder = match facts.kind {
            FileType::Directory => true,
            FileType::RegularFile => false,
            _ => return Err(self.special(path)),
        };
        if how.folder && !folder {
            return Err(Errno::NOTDIR.into());
        }
        if how.truncate && !folder {
            opened.set_len(0)?;
            if let Some(change) = &mut change {
                change.give(facts.size.saturating_mul(facts.names()), 0);
            }
        }
        let mut watched = None;
        if let Some(room) = &self.place.room
            && !folder
        {
            room.usage.opened(facts.id);
            watched = Some(facts.id);
        }
        drop(change);
        let shown = (self.path.len() + path.len() < PATH).then(|| format!("{}/{path}", self.path));
        let root = self.root.as_ref().unwrap_or(&self.file).clone();
        let write = how.mode.write || how.create || how.truncate;
        Ok(Self {
            file: Arc::new(opened),
            folder,
            mode: Mode {
                read: how.mode.read || !how.mode.write,
                write,
            },
            place: self.place.clone(),
            root: Some(root),
            path: shown.unwrap_or_else(|| self.path.clone()),
            watched,
        })
    }

    fn special(&self, path: &str) -> io::Error {
        let why = "it is neither file nor folder: pipes, sockets and devices are never opened";
        self.place.deny(&self.call("open", path), why)
    }

    /// The open file, made where it is to be made.
    fn made(&self, change: &mut Option<Change<'_>>, path: &str, how: How) -> io::Result<File> {
        let dir = self.dir()?;
        let path_of = Path::new(path);
        let mut options = OpenOptions::new();
        // Should a pipe have been put there, nobody waits for its other end.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        options
            .read(how.mode.read || !how.mode.write)
            .write(how.mode.write || how.create || how.truncate)
            .custom_flags(flags.bits().cast_signed())
            ._cap_fs_ext_follow(follow(how.follow));
        if !how.create {
            return cap::open(dir, path_of, &options);
        }
        let mut fresh = options.clone();
        fresh.create_new(true);
        if change.is_none() {
            if !how.exclusive {
                fresh.create_new(false).create(true);
            }
            return cap::open(dir, path_of, &fresh);
        }
        let what = || self.call("write", path);
        let make = |change: &mut Option<Change<'_>>, options: &OpenOptions| {
            self.take(change, (0, 1), what)?;
            cap::open(dir, path_of, options).inspect_err(|_| give(change, 0, 1))
        };
        if how.exclusive {
            return make(change, &fresh);
        }
        // A file that is there takes no room.
        match cap::open(dir, path_of, &options) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        match make(change, &fresh) {
            // A link to what is not there yet: that is what is made.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fresh.create_new(false).create(true);
                make(change, &fresh)
            }
            made => made,
        }
    }

    /// Reads at most as much as fits.
    pub(super) fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.plain()?.read_at(into, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// Whether the guest may write to this file at all.
    pub(super) fn may_write(&self) -> io::Result<()> {
        self.plain()?;
        self.may_change("write", "")
    }

    /// Writes `bytes`, or the first of them; how many.
    pub(super) fn write(&self, bytes: &[u8], at: At) -> io::Result<usize> {
        self.may_write()?;
        let file = self.plain()?;
        if !self.mode.write {
            return Err(Errno::BADF.into());
        }
        let mut change = self.change()?;
        if change.is_none() {
            return match at {
                At::End => append(file, bytes),
                At::Offset(offset) => file.write_at(bytes, offset),
            };
        }
        let before = Facts::of(file)?;
        let offset = match at {
            At::End => before.size,
            At::Offset(offset) => offset,
        };
        let end = end(offset, bytes.len())?;
        let grown = |to: u64| {
            to.saturating_sub(before.size)
                .saturating_mul(before.names())
        };
        let most = if bytes.is_empty() { 0 } else { grown(end) };
        self.take(&mut change, (most, 0), || self.call("write", ""))?;
        let written = file.write_at(bytes, offset);
        let came = match &written {
            Ok(n) if *n > 0 => grown(offset + *n as u64),
            _ => 0,
        };
        give(&mut change, most - came, 0);
        written
    }

    /// Makes the file just so long.
    pub(super) fn set_size(&self, size: u64) -> io::Result<()> {
        let file = self.plain()?;
        self.may_change("resize", "")?;
        end(size, 0)?;
        let mut change = self.change()?;
        let before = Facts::of(file)?;
        let more = size
            .saturating_sub(before.size)
            .saturating_mul(before.names());
        if self.mode.write {
            self.take(&mut change, (more, 0), || self.call("resize", ""))?;
        }
        match file.set_len(size) {
            Ok(()) => {
                let less = before.size.saturating_sub(size);
                give(&mut change, less.saturating_mul(before.names()), 0);
                Ok(())
            }
            Err(error) => {
                if self.mode.write {
                    give(&mut change, more, 0);
                }
                Err(error)
            }
        }
    }

    /// Something new that has no bytes.
    fn make(
        &self,
        doing: &str,
        path: &str,
        make: impl FnOnce(&File) -> io::Result<()>,
    ) -> io::Result<()> {
        let dir = self.dir()?;
        self.may_change(doing, path)?;
        let mut change = self.change()?;
        self.take(&mut change, (0, 1), || self.call(doing, path))?;
        let made = make(dir).inspect_err(|_| give(&mut change, 0, 1));
        self.confined(doing, path, made)
    }

    pub(super) fn create_folder(&self, path: &str) -> io::Result<()> {
        let make = |dir: &File| cap::create_dir(dir, Path::new(path), &DirOptions::new());
        self.make("make the folder", path, make)
    }

    /// Makes a symbolic link at `path`.
    pub(super) fn link_to(&self, target: &str, path: &str) -> io::Result<()> {
        let doing = "make the link";
        self.dir()?;
        self.may_change(doing, path)?;
        // Whoever else uses the folder follows links without asking anybody. One that only leads down
        // stays inside, wherever in the folder it is moved.
        self.not_the_hosts(doing, target, true)?;
        let mut parts = Path::new(target).components();
        if self.place.foreign && parts.any(|part| part == Component::ParentDir) {
            let why = format!(
                "links in `{}` lead down only: `{target}` goes up",
                self.place.guest
            );
            return Err(self.place.deny(&self.call(doing, path), why));
        }
        let make = |dir: &File| cap::symlink(Path::new(target), dir, Path::new(path));
        self.make(doing, path, make)
    }

    /// What is at `path`, not followed; none where it cannot be looked at.
    fn look(&self, path: &str) -> Option<Facts> {
        let found = cap::stat(&self.file, Path::new(path), FollowSymlinks::No);
        found.ok().map(|found| Facts::from(&found))
    }

    /// Gives the file at `old` another name.
    pub(super) fn link(&self, follow: bool, old: &str, to: &Self, new: &str) -> io::Result<()> {
        let doing = "link";
        let (from, dir) = (self.dir()?, to.dir()?);
        self.may_change(doing, old)?;
        to.may_change(doing, new)?;
        if follow {
            return Err(Errno::INVAL.into());
        }
        self.same_place(to)?;
        let mut change = self.change()?;
        let mut bytes = 0;
        if change.is_some()
            && let Some(facts) = self.look(old)
            && facts.kind == FileType::RegularFile
        {
            bytes = facts.size;
        }
        self.take(&mut change, (bytes, 1), || to.call(doing, new))?;
        let linked = cap::hard_link(from, Path::new(old), dir, Path::new(new))
            .inspect_err(|_| give(&mut change, bytes, 1));
        self.confined(doing, old, linked)
    }

    /// Moves what is at `old`.
    pub(super) fn rename(&self, old: &str, to: &Self, new: &str) -> io::Result<()> {
        let doing = "rename";
        let (from, dir) = (self.dir()?, to.dir()?);
        self.may_change(doing, old)?;
        to.may_change(doing, new)?;
        self.same_place(to)?;
        let mut change = self.change()?;
        let replaced = change.is_some().then(|| (self.look(old), to.look(new)));
        let renamed = cap::rename(from, Path::new(old), dir, Path::new(new));
        if let (Ok(()), Some((Some(moved), Some(lost)))) = (&renamed, replaced)
            && let Some(change) = &mut change
            // Two names of one file stay as they are.
            && moved.id != lost.id
        {
            change.lost(&lost);
        }
        self.confined(doing, old, renamed)
    }

    /// Each place is a file system of its own, since each has rights and room of its own.
    fn same_place(&self, other: &Self) -> io::Result<()> {
        if Arc::ptr_eq(&self.place, &other.place) {
            Ok(())
        } else {
            Err(Errno::XDEV.into())
        }
    }

    pub(super) fn remove_folder(&self, path: &str) -> io::Result<()> {
        let doing = "remove";
        let dir = self.dir()?;
        self.may_change(doing, path)?;
        let mut change = self.change()?;
        // A trailing slash says what is so anyway, and `cap` takes it amiss.
        let bare = path.trim_end_matches('/');
        let removed = cap::remove_dir(dir, Path::new(if bare.is_empty() { path } else { bare }));
        if removed.is_ok() {
            give(&mut change, 0, 1);
        }
        self.confined(doing, path, removed)
    }

    /// Removes a file or link.
    pub(super) fn unlink(&self, path: &str) -> io::Result<()> {
        let doing = "remove";
        let dir = self.dir()?;
        self.may_change(doing, path)?;
        let mut change = self.change()?;
        let lost = change.is_some().then(|| self.look(path)).flatten();
        let removed = cap::remove_file(dir, Path::new(path));
        if let (Ok(()), Some(change), Some(lost)) = (&removed, &mut change, lost) {
            change.lost(&lost);
        }
        self.confined(doing, path, removed)
    }

    pub(super) fn facts_at(&self, path: &str, followed: bool) -> io::Result<Facts> {
        self.not_the_hosts("look at", path, false)?;
        let found = cap::stat(self.dir()?, Path::new(path), follow(followed));
        Ok(Facts::from(&self.confined("look at", path, found)?))
    }

    /// The text of a link.
    pub(super) fn read_link(&self, path: &str) -> io::Result<String> {
        self.not_the_hosts("look at", path, false)?;
        let text = cap::read_link(self.dir()?, Path::new(path))?;
        (text.into_os_string().into_string()).map_err(|_| Errno::ILSEQ.into())
    }

    pub(super) fn set_times(&self, times: Times) -> io::Result<()> {
        self.may_change("set the times of", "")?;
        let mut set = FileTimes::new();
        if let Some(accessed) = times.accessed {
            set = set.set_accessed(accessed);
        }
        if let Some(modified) = times.modified {
            set = set.set_modified(modified);
        }
        self.file.set_times(set)
    }

    pub(super) fn set_times_at(&self, path: &str, followed: bool, times: Times) -> io::Result<()> {
        let doing = "set the times of";
        let dir = self.dir()?;
        self.may_change(doing, path)?;
        let spec = |time: Option<SystemTime>| {
            time.map(|time| SystemTimeSpec::from(cap_primitives::time::SystemTime::from_std(time)))
        };
        let set = if followed {
            cap::set_times
        } else {
            cap::set_times_nofollow
        };
        let done = set(
            dir,
            Path::new(path),
            spec(times.accessed),
            spec(times.modified),
        );
        self.confined(doing, path, done)
    }
}

/// Times to set; none stays as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) accessed: Option<SystemTime>,
    pub(super) modified: Option<SystemTime>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let (Some(id), Some(room)) = (self.watched, &self.place.room) {
            let len = || Facts::of(&self.file).map_or(0, |facts| facts.size);
            room.usage.closed(id, len);
        }
    }
}

fn give(change: &mut Option<Change<'_>>, bytes: u64, entries: u64) {
    if let Some(change) = change {
        change.give(bytes, entries);
    }
}

fn follow(follow: bool) -> FollowSymlinks {
    if follow {
        FollowSymlinks::Yes
    } else {
        FollowSymlinks::No
    }
}

/// Where a write ends; an error beyond what a file may be.
fn end(offset: u64, len: usize) -> io::Result<u64> {
    (offset.checked_add(len as u64))
        .filter(|end| i64::try_from(*end).is_ok())
        .ok_or_else(|| Errno::FBIG.into())
}

/// Writes to the end of a file that others may write to as well.
fn append(file: &File, bytes: &[u8]) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::{ReadWriteFlags, pwritev2};
        match pwritev2(file, &[io::IoSlice::new(bytes)], 0, ReadWriteFlags::APPEND) {
            Err(Errno::NOSYS | Errno::NOTSUP) => {}
            written => return Ok(written?),
        }
    }
    file.write_at(bytes, file.metadata()?.len())
}
