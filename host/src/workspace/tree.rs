//! What a workspace holds at one moment, as data: sorted paths with what stands there. Knows no disk.

use super::Held;
use crate::{digest::Digest, escape};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format that is written; older ones stay readable.
const FORMAT: u8 = 1;

/// All that a workspace holds. Its encoding is a blob, and the blob's digest names the snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A folder; each one is listed, before what is in it.
    Folder,
    /// A file.
    File {
        /// Of its bytes.
        digest: Digest,
        /// Their number.
        len: u64,
        /// Whether its owner may execute it.
        exec: bool,
    },
    /// A symbolic link. Kept as it is, never followed by the host.
    Link {
        /// The text of the link.
        target: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Encoded<T>(u8, T);

impl Tree {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many paths there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How much it is.
    pub fn held(&self) -> Held {
        let lens = self.entries.values().map(|entry| match entry {
            Entry::File { len, .. } => *len,
            Entry::Folder | Entry::Link { .. } => 0,
        });
        Held {
            bytes: lens.fold(0, u64::saturating_add),
            entries: self.entries.len() as u64,
        }
    }

    /// What stands at `path`: relative, parted by `/`, without `.` and `..`.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Paths and what stands there; a folder comes before what is in it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(path, entry)| (path.as_str(), entry))
    }

    pub(super) fn insert(&mut self, path: String, entry: Entry) {
        self.entries.insert(path, entry);
    }

    /// The bytes that its digest is of.
    pub(super) fn encode(&self) -> Vec<u8> {
        rmp_serde::to_vec(&Encoded(FORMAT, &self.entries)).expect("a tree is plain data")
    }

    /// The tree in `bytes`; the text says what is wrong with them.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let format = *bytes.get(1).ok_or("it is cut short")?;
        if format != FORMAT {
            return Err(format!("it has format {format}, this andon knows {FORMAT}"));
        }
        let Encoded(_, entries) = rmp_serde::from_slice::<Encoded<BTreeMap<String, Entry>>>(bytes)
            .map_err(|error| error.to_string())?;
        let tree = Self { entries };
        if let Some(path) = tree.entries.keys().find(|path| !tree.fits(path)) {
            return Err(format!("`{}` is no path in it", escape::shown(path)));
        }
        Ok(tree)
    }

    /// Whether `path` stays inside and stands in a folder of this tree.
    fn fits(&self, path: &str) -> bool {
        path.split('/')
            .all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
            && path
                .rsplit_once('/')
                .is_none_or(|(folder, _)| self.get(folder) == Some(&Entry::Folder))
    }

    /// What is different in `after`, by path.
    pub(super) fn diff(&self, after: &Self) -> Vec<Change> {
        let gone = self
            .iter()
            .filter(|(path, _)| after.get(path).is_none())
            .map(|(path, entry)| Change {
                path: path.into(),
                before: Some(entry.clone()),
                after: None,
            });
        let new = after
            .iter()
            .filter(|(path, entry)| self.get(path) != Some(entry))
            .map(|(path, entry)| Change {
                path: path.into(),
                before: self.get(path).cloned(),
                after: Some(entry.clone()),
            });
        let mut changes: Vec<_> = gone.chain(new).collect();
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        changes
    }
}

/// A path that is not the same in two snapshots: added without `before`, removed without `after`,
/// else changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path; not escaped.
    pub path: String,
    /// What stood there.
    pub before: Option<Entry>,
    /// What stands there.
    pub after: Option<Entry>,
}
