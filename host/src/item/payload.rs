//! What an item carries: media type, body, labels.

use crate::{digest::Digest, escape::shown};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an item carries at the moment. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    /// The media type.
    pub content_type: String,
    /// The content.
    pub body: Body,
    /// Labels that travel along.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

impl Payload {
    /// The media type of what has this name and content: a guess from the name, then from the content.
    pub fn guess(name: &str, bytes: &[u8]) -> &'static str {
        let extension = std::path::Path::new(name)
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "patch" | "diff" => "text/x-diff",
            "eml" => "message/rfc822",
            "mbox" => "application/mbox",
            "json" => "application/json",
            "md" => "text/markdown",
            "html" | "htm" => "text/html",
            "csv" => "text/csv",
            "xml" => "application/xml",
            "toml" => "application/toml",
            "yaml" | "yml" => "application/yaml",
            "png" => "image/png",
            "jpg" | "jpeg" => "image/jpeg",
            "pdf" => "application/pdf",
            _ if std::str::from_utf8(bytes).is_ok() => "text/plain",
            _ => "application/octet-stream",
        }
    }
}

/// The content of a payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// The bytes themselves; in a record at most [`Body::INLINE`] of them.
    Inline(#[serde(with = "inline")] Bytes),
    /// Bytes that stand in the content store under their digest.
    Stored {
        /// Their digest.
        digest: Digest,
        /// Their number.
        len: u64,
    },
    /// A file of the item's workspace: a relative path under `/workspace`.
    File(String),
}

impl Body {
    /// Bodies up to this many bytes stand in the record itself, larger ones in the content store.
    pub const INLINE: usize = 64 << 10;
}

mod inline {
    use bytes::Bytes;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Bytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serde_bytes::serialize(&bytes[..], serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        serde_bytes::deserialize::<Vec<u8>, D>(deserializer).map(Bytes::from)
    }
}

/// Small name-value pairs that travel with an item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels(BTreeMap<String, String>);

/// A label that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LabelProblem {
    #[error("`{0}` is no label name: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-` are")]
    Name(String),
    #[error("the value of label `{0}` is longer than 1 KiB or has a control character")]
    Value(String),
    #[error("there are more than 64 labels")]
    Number,
}

impl Labels {
    /// The most labels that an item carries.
    pub const MOST: usize = 64;

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets a label; an empty value is kept, as an order to remove the label when merged.
    ///
    /// # Errors
    /// When the name, the value or the number of labels is none that is allowed.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), LabelProblem> {
        let fits = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
        if !fits {
            return Err(LabelProblem::Name(shown(name)));
        }
        if value.len() > 1024 || value.chars().any(char::is_control) {
            return Err(LabelProblem::Value(name.into()));
        }
        if self.0.len() >= Self::MOST && !self.0.contains_key(name) {
            return Err(LabelProblem::Number);
        }
        self.0.insert(name.into(), value.into());
        Ok(())
    }

    /// These labels with `others` over them; an empty value among the others removes a label.
    ///
    /// # Errors
    /// When there would be more than [`Self::MOST`].
    pub fn merged(&self, others: &Self) -> Result<Self, LabelProblem> {
        let mut all = self.0.clone();
        for (name, value) in &others.0 {
            if value.is_empty() {
                all.remove(name);
            } else {
                all.insert(name.clone(), value.clone());
            }
        }
        if all.len() > Self::MOST {
            Err(LabelProblem::Number)
        } else {
            Ok(Self(all))
        }
    }
}
