//! A visit as a runner sees it: what goes in and what comes out. Knows nothing of how it is run.

use crate::{
    digest::Digest,
    escape::shown,
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
    /// When the item has to be through.
    pub deadline: Option<Millis>,
    /// What was answered in this visit so far, the oldest first.
    pub answers: Vec<Answer>,
    /// Which run of the visit it is: what the effect log goes by.
    pub run: Run,
}

/// The runs of a visit. Each start is a run: a new attempt, and the same attempt once more after the
/// host's end or an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The number of this one, from 1.
    pub number: u32,
    /// The number of the run with which this attempt began: from there on, what was recorded is played
    /// back, safe or not.
    pub first: u32,
    /// What runs up to this number left open was accepted by a person, who cleared a jam that told of it; 0 if none.
    pub accepted: u32,
    /// When the last thing was recorded that a replay will come to: sleeps up to there are skipped.
    pub recorded: Millis,
}

/// Something that only a person can decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Question {
    /// Names the question within the visit.
    pub id: String,
    /// What is asked; not escaped.
    pub prompt: String,
    /// What may be chosen; not escaped.
    pub choices: Vec<String>,
    /// Whether text may be given beside or instead of a choice.
    pub free_text: bool,
}

impl Question {
    /// The longest prompt, in bytes.
    pub const PROMPT: usize = 4 << 10;
    /// The most choices.
    pub const CHOICES: usize = 16;
    /// The longest id, and the longest choice, in bytes.
    pub const WORD: usize = 64;

    /// The question, if it is one that may be asked.
    ///
    /// # Errors
    /// What a question has to be.
    pub fn checked(self) -> Result<Self, String> {
        let word = |text: &String| {
            !text.is_empty() && text.len() <= Self::WORD && !text.chars().any(char::is_control)
        };
        if !word(&self.id) {
            return Err(format!(
                "a question's id is 1 to {} bytes without control characters",
                Self::WORD
            ));
        }
        if self.prompt.is_empty() || self.prompt.len() > Self::PROMPT {
            return Err(format!(
                "a question's prompt is 1 to {} bytes",
                Self::PROMPT
            ));
        }
        if self.choices.len() > Self::CHOICES || !self.choices.iter().all(word) {
            return Err(format!(
                "a question has at most {} choices, each of 1 to {} bytes without control characters",
                Self::CHOICES,
                Self::WORD
            ));
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = self.choices.iter().find(|choice| !seen.insert(*choice)) {
            return Err(format!(
                "a question has each choice once, and `{}` is there twice",
                shown(twice)
            ));
        }
        if self.choices.is_empty() && !self.free_text {
            return Err("a question without choices has to take free text".into());
        }
        Ok(self)
    }
}

/// A person's answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Answer {
    /// The `id` of the question.
    pub question: String,
    /// The choice; empty where only text was given.
    pub choice: String,
    /// Free text; empty where none was given.
    pub text: String,
    /// Who answered.
    pub by: String,
    /// When.
    pub at: Millis,
}

impl Answer {
    /// The longest free text, in bytes.
    pub const TEXT: usize = 4 << 10;
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

impl Report {
    /// One that says how the attempt ended, and nothing else.
    pub fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            log: Vec::new(),
            usage: Usage::default(),
            workspace: None,
            blobs: Vec::new(),
            denied: Vec::new(),
            denied_more: 0,
        }
    }

    /// Of an attempt that could not be made.
    pub fn not_made(reason: String) -> Self {
        Self::of(Outcome::Retry {
            reason,
            after: None,
        })
    }
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
    /// The station asked what a person has to answer before it goes on.
    Asked(Question),
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
    /// The station changed its mind: it sent an unsafe request that the effect log does not have, before
    /// it asked again for those that it has. The text says which.
    Diverged(String),
    /// The station came to an unsafe request of which nobody knows whether it arrived. The text says
    /// which.
    UnknownOutcome(String),
    /// The host ended the attempt itself, to have it made anew; the text says why.
    Recalled(String),
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Usage {
    /// Time from start to end, in microseconds.
    pub wall_us: u64,
    /// Processor time, in microseconds.
    pub cpu_us: u64,
    /// The most linear memory at one time, in bytes.
    pub memory: u64,
}
