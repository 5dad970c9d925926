//! Backups: a copy of a state folder as it is at one moment, also while lines run.
//!
//! The journal is copied first; then every blob and asset that the copy names, each held against its
//! digest. They are files before they are records, so whatever the copy names is there; and nobody
//! collects meanwhile. The manifest comes last: without it a backup is none.

use super::{
    HousekeepingError,
    uses::{Told, User, uses},
};
use crate::{
    assembly::assets::Tree,
    content::Content,
    digest::Digest,
    journal::{Sqlite, sqlite},
    lines::State,
    visit::Millis,
    workspace::Workspaces,
};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of backups: 1.
    pub format: u32,
    /// When it was begun.
    pub at: Millis,
    /// The version of the andon that made it.
    pub andon: String,
    /// The id of the factory, in hexadecimal digits.
    pub factory: String,
    /// How often the factory had been restored.
    pub epoch: u64,
    /// The digest of the journal's file.
    pub journal: Digest,
    /// How many entries the audit has, and the end of its chain.
    pub audit: (u64, Digest),
}

impl Manifest {
    /// The file in a backup.
    pub const FILE: &str = "backup.json";
    /// The format that this andon makes and reads.
    pub const FORMAT: u32 = 1;
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Items in it.
    pub items: u64,
    /// Large blobs.
    pub blobs: u64,
    /// Their bytes, and those of the journal.
    pub bytes: u64,
    /// Assets of revisions.
    pub assets: u64,
}

/// Copies a state folder to the folder `to`, which is made and must not have anything in it.
///
/// # Errors
/// When something that is needed is missing or damaged, when `to` cannot be written. What is there then
/// is no backup, and is refused as one.
pub fn back_up(state: &State, to: &Path, at: Millis) -> Result<Backup, HousekeepingError> {
    empty_folder(to)?;
    let _nobody_collects = uncollected(&state.folder)?;
    let file = to.join(sqlite::FILE);
    state.journal.copy_to(&file)?;
    let (journal, bytes) = digest_of(&file)?;
    let copy = as_copied(state, to)?;
    let verified = copy.journal.verify(None)?;
    let chain = verified.map_err(|flaw| HousekeepingError::Unreadable {
        user: "the audit".into(),
        reason: flaw.to_string(),
    })?;
    let mut copying = Copying {
        from: state,
        small: &copy,
        content: Content::open(to.join("blobs")),
        shelf: to.join("assets"),
        blobs: 0,
        bytes,
        assets: 0,
    };
    uses(&copy, &mut copying)?;
    let (blobs, bytes, assets) = (copying.blobs, copying.bytes, copying.assets);
    let manifest = Manifest {
        format: Manifest::FORMAT,
        at,
        andon: env!("CARGO_PKG_VERSION").into(),
        factory: copy
            .journal
            .factory()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect(),
        epoch: copy.journal.epoch()?,
        journal,
        audit: (chain.chain.entries, chain.chain.head),
    };
    let mut items = 0;
    let mut after = 0;
    while let Some(last) = {
        let page = copy.journal.page(after, 4096)?;
        items += page.len() as u64;
        page.last().map(|listed| listed.position)
    } {
        after = last;
    }
    let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    write_synced(to, Manifest::FILE, &text)?;
    Ok(Backup {
        manifest,
        items,
        blobs,
        bytes,
        assets,
    })
}

/// The copied journal with the state folder's own blobs beside it.
fn as_copied(state: &State, to: &Path) -> Result<State, HousekeepingError> {
    let journal = Arc::new(Sqlite::open_read_only(to)?);
    let content = state.content.clone();
    Ok(State {
        folder: state.folder.clone(),
        workspaces: Workspaces::open(state.folder.join("work"), content.clone(), journal.clone()),
        journal,
        content,
    })
}

/// Copies what it is told of.
pub(super) struct Copying<'a> {
    /// Where large blobs and assets are.
    pub(super) from: &'a State,
    /// Whose journal has the small ones.
    pub(super) small: &'a State,
    /// Where large blobs go.
    pub(super) content: Content,
    /// Where assets go.
    pub(super) shelf: PathBuf,
    pub(super) blobs: u64,
    pub(super) bytes: u64,
    pub(super) assets: u64,
}

impl Told for Copying<'_> {
    fn blob(&mut self, user: &User, digest: &Digest) -> Result<(), HousekeepingError> {
        if self.small.journal.blob(digest)?.is_some() {
            return Ok(());
        }
        let Some(mut file) = self.from.content.file(digest)? else {
            return self.unreadable(user, format!("the blob {digest} is missing"));
        };
        let (found, bytes) = self.content.copy(&mut file, u64::MAX)?;
        if found != *digest {
            self.content.remove(&found, None)?;
            return self.unreadable(user, format!("the blob {digest} is damaged"));
        }
        self.blobs += 1;
        self.bytes += bytes;
        Ok(())
    }

    fn asset(&mut self, user: &User, name: &OsString) -> Result<(), HousekeepingError> {
        let kept = Tree::kept(&self.from.folder.join("assets"), Path::new(name));
        let copied = kept.and_then(|tree| tree.keep(&self.shelf));
        match copied {
            Ok(_) => {
                self.assets += 1;
                Ok(())
            }
            Err(error) => self.unreadable(user, error.to_string()),
        }
    }
}

/// Keeps collectors away until it is dropped. None where the folder cannot be written, so that nobody
/// collects in it.
fn uncollected(folder: &Path) -> Result<Option<File>, HousekeepingError> {
    let path = folder.join(COLLECTING);
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    match opened {
        Ok(file) => {
            rustix::fs::flock(&file, FlockOperation::LockShared)
                .map_err(|errno| HousekeepingError::system("lock", &path)(errno.into()))?;
            Ok(Some(file))
        }
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(HousekeepingError::system("open", &path)(error)),
    }
}

/// For whoever collects: alone until it is dropped, or none while somebody makes a backup.
pub(super) fn collecting(folder: &Path) -> Result<Option<File>, HousekeepingError> {
    let path = folder.join(COLLECTING);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(HousekeepingError::system("open", &path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(HousekeepingError::system("lock", &path)(errno.into())),
    }
}

/// Held by whoever collects, or by those who make backups.
const COLLECTING: &str = "collecting.lock";

pub(super) fn empty_folder(path: &Path) -> Result<(), HousekeepingError> {
    use std::os::unix::fs::DirBuilderExt as _;
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(HousekeepingError::There(path.display().to_string())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(HousekeepingError::system("create", path)),
        Err(error) => Err(HousekeepingError::system("read", path)(error)),
    }
}

/// The digest and the length of a file.
pub(super) fn digest_of(path: &Path) -> Result<(Digest, u64), HousekeepingError> {
    let fail = HousekeepingError::system("read", path);
    let read = || -> io::Result<(Digest, u64)> {
        let (mut file, mut len) = (File::open(path)?, 0);
        let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; 256 << 10]);
        loop {
            let n = file.read(&mut buffer)?;
            if n == 0 {
                return Ok((Digest::from_bytes(*hasher.finalize().as_bytes()), len));
            }
            hasher.update(&buffer[..n]);
            len += n as u64;
        }
    };
    read().map_err(fail)
}

/// Writes a file that is whole and durable, or not there.
pub(super) fn write_synced(
    folder: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<(), HousekeepingError> {
    let (path, temp) = (folder.join(name), folder.join(format!("{name}.new")));
    let write = || -> io::Result<()> {
        let mut file = File::create(&temp)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temp, &path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(HousekeepingError::system("write", &path))
}
