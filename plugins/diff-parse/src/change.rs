//! What comes out: one changed file, as `file.schema.json` says it.

use serde::Serialize;

/// One changed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub(crate) commit: Commit,
    pub(crate) file: File,
    pub(crate) hunks: Vec<Hunk>,
}

/// Where a change comes from; what the patch does not say is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Commit {
    pub(crate) id: String,
    pub(crate) author: String,
    pub(crate) subject: String,
    pub(crate) date: String,
}

/// What became of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) old_path: Option<String>,
    pub(crate) status: Status,
    pub(crate) mode: Option<String>,
    pub(crate) old_mode: Option<String>,
    pub(crate) binary: bool,
}

/// The kinds of change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Added,
    Deleted,
    #[default]
    Modified,
    Renamed,
    Copied,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Status::Added => "added",
            Status::Deleted => "deleted",
            Status::Modified => "modified",
            Status::Renamed => "renamed",
            Status::Copied => "copied",
        }
    }
}

/// A run of lines of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Hunk {
    pub(crate) old_start: u32,
    pub(crate) old_lines: u32,
    pub(crate) new_start: u32,
    pub(crate) new_lines: u32,
    pub(crate) section: String,
    pub(crate) lines: Vec<Line>,
}

/// A line of a hunk, with its number in the old and the new file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    pub(crate) kind: char,
    pub(crate) old: Option<u64>,
    pub(crate) new: Option<u64>,
    pub(crate) text: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) lossy: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) no_newline: bool,
}
