//! The content store: blobs of more than [`Content::SMALL`] bytes, each a file named after its digest.
//!
//! A blob is on the disk, and its name too, before [`Content::put`] returns: a record that names it may
//! be committed then. Small blobs are none of its business; they ride in the journal's own commits.

use crate::{digest::Digest, disk, failpoint::Point};
use bytes::Bytes;
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

#[cfg(test)]
mod tests;

/// Held by all that keep a blob, while they give it its name or find it there, and by whoever removes
/// one. Only one process writes to a store, but it may have opened it more than once.
static SWEEP: RwLock<()> = RwLock::new(());

/// A folder of content-addressed blobs, `ab/cdef…`. Cheap to clone; all methods may be called from any
/// thread, and several processes may read while one writes.
#[derive(Debug, Clone)]
pub struct Content(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// What could not be made, or nothing: see [`Content::prepare`].
    prepared: OnceLock<Result<(), ContentError>>,
    /// Numbers the temporary files.
    next: AtomicU64,
}

/// What the folder did not do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {doing} `{path}`: {reason}", path = .path.display())]
pub struct ContentError {
    /// `read`, `write`, ….
    pub doing: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system says.
    pub reason: String,
    /// Its kind.
    pub kind: io::ErrorKind,
}

impl ContentError {
    fn new(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self {
            doing,
            path: path.into(),
            reason: error.to_string(),
            kind: error.kind(),
        }
    }
}

impl ContentError {
    /// Whether it passes when there is room on the disk again.
    pub fn is_full(&self) -> bool {
        disk::is_full(self.kind)
    }
}

impl From<ContentError> for io::Error {
    fn from(error: ContentError) -> Self {
        Self::new(error.kind, error)
    }
}

impl Content {
    /// Blobs up to this many bytes belong in the journal.
    pub const SMALL: usize = crate::item::Body::INLINE;

    /// The store in `root`. Touches no disk: whoever only reads needs no right to write, and what a
    /// crash left behind is cleared away by the first writer.
    pub fn open(root: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            root: root.into(),
            prepared: OnceLock::new(),
            next: AtomicU64::new(0),
        }))
    }

    /// The blob, if it is there. Its bytes are not compared with the digest again.
    ///
    /// # Errors
    /// When the file is there and cannot be opened.
    pub fn file(&self, digest: &Digest) -> Result<Option<File>, ContentError> {
        let path = self.path(digest);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ContentError::new("open", &path)(error)),
        }
    }

    /// The bytes of the blob, if it is there; otherwise like [`Self::file`].
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn get(&self, digest: &Digest) -> Result<Option<Bytes>, ContentError> {
        let Some(mut file) = self.file(digest)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(ContentError::new("read", &self.path(digest)))?;
        Ok(Some(bytes.into()))
    }

    /// Keeps `bytes`: durable, and under its name, when this returns.
    ///
    /// # Errors
    /// When the disk is full or the folder cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, ContentError> {
        let digest = Digest::of(bytes);
        if !self.has(&digest, bytes.len() as u64)? {
            self.copy(&mut &*bytes, u64::MAX)?;
        }
        Ok(digest)
    }

    /// Keeps what `from` still gives, without ever holding all of it; its digest and length.
    ///
    /// # Errors
    /// When there are more than `most` bytes ([`io::ErrorKind::FileTooLarge`]), they cannot be read, or
    /// as with [`Self::put`].
    pub fn copy(&self, from: &mut dyn Read, most: u64) -> Result<(Digest, u64), ContentError> {
        self.prepare()?;
        let n = self.0.next.fetch_add(1, Ordering::Relaxed);
        let temp = self.temps().join(format!("{}-{n}", std::process::id()));
        let kept = self.fill(&temp, from, most).and_then(|(digest, len)| {
            Point::BlobWritten.reached();
            self.publish(&temp, &digest)?;
            Point::BlobKept.reached();
            Ok((digest, len))
        });
        if kept.is_err() {
            let _ = fs::remove_file(&temp);
        }
        kept
    }

    /// All blobs with their lengths, in no order. What is no blob is passed over.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn each(&self, mut visit: impl FnMut(Digest, u64)) -> Result<(), ContentError> {
        let root = &self.0.root;
        let shards = match fs::read_dir(root) {
            Ok(shards) => shards,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(ContentError::new("read", root)(error)),
        };
        for shard in shards {
            let shard = shard.map_err(ContentError::new("read", root))?;
            let Some(first) = shard
                .file_name()
                .to_str()
                .filter(|n| n.len() == 2)
                .map(String::from)
            else {
                continue;
            };
            let path = shard.path();
            for blob in fs::read_dir(&path).map_err(ContentError::new("read", &path))? {
                let blob = blob.map_err(ContentError::new("read", &path))?;
                let digest = (blob.file_name().to_str())
                    .and_then(|rest| format!("{first}{rest}").parse::<Digest>().ok());
                // One that is removed meanwhile is none any more.
                if let (Some(digest), Ok(about)) = (digest, blob.metadata()) {
                    visit(digest, about.len());
                }
            }
        }
        Ok(())
    }

    /// Whether the blob's bytes have its digest; none where it is not there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_whole(&self, digest: &Digest) -> Result<Option<bool>, ContentError> {
        let Some(mut file) = self.file(digest)? else {
            return Ok(None);
        };
        let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; 256 << 10]);
        loop {
            let n = file
                .read(&mut buffer)
                .map_err(ContentError::new("read", &self.path(digest)))?;
            if n == 0 {
                return Ok(Some(hasher.finalize().as_bytes() == digest.as_bytes()));
            }
            hasher.update(&buffer[..n]);
        }
    }

    /// Removes a blob that nothing names, unless it was kept once more since `since`: how many bytes that
    /// freed. None where it stays.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(
        &self,
        digest: &Digest,
        since: Option<SystemTime>,
    ) -> Result<Option<u64>, ContentError> {
        let path = self.path(digest);
        let _alone = SWEEP.write().unwrap_or_else(PoisonError::into_inner);
        let about = match fs::metadata(&path) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ContentError::new("read", &path)(error)),
        };
        let kept = about.modified().map_err(ContentError::new("read", &path))?;
        if since.is_some_and(|since| kept > since) {
            return Ok(None);
        }
        fs::remove_file(&path).map_err(ContentError::new("remove", &path))?;
        Ok(Some(about.len()))
    }

    fn fill(
        &self,
        temp: &Path,
        from: &mut dyn Read,
        most: u64,
    ) -> Result<(Digest, u64), ContentError> {
        let mut file = File::create_new(temp).map_err(ContentError::new("create", temp))?;
        let (mut hasher, mut len) = (blake3::Hasher::new(), 0);
        let mut buffer = vec![0; 256 << 10];
        loop {
            let n = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ContentError::new("read into", temp)(error)),
            };
            len += n as u64;
            if len > most {
                let error = io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("more than {most} bytes"),
                );
                return Err(ContentError::new("keep", temp)(error));
            }
            hasher.update(&buffer[..n]);
            file.write_all(&buffer[..n])
                .map_err(ContentError::new("write", temp))?;
        }
        file.sync_all().map_err(ContentError::new("sync", temp))?;
        Ok((Digest::from_bytes(*hasher.finalize().as_bytes()), len))
    }

    /// Gives a synced file its name. Whoever comes second replaces the same bytes by the same bytes.
    fn publish(&self, temp: &Path, digest: &Digest) -> Result<(), ContentError> {
        let path = self.path(digest);
        let shard = path.parent().expect("a blob's path has a folder");
        match fs::create_dir(shard) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(ContentError::new("create", shard)(error)),
        }
        {
            let _kept = SWEEP.read().unwrap_or_else(PoisonError::into_inner);
            fs::rename(temp, &path).map_err(ContentError::new("write", &path))?;
        }
        sync_folder(shard)?;
        // The shard may be new, or made by another thread that has not come to this line yet.
        sync_folder(&self.0.root)
    }

    /// Whether the blob is there with this length, its name durable.
    fn has(&self, digest: &Digest, len: u64) -> Result<bool, ContentError> {
        let path = self.path(digest);
        let found = {
            let _kept = SWEEP.read().unwrap_or_else(PoisonError::into_inner);
            let found = fs::metadata(&path);
            if found.as_ref().is_ok_and(|found| found.is_file()) {
                // As new as one that is written now: what nothing names yet is about to be named.
                File::open(&path)
                    .and_then(|file| file.set_modified(SystemTime::now()))
                    .map_err(ContentError::new("write", &path))?;
            }
            found
        };
        match found {
            Ok(found) if found.is_file() && found.len() == len => {
                // Another thread may have renamed it and not come to its sync.
                sync_folder(path.parent().expect("a blob's path has a folder"))?;
                sync_folder(&self.0.root)?;
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ContentError::new("read", &path)(error)),
        }
    }

    /// Makes the folders, and removes what writes that never ended left. Only a writer may do so: its
    /// state folder is its own, so nobody else's write is under way.
    fn prepare(&self) -> Result<(), ContentError> {
        let make = || {
            let temps = self.temps();
            fs::create_dir_all(&temps).map_err(ContentError::new("create", &temps))?;
            for entry in fs::read_dir(&temps).map_err(ContentError::new("read", &temps))? {
                let path = entry.map_err(ContentError::new("read", &temps))?.path();
                fs::remove_file(&path).map_err(ContentError::new("remove", &path))?;
            }
            if let Some(above) = self.0.root.parent().filter(|p| !p.as_os_str().is_empty()) {
                sync_folder(above)?;
            }
            Ok(())
        };
        self.0.prepared.get_or_init(make).clone()
    }

    fn temps(&self) -> PathBuf {
        self.0.root.join("tmp")
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let text = digest.to_string();
        self.0.root.join(&text[..2]).join(&text[2..])
    }
}

fn sync_folder(path: &Path) -> Result<(), ContentError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(ContentError::new("sync", path))
}
