//! Secrets in what a server answers: found, as they are or encoded, and replaced by their names.
//!
//! A secret is looked for as it is, with any of its bytes percent-encoded, escaped as JSON does, in
//! hexadecimal digits, and in base64, of either alphabet, with line breaks, and at any of the three places
//! that it may begin at. What is encoded twice, or otherwise, is not found: a grant is for a server that
//! does not play such games with its own clients. Works on a
//! stream: what may be the beginning of a secret is held back until it is known. Pure; knows nothing
//! of HTTP.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use zeroize::Zeroizing;

/// The shortest piece of base64 that is taken for a secret: shorter ones stand everywhere.
const SHORTEST: usize = 4;

/// What to look for.
#[derive(Default)]
pub(super) struct Needles {
    needles: Vec<Needle>,
    /// Which bytes a needle may begin with.
    begins: Begins,
}

/// A mark for each byte.
struct Begins([bool; 256]);

impl Default for Begins {
    fn default() -> Self {
        Self([false; 256])
    }
}

/// One form of a secret.
struct Needle {
    name: String,
    form: Form,
    bytes: Zeroizing<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Text: each character as it is, percent-encoded or escaped.
    Text,
    /// Base64: `+` and `-`, `/` and `_` are the same, and lines may be broken in it, as mail does.
    Base64,
    /// The digits of each byte, in either case.
    Hex,
    /// Text in which upper and lower case are the same, as in the names of headers.
    Name,
}

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A needle of so many bytes.
    Whole(usize),
    /// What may become one, when more has come.
    Begun,
    Nothing,
}

impl Needles {
    /// The forms of secrets, by name and value. `prefix` is what stands before the value in a call:
    /// with `Basic ` the value is base64 itself, of a user and a password.
    pub(super) fn new<'s>(secrets: impl Iterator<Item = (&'s str, &'s str, &'s str)>) -> Self {
        let mut all = Self::default();
        for (name, prefix, value) in secrets {
            all.add(name, value);
            if !prefix.trim().eq_ignore_ascii_case("basic") {
                continue;
            }
            // Servers show what they read out of it.
            let read = STANDARD
                .decode(value)
                .or_else(|_| STANDARD_NO_PAD.decode(value));
            let read = Zeroizing::new(read.unwrap_or_default());
            if let Ok(text) = std::str::from_utf8(&read) {
                all.add(name, text);
                let password = text.split_once(':').map_or("", |(_, password)| password);
                all.add(name, password);
            }
        }
        all
    }

    fn add(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        self.push(name, Form::Text, value.as_bytes().to_vec());
        self.push(name, Form::Name, value.as_bytes().to_ascii_lowercase());
        let digits = value.bytes().map(|byte| format!("{byte:02x}"));
        self.push(name, Form::Hex, digits.collect::<String>().into_bytes());
        for before in 0..3 {
            let mut bytes = Zeroizing::new(vec![0; before]);
            bytes.extend_from_slice(value.as_bytes());
            let encoded = Zeroizing::new(STANDARD_NO_PAD.encode(&*bytes));
            // The digits that stand for nothing but the secret's own bits.
            let from = (before * 8).div_ceil(6);
            let to = bytes.len() * 8 / 6;
            if to.saturating_sub(from) >= SHORTEST {
                self.push(name, Form::Base64, encoded.as_bytes()[from..to].to_vec());
            }
        }
    }

    fn push(&mut self, name: &str, form: Form, bytes: Vec<u8>) {
        for first in 0..=255 {
            self.begins.0[usize::from(first)] |= match form {
                Form::Text => {
                    matches!(first, b'%' | b'\\')
                        || first == bytes[0]
                        || (first == b'+' && bytes[0] == b' ')
                }
                Form::Base64 => standard(first) == bytes[0],
                Form::Hex => first.to_ascii_lowercase() == bytes[0],
                Form::Name => false,
            };
        }
        self.needles.push(Needle {
            name: name.into(),
            form,
            bytes: Zeroizing::new(bytes),
        });
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// Whether a secret stands in the name of a header.
    pub(super) fn in_name(&self, name: &str) -> bool {
        let names = self
            .needles
            .iter()
            .filter(|needle| needle.form == Form::Name);
        (names.map(|needle| &needle.bytes)).any(|needle| {
            let mut windows = name.as_bytes().windows(needle.len());
            windows.any(|window| window.eq_ignore_ascii_case(needle))
        })
    }

    /// A whole text without secrets; `None` where there are none in it.
    pub(super) fn redacted(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut redactor = Redactor::default();
        let mut out = redactor.push(self, text);
        out.extend(redactor.finish(self));
        (out != text).then_some(out)
    }

    /// What stands at the beginning of `text`: a needle, the longest where there are several.
    fn at(&self, text: &[u8], last: bool) -> (Found, &str) {
        let mut best = (Found::Nothing, "");
        if !self.begins.0[usize::from(text[0])] {
            return best;
        }
        for needle in &self.needles {
            match (needle.at(text, last), best.0) {
                (Found::Begun, _) if !last => return (Found::Begun, ""),
                (Found::Whole(len), Found::Whole(longest)) if len <= longest => {}
                (found @ Found::Whole(_), _) => best = (found, &needle.name),
                _ => {}
            }
        }
        best
    }
}

impl Needle {
    /// Whether `text` begins with these digits, each read by `read`. One line break may stand between two.
    fn digits_at(&self, text: &[u8], read: impl Fn(u8) -> u8) -> Found {
        let mut at = 0;
        for (n, digit) in self.bytes.iter().enumerate() {
            if n > 0 {
                at += usize::from(text.get(at) == Some(&b'\r'));
                at += usize::from(text.get(at) == Some(&b'\n'));
            }
            match text.get(at) {
                None => return Found::Begun,
                Some(found) if read(*found) == *digit => at += 1,
                Some(_) => return Found::Nothing,
            }
        }
        Found::Whole(at)
    }

    fn at(&self, text: &[u8], last: bool) -> Found {
        match self.form {
            Form::Name => Found::Nothing,
            Form::Base64 => self.digits_at(text, standard),
            Form::Hex => self.digits_at(text, |digit| digit.to_ascii_lowercase()),
            Form::Text => match std::str::from_utf8(&self.bytes) {
                Ok(value) => text_at(value, text, last),
                Err(_) => Found::Nothing,
            },
        }
    }
}

/// The digit of the standard alphabet.
fn standard(digit: u8) -> u8 {
    match digit {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    }
}

/// Whether `text` begins with the value. Where a character may be written in two ways that both fit,
/// both are followed, and the longer is taken: by the places that they lead to, of which there are few
/// however long the value is. At the `last` of a text nothing begins any more.
fn text_at(value: &str, text: &[u8], last: bool) -> Found {
    let mut places = vec![0];
    for c in value.chars() {
        let mut next = Vec::new();
        for at in places {
            let text = &text[at..];
            let percent = match c {
                '%' => encoded_at(b'%', text),
                _ => Found::Nothing,
            };
            for found in [escape_at(c, text), bytes_at(c, text), percent] {
                match found {
                    Found::Begun if !last => return Found::Begun,
                    Found::Whole(len) if !next.contains(&(at + len)) => next.push(at + len),
                    _ => {}
                }
            }
        }
        if next.is_empty() {
            return Found::Nothing;
        }
        places = next;
    }
    places
        .into_iter()
        .max()
        .map_or(Found::Nothing, Found::Whole)
}

/// The bytes of a character, each as it is or percent-encoded.
fn bytes_at(c: char, text: &[u8]) -> Found {
    let mut at = 0;
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        let found = match text.get(at) {
            None => Found::Begun,
            Some(first) if *first == byte => Found::Whole(1),
            Some(b'+') if byte == b' ' => Found::Whole(1),
            Some(_) => encoded_at(byte, &text[at..]),
        };
        match found {
            Found::Whole(len) => at += len,
            other => return other,
        }
    }
    Found::Whole(at)
}

/// A byte, percent-encoded.
fn encoded_at(byte: u8, text: &[u8]) -> Found {
    match text {
        [] => Found::Begun,
        [b'%', rest @ ..] => match hex_at(byte, rest) {
            Found::Whole(len) => Found::Whole(1 + len),
            other => other,
        },
        _ => Found::Nothing,
    }
}

/// The two digits of a byte, in either case.
fn hex_at(byte: u8, text: &[u8]) -> Found {
    digits_at(u32::from(byte), 2, text)
}

fn digits_at(value: u32, digits: u32, text: &[u8]) -> Found {
    for n in 0..digits {
        let wanted = value >> (4 * (digits - 1 - n)) & 0xf;
        match text.get(n as usize) {
            None => return Found::Begun,
            Some(digit) if char::from(*digit).to_digit(16) == Some(wanted) => {}
            Some(_) => return Found::Nothing,
        }
    }
    Found::Whole(digits as usize)
}

/// A character escaped as JSON does.
fn escape_at(c: char, text: &[u8]) -> Found {
    let Some(b'\\') = text.first() else {
        return Found::Nothing;
    };
    let Some(second) = text.get(1) else {
        return Found::Begun;
    };
    let short = match c {
        '"' | '\\' | '/' => c as u8,
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        _ => 0,
    };
    if *second == short {
        return Found::Whole(2);
    }
    let mut at = 0;
    for unit in c.encode_utf16(&mut [0; 2]) {
        let found = match text.get(at..at + 2) {
            Some([b'\\', b'u']) => digits_at(u32::from(*unit), 4, &text[at + 2..]),
            Some(_) => Found::Nothing,
            None if matches!(text.get(at), None | Some(b'\\')) => Found::Begun,
            None => Found::Nothing,
        };
        match found {
            Found::Whole(len) => at += 2 + len,
            other => return other,
        }
    }
    Found::Whole(at)
}

/// Looks through a stream.
#[derive(Default)]
pub(super) struct Redactor {
    /// What may be the beginning of a secret.
    held: Zeroizing<Vec<u8>>,
}

impl Redactor {
    /// What can be passed on after a piece more.
    pub(super) fn push(&mut self, needles: &Needles, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        self.scan(needles, false)
    }

    /// The rest, when nothing more comes.
    pub(super) fn finish(&mut self, needles: &Needles) -> Vec<u8> {
        self.scan(needles, true)
    }

    fn scan(&mut self, needles: &Needles, last: bool) -> Vec<u8> {
        let text = &*self.held;
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            match needles.at(&text[at..], last) {
                (Found::Whole(len), name) => {
                    out.extend_from_slice(format!("[redacted {name}]").as_bytes());
                    at += len;
                }
                (Found::Begun, _) => break,
                (Found::Nothing, _) => {
                    out.push(text[at]);
                    at += 1;
                }
            }
        }
        let rest = Zeroizing::new(text[at..].to_vec());
        self.held = rest;
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE;
    use proptest::prelude::*;

    fn needles(value: &str) -> Needles {
        Needles::new([("KEY", "Bearer ", value)].into_iter())
    }

    fn redacted(value: &str, text: &str) -> String {
        let text = needles(value)
            .redacted(text.as_bytes())
            .unwrap_or(text.into());
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn secrets_are_found_however_they_are_written() {
        let cases = [
            ("s3cr3t/+x", "a s3cr3t/+x b", "a [redacted KEY] b"),
            ("s3cr3t/+x", "s3cr3t%2f%2Bx", "[redacted KEY]"),
            ("s3cr3t/+x", "%733cr3t%2F+x", "[redacted KEY]"),
            ("s3cr3t/+x", r"s3cr3t\/\u002bx", "[redacted KEY]"),
            ("s3 cr3t", "s3+cr3t", "[redacted KEY]"),
            ("q\"u\\o", r#""q\"u\\o""#, "\"[redacted KEY]\""),
            (
                "schlüssel😀",
                r"schl\u00fcssel\ud83D\uDe00",
                "[redacted KEY]",
            ),
            ("schlüssel", "schl%C3%bcssel", "[redacted KEY]"),
            ("50%25off", "50%25off", "[redacted KEY]"),
            ("50%25off", "50%2525off", "[redacted KEY]"),
            ("aab", "aaab", "a[redacted KEY]"),
            ("secret", "<7365637265742>", "<[redacted KEY]2>"),
            ("secret", "7365 736563\r\n726574", "7365 [redacted KEY]"),
            ("secret-one", "c2VjcmV0\nLW9uZQ==", "[redacted KEY]Q=="),
            ("secret", "secre", "secre"),
            ("secret", "SECRET", "SECRET"),
            ("secret", "100% \\ s", "100% \\ s"),
        ];
        for (value, text, clean) in cases {
            assert_eq!(redacted(value, text), clean, "{value} in {text}");
        }
    }

    #[test]
    fn the_longest_secrets_take_no_stack_and_little_time() {
        let long = "x".repeat(64 << 10);
        assert_eq!(redacted(&long, &format!("a{long}b")), "a[redacted KEY]b");
        let twofold = "\\".repeat(64);
        assert_eq!(redacted(&twofold, &twofold.repeat(2)), "[redacted KEY]");
    }

    #[test]
    fn what_basic_credentials_say_is_a_secret_too() {
        let value = STANDARD.encode("user:pa55word");
        let needles = Needles::new([("KEY", "Basic ", value.as_str())].into_iter());
        for text in [value.as_str(), "user:pa55word", "pa55word", "pa55%77ord"] {
            let clean = needles.redacted(text.as_bytes());
            assert_eq!(clean.as_deref(), Some(&b"[redacted KEY]"[..]), "{text}");
        }
    }

    #[test]
    fn names_of_headers_are_looked_through_in_either_case() {
        let needles = needles("AbC123");
        assert!(needles.in_name("x-abc123-y"));
        assert!(!needles.in_name("x-abc124"));
    }

    /// The secret's middle in base64, whatever stands around it.
    fn leaks(secret: &str, text: &[u8]) -> bool {
        let text = String::from_utf8_lossy(text);
        let mut decoded = Vec::new();
        for start in 0..4 {
            let digits: String = text.chars().skip(start).collect();
            let whole = digits.len() / 4 * 4;
            decoded.extend(STANDARD.decode(&digits[..whole]).unwrap_or_default());
        }
        text.contains(secret) || String::from_utf8_lossy(&decoded).contains(secret)
    }

    proptest! {
        #[test]
        fn no_way_to_cut_a_stream_leaks(
            secret in "[a-zA-Z0-9+/ \"\\\\_-]{6,24}",
            before in "[a-z %\\\\]{0,8}",
            after in "[a-z %\\\\]{0,8}",
            form in 0..5,
            escaped in any::<u32>(),
            cuts in prop::collection::vec(1..7usize, 1..60),
        ) {
            let percent = |(n, b): (usize, u8)| {
                if escaped >> (n % 32) & 1 == 1 || b == b'%' {
                    format!("%{b:02x}")
                } else {
                    char::from(b).to_string()
                }
            };
            let json = |(n, c): (usize, char)| {
                if escaped >> (n % 32) & 1 == 1 || matches!(c, '"' | '\\') {
                    format!("\\u{:04X}", c as u32)
                } else {
                    c.to_string()
                }
            };
            let text = match form {
                0 => format!("{before}{secret}{after}"),
                1 => format!("{before}{}{after}", secret.bytes().enumerate().map(percent).collect::<String>()),
                2 => format!("{before}{}{after}", secret.chars().enumerate().map(json).collect::<String>()),
                3 => STANDARD.encode(format!("{before}{secret}{after}")),
                _ => URL_SAFE.encode(format!("{before}{secret}{after}")),
            };
            let needles = needles(&secret);
            let mut redactor = Redactor::default();
            let (mut out, mut rest) = (Vec::new(), text.as_bytes());
            for cut in cuts {
                let (piece, others) = rest.split_at(cut.min(rest.len()));
                rest = others;
                out.extend(redactor.push(&needles, piece));
                // All that is held back may be a secret: the longest is six bytes for each character.
                prop_assert!(redactor.held.len() <= 6 * secret.len());
            }
            out.extend(redactor.push(&needles, rest));
            out.extend(redactor.finish(&needles));
            prop_assert!(!leaks(&secret, &out), "{} in {text}", String::from_utf8_lossy(&out));
            prop_assert!(String::from_utf8_lossy(&out).contains("[redacted KEY]"), "{text}");
            // However it is cut, the same comes out.
            prop_assert_eq!(needles.redacted(text.as_bytes()), Some(out));
        }
    }
}
