//! Makes text from outside harmless in Markdown and on a terminal.

/// The most characters of one piece of text.
const MAX: usize = 200;

/// Text that is shown as it is, whatever Markdown would make of it.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let shown = visible(text);
    let mut chars = shown.chars().peekable();
    while let Some(c) = chars.next() {
        let special = matches!(c, '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '&' | '!' | '$')
            // no links by themselves
            || (c == ':' && chars.peek() == Some(&'/'));
        if special {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Text as code, fit for a cell of a table too.
pub(crate) fn code(text: &str) -> String {
    let shown = visible(text).replace('|', "\\|");
    let longest = shown
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let space = if shown.is_empty() || shown.starts_with(['`', ' ']) || shown.ends_with(['`', ' '])
    {
        " "
    } else {
        ""
    };
    format!("{fence}{space}{shown}{space}{fence}")
}

/// A sentence of a station, in which names stand between backticks.
pub(crate) fn sentence(sentence: &str) -> String {
    let parts: Vec<&str> = sentence.split('`').collect();
    if parts.len().is_multiple_of(2) || sentence.chars().count() > MAX {
        return text(sentence);
    }
    let shown = |(n, part): (usize, &&str)| {
        if n.is_multiple_of(2) {
            text(part)
        } else {
            code(part)
        }
    };
    parts.iter().enumerate().map(shown).collect()
}

/// Text without what a terminal or a reader could trip over, and not too long.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX));
    for (n, c) in text.chars().enumerate() {
        if n == MAX {
            out.push('…');
            break;
        }
        if is_invisible(c) {
            out.extend(c.escape_unicode())
        } else {
            out.push(c)
        }
    }
    out
}

/// Control characters, line and paragraph separators, and what reorders or hides text.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text() {
        for (from, to) in [
            (
                "plain text, with-dashes (and more).",
                "plain text, with-dashes (and more).",
            ),
            ("<script>", "\\<script\\>"),
            ("![x](javascript:y)", "\\!\\[x\\](javascript:y)"),
            ("a | b", "a \\| b"),
            ("https://evil", "https\\://evil"),
            ("a\n# b", "a\\\\u\\{a\\}\\# b"),
        ] {
            assert_eq!(text(from), to);
        }
        assert_eq!(text(&"é".repeat(1000)).chars().count(), MAX + 1);
    }

    #[test]
    fn names_in_sentences() {
        for (from, to) in [
            (
                "a path (`**/x|y`) of *mine*",
                "a path (`**/x\\|y`) of \\*mine\\*",
            ),
            ("one ` alone *", "one \\` alone \\*"),
            ("``", "`  `"),
            ("", ""),
        ] {
            assert_eq!(sentence(from), to);
        }
    }

    #[test]
    fn hostile_code() {
        for (from, to) in [
            ("src/lib.rs", "`src/lib.rs`"),
            ("", "`  `"),
            ("`", "`` ` ``"),
            ("a``b", "```a``b```"),
            ("a|b", "`a\\|b`"),
            ("\u{1b}[2J", "`\\u{1b}[2J`"),
            ("\u{202e}x", "`\\u{202e}x`"),
        ] {
            assert_eq!(code(from), to);
        }
    }
}
