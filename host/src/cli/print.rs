//! What goes to a person's terminal. Nothing that a guest, a file name or an input says is printed
//! as it is: controls and direction overrides could change what the lines around them seem to say.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
};

/// The text on one line: line breaks, controls and direction overrides are escaped.
pub(super) fn line(text: &str) -> String {
    escape(text, false)
}

/// The text as a block: line breaks and tabs stay, all else that [`line`] escapes is escaped.
pub(super) fn block(text: &str) -> String {
    escape(text, true)
}

fn escape(text: &str, breaks: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let plain = match c {
            '\n' | '\t' => breaks,
            c => !misleads(c),
        };
        if plain {
            safe.push(c);
        } else {
            let _ = write!(safe, "{}", c.escape_default());
        }
    }
    safe
}

/// Whether a character could steer a terminal, or hide or reorder text (Unicode TR 36).
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
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

/// Writes a line of text that has been escaped already.
pub(super) fn text(text: &str) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    said(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// Writes one JSON value on a line.
pub(super) fn json(value: &serde_json::Value) -> Result<(), OutputError> {
    text(&in_json(value))
}

/// JSON in which what [`line`] escapes is escaped as JSON does it.
fn in_json(value: &serde_json::Value) -> String {
    let mut safe = String::new();
    // Such characters are within strings only.
    for c in value.to_string().chars() {
        if misleads(c) {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
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
    use super::{block, in_json, line, plain};

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

    #[test]
    fn nothing_reaches_a_terminal_that_could_steer_it() {
        let cases = [
            ("plain ü", "plain ü", "plain ü"),
            ("a\nb", "a\\nb", "a\nb"),
            ("\u{1b}[31mred", "\\u{1b}[31mred", "\\u{1b}[31mred"),
            ("abc\u{202e}fed", "abc\\u{202e}fed", "abc\\u{202e}fed"),
            ("a\rb\u{7}", "a\\rb\\u{7}", "a\\rb\\u{7}"),
            ("a\u{9b}31m", "a\\u{9b}31m", "a\\u{9b}31m"),
        ];
        for (text, on_a_line, as_a_block) in cases {
            assert_eq!(line(text), on_a_line);
            assert_eq!(block(text), as_a_block);
            let value = serde_json::json!({ "text": text });
            let json = in_json(&value);
            assert_eq!(line(&json), json);
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&json).expect("JSON"),
                value
            );
        }
    }
}
