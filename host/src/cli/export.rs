//! `andon export`: all that a state folder knows, for other programs.

use super::{
    Done, print,
    state::{State, StateArg},
};
use crate::{
    conveyor::wall_clock,
    housekeeping::{self, HousekeepingError},
    name::Name,
    visit::Millis,
};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// Print everything in the state folder as JSON, one object a line
///
/// Revisions, then each item with its records, effects and deliveries, then the audit. Bodies of more than 64 KiB,
/// and files of workspaces, are named by their digests.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// Only of this line.
    #[arg(long)]
    line: Option<Name>,
    /// Only items that changed since then, and entries of the audit: a time as `2026-01-31T09:05:00Z`, or
    /// how long ago as `2d`.
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
    #[command(flatten)]
    state: StateArg,
}

/// A time, or how long ago it was.
#[derive(Debug, Clone, Copy)]
enum Since {
    At(Millis),
    Ago(Duration),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(Since::Ago(ago));
    }
    let time = humantime::parse_rfc3339_weak(text)
        .map_err(|_| "a time is written as `2026-01-31T09:05:00Z`, how long ago as `2d`")?;
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    Ok(Since::At(
        since.map_or(0, |since| since.as_millis() as Millis),
    ))
}

impl Export {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let state = State::view(&self.state.nearest()?)?;
        let now = wall_clock();
        let which = housekeeping::Export {
            line: self.line,
            since: self.since.map(|since| match since {
                Since::At(at) => at,
                Since::Ago(ago) => now.saturating_sub(ago.as_millis() as Millis),
            }),
        };
        let mut emit = |value: &Value| print::json(value).map_err(Failed::Output);
        housekeeping::export(&state, &which, now, &mut emit).map_err(|failed| match failed {
            Failed::Output(error) => anyhow::Error::from(error),
            Failed::State(error) => error.into(),
        })?;
        Ok(Done::Well)
    }
}

/// Why an export stops.
enum Failed {
    Output(print::OutputError),
    State(HousekeepingError),
}

impl From<HousekeepingError> for Failed {
    fn from(error: HousekeepingError) -> Self {
        Self::State(error)
    }
}
