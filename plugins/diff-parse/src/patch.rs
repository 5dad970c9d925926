//! Reads the changed files of a patch: `git diff`, `git format-patch`, `git log -p`, `diff -u`.
//!
//! Hunks are read by the counts in their headers, so a line of a file that looks like a header, or
//! a mail's signature after the last hunk, is never mistaken.

mod names;

use std::fmt;

use crate::change::{Change, Commit, File, Hunk, Line, Status};
use crate::mail::is_id;
use names::Names;

/// Why a patch cannot be read, and at which of its lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    line: usize,
    why: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the patch: {}", self.line, self.why)
    }
}

/// The changed files of `patch`, which comes from `commit` unless it names others itself.
pub(crate) fn parse(patch: &[u8], commit: &Commit) -> Result<Vec<Change>, Malformed> {
    let mut lines: Vec<&[u8]> = patch.split(|&b| b == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    // where the headers of the patch end in CR, it is the transport's; elsewhere it is the file's
    let is_header = |line: &&&[u8]| line.starts_with(b"diff --git ") || line.starts_with(b"--- ");
    if lines
        .iter()
        .find(is_header)
        .is_some_and(|line| line.ends_with(b"\r"))
    {
        for line in &mut lines {
            *line = line.strip_suffix(b"\r").unwrap_or(line);
        }
    }
    let is_log = *commit == Commit::default();
    let mut reader = Reader {
        lines,
        at: 0,
        is_log,
        commit: commit.clone(),
        changes: Vec::new(),
    };
    reader.read()?;
    Ok(reader.changes)
}

struct Reader<'a> {
    lines: Vec<&'a [u8]>,
    at: usize,
    /// Whether commits may be named in between; in a mail such a line is only part of its text.
    is_log: bool,
    commit: Commit,
    changes: Vec<Change>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a [u8]> {
        self.lines.get(self.at).copied()
    }

    fn malformed<T>(&self, why: impl Into<String>) -> Result<T, Malformed> {
        Err(Malformed {
            line: self.at + 1,
            why: why.into(),
        })
    }

    fn read(&mut self) -> Result<(), Malformed> {
        while let Some(line) = self.peek() {
            if let Some(names) = line.strip_prefix(b"diff --git ") {
                self.at += 1;
                self.git_file(names)?;
            } else if line.starts_with(b"diff --cc ") || line.starts_with(b"diff --combined ") {
                let path = line
                    .split(|&b| b == b' ')
                    .skip(2)
                    .collect::<Vec<_>>()
                    .join(&b' ');
                let path = names::text(&path);
                return self.malformed(format!(
                    "`{}` is a combined diff of a merge, which has no single old side; hint: `git diff MERGE^1 MERGE`",
                    path.escape_debug()
                ));
            } else if self.at_plain_file() {
                self.plain_file()?;
            } else if let Some(id) = line.strip_prefix(b"commit ").filter(|_| self.is_log) {
                self.at += 1;
                let id = id.split(|&b| b == b' ').next().unwrap_or_default();
                if is_id(id) {
                    self.log_entry(id);
                }
            } else {
                self.at += 1;
            }
        }
        Ok(())
    }

    /// The head of a commit as `git log` and `git show` print it.
    fn log_entry(&mut self, id: &[u8]) {
        self.commit = Commit {
            id: names::text(id),
            ..Commit::default()
        };
        while let Some(line) = self.peek().filter(|line| !line.starts_with(b"diff ")) {
            let text = names::text(line);
            if let Some(author) = text.strip_prefix("Author:") {
                self.commit.author = author.trim().into();
            } else if let Some(date) = text
                .strip_prefix("Date:")
                .or(text.strip_prefix("AuthorDate:"))
            {
                self.commit.date = date.trim().into();
            } else if let Some(subject) = text.strip_prefix("    ") {
                self.commit.subject = subject.trim().into();
                return;
            } else if line.starts_with(b"commit ") {
                return;
            }
            self.at += 1;
        }
    }

    /// A file of git, after its `diff --git` line.
    fn git_file(&mut self, both: &[u8]) -> Result<(), Malformed> {
        let start = self.at;
        let mut names = Names::default();
        let mut status = Status::default();
        let (mut mode, mut old_mode, mut binary) = (None, None, false);
        let value = |text: &[u8]| Some(names::text(text.trim_ascii()));
        while let Some(line) = self.peek() {
            let after = |prefix: &str| line.strip_prefix(prefix.as_bytes());
            if let Some(text) = after("old mode ") {
                old_mode = value(text);
            } else if let Some(text) = after("new mode ") {
                mode = value(text);
            } else if let Some(text) = after("new file mode ") {
                (status, mode) = (Status::Added, value(text));
            } else if let Some(text) = after("deleted file mode ") {
                (status, old_mode) = (Status::Deleted, value(text));
            } else if let Some(path) = after("rename from ") {
                (status, names.old) = (Status::Renamed, Some(names::whole(path)));
            } else if let Some(path) = after("rename to ") {
                (status, names.new) = (Status::Renamed, Some(names::whole(path)));
            } else if let Some(path) = after("copy from ") {
                (status, names.old) = (Status::Copied, Some(names::whole(path)));
            } else if let Some(path) = after("copy to ") {
                (status, names.new) = (Status::Copied, Some(names::whole(path)));
            } else if let Some(text) = after("index ") {
                mode = mode.or_else(|| {
                    text.rsplit(|&b| b == b' ')
                        .next()
                        .filter(|m| m.len() == 6)
                        .and_then(value)
                });
            } else if after("Binary files ").is_some() || line == b"GIT binary patch" {
                binary = true;
                self.at += 1;
                break;
            } else if after("similarity index ").is_none()
                && after("dissimilarity index ").is_none()
            {
                break;
            }
            self.at += 1;
        }
        if binary {
            self.skip_binary();
        } else if self.at_names() {
            let (old, new) = self.take_names();
            if !self.starts(0, b"@@") {
                return self.malformed("no hunk where one has to be; the patch is damaged");
            }
            names.old = names.old.or(old);
            names.new = names.new.or(new);
        }
        if names.old.is_none() && names.new.is_none() {
            names = match names::pair(both) {
                Some(names) => names,
                None => {
                    return Err(Malformed {
                        line: start,
                        why: "cannot tell the two paths of `diff --git` apart".into(),
                    });
                }
            };
        }
        let hunks = if binary { Vec::new() } else { self.hunks()? };
        self.push(names, status, mode, old_mode, binary, hunks);
        Ok(())
    }

    /// The lines of a `GIT binary patch`: blocks that each end with an empty line.
    fn skip_binary(&mut self) {
        while let Some(line) = self.peek() {
            let of_block = line.starts_with(b"literal ")
                || line.starts_with(b"delta ")
                || line.is_empty()
                || (line.len() > 5 && !line.contains(&b' '));
            if !of_block {
                break;
            }
            self.at += 1;
        }
    }

    fn starts(&self, ahead: usize, prefix: &[u8]) -> bool {
        self.lines
            .get(self.at + ahead)
            .is_some_and(|line| line.starts_with(prefix))
    }

    /// Whether `--- a` and `+++ b` stand here.
    fn at_names(&self) -> bool {
        self.starts(0, b"--- ") && self.starts(1, b"+++ ")
    }

    /// Whether a file without a line of git's stands here; prose may well have the first two.
    fn at_plain_file(&self) -> bool {
        self.at_names() && self.starts(2, b"@@ -")
    }

    fn take_names(&mut self) -> (Option<String>, Option<String>) {
        let (old, new) = (&self.lines[self.at][4..], &self.lines[self.at + 1][4..]);
        self.at += 2;
        (names::side(old), names::side(new))
    }

    /// A file that another program than git compared.
    fn plain_file(&mut self) -> Result<(), Malformed> {
        let (old, new) = self.take_names();
        if old.is_none() && new.is_none() {
            return self.malformed("a file without a name on either side");
        }
        let hunks = self.hunks()?;
        self.push(
            Names { old, new },
            Status::Modified,
            None,
            None,
            false,
            hunks,
        );
        Ok(())
    }

    fn push(
        &mut self,
        names: Names,
        status: Status,
        mode: Option<String>,
        old_mode: Option<String>,
        binary: bool,
        hunks: Vec<Hunk>,
    ) {
        let status = match (&names.old, &names.new, status) {
            (None, Some(_), Status::Modified) => Status::Added,
            (Some(_), None, Status::Modified) => Status::Deleted,
            (.., status) => status,
        };
        let old_path = names.old.clone().filter(|_| status != Status::Added);
        let new = names.new.filter(|_| status != Status::Deleted);
        let path = new.or(names.old).unwrap_or_default();
        let file = File {
            path,
            old_path,
            status,
            mode,
            old_mode,
            binary,
        };
        self.changes.push(Change {
            commit: self.commit.clone(),
            file,
            hunks,
        });
    }

    fn hunks(&mut self) -> Result<Vec<Hunk>, Malformed> {
        let mut hunks = Vec::new();
        while let Some(line) = self.peek() {
            if line.starts_with(b"@@@") {
                return self.malformed("a combined diff of a merge, which has no single old side");
            }
            let Some(header) = line.strip_prefix(b"@@ ") else {
                break;
            };
            let Some(mut hunk) = hunk_header(header) else {
                return self.malformed(format!(
                    "`{}` is no hunk header",
                    names::text(line).escape_debug()
                ));
            };
            self.at += 1;
            self.hunk_lines(&mut hunk)?;
            hunks.push(hunk);
        }
        Ok(hunks)
    }

    fn hunk_lines(&mut self, hunk: &mut Hunk) -> Result<(), Malformed> {
        let (mut old, mut new) = (u64::from(hunk.old_start), u64::from(hunk.new_start));
        let (old_end, new_end) = (
            old + u64::from(hunk.old_lines),
            new + u64::from(hunk.new_lines),
        );
        while old < old_end || new < new_end {
            let Some(line) = self.peek() else {
                return self.malformed("the patch ends within a hunk; it is cut off");
            };
            // on its way through mail an empty line of context may have lost its space
            let (kind, text) = line
                .split_first()
                .map_or((b' ', line), |(&kind, text)| (kind, text));
            let (of_old, of_new) =
                match kind {
                    b' ' => (true, true),
                    b'-' => (true, false),
                    b'+' => (false, true),
                    b'\\' => {
                        if let Some(last) = hunk.lines.last_mut() {
                            last.no_newline = true;
                        }
                        self.at += 1;
                        continue;
                    }
                    _ => return self.malformed(
                        "neither context nor change in the middle of a hunk; the patch is damaged",
                    ),
                };
            if (of_old && old >= old_end) || (of_new && new >= new_end) {
                return self.malformed(
                    "the hunk has other lines than its header says; the patch is damaged",
                );
            }
            let string = String::from_utf8_lossy(text);
            hunk.lines.push(Line {
                kind: kind as char,
                old: of_old.then_some(old),
                new: of_new.then_some(new),
                lossy: matches!(string, std::borrow::Cow::Owned(_)),
                text: string.into_owned(),
                no_newline: false,
            });
            old += u64::from(of_old);
            new += u64::from(of_new);
            self.at += 1;
        }
        if self.peek().is_some_and(|line| line.starts_with(b"\\ ")) {
            if let Some(last) = hunk.lines.last_mut() {
                last.no_newline = true;
            }
            self.at += 1;
        }
        Ok(())
    }
}

/// Reads `-1,2 +3,4 @@ section`; a count that is not there is 1.
fn hunk_header(text: &[u8]) -> Option<Hunk> {
    let text = String::from_utf8_lossy(text);
    let (ranges, section) = text.split_once(" @@")?;
    let (old, new) = ranges.split_once(' ')?;
    let range = |text: &str| -> Option<(u32, u32)> {
        match text.split_once(',') {
            Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
            None => Some((text.parse().ok()?, 1)),
        }
    };
    let (old_start, old_lines) = range(old.strip_prefix('-')?)?;
    let (new_start, new_lines) = range(new.strip_prefix('+')?)?;
    let section = section.trim().to_owned();
    Some(Hunk {
        old_start,
        old_lines,
        new_start,
        new_lines,
        section,
        lines: Vec::new(),
    })
}
