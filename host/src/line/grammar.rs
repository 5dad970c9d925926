//! What the files that people write may say: every table, key, kind and range, once.
//!
//! The parser reads by it and the JSON Schema for editors is printed from it, so neither can know a
//! key that the other does not. Knows nothing of what a value means.

use super::quantity::written;
use crate::{grant::Pace, limits::write_size};
use std::time::Duration;

mod factory;
mod grants;
mod line;
mod source;
mod station;

pub(crate) use factory::FACTORY;
pub(crate) use line::LINE;
pub(crate) use station::MANIFEST;

/// A table of a file.
#[derive(Debug)]
pub(crate) struct Table {
    /// What it is, for messages and descriptions: `a station`.
    pub(crate) what: &'static str,
    /// The keys that it may have.
    pub(crate) keys: &'static [Key],
    /// The keys that it will have: a name, and what it is for.
    pub(crate) later: &'static [(&'static str, &'static str)],
}

/// A key of a table.
#[derive(Debug)]
pub(crate) struct Key {
    /// As it is written.
    pub(crate) name: &'static str,
    /// What it takes.
    pub(crate) kind: Kind,
    /// Whether it has to be there.
    pub(crate) required: bool,
    /// Another key of the table in whose presence it has not.
    pub(crate) unless: Option<&'static str>,
    /// What it does, for editors.
    pub(crate) doc: &'static str,
}

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Text.
    Text,
    /// A name as [`crate::name::Name`] has it.
    Name,
    /// `true` or `false`.
    Flag,
    /// A whole number in these bounds.
    Count(u64, u64),
    /// A number of bytes in these bounds: `"64MiB"`, or just the number.
    Size(u64, u64),
    /// A length of time in these bounds: `"2h 30m"`.
    Time(Duration, Duration),
    /// A number, or of bytes a size, in a time, at most so much: `"50/s"`, `"16MiB/s"`.
    Pace {
        /// Whether it is of bytes.
        bytes: bool,
        /// The most.
        most: u64,
    },
    /// Two lengths of time: `"200ms..60s"`.
    Backoff(Duration, Duration),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Anything.
    Any,
    /// A table with these keys.
    Table(&'static Table),
    /// A table whose keys the author names.
    Map {
        /// What its keys are, for messages: `ports`.
        key: &'static str,
        /// The pattern of the keys, for editors.
        pattern: &'static str,
        /// What each takes.
        value: &'static Kind,
    },
    /// Any number of these.
    List(&'static Kind),
    /// Any of these.
    Either(&'static [Kind]),
}

/// The pattern of a name.
pub(crate) const NAME: &str = "^[a-z0-9][a-z0-9-]{0,63}$";

impl Key {
    const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            required: false,
            unless: None,
            doc,
        }
    }

    const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    const fn required_unless(self, other: &'static str) -> Self {
        Self {
            required: true,
            unless: Some(other),
            ..self
        }
    }
}

impl Table {
    /// The key of this name.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Kind {
    /// What is meant, for a message: `a whole number from 1 to 64`.
    pub(crate) fn meant(&self) -> String {
        match self {
            Self::Text => "text in quotes".into(),
            Self::Name => "a name in quotes".into(),
            Self::Flag => "`true` or `false`".into(),
            Self::Count(least, most) => format!("a whole number from {least} to {most}"),
            Self::Size(least, most) => format!(
                "a size from \"{}\" to \"{}\"",
                write_size(*least),
                write_size(*most)
            ),
            Self::Time(least, most) => format!(
                "a time from \"{}\" to \"{}\"",
                written(*least),
                written(*most)
            ),
            Self::Pace { bytes, most } => format!(
                "a {} in a second, a minute or an hour, such as \"{}\", at most {}",
                if *bytes { "size" } else { "number" },
                Pace::a_second(if *bytes { 16 << 20 } else { 50 }).written(*bytes),
                Pace::a_second(*most).written(*bytes),
            ),
            Self::Backoff(least, most) => format!(
                "two times such as \"200ms..60s\", from \"{}\" to \"{}\"",
                written(*least),
                written(*most)
            ),
            Self::OneOf(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                words.join(" or ")
            }
            Self::Any => "a value".into(),
            Self::Table(table) => format!("a table for {}", table.what),
            Self::Map { key, .. } => format!("a table of {key}"),
            Self::List(each) => format!("a list, each entry {}", each.meant()),
            Self::Either(kinds) => {
                let kinds: Vec<_> = kinds.iter().map(Self::meant).collect();
                kinds.join(", or ")
            }
        }
    }
}

impl Kind {
    /// This kind, or the map among those that it may be.
    pub(crate) fn map(&self) -> Option<&Self> {
        self.among(|kind| matches!(kind, Self::Map { .. }))
    }

    /// This kind, or the list among those that it may be.
    pub(crate) fn list(&self) -> Option<&Self> {
        self.among(|kind| matches!(kind, Self::List(_)))
    }

    /// This kind's table, or that of the one among those that it may be.
    pub(crate) fn table(&self) -> Option<&'static Table> {
        match self.among(|kind| matches!(kind, Self::Table(_)))? {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    fn among(&self, fits: impl Fn(&Self) -> bool) -> Option<&Self> {
        match self {
            Self::Either(kinds) => kinds.iter().find(|kind| fits(kind)),
            kind => fits(kind).then_some(kind),
        }
    }
}
