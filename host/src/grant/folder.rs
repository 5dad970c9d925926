//! Folders of the host's that a guest sees.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Whether a mount may be changed by the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
}

/// A folder of the host's that the guest sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The folder on the host; relative to the line file until the line is resolved.
    pub host: PathBuf,
    /// Where the guest sees it: an absolute path with no `.` or `..`, neither `/`, `/workspace` nor `/item`,
    /// nor below or above another mount of the station.
    pub guest: String,
    /// Reading or writing.
    pub access: Access,
    /// How many bytes the files in it may have together before a visit may write no more; none where
    /// only the file system bounds it. Only for writing.
    #[serde(default)]
    pub quota: Option<u64>,
    /// The same for the number of files, folders and links.
    #[serde(default)]
    pub max_files: Option<u64>,
}

/// Why a text is no place for a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum BadGuestPath {
    #[error("it does not begin with `/`")]
    Relative,
    #[error("the root itself cannot be granted")]
    Root,
    #[error("it has an empty part, `.` or `..`")]
    Unclean,
    #[error("it has a control character or is longer than 1 KiB")]
    Unprintable,
    #[error("`/workspace` is the item's own directory")]
    Workspace,
    #[error("`/item` is where the item's earlier payloads are")]
    Item,
}

/// Whether `path` is one that a guest may see something of the host's at: absolute, written in the
/// one shortest way, and none of the host's own.
///
/// # Errors
/// What is wrong with it.
pub fn guest_path(path: &str) -> Result<(), BadGuestPath> {
    if path.len() > 1024 || path.chars().any(char::is_control) {
        return Err(BadGuestPath::Unprintable);
    }
    let rest = path.strip_prefix('/').ok_or(BadGuestPath::Relative)?;
    if rest.is_empty() {
        return Err(BadGuestPath::Root);
    }
    if rest.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(BadGuestPath::Unclean);
    }
    match rest.split('/').next() {
        Some("workspace") => Err(BadGuestPath::Workspace),
        Some("item") => Err(BadGuestPath::Item),
        _ => Ok(()),
    }
}

/// Whether `path` is `folder` or lies below it; both are clean guest paths.
pub fn within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What andon keeps its state in beside a line: never a guest's, wherever it stands.
pub const STATE: &str = ".andon";
/// The files that say what a line may do: never a guest's to change.
pub const SAYING: [&str; 3] = ["line.toml", "line.lock", "andon.toml"];

/// The part of a path in a granted folder that is the host's own, whatever was granted: the state of some
/// line, or, for a change, what says what a line may do. A folder may hold other lines than the station's.
pub fn hosts_own(path: &str, changes: bool) -> Option<&'static str> {
    path.split('/').find_map(|part| {
        // Some file systems know no upper and lower case.
        let is = |name: &&&'static str| part.eq_ignore_ascii_case(name);
        let saying = SAYING.iter().find(is).filter(|_| changes);
        [STATE].iter().find(is).or(saying).copied()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_paths() {
        for path in ["/a", "/a/b", "/workspaces", "/items/x", "/.config"] {
            assert_eq!(guest_path(path), Ok(()), "{path}");
        }
        let bad = [
            ("", BadGuestPath::Relative),
            ("a/b", BadGuestPath::Relative),
            ("/", BadGuestPath::Root),
            ("//", BadGuestPath::Unclean),
            ("/a/", BadGuestPath::Unclean),
            ("/a/../b", BadGuestPath::Unclean),
            ("/a/./b", BadGuestPath::Unclean),
            ("/a\0b", BadGuestPath::Unprintable),
            ("/workspace", BadGuestPath::Workspace),
            ("/workspace/x", BadGuestPath::Workspace),
            ("/item", BadGuestPath::Item),
        ];
        for (path, problem) in bad {
            assert_eq!(guest_path(path), Err(problem), "{path}");
        }
        for (path, changes, own) in [
            ("x/.andon/journal.sqlite", false, Some(STATE)),
            ("one/line.toml", false, None),
            ("one/line.toml", true, Some("line.toml")),
            ("./Andon.TOML", true, Some("andon.toml")),
            ("x.andon/y", true, None),
        ] {
            assert_eq!(hosts_own(path, changes), own, "{path}");
        }
        assert!(within("/a", "/a") && within("/a/b", "/a"));
        assert!(!within("/ab", "/a") && !within("/a", "/a/b"));
    }
}
