//! Inputs of a run: files, folders, standard input; each with the key by which it is taken once.

use crate::{
    conveyor::Input,
    digest::Digest,
    escape::line as shown,
    item::{Body, Labels, Payload, Taking, Ticket},
};
use bytes::Bytes;
use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The largest input, in bytes. A station gets a body as a whole in its memory; more than this is
/// better mounted.
pub(super) const MOST: u64 = 64 << 20;

/// How standard input is cut into items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// An mbox gives an item for each of its mails, anything else is one item.
    Mails,
    /// One item a line, each a JSON value.
    JsonLines,
}

/// Where inputs come from, in the order in which they are taken.
#[derive(Debug)]
pub(super) enum Source {
    File(PathBuf),
    Stdin,
}

/// An input that cannot be taken; the others are taken all the same.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error(
        "input `{}` cannot be read: {reason}\n  hint: name a file, a folder, or `-` for standard input",
        shown(path)
    )]
    Unreadable { path: String, reason: io::Error },
    #[error("input `{}` is gone: it was there when the run began", shown(.0))]
    Gone(String),
    #[error("input `{}` is larger than {} MiB\n  hint: split it, or mount its folder with `grants.fs` and pass its name", shown(path), MOST >> 20)]
    TooLarge { path: String },
    #[error("input `{}` is a link to a file that does not exist", shown(.0))]
    Dangling(String),
    #[error(
        "`{}` is not JSON at {line}:{column}: {reason}\n  hint: each line is one JSON value",
        shown(path)
    )]
    NotJson {
        path: String,
        line: usize,
        column: usize,
        reason: String,
    },
    #[error("folder `{}` has no files in it\n  hint: hidden ones do not count; name those", shown(.0))]
    EmptyFolder(String),
}

/// Finds all files, folders walked in the order of their names, hidden files left out. Everything
/// that is named has to be there: a run does not begin with half of what it was asked for.
pub(super) fn find(arguments: &[PathBuf]) -> Result<Vec<Source>, Vec<InputError>> {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for argument in arguments {
        if argument.as_os_str() == "-" {
            found.push(Source::Stdin);
            continue;
        }
        match fs::metadata(argument) {
            Ok(about) if about.is_dir() => {
                let before = found.len();
                if let Err(error) = walk(argument, &mut found) {
                    wrong.push(error);
                } else if found.len() == before {
                    wrong.push(InputError::EmptyFolder(name(argument)));
                }
            }
            Ok(_) => found.push(Source::File(argument.clone())),
            Err(source) => wrong.push(unreadable(argument, source)),
        }
    }
    if wrong.is_empty() {
        Ok(found)
    } else {
        Err(wrong)
    }
}

/// Why a file that was named is not there.
fn unreadable(path: &Path, reason: io::Error) -> InputError {
    if dangles(path) {
        InputError::Dangling(name(path))
    } else {
        InputError::Unreadable {
            path: name(path),
            reason,
        }
    }
}

/// Whether it is a link, and what it leads to is not there.
fn dangles(path: &Path) -> bool {
    path.is_symlink()
        && fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn walk(folder: &Path, found: &mut Vec<Source>) -> Result<(), InputError> {
    let unreadable = |reason| InputError::Unreadable {
        path: name(folder),
        reason,
    };
    let mut entries = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|e| e.map(|e| e.path()))
                .collect::<io::Result<Vec<_>>>()
        })
        .map_err(unreadable)?;
    entries.sort();
    for path in entries {
        if path
            .file_name()
            .is_some_and(|n| n.as_encoded_bytes().starts_with(b"."))
        {
            continue;
        }
        // Links are followed to files only: a folder that links to its parent would never end.
        let about = fs::symlink_metadata(&path).map_err(unreadable)?;
        if about.is_dir() {
            walk(&path, found)?;
        } else if path.is_file() || dangles(&path) {
            // One that dangles is told of when its turn has come.
            found.push(Source::File(path));
        }
    }
    Ok(())
}

/// Reads a source and hands its inputs on, one after the other. `again` makes every key a new one.
pub(super) fn read(
    source: &Source,
    cut: Cut,
    again: Option<&str>,
    take: &mut dyn FnMut(Result<Input, InputError>) -> bool,
) {
    let (label, place, bytes) = match source {
        Source::Stdin => (
            "stdin".to_string(),
            "stdin".to_string(),
            bounded(io::stdin().lock(), "stdin"),
        ),
        Source::File(path) => {
            let label = name(path);
            let bytes = fs::File::open(path)
                .map_err(|source| match source.kind() {
                    io::ErrorKind::NotFound if !dangles(path) => InputError::Gone(label.clone()),
                    _ => unreadable(path, source),
                })
                .and_then(|file| bounded(file, &label));
            let place = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            // Two names that are shown alike are two inputs.
            let place = match place.to_str() {
                Some(text) => format!("file:{text}"),
                None => format!(
                    "bytes:{}",
                    place.as_os_str().as_encoded_bytes().escape_ascii()
                ),
            };
            (label, place, bytes)
        }
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => {
            take(Err(error));
            return;
        }
    };
    let by = crate::serve::user();
    let input = |source: String, position: usize, content_type: &str, body: Bytes| {
        let digest = Digest::of(&body);
        let key = format!(
            "{place}\0{position}\0{digest}\0{}",
            again.unwrap_or_default()
        );
        let payload = Payload {
            content_type: content_type.into(),
            body: Body::Inline(body),
            labels: Labels::default(),
        };
        Ok(Input {
            key,
            taking: Taking {
                ticket: Ticket {
                    by: Some(by.clone()),
                    ..Ticket::default()
                },
                ..Taking::plain(source, payload)
            },
            blobs: Vec::new(),
        })
    };
    let mails = cut == Cut::Mails && (matches!(source, Source::Stdin) || label.ends_with(".mbox"));
    if cut == Cut::JsonLines && matches!(source, Source::Stdin) || label.ends_with(".jsonl") {
        for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let go_on = match serde_json::from_slice::<serde::de::IgnoredAny>(line) {
                Ok(_) => take(input(
                    format!("{label}:{}", i + 1),
                    i + 1,
                    "application/json",
                    bytes.slice_ref(line),
                )),
                Err(reason) => take(Err(InputError::NotJson {
                    path: label.clone(),
                    line: i + 1,
                    column: reason.column(),
                    // The place that it ends with is within the line.
                    reason: match reason.to_string().rsplit_once(" at line ") {
                        Some((reason, _)) => reason.into(),
                        None => reason.to_string(),
                    },
                })),
            };
            if !go_on {
                return;
            }
        }
    } else if mails && bytes.split(|b| *b == b'\n').next().is_some_and(begins_mail) {
        for (i, mail) in mbox(&bytes).into_iter().enumerate() {
            if !take(input(
                format!("{label}:{}", i + 1),
                i + 1,
                "message/rfc822",
                bytes.slice(mail),
            )) {
                return;
            }
        }
    } else {
        let content_type = Payload::guess(&label, &bytes);
        take(input(label.clone(), 0, content_type, bytes));
    }
}

fn bounded(reader: impl Read, label: &str) -> Result<Bytes, InputError> {
    let mut bytes = Vec::new();
    reader
        .take(MOST + 1)
        .read_to_end(&mut bytes)
        .map_err(|reason| InputError::Unreadable {
            path: label.into(),
            reason,
        })?;
    if bytes.len() as u64 > MOST {
        return Err(InputError::TooLarge { path: label.into() });
    }
    Ok(bytes.into())
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

/// The mails of an mbox, as ranges without their `From ` lines. A mail begins where such a line
/// stands at the start or after an empty one (RFC 4155).
fn mbox(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut mails = Vec::new();
    let mut start = None;
    let mut at = 0;
    let mut after_empty = true;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        if after_empty
            && begins_mail(line)
            && let Some(start) = start.replace(at + line.len())
        {
            mails.push(start..at);
        }
        after_empty = line.iter().all(|b| matches!(b, b'\r' | b'\n'));
        at += line.len();
    }
    mails.extend(start.map(|start| start..at));
    mails
}

/// Whether a line is the `From ` line before a mail: `From <word> Tue Jan  2 03:04:05 2024`, with or
/// without a zone. Not everybody quotes a paragraph that begins with `From `, so that the date is what
/// tells them apart, as it does for git.
fn begins_mail(line: &[u8]) -> bool {
    let digits = |word: &str| word.bytes().all(|b| b.is_ascii_digit());
    let is_time = |word: &&str| {
        let parts: Vec<&str> = word.split(':').collect();
        (2..=3).contains(&parts.len())
            && parts
                .iter()
                .all(|part| (1..=2).contains(&part.len()) && digits(part))
    };
    let is_year = |word: &&str| word.len() == 4 && digits(word);
    let Some(rest) = line.strip_prefix(b"From ") else {
        return false;
    };
    // Who sent it may be written in any charset.
    let rest = String::from_utf8_lossy(rest);
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let Some(time) = words.iter().rposition(is_time) else {
        return false;
    };
    let (before, after) = (&words[..time], &words[time + 1..]);
    // The sender, the day of the week, the month, the day.
    let dated = before.len() >= 4
        && before
            .last()
            .is_some_and(|day| day.len() <= 2 && digits(day));
    dated && after.len() <= 2 && after.iter().any(is_year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_begins_with_a_sender_and_a_date() {
        let cases = [
            ("From 0123abc Mon Sep 17 00:00:00 2001", true),
            ("From a@b.c Tue Jan  2 03:04:05 2024\r\n", true),
            ("From a@b.c Tue Jan  2 03:04 2024\n", true),
            ("From a@b.c Tue Jan  2 03:04:05 2024 +0100\n", true),
            ("From a@b.c Tue Jan  2 03:04:05 CET 2024\n", true),
            ("From a b Tue Jan 2 03:04:05 2024", true),
            ("From ", false),
            ("From a", false),
            ("From here on it is fine", false),
            ("From 10:30 on", false),
            ("From Monday 3 10:30 2024", false),
            ("From the log of May 17 at 00:00:00 2001", false),
            ("From the log of May 17 00:00:00 we see", false),
            ("from 0123abc Mon Sep 17 00:00:00 2001", false),
            (">From 0123abc Mon Sep 17 00:00:00 2001", false),
            ("From a Mon Sep 17 000:00 2001", false),
        ];
        for (line, begins) in cases {
            assert_eq!(begins_mail(line.as_bytes()), begins, "{line:?}");
        }
        assert!(begins_mail(b"From \xff Mon Sep 17 00:00:00 2001"));
    }

    #[test]
    fn an_mbox_is_cut_at_from_lines_after_empty_ones() {
        const A: &str = "From a Mon Sep 17 00:00:00 2001";
        const B: &str = "From b Tue Jan  2 03:04:05 2024";
        let cases: &[(String, &[&str])] = &[
            (format!("{A}\nx: 1\n\nhi\n"), &["x: 1\n\nhi\n"]),
            (
                format!("{A}\nx: 1\n\nhi\n\n{B}\ny: 2\n\nho\n"),
                &["x: 1\n\nhi\n\n", "y: 2\n\nho\n"],
            ),
            (
                format!("{A}\n\nhi\n\nFrom here on\n{B}\n"),
                &["\nhi\n\nFrom here on\nFrom b Tue Jan  2 03:04:05 2024\n"],
            ),
            (
                format!("{A}\r\n\r\nhi\r\n\r\n{B}\r\nho"),
                &["\r\nhi\r\n\r\n", "ho"],
            ),
            (A.to_string(), &[""]),
        ];
        for (text, mails) in cases {
            let found: Vec<&str> = mbox(text.as_bytes())
                .into_iter()
                .map(|mail| &text[mail])
                .collect();
            assert_eq!(found, *mails, "{text:?}");
        }
    }
}
