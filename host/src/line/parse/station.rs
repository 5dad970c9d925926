//! Reads one station of a line.

use super::{
    super::{
        Asset, Clocking, Holding, Join, Missing, Station, Vars,
        reader::{Node, Reader},
    },
    grants, hold, host, is_path, next,
    settings::Defaults,
};
use crate::{grant::Grants, name::Name, problem::shown};
use std::{collections::BTreeMap, path::PathBuf};
use toml::de::DeValue;

/// Reads `stations.<name>`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    defaults: &Defaults,
    vars: &Vars,
) -> Station {
    let mut settings = defaults.clone();
    let mut station = Station {
        r#use: PathBuf::new(),
        next: BTreeMap::new(),
        config: BTreeMap::new(),
        assets: Vec::new(),
        args: Vec::new(),
        env: BTreeMap::new(),
        exits: BTreeMap::new(),
        workers: settings.workers,
        queue: settings.queue,
        ask: None,
        hold: Holding::default(),
        visits: None,
        join: None,
        retry: settings.retry.clone(),
        limits: settings.limits.clone(),
        grants: Grants::default(),
        rate: settings.rate.clone(),
        violation: settings.violation,
        clock: Clocking::default(),
    };
    let Some(fields) = reader.table(node) else {
        return station;
    };
    settings.set(reader, &fields);
    station.retry = settings.retry;
    station.limits = settings.limits;
    station.workers = settings.workers;
    station.queue = settings.queue;
    station.rate = settings.rate;
    station.violation = settings.violation;
    if let Some(node) = fields.get("use") {
        station.r#use = source(reader, &node);
    }
    if let Some(node) = fields.get("next") {
        station.next = next::read(reader, &node);
    }
    if let Some(node) = fields.get("config") {
        for (name, at, value) in reader.map(&node) {
            if name.is_empty() || name.contains('\0') || name.len() > 256 {
                reader.problem(
                    at,
                    format!("`{}` is no name of a setting", shown(name)),
                    Some("1 to 256 bytes without NUL are".into()),
                );
            }
            if let Some(value) = config(reader, &value, vars) {
                station.config.insert(name.into(), value);
            }
        }
    }
    if let Some(node) = fields.get("assets") {
        let list = reader.list(&node);
        station.assets = list
            .iter()
            .filter_map(|node| asset(reader, node, vars))
            .collect();
    }
    if let Some(node) = fields.get("args") {
        for node in reader.list(&node) {
            station.args.push(filled(reader, &node, vars));
        }
    }
    if let Some(node) = fields.get("env") {
        for (name, _, value) in reader.map(&node) {
            let value = filled(reader, &value, vars);
            station.env.insert(name.into(), value);
        }
    }
    if let Some(node) = fields.get("exits") {
        exits(reader, &node, &mut station.exits);
    }
    if fields.get("clock").and_then(|node| reader.one_of(&node)) == Some("real") {
        station.clock = Clocking::Real;
    }
    station.visits = fields.get("visits").and_then(|node| reader.count(&node));
    station.join = fields.get("join").and_then(|node| join(reader, &node));
    if let Some(node) = fields.get("grants") {
        station.grants = grants::read(reader, &node, vars);
    }
    if let Some(node) = fields.get("hold") {
        station.hold = hold::hold(reader, &node);
    }
    if let Some(node) = fields.get("ask") {
        // what could not be read was meant as a question all the same
        let (ask, holding) = hold::ask(reader, &node).unwrap_or_default();
        (station.ask, station.hold) = (Some(ask), holding);
    }
    station
}

/// A text with its variables filled in.
fn filled(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> String {
    reader
        .text(node)
        .and_then(|text| vars.fill(reader, node, text))
        .unwrap_or_default()
}

/// Reads `use`, and says of what is no path here what it will be one day.
fn source(reader: &mut Reader<'_>, node: &Node<'_>) -> PathBuf {
    let Some(text) = reader.text(node) else {
        return PathBuf::new();
    };
    let here = text.starts_with(['.', '/']);
    let script = [".py", ".js", ".mjs", ".ts", ".sh", ".rb", ".lua"];
    let later = if text.contains("://") {
        Some("registries")
    } else if !here
        && text
            .split_once('@')
            .is_some_and(|(name, _)| Name::fits(name))
    {
        Some("a catalogue's versions")
    } else if script.iter().any(|end| text.ends_with(end)) {
        Some("scripts")
    } else {
        None
    };
    if let Some(what) = later {
        reader.spoil(
            node,
            format!("`use = \"{}\"`: {what} are not supported yet", shown(text)),
            Some(
                "name a station's folder, a `.wasm` or a `.wat` file; a path may begin with `./`"
                    .into(),
            ),
        );
    } else if text.contains("${") {
        reader.spoil(
            node,
            "`use` takes no variables",
            Some("write the path out".into()),
        );
    } else if !is_path(text) {
        reader.spoil(
            node,
            format!("`{}` is no path", shown(text)),
            Some("name a station's folder, a `.wasm` or a `.wat` file".into()),
        );
    }
    PathBuf::from(text)
}

fn asset(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Option<Asset> {
    let fields = reader.table(node)?;
    let host = fields
        .get("host")
        .and_then(|node| host(reader, &node, vars));
    let guest = fields.get("guest").and_then(|node| reader.text(&node));
    Some(Asset {
        host: host.unwrap_or_default(),
        guest: guest.unwrap_or_default().into(),
    })
}

fn join(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Join> {
    let fields = reader.table(node)?;
    let of = fields.get("of").and_then(|node| reader.name(&node));
    let after = fields.get("after").and_then(|node| reader.time(&node));
    let missing = fields.get("missing");
    if let Some(node) = &missing
        && fields.get("after").is_none()
    {
        reader.problem(
            node.span.start,
            "`missing` without `after` has no effect",
            Some("say with `after` how long the join waits, or take `missing` out".into()),
        );
    }
    let missing = missing.and_then(|node| reader.one_of(&node));
    Some(Join {
        of: of?,
        after,
        missing: match missing {
            Some("pass") => Missing::Pass,
            _ => Missing::Jam,
        },
    })
}

fn exits(reader: &mut Reader<'_>, node: &Node<'_>, exits: &mut BTreeMap<i32, Name>) {
    for (text, at, node) in reader.map(node) {
        let code = text
            .parse::<u8>()
            .ok()
            .filter(|code| code.to_string() == *text);
        let port = reader.name(&node);
        match (code, port) {
            (Some(code @ (0 | 75)), _) => reader.problem(
                at,
                format!("the exit code {code} has a meaning of its own"),
                Some("0 is `pass` and 75 asks for a retry; take it out".into()),
            ),
            (None, _) => reader.problem(
                at,
                format!("`{}` is no exit code", shown(text)),
                Some("a whole number from 1 to 255 is, without zeros before it".into()),
            ),
            (Some(code), Some(port)) => {
                exits.insert(code.into(), port);
            }
            (Some(_), None) => {}
        }
    }
}

/// A setting as JSON; none where JSON has nothing like it.
fn config(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Option<serde_json::Value> {
    let value = match node.value {
        DeValue::String(text) => vars.fill(reader, node, text)?.into(),
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Integer(number) => {
            let whole = i64::from_str_radix(number.as_str(), number.radix());
            let Ok(whole) = whole else {
                reader.spoil(
                    node,
                    "the number is larger than 64 bits hold",
                    Some("write it as text".into()),
                );
                return None;
            };
            whole.into()
        }
        DeValue::Float(number) => {
            let finite = number
                .as_str()
                .parse::<f64>()
                .ok()
                .and_then(serde_json::Number::from_f64);
            let Some(finite) = finite else {
                reader.spoil(
                    node,
                    format!("JSON has no number `{}`", shown(number.as_str())),
                    Some("write it as text".into()),
                );
                return None;
            };
            finite.into()
        }
        DeValue::Array(array) => {
            let values = array
                .iter()
                .map(|value| config(reader, &node.inner(value), vars));
            values.collect::<Option<Vec<_>>>()?.into()
        }
        DeValue::Table(table) => {
            let mut map = serde_json::Map::new();
            for (key, value) in table {
                let value = config(reader, &node.inner(value), vars)?;
                map.insert(key.get_ref().to_string(), value);
            }
            map.into()
        }
    };
    Some(value)
}
