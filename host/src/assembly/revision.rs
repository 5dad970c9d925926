//! A line's revision: what the journal keeps of a line that was accepted, never changed afterwards.

use crate::{digest::Digest, line::Line, name::Name};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// What runs under a revision's number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// The line, its variables filled in; an asset's `host` is the digest of its tree, and the name of
    /// a single file in it.
    pub line: Line,
    /// The folder that the line's paths are relative to: as seen from the state folder where both are
    /// below a common one, so that they may be moved together; else absolute.
    #[serde(default)]
    pub folder: PathBuf,
    /// The name of the line's file in it; none for a station on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The digest of each station's component.
    pub components: BTreeMap<Name, Digest>,
}

impl Revision {
    /// The text that the journal keeps: the same for the same revision.
    ///
    /// # Errors
    /// When a path is no UTF-8.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The digest of that text: the same line of the same components has the same.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_text().unwrap_or_default())
    }

    /// What has to stay in the content store as long as the revision is kept.
    pub fn blobs(&self) -> BTreeSet<Digest> {
        self.components.values().copied().collect()
    }

    /// The names below the state folder's `assets` that have to stay.
    pub fn assets(&self) -> BTreeSet<&Path> {
        let assets = self.line.stations.values().flat_map(|s| &s.assets);
        assets
            .filter_map(|asset| asset.host.iter().next().map(Path::new))
            .collect()
    }

    /// What [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// When it is not such a text.
    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
