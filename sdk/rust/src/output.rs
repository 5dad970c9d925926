//! What a visit gives: payloads put on ports.

use serde::Serialize;

use crate::{Body, Payload, Result};

/// A payload put on a port.
///
/// ```
/// # use andon_station::prelude::*;
/// # fn main() -> Result<()> {
/// let pass = Output::pass().json(&[1, 2, 3])?.label("count", "3");
/// let leak = Output::to("leak").bytes("image/png", vec![0x89]);
/// let outputs: Outputs = vec![pass, leak].into();
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// `pass`, or another port that the line wires; 1 to 64 of `a-z0-9-`.
    pub port: String,
    /// What goes there. Its labels are merged over those of the input.
    pub payload: Payload,
}

impl Output {
    /// An empty payload on the port `pass`.
    pub fn pass() -> Self {
        Self::to("pass")
    }

    /// An empty payload on `port`.
    pub fn to(port: impl Into<String>) -> Self {
        Self {
            port: port.into(),
            payload: Payload::default(),
        }
    }

    /// Carries `payload` as it is, with its labels.
    pub fn forward(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// Carries text, as `text/plain`.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.bytes("text/plain", text.into())
    }

    /// Carries `value` as JSON; rejects what JSON cannot say, such as a map with keys that are no
    /// strings.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self> {
        let bytes = serde_json::to_vec(value)?;
        Ok(self.bytes("application/json", bytes))
    }

    /// Carries `bytes` of the media type `content_type`.
    pub fn bytes(mut self, content_type: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.payload.content_type = content_type.into();
        self.payload.body = Body::Bytes(bytes.into());
        self
    }

    /// Carries the file `path` of the workspace, of the media type `content_type`; see
    /// [`workspace`](crate::workspace).
    pub fn file(mut self, content_type: impl Into<String>, path: impl Into<String>) -> Self {
        self.payload.content_type = content_type.into();
        self.payload.body = Body::File(path.into());
        self
    }

    /// Says another media type than the body's usual one.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.payload.content_type = content_type.into();
        self
    }

    /// Sets a label as it is; see [`Labels::set`](crate::Labels::set).
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.payload.labels.set(name, value);
        self
    }

    /// Sets a label from text of any kind; see [`Labels::set_text`](crate::Labels::set_text).
    pub fn label_text(mut self, name: impl Into<String>, text: &str) -> Self {
        self.payload.labels.set_text(name, text);
        self
    }

    /// Removes a label that the input has.
    pub fn unlabel(mut self, name: impl Into<String>) -> Self {
        self.payload.labels.remove(name);
        self
    }
}

/// What a visit gives: none finishes the item, one carries it on, several split it into children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outputs(Vec<Output>);

impl Outputs {
    /// No output: the item is finished here.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds an output.
    pub fn push(&mut self, output: Output) {
        self.0.push(output);
    }
}

impl std::ops::Deref for Outputs {
    type Target = [Output];

    fn deref(&self) -> &[Output] {
        &self.0
    }
}

impl From<Output> for Outputs {
    fn from(output: Output) -> Self {
        Self(vec![output])
    }
}

impl From<Vec<Output>> for Outputs {
    fn from(outputs: Vec<Output>) -> Self {
        Self(outputs)
    }
}

impl FromIterator<Output> for Outputs {
    fn from_iter<I: IntoIterator<Item = Output>>(outputs: I) -> Self {
        Self(outputs.into_iter().collect())
    }
}

impl IntoIterator for Outputs {
    type Item = Output;
    type IntoIter = std::vec::IntoIter<Output>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
