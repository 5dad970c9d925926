//! Looking at a workspace after a visit: what stands there now, hashing only what may have changed.

use super::{Bounds, Entry, Held, Tree, WorkspaceError, folder};
use crate::{content::Content, digest::Digest, escape};
use bytes::Bytes;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat},
    io::Errno,
    time::{ClockId, clock_gettime},
};
use std::{
    collections::{HashMap, HashSet},
    ffi::CStr,
    fs::File,
    io::{Read, Seek},
};

/// What tells a file that nobody touched: the change time cannot be set by a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    len: u64,
    modified: Nanos,
    changed: Nanos,
}

pub(super) type Nanos = i128;

/// The stamps of files whose digest is known, by path.
pub(super) type Stamps = HashMap<String, Stamp>;

impl Stamp {
    #[allow(
        clippy::unnecessary_cast,
        reason = "the fields have other types on other systems"
    )]
    fn of(stat: &Stat) -> Self {
        let nanos = |s: i128, ns: i128| s * 1_000_000_000 + ns;
        Self {
            inode: stat.st_ino as u64,
            len: stat.st_size as u64,
            modified: nanos(stat.st_mtime as i128, stat.st_mtime_nsec as i128),
            changed: nanos(stat.st_ctime as i128, stat.st_ctime_nsec as i128),
        }
    }

    /// The stamp of an open file.
    pub(super) fn of_file(file: impl AsFd) -> Result<Self, Errno> {
        fstat(file).map(|stat| Self::of(&stat))
    }

    /// Whether a change after `now` is sure to give another stamp. A file system's clock moves in
    /// steps (at most 10 ms; 2 s where there are no fractions), so a file changed again within the
    /// step of its last change would look the same.
    pub(super) fn tells_after(&self, now: Nanos) -> bool {
        let step = if self.changed % 1_000_000_000 == 0 {
            2_100_000_000
        } else {
            20_000_000
        };
        self.changed + step < now
    }
}

/// The clock that file systems stamp with, in nanoseconds since 1970.
pub(super) fn now() -> Nanos {
    let time = clock_gettime(ClockId::Realtime);
    Nanos::from(time.tv_sec) * 1_000_000_000 + Nanos::from(time.tv_nsec)
}

/// What a look at the folder gave.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) tree: Tree,
    pub(super) stamps: Stamps,
    /// Small blobs that the tree before did not have.
    pub(super) blobs: Vec<(Digest, Bytes)>,
    /// Whether two names share a file. A restored tree would have two files, so that what happens next
    /// would hang on whether the folder was restored: such a one always is.
    pub(super) shared: bool,
    /// How much there is.
    pub(super) held: Held,
}

/// Looks at all that is under `root`. `before` with `stamps` is what was known of it.
pub(super) fn scan(
    root: &OwnedFd,
    before: &Tree,
    stamps: &Stamps,
    content: &Content,
    bounds: &Bounds,
    most: Held,
) -> Result<Scan, WorkspaceError> {
    let mut scanner = Scanner {
        before,
        stamps,
        content,
        bounds,
        most,
        started: now(),
        found: Scan::default(),
        kept: HashSet::new(),
        riding: 0,
        names: 0,
    };
    let mut folders = vec![String::new()];
    while let Some(path) = folders.pop() {
        scanner.folder(root, &path, &mut folders)?;
    }
    Ok(scanner.found)
}

struct Scanner<'a> {
    before: &'a Tree,
    stamps: &'a Stamps,
    content: &'a Content,
    bounds: &'a Bounds,
    most: Held,
    started: Nanos,
    found: Scan,
    kept: HashSet<Digest>,
    /// Bytes of `found.blobs`.
    riding: usize,
    /// Bytes of paths and links.
    names: usize,
}

impl Scanner<'_> {
    fn folder(
        &mut self,
        root: &OwnedFd,
        path: &str,
        folders: &mut Vec<String>,
    ) -> Result<(), WorkspaceError> {
        let fail = || unreadable(path);
        let room = self.most.entries.saturating_sub(self.found.held.entries);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let (opened, names) = folder::open(root, path)
            .and_then(|opened| folder::names(opened, room))
            .map_err(fail())?;
        self.found.held.entries += names.len() as u64;
        if self.found.held.entries > self.most.entries {
            let what = format!("brings the workspace over {} entries", self.most.entries);
            return Err(WorkspaceError::unkept(path, what, "keep fewer files there"));
        }
        if !path.is_empty() && path.split('/').count() > self.bounds.depth {
            let what = format!("lies deeper than {} folders", self.bounds.depth);
            return Err(WorkspaceError::unkept(path, what, "nest folders less deep"));
        }
        for name in names {
            let path = join(path, &name)?;
            self.named(path.len(), &path)?;
            match self.entry(&opened, &name, &path)? {
                Entry::Folder => {
                    folders.push(path.clone());
                    self.found.tree.insert(path, Entry::Folder);
                }
                entry => self.found.tree.insert(path, entry),
            }
        }
        Ok(())
    }

    /// Counts what the host has to hold to name an entry.
    fn named(&mut self, len: usize, path: &str) -> Result<(), WorkspaceError> {
        self.names += len;
        if self.names > self.bounds.names {
            let what = format!(
                "brings paths and links of the workspace over {} bytes",
                self.bounds.names
            );
            return Err(WorkspaceError::unkept(path, what, "use shorter names"));
        }
        Ok(())
    }

    fn entry(
        &mut self,
        folder: &OwnedFd,
        name: &CStr,
        path: &str,
    ) -> Result<Entry, WorkspaceError> {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(unreadable(path))?;
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return Ok(Entry::Folder),
            FileType::RegularFile => return self.file(folder, name, path, &stat),
            FileType::Symlink => {
                let target = readlinkat(folder, name, Vec::new()).map_err(unreadable(path))?;
                let Ok(target) = target.into_string() else {
                    let what = "is a link to what is not UTF-8";
                    return Err(WorkspaceError::unkept(path, what, "use names in UTF-8"));
                };
                self.named(target.len(), path)?;
                return Ok(Entry::Link { target });
            }
            FileType::Fifo => "is a pipe",
            FileType::Socket => "is a socket",
            FileType::CharacterDevice | FileType::BlockDevice => "is a device",
            _ => "is neither file, folder nor link",
        };
        let hint = "leave only files, folders and symbolic links in the workspace";
        Err(WorkspaceError::unkept(path, what, hint))
    }

    fn file(
        &mut self,
        folder: &OwnedFd,
        name: &CStr,
        path: &str,
        stat: &Stat,
    ) -> Result<Entry, WorkspaceError> {
        self.found.shared |= stat.st_nlink > 1;
        let stamp = Stamp::of(stat);
        let bytes = self.found.held.bytes.saturating_add(stamp.len);
        self.found.held.bytes = bytes;
        if bytes > self.most.bytes {
            let what = format!("brings the workspace over {} bytes", self.most.bytes);
            return Err(WorkspaceError::unkept(path, what, "keep less there"));
        }
        let before = match self.before.get(path) {
            Some(entry @ Entry::File { digest, len, .. }) => Some((entry, *digest, *len)),
            _ => None,
        };
        if let Some((entry, ..)) = before
            && self.stamps.get(path) == Some(&stamp)
        {
            self.found.stamps.insert(path.into(), stamp);
            return Ok(entry.clone());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file: File = openat(folder, name, flags, Mode::empty())
            .map_err(unreadable(path))?
            .into();
        let opened = fstat(&file).map_err(unreadable(path))?;
        if Stamp::of(&opened) != stamp {
            let hint = "let nothing else change the item's workspace";
            return Err(WorkspaceError::unkept(
                path,
                "changed while it was read",
                hint,
            ));
        }
        let (digest, len) =
            self.bytes_of(&mut file, path, stamp.len, before.map(|b| (b.1, b.2)))?;
        if stamp.tells_after(self.started) {
            self.found.stamps.insert(path.into(), stamp);
        }
        Ok(Entry::File {
            digest,
            len,
            exec: opened.st_mode & 0o100 != 0,
        })
    }

    /// The digest and length of a file whose bytes are kept then: small ones to ride in the journal's
    /// commit, large ones in the content store.
    fn bytes_of(
        &mut self,
        file: &mut File,
        path: &str,
        len: u64,
        before: Option<(Digest, u64)>,
    ) -> Result<(Digest, u64), WorkspaceError> {
        let fail = || unreadable(path);
        if len <= Content::SMALL as u64 {
            let mut bytes = Vec::with_capacity(len as usize);
            file.take(Content::SMALL as u64)
                .read_to_end(&mut bytes)
                .map_err(fail())?;
            let (digest, len) = (Digest::of(&bytes), bytes.len());
            if before != Some((digest, len as u64)) && self.kept.insert(digest) {
                // A commit has to stay small enough to be one.
                if self.riding + len > self.bounds.riding {
                    self.content.put(&bytes)?;
                } else {
                    self.riding += len;
                    self.found.blobs.push((digest, bytes.into()));
                }
            }
            return Ok((digest, len as u64));
        }
        // Where it is probably as it was, reading it twice is cheaper than writing it once.
        if let Some(before) = before.filter(|b| b.1 == len) {
            let mut hasher = blake3::Hasher::new();
            let read = std::io::copy(file, &mut hasher).map_err(fail())?;
            let found = (Digest::from_bytes(*hasher.finalize().as_bytes()), read);
            if found == before {
                return Ok(found);
            }
            file.rewind().map_err(fail())?;
        }
        Ok(self.content.copy(file, self.most.bytes)?)
    }
}

fn join(folder: &str, name: &CStr) -> Result<String, WorkspaceError> {
    let Ok(name) = name.to_str() else {
        let shown = format!("{folder}/{}", escape::bytes(name.to_bytes()));
        return Err(WorkspaceError::unkept(
            &shown,
            "is no UTF-8",
            "use names in UTF-8",
        ));
    };
    Ok(if folder.is_empty() {
        name.into()
    } else {
        format!("{folder}/{name}")
    })
}

/// The station made it so, if the host may not read what it left.
fn unreadable<E: Into<std::io::Error>>(path: &str) -> impl FnOnce(E) -> WorkspaceError {
    let path = path.to_string();
    move |error| {
        let error = error.into();
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                let hint = "leave files and folders readable for their owner";
                WorkspaceError::unkept(&path, "cannot be read", hint)
            }
            _ => WorkspaceError::system("read", format!("/workspace/{path}"))(error),
        }
    }
}
