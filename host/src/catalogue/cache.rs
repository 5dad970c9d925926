//! The compiled cache: a private folder of machine code, and the proof that it is what was put there.
//!
//! Whoever can place a file here runs code in the host, so nothing is believed:
//!
//! - The folder, the key and each entry belong to this user, and nobody else may write them (the
//!   folder: enter). All are reached from one open descriptor of the folder, so that a path swapped
//!   later changes nothing.
//! - An entry ends with a keyed hash over its name and content. The key is random and never leaves the
//!   folder, so an entry that was copied from elsewhere, renamed, cut or damaged does not pass.
//! - An entry is opened once. It is hashed through that descriptor, and what is handed over is that
//!   descriptor: replacing the file by another meanwhile changes nothing. Entries are never written
//!   again once they have their name, and only this user (or root) could; they can do so to the
//!   running host itself just as well.
//!
//! What does not pass is compiled again. Nothing is synced: an entry that a crash damaged is just that.

use super::{CatalogueError, Compiler, Component, Facts};
use crate::digest::Digest;
use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, fchmod, fstat, linkat, openat, renameat, statat,
        unlinkat,
    },
    io::Errno,
    process::geteuid,
};
use std::{
    fs::{DirBuilder, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, FileExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// The last bytes of every entry; the number is that of its layout.
const MAGIC: &[u8; 8] = b"andoncc1";
/// After the code: facts (JSON), their length (4 bytes), keyed hash (32 bytes), [`MAGIC`].
const TAIL: u64 = 4 + 32 + 8;
/// The most that facts may take, in bytes.
const LARGEST_FACTS: u64 = 64 << 20;

/// A folder of compiled components. Any number of processes and threads may use it at once.
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    folder: OwnedFd,
    key: [u8; 32],
    engine: String,
    compiler: Compiler,
    most: u64,
}

/// Compiled code that was verified, with what is known of it.
#[derive(Debug)]
pub struct Compiled {
    code: Verified,
    /// Of the code.
    len: u64,
    facts: Facts,
}

/// An open file whose code was verified.
#[derive(Debug)]
pub struct Verified(File);

impl Verified {
    /// The file that another process of this andon verified and handed over, open. Only a channel that
    /// nobody else writes to may give such a file.
    pub(crate) fn handed_over(file: OwnedFd) -> Self {
        Self(file.into())
    }

    /// The same open file once more, to be handed over.
    ///
    /// # Errors
    /// When there are too many open files.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// The open file.
    pub(crate) fn into_file(self) -> OwnedFd {
        self.0.into()
    }

    /// A path to the open file itself, for a loader that takes none but paths. Good while this lives;
    /// it does not go through the file's name, which may be another file's by now. The code begins
    /// at the file's start; what follows it is the cache's and to be ignored.
    pub fn path(&self) -> PathBuf {
        let descriptors = if cfg!(target_os = "linux") {
            "/proc/self/fd"
        } else {
            "/dev/fd"
        };
        Path::new(descriptors).join(self.0.as_raw_fd().to_string())
    }
}

impl AsFd for Verified {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Compiled {
    /// The open file.
    pub fn verified(&self) -> &Verified {
        &self.code
    }

    /// See [`Verified::path`].
    pub fn path(&self) -> PathBuf {
        self.code.path()
    }

    /// The code's bytes, read from the open file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len as usize];
        self.code.0.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// What the component imports and exports; of a core module, as it is after it was made into one.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl Cache {
    /// How many bytes all entries take together before the oldest go: 4 GiB.
    pub const MOST: u64 = 4 << 30;

    /// The same cache with another bound than [`Self::MOST`].
    pub fn with_most(self, most: u64) -> Self {
        Self { most, ..self }
    }

    /// Where the cache is unless somebody says otherwise: `$XDG_CACHE_HOME/andon/compiled`, or
    /// `~/.cache/andon/compiled`; none where neither is known.
    pub fn default_folder() -> Option<PathBuf> {
        let set = |name| std::env::var_os(name).map(PathBuf::from);
        set("XDG_CACHE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| set("HOME").map(|home| home.join(".cache")))
            .map(|cache| cache.join("andon/compiled"))
    }

    /// Folders below which andon keeps what is a user's and no line's: compiled code, settings, data.
    pub fn homes() -> Vec<PathBuf> {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        [
            ("XDG_CACHE_HOME", ".cache"),
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_STATE_HOME", ".local/state"),
        ]
        .into_iter()
        .filter_map(|(name, default)| {
            let set = std::env::var_os(name).map(PathBuf::from);
            let place = set
                .filter(|path| path.is_absolute())
                .or_else(|| home.as_ref().map(|home| home.join(default)))?;
            Some(place.join("andon"))
        })
        .collect()
    }

    /// The cache in the folder `path`, which is made if it is not there. `engine` names all that code
    /// depends on besides the component: the engine, its version and settings.
    ///
    /// # Errors
    /// When the folder cannot be made, or belongs to somebody else.
    pub fn open(path: &Path, engine: &str, compiler: Compiler) -> Result<Self, CatalogueError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(CatalogueError::cache("create", path))?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = openat(rustix::fs::CWD, path, flags, Mode::empty())
            .map_err(CatalogueError::cache("open", path))?;
        let stat = fstat(&folder).map_err(CatalogueError::cache("read", path))?;
        if stat.st_uid != geteuid().as_raw() {
            let reason = "it belongs to another user, who could put code there";
            return Err(CatalogueError::cache("use", path)(io::Error::other(reason)));
        }
        if stat.st_mode & 0o077 != 0 {
            fchmod(&folder, Mode::RWXU).map_err(CatalogueError::cache("close", path))?;
        }
        let key = key(&folder).map_err(CatalogueError::cache("use the key in", path))?;
        Ok(Self {
            path: path.into(),
            folder,
            key,
            engine: engine.into(),
            compiler,
            most: Self::MOST,
        })
    }

    /// The component's compiled code; compiled now if it is not there, after a call of `compiling`.
    /// Blocks for as long as that takes, or as another process takes for the same.
    ///
    /// # Errors
    /// When it does not compile, or the folder cannot be written.
    pub fn get(
        &self,
        component: &Component,
        compiling: &dyn Fn(),
    ) -> Result<Compiled, CatalogueError> {
        let name = self.name(&component.digest);
        if let Some(compiled) = self.load(&name) {
            return Ok(compiled);
        }
        let fail = |doing| CatalogueError::cache::<io::Error>(doing, &self.path);
        let flags = OFlags::CREATE | OFlags::RDWR;
        let lock = self
            .open_entry(&format!("{name}.lock"), flags)
            .map_err(|errno| fail("create a file in")(errno.into()))?;
        lock.lock().map_err(fail("lock a file in"))?;
        // Whoever had the lock may have compiled it.
        if let Some(compiled) = self.load(&name) {
            return Ok(compiled);
        }
        compiling();
        // The lock's holder alone uses this name; a file that is there was left by a crash.
        let temp = format!("{name}.new");
        let _ = unlinkat(&self.folder, temp.as_str(), AtFlags::empty());
        let mut file = self
            .open_entry(&temp, OFlags::CREATE | OFlags::EXCL | OFlags::RDWR)
            .map_err(|errno| fail("create a file in")(errno.into()))?;
        let made = self
            .compiler
            .run(&component.wasm, &file)
            .map_err(|reason| CatalogueError::Compile {
                path: component.source.clone(),
                reason,
            })
            .and_then(|()| {
                self.seal(&name, &mut file).map_err(fail("write to"))?;
                renameat(&self.folder, temp.as_str(), &self.folder, name.as_str())
                    .map_err(|errno| fail("write to")(errno.into()))
            });
        if let Err(error) = made {
            let _ = unlinkat(&self.folder, temp.as_str(), AtFlags::empty());
            return Err(error);
        }
        self.prune(&name).map_err(fail("clear"))?;
        self.load(&name).ok_or_else(|| CatalogueError::Compile {
            path: component.source.clone(),
            reason: "what the compiler wrote is not what it should write".into(),
        })
    }

    /// Notes that an entry is in use, once a day.
    fn touch(&self, file: &File) {
        let day = Duration::from_secs(24 * 60 * 60);
        let modified = file.metadata().and_then(|data| data.modified());
        if modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > day)) {
            // Whether it is noted is of little weight.
            let _ = file.set_modified(SystemTime::now());
        }
    }

    /// Removes what was not used for the longest time, where all of it together is too much. Whoever
    /// loaded an entry keeps its file, name or not.
    fn prune(&self, kept: &str) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if name.len() != kept.len() || name == kept {
                continue;
            }
            match statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => entries.push((stat.st_mtime, stat.st_size as u64, name.to_string())),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        entries.sort();
        let mut all: u64 = entries.iter().map(|(_, size, _)| size).sum();
        for (_, size, name) in entries {
            if all <= self.most {
                break;
            }
            match unlinkat(&self.folder, name.as_str(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => all -= size,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// The name of an entry: what its content depends on.
    fn name(&self, digest: &Digest) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(digest.as_bytes());
        hasher.update(self.engine.as_bytes());
        hasher.finalize().to_hex().to_string()
    }

    fn open_entry(&self, name: &str, flags: OFlags) -> Result<File, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        openat(&self.folder, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    }

    /// The entry, if it is there and passes.
    fn load(&self, name: &str) -> Option<Compiled> {
        let mut file = self.open_entry(name, OFlags::RDONLY).ok()?;
        if !is_private(&file).ok()? {
            return None;
        }
        let len = file.metadata().ok()?.len().checked_sub(TAIL - 4)?;
        let mut facts_len = [0; 4];
        file.seek(SeekFrom::Start(len.checked_sub(4)?)).ok()?;
        file.read_exact(&mut facts_len).ok()?;
        let mut tail = [0; 40];
        file.read_exact(&mut tail).ok()?;
        let (proof, magic) = tail.split_at(32);
        let expected = blake3::Hash::from_bytes(proof.try_into().ok()?);
        if magic != MAGIC || self.proof(name, &mut file, len).ok()? != expected {
            return None;
        }
        let facts_len = u64::from(u32::from_le_bytes(facts_len));
        if facts_len > LARGEST_FACTS {
            return None;
        }
        let mut facts = vec![0; facts_len as usize];
        let start = len.checked_sub(4 + facts_len)?;
        file.seek(SeekFrom::Start(start)).ok()?;
        file.read_exact(&mut facts).ok()?;
        let facts = serde_json::from_slice(&facts).ok()?;
        file.rewind().ok()?;
        self.touch(&file);
        Some(Compiled {
            code: Verified(file),
            len: start,
            facts,
        })
    }

    /// Ends an entry that the compiler wrote with its proof.
    fn seal(&self, name: &str, file: &mut File) -> io::Result<()> {
        let len = file.metadata()?.len();
        let proof = self.proof(name, file, len)?;
        file.seek(SeekFrom::Start(len))?;
        file.write_all(proof.as_bytes())?;
        file.write_all(MAGIC)?;
        fchmod(&*file, Mode::RUSR)?;
        Ok(())
    }

    /// The keyed hash over an entry's name and its first `len` bytes.
    fn proof(&self, name: &str, file: &mut File, len: u64) -> io::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(name.as_bytes());
        file.rewind()?;
        let mut rest = file.take(len);
        let mut buffer = vec![0; 256 << 10];
        loop {
            match rest.read(&mut buffer)? {
                0 if rest.limit() > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                0 => return Ok(hasher.finalize()),
                n => hasher.update(&buffer[..n]),
            };
        }
    }
}

/// Whether the file is one that only this user could have written.
fn is_private(file: &impl AsFd) -> Result<bool, Errno> {
    let stat = fstat(file)?;
    Ok(
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_uid == geteuid().as_raw()
            && stat.st_mode & 0o077 == 0
            && stat.st_nlink == 1,
    )
}

/// The folder's key: random, made by whoever comes first.
fn key(folder: &OwnedFd) -> io::Result<[u8; 32]> {
    const NAME: &str = "key";
    let read = || -> io::Result<Option<[u8; 32]>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut file: File = match openat(folder, NAME, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened?.into(),
        };
        let mut key = Vec::new();
        Read::by_ref(&mut file).take(33).read_to_end(&mut key)?;
        // While the key is new it has the name that it was written under, too.
        let stat = fstat(&file)?;
        let ours = stat.st_uid == geteuid().as_raw() && stat.st_mode & 0o077 == 0;
        Ok(key.try_into().ok().filter(|_| ours))
    };
    if let Some(key) = read()? {
        return Ok(key);
    }
    let mut key = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    // Written under another name first, so that nobody ever reads half a key.
    let temp = format!("key.{}", blake3::hash(&key).to_hex());
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file: File = openat(folder, temp.as_str(), flags, Mode::RUSR | Mode::WUSR)?.into();
    file.write_all(&key)?;
    match linkat(folder, temp.as_str(), folder, NAME, AtFlags::empty()) {
        Ok(()) => {}
        // Somebody was faster; or the key is damaged, and then a new one makes all entries foreign.
        Err(Errno::EXIST) if read()?.is_some() => {}
        Err(Errno::EXIST) => renameat(folder, temp.as_str(), folder, NAME)?,
        Err(errno) => return Err(errno.into()),
    }
    match unlinkat(folder, temp.as_str(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    read()?.ok_or_else(|| io::Error::other("it is no key"))
}
