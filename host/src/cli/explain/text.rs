//! The facts for people: what a station is, what it may touch, what it may use, where it leads.

use crate::cli::print;
use serde_json::{Value, json};

pub(super) fn text(about: &Value) -> anyhow::Result<()> {
    if !about["ask"].is_null() {
        return asks(about);
    }
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
    if !about["factory"].is_null() {
        print::text(&format!("factory   {}", word(&about["factory"])))?;
    }
    print::text("files")?;
    for mount in list(&about["mounts"]) {
        let mut text = format!(
            "  {:<5} {} = {} ({})",
            word(&mount["access"]),
            word(&mount["guest"]),
            word(&mount["host"]),
            word(&mount["from"])
        );
        for key in ["quota", "max-files"] {
            if let Some(value) = mount.get(key).filter(|value| !value.is_null()) {
                text.push_str(&format!(", {key} {}", word(value)));
            }
        }
        print::text(&(text + &ceiling(mount)))?;
    }
    network(about)?;
    secrets(about)?;
    let missing = list(&about["not-given"]);
    if !missing.is_empty() {
        print::text("asked for and not given")?;
    }
    for need in missing {
        let by = match need["by"].as_str() {
            Some("ceiling") => "the ceiling does not admit it",
            _ => "the line does not grant it",
        };
        print::text(&format!(
            "  {} ({}): {by}",
            word(&need["what"]),
            word(&need["why"])
        ))?;
    }
    print::text("limits of a visit")?;
    settings(&about["limits"])?;
    print::text("rate of the station")?;
    settings(&about["rate"])?;
    print::text("on the line")?;
    for name in ["workers", "queue", "retry", "violation", "clock", "worker"] {
        setting(name, &about[name])?;
    }
    for name in ["visits", "join", "config", "args", "env"] {
        let value = &about[name];
        let empty = value.is_null() || *value == json!({}) || *value == json!([]);
        if !empty {
            print::text(&format!("  {name:<9} {}", word(value)))?;
        }
    }
    if !about["hold"].is_null() {
        print::text("questions")?;
        hold(&about["hold"])?;
    }
    ports(&about["ports"])
}

/// A station where the line asks: it has no component, so there is nothing else to be said of it.
fn asks(about: &Value) -> anyhow::Result<()> {
    let name = word(&about["station"]);
    print::text(&format!("station   {name} ({})", word(&about["kind"])))?;
    print::text(&format!("question  {}", word(&about["ask"]["prompt"])))?;
    hold(&about["hold"])?;
    if !about["visits"].is_null() {
        print::text(&format!("  visits    {}", word(&about["visits"])))?;
    }
    ports(&about["ports"])
}

fn hold(hold: &Value) -> anyhow::Result<()> {
    print::text(&format!("  answers   {}", word(&hold["who"])))?;
    Ok(print::text(&format!(
        "  then      {}",
        word(&hold["then"])
    ))?)
}

fn ports(all: &Value) -> anyhow::Result<()> {
    print::text("ports")?;
    for (port, rules) in all.as_object().into_iter().flatten() {
        let rules: Vec<String> = list(rules).iter().map(word).collect();
        print::text(&format!("  {port:<8} → {}", rules.join(", ")))?;
    }
    Ok(())
}

fn network(about: &Value) -> anyhow::Result<()> {
    let (http, tcp) = (list(&about["http"]), list(&about["tcp"]));
    if http.is_empty() && tcp.is_empty() {
        print::text("network   none")?;
    } else {
        print::text("network")?;
    }
    for grant in http {
        print::text(&format!(
            "  {} ({}){}",
            word(&grant["rule"]),
            word(&grant["from"]),
            ceiling(grant)
        ))?;
        let mut with = flags(grant);
        for key in ["max-response", "timeout"] {
            with.push(format!("{key} {}", word(&grant[key])));
        }
        print::text(&format!("    {}", with.join(", ")))?;
    }
    for grant in tcp {
        print::text(&format!(
            "  connect {} ({}){}",
            word(&grant["to"]),
            word(&grant["from"]),
            ceiling(grant)
        ))?;
        let with = flags(grant);
        if !with.is_empty() {
            print::text(&format!("    {}", with.join(", ")))?;
        }
    }
    for import in list(&about["closed-imports"]) {
        print::text(&format!("  linked closed: {}", word(import)))?;
    }
    Ok(())
}

fn secrets(about: &Value) -> anyhow::Result<()> {
    let secrets = list(&about["secrets"]);
    if secrets.is_empty() {
        return Ok(print::text("secrets   none")?);
    }
    print::text("secrets")?;
    for grant in secrets {
        print::text(&format!(
            "  {} into {} for {} ({}){}",
            word(&grant["name"]),
            word(&grant["into"]),
            word(&grant["for"]),
            word(&grant["from"]),
            ceiling(grant)
        ))?;
    }
    Ok(())
}

fn flags(grant: &Value) -> Vec<String> {
    ["private", "idempotent", "resample"]
        .into_iter()
        .filter(|key| grant[*key] == json!(true))
        .map(Into::into)
        .collect()
}

/// What the ceiling leaves of a grant, behind it.
fn ceiling(grant: &Value) -> String {
    let left = &grant["ceiling"];
    let by: Vec<String> = list(&left["by"])
        .iter()
        .map(|entry| format!("`{}` ({})", word(&entry["rule"]), word(&entry["from"])))
        .collect();
    match left["left"].as_str() {
        None => String::new(),
        Some("whole") => format!(", admitted by {}", by.join(", ")),
        Some("part") => format!(", admitted in part by {}", by.join(", ")),
        Some(_) => ", closed by the ceiling".into(),
    }
}

fn settings(all: &Value) -> anyhow::Result<()> {
    let mut all = all.as_object().into_iter().flatten();
    all.try_for_each(|(name, value)| setting(name, value))
}

fn setting(name: &str, setting: &Value) -> anyhow::Result<()> {
    let (value, from) = (word(&setting["value"]), word(&setting["from"]));
    Ok(print::text(&format!("  {name:<11} {value:<10} ({from})"))?)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value) -> String {
    match value.as_str() {
        Some(text) => print::line(text),
        None => print::line(&value.to_string()),
    }
}
