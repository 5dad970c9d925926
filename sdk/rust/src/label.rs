//! Labels: small name-value pairs that travel with an item.

use std::collections::BTreeMap;

/// The most bytes that a label's value may have.
pub(crate) const MAX_VALUE: usize = 1024;

/// The labels of a payload, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets `name` to `value`, as they are.
    ///
    /// The host takes names of 1 to 64 of `a-z0-9._-`, values of at most 1 KiB without control
    /// characters, and at most 64 labels. Text from outside goes through
    /// [`set_text`](Self::set_text).
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Sets `name` to `text` made fit for a label: runs of white space and control characters
    /// become one space, and what goes past 1 KiB is cut off.
    pub fn set_text(&mut self, name: impl Into<String>, text: &str) {
        self.0.insert(name.into(), fit(text));
    }

    /// Removes `name`. On an output the host merges labels over those of the input, so this is
    /// written as an empty value, which removes the input's too.
    pub fn remove(&mut self, name: impl Into<String>) {
        self.0.insert(name.into(), String::new());
    }

    /// Every label, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl IntoIterator for Labels {
    type Item = (String, String);
    type IntoIter = std::collections::btree_map::IntoIter<String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

fn fit(text: &str) -> String {
    let mut value = String::with_capacity(text.len().min(MAX_VALUE));
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !value.is_empty() {
            value.push(' ');
        }
        value.push_str(word);
        if value.len() > MAX_VALUE {
            break;
        }
    }
    let mut end = value.len().min(MAX_VALUE);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value.truncate(end);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_made_fit_for_a_label() {
        for (text, value) in [
            ("plain", "plain"),
            ("two\r\n lines\0", "two lines"),
            ("\u{1b}[31mred", "[31mred"),
            (" \n ", ""),
        ] {
            assert_eq!(fit(text), value, "{text:?}");
        }
        let long = fit(&"é".repeat(2000));
        assert_eq!(long.len(), MAX_VALUE);
        assert_eq!(fit(&format!("x{}", "é".repeat(2000))).len(), MAX_VALUE - 1);
    }
}
