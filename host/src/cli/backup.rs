//! `andon backup` and `andon restore`: copies of a state folder, and putting them back.

use super::{
    Done, print,
    state::{State, StateArg},
};
use crate::{
    conveyor::wall_clock,
    housekeeping::{back_up, restore},
};
use serde_json::json;
use std::path::PathBuf;

/// Copy the state folder, also while lines run
///
/// The copy is of one moment, and every file in it was held against its digest. Tokens, which let people
/// in, are not copied.
#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// The folder to make; there must be nothing in it.
    #[arg(value_name = "FOLDER")]
    to: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArg,
}

impl Backup {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let state = State::view(&self.state.nearest()?)?;
        let made = back_up(&state, &self.to, wall_clock())?;
        if self.json {
            print::json(&json!(made))?;
        } else {
            let items = print::count(made.items, "item");
            let blobs = print::count(made.blobs, "file");
            let size = print::size(made.bytes);
            let folder = self.to.display();
            print::text(&format!(
                "backed up {items} and {blobs} ({size}) to {folder}"
            ))?;
        }
        Ok(Done::Well)
    }
}

/// Make a state folder out of a backup
///
/// What was under way when the backup was made may have been done since: those items are jammed, for a
/// person to say how they go on. Results that had not been handed over then will be. A backup that is
/// not whole is refused.
#[derive(Debug, clap::Args)]
pub(super) struct Restore {
    /// The backup.
    backup: PathBuf,
    /// The state folder to make; there must be nothing in it.
    #[arg(long = "state", value_name = "DIR")]
    state: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let restored = restore(&self.backup, &self.state, wall_clock())?;
        if self.json {
            print::json(&json!(restored))?;
        } else {
            let items = print::count(restored.items, "item");
            let at = print::time(restored.backup.at);
            print::text(&format!("restored {items} as of {at}"))?;
            for item in &restored.jammed {
                print::text(&format!("{item} was under way, and is jammed"))?;
            }
        }
        Ok(match restored.jammed.is_empty() {
            true => Done::Well,
            false => Done::Jammed,
        })
    }
}
