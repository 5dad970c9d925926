//! Line files and what is said of them.

use super::*;
use crate::{factory::Factory, problem::Problem};
use proptest::prelude::*;
use std::fmt::Write as _;

mod bad;
mod fit;
mod schema;

const REVIEW: &str = include_str!("tests/review.toml");

fn told(problems: &[Problem]) -> String {
    problems.iter().fold(String::new(), |mut text, problem| {
        let _ = writeln!(text, "{problem}");
        text
    })
}

fn good(text: &str, vars: &Vars) -> Draft {
    parse("line.toml", text, vars).unwrap_or_else(|problems| panic!("{}", told(&problems)))
}

#[test]
fn a_line_is_read() {
    let draft = good(REVIEW, &Vars::default());
    insta::assert_json_snapshot!(draft.line);
}

#[test]
fn a_factory_overrides_variables() {
    let factory =
        Factory::parse("andon.toml", b"[vars]\nrules = '/etc/rules'\nother = 'x'\n").unwrap();
    let draft = good(REVIEW, &factory.vars);
    let scan = &draft.line.stations["scan"];
    assert_eq!(scan.assets[0].host.to_str(), Some("/etc/rules"));
    assert_eq!(scan.config["note"], "plain, $5, ${x}");
}

#[test]
fn places_are_found() {
    let draft = good(REVIEW, &Vars::default());
    let at = |path: &str| {
        let place = draft.place(path);
        let line = REVIEW.lines().nth(place.line - 1).unwrap();
        line.chars()
            .skip(place.column - 1)
            .take(12)
            .collect::<String>()
    };
    let found = [
        ("line", "\"review\""),
        ("stations.scan", "scan]"),
        ("stations.scan.use", "\"../../plugi"),
        ("stations.scan.next.leak", "\"quarantine\""),
        ("stations.scan.assets.0.guest", "\"/rules\" }]"),
        ("stations.scan.grants.fs.1.access", "\"write\", quo"),
        ("stations.report.grants.http.1.rule", "\"POST https:"),
        ("stations.report.grants.tcp.0", "\"db.internal"),
        ("stations.report.grants.secrets.2.for", "\"POST https:"),
        ("stations.report.next.0.to", "\"approve\" },"),
        ("stations.report.join.of", "\"parse\", aft"),
        ("stations.quarantine.limits.wall", "\"1m\""),
        ("stations.quarantine.limits.cpu", "limits]"),
        ("stations.parse.limits.wall", "parse]"),
        ("defaults.limits.wall", "\"20s\", cpu ="),
        ("stations.scan.config.entropy", "4.5, note = "),
    ];
    for (path, begins) in found {
        let text = at(path);
        assert!(text.starts_with(begins.trim_end()), "{path}: {text}");
    }
    assert_eq!(draft.stated("stations.parse.limits.wall"), None);
}

#[test]
fn what_is_no_text_has_a_place() {
    let problems = parse_bytes(
        "line.toml",
        b"line = \"a\"\n# \xc3\xa9\xff",
        &Vars::default(),
    );
    insta::assert_snapshot!(told(&problems.unwrap_err()), @r"
    line.toml:2:4: not UTF-8
      hint: save the file as UTF-8 text
    ");
    let problems = Factory::parse("andon.toml", b"\xff").unwrap_err();
    assert_eq!((problems[0].line, problems[0].column), (1, 1));
}

#[test]
fn a_definition_reads_back() {
    let line = good(REVIEW, &Vars::default()).line;
    let text = line.to_definition().unwrap();
    let again = Line::from_definition(&text).unwrap();
    assert_eq!(again, line);
    assert_eq!(again.to_definition().unwrap(), text);
    assert!(Line::from_definition("{}").is_err());
}

/// Pieces of line files, so that what is put together goes deeper than noise does.
const PIECES: &[&str] = &[
    "line",
    "entry",
    "stations",
    "[stations.a]",
    "[stations.a.next]",
    "[stations.b]",
    "use",
    "next",
    "join",
    "of",
    "vars",
    "[vars]",
    "config",
    "assets",
    "grants.fs",
    "grants.http",
    "grants.tcp",
    "grants.secrets",
    "\"GET https://a/**\"",
    "\"a:1\"",
    "ceiling",
    "rate",
    "limits",
    "retry",
    "visits",
    "exits",
    "=",
    "=",
    "=",
    " ",
    "\n",
    "\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    ".",
    "\"a\"",
    "\"b\"",
    "\"${x\"",
    "'${x}'",
    "1",
    "-1",
    "0x10",
    "nan",
    "1979-05-27",
    "true",
    "\"\"\"",
    "#",
    "é",
    "\u{202e}",
    "\0",
    "\r",
];

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_bytes("line.toml", &bytes, &Vars::default());
        let _ = Factory::parse("andon.toml", &bytes);
    }

    #[test]
    fn no_pieces_panic(text in pieces()) {
        if let Err(problems) = parse("line.toml", &text, &Vars::default()) {
            prop_assert!(!problems.is_empty());
            let lines = text.split('\n').count();
            for problem in &problems {
                prop_assert!(problem.line <= lines && (problem.line == 0) == (problem.column == 0));
            }
        }
        let _ = Factory::parse("andon.toml", text.as_bytes());
    }

    /// One cut or one wrong byte in a good file.
    #[test]
    fn no_damage_panics(at in 0..REVIEW.len(), until in 0..REVIEW.len(), byte in any::<u8>()) {
        let mut bytes = REVIEW.as_bytes().to_vec();
        bytes[at] = byte;
        let _ = parse_bytes("line.toml", &bytes, &Vars::default());
        bytes.drain(at.min(until)..until);
        let _ = parse_bytes("line.toml", &bytes, &Vars::default());
    }

    #[test]
    fn definitions_are_an_identity(
        text in "[ -~é]{0,20}",
        number in any::<i64>(),
        eighths in -1_000_000i64..1_000_000,
        workers in 1u32..1024,
        millis in 1u64..100_000_000,
        size in any::<u64>(),
        visits in prop::option::of(1u32..1000),
    ) {
        let mut line = good(REVIEW, &Vars::default()).line;
        let station = line.stations.values_mut().next().unwrap();
        station.config.insert(text.clone(), serde_json::json!({ "b": number, "a": [eighths as f64 / 8.0, text] }));
        station.args.push(text.clone());
        station.env.insert("X".into(), text.clone());
        station.r#use = text.into();
        station.workers = workers;
        station.visits = visits;
        station.retry.first = std::time::Duration::from_millis(millis);
        station.limits.memory = size;
        let definition = line.to_definition().unwrap();
        let again = Line::from_definition(&definition).unwrap();
        prop_assert_eq!(&again, &line);
        prop_assert_eq!(again.to_definition().unwrap(), definition);
    }
}
