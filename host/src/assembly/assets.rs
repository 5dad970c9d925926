//! Assets: host files that a revision carries, so that going back to it restores them.
//!
//! A copy stands in the state folder under the digest of its whole tree; it is made once and never
//! changed. Links and special files are refused: what a revision holds has to be all there is.

use crate::{digest::Digest, grant::STATE, journal::sqlite};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Why assets cannot be carried.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// A file or folder cannot be read.
    #[error("asset `{path}` cannot be read: {reason}\n  hint: make it, or name another")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        reason: io::Error,
    },
    /// Neither a file nor a folder.
    #[error("asset `{0}` is neither a file nor a folder\n  hint: copy what it links to")]
    Special(String),
    /// The state of a line is in it, which no station is shown.
    #[error("asset `{0}` is the state of a line\n  hint: name a folder without it")]
    State(String),
    /// The assets of one entry are too large.
    #[error(
        "assets below `{0}` are larger than {MOST} bytes\n  hint: grant the folder with `grants.fs` instead"
    )]
    TooLarge(String),
    /// A copy that a revision needs is not there, or is another.
    #[error(
        "the asset `{path}` is {what} in the state folder\n  hint: retool the line from its file, or take the state folder back from a backup"
    )]
    Unkept {
        /// The copy.
        path: String,
        /// `missing` or `damaged`.
        what: &'static str,
    },
    /// The copy cannot be written.
    #[error("assets cannot be copied to `{path}`: {reason}")]
    Unwritable {
        /// Where to.
        path: String,
        /// Why.
        reason: io::Error,
    },
}

/// The most bytes of one asset: it is read as a whole at every start.
const MOST: u64 = 256 << 20;

/// The files of an asset by their paths in the guest's folder, in order; or a single file.
#[derive(Debug)]
pub struct Tree {
    files: Vec<(PathBuf, Vec<u8>)>,
    /// A single file, not a folder with one.
    single: bool,
}

impl Tree {
    /// Reads a file or a folder.
    ///
    /// # Errors
    /// When something in it cannot be read, is no file or folder, or is too large.
    pub fn read(host: &Path) -> Result<Self, AssetError> {
        let mut files = Vec::new();
        let about = fs::metadata(host).map_err(|reason| unreadable(host, reason))?;
        if about.is_dir() {
            let mut folders = vec![host.to_path_buf()];
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(&folder).map_err(|reason| unreadable(&folder, reason))? {
                    let entry = entry.map_err(|reason| unreadable(&folder, reason))?;
                    let path = entry.path();
                    if [STATE, sqlite::FILE]
                        .iter()
                        .any(|own| entry.file_name() == *own)
                    {
                        return Err(AssetError::State(path.display().to_string()));
                    }
                    let about =
                        fs::symlink_metadata(&path).map_err(|reason| unreadable(&path, reason))?;
                    if about.is_dir() {
                        folders.push(path);
                    } else if about.is_file() {
                        files.push(path);
                    } else {
                        return Err(AssetError::Special(path.display().to_string()));
                    }
                }
            }
        } else if about.is_file() {
            files.push(host.to_path_buf());
        } else {
            return Err(AssetError::Special(host.display().to_string()));
        }
        files.sort();
        let base = if about.is_dir() {
            host
        } else {
            host.parent().unwrap_or(host)
        };
        let mut read = Vec::new();
        let mut size = 0;
        for path in files {
            let bytes = fs::read(&path).map_err(|reason| unreadable(&path, reason))?;
            size += bytes.len() as u64;
            if size > MOST {
                return Err(AssetError::TooLarge(host.display().to_string()));
            }
            let inside = path.strip_prefix(base).unwrap_or(&path).to_path_buf();
            read.push((inside, bytes));
        }
        Ok(Self {
            files: read,
            single: about.is_file(),
        })
    }

    /// Reads a copy below `shelf` that a revision names so as [`Self::name`] does.
    ///
    /// # Errors
    /// When it is not there, or is not what was kept.
    pub fn kept(shelf: &Path, name: &Path) -> Result<Self, AssetError> {
        let unkept = |what| AssetError::Unkept {
            path: name.display().to_string(),
            what,
        };
        let mut parts = name.iter();
        let digest: Digest = (parts.next().and_then(|part| part.to_str()))
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| unkept("unknown"))?;
        let folder = shelf.join(digest.to_string());
        if !folder.is_dir() {
            return Err(unkept("missing"));
        }
        let tree = Self {
            single: parts.next().is_some(),
            ..Self::read(&folder)?
        };
        if tree.digest() != digest {
            return Err(unkept("damaged"));
        }
        Ok(tree)
    }

    /// What a revision names it by: the digest of the tree, and for a single file also its name.
    pub fn name(&self) -> PathBuf {
        let digest = PathBuf::from(self.digest().to_string());
        match &self.files[..] {
            [(name, _)] if self.single => digest.join(name),
            _ => digest,
        }
    }

    /// The digest of names and contents.
    pub fn digest(&self) -> Digest {
        let mut all = Vec::new();
        for (path, bytes) in &self.files {
            let name = path.as_os_str().as_encoded_bytes();
            all.extend_from_slice(&(name.len() as u64).to_le_bytes());
            all.extend_from_slice(name);
            all.extend_from_slice(Digest::of(bytes).as_bytes());
        }
        Digest::of(all)
    }

    /// Copies the tree below `shelf`, unless it is there: the file or folder to mount.
    ///
    /// # Errors
    /// When the copy cannot be written.
    pub fn keep(&self, shelf: &Path) -> Result<PathBuf, AssetError> {
        let folder = self.keep_folder(shelf)?;
        Ok(match &self.files[..] {
            [(name, _)] if self.single => folder.join(name),
            _ => folder,
        })
    }

    fn keep_folder(&self, shelf: &Path) -> Result<PathBuf, AssetError> {
        let kept = shelf.join(self.digest().to_string());
        if kept.is_dir() {
            return Ok(kept);
        }
        let unwritable = |reason| AssetError::Unwritable {
            path: kept.display().to_string(),
            reason,
        };
        fs::create_dir_all(shelf).map_err(unwritable)?;
        let new = tempfile::TempDir::new_in(shelf).map_err(unwritable)?;
        for (path, bytes) in &self.files {
            let path = new.path().join(path);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(unwritable)?;
            }
            let mut file = fs::File::create(&path).map_err(unwritable)?;
            io::Write::write_all(&mut file, bytes)
                .and_then(|()| file.sync_all())
                .map_err(unwritable)?;
        }
        match fs::rename(new.path(), &kept) {
            Ok(()) => {
                // The folder is the copy now, and no longer temporary.
                let _ = new.keep();
                Ok(kept)
            }
            // Somebody else was quicker with the same tree.
            Err(_) if kept.is_dir() => Ok(kept),
            Err(reason) => Err(unwritable(reason)),
        }
    }
}

fn unreadable(path: &Path, reason: io::Error) -> AssetError {
    AssetError::Unreadable {
        path: path.display().to_string(),
        reason,
    }
}
