//! Single values of a file, each held to its kind and bounds.

use super::{Node, Reader};
use crate::{
    grant::Pace,
    limits::parse_size,
    line::{grammar::Kind, quantity},
    name::Name,
    problem::shown,
};
use std::time::Duration;
use toml::de::DeValue;

impl Reader<'_> {
    /// Says that a value is of another kind than is meant.
    pub(super) fn wrong_kind<T>(&mut self, node: &Node<'_>) -> Option<T> {
        let name = node.path.rsplit('.').next().unwrap_or_default();
        let found = match node.value {
            DeValue::String(text) => format!("\"{}\"", shown(text)),
            DeValue::Integer(number) => format!("the number {}", shown(&number.to_string())),
            DeValue::Float(number) => format!("the number {}", shown(number.as_str())),
            DeValue::Boolean(value) => format!("`{value}`"),
            DeValue::Datetime(_) => "a date or time".into(),
            DeValue::Array(_) => "a list".into(),
            DeValue::Table(_) => "a table".into(),
        };
        self.spoil(
            node,
            format!("`{}` is {found}", shown(name)),
            Some(format!("{} is meant", node.kind.meant())),
        );
        None
    }

    pub(crate) fn text<'a>(&mut self, node: &Node<'a>) -> Option<&'a str> {
        match node.value {
            DeValue::String(text) => Some(text),
            _ => self.wrong_kind(node),
        }
    }

    pub(crate) fn name(&mut self, node: &Node<'_>) -> Option<Name> {
        let text = self.text(node)?;
        self.name_of(text, &node.path, node.span.start)
    }

    /// `text` as a name; `path` is spoiled where it is none.
    pub(crate) fn name_of(&mut self, text: &str, path: &str, at: usize) -> Option<Name> {
        let name = text.parse().ok();
        if name.is_none() {
            self.spoiled.insert(path.into());
            self.problem(
                at,
                format!("`{}` is no name", shown(text)),
                Some("a name is 1 to 64 of `a-z`, `0-9` and `-`, and begins with no `-`".into()),
            );
        }
        name
    }

    pub(crate) fn count(&mut self, node: &Node<'_>) -> Option<u32> {
        let Kind::Count(least, most) = *node.kind else {
            debug_assert!(false, "`{}` is no count of the grammar", node.path);
            return None;
        };
        match whole(node.value).filter(|number| (least..=most).contains(number)) {
            Some(number) => u32::try_from(number).ok(),
            None => self.wrong_kind(node),
        }
    }

    pub(crate) fn size(&mut self, node: &Node<'_>) -> Option<u64> {
        let Kind::Size(least, most) = *node.kind else {
            debug_assert!(false, "`{}` is no size of the grammar", node.path);
            return None;
        };
        let size = match node.value {
            DeValue::String(text) => parse_size(text).ok(),
            value => whole(value),
        };
        match size.filter(|size| (least..=most).contains(size)) {
            Some(size) => Some(size),
            None => self.wrong_kind(node),
        }
    }

    pub(crate) fn time(&mut self, node: &Node<'_>) -> Option<Duration> {
        let Kind::Time(least, most) = *node.kind else {
            debug_assert!(false, "`{}` is no time of the grammar", node.path);
            return None;
        };
        let time = node.value.as_str().and_then(quantity::time);
        match time.filter(|time| (least..=most).contains(time)) {
            Some(time) => Some(time),
            None => self.wrong_kind(node),
        }
    }

    pub(crate) fn flag(&mut self, node: &Node<'_>) -> Option<bool> {
        match node.value.as_bool() {
            None => self.wrong_kind(node),
            flag => flag,
        }
    }

    pub(crate) fn pace(&mut self, node: &Node<'_>) -> Option<Pace> {
        let Kind::Pace { bytes, most } = *node.kind else {
            debug_assert!(false, "`{}` is no pace of the grammar", node.path);
            return None;
        };
        let pace = node
            .value
            .as_str()
            .and_then(|text| Pace::parse(text, bytes).ok());
        match pace.filter(|pace| pace.amount <= most) {
            None => self.wrong_kind(node),
            pace => pace,
        }
    }

    pub(crate) fn backoff(&mut self, node: &Node<'_>) -> Option<(Duration, Duration)> {
        let Kind::Backoff(least, most) = *node.kind else {
            debug_assert!(false, "`{}` is no backoff of the grammar", node.path);
            return None;
        };
        let backoff = node.value.as_str().and_then(quantity::backoff);
        match backoff
            .filter(|(first, longest)| least <= *first && first <= longest && *longest <= most)
        {
            Some(backoff) => Some(backoff),
            None => self.wrong_kind(node),
        }
    }

    /// The position of the word in the grammar's list.
    pub(crate) fn one_of(&mut self, node: &Node<'_>) -> Option<&'static str> {
        let Kind::OneOf(words) = *node.kind else {
            debug_assert!(false, "`{}` is no choice of the grammar", node.path);
            return None;
        };
        match node
            .value
            .as_str()
            .and_then(|text| words.iter().find(|word| **word == text))
        {
            Some(word) => Some(word),
            None => self.wrong_kind(node),
        }
    }
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}
