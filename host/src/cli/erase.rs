//! `andon erase`: what an item carried and said goes for good.

use super::{
    Done, print,
    state::{StateArg, alone, choose},
};
use crate::{
    conveyor::wall_clock,
    factory::Retention,
    housekeeping::{Collector, Erase as Order, erase},
    item::ItemId,
    journal::Filter,
};
use serde_json::json;

/// Erase what an item carried, logged and left behind, with all of its tree
///
/// Payloads, labels, logs, workspaces, and what the audit says of calls. That there was an item, where
/// it went and when, who erased it and why, stays. The item has to have ended: `andon cancel` takes it
/// from the line. What `andon rerun` made of it, or it of another, carries the same: `--reruns` erases
/// that too. What was handed over, by a sink or in a backup, is not andon's any more.
///
/// Exit codes: 0 it is gone, 1 it could not be done, or others carry the same (they are named).
#[derive(Debug, clap::Args)]
pub(super) struct Erase {
    /// The item: its id, or a beginning of it that only one has. Its whole tree is erased.
    item: String,
    /// Also all that ran it again, and that it ran again.
    #[arg(long)]
    reruns: bool,
    /// Why, for whoever looks later.
    #[arg(long, visible_alias = "why", value_name = "WHY")]
    reason: String,
    /// Who does it [default: the name of the user].
    #[arg(long)]
    by: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArg,
}

impl Erase {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let state = alone(&self.state.nearest()?)?;
        let items = state.journal.list(&Filter::default())?;
        let ids: Vec<ItemId> = items.into_iter().map(|summary| summary.item).collect();
        let id = choose(&self.item, &ids)?;
        let by = self.by.unwrap_or_else(crate::serve::user);
        let now = wall_clock();
        let order = Order {
            item: &id,
            reruns: self.reruns,
            at: now,
            by: &by,
            why: &self.reason,
        };
        let erased = erase(&state, order);
        // Also where it was erased before: then what an earlier call did not come to goes now. Nothing
        // that is kept by any policy goes with it.
        Collector::at_rest(&state, now, &Retention::default())?;
        let erased = erased?;
        if self.json {
            print::json(&json!(erased))?;
        } else {
            let items = print::count(erased.items, "item");
            print::text(&format!("erased {}: {items}", named(&erased.roots)))?;
        }
        if erased.left.is_empty() {
            return Ok(Done::Well);
        }
        print::note(&format!(
            "error: {} carries the same: one of them runs the other again\n  hint: `andon erase {} --reruns` erases all of them",
            named(&erased.left),
            erased.left[0]
        ));
        Ok(Done::Wrong)
    }
}

fn named(items: &[ItemId]) -> String {
    let names: Vec<&str> = items.iter().map(ItemId::as_str).collect();
    names.join(", ")
}
