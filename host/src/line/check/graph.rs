//! Checks of how the stations hang together: joins, what leads where, loops and their bounds.

use crate::{
    line::{Draft, Line, Target},
    name::Name,
    problem::Problem,
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(draft: &Draft, problems: &mut Vec<Problem>) {
    let line = &draft.line;
    joins_apart(draft, problems);
    // One belt that could not be read may be the one that leads on.
    let whole = draft.sound_at("stations")
        && line.stations.contains_key(&line.entry)
        && line.stations.iter().all(|(name, station)| {
            draft.sound(&format!("stations.{name}.next"))
                && draft.sound(&format!("stations.{name}.join"))
                && draft.sound_at(&format!("stations.{name}"))
                && station
                    .downstream()
                    .all(|to| line.stations.contains_key(to))
        });
    if whole {
        reach(draft, problems);
        joins(draft, problems);
        loops(draft, problems);
    }
}

/// What leads from a station, each once.
fn belts(line: &Line) -> BTreeMap<&Name, BTreeSet<&Name>> {
    line.stations
        .iter()
        .map(|(name, station)| (name, station.downstream().collect()))
        .collect()
}

/// All that an item comes to from `from`, itself included, by no way through `without`.
fn reached<'l>(
    belts: &BTreeMap<&'l Name, BTreeSet<&'l Name>>,
    from: &'l Name,
    without: Option<&Name>,
) -> BTreeSet<&'l Name> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        if Some(name) != without && reached.insert(name) {
            open.extend(belts.get(name).into_iter().flatten());
        }
    }
    reached
}

fn reach(draft: &Draft, problems: &mut Vec<Problem>) {
    let line = &draft.line;
    let reached = reached(&belts(line), &line.entry, None);
    for name in line
        .stations
        .keys()
        .filter(|name| !reached.contains(name) && !Target::ENDS.contains(&name.as_str()))
    {
        problems.push(
            draft
                .problem(
                    &format!("stations.{name}"),
                    format!("nothing leads to station `{name}`"),
                )
                .hint(format!(
                    "name it in the `next` of a station that `{}` leads to, or take it out",
                    line.entry
                )),
        );
    }
}

/// What is wrong with joins whatever the belts are.
fn joins_apart(draft: &Draft, problems: &mut Vec<Problem>) {
    let mut taken: BTreeMap<&Name, &Name> = BTreeMap::new();
    for (name, station) in &draft.line.stations {
        let Some(join) = &station.join else { continue };
        let at = format!("stations.{name}.join.of");
        if join.of == *name {
            problems.push(
                draft
                    .problem(
                        &at,
                        format!("station `{name}` cannot join what it splits itself"),
                    )
                    .hint("name the station before it that splits"),
            );
        } else if let Some(other) = taken.insert(&join.of, name) {
            problems.push(
                draft
                    .problem(
                        &at,
                        format!("what `{}` splits is joined by `{other}` already", join.of),
                    )
                    .hint("one join collects what a station splits; take one of the two out"),
            );
        }
    }
}

/// Joins that would wait for what never comes, or get what was never split.
fn joins(draft: &Draft, problems: &mut Vec<Problem>) {
    let line = &draft.line;
    let belts = belts(line);
    for (name, station) in &line.stations {
        let Some(join) = &station.join else { continue };
        let Some((of, _)) = line.stations.get_key_value(&join.of) else {
            continue;
        };
        if of == name {
            continue;
        }
        let at = format!("stations.{name}.join.of");
        if !reached(&belts, of, None).contains(name) {
            problems.push(
                draft
                    .problem(
                        &at,
                        format!("`{of}` does not lead to `{name}`, which joins it"),
                    )
                    .hint(format!(
                        "wire `{of}` so that what it splits comes to `{name}`"
                    )),
            );
        } else if reached(&belts, &line.entry, Some(of)).contains(name) {
            problems.push(
                draft
                    .problem(
                        &at,
                        format!("items come to `{name}` that `{of}` has never split"),
                    )
                    .hint(format!(
                        "let every way from `{}` to `{name}` lead through `{of}`",
                        line.entry
                    )),
            );
        }
    }
}

/// Loops in which no station has `visits`: an item could go round for ever.
fn loops(draft: &Draft, problems: &mut Vec<Problem>) {
    let line = &draft.line;
    let mut belts = belts(line);
    for (name, station) in &line.stations {
        if let Some(join) = &station.join
            && join.of != *name
            && let Some(next) = belts.get_mut(&join.of)
        {
            next.insert(name);
        }
    }
    // an item cannot go round through a station that bounds its visits
    belts.retain(|name, _| line.stations[*name].visits.is_none());
    let bounded: BTreeSet<&Name> = line
        .stations
        .keys()
        .filter(|name| !belts.contains_key(name))
        .collect();
    for next in belts.values_mut() {
        next.retain(|to| !bounded.contains(to));
    }
    let mut told = BTreeSet::new();
    for name in belts.keys() {
        if told.contains(name) {
            continue;
        }
        if let Some(round) = round(&belts, name) {
            told.extend(round.iter().copied());
            let way: Vec<_> = round
                .iter()
                .chain([name])
                .map(|name| format!("`{name}`"))
                .collect();
            problems.push(
                draft
                    .problem(
                        &format!("stations.{name}.next"),
                        format!("a loop without a bound: {}", way.join(" → ")),
                    )
                    .hint(
                        "say with `visits` at one of its stations how often an item may come there",
                    ),
            );
        }
    }
}

/// A shortest way from `start` back to it, without its end.
fn round<'l>(
    belts: &BTreeMap<&'l Name, BTreeSet<&'l Name>>,
    start: &'l Name,
) -> Option<Vec<&'l Name>> {
    let mut came_from: BTreeMap<&Name, &'l Name> = BTreeMap::new();
    let mut open = std::collections::VecDeque::from([start]);
    while let Some(name) = open.pop_front() {
        for to in belts.get(name).into_iter().flatten() {
            if *to == start {
                let mut way = vec![name];
                while let Some(before) = came_from.get(way[way.len() - 1]) {
                    way.push(before);
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(to) {
                came_from.insert(to, name);
                open.push_back(to);
            }
        }
    }
    None
}
