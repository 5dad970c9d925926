//! What a secret looks like: the rules that come with the station, and those that are mounted.

mod builtin;

use std::cell::OnceCell;
use std::fs;

use andon_station::prelude::*;
use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::entropy;

/// The most bytes of one file of rules.
const MAX_FILE: u64 = 1 << 20;

/// How one kind of secret is recognised.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    /// In lower case; one of them has to be in the line. None at all stand for any line.
    keywords: Vec<String>,
    pattern: String,
    /// Compiled when a line first has a keyword: most rules of most visits never are.
    regex: OnceCell<Option<Regex>>,
    min_entropy: f64,
    skip_placeholders: bool,
}

impl Rule {
    /// Whether it is worth to look closer at a line, which is given in lower case.
    pub(crate) fn may_match(&self, lower: &str) -> bool {
        self.keywords.is_empty()
            || self
                .keywords
                .iter()
                .any(|word| lower.contains(word.as_str()))
    }

    /// The secrets of `line` as ranges of bytes: the pattern's first group, or all of it.
    pub(crate) fn secrets(&self, line: &str) -> Vec<(usize, usize)> {
        let Some(regex) = self.regex.get_or_init(|| compile(&self.pattern).ok()) else {
            return Vec::new();
        };
        let secret = |found: regex_lite::Captures<'_>| {
            let found = found.get(1).or(found.get(0))?;
            let text = found.as_str();
            let real = !text.is_empty()
                && entropy::of(text) >= self.min_entropy
                && !(self.skip_placeholders && is_placeholder(text));
            real.then_some((found.start(), found.end()))
        };
        regex.captures_iter(line).filter_map(secret).collect()
    }
}

fn compile(pattern: &str) -> Result<Regex, regex_lite::Error> {
    RegexBuilder::new(pattern).size_limit(1 << 20).build()
}

/// Whether a value only stands for a secret: a variable, a form to fill in, a well-known dummy.
fn is_placeholder(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.starts_with(['$', '<', '{', '%', '['])
        || [
            "${",
            "{{",
            "xxx",
            "***",
            "...",
            "…[",
            "changeme",
            "change_me",
            "your",
            "example",
            "placeholder",
            "redacted",
        ]
        .iter()
        .any(|dummy| lower.contains(dummy))
        || lower.starts_with("env.")
        || lower.starts_with("process.env")
        || lower.starts_with("os.environ")
}

/// One file of mounted rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rules: Vec<Written>,
    /// Ids of rules that are not to be applied.
    #[serde(default)]
    disable: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    pattern: String,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(default)]
    entropy: f64,
    /// Whether values that only stand for a secret are found too.
    #[serde(default)]
    placeholders: bool,
}

/// The rules that come with the station, and over them those of the `*.toml` files in `folder`.
pub(crate) fn load(folder: Option<&str>) -> Result<Vec<Rule>> {
    let mut rules = builtin::rules();
    let Some(folder) = folder else {
        return Ok(rules);
    };
    let unreadable =
        format!("config `rules`: `{folder}` cannot be read; hint: mount it with `assets`");
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).or_reject(&unreadable)? {
        let path = entry.or_reject(&unreadable)?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(Stop::reject(format!(
            "config `rules`: there is no `*.toml` file in `{folder}`"
        )));
    }
    paths.sort();
    for path in paths {
        let name = path.display();
        if fs::metadata(&path)?.len() > MAX_FILE {
            return Err(Stop::reject(format!("rules `{name}`: larger than 1 MiB")));
        }
        apply(&mut rules, &fs::read_to_string(&path)?)
            .map_err(|why| Stop::reject(format!("rules `{name}`: {why}")))?;
    }
    Ok(rules)
}

/// Puts the rules of one file before those that are there, in place of any of the same id.
fn apply(rules: &mut Vec<Rule>, text: &str) -> Result<(), String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    for id in &file.disable {
        let before = rules.len();
        rules.retain(|rule| rule.id != *id);
        if rules.len() == before {
            return Err(format!("`disable` names `{id}`, and there is no such rule"));
        }
    }
    let mut own = Vec::new();
    for written in file.rules {
        let regex =
            compile(&written.pattern).map_err(|error| format!("rule `{}`: {error}", written.id))?;
        rules.retain(|rule| rule.id != written.id);
        own.push(Rule {
            id: written.id,
            keywords: written
                .keywords
                .iter()
                .map(|word| word.to_ascii_lowercase())
                .collect(),
            pattern: written.pattern,
            regex: OnceCell::from(Some(regex)),
            min_entropy: written.entropy,
            skip_placeholders: !written.placeholders,
        });
    }
    rules.splice(0..0, own);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_add_replace_and_disable() {
        let mut rules = builtin::rules();
        let count = rules.len();
        let file = r#"
            disable = ["jwt"]
            [[rules]]
            id = "acme"
            pattern = 'acme-([0-9]{6})'
            keywords = ["ACME"]
            [[rules]]
            id = "password"
            pattern = 'pw=(\w+)'
        "#;
        apply(&mut rules, file).unwrap();
        // the two that are called `password`, and `jwt`, went; two came
        assert_eq!(rules.len(), count - 1);
        assert_eq!(rules[0].id, "acme");
        assert!(rules[0].may_match("an acme-1"));
        assert_eq!(rules[0].secrets("an acme-123456"), [(8, 14)]);
        assert_eq!(rules[1].secrets("pw=ab"), [(3, 5)]);
        assert!(rules.iter().all(|rule| rule.id != "jwt"));
    }

    #[test]
    fn a_bad_file_says_why() {
        for (file, part) in [
            ("rules = 1", "invalid type"),
            ("[[rules]]\nid = 'x'\npattern = '('", "rule `x`"),
            (
                "[[rules]]\nid = 'x'\npattern = '(a{1000}){1000}'",
                "rule `x`",
            ),
            ("[[rules]]\nid = 'x'", "missing field `pattern`"),
            ("[[rule]]\nid = 'x'", "unknown field `rule`"),
            ("disable = ['nosuch']", "no such rule"),
        ] {
            let why = apply(&mut builtin::rules(), file).unwrap_err();
            assert!(why.contains(part), "{file}: {why}");
        }
        assert!(
            matches!(load(Some("/nowhere/rules")), Err(Stop::Reject(why)) if why.contains("`/nowhere/rules`"))
        );
    }
}
