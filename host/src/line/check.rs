//! What can be known to be wrong with a line from its file alone.
//!
//! Nothing here looks at a component or at the host's files. What could not be read is not judged.

mod grants;
mod graph;
mod station;

use super::{Draft, Target, reader::known};
use crate::{name::Name, problem::Problem};

/// All that is wrong with a line in itself.
pub fn check(draft: &Draft) -> Vec<Problem> {
    let mut problems = Vec::new();
    if draft.line.stations.is_empty() && draft.sound("stations") {
        problems.push(
            draft
                .problem("stations", "the line has no stations")
                .hint("a station begins with `[stations.<name>]`"),
        );
    }
    names(draft, &mut problems);
    for (name, station) in &draft.line.stations {
        station::check(draft, name, station, &mut problems);
    }
    graph::check(draft, &mut problems);
    problems
}

/// Names of stations: reserved ones, and those that nothing has.
fn names(draft: &Draft, problems: &mut Vec<Problem>) {
    let line = &draft.line;
    for name in Target::ENDS {
        if line.stations.contains_key(name) {
            problems.push(
                draft
                    .problem(
                        &format!("stations.{name}"),
                        format!("no station can be named `{name}`: it is an end of every line"),
                    )
                    .hint("give the station another name"),
            );
        }
    }
    // a station whose own name could not be read may be the one that is meant
    if !draft.sound_at("stations") {
        return;
    }
    if draft.sound("entry") {
        station_named(draft, "entry", &line.entry, problems);
    }
    for (name, station) in &line.stations {
        for (port, rules) in &station.next {
            for (n, rule) in rules.iter().enumerate() {
                if let Target::Station(to) = &rule.to {
                    station_named(draft, &target_path(draft, name, port, n), to, problems);
                }
            }
        }
        if let Some(join) = &station.join {
            station_named(
                draft,
                &format!("stations.{name}.join.of"),
                &join.of,
                problems,
            );
        }
    }
}

fn station_named(draft: &Draft, path: &str, name: &Name, problems: &mut Vec<Problem>) {
    let stations = &draft.line.stations;
    if !stations.contains_key(name) && !stations.is_empty() {
        let ends = match path {
            "entry" => &[],
            path if path.ends_with(".join.of") => &[],
            _ => Target::ENDS.as_slice(),
        };
        let names = stations
            .keys()
            .map(Name::as_str)
            .chain(ends.iter().copied());
        problems.push(
            draft
                .problem(path, format!("unknown station `{name}`"))
                .hint(known(name, names)),
        );
    }
}

/// Where the target of a port's `n`-th rule is written.
pub(crate) fn target_path(draft: &Draft, station: &str, port: &str, n: usize) -> String {
    let next = format!("stations.{station}.next");
    let of_port = format!("{next}.{port}");
    let rules = if draft.stated(&of_port).is_some() {
        of_port
    } else {
        next
    };
    let rule = format!("{rules}.{n}.to");
    if draft.stated(&rule).is_some() {
        rule
    } else {
        rules
    }
}
