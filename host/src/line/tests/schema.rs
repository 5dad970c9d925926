//! The JSON Schemas against the parser.

use super::*;
use serde_json::{Value, json};

/// Whether `value` keeps `schema`, for as much of JSON Schema as ours are written in.
fn keeps(schema: &Value, value: &Value) -> bool {
    let Some(schema) = schema.as_object() else {
        return schema.as_bool().expect("a schema");
    };
    schema
        .iter()
        .all(|(keyword, argument)| match keyword.as_str() {
            "$schema"
            | "title"
            | "description"
            | "additionalProperties"
            | "minimum"
            | "maximum" => true,
            "type" => match argument.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.as_u64().is_some_and(|number| {
                    let bound = |key: &str| schema.get(key).and_then(Value::as_u64).unwrap();
                    (bound("minimum")..=bound("maximum")).contains(&number)
                }),
                "boolean" => value.is_boolean(),
                other => panic!("type {other}"),
            },
            "properties" | "patternProperties" => value.as_object().is_none_or(|object| {
                object.iter().all(|(key, value)| {
                    let named = schema.get("properties").and_then(|all| all.get(key));
                    let any = schema
                        .get("patternProperties")
                        .and_then(|all| all.as_object()?.values().next());
                    match named.or(any) {
                        Some(schema) => keeps(schema, value),
                        None => schema["additionalProperties"] != json!(false),
                    }
                })
            }),
            "required" => value.as_object().is_none_or(|object| {
                argument
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|key| object.contains_key(key.as_str().unwrap()))
            }),
            "items" => value
                .as_array()
                .is_none_or(|all| all.iter().all(|value| keeps(argument, value))),
            "anyOf" => argument
                .as_array()
                .unwrap()
                .iter()
                .any(|schema| keeps(schema, value)),
            "enum" => argument.as_array().unwrap().contains(value),
            "pattern" => true,
            other => panic!("keyword {other}"),
        })
}

fn json_of(text: &str) -> Value {
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

#[test]
fn a_good_line_keeps_the_schema() {
    assert!(keeps(
        &schema_line(),
        &json_of(&REVIEW.replace(", day = 2025-01-02", ""))
    ));
    assert!(keeps(&schema_factory(), &json_of("[vars]\na = 'x'")));
}

#[test]
fn what_the_parser_does_not_know_the_schema_refuses() {
    let unknown = [
        "zzz = 1",
        "defaults = { zzz = 1 }",
        "defaults = { retry = { zzz = 1 } }",
        "defaults = { limits = { zzz = 1 } }",
        "sources = {}",
    ];
    for extra in unknown {
        let text = format!("{extra}\n{REVIEW}").replace("[defaults]", "[stations.parse.limits]").replace("workers = 2\nqueue   = 32", "")
            .replace("retry   = { attempts = 5, backoff = \"1s..2m\" }", "").replace("limits  = { wall = \"20s\", cpu = \"4s\", memory = \"32MiB\", output = \"4 MB\", log = \"16KiB\", outputs = 500 }", "");
        assert!(
            parse("line.toml", &text, &Vars::default()).is_err(),
            "{extra}"
        );
        assert!(
            !keeps(
                &schema_line(),
                &json_of(&text.replace(", day = 2025-01-02", ""))
            ),
            "{extra}"
        );
    }
    for extra in [
        "zzz = 1",
        "ask = {}",
        "join.zzz = 1",
        "grants.zzz = 1",
        "grants.http = []",
        "retry.zzz = 1",
        "assets = [{ zzz = 1 }]",
        "next = [{ zzz = 1, to = 'done' }]",
    ] {
        let next = if extra.starts_with("next") {
            ""
        } else {
            "next = 'done'"
        };
        let text = format!("line = 'x'\nentry = 'a'\n[stations.a]\nuse = 'a'\n{next}\n{extra}");
        assert!(
            parse("line.toml", &text, &Vars::default()).is_err(),
            "{extra}"
        );
        assert!(!keeps(&schema_line(), &json_of(&text)), "{extra}");
    }
}

/// Reading [`REVIEW`] asks for the keys of every table there is (a debug assertion of the reader holds
/// the parser to that); here the file is held to naming every key that the schema has.
#[test]
fn the_good_line_uses_every_key() {
    fn keys(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(map) => {
                if let Some(Value::Object(properties)) = map.get("properties") {
                    found.extend(properties.keys().cloned());
                }
                map.values().for_each(|schema| keys(schema, found));
            }
            Value::Array(all) => all.iter().for_each(|schema| keys(schema, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    keys(&schema_line(), &mut found);
    assert!(found.len() > 30);
    for key in found {
        assert!(REVIEW.contains(&key), "`{key}` is not tried");
    }
}

#[test]
fn schemas() {
    insta::assert_json_snapshot!(schema_line());
}
