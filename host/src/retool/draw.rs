//! Drawing up a retool: the line that is aimed at, assembled and checked, and what would change.

use super::{Aim, Plan, Unfinished, lowered::Lowered};
use crate::{
    assembly::{Assembled, AssemblyError, Revision, folder_of},
    journal::{Filter, LineState, PhaseKind},
    lines::{Fault, Lines},
    name::Name,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A retool, drawn up.
pub(super) struct Drawn {
    /// How the line stands.
    pub(super) state: LineState,
    /// The revision that all or most items run by now. Where a ramp is ended by going back, that of the
    /// ramp: its items are those that have to go somewhere.
    pub(super) old: Revision,
    /// What is aimed at.
    pub(super) new: Revision,
    /// Its number, where it was kept before.
    pub(super) number: Option<u64>,
    /// What is aimed at, ready to be run.
    pub(super) assembled: Assembled,
    /// The factory's file that bounds it.
    pub(super) bounds: Option<PathBuf>,
    /// What would change.
    pub(super) plan: Plan,
}

/// Phases in which an item is still somewhere.
const UNFINISHED: [PhaseKind; 5] = [
    PhaseKind::Waiting,
    PhaseKind::Working,
    PhaseKind::Split,
    PhaseKind::Held,
    PhaseKind::Jammed,
];

/// Draws up a retool. Blocks while it builds and compiles.
pub(super) fn draw(
    lines: &Lines,
    line: &Name,
    aim: &Aim,
    moves: &BTreeMap<Name, Name>,
) -> Result<Drawn, Fault> {
    let state = state_of(lines, line)?;
    let say = |text: &str| tracing::info!(%line, "{text}");
    let stock = lines.stock();
    let bounds = |folder: &Path| lines.bounds(Some(&state), folder).map_err(wrong);
    let (assembled, new, number, bounds, to) = match (aim.revision, &aim.file) {
        (Some(_), Some(_)) => {
            return Err(Fault::invalid(
                "a line file and a revision to go back to exclude each other",
            ));
        }
        (Some(number), None) => {
            let new = kept(lines, line, number)?;
            let bounds = bounds(&stock.folder.join(&new.folder))?;
            let assembly = lines.assembly(&say, bounds.as_deref());
            let assembled = assembly.revive(&new, number, stock).map_err(wrong)?;
            let to = format!("revision {number}");
            (assembled, new, Some(number), bounds, to)
        }
        (None, file) => {
            let Some(file) = file.as_ref().or(state.file.as_ref()) else {
                return Err(Fault::invalid(format!(
                    "line `{line}` was started from a station alone and has no file\n  hint: name one: `andon retool {line} FILE`"
                )));
            };
            let file = Path::new(file);
            let bounds = bounds(folder_of(file))?;
            let assembly = lines.assembly(&say, bounds.as_deref());
            let assembled = assembly.assemble(file).map_err(wrong)?;
            let new = assembled.revision(stock.folder);
            let to = assembled.draft.file.clone();
            (assembled, new, None, bounds, to)
        }
    };
    if new.line.name != *line {
        return Err(Fault::invalid(format!(
            "`{to}` is line `{}` and no revision of `{line}`\n  hint: `andon retool {}` retools that one, `andon serve` starts it",
            new.line.name, new.line.name
        )));
    }
    let back = number == Some(state.current);
    let from = match state.ramp {
        Some(ramp) if back => ramp.to,
        _ => state.current,
    };
    let old = kept(lines, line, from)?;
    let items = unfinished(lines, line, &old, &new)?;
    // What a line at rest will run below is what is so today.
    let today = assembled.factory.ceiling.as_ref();
    let ceiling = lines.runs_below(line, from);
    let lowered = Lowered {
        from: ceiling.as_ref().map_or(today, Option::as_ref),
        to: today,
    };
    let plan = Plan::between((from, &old), (to, &new), &items, moves, lowered);
    Ok(Drawn {
        state,
        old,
        new,
        number,
        assembled,
        bounds,
        plan,
    })
}

/// How a line stands.
pub(super) fn state_of(lines: &Lines, line: &Name) -> Result<LineState, Fault> {
    let known = lines.state().journal.lines()?;
    known
        .into_iter()
        .find(|state| state.line == *line)
        .ok_or_else(|| {
            Fault::not_found(format!(
                "there is no line `{line}` here\n  hint: `andon status` lists them"
            ))
        })
}

/// A revision as it was kept.
pub(super) fn kept(lines: &Lines, line: &Name, number: u64) -> Result<Revision, Fault> {
    let text = lines.state().journal.revision(line, number)?.ok_or_else(|| {
        Fault::not_found(format!(
            "line `{line}` has no revision {number}\n  hint: `andon retool {line} --history` lists them"
        ))
    })?;
    Revision::from_text(&text).map_err(|error| {
        Fault::internal(format!(
            "revision {number} of `{line}` cannot be read: {error}"
        ))
    })
}

/// Which unfinished items are at each station that goes.
fn unfinished(
    lines: &Lines,
    line: &Name,
    old: &Revision,
    new: &Revision,
) -> Result<BTreeMap<Name, Unfinished>, Fault> {
    let journal = &lines.state().journal;
    let mut items: BTreeMap<Name, Unfinished> = BTreeMap::new();
    for (phase, station, count) in journal.counts(line)? {
        let Some(station) = station.filter(|_| UNFINISHED.contains(&phase)) else {
            continue;
        };
        let Some(was) = old.line.stations.get(&station) else {
            continue;
        };
        if new.line.stations.contains_key(&station) {
            continue;
        }
        // What a station asked by itself goes on by the revision that asked.
        let held = phase == PhaseKind::Held && was.ask.is_some();
        let there = items.entry(station.clone()).or_default();
        there.items += count;
        if held {
            let held = journal.list(&Filter {
                line: Some(line.clone()),
                station: Some(station),
                phases: vec![phase],
                most: Some(Unfinished::TOLD),
                ..Filter::default()
            })?;
            there.held = count;
            there.holds = held.into_iter().map(|summary| summary.item).collect();
        }
    }
    Ok(items)
}

/// Whether an unfinished item is at a station.
pub(super) fn is_at(lines: &Lines, line: &Name, station: &Name) -> Result<bool, Fault> {
    Ok(lines.state().journal.any(&Filter {
        line: Some(line.clone()),
        station: Some(station.clone()),
        phases: UNFINISHED.to_vec(),
        ..Filter::default()
    })?)
}

/// What is wrong with what was aimed at is the asker's, what is wrong with this machine is not.
pub(super) fn wrong(error: AssemblyError) -> Fault {
    let message = error.to_string();
    match error {
        AssemblyError::Problems(_)
        | AssemblyError::Unreadable { .. }
        | AssemblyError::Catalogue(_)
        | AssemblyError::Prepare(_)
        | AssemblyError::Asset(_) => Fault::invalid(message),
        AssemblyError::NoFactory(_) | AssemblyError::OtherFactory(_) => Fault::conflict(message),
        AssemblyError::NoCache | AssemblyError::Engine(_) | AssemblyError::Runners(_) => {
            Fault::internal(message)
        }
    }
}
