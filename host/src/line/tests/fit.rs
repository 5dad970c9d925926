//! Lines against what their components say of themselves.

use super::*;
use crate::{grant::Rights, manifest::Manifest};
use serde_json::{Value, json};

const LINE: &str = "
line = 'x'
entry = 'a'
[vars]
n = '4.5'
[stations.a]
use = 'a'
next = { pass = 'b' }
[stations.b]
use = 'b'
next = 'done'
";

fn known(kind: Kind, manifest: Value) -> Known {
    let mut whole = json!({ "name": "it", "version": "1.0.0", "description": "x" });
    for (key, value) in manifest.as_object().unwrap() {
        whole[key] = value.clone();
    }
    Known {
        kind,
        manifest: Some(serde_json::from_value::<Manifest>(whole).unwrap()),
        rights: Rights::default(),
        reports: false,
        imports_unknown: Vec::new(),
    }
}

/// What is said of [`LINE`] with `a` having these settings and manifest, and `b` this manifest.
fn said(settings: &str, kind: Kind, a: Value, b: Value) -> String {
    said_below("", settings, kind, a, b)
}

/// The same below a factory's file.
fn said_below(factory: &str, settings: &str, kind: Kind, a: Value, b: Value) -> String {
    let factory = match factory {
        "" => Factory::default(),
        text => Factory::parse("andon.toml", text.as_bytes()).unwrap(),
    };
    let text = LINE.replace("next = { pass = 'b' }", settings);
    let draft = good(&text, &Vars::default());
    let stations = [("a", known(kind, a)), ("b", known(Kind::Typed, b))];
    let known = stations
        .map(|(name, mut known)| {
            known.rights = Rights {
                grants: draft.line.stations[name].grants.clone(),
                ceiling: factory.ceiling.clone(),
            };
            (name.parse().unwrap(), known)
        })
        .into();
    let problems = fit(&draft, &factory, &known);
    if problems.is_empty() {
        "nothing\n".into()
    } else {
        told(&problems)
    }
}

#[test]
fn stations_fit_their_components() {
    use Kind::{Command, Handler, Typed};
    let wired = "next = 'b'";
    let two = "next = { low = 'b', high = 'done' }";
    let fs = json!({ "requires": { "fs": [
        { "guest": "/rules", "access": "read", "why": "rules" },
        { "guest": "/out/x", "access": "write", "why": "results" },
        { "guest": "/opt", "access": "write", "why": "speed", "optional": true } ] } });
    let settings = json!({ "config": {
        "level": { "type": "integer", "required": true }, "name": { "type": "string", "default": "x" },
        "rate": { "type": "number" }, "on": { "type": "boolean" }, "any": { "type": "json" } } });
    let ports = json!({ "ports": { "low": {}, "high": {} } });
    let cases = [
        ("nothing said", wired, Typed, json!({})),
        ("pass is not wired", two, Typed, json!({})),
        ("ports as they are", two, Typed, ports.clone()),
        (
            "ports missing and unknown",
            "next = { pass = 'b', hihg = 'done', low = 'done', reject = 'done' }",
            Typed,
            ports.clone(),
        ),
        (
            "ports of exit codes",
            "next = { low = 'b', high = 'done', odd = 'done' }\nexits = { 3 = 'odd' }",
            Command,
            ports,
        ),
        (
            "arguments of what is no program",
            "next = 'b'\nargs = ['x']\nenv = { A = 'x' }\nexits = { 1 = 'pass' }",
            Handler,
            json!({}),
        ),
        (
            "arguments of a program",
            "next = 'b'\nargs = ['x']\nenv = { A = 'x' }\nexits = { 1 = 'pass' }",
            Command,
            json!({}),
        ),
        ("settings missing", wired, Typed, settings.clone()),
        (
            "settings wrong",
            "next = 'b'\nconfig = { level = 1.5, name = 3, rate = 'x', on = 'yes', any = [1], nam = 'x' }",
            Typed,
            settings.clone(),
        ),
        (
            "settings right",
            "next = 'b'\nconfig = { level = 1, name = '3', rate = '${n}', on = 'true', any = 'x' }",
            Typed,
            settings,
        ),
        (
            "settings of what knows none",
            "next = 'b'\nconfig = { level = 1 }",
            Typed,
            json!({}),
        ),
        ("folders not granted", wired, Typed, fs.clone()),
        (
            "a folder granted for reading",
            "next = 'b'\nassets = [{ host = 'r', guest = '/rules' }]\ngrants.fs = [{ host = 'o', guest = '/out', access = 'read' }]",
            Typed,
            fs.clone(),
        ),
        (
            "an asset where writing is needed",
            "next = 'b'\nassets = [{ host = 'r', guest = '/rules' }, { host = 'o', guest = '/out' }]",
            Typed,
            fs.clone(),
        ),
        (
            "folders granted",
            "next = 'b'\nassets = [{ host = 'r', guest = '/rules' }]\ngrants.fs = [{ host = 'o', guest = '/out', access = 'write' }]",
            Typed,
            fs,
        ),
        (
            "network and secrets",
            wired,
            Typed,
            json!({ "requires": {
            "http": [{ "rule": "GET https://x.example/**", "why": "x" }], "secrets": [{ "name": "TOKEN", "why": "x" }] } }),
        ),
    ];
    let report = cases.into_iter().fold(
        String::new(),
        |report, (title, settings, kind, manifest)| {
            report
                + &format!(
                    "== {title}\n{}\n",
                    said(settings, kind, manifest, json!({}))
                )
        },
    );
    insta::assert_snapshot!(report);
}

/// What is required against what is granted and what the ceiling admits.
#[test]
fn stations_get_what_they_require() {
    let requires = json!({ "requires": {
        "fs": [{ "guest": "/data", "access": "write", "why": "results" }],
        "http": [{ "rule": "GET,POST https://api.example/v1/**", "why": "advice" },
            { "rule": "GET https://more.example/**", "why": "more", "optional": true }],
        "tcp": [{ "to": "db.internal:5432", "why": "rows" }, { "to": "x:1", "why": "more", "optional": true }],
        "secrets": [{ "name": "TOKEN", "why": "advice" }, { "name": "MORE", "why": "more", "optional": true }] } });
    let bad = json!({ "requires": {
        "http": [{ "rule": "GET https://api.example", "why": "advice" }, { "rule": "GET https://*/**", "why": "all", "optional": true }],
        "tcp": [{ "to": "*:5432", "why": "rows" }] } });
    let all = "next = 'b'\ngrants.fs = [{ host = '/srv/data', guest = '/data', access = 'write' }]\n\
        grants.http = ['GET https://api.example/**', 'POST https://api.example/v1/**']\ngrants.tcp = ['*.internal:5432']\n\
        grants.secrets = [{ name = 'TOKEN', header = 'authorization', for = 'https://api.example/v1/**' }]";
    let less = "next = 'b'\ngrants.fs = [{ host = '/srv/data', guest = '/data', access = 'write' }]\n\
        grants.http = ['GET https://api.example/**']\ngrants.tcp = ['db.internal:5433']";
    let open = "[ceiling.grants]\nfs = [{ host = '/srv', access = 'write' }]\nhttp = ['* https://api.example/**']\n\
        tcp = ['db.internal:5432']\nsecrets = [{ name = 'TOKEN', for = 'https://api.example/**' }]";
    let tight = "[ceiling.grants]\nfs = [{ host = '/srv', access = 'read' }]\nhttp = ['GET https://api.example/**']\n\
        tcp = ['db.internal:5433']\nsecrets = [{ name = 'TOKEN', for = 'https://other.example/**' }]";
    let cases = [
        ("nothing granted", "", "next = 'b'", &requires),
        ("all granted", "", all, &requires),
        ("less granted", "", less, &requires),
        ("all granted and admitted", open, all, &requires),
        ("all granted, less admitted", tight, all, &requires),
        (
            "all granted, nothing admitted",
            "[ceiling]\n",
            all,
            &requires,
        ),
        (
            "nothing granted below a ceiling",
            tight,
            "next = 'b'",
            &requires,
        ),
        ("what nobody can grant", "", all, &bad),
    ];
    let report = cases.into_iter().fold(
        String::new(),
        |report, (title, factory, settings, manifest)| {
            let said = said_below(factory, settings, Kind::Typed, manifest.clone(), json!({}));
            report + &format!("== {title}\n{said}\n")
        },
    );
    insta::assert_snapshot!(report);
}

#[test]
fn limits_stay_below_the_ceiling() {
    let factory = Factory::parse(
        "andon.toml",
        b"[ceiling]\nlimits = { wall = '20s', cpu = '1s', memory = '1MiB', requests = 200, files = 10 }\n",
    )
    .unwrap();
    let text = "line = 'x'\nentry = 'a'\n[defaults]\nlimits = { cpu = '2s', files = 11 }\n\
        [stations.a]\nuse = 'a'\nnext = 'b'\nlimits = { wall = '21s', files = 10 }\n\
        [stations.b]\nuse = 'b'\nnext = 'done'\nlimits.cpu = '500ms'\n";
    let mut draft = good(text, &Vars::default());
    insta::assert_snapshot!(told(&lower(&mut draft, &factory)));
    let limits = &draft.line.stations["b"].limits;
    assert_eq!(limits.wall, std::time::Duration::from_secs(20));
    assert_eq!(limits.memory, 1 << 20);
    assert_eq!(limits.requests, 100);
}

#[test]
fn neighbours_fit_each_other() {
    let types = |types: &[&str]| json!({ "types": types });
    let schema = |schema: Value| json!({ "types": ["application/json"], "schema": schema });
    let object = |properties: Value, required: &[&str]| {
        schema(json!({ "type": "object", "properties": properties, "required": required }))
    };
    let cases = [
        ("any", types(&[]), types(&["text/plain"])),
        ("same", types(&["text/plain"]), types(&["text/plain"])),
        ("a range", types(&["text/markdown"]), types(&["text/*"])),
        ("anything", types(&["*/*"]), types(&["image/png"])),
        (
            "one of several",
            types(&["text/plain", "image/png"]),
            types(&["image/png"]),
        ),
        (
            "none",
            types(&["text/plain", "image/png"]),
            types(&["application/json", "audio/*"]),
        ),
        (
            "a property never there",
            object(json!({ "a": {} }), &[]),
            object(json!({}), &["a", "b"]),
        ),
        (
            "a property of another type",
            object(json!({ "a": { "type": "string" } }), &[]),
            object(json!({ "a": { "type": ["integer", "null"] } }), &["a"]),
        ),
        (
            "integer and number",
            object(json!({ "a": { "type": "integer" } }), &[]),
            object(json!({ "a": { "type": "number" } }), &["a"]),
        ),
        (
            "entries",
            object(
                json!({ "a": { "type": "array", "items": { "type": "string" } } }),
                &[],
            ),
            object(
                json!({ "a": { "type": "array", "items": { "type": "object" } } }),
                &["a"],
            ),
        ),
        (
            "the body",
            schema(json!({ "type": "array" })),
            object(json!({}), &[]),
        ),
        (
            "clever",
            schema(json!({ "anyOf": [{ "type": "array" }] })),
            object(json!({}), &["a"]),
        ),
        (
            "open",
            schema(json!({ "type": "object" })),
            object(json!({}), &["a"]),
        ),
        (
            "nonsense",
            schema(json!({ "type": 7, "properties": [], "items": 3 })),
            schema(json!({ "type": "x", "required": "a", "items": true })),
        ),
    ];
    let report = cases
        .into_iter()
        .fold(String::new(), |report, (title, out, input)| {
            let said = said(
                "next = 'b'",
                Kind::Typed,
                json!({ "ports": { "pass": out } }),
                json!({ "inputs": input }),
            );
            report + &format!("== {title}\n{said}\n")
        });
    insta::assert_snapshot!(report);
}

#[test]
fn a_heartbeat_is_for_stations_that_report_progress() {
    for (own, shared, line) in [
        ("'1s'", None, 8),
        ("'1s'", Some("'9s'"), 9),
        ("", Some("'9s'"), 4),
    ] {
        let mut text = LINE.to_string();
        if !own.is_empty() {
            let with = format!("limits.heartbeat = {own}\nnext = 'b'");
            text = text.replace("next = { pass = 'b' }", &with);
        }
        if let Some(shared) = shared {
            text = text.replace(
                "[vars]",
                &format!("defaults.limits.heartbeat = {shared}\n[vars]"),
            );
        }
        let draft = good(&text, &Vars::default());
        let mut a = known(Kind::Typed, json!({}));
        let of = |a: &Known| {
            fit(
                &draft,
                &Factory::default(),
                &[("a".parse().unwrap(), a.clone())].into(),
            )
        };
        let problems = of(&a);
        assert_eq!(problems.len(), 1, "{}", told(&problems));
        assert_eq!(problems[0].line, line);
        assert!(
            problems[0]
                .to_string()
                .contains("station `a` never reports progress")
        );
        a.reports = true;
        assert!(of(&a).is_empty());
    }
}

#[test]
fn unknown_imports_are_told_and_unknown_stations_pass() {
    let draft = good(LINE, &Vars::default());
    assert!(fit(&draft, &Factory::default(), &BTreeMap::new()).is_empty());
    let mut a = known(Kind::Typed, json!({}));
    a.manifest = None;
    a.imports_unknown = vec!["acme:magic/wand@1.0.0".into()];
    insta::assert_snapshot!(told(&fit(&draft, &Factory::default(), &[("a".parse().unwrap(), a)].into())), @r"
    line.toml:7:7: station `a` imports `acme:magic/wand@1.0.0`, which nobody knows
      hint: build it for the interfaces of andon and WASI only, or use a newer andon
    ");
}
