//! How much a visit may use. All have defaults; a line's `limits` may set others.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a limit is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Time.
    Time,
    /// Bytes.
    Bytes,
    /// A number.
    Count,
}

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $field:ident $name:ident: $type:ty = $default:expr, $unit:ident, $write:expr $(, unsaid if $unsaid:literal)?;)+) => {
        /// The limits of one visit.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Limits {
            $($(#[doc = $doc])+ $(#[serde(skip_serializing_if = $unsaid)])? pub $field: $type,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        /// A limit by its name in the line file.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Limit {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Limit {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The key in the line file.
            pub fn key(self) -> &'static str {
                match self { $(Self::$name => stringify!($field),)+ }
            }

            /// What it is counted in.
            pub fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit,)+ }
            }
        }

        impl Limits {
            /// Every limit at the largest that can be written down.
            pub const UNBOUNDED: Self = Self { $($field: <$type>::MAX,)+ };

            /// Whether a limit is larger than that of `most`.
            pub fn above(&self, limit: Limit, most: &Self) -> bool {
                match limit { $(Limit::$name => self.$field > most.$field,)+ }
            }

            /// Takes one limit over from `other`.
            pub fn take(&mut self, limit: Limit, other: &Self) {
                match limit { $(Limit::$name => self.$field = other.$field,)+ }
            }

            /// The value of one limit as a person would write it in a line file: `64MiB`, `30s`, `10000`.
            pub fn written(&self, limit: Limit) -> String {
                match limit { $(Limit::$name => $write(self.$field),)+ }
            }
        }
    };
}

fn write_time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

fn write_heartbeat(time: Duration) -> String {
    if no_heartbeat(&time) {
        "none".into()
    } else {
        write_time(time)
    }
}

fn no_heartbeat(time: &Duration) -> bool {
    *time == Limits::NO_HEARTBEAT
}

limits! {
    /// Time from start to end, also while parked in a host call. Default 30 s.
    wall Wall: Duration = Duration::from_secs(30), Time, write_time;
    /// Time without a report of progress: a visit that is silent for longer is taken to be dead. Default
    /// none.
    heartbeat Heartbeat: Duration = Self::NO_HEARTBEAT, Time, write_heartbeat, unsaid if "no_heartbeat";
    /// Processor time of the guest and of the host calls made for it. Default 5 s.
    cpu Cpu: Duration = Duration::from_secs(5), Time, write_time;
    /// Linear memory, summed over the store, in bytes. Default 64 MiB.
    memory Memory: u64 = 64 << 20, Bytes, write_size;
    /// Elements of all tables together: pointers that the guest makes the host keep. Default 100,000.
    tables Tables: u64 = 100_000, Count, |n: u64| n.to_string();
    /// Core instances, of which a toolchain's component has one to thirty. Default 128.
    instances Instances: u64 = 128, Count, |n: u64| n.to_string();
    /// Handles at one time: open files, streams, bodies, timers. Default 1,024.
    handles Handles: u64 = 1_024, Count, |n: u64| n.to_string();
    /// Bodies, labels and media types of all outputs together, in bytes. Default 8 MiB.
    output Output: u64 = 8 << 20, Bytes, write_size;
    /// Number of outputs. Default 10,000.
    outputs Outputs: u64 = 10_000, Count, |n: u64| n.to_string();
    /// Labels of one output. Default 64, which is also the most.
    labels Labels: u64 = 64, Count, |n: u64| n.to_string();
    /// Log lines with their fields, stdout and stderr of typed stations included, in bytes.
    /// Default 64 KiB.
    log Log: u64 = 64 << 10, Bytes, write_size;
    /// Items that one input may be split into, children of children included. Default 100,000.
    children Children: u64 = 100_000, Count, |n: u64| n.to_string();
    /// Visits of one item, its ancestors' included, at all stations together. Default 1,000.
    visits Visits: u64 = 1_000, Count, |n: u64| n.to_string();
    /// Requests, connections and look-ups of names of one visit. Default 100.
    requests Requests: u64 = 100, Count, |n: u64| n.to_string();
    /// Bytes that one visit sends over the network, heads of requests included. Default 8 MiB.
    sent Sent: u64 = 8 << 20, Bytes, write_size;
    /// Bytes that one visit receives over the network, heads of answers included. Default 64 MiB.
    received Received: u64 = 64 << 20, Bytes, write_size;
    /// Bytes of all files in the item's workspace together. Default 256 MiB.
    disk Disk: u64 = 256 << 20, Bytes, write_size;
    /// Files, folders and links in the item's workspace. Default 10,000.
    files Files: u64 = 10_000, Count, |n: u64| n.to_string();
}

impl Limits {
    /// A heartbeat that is never missed.
    pub const NO_HEARTBEAT: Duration = Duration::MAX;
}

impl Limit {
    /// Whether running into it may go away by itself, so that the attempt is repeated. Only time is
    /// such: a visit has the same inputs, clock and seed again, and would use as much memory.
    pub fn passing(self) -> bool {
        matches!(self, Self::Wall | Self::Heartbeat | Self::Cpu)
    }
}

/// The units of sizes, the larger ones first; those of a thousand beside those of 1024.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

/// The text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a size is a whole number with `B`, `KB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`, `TB` or `TiB`")]
pub struct NotASize;

/// Reads a size in bytes: `64MiB`, `8 KB`, `512`. Upper and lower case are the same.
///
/// # Errors
/// When it is none, or is more than fits 64 bits.
pub fn parse_size(text: &str) -> Result<u64, NotASize> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| NotASize)?;
    let unit = text[digits..].trim_start();
    if unit.is_empty() {
        return Ok(number);
    }
    let (_, factor) = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .ok_or(NotASize)?;
    number.checked_mul(*factor).ok_or(NotASize)
}

/// Writes a size with the largest unit that loses nothing: `64MiB`, `8KB`, `1023B`.
pub fn write_size(bytes: u64) -> String {
    UNITS
        .iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .map_or_else(
            || format!("{bytes}B"),
            |(name, factor)| format!("{}{name}", bytes / factor),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        let read = [
            ("0", 0),
            ("512", 512),
            ("64MiB", 64 << 20),
            ("8 KB", 8_000),
            (" 1 gib ", 1 << 30),
            ("7B", 7),
        ];
        for (text, bytes) in read {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "MiB",
            "-1",
            "1.5GiB",
            "1 M",
            "64 MiB s",
            "99999999999TiB",
            "１KB",
            "18446744073709551616",
        ] {
            assert_eq!(parse_size(text), Err(NotASize), "{text}");
        }
        for bytes in [0, 1, 999, 1000, 1023, 1024, 64 << 20, 8_000_000, u64::MAX] {
            assert_eq!(parse_size(&write_size(bytes)), Ok(bytes));
        }
        assert_eq!(write_size(64 << 20), "64MiB");
        assert_eq!(Limits::default().written(Limit::Wall), "30s");
    }
}
