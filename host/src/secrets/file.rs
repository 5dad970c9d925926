//! The file with a factory's secrets: a line each, `NAME=value`, or `NAME@keyring` where the keyring
//! has it. Only its owner may read it; it is replaced as a whole, by one writer at a time.
//!
//! Lines rather than TOML, since a value has no line break and so nothing needs to be taken apart: the
//! bytes are read into one place, which is zeroed.

use super::{SecretsError, Value};
use crate::{escape::line as escaped, grant::SecretGrant};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{
        AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, openat, renameat,
        unlinkat,
    },
    io::Errno,
};
use std::{
    fs::DirBuilder,
    io::{self, Read as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The first line.
const HEAD: &str = "andon-secrets 1";
/// What stands behind a name that the keyring has.
const IN_KEYRING: &str = "@keyring";
/// The most bytes of a file.
const LARGEST: u64 = 16 << 20;

/// Where a factory's file is, whether it is there or not.
pub(super) struct File {
    folder: PathBuf,
    name: String,
    path: PathBuf,
    /// Whose secrets they are, for whoever looks into the folder.
    factory: String,
}

/// What is in it; well-formed.
pub(super) struct Contents {
    text: Zeroizing<String>,
}

/// Which file it is: a replaced one is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, i64),
}

impl File {
    pub(super) fn new(folder: &Path, name: &str, factory: &Path) -> Self {
        Self {
            folder: folder.into(),
            name: name.into(),
            path: folder.join(name),
            factory: escaped(&factory.to_string_lossy()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file if it is there and nobody else could read or change it.
    pub(super) fn open(&self) -> Result<Option<(OwnedFd, Stamp)>, SecretsError> {
        match self.folder()? {
            Some(folder) => self.open_in(&folder),
            None => Ok(None),
        }
    }

    /// What is in the file.
    pub(super) fn read(&self, file: OwnedFd) -> Result<Contents, SecretsError> {
        let size = fstat(&file).map_err(|e| self.system("read", e))?.st_size;
        let size = u64::try_from(size).unwrap_or_default();
        if size > LARGEST {
            return Err(self.damaged(format!("it is larger than {LARGEST} bytes")));
        }
        // With all its room from the start: what grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(size as usize + 1));
        std::fs::File::from(file)
            .take(size)
            .read_to_end(&mut bytes)
            .map_err(|e| self.system("read", e))?;
        if std::str::from_utf8(&bytes).is_err() {
            return Err(self.damaged("it is not UTF-8".into()));
        }
        let text = String::from_utf8(std::mem::take(&mut *bytes)).unwrap_or_default();
        let contents = Contents {
            text: Zeroizing::new(text),
        };
        match contents.fault() {
            None => Ok(contents),
            Some(what) => Err(self.damaged(what)),
        }
    }

    /// Replaces what is in the file by what `change` makes of it, with no other writer in between.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&Contents) -> (Contents, T),
    ) -> Result<T, SecretsError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(|e| self.system_at("create", &self.folder, e))?;
        let folder = self.folder()?.ok_or_else(|| {
            let gone = io::Error::from(io::ErrorKind::NotFound);
            self.system_at("open", &self.folder, gone)
        })?;
        // Held until the descriptor is closed; each writer holds it for some milliseconds.
        flock(&folder, FlockOperation::LockExclusive).map_err(|e| self.system("lock", e))?;
        let before = match self.open_in(&folder)? {
            Some((file, _)) => self.read(file)?,
            None => Contents::empty(&self.factory),
        };
        let (after, result) = change(&before);
        self.replace(&folder, &after)
            .map_err(|e| self.system("write", e))?;
        Ok(result)
    }

    fn replace(&self, folder: &OwnedFd, contents: &Contents) -> io::Result<()> {
        let new = format!("{}.new", self.name);
        // What a crash left behind; nobody else is writing.
        match unlinkat(folder, &new, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW;
        let file = openat(
            folder,
            &new,
            flags | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        )?;
        let mut file = std::fs::File::from(file);
        let written = file
            .write_all(contents.text.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| Ok(renameat(folder, &new, folder, &self.name)?));
        if let Err(error) = written {
            let _ = unlinkat(folder, &new, AtFlags::empty());
            return Err(error);
        }
        rustix::fs::fsync(folder)?;
        Ok(())
    }

    /// The folder, if it is there and only its owner may change what is in it.
    fn folder(&self) -> Result<Option<OwnedFd>, SecretsError> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = match openat(rustix::fs::CWD, &self.folder, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.system_at("open", &self.folder, error)),
        };
        let stat = fstat(&folder).map_err(|e| self.system_at("read", &self.folder, e))?;
        self.own(&stat, &self.folder, Mode::WGRP | Mode::WOTH, "700")?;
        Ok(Some(folder))
    }

    fn open_in(&self, folder: impl AsFd) -> Result<Option<(OwnedFd, Stamp)>, SecretsError> {
        // Not blocking: a pipe in its place would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(folder, &self.name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.system("open", error)),
        };
        let stat = fstat(&file).map_err(|e| self.system("read", e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.damaged("it is no file".into()));
        }
        self.own(&stat, &self.path, Mode::RWXG | Mode::RWXO, "600")?;
        Ok(Some((file, Stamp::of(&stat))))
    }

    /// Refuses what belongs to somebody else, or gives others one of the rights `closed`.
    fn own(&self, stat: &Stat, path: &Path, closed: Mode, mode: &str) -> Result<(), SecretsError> {
        let shown = path.display().to_string();
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(SecretsError::Exposed {
                what: "belongs to another user".into(),
                hint: "move it away, or run andon as the user that keeps the secrets".into(),
                path: shown,
            });
        }
        let open = Mode::from_raw_mode(stat.st_mode);
        if open.intersects(closed) {
            let hint = format!(
                "`chmod {mode} {shown}`, and change the secrets in it: somebody may know them"
            );
            return Err(SecretsError::Exposed {
                what: format!("is open to others (mode {:o})", open.bits() & 0o7777),
                hint,
                path: shown,
            });
        }
        Ok(())
    }

    fn damaged(&self, what: String) -> SecretsError {
        SecretsError::Damaged {
            path: self.path.display().to_string(),
            what,
        }
    }

    fn system(&self, doing: &'static str, error: impl Into<io::Error>) -> SecretsError {
        self.system_at(doing, &self.path, error)
    }

    fn system_at(
        &self,
        doing: &'static str,
        path: &Path,
        error: impl Into<io::Error>,
    ) -> SecretsError {
        SecretsError::System {
            doing,
            path: path.display().to_string(),
            reason: error.into(),
        }
    }
}

impl Contents {
    fn empty(factory: &str) -> Self {
        Self {
            text: Zeroizing::new(format!("{HEAD}\n# of {factory}\n")),
        }
    }

    /// The names, and their values where they are here and not in the keyring.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.text.lines().filter_map(entry)
    }

    /// The value of a secret; `Some(None)` where the keyring has it.
    pub(super) fn get(&self, name: &str) -> Option<Option<Value>> {
        self.entries()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.map(|value| Zeroizing::new(value.to_owned())))
    }

    /// The same with a secret; without a value it is the keyring's.
    pub(super) fn with(&self, name: &str, value: Option<&Value>) -> Self {
        let more = name.len() + IN_KEYRING.len() + value.map_or(0, |value| value.len()) + 2;
        let mut contents = self.copied(name, more);
        contents.text.push_str(name);
        match value {
            Some(value) => {
                contents.text.push('=');
                contents.text.push_str(value);
            }
            None => contents.text.push_str(IN_KEYRING),
        }
        contents.text.push('\n');
        contents
    }

    /// The same without a secret.
    pub(super) fn without(&self, name: &str) -> Self {
        self.copied(name, 0)
    }

    /// All lines but that of `name`, with room for `more` bytes.
    fn copied(&self, name: &str, more: usize) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(self.text.len() + more));
        for line in self.text.lines() {
            if entry(line).is_none_or(|(known, _)| known != name) {
                text.push_str(line);
                text.push('\n');
            }
        }
        Self { text }
    }

    /// What is wrong, without a word of what is in it.
    fn fault(&self) -> Option<String> {
        let mut lines = self.text.lines();
        if lines.next() != Some(HEAD) {
            return Some(format!("its first line is not `{HEAD}`"));
        }
        if !self.text.ends_with('\n') {
            return Some("its last line is cut short".into());
        }
        let wrong = lines.position(|line| !line.starts_with('#') && entry(line).is_none());
        wrong.map(|n| format!("line {} is none of a secret", n + 2))
    }
}

/// A line's name and value.
fn entry(line: &str) -> Option<(&str, Option<&str>)> {
    let end = line.find(['=', '@'])?;
    let (name, rest) = line.split_at(end);
    let value = match rest {
        IN_KEYRING => None,
        rest => Some(rest.strip_prefix('=')?),
    };
    SecretGrant::is_name(name).then_some((name, value))
}

impl Stamp {
    #[allow(clippy::unnecessary_cast, reason = "their types are the system's")]
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as i64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        }
    }
}
