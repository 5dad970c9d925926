//! One station against its component: kind, imports, ports, configuration, needs.

use super::{Kind, Known};
use crate::{
    limits::Limits,
    line::{Draft, Station, reader::known as hint},
    manifest::{ConfigKey, ConfigType, Manifest},
    name::Name,
    problem::{Problem, shown},
};
use serde_json::Value;

pub(super) fn fit(
    draft: &Draft,
    name: &Name,
    station: &Station,
    known: &Known,
    problems: &mut Vec<Problem>,
) {
    let path = format!("stations.{name}");
    for import in &known.imports_unknown {
        problems.push(
            draft
                .problem(
                    &format!("{path}.use"),
                    format!(
                        "station `{name}` imports `{}`, which nobody knows",
                        shown(import)
                    ),
                )
                .hint("build it for the interfaces of andon and WASI only, or use a newer andon"),
        );
    }
    if known.kind != Kind::Command {
        for (key, used) in [
            ("args", !station.args.is_empty()),
            ("env", !station.env.is_empty()),
            ("exits", !station.exits.is_empty()),
        ] {
            if used {
                problems.push(
                    draft
                        .problem(
                            &format!("{path}.{key}"),
                            format!("`{key}` is for programs, and `{name}` is none"),
                        )
                        .hint("give it what it needs as `config`"),
                );
            }
        }
    }
    let beats = station.limits.heartbeat != Limits::NO_HEARTBEAT;
    if beats && !known.reports {
        let own = format!("{path}.limits.heartbeat");
        let at = match draft.stated(&own) {
            Some(_) => own,
            None => "defaults.limits.heartbeat".into(),
        };
        problems.push(
            draft
                .problem(
                    &at,
                    format!("station `{name}` never reports progress, so that a heartbeat would end each visit"),
                )
                .hint("set `heartbeat` only for stations that import `andon:station/progress`; `wall` bounds all"),
        );
    }
    ports(draft, name, station, known, problems);
    if let Some(manifest) = &known.manifest {
        config(draft, &path, station, manifest, problems);
    }
}

fn ports(
    draft: &Draft,
    name: &Name,
    station: &Station,
    known: &Known,
    problems: &mut Vec<Problem>,
) {
    let path = format!("stations.{name}.next");
    let missing = |port: &str| {
        draft
            .problem(
                &path,
                format!("the port `{port}` of station `{name}` is not wired"),
            )
            .hint(format!(
                "say in `next` where it leads: `{port} = \"done\"` ends the line there"
            ))
    };
    let listed = known.manifest.as_ref().map(|manifest| &manifest.ports);
    let Some(listed) = listed.filter(|ports| !ports.is_empty()) else {
        // who lists no ports may at least use the default one
        if !station.next.contains_key(Name::PASS) {
            problems.push(missing(Name::PASS));
        }
        return;
    };
    for port in listed.keys() {
        if !station.next.contains_key(port.as_str()) {
            problems.push(missing(&shown(port)));
        }
    }
    for port in station.next.keys() {
        let own = *port == Name::REJECT || *port == Name::EXHAUSTED;
        let by_exit = station.exits.values().any(|exit| exit == port);
        if !own && !by_exit && !listed.contains_key(port.as_str()) {
            let at = format!("{path}.{port}");
            problems.push(
                draft
                    .problem(&at, format!("station `{name}` has no port `{port}`"))
                    .hint(hint(port, listed.keys().map(String::as_str))),
            );
        }
    }
}

fn config(
    draft: &Draft,
    path: &str,
    station: &Station,
    manifest: &Manifest,
    problems: &mut Vec<Problem>,
) {
    for (name, value) in &station.config {
        let at = format!("{path}.config.{name}");
        match manifest.config.get(name) {
            None => problems.push(
                draft
                    .problem(
                        &at,
                        format!(
                            "`{}` knows no setting `{}`",
                            shown(&manifest.name),
                            shown(name)
                        ),
                    )
                    .hint(hint(name, manifest.config.keys().map(String::as_str))),
            ),
            Some(key) if !admits(key, value) => problems.push(
                draft
                    .problem(
                        &at,
                        format!(
                            "the setting `{}` is {}",
                            shown(name),
                            shown(&value.to_string())
                        ),
                    )
                    .hint(format!("its type is {}", key.kind.as_str())),
            ),
            Some(_) => {}
        }
    }
    for (name, key) in manifest.config.iter().filter(|(_, key)| key.required) {
        if !station.config.contains_key(name) {
            let at = format!("{path}.config");
            problems.push(
                draft
                    .problem(
                        &at,
                        format!(
                            "`{}` needs the setting `{}`",
                            shown(&manifest.name),
                            shown(name)
                        ),
                    )
                    .hint(format!(
                        "set it in `config`; its type is {}",
                        key.kind.as_str()
                    )),
            );
        }
    }
}

/// Whether a value is of a setting's type. The guest reads text, so `"4.5"`, as a variable gives it, is as
/// good a number as `4.5`.
fn admits(key: &ConfigKey, value: &Value) -> bool {
    if key.kind.admits(value) {
        return true;
    }
    match (key.kind, value) {
        (ConfigType::Number | ConfigType::Integer | ConfigType::Boolean, Value::String(text)) => {
            serde_json::from_str(text).is_ok_and(|value| key.kind.admits(&value))
        }
        _ => false,
    }
}
