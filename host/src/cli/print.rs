//! What goes to a person's terminal. Nothing that a guest, a file name or an input says is printed
//! as it is: [`crate::escape`] says what is escaped. Whoever puts such a text into a line of others
//! escapes it with [`line`], so that it cannot forge one; all that goes out is escaped once more as a
//! [`block`]. Only results that do not go to a terminal are written byte for byte.

pub(super) use crate::escape::{block, line};

use crate::escape;
use std::io::{self, IsTerminal, Write};

/// The first line of a text that others wrote, where only one line is: ` …` says that there is more.
pub(super) fn first(text: &str) -> String {
    let mut lines = text.trim_end().lines();
    let first = line(lines.next().unwrap_or_default());
    match lines.next() {
        Some(_) => first + " …",
        None => first,
    }
}

/// A text of several lines that others wrote: all but the first begin with `indent`, so that none passes
/// for a line of what stands around it.
pub(super) fn below(text: &str, indent: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(|it| line(it.trim())).collect();
    lines.join(&format!("\n{indent}"))
}

/// An error and its causes as people read them: without the numbers that the system gives its errors.
pub(super) fn error(error: &anyhow::Error) -> String {
    block(&plain(&format!("{error:#}")))
}

/// The text without `(os error 2)` and the like.
pub(super) fn plain(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut plain = parts.next().unwrap_or_default().to_string();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.parse::<i32>().is_ok() => plain.push_str(rest),
            _ => {
                plain.push_str(" (os error ");
                plain.push_str(part);
            }
        }
    }
    plain
}

/// Standard output could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutputError {
    /// Nobody reads it any more, as with `| head`. Whoever writes stops; it is no failure.
    #[error("standard output is closed")]
    Closed,
    #[error("standard output cannot be written: {0}")]
    Failed(io::Error),
}

/// Whether the error is only that nobody reads standard output any more.
pub(super) fn closed(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(OutputError::Closed))
}

/// Writes data to standard output: as it is into a file or pipe, escaped on a terminal.
pub(super) fn data(bytes: &[u8]) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    let result = if out.is_terminal() {
        out.write_all(block(&String::from_utf8_lossy(bytes)).as_bytes())
    } else {
        out.write_all(bytes)
    };
    said(result.and_then(|()| out.flush()))
}

/// Writes a line of text, or several, escaped as a [`block`].
pub(super) fn text(text: &str) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    said(writeln!(out, "{}", block(text)).and_then(|()| out.flush()))
}

/// Takes all that a terminal shows away, for what is drawn next.
pub(super) fn clear() -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    said(out.write_all(b"\x1b[H\x1b[J").and_then(|()| out.flush()))
}

/// Writes one JSON value on a line, with what [`line`] escapes escaped as JSON does it.
pub(super) fn json(value: &serde_json::Value) -> Result<(), OutputError> {
    text(&escape::json(&value.to_string()))
}

fn said(result: io::Result<()>) -> Result<(), OutputError> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => OutputError::Closed,
        _ => OutputError::Failed(error),
    })
}

/// Says something to people, on standard error, escaped as a [`block`]. Where that is closed nobody
/// listens, which is no reason to stop.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", block(text));
}

/// Where the log of the host itself goes: standard error, each event on a line of its own, whatever is
/// quoted in it.
pub(super) struct Log;

impl Write for Log {
    /// An event comes as a whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        writeln!(io::stderr().lock(), "{}", line(text.trim_end()))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A number of things: `1 result`, `2 results`.
pub(super) fn count(number: u64, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

/// A time of the journal as people read it: `2026-01-31 09:05:00Z`.
pub(super) fn time(at: crate::visit::Millis) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(at);
    humantime::format_rfc3339_seconds(at).to_string()
}

/// A number of bytes as people read it.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::{below, first, plain};

    #[test]
    fn texts_of_several_lines_forge_none() {
        for (text, one, all) in [
            ("", "", ""),
            ("a\r", "a", "a"),
            (
                "full\n  hint: free some",
                "full …",
                "full\n> hint: free some",
            ),
            (
                "a\u{1b}\n\nphase done\n",
                "a\\u{1b} …",
                "a\\u{1b}\n> \n> phase done",
            ),
        ] {
            assert_eq!((&*first(text), &*below(text, "> ")), (one, all));
        }
    }

    #[test]
    fn errors_lose_their_numbers_only() {
        let cases = [
            (
                "no such file (os error 2)\n  hint: x",
                "no such file\n  hint: x",
            ),
            ("a (os error 2): b (os error -7)", "a: b"),
            ("a (os error two) b", "a (os error two) b"),
            ("a (os error 2", "a (os error 2"),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), expected);
        }
    }
}
