//! `andon explain`: what a station may do on a line, and why.

use super::{Done, print, state::FactoryArg};
use crate::{
    assembly::{Assembled, Assembly, AssemblyError},
    limits::Limit,
    line::{Line, Missing, Rule, Station, Target},
    name::Name,
    problem::Place,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Show what a station may do on a line: rights, limits, and where each comes from
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The line: its folder or `line.toml`.
    line: PathBuf,
    /// The station.
    station: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    factory: FactoryArg,
}

impl Explain {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let assembly = Assembly {
            factory: self.factory.path(),
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
        let about = about(&assembled, name, station);
        if self.json {
            print::json(&about)?;
        } else {
            text(&about)?;
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
    let part = &assembled.parts[name];
    let manifest = part.component.manifest.as_ref();
    let limits: serde_json::Map<String, Value> = Limit::ALL
        .iter()
        .map(|limit| {
            let key = limit.key();
            (
                key.to_string(),
                setting(
                    &format!("limits.{key}"),
                    json!(station.limits.written(*limit)),
                ),
            )
        })
        .collect();
    let mounts: Vec<Value> = std::iter::once(json!({
        "guest": "/workspace", "access": "write", "host": "the item's own directory", "from": "always",
    }))
    .chain(station.assets.iter().enumerate().map(|(i, asset)| {
        json!({
            "guest": asset.guest, "access": "read", "host": asset.host,
            "from": from(draft.stated(&format!("stations.{name}.assets.{i}.guest"))),
        })
    }))
    .chain(station.grants.fs.iter().enumerate().map(|(i, mount)| {
        json!({
            "guest": mount.guest, "access": mount.access, "host": mount.host,
            "from": from(draft.stated(&format!("stations.{name}.grants.fs.{i}.guest"))),
        })
    }))
    .collect();
    let given: Vec<&str> = station
        .assets
        .iter()
        .map(|asset| asset.guest.as_str())
        .chain(station.grants.fs.iter().map(|mount| mount.guest.as_str()))
        .collect();
    let missing: Vec<Value> = manifest
        .iter()
        .flat_map(|manifest| &manifest.requires.fs)
        .filter(|need| !given.contains(&need.guest.as_str()))
        .map(|need| json!({ "fs": need.guest, "access": need.access, "why": need.why, "optional": need.optional }))
        .collect();
    let closed: Vec<&str> = part
        .compiled
        .facts()
        .imports
        .iter()
        .map(String::as_str)
        .filter(|import| {
            import.starts_with("wasi:sockets")
                || import.starts_with("wasi:http/outgoing")
                || import.starts_with("wasi:http/client")
        })
        .collect();
    json!({
        "station": name,
        "component": part.component.source.display().to_string(),
        "digest": part.component.digest,
        "kind": part.kind.to_string(),
        "manifest": manifest.map(|m| json!({ "name": m.name, "version": m.version, "description": m.description })),
        "factory": assembled.factory.as_ref().map(|file| file.display().to_string()),
        "mounts": mounts,
        "not-given": missing,
        "closed-imports": closed,
        "network": [],
        "secrets": [],
        "limits": limits,
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

/// The same for people: what it is, what it may touch, what it may use, where it leads.
fn text(about: &Value) -> anyhow::Result<()> {
    let word = |value: &Value| {
        print::line(
            &value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_string),
        )
    };
    print::text(&format!(
        "station   {} ({})",
        word(&about["station"]),
        word(&about["kind"])
    ))?;
    if let Some(manifest) = about["manifest"].as_object() {
        let (name, version) = (word(&manifest["name"]), word(&manifest["version"]));
        print::text(&format!(
            "          {name} {version}: {}",
            word(&manifest["description"])
        ))?;
    }
    print::text(&format!("component {}", word(&about["component"])))?;
    let digest: String = word(&about["digest"]).chars().take(12).collect();
    print::text(&format!("digest    {digest}"))?;
    print::text("files")?;
    for mount in about["mounts"].as_array().into_iter().flatten() {
        print::text(&format!(
            "  {:<5} {} = {} ({})",
            word(&mount["access"]),
            word(&mount["guest"]),
            word(&mount["host"]),
            word(&mount["from"])
        ))?;
    }
    for need in about["not-given"].as_array().into_iter().flatten() {
        print::text(&format!(
            "  asked for and not given: {} {} ({})",
            word(&need["access"]),
            word(&need["fs"]),
            word(&need["why"])
        ))?;
    }
    print::text("network   none")?;
    for import in about["closed-imports"].as_array().into_iter().flatten() {
        print::text(&format!("  linked closed: {}", word(import)))?;
    }
    print::text("secrets   none")?;
    print::text("limits of a visit")?;
    for (name, limit) in about["limits"].as_object().into_iter().flatten() {
        print::text(&format!(
            "  {name:<8} {:<10} ({})",
            word(&limit["value"]),
            word(&limit["from"])
        ))?;
    }
    print::text("on the line")?;
    for name in ["workers", "queue", "retry"] {
        let setting = &about[name];
        print::text(&format!(
            "  {name:<8} {:<10} ({})",
            word(&setting["value"]),
            word(&setting["from"])
        ))?;
    }
    for (name, title) in [
        ("visits", "visits"),
        ("join", "join"),
        ("config", "config"),
        ("args", "args"),
        ("env", "env"),
    ] {
        let value = &about[name];
        let empty = value.is_null() || *value == json!({}) || *value == json!([]);
        if !empty {
            print::text(&format!("  {title:<8} {}", word(value)))?;
        }
    }
    print::text("ports")?;
    for (port, rules) in about["ports"].as_object().into_iter().flatten() {
        let rules: Vec<String> = rules.as_array().into_iter().flatten().map(word).collect();
        print::text(&format!("  {port:<8} → {}", rules.join(", ")))?;
    }
    Ok(())
}
