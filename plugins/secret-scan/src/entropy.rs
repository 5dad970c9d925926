//! Literals that look random: how random, and where that means nothing.

/// The shortest literal that is judged.
const MIN_LENGTH: usize = 20;

/// Shannon entropy of `text` in bits a byte.
pub(crate) fn of(text: &str) -> f64 {
    let mut counts = [0u32; 256];
    for byte in text.bytes() {
        counts[usize::from(byte)] += 1;
    }
    let total = text.len() as f64;
    counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| {
            let share = f64::from(count) / total;
            -share * share.log2()
        })
        .sum()
}

/// The literals of `line` of at least `threshold` bits a byte, as ranges of bytes.
///
/// A literal is a run of base64's characters (also the URL-safe ones) in quotes or after `=` or
/// `:`, with both letters and digits in it. Digests that say what they are (`sha256-…`) are none.
pub(crate) fn literals(line: &str, threshold: f64) -> Vec<(usize, usize)> {
    let bytes = line.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !is_literal(bytes[at]) {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && (is_literal(bytes[at]) || bytes[at] == b'=') {
            at += 1;
        }
        // `key=value` is one run: what counts is behind the last `=` that is no padding
        let run = &bytes[start..at];
        let padding = run.iter().rev().take_while(|&&b| b == b'=').count();
        let value = run[..run.len() - padding]
            .iter()
            .rposition(|&b| b == b'=')
            .map_or(0, |eq| eq + 1);
        let text = &line[start + value..at];
        let opened = value > 0
            || line[..start]
                .trim_end()
                .ends_with(['"', '\'', '`', '=', ':']);
        let has = |class: fn(&u8) -> bool| text.as_bytes().iter().any(class);
        if opened
            && text.len() >= MIN_LENGTH
            && has(u8::is_ascii_digit)
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_uppercase)
            && !["sha256-", "sha384-", "sha512-"]
                .iter()
                .any(|digest| text.starts_with(digest))
            && of(text) >= threshold
        {
            found.push((start + value, at));
        }
    }
    found
}

fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'_' | b'-')
}

/// Whether the file at `path` is full of random-looking literals by its nature.
pub(crate) fn is_generated(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    matches!(
        name,
        "package-lock.json" | "pnpm-lock.yaml" | "go.sum" | "npm-shrinkwrap.json"
    ) || [".lock", ".svg", ".min.js", ".min.css", ".map", ".snap"]
        .iter()
        .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_a_byte() {
        assert_eq!(of(""), 0.0);
        assert_eq!(of("aaaa"), 0.0);
        assert_eq!(of("abcd"), 2.0);
    }

    #[test]
    fn random_literals() {
        let random = "q8Zr3VtX0bLw7KjYp2NfMd5HsGc9"; // andon:allow-secret
        for (line, found) in [
            (format!("let key = \"{random}\";"), 1),
            (format!("KEY={random}"), 1),
            (format!("key: {random}=="), 1),
            (format!("word {random} in a text"), 0),
            (format!("\"sha512-{random}\""), 0),
            (
                "url = \"https/example/com/some/long/path/of/words\"".into(),
                0,
            ),
            ("\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaA1\"".into(), 0),
            ("======".into(), 0),
            ("é=".into(), 0),
        ] {
            assert_eq!(literals(&line, 4.5).len(), found, "{line}");
        }
    }
}
