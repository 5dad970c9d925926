//! How a station says that it does not go on, and how errors become that.

use std::fmt::{self, Display};
use std::io::ErrorKind;
use std::time::Duration;

use crate::Question;

/// The result of a station's work.
pub type Result<T, E = Stop> = std::result::Result<T, E>;

/// The station's own word that it does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Something outside was not ready: the attempt is repeated as often as the line's `retry`
    /// says; then the item jams.
    Retry {
        /// What was not ready.
        reason: String,
        /// How long to wait at least; `None` leaves it to the line.
        after: Option<Duration>,
    },
    /// This item is not for this station. The text is the reason that people read.
    Reject(String),
    /// A person has to answer first. Mostly made by [`Visit::ask`](crate::Visit::ask).
    Ask(Question),
}

impl Stop {
    /// Something outside was not ready.
    ///
    /// ```
    /// # use andon_station::Stop;
    /// # use std::time::Duration;
    /// let stop = Stop::retry("the index is being rebuilt").after(Duration::from_secs(30));
    /// ```
    pub fn retry(reason: impl Into<String>) -> Self {
        Stop::Retry {
            reason: reason.into(),
            after: None,
        }
    }

    /// How long to wait at least before the next attempt; changes nothing on another kind of stop.
    pub fn after(mut self, wait: Duration) -> Self {
        if let Stop::Retry { after, .. } = &mut self {
            *after = Some(wait);
        }
        self
    }

    /// This item is not for this station.
    pub fn reject(reason: impl Into<String>) -> Self {
        Stop::Reject(reason.into())
    }

    /// A person has to answer first.
    pub fn ask(question: Question) -> Self {
        Stop::Ask(question)
    }
}

impl Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Retry {
                reason,
                after: None,
            } => write!(f, "retry: {reason}"),
            Stop::Retry {
                reason,
                after: Some(after),
            } => write!(f, "retry after {after:?}: {reason}"),
            Stop::Reject(reason) => write!(f, "reject: {reason}"),
            Stop::Ask(question) => write!(f, "ask: {}", question.prompt),
        }
    }
}

// Not `std::error::Error`: the conversions below stay free to grow, and a stop is not a cause.

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => {
                Stop::reject(error.to_string())
            }
            _ => Stop::retry(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        if error.is_io() {
            std::io::Error::from(error).into()
        } else {
            Stop::reject(format!("not the expected JSON: {error}"))
        }
    }
}

macro_rules! rejects {
    ($($error:ty => $what:literal),* $(,)?) => {$(
        impl From<$error> for Stop {
            fn from(error: $error) -> Self {
                Stop::reject(format!(concat!($what, ": {}"), error))
            }
        }
    )*};
}

rejects! {
    std::str::Utf8Error => "not UTF-8",
    std::string::FromUtf8Error => "not UTF-8",
    std::num::ParseIntError => "not a whole number",
    std::num::ParseFloatError => "not a number",
    std::str::ParseBoolError => "not `true` or `false`",
}

/// Turns any error, or a missing value, into a stop that says what was being done.
///
/// ```
/// # use andon_station::prelude::*;
/// fn port(text: &str) -> Result<u16> {
///     let (_, port) = text.split_once(':').or_reject("no port in the address")?;
///     port.parse().or_reject("the port is no number")
/// }
/// assert_eq!(
///     port("host:http"),
///     Err(Stop::reject("the port is no number: invalid digit found in string")),
/// );
/// ```
pub trait OrStop<T> {
    /// Rejects the item: nothing but another item would help.
    fn or_reject(self, context: impl Display) -> Result<T>;

    /// Asks for another attempt: it may go well later.
    fn or_retry(self, context: impl Display) -> Result<T>;
}

impl<T, E: Display> OrStop<T> for std::result::Result<T, E> {
    fn or_reject(self, context: impl Display) -> Result<T> {
        self.map_err(|error| Stop::reject(format!("{context}: {error}")))
    }

    fn or_retry(self, context: impl Display) -> Result<T> {
        self.map_err(|error| Stop::retry(format!("{context}: {error}")))
    }
}

impl<T> OrStop<T> for Option<T> {
    fn or_reject(self, context: impl Display) -> Result<T> {
        self.ok_or_else(|| Stop::reject(context.to_string()))
    }

    fn or_retry(self, context: impl Display) -> Result<T> {
        self.ok_or_else(|| Stop::retry(context.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_item_reject_and_errors_outside_retry() {
        let io = |kind| Stop::from(std::io::Error::from(kind));
        for kind in [
            ErrorKind::InvalidData,
            ErrorKind::UnexpectedEof,
            ErrorKind::InvalidInput,
        ] {
            assert!(matches!(io(kind), Stop::Reject(_)), "{kind:?}");
        }
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::StorageFull,
            ErrorKind::TimedOut,
        ] {
            assert!(matches!(io(kind), Stop::Retry { .. }), "{kind:?}");
        }
        let json = serde_json::from_str::<u8>("{").unwrap_err();
        assert!(matches!(Stop::from(json), Stop::Reject(_)));
        struct Broken;
        impl std::io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(ErrorKind::ConnectionReset.into())
            }
        }
        let json = serde_json::from_reader::<_, u8>(Broken).unwrap_err();
        assert!(matches!(Stop::from(json), Stop::Retry { .. }));
    }

    #[test]
    fn after_belongs_to_a_retry() {
        let second = Duration::from_secs(1);
        assert_eq!(Stop::reject("no").after(second), Stop::reject("no"));
        assert_eq!(
            Stop::retry("later").after(second),
            Stop::Retry {
                reason: "later".into(),
                after: Some(second)
            },
        );
        assert_eq!(
            None::<u8>.or_retry("not there yet"),
            Err(Stop::retry("not there yet"))
        );
    }
}
