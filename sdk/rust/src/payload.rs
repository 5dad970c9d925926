//! What an item carries at the moment, and the ways to read its body.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use serde::de::DeserializeOwned;

use crate::{Labels, Result, Stop, workspace};

/// What an item carries at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payload {
    /// A media type such as `application/json`; empty means `application/octet-stream`.
    pub content_type: String,
    /// The content.
    pub body: Body,
    /// Small name-value pairs that travel along.
    pub labels: Labels,
}

/// The content of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The bytes themselves.
    Bytes(Vec<u8>),
    /// A file under `/workspace`, as a relative path. It travels with the item without being
    /// copied, and may be larger than the station's memory.
    File(String),
}

impl Default for Body {
    fn default() -> Self {
        Body::Bytes(Vec::new())
    }
}

impl Payload {
    /// Plain text, as a test or a split starts with.
    pub fn text_of(text: impl Into<String>) -> Self {
        Self::of("text/plain", text.into())
    }

    /// Bytes of the media type `content_type`.
    pub fn of(content_type: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            content_type: content_type.into(),
            body: Body::Bytes(bytes.into()),
            labels: Labels::default(),
        }
    }

    /// Sets a label, for building inputs in tests; see [`Labels::set`].
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.set(name, value);
        self
    }

    /// The body in memory, read from the workspace if it is a file.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        match &self.body {
            Body::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Body::File(path) => {
                let mut bytes = Vec::new();
                open(path)?.read_to_end(&mut bytes)?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// The body as text; rejects what is not UTF-8.
    pub fn text(&self) -> Result<String> {
        Ok(String::from_utf8(self.bytes()?.into_owned())?)
    }

    /// The body as JSON of the shape of `T`; rejects what is not. A file is read as a stream.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        match &self.body {
            Body::Bytes(bytes) => Ok(serde_json::from_slice(bytes)?),
            Body::File(path) => Ok(serde_json::from_reader(open(path)?)?),
        }
    }

    /// The body as a stream, for what may be larger than the memory.
    ///
    /// ```
    /// # use andon_station::prelude::*;
    /// use std::io::BufRead;
    /// # fn main() -> Result<()> {
    /// let input = Payload::text_of("one\ntwo\n");
    /// assert_eq!(input.open()?.lines().count(), 2);
    /// # Ok(()) }
    /// ```
    pub fn open(&self) -> Result<Box<dyn BufRead + '_>> {
        match &self.body {
            Body::Bytes(bytes) => Ok(Box::new(bytes.as_slice())),
            Body::File(path) => Ok(Box::new(open(path)?)),
        }
    }

    /// Whether the media type is `essence` (`text/plain`, or `text/*`), without regard to
    /// parameters such as `charset` and to upper and lower case.
    pub fn is(&self, essence: &str) -> bool {
        let own = self
            .content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match essence.strip_suffix('*') {
            Some(prefix) => own.starts_with(prefix),
            None => own == essence,
        }
    }
}

fn open(path: &str) -> Result<BufReader<File>> {
    let full = workspace::path(path)?;
    let file = File::open(full).map_err(|error| {
        Stop::from(std::io::Error::new(
            error.kind(),
            format!("body `{path}` in the workspace: {error}"),
        ))
    })?;
    Ok(BufReader::new(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_compared_by_their_essence() {
        for (content_type, essence, is) in [
            ("application/json", "application/json", true),
            ("Text/Plain; charset=utf-8", "text/plain", true),
            ("text/x-diff", "text/*", true),
            ("application/json", "text/*", false),
            ("", "text/plain", false),
        ] {
            assert_eq!(
                Payload::of(content_type, "").is(essence),
                is,
                "{content_type} {essence}"
            );
        }
    }

    #[test]
    fn a_body_that_is_not_what_it_should_be_is_rejected() {
        let bytes = Payload::of("text/plain", [0xff, 0xfe]);
        assert!(matches!(bytes.text(), Err(Stop::Reject(_))));
        assert!(matches!(
            Payload::text_of("[1,").json::<Vec<u8>>(),
            Err(Stop::Reject(_))
        ));
        assert!(matches!(
            Payload::text_of("\"a\"").json::<Vec<u8>>(),
            Err(Stop::Reject(_))
        ));
    }

    #[test]
    fn a_file_that_points_out_of_the_workspace_is_rejected() {
        for path in ["/etc/passwd", "../x", "a/../../x", "", "a//b", "./a"] {
            let payload = Payload {
                body: Body::File(path.into()),
                ..Payload::default()
            };
            assert!(matches!(payload.bytes(), Err(Stop::Reject(_))), "{path}");
        }
    }
}
