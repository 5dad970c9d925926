//! Whole inputs through the station.

use andon_station::prelude::*;
use andon_station::testing::Host;
use serde_json::{Value, json};

use crate::RiskScore;

fn run(body: &Value) -> Result<Output> {
    let input = Payload::of("application/json", body.to_string());
    RiskScore::run(&Visit::default(), input.into()).map(|outputs| outputs[0].clone())
}

fn change(path: &str, lines: &[(&str, &str, usize)]) -> Value {
    let lines: Vec<Value> = lines
        .iter()
        .flat_map(|&(kind, text, count)| {
            std::iter::repeat_n(json!({ "kind": kind, "text": text }), count)
        })
        .collect();
    json!({ "file": { "path": path, "status": "modified" }, "hunks": [{ "lines": lines }], "findings": [] })
}

/// Port, score and reasons.
fn risk(body: &Value) -> (String, u64, Vec<String>) {
    let output = run(body).unwrap();
    assert_eq!(
        output.payload.labels.get("risk"),
        Some(output.port.as_str())
    );
    let body: Value = output.payload.json().unwrap();
    assert_eq!(body["risk"]["level"], output.port.as_str());
    let reasons = serde_json::from_value(body["risk"]["reasons"].clone()).unwrap();
    (
        output.port,
        body["risk"]["score"].as_u64().unwrap(),
        reasons,
    )
}

#[test]
fn what_counts() {
    let with = |mut body: Value, pointer: &str, value: Value| {
        body[pointer.split('.').next().unwrap()] = match pointer.split_once('.') {
            Some((of, key)) => {
                let mut inner = body[of].clone();
                inner[key] = value;
                inner
            }
            None => value,
        };
        body
    };
    let small = || change("README.md", &[("+", "a", 1), (" ", "b", 3)]);
    for (body, port, score, first) in [
        (small(), "low", 0, None),
        (change("README.md", &[("+", "a", 20)]), "low", 3, None),
        (
            change("src/x.rs", &[("+", "a", 100)]),
            "low",
            30,
            Some("100 lines changed"),
        ),
        (
            change("src/x.rs", &[("+", "a", 99), ("+", "    #[test]", 1)]),
            "low",
            15,
            Some("100 lines changed"),
        ),
        (
            change("tests/x.rs", &[("+", "a", 100)]),
            "low",
            15,
            Some("100 lines changed"),
        ),
        (
            change("src/auth/x.md", &[("-", "a", 1)]),
            "low",
            30,
            Some("sensitive path (`**/auth/**`)"),
        ),
        (
            change("x.rs", &[("-", "a", 100), ("+", "b", 100)]),
            "high",
            55,
            Some("200 lines changed"),
        ),
        (
            change("src/x.rs", &[("-", "#[test]", 1)]),
            "low",
            25,
            Some("tests are removed"),
        ),
        (
            change("Cargo.toml", &[("+", "a", 1)]),
            "low",
            10,
            Some("dependencies or the build may change"),
        ),
        (
            with(small(), "findings", json!([{ "rule": "jwt" }])),
            "high",
            60,
            Some("leaked secret: jwt"),
        ),
        (
            with(
                small(),
                "findings",
                json!(vec![json!({ "rule": "jwt" }); 9]),
            ),
            "high",
            100,
            Some("leaked secret: jwt and 8 more"),
        ),
        (
            with(small(), "file.binary", json!(true)),
            "low",
            20,
            Some("binary, so nobody can read the change"),
        ),
        (
            with(
                with(small(), "file.old_mode", json!("100644")),
                "file.mode",
                json!("100755"),
            ),
            "low",
            15,
            Some("becomes executable"),
        ),
        (
            change("x.md", &[("+", "a \u{202e} b", 1)]),
            "high",
            50,
            Some(
                "characters that change the direction of text: the code may not be what it looks like",
            ),
        ),
    ] {
        let (is_port, is_score, reasons) = risk(&body);
        assert_eq!(
            (
                is_port.as_str(),
                is_score,
                reasons.first().map(String::as_str)
            ),
            (port, score, first),
            "{body}"
        );
    }
}

#[test]
fn settings_move_the_line() {
    let body = change("legal/terms.md", &[("+", "a", 5)]);
    let _host = Host::start()
        .config("sensitive", r#"["legal/**"]"#)
        .config("high", "30")
        .config("large", "10");
    assert_eq!(risk(&body).0, "high");
    let _host = Host::start().config("large", "0");
    assert_eq!(risk(&body).0, "low");
    for (key, value) in [
        ("high", "0"),
        ("high", "101"),
        ("sensitive", "legal"),
        ("hihg", "3"),
    ] {
        let _host = Host::start().config(key, value);
        assert!(matches!(run(&body), Err(Stop::Reject(_))), "{key}");
    }
}

#[test]
fn the_rest_of_the_json_travels_along() {
    let mut body = change("x", &[]);
    body["commit"] = json!({ "subject": "s" });
    let out: Value = run(&body).unwrap().payload.json().unwrap();
    assert_eq!(out["commit"], body["commit"]);
    assert_eq!(out["hunks"], body["hunks"]);
}

#[test]
fn other_json_is_rejected() {
    for body in [
        json!(null),
        json!([]),
        json!([["x"], []]),
        json!({}),
        json!({ "file": {}, "hunks": [] }),
        json!({ "file": { "path": "x" } }),
    ] {
        assert!(matches!(run(&body), Err(Stop::Reject(_))), "{body}");
    }
}
