//! `andon items`: what is in a state folder.

use super::{
    Done, print,
    state::{State, StateArg},
};
use crate::{
    item::ItemId,
    journal::{Filter, PhaseKind, Summary},
    name::Name,
};

/// List items
#[derive(Debug, clap::Args)]
pub(super) struct Items {
    /// Only those that wait for somebody to clear them.
    #[arg(long)]
    jammed: bool,
    /// Only those that wait for somebody's answer.
    #[arg(long)]
    held: bool,
    /// Only those in this phase; may be given several times.
    #[arg(long, value_name = "PHASE", value_parser = phase)]
    phase: Vec<PhaseKind>,
    /// Only those that are, or were last, at this station.
    #[arg(long)]
    station: Option<Name>,
    /// Only those of this line.
    #[arg(long)]
    line: Option<Name>,
    /// Only this item and what was split from it.
    #[arg(long, value_name = "ITEM")]
    tree: Option<ItemId>,
    /// Only inputs, not what was split from them.
    #[arg(long)]
    inputs: bool,
    /// At most so many, the oldest.
    #[arg(long, visible_alias = "limit", value_name = "N")]
    most: Option<usize>,
    /// Only those after this one: the last of those before leads to the next.
    #[arg(long, value_name = "ITEM")]
    after: Option<ItemId>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArg,
}

fn phase(text: &str) -> Result<PhaseKind, String> {
    let known = PhaseKind::ALL.into_iter().find(|phase| phase.key() == text);
    known.ok_or_else(|| {
        let all = PhaseKind::ALL.map(|phase| format!("`{phase}`"));
        format!("phases are {}", all.join(", "))
    })
}

impl Items {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let state = State::view(&self.state.nearest()?)?;
        let mut phases = self.phase;
        if self.jammed {
            phases.push(PhaseKind::Jammed);
        }
        if self.held {
            phases.push(PhaseKind::Held);
        }
        if let Some(after) = &self.after
            && state.journal.load(after)?.is_empty()
        {
            anyhow::bail!(
                "there is no item `{after}` to go on after\n  hint: it was let go of; begin anew"
            );
        }
        let items = state.journal.list(&Filter {
            line: self.line,
            phases,
            station: self.station,
            root: self.tree,
            inputs: self.inputs,
            most: self.most,
            after: self.after,
            ..Filter::default()
        })?;
        if self.json {
            for item in &items {
                print::json(&serde_json::to_value(item)?)?;
            }
        } else if items.is_empty() {
            print::note("no items");
        } else {
            table(&items)?;
        }
        Ok(Done::Well)
    }
}

fn table(items: &[Summary]) -> anyhow::Result<()> {
    let id = items
        .iter()
        .map(|s| s.item.as_str().len())
        .max()
        .unwrap_or(0);
    let station = items
        .iter()
        .filter_map(|s| s.station.as_ref())
        .map(|n| n.len())
        .max()
        .unwrap_or(0)
        .max(7);
    print::text(&format!(
        "{:<id$}  {:<8}  {:<station$}  SOURCE",
        "ITEM", "PHASE", "STATION"
    ))?;
    for item in items {
        let at = item.station.as_ref().map_or("-", |name| name.as_str());
        let mut row = format!(
            "{:<id$}  {:<8}  {at:<station$}  {}",
            item.item,
            item.phase.to_string(),
            print::line(&item.source)
        );
        if let Some(reason) = &item.reason {
            row.push_str(&format!("  ({})", print::first(reason)));
        }
        print::text(&row)?;
    }
    Ok(())
}
