//! Says in words that help what the TOML parser finds wrong.

/// A syntax problem, told.
pub(super) struct Told {
    pub(super) message: String,
    pub(super) hint: String,
    /// Whether what could be read in spite of it may be far from what is meant.
    pub(super) misleading: bool,
}

/// Explains `error`, found at byte `at` of `text`.
pub(super) fn explain(error: &str, text: &str, at: usize) -> Told {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let key = key_at(text, at);
    if error == "duplicate key" || error.starts_with("cannot extend value of type") {
        let header = line.trim_start().starts_with('[');
        let extended = error != "duplicate key" || (header && written_inline(before, line, &key));
        return if extended {
            Told {
                message: format!("`{key}` is already complete and cannot be extended"),
                hint: "what is written in braces or brackets on one line ends there; write all of it there, or all of \
                       it as a table of its own"
                    .into(),
                misleading: false,
            }
        } else if header {
            Told {
                message: format!("the table `{key}` is there twice"),
                hint: "put its keys together, or give one of the two another name".into(),
                misleading: false,
            }
        } else {
            Told {
                message: format!("the key `{key}` is there twice"),
                hint: "take one of the two out".into(),
                misleading: false,
            }
        };
    }
    Told {
        message: format!("not TOML: {}", error.replace('\n', ", ")),
        hint: "texts stand in quotes, tables begin with `[name]`, everything else is `key = value`"
            .into(),
        misleading: true,
    }
}

/// The key that begins at byte `at`.
fn key_at(text: &str, at: usize) -> String {
    let rest = text.get(at..).unwrap_or_default();
    let key: String = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..]
            .chars()
            .take_while(|c| *c != quote && *c != '\n')
            .collect(),
        _ => rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
            .collect(),
    };
    crate::problem::shown(&key)
}

/// Whether `key`, the last of the table header `line`, was given as `key = {…}` or `key = […]` in the
/// section of its parent.
fn written_inline(before: &str, line: &str, key: &str) -> bool {
    let path = header(line);
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    let mut section = String::new();
    for line in before.lines() {
        if line.trim_start().starts_with('[') {
            section = header(line);
        } else if section == parent
            && let Some((name, value)) = line.split_once('=')
            && name.trim().trim_matches(['"', '\'']) == key
            && value.trim_start().starts_with(['{', '['])
        {
            return true;
        }
    }
    false
}

/// The path in a table header, without spaces and brackets.
fn header(line: &str) -> String {
    line.split('#')
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '[' | ']' | '"' | '\''))
        .collect()
}
