//! How much a visit may use. All have defaults; a line's `limits` may set others.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The limits of one visit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time from start to end, also while parked in a host call. Default 30 s.
    pub wall: Duration,
    /// Processor time of the guest and of the host calls made for it. Default 5 s.
    pub cpu: Duration,
    /// Linear memory, summed over the store, in bytes. Default 64 MiB.
    pub memory: u64,
    /// Bodies, labels and media types of all outputs together, in bytes. Default 8 MiB.
    pub output: u64,
    /// Log lines with their fields, stdout and stderr of typed stations included, in bytes.
    /// Default 64 KiB.
    pub log: u64,
    /// Number of outputs. Default 10,000.
    pub outputs: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(30),
            cpu: Duration::from_secs(5),
            memory: 64 << 20,
            output: 8 << 20,
            log: 64 << 10,
            outputs: 10_000,
        }
    }
}

/// A limit by its name in the line file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(
    missing_docs,
    reason = "each is the field of `Limits` of the same name"
)]
pub enum Limit {
    Wall,
    Cpu,
    Memory,
    Output,
    Log,
    Outputs,
}

impl Limit {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Wall,
        Self::Cpu,
        Self::Memory,
        Self::Output,
        Self::Log,
        Self::Outputs,
    ];

    /// Whether running into it may go away by itself, so that the attempt is repeated. Only time is
    /// such: a visit has the same inputs, clock and seed again, and would use as much memory.
    pub fn passing(self) -> bool {
        matches!(self, Self::Wall | Self::Cpu)
    }

    /// The key in the line file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::Log => "log",
            Self::Outputs => "outputs",
        }
    }
}

impl Limits {
    /// The value of one limit as a person would write it in a line file: `64MiB`, `30s`, `10000`.
    pub fn written(&self, limit: Limit) -> String {
        match limit {
            Limit::Wall => humantime::format_duration(self.wall).to_string(),
            Limit::Cpu => humantime::format_duration(self.cpu).to_string(),
            Limit::Memory => write_size(self.memory),
            Limit::Output => write_size(self.output),
            Limit::Log => write_size(self.log),
            Limit::Outputs => self.outputs.to_string(),
        }
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
