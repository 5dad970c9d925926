//! Why an item cannot go on by itself, and how that is said to people.

use crate::{limits::Limit, name::Name, visit::Violation};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why an item cannot go on by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Jam {
    /// Every attempt that the line's `retry` allows failed; the text is the last reason.
    Retries(String),
    /// The station rejected it, and the port `reject` is not wired.
    Rejected(String),
    /// It may not come to this station again, and the station's port `exhausted` is not wired.
    Exhausted(Name),
    /// No rule of the port's route fits its labels.
    NoRoute(Name),
    /// The station gave an answer that it may not give.
    Invalid(String),
    /// The station ran into a limit that trying again does not change.
    Overrun {
        /// Which.
        limit: Limit,
        /// Its value.
        value: String,
    },
    /// The station tried what it was not granted.
    Violation(Violation),
    /// The time to wait for the children is over, and some are missing.
    Missing(u32),
    /// The host ended three times during this visit.
    HostCrash,
    /// The item's deadline went by.
    Deadline,
    /// Nobody answered in time, and the line says no `otherwise`.
    Unanswered,
    /// The station sent an unsafe request that is not in the effect log, before it asked again for those
    /// that are.
    Diverged(String),
    /// Nobody knows whether an unsafe request arrived.
    UnknownOutcome(String),
    /// The line has no such station any more.
    Homeless(Name),
}

/// One sentence without its full stop. Texts of guests are in it as they came: whoever prints it
/// escapes it.
impl fmt::Display for Jam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retries(reason) => write!(f, "every attempt failed, the last one: {reason}"),
            Self::Rejected(reason) => write!(f, "rejected: {reason}"),
            Self::Exhausted(station) => write!(
                f,
                "it may not come to `{station}` again, and the port `exhausted` does not lead on"
            ),
            Self::NoRoute(port) => {
                write!(f, "no rule of the port `{port}` fits the labels")
            }
            Self::Invalid(what) => write!(f, "invalid answer: {what}"),
            Self::Overrun { limit, value } => {
                write!(f, "over the limit `{}` of {value}", limit.key())
            }
            Self::Violation(Violation { what, why, hint }) => {
                write!(f, "not granted: `{what}`: {why}; {hint}")
            }
            Self::Missing(1) => f.write_str("the time to wait is over, and 1 child is missing"),
            Self::Missing(n) => {
                write!(f, "the time to wait is over, and {n} children are missing")
            }
            Self::HostCrash => f.write_str("the host ended three times during this visit"),
            Self::Deadline => f.write_str("its deadline went by"),
            Self::Unanswered => f.write_str("nobody answered in time"),
            Self::Diverged(what) => write!(f, "diverged: {what}"),
            Self::UnknownOutcome(what) => write!(f, "unknown outcome: {what}"),
            Self::Homeless(station) => write!(f, "the line has no station `{station}` any more"),
        }
    }
}
