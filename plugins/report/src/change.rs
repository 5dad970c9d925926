//! A changed file as the stations before describe it: only what is reported, and lenient about the
//! rest.

use serde::Deserialize;

/// One changed file.
#[derive(Debug, Deserialize)]
pub(crate) struct Change {
    #[serde(default)]
    pub(crate) commit: Commit,
    pub(crate) file: File,
    #[serde(default)]
    hunks: Vec<Hunk>,
    #[serde(default)]
    pub(crate) findings: Vec<Finding>,
    #[serde(default)]
    pub(crate) risk: Option<Risk>,
}

/// Where the change comes from.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Commit {
    pub(crate) id: String,
    pub(crate) author: String,
    pub(crate) subject: String,
    pub(crate) date: String,
}

/// What became of the file.
#[derive(Debug, Deserialize)]
pub(crate) struct File {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) old_path: Option<String>,
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) binary: bool,
}

#[derive(Debug, Deserialize)]
struct Hunk {
    #[serde(default)]
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    kind: String,
}

/// A leaked secret, redacted.
#[derive(Debug, Deserialize)]
pub(crate) struct Finding {
    pub(crate) rule: String,
    #[serde(default)]
    pub(crate) line: u64,
    #[serde(default)]
    pub(crate) column: u64,
    #[serde(default)]
    pub(crate) secret: String,
}

/// How risky the change is.
#[derive(Debug, Deserialize)]
pub(crate) struct Risk {
    pub(crate) score: u64,
    pub(crate) level: String,
    #[serde(default)]
    pub(crate) reasons: Vec<String>,
}

impl Change {
    /// The score of its risk; 0 if there is none.
    pub(crate) fn score(&self) -> u64 {
        self.risk.as_ref().map_or(0, |risk| risk.score)
    }

    /// How many lines of `kind` there are.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.hunks
            .iter()
            .flat_map(|hunk| &hunk.lines)
            .filter(|line| line.kind == kind)
            .count()
    }
}
