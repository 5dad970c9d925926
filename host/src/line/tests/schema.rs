//! The JSON Schemas against the parser.

use super::*;
use crate::factory::Retention;
use serde_json::{Value, json};

/// Whether `value` keeps `schema`, for as much of JSON Schema as ours are written in.
fn keeps(schema: &Value, value: &Value) -> bool {
    let Some(schema) = schema.as_object() else {
        return schema.as_bool().expect("a schema");
    };
    schema
        .iter()
        .all(|(keyword, argument)| match keyword.as_str() {
            "$schema" | "title" | "description" | "minimum" | "maximum" => true,
            "additionalProperties" if argument.is_object() => value
                .as_object()
                .is_none_or(|object| object.values().all(|value| keeps(argument, value))),
            "additionalProperties" => true,
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

/// Every key that a schema names.
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

fn json_of(text: &str) -> Value {
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

#[test]
fn a_good_line_keeps_the_schema() {
    assert!(keeps(
        &schema_line(),
        &json_of(&REVIEW.replace(", day = 2025-01-02", ""))
    ));
    assert!(keeps(&schema_factory(), &json_of(FACTORY)));
    assert_eq!(Factory::parse("andon.toml", FACTORY.as_bytes()).err(), None);
}

#[test]
fn what_the_parser_does_not_know_the_schema_refuses() {
    let refused = [
        ("zzz = 1", "next = 'done'"),
        ("ramp = {}", "next = 'done'"),
        (
            "sources.a = { cron = '0 2 * * *', zzz = 1 }",
            "next = 'done'",
        ),
        ("sources.a = { cron = 1 }", "next = 'done'"),
        ("sinks.a = { folder = 'a', zzz = 1 }", "next = 'done'"),
        ("notify.zzz = 'https://a/'", "next = 'done'"),
        (
            "notify.jam = { webhook = 'https://a/', zzz = 1 }",
            "next = 'done'",
        ),
        ("defaults = { zzz = 1 }", "next = 'done'"),
        ("defaults = { retry = { zzz = 1 } }", "next = 'done'"),
        ("defaults = { limits = { zzz = 1 } }", "next = 'done'"),
        ("", ""),
        ("", "next = 'done'\nzzz = 1"),
        ("", "next = 'done'\nask = {}"),
        ("", "next = 'done'\nhold = { zzz = 1 }"),
        ("deadline = 3", "next = 'done'"),
        ("", "next = 'done'\njoin.zzz = 1"),
        ("", "next = 'done'\ngrants.zzz = 1"),
        ("", "next = 'done'\ngrants.udp = []"),
        ("", "next = 'done'\ngrants.http = ''"),
        (
            "",
            "next = 'done'\ngrants.http = [{ zzz = 1, rule = 'GET https://a/' }]",
        ),
        ("", "next = 'done'\ngrants.tcp = [{ zzz = 1, to = 'a:1' }]"),
        ("", "next = 'done'\ngrants.secrets = [{ zzz = 1 }]"),
        ("", "next = 'done'\nrate.zzz = '1/s'"),
        ("", "next = 'done'\nviolation = 'zzz'"),
        ("worker = 'zzz'", "next = 'done'"),
        ("", "next = 'done'\ngrants.fs = [{ zzz = 1 }]"),
        ("", "next = 'done'\nretry.zzz = 1"),
        ("", "next = 'done'\nassets = [{ zzz = 1 }]"),
        ("", "next = 'done'\nworkers = 0"),
        ("", "next = [{ zzz = 1, to = 'done' }]"),
        ("", "next = { pass = [{ zzz = 1, to = 'done' }] }"),
        ("", "next = 3"),
    ];
    let text = |head: &str, station: &str| {
        format!("line = 'x'\nentry = 'a'\n{head}\n[stations.a]\nuse = 'a'\n{station}")
    };
    assert!(keeps(&schema_line(), &json_of(&text("", "next = 'done'"))));
    let asks =
        |station: &str| format!("line = 'x'\nentry = 'a'\n[stations.a]\nnext = 'done'\n{station}");
    let ask = asks("ask = { prompt = 'Go?', choices = ['pass'] }");
    assert!(keeps(&schema_line(), &json_of(&ask)));
    assert!(parse("line.toml", &ask, &Vars::default()).is_ok());
    assert!(!keeps(&schema_line(), &json_of(&asks(""))));
    for (head, station) in refused {
        let text = text(head, station);
        assert!(
            parse("line.toml", &text, &Vars::default()).is_err(),
            "{text}"
        );
        assert!(!keeps(&schema_line(), &json_of(&text)), "{text}");
    }
}

/// A factory's file with every key.
const FACTORY: &str = r#"
[vars]
a = "x"
[network]
resolvers = ["127.0.0.1:5353"]
[ceiling]
limits = { wall = "1m", memory = "1GiB" }
notify = { commands = true }
[ceiling.grants]
fs = [{ host = "data", access = "read" }]
http = ["GET https://*.example.com/**", { rule = "POST http://127.0.0.1:8080/**", private = true, max-response = "1MiB", timeout = "1s" }]
tcp = ["db.internal:5432", { to = "cache.internal:6379", private = true }]
secrets = [{ name = "API_TOKEN", for = "https://api.example.com/**" }]
[retention]
finished = "30d"
most = 100000
unfetched = "90d"
known = "2years"
"#;

#[test]
fn the_good_factory_uses_every_key() {
    let mut found = Vec::new();
    keys(&schema_factory(), &mut found);
    let limits = crate::limits::Limit::ALL;
    found.retain(|key| limits.iter().all(|limit| limit.key() != key));
    assert!(found.len() > 10);
    for key in found {
        assert!(FACTORY.contains(&key), "`{key}` is not tried");
    }
}

#[test]
fn retention_is_read() {
    let days = |n: u64| Duration::from_secs(n * 24 * 60 * 60);
    let retention = |text: &str| {
        let text = format!("[retention]\n{text}");
        Factory::parse("andon.toml", text.as_bytes()).map(|factory| factory.retention)
    };
    let all = "finished = '30d'\nmost = 7\nunfetched = '90d'\nknown = '10d'";
    assert_eq!(
        retention(all).unwrap(),
        Retention {
            finished: Some(days(30)),
            most: Some(7),
            unfetched: Some(days(90)),
            known: days(10),
        }
    );
    assert_eq!(retention("").unwrap(), Retention::default());
    for wrong in ["finished = '0s'", "most = 0", "known = 30", "old = '30d'"] {
        assert!(retention(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_ceiling_is_read() {
    let factory = Factory::parse("andon.toml", FACTORY.as_bytes()).unwrap();
    let ceiling = factory.ceiling.as_ref().unwrap();
    let http: Vec<_> = ceiling
        .grants
        .http
        .iter()
        .map(|grant| grant.rule.to_string())
        .collect();
    assert_eq!(
        http,
        [
            "GET https://*.example.com/**",
            "POST http://127.0.0.1:8080/**"
        ]
    );
    assert_eq!(ceiling.grants.http[0].max_response, u64::MAX);
    assert_eq!(ceiling.grants.http[1].max_response, 1 << 20);
    assert!(ceiling.commands);
    assert_eq!(factory.most.memory, 1 << 30);
    assert_eq!(factory.most.cpu, std::time::Duration::MAX);
    assert_eq!(
        factory.network.resolvers,
        ["127.0.0.1:5353".parse().unwrap()]
    );
    let (file, place) = factory.place("ceiling.grants.http.1.rule").unwrap();
    assert_eq!((file, place.line), ("andon.toml", 11));
}

/// Reading [`REVIEW`] asks for the keys of every table there is (a debug assertion of the reader holds
/// the parser to that); here the file is held to naming every key that the schema has.
#[test]
fn the_good_line_uses_every_key() {
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

const MANIFEST: &str = r#"
name = "scan"
version = "1.2.3"
description = "finds things"
[build]
language = "rust"
[inputs]
types = ["text/*"]
schema = { type = "object" }
[ports.pass]
description = "what is clean"
types = ["text/plain"]
schema = { type = "object" }
[[requires.fs]]
guest = "/rules"
access = "read"
why = "rules"
optional = true
[[requires.http]]
rule = "GET https://api.example.com/v1/**"
why = "advice"
[[requires.tcp]]
to = "db.internal:5432"
why = "advice"
[[requires.secrets]]
name = "TOKEN"
why = "advice"
[config.level]
type = "integer"
description = "how strict"
default = 3
[config.other]
type = "string"
required = true
"#;

/// The manifest is read by andon-build; what it knows and what the schema knows have to be the same.
#[test]
fn the_schema_of_stations_is_that_of_the_builder() {
    use andon_build::manifest::StationFile;
    let read = |text: &str| StationFile::from_toml(text, "/nowhere".as_ref());
    assert_eq!(read(MANIFEST).err(), None);
    assert!(keeps(&schema_station(), &json_of(MANIFEST)));
    for section in MANIFEST
        .split_inclusive("\n")
        .filter(|line| line.starts_with('['))
        .chain([""])
    {
        let text = match section {
            "" => format!("zzz = 1\n{MANIFEST}"),
            _ => MANIFEST.replace(section, &format!("{section}zzz = 1\n")),
        };
        let problems = read(&text).unwrap_err();
        assert!(
            problems
                .iter()
                .any(|problem| problem.message.contains("zzz")),
            "{section}"
        );
        assert!(!keeps(&schema_station(), &json_of(&text)), "{section}");
    }
    let mut found = Vec::new();
    keys(&schema_station(), &mut found);
    for key in found {
        assert!(MANIFEST.contains(&key), "`{key}` is not tried");
    }
}
