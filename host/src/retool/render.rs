//! Values of a line as people read them, and how two of them differ. Whatever a line file comes to say is
//! compared, also what this module has no words for.

use super::plan::Difference;
use crate::{
    limits::{Limit, Limits},
    line::{Rule, Target},
};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, time::Duration};

/// What is another in two values that were written from the same type; tables below the first level are
/// compared entry by entry.
pub(super) fn difference(old: &Value, new: &Value) -> Vec<Difference> {
    let none = Map::new();
    let table = |value: &Value| value.as_object().cloned().unwrap_or_else(|| none.clone());
    let (old, new) = (table(old), table(new));
    let mut all = Vec::new();
    for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        match (old.get(key), new.get(key)) {
            (old, new) if old == new => {}
            (Some(Value::Object(old)), Some(Value::Object(new)))
                if time(old).is_none() && time(new).is_none() =>
            {
                let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
                for inner in keys {
                    let (old, new) = (old.get(inner), new.get(inner));
                    if old != new {
                        all.push(told(&format!("{key}.{inner}"), old, new));
                    }
                }
            }
            (old, new) => all.push(told(key, old, new)),
        }
    }
    all
}

/// The values of a table and of those in it, by their own names, but for labels; none where there is none.
pub(super) fn flat(value: Option<&Value>) -> Map<String, Value> {
    let mut all = Map::new();
    for (key, value) in value.and_then(Value::as_object).into_iter().flatten() {
        match value {
            Value::Object(inner) if time(inner).is_none() && key != "labels" => {
                all.extend(flat(Some(value)));
            }
            _ => drop(all.insert(key.clone(), value.clone())),
        }
    }
    all
}

fn told(what: &str, old: Option<&Value>, new: Option<&Value>) -> Difference {
    let written = |value: Option<&Value>| value.filter(|v| !v.is_null()).map(|v| value_of(what, v));
    Difference {
        what: what.into(),
        old: written(old),
        new: written(new),
    }
}

/// A value as a person would write it, as far as that is known.
fn value_of(what: &str, value: &Value) -> String {
    if let Some(limit) = what.strip_prefix("limits.").and_then(limit) {
        let mut limits = serde_json::to_value(Limits::default()).unwrap_or_default();
        limits[limit.key()] = value.clone();
        if let Ok(limits) = serde_json::from_value::<Limits>(limits) {
            return limits.written(limit);
        }
    }
    if what.starts_with("next.")
        && let Ok(to) = serde_json::from_value::<Vec<Rule>>(value.clone())
    {
        return rules(&to);
    }
    match value {
        Value::String(text) => text.clone(),
        Value::Object(table) => match time(table) {
            Some(time) => humantime::format_duration(time).to_string(),
            None => value.to_string(),
        },
        other => other.to_string(),
    }
}

fn limit(key: &str) -> Option<Limit> {
    Limit::ALL.iter().copied().find(|limit| limit.key() == key)
}

/// The length of time that a table stands for.
fn time(table: &Map<String, Value>) -> Option<Duration> {
    let number = |key: &str| table.get(key)?.as_u64();
    let (secs, nanos) = (number("secs")?, number("nanos")?);
    (table.len() == 2).then(|| Duration::new(secs, u32::try_from(nanos).unwrap_or_default()))
}

/// Where a port leads.
pub(super) fn rules(rules: &[Rule]) -> String {
    let to = |rule: &Rule| {
        let to = match &rule.to {
            Target::Station(name) => name.to_string(),
            Target::Done => "done".into(),
            Target::Scrap => "scrap".into(),
        };
        let when = rule
            .when
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        match rule.when.is_empty() {
            true => to,
            false => format!("{to} when {}", when.collect::<Vec<_>>().join(" and ")),
        }
    };
    rules.iter().map(to).collect::<Vec<_>>().join(", else ")
}
