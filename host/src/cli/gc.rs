//! `andon gc`: letting go of what is no longer needed.

use super::{
    Done, print,
    state::{FactoryArg, State, StateArg, alone},
};
use crate::{
    conveyor::wall_clock,
    housekeeping::{Collected, Collector, survey},
    lines::retention,
};
use serde_json::json;

/// Remove what has ended long enough ago, and what nothing needs
///
/// `[retention]` of the `andon.toml` that the lines are under says what is kept for how long; without it
/// every item is. Files and
/// small blobs that no item and no revision names any more go as well. A process that runs lines does the
/// same by itself, so this is for a state folder that nobody uses.
#[derive(Debug, clap::Args)]
pub(super) struct Gc {
    /// Only say what would go.
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    factory: FactoryArg,
    #[command(flatten)]
    state: StateArg,
}

impl Gc {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let folder = self.state.nearest()?;
        let policy = retention(&State::view(&folder)?, self.factory.path())?;
        let done = match self.dry_run {
            true => survey(&State::view(&folder)?, wall_clock(), &policy)?,
            false => Collector::at_rest(&alone(&folder)?, wall_clock(), &policy)?,
        };
        if self.json {
            let mut value = json!(done);
            value["dry-run"] = json!(self.dry_run);
            print::json(&value)?;
        } else {
            print::text(&words(&done, self.dry_run))?;
        }
        Ok(Done::Well)
    }
}

fn words(done: &Collected, dry_run: bool) -> String {
    let verb = if dry_run { "would remove" } else { "removed" };
    let mut parts = Vec::new();
    for (number, what) in [
        (done.trees, "ended input"),
        (done.files, "file"),
        (done.small, "small blob"),
        (done.assets, "asset"),
    ] {
        if number > 0 {
            parts.push(print::count(number, what));
        }
    }
    let freed = match done.bytes {
        0 => String::new(),
        bytes => format!(" ({})", print::size(bytes)),
    };
    match parts.is_empty() {
        true => "nothing to remove".into(),
        false => format!("{verb} {}{freed}", parts.join(", ")),
    }
}
