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
