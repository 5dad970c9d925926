//! The grammar as JSON Schema, so that editors complete and check the files while they are written.

use super::grammar::{FACTORY, Key, Kind, LINE, MANIFEST, NAME, Table};
use serde_json::{Map, Value, json};

/// The JSON Schema of a `line.toml`.
pub fn schema_line() -> Value {
    document("andon line", &LINE)
}

/// The JSON Schema of a `station.toml`.
pub fn schema_station() -> Value {
    document("andon station", &MANIFEST)
}

/// The JSON Schema of an `andon.toml`.
pub fn schema_factory() -> Value {
    document("andon factory", &FACTORY)
}

fn document(title: &str, grammar: &Table) -> Value {
    let mut schema = table(grammar);
    schema.insert(
        "$schema".into(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    schema.insert("title".into(), title.into());
    schema.into()
}

fn table(grammar: &Table) -> Map<String, Value> {
    let properties: Map<_, _> = grammar
        .keys
        .iter()
        .map(|key| (key.name.to_owned(), property(key)))
        .collect();
    let required: Vec<_> = grammar
        .keys
        .iter()
        .filter(|key| key.required && key.unless.is_none())
        .map(|key| key.name)
        .collect();
    let either: Vec<_> = grammar
        .keys
        .iter()
        .filter_map(|key| {
            key.unless
                .map(|other| json!([{ "required": [key.name] }, { "required": [other] }]))
        })
        .collect();
    let mut schema = Map::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), properties.into());
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    for either in either {
        schema.insert("anyOf".into(), either);
    }
    schema.insert("additionalProperties".into(), false.into());
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = kind(&key.kind);
    schema.insert("description".into(), key.doc.into());
    schema.into()
}

fn kind(kind: &Kind) -> Map<String, Value> {
    let schema = match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Name => json!({ "type": "string", "pattern": NAME }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Size(least, most) => json!({ "anyOf": [
            { "type": "string", "pattern": "^\\s*[0-9]+\\s*([kKmMgGtT][iI]?[bB]|[bB])?\\s*$" },
            { "type": "integer", "minimum": least, "maximum": most },
        ] }),
        Kind::Time(..) => json!({ "type": "string", "pattern": "^\\s*[0-9]" }),
        Kind::Pace { bytes: false, .. } => {
            json!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*/\\s*[smh]\\s*$" })
        }
        Kind::Pace { bytes: true, .. } => {
            json!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*([kKmMgGtT][iI]?[bB]|[bB])?\\s*/\\s*[smh]\\s*$" })
        }
        Kind::Backoff(..) => json!({ "type": "string", "pattern": "^\\s*[0-9].*\\.\\.\\s*[0-9]" }),
        Kind::OneOf(words) => json!({ "enum": words }),
        Kind::Any => json!({}),
        Kind::Table(grammar) => return table(grammar),
        Kind::List(each) => json!({ "type": "array", "items": self::kind(each) }),
        Kind::Either(kinds) => {
            let kinds: Vec<_> = kinds.iter().map(self::kind).collect();
            json!({ "anyOf": kinds })
        }
        Kind::Map {
            pattern: "", value, ..
        } => {
            json!({ "type": "object", "additionalProperties": self::kind(value) })
        }
        Kind::Map { pattern, value, .. } => json!({
            "type": "object",
            "patternProperties": { *pattern: self::kind(value) },
            "additionalProperties": false,
        }),
    };
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}
