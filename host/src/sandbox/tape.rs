//! What a visit writes: its log, and a command's standard output. Shared with the guest's streams,
//! so that it survives a visit that is cut off.

use super::{
    meter::{Over, Pulse},
    way::Refusal,
};
use crate::{
    limits::{Limit, Limits},
    visit::{LogLine, Violation},
};
use futures::task::AtomicWaker;
use std::{
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    task::Waker,
};

/// A line longer than this is broken: a guest that never ends its line is heard all the same.
const LINE: usize = 8 << 10;

/// All that a line of the log may be of.
pub(crate) const LEVELS: [&str; 7] = [
    "trace", "debug", "info", "warn", "error", "stdout", "stderr",
];

/// What a line counts towards the limit, in bytes. The level and the line itself cost something too:
/// empty lines are no way around the limit.
pub(crate) fn cost(line: &LogLine) -> u64 {
    let fields = line.fields.iter().map(|(k, v)| k.len() + v.len() + 2);
    (8 + line.message.len() + fields.sum::<usize>()) as u64
}

/// Which of a guest's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// To the log, as lines of the level `stdout`.
    Stdout,
    /// To the log, as lines of the level `stderr`.
    Stderr,
    /// To the body of a command's output.
    Body,
}

/// Why the host ended a visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It ran into a limit.
    Over(Limit),
    /// It tried what it was not granted.
    Violation(Violation),
    /// It did other than before.
    Diverged(String),
    /// It came to a call of which nobody knows whether it was made.
    Unknown(String),
}

/// What a visit wrote so far.
pub(crate) struct Tape {
    most_log: u64,
    most_output: u64,
    end: OnceLock<End>,
    visit: AtomicWaker,
    pulse: Mutex<Option<Pulse>>,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    log: Vec<LogLine>,
    log_bytes: u64,
    body: Vec<u8>,
    /// Lines of `stdout` and `stderr` that have not ended yet.
    partial: [Vec<u8>; 2],
}

impl Tape {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            most_log: limits.log,
            most_output: limits.output,
            end: OnceLock::new(),
            visit: AtomicWaker::new(),
            pulse: Mutex::default(),
            written: Mutex::default(),
        }
    }

    /// Why the visit has to end, as soon as it has to: whatever the guest does afterwards, the first
    /// reason stays.
    pub(crate) fn end(&self) -> Option<&End> {
        self.end.get()
    }

    /// Ends the visit where a call was refused in a way that ends it.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        let end = match refusal {
            Refusal::Violation(violation) => End::Violation(violation.clone()),
            Refusal::Over(limit) => End::Over(*limit),
            Refusal::Diverged(what) => End::Diverged(what.clone()),
            Refusal::Unknown(what) => End::Unknown(what.clone()),
            Refusal::Denied(_) | Refusal::Failed(_) => return,
        };
        self.end.get_or_init(|| end);
        self.visit.wake();
    }

    /// The task to wake when the visit has to end.
    pub(crate) fn watched_by(&self, task: &Waker) {
        self.visit.register(task);
    }

    /// The visit lives: it reported progress now.
    pub(crate) fn beat(&self, pulse: Pulse) {
        *self.pulse.lock().unwrap_or_else(PoisonError::into_inner) = Some(pulse);
    }

    /// When it last reported progress; none where it has not yet.
    pub(crate) fn pulse(&self) -> Option<Pulse> {
        *self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line to the log.
    pub(crate) fn log(&self, line: LogLine) -> Result<(), Over> {
        self.push(&mut self.written(), line)
    }

    /// Adds what a guest wrote to one of its streams.
    pub(crate) fn write(&self, channel: Channel, bytes: &[u8]) -> Result<(), Over> {
        let mut written = self.written();
        let (index, level) = match channel {
            Channel::Stdout => (0, "stdout"),
            Channel::Stderr => (1, "stderr"),
            Channel::Body => {
                if (written.body.len() + bytes.len()) as u64 > self.most_output {
                    return Err(self.exceed(Limit::Output));
                }
                written.body.extend_from_slice(bytes);
                return Ok(());
            }
        };
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            for part in piece.chunks(LINE) {
                written.partial[index].extend_from_slice(part);
                if part.ends_with(b"\n") || written.partial[index].len() >= LINE {
                    self.end_line(&mut written, index, level)?;
                }
            }
        }
        Ok(())
    }

    /// The lines of the log, those that never ended included. Empties it.
    pub(crate) fn take_log(&self) -> Vec<LogLine> {
        let mut written = self.written();
        for (index, level) in ["stdout", "stderr"].into_iter().enumerate() {
            if !written.partial[index].is_empty() {
                // Over the limit is over the limit; what fits has been kept.
                let _ = self.end_line(&mut written, index, level);
            }
        }
        std::mem::take(&mut written.log)
    }

    /// What a command wrote to its standard output. Empties it.
    pub(crate) fn take_body(&self) -> Vec<u8> {
        std::mem::take(&mut self.written().body)
    }

    /// The last line on `stderr`, ended or not.
    pub(crate) fn last_words(&self) -> Option<String> {
        let written = self.written();
        let partial = String::from_utf8_lossy(&written.partial[1]);
        let partial = partial.trim();
        if !partial.is_empty() {
            return Some(partial.into());
        }
        let said = |line: &&LogLine| line.level == "stderr" && !line.message.trim().is_empty();
        let line = written.log.iter().rev().find(said)?;
        Some(line.message.trim().into())
    }

    fn end_line(&self, written: &mut Written, index: usize, level: &str) -> Result<(), Over> {
        let mut bytes = std::mem::take(&mut written.partial[index]);
        if bytes.ends_with(b"\n") {
            bytes.pop();
        }
        let message = String::from_utf8_lossy(&bytes).into_owned();
        let line = LogLine {
            level: level.into(),
            message,
            fields: Vec::new(),
        };
        self.push(written, line)
    }

    fn push(&self, written: &mut Written, line: LogLine) -> Result<(), Over> {
        let bytes = cost(&line);
        if written.log_bytes + bytes > self.most_log {
            return Err(self.exceed(Limit::Log));
        }
        written.log_bytes += bytes;
        written.log.push(line);
        Ok(())
    }

    /// The visit ran into a limit, which ends it.
    pub(crate) fn exceed(&self, limit: Limit) -> Over {
        self.end.get_or_init(|| End::Over(limit));
        Over(limit)
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
