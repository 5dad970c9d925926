//! A visit as a runner sees it: what goes in and what comes out. Knows nothing of how it is run.

use crate::{
    digest::Digest,
    item::{ItemId, Payload},
    limits::Limit,
    name::Name,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = u64;

/// One attempt of a visit, with all that the guest is told.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The item.
    pub item: ItemId,
    /// The line's name.
    pub line: Name,
    /// The line's revision.
    pub revision: u64,
    /// The station.
    pub station: Name,
    /// The how manieth visit of the item to the station, from 1.
    pub nth: u32,
    /// The how manieth attempt, from 1.
    pub attempt: u32,
    /// When the attempt was first started: where the guest's clock begins.
    pub started: Millis,
    /// Seeds the guest's randomness; the same for an attempt that is run again after a crash.
    pub seed: [u8; 32],
    /// One payload, or all that a join collected.
    pub inputs: Vec<Payload>,
    /// The item's workspace as the previous station left it; none while it is empty.
    pub workspace: Option<Digest>,
    /// The workspaces of a join's inputs, by their position; mounted at `/workspace/in/<n>`, from 0.
    pub joined: Vec<Option<Digest>>,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What it wrote, in order.
    pub log: Vec<LogLine>,
    /// What it used.
    pub usage: Usage,
    /// The workspace afterwards; `None` where it was not touched or not changed. Only of an attempt that passed.
    pub workspace: Option<Digest>,
    /// Small blobs that the workspace or a body names and the journal has to keep with the record.
    pub blobs: Vec<(Digest, Bytes)>,
    /// File calls that were denied, the first 32 of them. The guest saw an error, and went on.
    pub denied: Vec<DeniedFile>,
    /// How many more were denied.
    pub denied_more: u64,
}

/// A file call that a station was denied: out of its folders, on one that it may only read, over a
/// mount's quota, or on what is neither file nor folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeniedFile {
    /// What it tried: `write \`/rules/strict.txt\``. Paths are not escaped; with the
    /// reason at most 2 KiB.
    pub what: String,
    /// Why it was denied. Not escaped either.
    pub why: String,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The station returned outputs.
    Passed(Vec<Output>),
    /// The station said retry, or an exit code or status did.
    Retry {
        /// The station's reason.
        reason: String,
        /// How long to wait at least.
        after: Option<Duration>,
    },
    /// The station said that the item is not for it.
    Rejected(String),
    /// The station trapped; the text is what the engine says of it.
    Trapped(String),
    /// The station ran into a limit.
    Overrun {
        /// Which.
        limit: Limit,
        /// Its value, as a person would write it (`64MiB`).
        value: String,
    },
    /// The station tried what it was not granted.
    Violation(Violation),
    /// The station's answer is not one that it may give: a bad port, label, media type or file.
    Invalid(String),
}

/// What a station tried that it was not granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// What it tried: `POST https://api.example.com/v1/x`, `connect db.internal:5432`.
    pub what: String,
    /// Why it was refused.
    pub why: String,
    /// What would grant it, and the line of which file that is.
    pub hint: String,
}

/// A payload on a port.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// A name that is neither `reject` nor `exhausted`.
    pub port: Name,
    /// The labels are the output's own, not yet merged over the input's; an empty value removes one.
    pub payload: Payload,
}

/// One line of an item's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// `trace`, `debug`, `info`, `warn`, `error`, `stdout` or `stderr`.
    pub level: String,
    /// What was written; not escaped.
    pub message: String,
    /// Names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, String)>,
}

/// What an attempt used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Time from start to end, in microseconds.
    pub wall_us: u64,
    /// Processor time, in microseconds.
    pub cpu_us: u64,
    /// The most linear memory at one time, in bytes.
    pub memory: u64,
}
