//! The paths in a patch's headers: prefixed, quoted, with times behind them, or `/dev/null`.

use crate::encoding::quoted_path;

/// The path of a file on both sides; none where the file is not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) old: Option<String>,
    pub(super) new: Option<String>,
}

/// Bytes as text, with what is not UTF-8 replaced.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A path without a prefix, as in `rename from`.
pub(super) fn whole(field: &[u8]) -> String {
    match quoted_path(field) {
        Some((path, _)) => text(&path),
        None => text(field),
    }
}

/// The path of a `---` or `+++` line; none for `/dev/null`.
pub(super) fn side(field: &[u8]) -> Option<String> {
    let path = match quoted_path(field) {
        Some((path, _)) => text(&path),
        // after a tab stands a time, or nothing if the path has spaces
        None => text(field.split(|&b| b == b'\t').next().unwrap_or_default()),
    };
    (path != "/dev/null").then(|| unprefixed(&path).to_owned())
}

/// The two paths of a `diff --git` line; none if they cannot be told apart.
pub(super) fn pair(field: &[u8]) -> Option<Names> {
    let (old, new) = if let Some((old, rest)) = quoted_path(field) {
        let rest = rest.strip_prefix(b" ")?;
        (text(&old), whole(rest))
    } else if let Some(at) = field.iter().position(|&b| b == b'"') {
        (text(field[..at].strip_suffix(b" ")?), whole(&field[at..]))
    } else {
        // the usual case: the same path twice, which may have spaces itself
        let field = text(field);
        let middle = field.len() / 2;
        if field.is_char_boundary(middle)
            && let Some(new) = field[middle..].strip_prefix(' ')
            && unprefixed(&field[..middle]) == unprefixed(new)
        {
            (field[..middle].to_owned(), new.to_owned())
        } else {
            let at = field.rfind(" b/")?;
            (field[..at].to_owned(), field[at + 1..].to_owned())
        }
    };
    let side = |path: &str| (!path.is_empty()).then(|| unprefixed(path).to_owned());
    Some(Names {
        old: Some(side(&old)?),
        new: Some(side(&new)?),
    })
}

/// The path without the letter that git puts before it: `a/`, `b/`, or those of `mnemonicPrefix`.
fn unprefixed(path: &str) -> &str {
    match path.as_bytes() {
        [b'a' | b'b' | b'c' | b'i' | b'o' | b'w', b'/', _, ..] => &path[2..],
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_paths_on_one_line() {
        for (field, old, new) in [
            ("a/x b/x", "x", "x"),
            ("a/a b/c b/a b/c", "a b/c", "a b/c"),
            (r#""a/\303\244" "b/\303\244""#, "ä", "ä"),
            (r#"a/x "b/\t""#, "x", "\t"),
            ("src/x src/x", "src/x", "src/x"),
            ("a/old b/renamed", "old", "renamed"),
        ] {
            let names = pair(field.as_bytes()).unwrap();
            assert_eq!(
                (names.old.as_deref(), names.new.as_deref()),
                (Some(old), Some(new)),
                "{field}"
            );
        }
        for field in ["", " ", "x", "\"a", "a b c", "é"] {
            assert_eq!(pair(field.as_bytes()), None, "{field:?}");
        }
    }

    #[test]
    fn one_side() {
        for (field, path) in [
            ("a/x y\t", Some("x y")),
            ("old.c\t2026-01-01 00:00:00", Some("old.c")),
            ("/dev/null", None),
            ("\"b/\\n\"", Some("\n")),
            ("a/", Some("a/")),
        ] {
            assert_eq!(side(field.as_bytes()).as_deref(), path, "{field}");
        }
    }
}
