//! Variables of a line and how they get into its texts.

use super::reader::{Node, Reader, known};
use crate::problem::shown;
use std::collections::BTreeMap;

/// Values of variables, by name: those of a factory override those of its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vars(BTreeMap<String, String>);

impl Vars {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Reads a table of variables.
    pub(crate) fn read(reader: &mut Reader<'_>, node: &Node<'_>) -> Self {
        let mut vars = BTreeMap::new();
        for (name, at, value) in reader.map(node) {
            let fits = (1..=64).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
            if !fits {
                reader.problem(
                    at,
                    format!("`{}` is no name of a variable", shown(name)),
                    Some("letters, digits, `_` and `-` are allowed, at most 64".into()),
                );
                continue;
            }
            let text = reader.text(&value).unwrap_or_default();
            if text.contains("${") {
                let at = reader.find(&value, "${");
                reader.problem(
                    at,
                    format!("the variable `{}` uses a variable", shown(name)),
                    Some(
                        "write its value out: variables are put into a line's settings only".into(),
                    ),
                );
            }
            vars.insert(name.into(), text.into());
        }
        Self(vars)
    }

    /// These, with the values that `over` has for them.
    pub(super) fn overridden(mut self, over: &Self) -> Self {
        for (name, value) in &mut self.0 {
            if let Some(other) = over.get(name) {
                other.clone_into(value);
            }
        }
        self
    }

    /// `text` with the values of its variables; a problem and none where one is unknown or not closed.
    pub(super) fn fill(
        &self,
        reader: &mut Reader<'_>,
        node: &Node<'_>,
        text: &str,
    ) -> Option<String> {
        let mut filled = String::with_capacity(text.len());
        let mut whole = true;
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            filled.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                filled.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let Some((name, after)) = after.split_once('}') else {
                    let at = reader.find(node, "${");
                    reader.problem(
                        at,
                        "`${` without `}`",
                        Some("`$$` stands for a `$` that begins no variable".into()),
                    );
                    reader.doubt(node);
                    return None;
                };
                match self.get(name) {
                    Some(value) => filled.push_str(value),
                    None => {
                        whole = false;
                        reader.doubt(node);
                        let at = reader.find(node, &format!("${{{name}}}"));
                        reader.problem(
                            at,
                            format!("unknown variable `{}`", shown(name)),
                            Some(known(name, self.0.keys().map(String::as_str))),
                        );
                    }
                }
                rest = after;
            } else {
                filled.push('$');
            }
        }
        filled.push_str(rest);
        whole.then_some(filled)
    }
}

impl FromIterator<(String, String)> for Vars {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}
