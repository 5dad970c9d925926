//! `andon pause` and `andon resume`: a station starts no visits, or starts them again.

use super::{
    Done,
    control::{Acting, ByArg},
    print,
    state::StateArg,
};
use crate::{lines::Because, name::Name};
use anyhow::bail;

/// Let a station start no more visits
///
/// Visits under way end; items wait before it. It stays so until `andon resume`, also after a restart.
#[derive(Debug, clap::Args)]
pub(super) struct Pause {
    #[command(flatten)]
    which: Which,
}

/// Let a paused station start visits again
#[derive(Debug, clap::Args)]
pub(super) struct Resume {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The station.
    station: Name,
    /// Its line, where the state folder has several.
    #[arg(long)]
    line: Option<Name>,
    /// Why, for whoever looks later.
    #[arg(long, default_value = "")]
    why: String,
    #[command(flatten)]
    by: ByArg,
    #[command(flatten)]
    state: StateArg,
}

impl Pause {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        self.which.execute(true)
    }
}

impl Resume {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        self.which.execute(false)
    }
}

impl Which {
    fn execute(self, pause: bool) -> anyhow::Result<Done> {
        let acting = Acting::on(&self.state)?;
        let line = match self.line {
            Some(line) => line,
            None => only(&acting)?,
        };
        let (by, why) = (self.by.name(), Because { why: self.why });
        let station = &self.station;
        acting.act(|control| match pause {
            true => control.pause(&by, &line, station, why),
            false => control.resume(&by, &line, station, why),
        })?;
        acting.end()?;
        let what = if pause { "is paused" } else { "goes on" };
        print::text(&format!("`{station}` of line `{line}` {what}"))?;
        Ok(Done::Well)
    }
}

/// The line of a folder that has one.
fn only(acting: &Acting) -> anyhow::Result<Name> {
    let mut lines = acting.act(|control| control.status(None))?.lines;
    match (lines.pop(), lines.len()) {
        (Some(line), 0) => Ok(line.line),
        (Some(_), more) => bail!(
            "there are {} lines\n  hint: `--line LINE` says which one is meant",
            more + 1
        ),
        (None, _) => bail!("there are no lines\n  hint: `andon serve LINE` starts one"),
    }
}
