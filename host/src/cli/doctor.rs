//! `andon doctor`: is everything in a state folder there, and is it what the records say?

use super::{
    Done, print,
    state::{State, StateArg, alone},
};
use crate::{
    conveyor::wall_clock,
    housekeeping::{Finding, Findings, examine, repair},
};
use serde_json::json;

/// Look the state folder over
///
/// Folds every item's records and holds the listing against them, follows the audit's chain, holds every
/// blob and asset that something needs against its digest, looks for what nothing needs, and at the disk,
/// the lock and the cache. The exit code is 1 where something is wrong and was not mended.
#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// Mend what can be: list items as their records say, remove what nothing needs. No other andon may
    /// use the state folder meanwhile.
    #[arg(long)]
    repair: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArg,
}

impl Doctor {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let folder = self.state.nearest()?;
        let mut found = examine(&State::view(&folder)?)?;
        if self.repair {
            repair(&alone(&folder)?, &mut found, wall_clock())?;
        }
        self.print(&found)?;
        Ok(match found.are_well() {
            true => Done::Well,
            false => Done::Wrong,
        })
    }

    fn print(&self, found: &Findings) -> anyhow::Result<()> {
        if self.json {
            let mut value = json!(found);
            value["well"] = json!(found.are_well());
            return Ok(print::json(&value)?);
        }
        for Finding {
            about,
            what,
            hint,
            mended,
        } in &found.all
        {
            let state = match (hint, mended) {
                (None, _) => "note",
                (Some(_), true) => "mended",
                (Some(_), false) => "wrong",
            };
            print::text(&format!("{state:<6}  {about}: {}", print::line(what)))?;
            if let (Some(hint), false) = (hint, mended) {
                print::text(&format!("        hint: {hint}"))?;
            }
        }
        let items = print::count(found.items, "item");
        let verdict = match found.are_well() {
            true => "all is well",
            false => "something is wrong",
        };
        print::text(&format!("{verdict}: {items} held against their records"))?;
        Ok(())
    }
}
