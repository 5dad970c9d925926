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
            // Zero-width and direction characters (Unicode TR 36): they hide or reorder text.
            '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => false,
            c => !c.is_control(),
        };
        if plain {
            safe.push(c);
        } else {
            let _ = write!(safe, "{}", c.escape_default());
        }
    }
    safe
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

/// Writes data to standard output: as it is into a file or pipe, escaped on a terminal. A pipe that
/// was closed at the other end is no error.
pub(super) fn data(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let result = if out.is_terminal() {
        out.write_all(block(&String::from_utf8_lossy(bytes)).as_bytes())
    } else {
        out.write_all(bytes)
    };
    forgive(result.and_then(|()| out.flush()))
}

/// Writes a line of text that has been escaped already.
pub(super) fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    forgive(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// Writes one JSON value on a line.
pub(super) fn json(value: &serde_json::Value) -> io::Result<()> {
    text(&value.to_string())
}

fn forgive(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| {
            let text = format!("standard output cannot be written: {e}");
            io::Error::new(e.kind(), text)
        }),
    }
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
    use super::{block, line, plain};

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
        ];
        for (text, on_a_line, as_a_block) in cases {
            assert_eq!(line(text), on_a_line);
            assert_eq!(block(text), as_a_block);
        }
    }
}
