//! A line as the journal keeps it with a revision: canonical JSON, so that the same line is the same text.

use super::Line;
use serde_json::Value;

/// The line cannot be written down.
#[derive(Debug, thiserror::Error)]
#[error("the line cannot be kept: a path of it is not UTF-8")]
pub struct NoDefinition;

/// The text is no line as the journal keeps it.
#[derive(Debug, thiserror::Error)]
#[error("the kept line cannot be read: {0}")]
pub struct BadDefinition(#[from] serde_json::Error);

impl Line {
    /// The line as JSON with sorted keys and no spaces.
    ///
    /// # Errors
    /// When a path that was resolved is not UTF-8.
    pub fn to_definition(&self) -> Result<String, NoDefinition> {
        let value = serde_json::to_value(self).map_err(|_| NoDefinition)?;
        Ok(sorted(value).to_string())
    }

    /// The line that [`Self::to_definition`] wrote.
    ///
    /// # Errors
    /// When the text is none.
    pub fn from_definition(text: &str) -> Result<Self, BadDefinition> {
        Ok(serde_json::from_str(text)?)
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            entries
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect()
        }
        value => value,
    }
}
