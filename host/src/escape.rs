//! Text that others wrote, made safe for whoever reads it: what guests, inputs, file names and tools
//! say could steer a terminal, or hide, reorder or forge what stands around it.
//!
//! Escaped are
//! - control characters: C0 with ESC, DEL, and C1, which some terminals obey as well,
//! - what turns the direction of writing: marks, embeddings, overrides, isolates,
//! - what breaks a line although it is no line feed: U+2028 and U+2029,
//! - what is not seen (Unicode's `Default_Ignorable_Code_Point`, and annotations): zero-width
//!   characters, joiners, fillers, the soft hyphen, the byte order mark, tag characters, variation
//!   selectors. A text in which something is hidden is not the text that a person approves; that some
//!   emoji show as their parts is the price.
//!
//! A character is written as Rust would write it (`\u{1b}`, `\r`), a byte of no UTF-8 as `\xff`. A
//! backslash stays as it is, so what is escaped is for people to read and not to be read back. What is
//! escaped twice is as if it were escaped once.

use std::fmt::Write as _;

/// Whether a character could steer a terminal, or hide, reorder or break text.
pub fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text on one line: all that [`misleads`] is escaped, line breaks and tabs with it.
pub fn line(text: &str) -> String {
    escape(text, false)
}

/// The text as a block: line feeds and tabs stay, all else that [`misleads`] is escaped.
pub fn block(text: &str) -> String {
    escape(text, true)
}

/// A text as it may stand in a message: on one line, and cut after 80 characters.
pub fn shown(text: &str) -> String {
    let end = text.char_indices().nth(80).map(|(end, _)| end);
    match end {
        Some(end) => line(&text[..end]) + "…",
        None => line(text),
    }
}

/// Bytes that should be text, such as a file's name, on one line.
pub fn bytes(bytes: &[u8]) -> String {
    let mut safe = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        safe.push_str(&line(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(safe, "\\x{byte:02x}");
        }
    }
    safe
}

/// JSON as a serialiser wrote it, with what [`misleads`] in its strings escaped as JSON does it: the
/// same value, safe on a terminal. Not for JSON that is laid out on several lines.
pub fn json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if misleads(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

fn escape(text: &str, breaks: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if misleads(c) && !(breaks && matches!(c, '\n' | '\t')) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_could_steer_or_hide() {
        let cases = [
            ("plain ü 漢 🦀 \\u{1b}", "plain ü 漢 🦀 \\u{1b}"),
            ("a\nb\tc", "a\\nb\\tc"),
            ("a\rb\u{7}\0", "a\\rb\\u{7}\\u{0}"),
            ("\u{1b}[31mred\u{7f}", "\\u{1b}[31mred\\u{7f}"),
            (
                "\u{1b}]8;;https://evil.example/\u{1b}\\x\u{9b}31m\u{9d}52;c;eA==\u{9c}",
                "\\u{1b}]8;;https://evil.example/\\u{1b}\\x\\u{9b}31m\\u{9d}52;c;eA==\\u{9c}",
            ),
            (
                "a\u{202e}b\u{2066}c\u{61c}d\u{200f}",
                "a\\u{202e}b\\u{2066}c\\u{61c}d\\u{200f}",
            ),
            ("a\u{2028}b\u{2029}c\u{85}", "a\\u{2028}b\\u{2029}c\\u{85}"),
            (
                "a\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\u{3164}b",
                "a\\u{200b}\\u{200d}\\u{2060}\\u{feff}\\u{ad}\\u{3164}b",
            ),
            (
                "\u{e0041}\u{fe0f}\u{e0100}\u{fff9}",
                "\\u{e0041}\\u{fe0f}\\u{e0100}\\u{fff9}",
            ),
        ];
        for (text, on_a_line) in cases {
            assert_eq!(line(text), on_a_line);
            assert_eq!(line(on_a_line), on_a_line, "once is enough");
            let as_a_block = on_a_line.replace("\\n", "\n").replace("\\t", "\t");
            assert_eq!(block(text), as_a_block);
            let value = serde_json::json!({ "text": text, text: [text] });
            let json = json(&value.to_string());
            assert!(!json.chars().any(misleads), "{json}");
            let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
            assert_eq!(read, value);
        }
    }

    #[test]
    fn every_character_is_safe_or_escaped() {
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            let safe = line(c.encode_utf8(&mut [0; 4]));
            assert!(!safe.chars().any(misleads), "U+{:04x}", u32::from(c));
            assert_eq!(safe.is_ascii(), misleads(c) || c.is_ascii());
        }
    }

    #[test]
    fn long_texts_are_cut_and_bytes_need_not_be_text() {
        assert_eq!(shown(&"ü".repeat(80)), "ü".repeat(80));
        assert_eq!(shown(&"\u{1b}".repeat(81)), "\\u{1b}".repeat(80) + "…");
        assert_eq!(
            bytes(b"a\xff\n\xed\xa0\x80\xc3"),
            "a\\xff\\n\\xed\\xa0\\x80\\xc3"
        );
        assert_eq!(bytes("ü\u{202e}".as_bytes()), "ü\\u{202e}");
    }
}
