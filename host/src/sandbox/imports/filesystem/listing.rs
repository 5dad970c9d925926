//! Reading a folder's entries as the guest asks for them: never more than a batch is held.

use super::place::Open;
use rustix::{
    fs::{AtFlags, Dir, FileType, statat},
    io::Errno,
};
use std::{io, sync::Arc};

/// Entries that are read at a time.
const BATCH: usize = 64;

/// A folder that is being read.
pub(super) struct Listing {
    /// None at the end.
    entries: Option<Dir>,
}

/// An entry, or why one cannot be told: a name that is no UTF-8 is an error in its place.
pub(super) type Entry = io::Result<(FileType, String)>;

impl Listing {
    /// Begins at the start of the folder. Blocks.
    pub(super) fn of(open: &Arc<Open>) -> io::Result<Self> {
        if !open.folder {
            return Err(Errno::NOTDIR.into());
        }
        Ok(Self {
            entries: Some(Dir::read_from(&*open.file)?),
        })
    }

    /// The next few entries; none at the end. Blocks.
    pub(super) fn batch(&mut self) -> Vec<Entry> {
        let mut batch = Vec::new();
        while let Some(entries) = &mut self.entries {
            let entry = match entries.read() {
                Some(Ok(entry)) => entry,
                Some(Err(errno)) => {
                    self.entries = None;
                    batch.push(Err(errno.into()));
                    break;
                }
                None => {
                    self.entries = None;
                    break;
                }
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let mut kind = entry.file_type();
            if kind == FileType::Unknown {
                // Some file systems tell no types. What is gone meanwhile is not told of.
                let stat = entries
                    .fd()
                    .and_then(|folder| statat(folder, name, AtFlags::SYMLINK_NOFOLLOW));
                match stat {
                    Ok(stat) => kind = FileType::from_raw_mode(stat.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(_) => {}
                }
            }
            batch.push(match name.to_str() {
                Ok(name) => Ok((kind, name.into())),
                Err(_) => Err(Errno::ILSEQ.into()),
            });
            if batch.len() == BATCH {
                break;
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _};

    #[test]
    fn a_folder_is_read_in_batches() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..300 {
            fs::write(dir.path().join(format!("{n}")), "").unwrap();
        }
        fs::create_dir(dir.path().join("folder")).unwrap();
        fs::write(dir.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
        let mut listing = Listing {
            entries: Some(Dir::read_from(fs::File::open(dir.path()).unwrap()).unwrap()),
        };
        let (mut names, mut odd) = (Vec::new(), 0);
        loop {
            let batch = listing.batch();
            if batch.is_empty() {
                break;
            }
            assert!(batch.len() <= BATCH);
            for entry in batch {
                match entry {
                    Ok(entry) => names.push(entry),
                    Err(error) => {
                        assert_eq!(error.raw_os_error(), Some(Errno::ILSEQ.raw_os_error()));
                        odd += 1;
                    }
                }
            }
        }
        assert_eq!((names.len(), odd), (301, 1));
        assert!(names.contains(&(FileType::Directory, "folder".into())));
        assert!(listing.batch().is_empty());
    }
}
