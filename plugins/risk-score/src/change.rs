//! A changed file as `diff-parse` describes it: only what scoring needs, and lenient about the rest.

use serde::Deserialize;

/// One changed file.
#[derive(Debug, Deserialize)]
pub(crate) struct Change {
    pub(crate) file: File,
    pub(crate) hunks: Vec<Hunk>,
    #[serde(default)]
    pub(crate) findings: Vec<Finding>,
}

/// What became of the file.
#[derive(Debug, Deserialize)]
pub(crate) struct File {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) mode: Option<String>,
    #[serde(default)]
    pub(crate) old_mode: Option<String>,
    #[serde(default)]
    pub(crate) binary: bool,
}

/// A run of lines.
#[derive(Debug, Deserialize)]
pub(crate) struct Hunk {
    pub(crate) lines: Vec<Line>,
}

/// A line that was added (`+`), removed (`-`) or is there for context.
#[derive(Debug, Deserialize)]
pub(crate) struct Line {
    pub(crate) kind: String,
    pub(crate) text: String,
}

/// A leaked secret.
#[derive(Debug, Deserialize)]
pub(crate) struct Finding {
    pub(crate) rule: String,
}

impl Change {
    /// The text of the lines of `kind`.
    pub(crate) fn lines<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.hunks
            .iter()
            .flat_map(|hunk| &hunk.lines)
            .filter(move |line| line.kind == kind)
            .map(|line| line.text.as_str())
    }

    /// How many lines of `kind` there are.
    pub(crate) fn count(&self, kind: &str) -> u64 {
        self.lines(kind).count() as u64
    }
}
