//! A line's revision: what the journal keeps of a line that was accepted, never changed afterwards.

use crate::{digest::Digest, line::Line, name::Name};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What runs under a revision's number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// The line, its variables filled in; an asset's `host` is the digest of its tree.
    pub line: Line,
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

    /// What [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// When it is not such a text.
    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
