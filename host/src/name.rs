//! Names of lines, stations and ports: short, printable, safe in a path and on a terminal.

use crate::escape::shown;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::{fmt, ops::Deref, str::FromStr, sync::Arc};

/// A name of 1 to 64 of `a-z`, `0-9` and `-` that begins with a letter or a digit. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Name(Arc<str>);

/// The text is no [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name: a name is 1 to 64 of `a-z`, `0-9` and `-`, and begins with no `-`")]
pub struct NotAName(String);

impl Name {
    /// The default port.
    pub const PASS: &str = "pass";
    /// The reserved port of a station's `reject`.
    pub const REJECT: &str = "reject";
    /// The reserved port of an item that may not come to a station again.
    pub const EXHAUSTED: &str = "exhausted";

    /// Whether `text` would be a name.
    pub fn fits(text: &str) -> bool {
        (1..=64).contains(&text.len())
            && !text.starts_with('-')
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        if Self::fits(text) {
            Ok(Self(text.into()))
        } else {
            Err(NotAName(shown(text)))
        }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl utoipa::PartialSchema for Name {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        String::schema()
    }
}

impl utoipa::ToSchema for Name {}
