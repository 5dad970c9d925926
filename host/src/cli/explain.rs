//! `andon explain`: what a station may do on a line, and why.

mod grants;
mod text;
mod would;

use super::{Done, print, state::FactoryArg};
use crate::{
    assembly::{Assembled, Assembly, AssemblyError, Part},
    catalogue::Kind,
    limits::{Limit, Limits},
    line::{
        Holding, Line, Missing, Rule, Station, Target,
        would::{Call, Would},
    },
    name::Name,
    problem::Place,
};
use grants::Grants;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Show what a station may do on a line: rights, limits, and where each comes from
///
/// With `--would`, whether one call would pass, who decides that, and what would have to be added where:
/// exit code 1 says that it would not.
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The line: its folder or `line.toml`.
    line: PathBuf,
    /// The station.
    station: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Ask about one call: `POST https://…`, `connect db:5432`, `read /data/x` or `write /data/x`.
    #[arg(long, value_name = "CALL")]
    would: Option<String>,
    #[command(flatten)]
    factory: FactoryArg,
}

impl Explain {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let call: Option<Call> = self.would.as_deref().map(str::parse).transpose()?;
        let assembly = Assembly {
            factory: self.factory.path(),
            state: None,
            exe: std::env::current_exe()?,
            say: &print::note,
        };
        let assembled = match assembly.assemble(&self.line) {
            Err(AssemblyError::Problems(problems)) => return Ok(super::check::wrong(&problems)),
            assembled => assembled?,
        };
        let (name, station) = assembled
            .draft
            .line
            .stations
            .get_key_value(self.station.as_str())
            .ok_or_else(|| unknown(&assembled.draft.line, &self.station))?;
        if let Some(call) = call {
            let would = Would {
                draft: &assembled.draft,
                factory: &assembled.factory,
                station: name,
                rights: &assembled.rights(name),
            };
            return would::print(&call, &would.pass(&call), self.json);
        }
        let about = about(&assembled, name, station);
        if self.json {
            print::json(&about)?;
        } else {
            text::text(&about)?;
        }
        Ok(Done::Well)
    }
}

/// A station that a line does not have.
pub(super) fn unknown(line: &Line, station: &str) -> anyhow::Error {
    let names: Vec<String> = line
        .stations
        .keys()
        .map(|name| format!("`{name}`"))
        .collect();
    anyhow::anyhow!(
        "line `{}` has no station `{}`\n  hint: it has {}",
        line.name,
        print::line(station),
        names.join(", ")
    )
}

fn about(assembled: &Assembled, name: &Name, station: &Station) -> Value {
    let draft = &assembled.draft;
    let at = |key: &str| {
        draft
            .stated(&format!("stations.{name}.{key}"))
            .or_else(|| draft.stated(&format!("defaults.{key}")))
    };
    let from = |place: Option<Place>| match place {
        Some(place) => format!("{}:{}", draft.file, place.line),
        None => "default".to_string(),
    };
    let setting = |key: &str, value: Value| json!({ "value": value, "from": from(at(key)) });
    let part = assembled.parts.get(name);
    let manifest = part.and_then(|part| part.component.manifest.as_ref());
    let defaults = Limits::default();
    let most = &assembled.factory.most;
    let limits: serde_json::Map<String, Value> = Limit::ALL
        .iter()
        .map(|limit| {
            let key = limit.key();
            let path = format!("limits.{key}");
            let mut limits = setting(&path, json!(station.limits.written(*limit)));
            let lowered =
                at(&path).is_none() && defaults.above(*limit, most) && *limit != Limit::Heartbeat;
            let place = assembled.factory.place(&format!("ceiling.limits.{key}"));
            if let (true, Some((file, place))) = (lowered, place) {
                limits["from"] = json!(format!("the ceiling, {file}:{}", place.line));
            }
            (key.to_string(), limits)
        })
        .collect();
    let rate = &station.rate;
    let rates: serde_json::Map<String, Value> = [
        ("requests", rate.requests.written(false)),
        ("connections", rate.connections.written(false)),
        ("bytes", rate.bytes.written(true)),
    ]
    .into_iter()
    .map(|(key, pace)| (key.into(), setting(&format!("rate.{key}"), json!(pace))))
    .collect();
    let grants = Grants {
        assembled,
        name,
        station,
        rights: assembled.rights(name),
    };
    let requires = manifest.map(|manifest| &manifest.requires);
    let worker = match draft.line.worker {
        Some(worker) => json!(worker),
        None => json!("not said"),
    };
    json!({
        "station": name,
        "component": part.map(|part| part.component.source.display().to_string()),
        "digest": part.map(|part| part.component.digest),
        "kind": part.map_or_else(|| "the line asks".into(), |part| part.kind.to_string()),
        "ask": station.ask.as_ref().map(|ask| json!({ "prompt": ask.prompt, "choices": ask.choices })),
        "hold": part.is_none_or(asks).then(|| hold(station)),
        "manifest": manifest.map(|m| json!({ "name": m.name, "version": m.version, "description": m.description })),
        "factory": assembled.factory.file,
        "mounts": grants.mounts(),
        "http": grants.http(),
        "tcp": grants.tcp(),
        "secrets": grants.secrets(),
        "not-given": requires.map(|requires| grants.not_given(requires)).unwrap_or_default(),
        "closed-imports": part.map(|part| grants.closed(&part.compiled.facts().imports)).unwrap_or_default(),
        "limits": limits,
        "rate": rates,
        "violation": setting("violation", json!(station.violation)),
        "clock": setting("clock", json!(station.clock)),
        "worker": { "value": worker, "from": from(draft.stated("worker")) },
        "workers": setting("workers", json!(station.workers)),
        "queue": setting("queue", json!(station.queue)),
        "retry": setting("retry", json!(format!(
            "{} attempts, {} to {} apart", station.retry.attempts,
            humantime::format_duration(station.retry.first), humantime::format_duration(station.retry.longest)
        ))),
        "visits": station.visits,
        "join": station.join.as_ref().map(|join| json!({
            "of": join.of, "after": join.after.map(|after| humantime::format_duration(after).to_string()),
            "missing": match join.missing { Missing::Jam => "jam", Missing::Pass => "pass" },
        })),
        "config": station.config,
        "args": station.args,
        "env": station.env.keys().collect::<Vec<_>>(),
        "ports": station.next.iter().map(|(port, rules)| (port.to_string(), rules.iter().map(rule).collect()))
            .collect::<serde_json::Map<String, Value>>(),
    })
}

/// Whether a component can ask: what `hold` says of other kinds has no effect.
fn asks(part: &Part) -> bool {
    matches!(part.kind, Kind::Typed | Kind::TypedAsync)
}

/// Who may answer a question here, and what happens where nobody does.
fn hold(station: &Station) -> Value {
    let Holding {
        within,
        otherwise,
        not_submitter,
    } = &station.hold;
    let within = within.map(|within| humantime::format_duration(within).to_string());
    let after = match (&within, otherwise) {
        (None, _) => "it waits for an answer, at most until its deadline; then it jams".into(),
        (Some(within), None) => format!("without an answer within {within} it jams"),
        (Some(within), Some(choice)) => {
            format!("without an answer within {within} `{choice}` is taken")
        }
    };
    let who = if *not_submitter {
        "anyone who may operate the line, but not who submitted the item"
    } else {
        "anyone who may operate the line"
    };
    json!({ "who": who, "within": within, "otherwise": otherwise, "then": after })
}

fn rule(rule: &Rule) -> Value {
    let to = match &rule.to {
        Target::Station(name) => name.as_str(),
        Target::Done => "done",
        Target::Scrap => "scrap",
    };
    if rule.when.is_empty() {
        json!(to)
    } else {
        json!({ "when": rule.when, "to": to })
    }
}
