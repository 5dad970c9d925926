//! Finds the secrets of one line and takes them out of it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::entropy;
use crate::rules::Rule;

/// A comment with this on a line says that the line's secret is none.
const ALLOW: &str = "andon:allow-secret";

/// A secret that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The id of the rule that found it.
    pub(crate) rule: String,
    /// Its line in the new file, from 1.
    pub(crate) line: u64,
    /// The column of its first character in the line as it was, from 1.
    pub(crate) column: usize,
    /// The secret, redacted unless the line says otherwise.
    pub(crate) secret: String,
    /// Its characters.
    pub(crate) length: usize,
}

/// Rules and how to apply them.
pub(crate) struct Scanner<'a> {
    rules: &'a [Rule],
    entropy: f64,
    redact: bool,
}

impl<'a> Scanner<'a> {
    /// `entropy` of 0 turns guessing off.
    pub(crate) fn new(rules: &'a [Rule], entropy: f64, redact: bool) -> Self {
        Self {
            rules,
            entropy,
            redact,
        }
    }

    /// The secrets of `line`, and the line as it may be passed on; none if there are none.
    /// `guess` says whether random-looking literals count.
    pub(crate) fn line(
        &self,
        number: u64,
        line: &str,
        guess: bool,
    ) -> Option<(Vec<Finding>, String)> {
        if line.contains(ALLOW) {
            return None;
        }
        // by their start; none overlaps another
        let mut spans: BTreeMap<usize, (usize, &str)> = BTreeMap::new();
        let mut add = |start: usize, end: usize, rule: &'a str| {
            // earlier rules are the more precise ones
            let before = spans.range(..end).next_back();
            if start < end && before.is_none_or(|(_, &(to, _))| to <= start) {
                spans.insert(start, (end, rule));
            }
        };
        let lower = line.to_ascii_lowercase();
        for rule in self.rules.iter().filter(|rule| rule.may_match(&lower)) {
            for (start, end) in rule.secrets(line) {
                add(start, end, &rule.id);
            }
        }
        if guess && self.entropy > 0.0 {
            for (start, end) in entropy::literals(line, self.entropy) {
                add(start, end, "entropy");
            }
        }
        if spans.is_empty() {
            return None;
        }
        let mut clean = String::with_capacity(line.len());
        let (mut done, mut column) = (0, 1);
        let mut findings = Vec::with_capacity(spans.len());
        for (start, (end, rule)) in spans {
            let secret = &line[start..end];
            let length = secret.chars().count();
            let shown = if self.redact {
                redacted(secret, length)
            } else {
                secret.to_owned()
            };
            column += line[done..start].chars().count();
            clean.push_str(&line[done..start]);
            clean.push_str(&shown);
            findings.push(Finding {
                rule: rule.to_owned(),
                line: number,
                column,
                secret: shown,
                length,
            });
            column += length;
            done = end;
        }
        clean.push_str(&line[done..]);
        Some((findings, clean))
    }
}

/// The first four characters, or fewer of a short secret, and how many there are.
fn redacted(secret: &str, length: usize) -> String {
    let shown: String = secret.chars().take(4.min(length / 4)).collect();
    format!("{shown}…[{length}]")
}
