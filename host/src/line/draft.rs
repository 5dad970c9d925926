//! A line as it was read, with the place of everything in its file.

use super::{Line, reader::Findings};
use crate::problem::{Place, Problem};
use std::collections::{BTreeMap, BTreeSet};

/// A line as its file has it: read and checked in itself, its components not yet looked at.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The file, as the person named it.
    pub file: String,
    /// The line.
    pub line: Line,
    places: BTreeMap<String, Place>,
    /// Where to point at for what the file says nothing of.
    nowhere: Place,
    spoiled: BTreeSet<String>,
}

impl Draft {
    pub(super) fn new(file: &str, line: Line, findings: &Findings) -> Self {
        Self {
            file: file.into(),
            line,
            places: findings.places.clone(),
            nowhere: Place { line: 1, column: 1 },
            spoiled: findings.spoiled.clone(),
        }
    }

    /// A line that was read and checked before, of which there is no file with places any more; `from`
    /// says for people where it comes from.
    pub fn kept(from: String, line: Line) -> Self {
        Self {
            file: from,
            line,
            places: BTreeMap::new(),
            nowhere: Place { line: 0, column: 0 },
            spoiled: BTreeSet::new(),
        }
    }

    /// Where the file says something on just this key: its dotted path, list entries by their number
    /// from 0 (`stations.scan.next.leak`, `stations.scan.assets.0.guest`, `defaults.limits.wall`).
    /// Values stand where they begin, tables where their key does.
    pub fn stated(&self, path: &str) -> Option<Place> {
        self.places.get(path).copied()
    }

    /// Where to point at for this path: at the key itself, or at the nearest around it.
    pub fn place(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(place) = self.stated(path) {
                return place;
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => return self.nowhere,
            }
        }
    }

    /// A problem of what stands at this path.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem::on(&self.file, self.place(path), message)
    }

    /// Whether the value at just this path could be read.
    pub(super) fn sound_at(&self, path: &str) -> bool {
        !self.spoiled.contains(path)
    }

    /// Whether all at and below this path could be read.
    pub(super) fn sound(&self, path: &str) -> bool {
        self.spoiled
            .range(path.to_owned()..)
            .take_while(|spoiled| spoiled.starts_with(path))
            .all(|spoiled| {
                let rest = &spoiled[path.len()..];
                !rest.is_empty() && !rest.starts_with('.')
            })
    }
}
