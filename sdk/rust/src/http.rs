//! Calls over HTTP, as far as the line grants them.
//!
//! What is not granted ends the visit, with a message to the operator that names the grant; where the
//! line says `violation = "deny"` it is [`Error::Denied`] here instead. Secrets are put in behind the
//! sandbox: a station sends its request without them. Redirects are answers like any other.
//!
//! ```no_run
//! # use andon_station::{prelude::*, http};
//! # fn f() -> Result<()> {
//! let response = http::get("https://api.example.com/v1/status").send()?;
//! let status: serde_json::Value = response.ok()?.json()?;
//! # Ok(()) }
//! ```

use std::fmt;
use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Result, Stop, host};

/// A request that is being put together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "nothing is sent before `send`"]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// Absolute, `http://` or `https://`.
    pub url: String,
    /// Names and values, in their order.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// How long to wait for the first byte of the answer; the grant's own `timeout` bounds the whole
    /// call. 0.2 of WASI counts whole milliseconds at least.
    pub timeout: Option<Duration>,
}

/// A GET request.
pub fn get(url: impl Into<String>) -> Request {
    Request::new("GET", url)
}

/// A POST request.
pub fn post(url: impl Into<String>) -> Request {
    Request::new("POST", url)
}

impl Request {
    /// A request of any method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a JSON body and its media type; fails where `value` is none that JSON knows.
    pub fn json(self, value: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value)?;
        Ok(self.header("content-type", "application/json").body(body))
    }

    /// Waits no longer than this for the first byte of the answer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends it, and reads the answer to its end.
    pub fn send(self) -> Result<Response, Error> {
        host::http(self)
    }
}

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// Such as 200.
    pub status: u16,
    /// Names in lower case, and values, in their order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text; rejects what is not UTF-8.
    pub fn text(&self) -> Result<String> {
        Ok(String::from_utf8(self.body.clone())?)
    }

    /// The body as JSON of the shape of `T`; rejects what is not.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// This answer if its status is 2xx. 408, 429 and 5xx ask for another try, after the seconds of
    /// `Retry-After` where it says them; all others reject the item.
    pub fn ok(self) -> Result<Self> {
        match self.status {
            200..=299 => Ok(self),
            408 | 429 | 500..=599 => {
                let stop = Stop::retry(self.reason());
                let after = self
                    .header("retry-after")
                    .and_then(|v| v.trim().parse().ok());
                Err(match after {
                    Some(seconds) => stop.after(Duration::from_secs(seconds)),
                    None => stop,
                })
            }
            _ => Err(Stop::reject(self.reason())),
        }
    }

    fn reason(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let text: String = text.trim().chars().take(500).collect();
        format!("the server answered {}: {text}", self.status)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The request is none that can be sent: the method, URL or a header is malformed.
    Request(String),
    /// The line does not grant it, and says `violation = "deny"`.
    Denied,
    /// It took too long.
    Timeout,
    /// The answer is longer than the grant allows.
    TooLong,
    /// The server could not be reached, or broke off.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(why) => write!(f, "the request cannot be sent: {why}"),
            Self::Denied => f.write_str("the line does not grant this call"),
            Self::Timeout => f.write_str("the call took too long"),
            Self::TooLong => f.write_str("the answer is longer than the grant allows"),
            Self::Failed(why) => write!(f, "the call failed: {why}"),
        }
    }
}

impl std::error::Error for Error {}

/// What trying again may cure is tried again.
impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Timeout | Error::Failed(_) => Stop::retry(error.to_string()),
            Error::Request(_) | Error::Denied | Error::TooLong => Stop::reject(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn answers_become_stops() {
        let of = |status, headers: &[(&str, &str)]| Response {
            status,
            headers: headers
                .iter()
                .map(|(n, v)| (n.to_string(), v.to_string()))
                .collect(),
            body: b"why\n".to_vec(),
        };
        assert!(of(204, &[]).ok().is_ok());
        assert_eq!(
            of(302, &[]).ok(),
            Err(Stop::reject("the server answered 302: why"))
        );
        assert_eq!(
            of(429, &[("retry-after", "7")]).ok(),
            Err(Stop::retry("the server answered 429: why").after(Duration::from_secs(7)))
        );
        assert_eq!(
            of(500, &[]).ok(),
            Err(Stop::retry("the server answered 500: why"))
        );
    }

    #[test]
    fn the_stand_in_answers_and_remembers() {
        let host = testing::Host::start().answer(Ok(Response {
            status: 200,
            body: b"{}".to_vec(),
            ..Response::default()
        }));
        let response = post("https://a.example/x").json(&[1, 2]).unwrap().send();
        assert_eq!(response.unwrap().text(), Ok("{}".into()));
        assert_eq!(host.requests()[0].body, b"[1,2]");
        assert!(matches!(
            get("https://a.example/").send(),
            Err(Error::Failed(_))
        ));
    }
}
