//! Says in words that help what the TOML parser finds wrong.

/// A syntax problem, told.
pub(super) struct Told {
    pub(super) at: usize,
    pub(super) message: String,
    pub(super) hint: String,
}

/// Explains the parser's errors, each with its place in `text`; and whether what could be read in spite
/// of them may be far from what is meant.
pub(super) fn explain(text: &str, errors: &[(usize, &str)]) -> (Vec<Told>, bool) {
    let mut told: Vec<Told> = Vec::new();
    if errors.iter().all(|(_, error)| is_double(error)) {
        // what stands in a table that is there twice is not told again key by key
        let mut until = 0;
        for &(at, error) in errors {
            if at < until {
                continue;
            }
            if line_of(text, at).trim_start().starts_with('[') {
                let next = text[text.floor_char_boundary(at)..].find("\n[");
                until = next.map_or(text.len(), |next| at + next);
            }
            told.push(double(error, text, at));
        }
        return (told, false);
    }
    for &(at, error) in errors.iter().filter(|(_, error)| !is_double(error)) {
        let said = told.last().is_some_and(|last| {
            let between = text.get(last.at..at);
            between.is_none_or(|between| !between.contains('\n'))
        });
        if !said {
            told.push(Told {
                at,
                message: format!("not TOML: {}", error.replace('\n', ", ")),
                hint: "texts stand in quotes, tables begin with `[name]`, everything else is `key = value`".into(),
            });
        }
        // after what is not closed the parser only guesses
        if error.contains("unclosed") || error.contains("string") {
            break;
        }
    }
    (told, true)
}

fn is_double(error: &str) -> bool {
    error == "duplicate key" || error.starts_with("cannot extend value of type")
}

fn line_of(text: &str, at: usize) -> &str {
    let at = text.floor_char_boundary(at);
    let start = text[..at].rfind('\n').map_or(0, |i| i + 1);
    text[start..].lines().next().unwrap_or_default()
}

/// Explains a key or table that is there twice, or that adds to what is complete.
fn double(error: &str, text: &str, at: usize) -> Told {
    let before = &text[..text.floor_char_boundary(at)];
    let line = line_of(text, at);
    let key = key_at(text, at);
    let header = line.trim_start().starts_with('[');
    let extended = error != "duplicate key" || (header && written_inline(before, line, &key));
    let (message, hint) = if extended {
        (
            format!("`{key}` is already complete and cannot be extended"),
            "what is written in braces or brackets ends there: write all of it there, or all of it as a table of its \
             own",
        )
    } else if header {
        (
            format!("the table `{key}` is there twice"),
            "put its keys together, or give one of the two another name",
        )
    } else {
        (
            format!("the key `{key}` is there twice"),
            "take one of the two out",
        )
    };
    Told {
        at,
        message,
        hint: hint.into(),
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
