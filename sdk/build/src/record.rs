//! What a component was built from, so that nothing is built when nothing has changed.
//!
//! Files are compared by time and size, and by content where these differ: a checkout that touches
//! everything builds nothing. Knows no language; each names its own inputs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::cache;
use crate::sdk::BUILDER;

/// Everything that the last build looked at, and what it made.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    builder: String,
    output: Seen,
    inputs: Vec<(PathBuf, Seen)>,
}

/// What was found at a path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Seen {
    /// Nothing; that something appears there is a change.
    Absent,
    /// A file.
    File {
        modified: i128,
        size: u64,
        digest: String,
    },
    /// A folder: the names in it, or everything below it.
    Folder { digest: String },
    /// It was written to while the build ran, so nobody knows what the compiler saw.
    Unsteady,
}

/// An input of a build.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Input {
    /// A file, or a folder with everything in it. It may be absent.
    Path(PathBuf),
    /// A folder of which only the names matter, because their contents are inputs where they count.
    Names(PathBuf),
    /// A file that the build itself writes.
    Written(PathBuf),
}

impl Record {
    /// Looks at all inputs. `began` is when the build did.
    pub(crate) fn of(output: &Path, inputs: BTreeSet<Input>, began: SystemTime) -> Self {
        // A file system's clock may lag by a tick, which is over before a compiler has started.
        let began = nanoseconds(began);
        let look = |input| match input {
            Input::Names(path) => {
                let seen = names(&path).unwrap_or(Seen::Absent);
                (path, seen)
            }
            Input::Written(path) => {
                let seen = look(&path);
                (path, seen)
            }
            Input::Path(path) => match look(&path) {
                Seen::File { modified, .. } if modified >= began => (path, Seen::Unsteady),
                seen => (path, seen),
            },
        };
        Self {
            builder: BUILDER.into(),
            output: self::look(output),
            inputs: inputs.into_iter().map(look).collect(),
        }
    }

    /// Whether the record at `path` says that `output` is what a build would make again.
    pub(crate) fn is_fresh(path: &Path, output: &Path) -> bool {
        let Some(mut record) = Self::load(path) else {
            return false;
        };
        if record.builder != BUILDER {
            return false;
        }
        let mut touched = false;
        let inputs = record
            .inputs
            .iter_mut()
            .map(|(path, seen)| (path.as_path(), seen));
        for (path, seen) in inputs.chain([(output, &mut record.output)]) {
            match seen.compare(path) {
                Change::None => {}
                Change::Touched(now) => {
                    *seen = now;
                    touched = true;
                }
                Change::Changed => return false,
            }
        }
        if touched {
            // Only saves reading the files again; a folder that cannot be written is no obstacle.
            let _ = record.save(path);
        }
        true
    }

    pub(crate) fn save(&self, path: &Path) -> Result<(), crate::BuildError> {
        let json = serde_json::to_vec(self).unwrap_or_default();
        cache::write_whole(path, &json)
    }

    fn load(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}

enum Change {
    None,
    /// Another time, the same content.
    Touched(Seen),
    Changed,
}

impl Seen {
    fn compare(&self, path: &Path) -> Change {
        match self {
            Self::Unsteady => Change::Changed,
            Self::Absent if fs::symlink_metadata(path).is_err() => Change::None,
            Self::Absent => Change::Changed,
            Self::Folder { .. } => {
                let same = names(path).as_ref() == Some(self) || look(path) == *self;
                if same { Change::None } else { Change::Changed }
            }
            Self::File {
                modified,
                size,
                digest,
            } => {
                let stamp = fs::metadata(path)
                    .ok()
                    .filter(fs::Metadata::is_file)
                    .map(|m| stamp(&m));
                if stamp == Some((*modified, *size)) {
                    return Change::None;
                }
                match look(path) {
                    now @ Self::File { .. } if now.digest() == Some(digest) => Change::Touched(now),
                    _ => Change::Changed,
                }
            }
        }
    }

    fn digest(&self) -> Option<&String> {
        match self {
            Self::File { digest, .. } | Self::Folder { digest } => Some(digest),
            Self::Absent | Self::Unsteady => None,
        }
    }
}

fn look(path: &Path) -> Seen {
    let Ok(meta) = fs::metadata(path) else {
        return Seen::Absent;
    };
    if meta.is_dir() {
        let mut hasher = blake3::Hasher::new();
        tree(path, &mut hasher);
        return Seen::Folder {
            digest: hasher.finalize().to_hex().to_string(),
        };
    }
    let (modified, size) = stamp(&meta);
    match fs::read(path) {
        Ok(bytes) => Seen::File {
            modified,
            size,
            digest: blake3::hash(&bytes).to_hex().to_string(),
        },
        Err(_) => Seen::Unsteady,
    }
}

fn names(folder: &Path) -> Option<Seen> {
    let mut hasher = blake3::Hasher::new();
    for name in entries(folder)? {
        hasher.update(name.as_encoded_bytes()).update(b"\0");
    }
    Some(Seen::Folder {
        digest: hasher.finalize().to_hex().to_string(),
    })
}

fn tree(folder: &Path, hasher: &mut blake3::Hasher) {
    for name in entries(folder).unwrap_or_default() {
        let path = folder.join(&name);
        // Links are not followed: they could lead in a circle.
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        let (modified, size) = stamp(&meta);
        hasher.update(name.as_encoded_bytes()).update(b"\0");
        if meta.is_dir() {
            tree(&path, hasher);
        } else {
            hasher
                .update(&modified.to_le_bytes())
                .update(&size.to_le_bytes());
        }
        hasher.update(b"\0");
    }
}

/// Sorted, without what is hidden or built.
fn entries(folder: &Path) -> Option<Vec<std::ffi::OsString>> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .filter(|name| !name.as_encoded_bytes().starts_with(b".") && name != "target")
        .collect();
    names.sort();
    Some(names)
}

fn stamp(meta: &fs::Metadata) -> (i128, u64) {
    (
        i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        meta.len(),
    )
}

fn nanoseconds(time: SystemTime) -> i128 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos());
    i128::try_from(since).unwrap_or(i128::MAX)
}
