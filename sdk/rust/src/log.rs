//! Lines for the item's log.
//!
//! Fields stand before the message, as `name = value` with any value that can be displayed:
//!
//! ```
//! use andon_station::prelude::*;
//!
//! let (files, hunks) = (2, 7);
//! log::info!("parsed the patch");
//! log::info!(files = files, hunks = hunks; "parsed {files} files");
//! ```

use std::fmt;

use crate::host;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For following every step.
    Trace,
    /// For finding a fault.
    Debug,
    /// For knowing what was done.
    Info,
    /// Something is odd, and the work goes on.
    Warn,
    /// Something failed.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        })
    }
}

/// Writes one line. What goes past the log limit of the visit (64 KiB by default) is an overrun.
pub fn write(level: Level, message: &str, fields: &[(&str, String)]) {
    host::log(level, message, fields);
}

/// Writes a line of the given [`Level`]; the others are short for it.
#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:expr, $($name:ident = $value:expr),+ ; $($message:tt)+) => {
        $crate::log::write($level, &::std::format!($($message)+), &[$((::std::stringify!($name), $value.to_string())),+])
    };
    ($level:expr, $($message:tt)+) => {
        $crate::log::write($level, &::std::format!($($message)+), &[])
    };
}

macro_rules! levels {
    ($dollar:tt $($name:ident $hidden:ident $level:ident $doc:literal),* $(,)?) => {$(
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $hidden {
            ($dollar($dollar line:tt)+) => { $crate::__log!($crate::log::Level::$level, $dollar($dollar line)+) };
        }
        #[doc = $doc]
        pub use $hidden as $name;
    )*};
}

levels! { $
    trace __log_trace Trace "Writes a line for following every step.",
    debug __log_debug Debug "Writes a line for finding a fault.",
    info __log_info Info "Writes a line for knowing what was done.",
    warn __log_warn Warn "Writes a line about something odd.",
    error __log_error Error "Writes a line about something that failed.",
}
