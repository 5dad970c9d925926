//! Checks of one station: its ports and rules, exits, guest paths, arguments, environment.

use super::{grants, target_path};
use crate::{
    grant::{guest_path, within},
    limits::Limit,
    line::{Draft, Station, reader::known},
    name::Name,
    problem::{Problem, shown},
};

pub(super) fn check(draft: &Draft, name: &Name, station: &Station, problems: &mut Vec<Problem>) {
    let path = format!("stations.{name}");
    if draft.sound(&format!("{path}.next")) {
        ports(draft, name, station, problems);
    }
    asks(draft, name, station, problems);
    exits(draft, &path, station, problems);
    guests(draft, &path, station, problems);
    command(draft, &path, station, problems);
    grants::check(draft, &path, &station.grants, problems);
}

fn ports(draft: &Draft, name: &Name, station: &Station, problems: &mut Vec<Problem>) {
    let path = format!("stations.{name}.next");
    if station.next.is_empty() {
        problems.push(
            draft
                .problem(&path, format!("station `{name}` wires no port"))
                .hint("`next = \"done\"` ends the line there"),
        );
    }
    if station.next.contains_key(Name::EXHAUSTED) && station.visits.is_none() {
        problems.push(
            draft
                .problem(
                    &format!("{path}.exhausted"),
                    "nothing leaves by `exhausted` of a station without `visits`",
                )
                .hint("say with `visits` how often one item may come there"),
        );
    }
    for (port, rules) in &station.next {
        // An item that fits no rule would jam for a reason that can be known now.
        match rules.iter().position(|rule| rule.when.is_empty()) {
            None if !rules.is_empty() => problems.push(
                draft
                    .problem(
                        &target_path(draft, name, port, rules.len() - 1),
                        format!("the port `{port}` leads nowhere for an item that fits no rule"),
                    )
                    .hint("end the list with a rule without `when`, such as `{ to = \"done\" }`"),
            ),
            Some(last) if last + 1 < rules.len() => problems.push(
                draft
                    .problem(
                        &target_path(draft, name, port, last + 1),
                        "nothing comes to this rule: one before it has no `when`",
                    )
                    .hint("the first rule that fits is taken; put the one without `when` last"),
            ),
            _ => {}
        }
        for (n, rule) in rules.iter().enumerate() {
            if !rule.when.is_empty() && rules[..n].iter().any(|before| before.when == rule.when) {
                problems.push(
                    draft
                        .problem(
                            &target_path(draft, name, port, n),
                            "nothing comes to this rule: one before it has the same `when`",
                        )
                        .hint("the first rule that fits is taken; take one of the two out"),
                );
            }
        }
    }
}

/// What makes sense only where a component runs.
const OF_COMPONENTS: [&str; 14] = [
    "use",
    "config",
    "assets",
    "args",
    "env",
    "exits",
    "workers",
    "queue",
    "join",
    "retry",
    "grants",
    "rate",
    "violation",
    "hold",
];

/// A station where the line asks: nothing that is for components, and choices that are ports.
fn asks(draft: &Draft, name: &Name, station: &Station, problems: &mut Vec<Problem>) {
    let Some(ask) = &station.ask else { return };
    let path = format!("stations.{name}");
    let limits = (Limit::ALL.iter())
        .filter(|limit| **limit != Limit::Visits)
        .map(|limit| format!("limits.{}", limit.key()));
    for key in OF_COMPONENTS.iter().map(ToString::to_string).chain(limits) {
        let at = format!("{path}.{key}");
        if draft.stated(&at).is_some() {
            let hint = match key.as_str() {
                "hold" => "say `within`, `otherwise` and `not` in `ask`",
                "use" => "a component asks by itself; take one of the two out",
                "join" => "let a station before it join",
                _ => "no component runs here; take it out",
            };
            problems.push(
                draft
                    .problem(&at, format!("`{key}` is nothing for a station that asks"))
                    .hint(hint),
            );
        }
    }
    let sound = |key: &str| draft.sound(&format!("{path}.{key}"));
    if !sound("next") || !sound("ask") {
        return;
    }
    for (n, choice) in ask.choices.iter().enumerate() {
        let at = format!("{path}.ask.choices.{n}");
        if *choice == Name::EXHAUSTED {
            problems.push(
                draft
                    .problem(
                        &at,
                        format!("nobody can choose `{choice}`: it is the host's own"),
                    )
                    .hint("name another port"),
            );
        } else if !station.next.contains_key(choice) {
            problems.push(
                draft
                    .problem(&at, format!("the port `{choice}` is not wired"))
                    .hint(format!("say in `next` where `{choice}` leads")),
            );
        }
    }
    for port in station.next.keys() {
        if *port != Name::EXHAUSTED && !ask.choices.contains(port) {
            problems.push(
                draft
                    .problem(
                        &format!("{path}.next.{port}"),
                        format!("nothing leaves by `{port}`: it is no choice"),
                    )
                    .hint("name it in `choices`, or take it out"),
            );
        }
    }
    if let Some(otherwise) = &station.hold.otherwise
        && !ask
            .choices
            .iter()
            .any(|choice| choice == otherwise.as_str())
    {
        let choices = ask.choices.iter().map(Name::as_str);
        problems.push(
            draft
                .problem(
                    &format!("{path}.ask.otherwise"),
                    format!("`{}` is no choice", shown(otherwise)),
                )
                .hint(known(otherwise, choices)),
        );
    }
}

fn exits(draft: &Draft, path: &str, station: &Station, problems: &mut Vec<Problem>) {
    for (code, port) in &station.exits {
        let at = format!("{path}.exits.{code}");
        if *port == Name::EXHAUSTED || *port == Name::REJECT {
            problems.push(
                draft
                    .problem(
                        &at,
                        format!("no exit code leads to `{port}`: the host's own"),
                    )
                    .hint("a code that is not listed rejects the item; name another port"),
            );
        } else if !station.next.contains_key(port) && draft.sound(&format!("{path}.next")) {
            problems.push(
                draft
                    .problem(&at, format!("the port `{port}` is not wired"))
                    .hint(format!("say in `next` where `{port}` leads")),
            );
        }
    }
}

/// Guest paths of assets and mounts: clean, not the host's own, none within another.
fn guests(draft: &Draft, path: &str, station: &Station, problems: &mut Vec<Problem>) {
    let assets = station.assets.iter().map(|asset| &asset.guest).enumerate();
    let mounts = station
        .grants
        .fs
        .iter()
        .map(|mount| &mount.guest)
        .enumerate();
    let all = assets
        .map(|(n, guest)| (format!("{path}.assets.{n}.guest"), guest))
        .chain(mounts.map(|(n, guest)| (format!("{path}.grants.fs.{n}.guest"), guest)));
    let mut before: Vec<&String> = Vec::new();
    for (at, guest) in all.filter(|(at, _)| draft.sound(at)) {
        if let Err(bad) = guest_path(guest) {
            problems.push(
                draft
                    .problem(
                        &at,
                        format!("`{}` is no place for a guest: {bad}", shown(guest)),
                    )
                    .hint("an absolute path such as `/rules` is meant"),
            );
            continue;
        }
        if let Some(other) = before
            .iter()
            .find(|other| within(guest, other) || within(other, guest))
        {
            let relation = if *other == guest {
                "there twice"
            } else {
                "within or around another"
            };
            problems.push(
                draft
                    .problem(&at, format!("`{}` is {relation}", shown(guest)))
                    .hint(format!(
                        "assets and folders of a station stand beside each other; `{}` is taken",
                        shown(other)
                    )),
            );
        }
        before.push(guest);
    }
}

fn command(draft: &Draft, path: &str, station: &Station, problems: &mut Vec<Problem>) {
    for (n, arg) in station.args.iter().enumerate() {
        if arg.contains('\0') {
            problems.push(draft.problem(
                &format!("{path}.args.{n}"),
                "an argument cannot have a NUL in it",
            ));
        }
    }
    for (name, value) in &station.env {
        let at = format!("{path}.env.{name}");
        let mut bytes = name.bytes();
        let fits = bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !fits {
            problems.push(
                draft
                    .problem(
                        &at,
                        format!(
                            "`{}` is no name of a variable of the environment",
                            shown(name)
                        ),
                    )
                    .hint("letters, digits and `_` are allowed, and no digit first"),
            );
        } else if name.starts_with("ANDON_") {
            problems.push(
                draft
                    .problem(&at, format!("`{}` is the host's to set", shown(name)))
                    .hint("give it a name that does not begin with `ANDON_`"),
            );
        }
        if value.contains('\0') {
            problems.push(draft.problem(
                &at,
                format!("the value of `{}` cannot have a NUL in it", shown(name)),
            ));
        }
    }
}
