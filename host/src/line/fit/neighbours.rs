//! Neighbours on a line: whether what leaves by a port is what the next station takes.

use super::{Known, schema};
use crate::{
    line::{Draft, Target, check::target_path},
    name::Name,
    problem::{Problem, shown},
};
use std::collections::BTreeMap;

pub(super) fn fit(draft: &Draft, known: &BTreeMap<Name, Known>, problems: &mut Vec<Problem>) {
    let manifest = |name: &Name| known.get(name).and_then(|known| known.manifest.as_ref());
    for (name, station) in &draft.line.stations {
        let Some(from) = manifest(name) else { continue };
        for (port, rules) in &station.next {
            // the reserved ports carry what came in, which this station does not describe
            let Some(out) = from.ports.get(port.as_str()) else {
                continue;
            };
            for (n, rule) in rules.iter().enumerate() {
                let Target::Station(to) = &rule.to else {
                    continue;
                };
                let Some(input) = manifest(to).map(|manifest| &manifest.inputs) else {
                    continue;
                };
                let at = target_path(draft, name, port, n);
                if !meet(&out.types, &input.types) {
                    problems.push(
                        draft
                            .problem(
                                &at,
                                format!(
                                    "`{to}` takes {}, and `{name}` puts {} on `{port}`",
                                    listed(&input.types),
                                    listed(&out.types)
                                ),
                            )
                            .hint("put a station between them that turns the one into the other"),
                    );
                } else if let (Some(output), Some(input)) = (&out.schema, &input.schema)
                    && let Some(why) = schema::misfit(output, input)
                {
                    problems.push(
                        draft
                            .problem(
                                &at,
                                format!("`{to}` cannot take what `{name}` puts on `{port}`: {why}"),
                            )
                            .hint("compare the schemas in the two manifests"),
                    );
                }
            }
        }
    }
}

/// Whether one media type is both among what is put out and what is taken; none at all are all.
fn meet(out: &[String], input: &[String]) -> bool {
    out.is_empty()
        || input.is_empty()
        || out
            .iter()
            .any(|out| input.iter().any(|input| overlap(out, input)))
}

/// Whether a media type fits both, without regard to parameters and case.
fn overlap(a: &str, b: &str) -> bool {
    let halves = |text: &str| {
        let bare = text
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        bare.split_once('/')
            .map(|(kind, sub)| (kind.to_owned(), sub.to_owned()))
    };
    match (halves(a), halves(b)) {
        (Some((kind, sub)), Some((other_kind, other_sub))) => {
            let same = |a: &str, b: &str| a == "*" || b == "*" || a == b;
            same(&kind, &other_kind) && same(&sub, &other_sub)
        }
        // what is no media type cannot be judged
        _ => true,
    }
}

fn listed(types: &[String]) -> String {
    let types: Vec<_> = types
        .iter()
        .take(8)
        .map(|kind| format!("`{}`", shown(kind)))
        .collect();
    types.join(", ")
}
