//! What submits to a line by itself: folders that are watched, and times.

use super::schedule::{Missed, Schedule};
use crate::item::{Labels, Priority};
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};

/// A source of a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Where its inputs come from.
    pub from: Origin,
    /// How urgent they are.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// How long they have, from when they are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// The labels that they carry.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// Where inputs come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// From files that are put into a folder.
    Folder(Inbox),
    /// From a schedule.
    Cron(Box<Timed>),
}

/// A folder that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbox {
    /// The folder; relative to the line file until the line is resolved.
    pub folder: PathBuf,
    /// Where a file goes that was taken; without it, it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<PathBuf>,
    /// Which names are taken: `*` stands for any text, `?` for any character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// For how long a file has to be as it is before it is taken.
    pub settle: Duration,
}

/// Inputs at times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// When.
    pub schedule: Schedule,
    /// What happens to runs that were missed.
    #[serde(default)]
    pub missed: Missed,
    /// What happens while the run before is not through.
    #[serde(default)]
    pub overlap: Overlap,
    /// The media type of what is submitted.
    pub content_type: String,
    /// What is submitted.
    pub payload: String,
}

/// What happens when a run is due and the one before is not through: its item, or one of its tree,
/// waits, works, is held or jammed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// It is left out.
    #[default]
    Skip,
    /// It is submitted all the same.
    Queue,
}

impl Inbox {
    /// Default of `settle`.
    pub const SETTLE: Duration = Duration::from_secs(2);

    /// Whether files of this name are taken. Hidden ones are not, whatever the pattern.
    pub fn takes(&self, name: &str) -> bool {
        !name.starts_with('.')
            && (self.pattern.as_deref())
                .is_none_or(|pattern| fits(pattern.chars().collect::<Vec<_>>().as_slice(), name))
    }
}

impl Timed {
    /// The label that says which run it is.
    pub const LABEL: &str = "scheduled";
}

/// Whether a name fits a pattern: the last `*` that was passed takes one character more wherever what
/// follows it does not fit.
fn fits(pattern: &[char], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_their_pattern() {
        let inbox = |pattern: Option<&str>| Inbox {
            folder: "in".into(),
            done: None,
            pattern: pattern.map(Into::into),
            settle: Duration::ZERO,
        };
        for (pattern, name, taken) in [
            (None, "a.patch", true),
            (None, ".a.patch", false),
            (Some("*"), ".a", false),
            (Some("*.patch"), "a.patch", true),
            (Some("*.patch"), "a.patch.patch", true),
            (Some("*.patch"), "a.patch~", false),
            (Some("*.patch"), ".patch", false),
            (Some("a?c*"), "abc", true),
            (Some("a?c*"), "äbc", false),
            (Some("?"), "ä", true),
            (Some("*a*b"), "xaab", true),
            (Some("*a*b"), "xaabx", false),
            (Some("x"), "xy", false),
        ] {
            assert_eq!(inbox(pattern).takes(name), taken, "{pattern:?} {name}");
        }
        let hard = "*a".repeat(30);
        assert!(!inbox(Some(&hard)).takes(&"a".repeat(29)));
    }
}
