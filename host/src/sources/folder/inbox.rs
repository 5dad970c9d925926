//! The folder itself: what is in it, what of that is claimed, and what is wrong with the rest. Blocks.
//!
//! Everything goes by open folders, never by a path that somebody may change meanwhile.

use crate::{digest::Digest, escape::line as shown, line::source::Inbox as Grammar};
use bytes::Bytes;
use rustix::{
    fd::OwnedFd,
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat, fstat, mkdirat, open, openat,
        renameat, renameat_with, statat, unlinkat,
    },
    io::Errno,
    process::geteuid,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    time::{Duration, Instant},
};

/// The largest file that is taken, in bytes.
pub(in crate::sources) const MOST: u64 = 64 << 20;
/// The hidden folder that claimed files are in.
pub(in crate::sources) const CLAIMED: &str = ".andon-claimed";
/// Files that are looked at together.
const BATCH: usize = 256;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A file that is ours, read.
pub(super) struct Claimed {
    pub(super) name: OsString,
    pub(super) bytes: Bytes,
}

/// What tells whether a file is as it was.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The folder and what is known of it.
pub(super) struct Inbox {
    grammar: Grammar,
    /// The name of our folder in [`CLAIMED`].
    claims: String,
    /// Files as they were seen, and since when.
    seen: BTreeMap<OsString, (Seen, Instant)>,
    /// Files that cannot be taken as they are, and that a person was told of.
    bad: BTreeMap<OsString, Seen>,
    /// Claimed files that are being submitted.
    under_way: BTreeSet<OsString>,
    /// The folder's own trouble, told once.
    trouble: Option<String>,
    told: Vec<String>,
}

impl Inbox {
    pub(super) fn new(grammar: Grammar, claims: String) -> Self {
        Self {
            grammar,
            claims,
            seen: BTreeMap::new(),
            bad: BTreeMap::new(),
            under_way: BTreeSet::new(),
            trouble: None,
            told: Vec::new(),
        }
    }

    /// What a person should hear of that was not told yet.
    pub(super) fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Notes that the folder, or the store that its files go to, cannot be used for now.
    pub(super) fn trouble_of_folder(&mut self, error: &io::Error) {
        let text = error.to_string();
        if self.trouble.as_ref() != Some(&text) {
            let folder = self.grammar.folder.display().to_string();
            self.told.push(format!(
                "nothing is taken from `{}` for now: {}",
                shown(&folder),
                shown(&text)
            ));
            self.trouble = Some(text);
        }
    }

    /// The names of files that may be taken, those that were claimed before first; and when others may
    /// have settled.
    pub(super) fn look(&mut self) -> io::Result<(Vec<OsString>, Option<Duration>)> {
        std::fs::create_dir_all(&self.grammar.folder)?;
        let folder = self.folder()?;
        let claims = self.claims(&folder)?;
        let mut ready = self.names(&claims)?;
        ready.retain(|name| !self.under_way.contains(name));
        let left = ready.len();
        let names: Vec<OsString> = self
            .names(&folder)?
            .into_iter()
            .filter(|name| name.to_str().is_none_or(|name| self.grammar.takes(name)))
            .collect();
        let known: BTreeSet<&OsString> = names.iter().collect();
        self.seen.retain(|name, _| known.contains(name));
        self.bad.retain(|name, _| known.contains(name));
        let mut wait: Option<Duration> = None;
        for name in names {
            if ready.len() >= BATCH {
                // The rest is looked at when these are out of the way.
                wait = Some(Duration::ZERO);
                break;
            }
            if ready[..left].contains(&name) || self.under_way.contains(&name) {
                continue;
            }
            let Some(about) = self.usable(&folder, &name) else {
                continue;
            };
            let now = Instant::now();
            let since = match self.seen.get(&name) {
                Some((seen, since)) if *seen == about => *since,
                _ => {
                    self.seen.insert(name.clone(), (about, now));
                    now
                }
            };
            match self.grammar.settle.checked_sub(now - since) {
                Some(left) if !left.is_zero() => {
                    wait = Some(wait.map_or(left, |wait| wait.min(left)));
                }
                _ => ready.push(name),
            }
        }
        self.trouble = None;
        Ok((ready, wait))
    }

    /// Whether a file may be taken as far as can be seen; what keeps it from that is told once.
    fn usable(&mut self, folder: &OwnedFd, name: &OsStr) -> Option<Seen> {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let about = Seen::of(&stat);
        if self.bad.get(name) == Some(&about) {
            return None;
        }
        let kind = FileType::from_raw_mode(stat.st_mode as _);
        let wrong = match kind {
            // Folders have their own reasons to be there.
            FileType::Directory => return None,
            FileType::RegularFile if stat.st_size as u64 > MOST => {
                format!("it is larger than {} MiB", MOST >> 20)
            }
            FileType::RegularFile => match openat(folder, name, READ, Mode::empty()) {
                Ok(_) => {
                    self.bad.remove(name);
                    return Some(about);
                }
                Err(Errno::NOENT) => return None,
                Err(error) => io::Error::from(error).to_string(),
            },
            FileType::Symlink => "it is a link, and links are not followed".into(),
            _ => "it is no plain file".into(),
        };
        self.refuse(name, about, &wrong);
        None
    }

    fn refuse(&mut self, name: &OsStr, about: Seen, why: &str) {
        self.bad.insert(name.into(), about);
        self.told.push(format!(
            "`{}` is not taken and stays where it is: {why}",
            shown(&name.to_string_lossy())
        ));
    }

    /// Claims a file and reads it; none where it cannot be had now.
    pub(super) fn claim(&mut self, name: &OsStr) -> Option<Claimed> {
        match self.claimed(name) {
            Ok(claimed) => claimed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.trouble_of_folder(&error);
                None
            }
        }
    }

    fn claimed(&mut self, name: &OsStr) -> io::Result<Option<Claimed>> {
        let folder = self.folder()?;
        let claims = self.claims(&folder)?;
        let before = match statat(&claims, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => true,
            Err(Errno::NOENT) => {
                match renameat_with(&folder, name, &claims, name, RenameFlags::NOREPLACE) {
                    // Some file systems cannot do it in one step; nobody else has our folder.
                    Err(Errno::INVAL | Errno::NOSYS) => renameat(&folder, name, &claims, name)?,
                    renamed => renamed?,
                }
                false
            }
            Err(error) => return Err(error.into()),
        };
        let seen = self.seen.remove(name).map(|(seen, _)| seen);
        match self.read(&claims, name, seen.filter(|_| !before)) {
            Ok(bytes) => {
                self.under_way.insert(name.into());
                let name = name.into();
                Ok(Some(Claimed { name, bytes }))
            }
            Err(Unread::Changes) => {
                self.give_back(&folder, &claims, name)?;
                Ok(None)
            }
            Err(Unread::Wrong(why)) => {
                self.give_back(&folder, &claims, name)?;
                let stat = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                self.refuse(name, Seen::of(&stat), &why);
                Ok(None)
            }
        }
    }

    /// A file goes back to where it was; where another has its name meanwhile, it stays claimed.
    fn give_back(&mut self, folder: &OwnedFd, claims: &OwnedFd, name: &OsStr) -> io::Result<()> {
        match renameat_with(claims, name, folder, name, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => renameat(claims, name, folder, name)?,
            renamed => renamed?,
        }
        Ok(())
    }

    fn read(&self, claims: &OwnedFd, name: &OsStr, seen: Option<Seen>) -> Result<Bytes, Unread> {
        let file = openat(claims, name, READ, Mode::empty()).map_err(wrong)?;
        let stat = fstat(&file).map_err(wrong)?;
        if FileType::from_raw_mode(stat.st_mode as _) != FileType::RegularFile {
            return Err(Unread::Wrong("it is no plain file".into()));
        }
        let about = Seen::of(&stat);
        if seen.is_some_and(|seen| !seen.same_content(&about)) {
            return Err(Unread::Changes);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0).min(1 << 20));
        let mut file = File::from(file);
        (&mut file)
            .take(MOST + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Unread::Wrong(error.to_string()))?;
        if bytes.len() as u64 > MOST {
            let why = format!("it is larger than {} MiB", MOST >> 20);
            return Err(Unread::Wrong(why));
        }
        // Somebody may have it open still.
        let after = Seen::of(&fstat(&file).map_err(wrong)?);
        if !after.same_content(&about) {
            return Err(Unread::Changes);
        }
        Ok(bytes.into())
    }

    /// Puts a file away that was submitted: whether that is done. Where it is not, it is submitted once
    /// more later, and known.
    pub(super) fn put_away(&mut self, name: &OsStr) -> bool {
        self.under_way.remove(name);
        let folder = self.folder();
        let put = folder.and_then(|folder| {
            let claims = self.claims(&folder)?;
            let Some(done) = &self.grammar.done else {
                return Ok(unlinkat(&claims, name, AtFlags::empty())?);
            };
            std::fs::create_dir_all(done)?;
            let done = open(done, FOLDER, Mode::empty())?;
            match renameat_with(&claims, name, &done, name, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS) => {}
                renamed => return Ok(renamed?),
            }
            // One of that name went before it: the same content has the same name again.
            let mut file = File::from(openat(&claims, name, READ, Mode::empty())?);
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let digest = Digest::of(&bytes).to_string();
            let mut other = OsString::from(&digest[..16]);
            other.push(".");
            other.push(name);
            let longest = other.len().min(255);
            let other = OsStr::from_bytes(&other.as_bytes()[..longest]);
            Ok(renameat(&claims, name, &done, other)?)
        });
        match put {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => {
                self.trouble_of_folder(&error);
                false
            }
        }
    }

    fn folder(&self) -> io::Result<OwnedFd> {
        Ok(open(&self.grammar.folder, FOLDER, Mode::empty())?)
    }

    /// Our folder of claimed files. One that somebody else made there is not used: its files would be
    /// taken, wherever they are.
    fn claims(&self, folder: &OwnedFd) -> io::Result<OwnedFd> {
        let all = self.own(folder, CLAIMED)?;
        self.own(&all, &self.claims)
    }

    fn own(&self, within: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
        match mkdirat(within, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let own = openat(within, name, FOLDER, Mode::empty())?;
        if fstat(&own)?.st_uid != geteuid().as_raw() {
            let why = format!("`{name}` in it belongs to another user");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(own)
    }

    /// All names in a folder, in their order; hidden ones are nobody's inputs.
    fn names(&self, folder: &OwnedFd) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !name.starts_with(b".") {
                names.push(OsStr::from_bytes(name).to_os_string());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// A link would not be followed, a pipe not be waited for.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Why a claimed file was not read.
enum Unread {
    /// Somebody still writes to it.
    Changes,
    /// It cannot be, and why.
    Wrong(String),
}

fn wrong(error: Errno) -> Unread {
    Unread::Wrong(io::Error::from(error).to_string())
}

impl Seen {
    fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino as _,
            size: stat.st_size,
            modified: (stat.st_mtime as _, stat.st_mtime_nsec as _),
            changed: (stat.st_ctime as _, stat.st_ctime_nsec as _),
        }
    }

    /// A rename changes when a file was changed, not when its content was.
    fn same_content(&self, other: &Self) -> bool {
        (self.inode, self.size, self.modified) == (other.inode, other.size, other.modified)
    }
}
