//! Finds the mails of an input, their text and who they are from. It knows nothing of patches.

use crate::change::Commit;
use crate::encoding::{base64, encoded_words, quoted_printable};

/// How deep parts may stand within parts; what is deeper is left out.
const MAX_DEPTH: usize = 8;

/// The most bytes that are read of a header's value.
const MAX_HEADER: usize = 8 * 1024;

/// One mail, or the whole input if it is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) commit: Commit,
    /// Its text, with the transfer encoding taken off.
    pub(crate) body: Vec<u8>,
}

/// The mails of `input`: of an mbox, or a single one; else all of it as one without a sender.
pub(crate) fn split(input: &[u8]) -> Vec<Mail> {
    let mut starts = Vec::new();
    let mut at = 0;
    for line in input.split_inclusive(|&b| b == b'\n') {
        if is_separator(line) {
            starts.push(at);
        }
        at += line.len();
    }
    if starts.is_empty() || !input[..starts[0]].trim_ascii().is_empty() {
        return vec![if is_mail(input) {
            mail("", input)
        } else {
            Mail {
                commit: Commit::default(),
                body: input.to_vec(),
            }
        }];
    }
    let ends = starts[1..].iter().copied().chain([input.len()]);
    let one = |(&start, end): (&usize, usize)| {
        let (separator, rest) = cut_line(&input[start..end]);
        let id = separator
            .split(|&b| b == b' ')
            .nth(1)
            .filter(|id| is_id(id))
            .unwrap_or_default();
        mail(&String::from_utf8_lossy(id), rest)
    };
    starts.iter().zip(ends).map(one).collect()
}

/// Whether a line parts mails: `From somebody Mon Sep 17 00:00:00 2001`.
fn is_separator(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else {
        return false;
    };
    let words: Vec<&[u8]> = rest
        .split(|b| b.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    let is_time = |word: &&[u8]| {
        word.contains(&b':') && word.iter().all(|b| b.is_ascii_digit() || *b == b':')
    };
    let is_year = |word: &&[u8]| word.len() == 4 && word.iter().all(u8::is_ascii_digit);
    words
        .iter()
        .position(is_time)
        .is_some_and(|at| words[at..].iter().any(is_year))
}

/// Whether `word` can be the id of a commit: 7 to 64 hexadecimal digits.
pub(crate) fn is_id(word: &[u8]) -> bool {
    (7..=64).contains(&word.len()) && word.iter().all(u8::is_ascii_hexdigit)
}

/// Whether `input` starts with a mail's headers.
fn is_mail(input: &[u8]) -> bool {
    let (headers, _) = headers(input);
    ["from", "subject", "content-type"]
        .iter()
        .any(|name| headers.get(name).is_some())
}

fn mail(id: &str, text: &[u8]) -> Mail {
    let (headers, body) = headers(text);
    let header = |name| {
        encoded_words(headers.get(name).unwrap_or_default())
            .trim()
            .to_owned()
    };
    let mut decoded = Vec::new();
    collect(&headers, body, 0, &mut decoded);
    let mut commit = Commit {
        id: id.into(),
        author: header("from"),
        subject: subject(&header("subject")),
        date: header("date"),
    };
    // a patch sent for somebody else names the author in the first lines of its text
    let (own, _) = self::headers(&decoded);
    for (name, field) in [
        ("from", &mut commit.author),
        ("subject", &mut commit.subject),
        ("date", &mut commit.date),
    ] {
        if let Some(value) = own.get(name).filter(|value| !value.is_empty()) {
            *field = if name == "subject" {
                subject(value)
            } else {
                value.to_owned()
            };
        }
    }
    Mail {
        commit,
        body: decoded,
    }
}

/// The subject without `Re:` and the brackets in front of it.
fn subject(value: &str) -> String {
    let mut rest = value.trim();
    loop {
        let next = match rest
            .strip_prefix('[')
            .and_then(|inner| inner.split_once(']'))
        {
            Some((_, after)) => after,
            None if rest
                .get(..3)
                .is_some_and(|re| re.eq_ignore_ascii_case("re:")) =>
            {
                &rest[3..]
            }
            None => return rest.split_whitespace().collect::<Vec<_>>().join(" "),
        };
        rest = next.trim_start();
    }
}

/// Appends the text of a mail or part to `out`: of several parts those that can hold a patch.
fn collect(headers: &Headers, body: &[u8], depth: usize, out: &mut Vec<u8>) {
    let content_type = headers.get("content-type").unwrap_or("text/plain");
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if essence.starts_with("multipart/") {
        if let Some(boundary) = parameter(content_type, "boundary").filter(|_| depth < MAX_DEPTH) {
            for part in parts(body, boundary.as_bytes()) {
                let (headers, body) = self::headers(part);
                collect(&headers, body, depth + 1, out);
            }
        }
        return;
    }
    let named = |header: &str, name| headers.get(header).and_then(|value| parameter(value, name));
    let name = named("content-disposition", "filename").or_else(|| named("content-type", "name"));
    let is_patch = name.is_some_and(|name| name.ends_with(".patch") || name.ends_with(".diff"));
    if depth > 0
        && !is_patch
        && !matches!(
            essence.as_str(),
            "text/plain" | "text/x-patch" | "text/x-diff"
        )
    {
        return;
    }
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    let encoding = headers
        .get("content-transfer-encoding")
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match encoding.as_str() {
        "quoted-printable" => out.extend(quoted_printable(body)),
        "base64" => out.extend(base64(body)),
        _ => out.extend_from_slice(body),
    }
}

/// The parts of a multipart body.
fn parts<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (None, 0);
    for line in body.split_inclusive(|&b| b == b'\n') {
        let trimmed = line.trim_ascii_end();
        if let Some(rest) = trimmed
            .strip_prefix(b"--")
            .and_then(|rest| rest.strip_prefix(boundary))
            && (rest.is_empty() || rest == b"--")
        {
            if let Some(start) = start {
                parts.push(&body[start..at]);
            }
            start = rest.is_empty().then_some(at + line.len());
        }
        at += line.len();
    }
    if let Some(start) = start {
        parts.push(&body[start..]);
    }
    parts
}

/// A parameter of a header's value, such as `boundary` of a content type.
fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// Headers, with names in lower case and folded lines joined.
struct Headers(Vec<(String, String)>);

impl Headers {
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The headers at the start of `text`, and what follows the empty line after them. Without headers
/// all of it is body.
fn headers(text: &[u8]) -> (Headers, &[u8]) {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (line, tail) = cut_line(rest);
        if line.is_empty() {
            return (Headers(headers), tail);
        }
        if matches!(line[0], b' ' | b'\t')
            && let Some((_, value)) = headers.last_mut()
        {
            if value.len() + line.len() <= MAX_HEADER {
                value.push(' ');
                value.push_str(String::from_utf8_lossy(line).trim());
            }
        } else if let Some(colon) = line.iter().position(|&b| b == b':')
            && colon > 0
            && line[..colon]
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        {
            let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
            let value = &line[colon + 1..];
            let value = String::from_utf8_lossy(&value[..value.len().min(MAX_HEADER)]);
            headers.push((name, value.trim().to_owned()));
        } else {
            return (Headers(Vec::new()), text);
        }
        rest = tail;
    }
    (Headers(headers), rest)
}

/// The first line without its end, and the rest.
fn cut_line(text: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match text.iter().position(|&b| b == b'\n') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &text[text.len()..]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}
