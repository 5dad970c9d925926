//! Encodings of mail bodies and headers, and of the paths that git quotes. All of them lenient:
//! what is malformed is taken as it stands.

/// Decodes a quoted-printable body.
pub(crate) fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|&b| b == b'\n') {
        let end = line
            .iter()
            .rposition(|b| !b" \t\r\n".contains(b))
            .map_or(0, |last| last + 1);
        let (text, tail) = line.split_at(end);
        // white space at the end of a line was added on the way
        let newline: &[u8] = if tail.ends_with(b"\r\n") {
            b"\r\n"
        } else if tail.ends_with(b"\n") {
            b"\n"
        } else {
            b""
        };
        let (text, soft) = match text.strip_suffix(b"=") {
            Some(text) => (text, true),
            None => (text, false),
        };
        escapes(text, &mut out);
        if !soft {
            out.extend_from_slice(newline);
        }
    }
    out
}

fn escapes(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'='
            && let [high, low, after @ ..] = tail
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(byte);
            rest = tail;
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

/// Decodes base64, skips what is not of its alphabet, and ends at the padding.
pub(crate) fn base64(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for &byte in body {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ => continue,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

/// Decodes the encoded words (`=?utf-8?q?…?=`) of a header's value.
pub(crate) fn encoded_words(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let (before, word) = rest.split_at(start);
        let Some((decoded, tail)) = encoded_word(word) else {
            out.push_str(before);
            out.push_str("=?");
            rest = &word[2..];
            after_word = false;
            continue;
        };
        // white space between two encoded words is not part of the text
        if !(after_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        out.push_str(&decoded);
        rest = tail;
        after_word = true;
    }
    out.push_str(rest);
    out
}

fn encoded_word(word: &str) -> Option<(String, &str)> {
    let mut parts = word.strip_prefix("=?")?.splitn(3, '?');
    let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (text, tail) = rest.split_once("?=")?;
    let bytes = match encoding {
        "q" | "Q" => {
            let mut bytes = Vec::new();
            escapes(text.replace('_', " ").as_bytes(), &mut bytes);
            bytes
        }
        "b" | "B" => base64(text.as_bytes()),
        _ => return None,
    };
    let charset = charset
        .split('*')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let text = match charset.as_str() {
        "iso-8859-1" | "latin1" | "windows-1252" => bytes.iter().map(|&b| b as char).collect(),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    };
    Some((text, tail))
}

/// Reads a path in double quotes with C's escapes, as git writes unusual ones; gives the path and
/// what follows the closing quote.
pub(crate) fn quoted_path(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut path = Vec::new();
    loop {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        match byte {
            b'"' => return Some((path, rest)),
            b'\\' => {
                let (&escape, tail) = rest.split_first()?;
                rest = tail;
                path.push(match escape {
                    b'a' => 7,
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 11,
                    b'f' => 12,
                    b'r' => b'\r',
                    b'0'..=b'3' => {
                        let [high @ b'0'..=b'7', low @ b'0'..=b'7', tail @ ..] = rest else {
                            return None;
                        };
                        rest = tail;
                        (escape - b'0') << 6 | (high - b'0') << 3 | (low - b'0')
                    }
                    other => other,
                });
            }
            other => path.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_printable_bodies() {
        for (body, text) in [
            ("a=3Db", "a=b"),
            ("long =\nline\n", "long line\n"),
            ("long=\r\nline \t\r\n", "longline\r\n"),
            ("=C3=A9", "é"),
            ("=zz = =4", "=zz = =4"),
            ("", ""),
            ("=", ""),
        ] {
            assert_eq!(
                String::from_utf8(quoted_printable(body.as_bytes())).unwrap(),
                text,
                "{body:?}"
            );
        }
    }

    #[test]
    fn base64_bodies() {
        for (body, text) in [
            ("aGVs\r\nbG8=", "hello"),
            ("aGVsbG8", "hello"),
            ("a", ""),
            ("", ""),
            ("=aGVs", ""),
        ] {
            assert_eq!(base64(body.as_bytes()), text.as_bytes(), "{body:?}");
        }
    }

    #[test]
    fn encoded_words_of_headers() {
        for (value, text) in [
            ("=?UTF-8?q?Caf=C3=A9_au_lait?=", "Café au lait"),
            ("=?utf-8?B?w6k=?= =?utf-8?q?t=C3=A9?= x", "été x"),
            ("=?iso-8859-1?q?=E9?=", "é"),
            ("a =?broken b", "a =?broken b"),
            ("=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
            ("=?=?=?", "=?=?=?"),
        ] {
            assert_eq!(encoded_words(value), text, "{value:?}");
        }
    }

    #[test]
    fn quoted_paths() {
        let read = |text: &'static str| {
            quoted_path(text.as_bytes())
                .map(|(path, rest)| (String::from_utf8_lossy(&path).into_owned(), rest.len()))
        };
        assert_eq!(read(r#""a/\303\244\t\"x" b"#), Some(("a/ä\t\"x".into(), 2)));
        for broken in ["a", "\"a", "\"a\\", "\"\\30", "\"\\38x\""] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }
}
