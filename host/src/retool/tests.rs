//! Plans as values: each difference of two revisions, what has to be accepted, where items go.

use super::*;
use crate::{
    assembly::Revision,
    digest::Digest,
    line::{self, Vars},
    name::Name,
};
use std::collections::BTreeMap;

const LINE: &str = r#"
line = "review"
entry = "parse"
[stations.parse]
use = "../parse"
next = "scan"
[stations.scan]
use = "scan.wasm"
next = { pass = "report", leak = "scrap" }
config = { entropy = 4.5, words = ["a"] }
limits = { wall = "30s", memory = "64MiB" }
grants.http = ["GET https://a.example/v1/**"]
grants.fs = [{ host = "data", guest = "/data", access = "read" }]
[stations.report]
use = "../report"
next = "done"
"#;

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

fn revision(text: &str) -> Revision {
    let line = line::parse("line.toml", text, &Vars::default())
        .expect("a line")
        .line;
    Revision {
        components: (line.stations.iter())
            .map(|(name, station)| {
                (
                    name.clone(),
                    Digest::of(station.r#use.display().to_string()),
                )
            })
            .collect(),
        line,
        folder: "..".into(),
        file: Some("line.toml".into()),
    }
}

fn plan(old: &Revision, new: &Revision) -> Plan {
    let items = [(name("scan"), 3), (name("parse"), 1)].into();
    Plan::between(
        (1, old),
        ("line.toml".into(), new),
        &items,
        &BTreeMap::new(),
    )
}

#[test]
fn each_difference_of_two_revisions() {
    let edits: &[(&str, &[(&str, &str)])] = &[
        ("nothing", &[]),
        ("worker", &[("entry =", "worker = \"own\"\nentry =")]),
        ("component", &[("scan.wasm", "scan-2.wasm")]),
        (
            "port",
            &[(
                "leak = \"scrap\"",
                "leak = [{ when = { risk = \"high\" }, to = \"report\" }, { to = \"scrap\" }]",
            )],
        ),
        ("port gone", &[(", leak = \"scrap\"", "")]),
        ("limits", &[("30s", "90s"), ("64MiB", "1GiB")]),
        (
            "config",
            &[("4.5", "5"), (", words = [\"a\"]", ", deep = { a = 1 }")],
        ),
        (
            "workers",
            &[(
                "[stations.report]",
                "[stations.report]\nworkers = 8\nqueue = 9",
            )],
        ),
        (
            "retry",
            &[(
                "[stations.report]",
                "[stations.report]\nretry = { attempts = 5, backoff = \"1s..5m\" }",
            )],
        ),
        (
            "asset",
            &[(
                "[stations.report]",
                "[stations.report]\nassets = [{ host = \"r\", guest = \"/rules\" }]",
            )],
        ),
        (
            "wider",
            &[
                ("GET https", "GET,POST https"),
                ("access = \"read\"", "access = \"write\""),
            ],
        ),
        ("narrower", &[("v1/**", "v1/x")]),
        (
            "no grant",
            &[("grants.http = [\"GET https://a.example/v1/**\"]\n", "")],
        ),
        (
            "added",
            &[
                ("pass = \"report\"", "pass = \"more\""),
                (
                    "[stations.report]",
                    "[stations.more]\nuse = \"more\"\nnext = \"report\"\ngrants.tcp = [\"db:5432\"]\n[stations.report]",
                ),
            ],
        ),
        (
            "removed",
            &[
                ("next = \"scan\"\n", "next = \"gone\"\n"),
                ("stations.scan", "stations.gone"),
            ],
        ),
    ];
    let old = revision(LINE);
    let mut all = String::new();
    for (what, edit) in edits {
        let text = edit.iter().fold(LINE.to_string(), |text, (from, to)| {
            assert!(text.contains(from), "{what}: {from}");
            text.replace(from, to)
        });
        let plan = plan(&old, &revision(&text));
        assert_eq!(plan.is_empty(), *what == "nothing", "{what}");
        let told = serde_json::to_string(&plan).expect("it is written");
        assert_eq!(
            serde_json::from_str::<Plan>(&told).expect("it is read"),
            plan
        );
        all += &format!("{what}: {plan}\n");
    }
    insta::assert_snapshot!(all);
}

#[test]
fn the_same_folder_of_another_place_is_another() {
    let old = revision(LINE);
    let moved = Revision {
        folder: "../strict".into(),
        ..old.clone()
    };
    let plan = plan(&old, &moved);
    let names: Vec<_> = plan
        .widened
        .iter()
        .filter_map(|g| g.accept.as_deref())
        .collect();
    assert_eq!(names, ["scan:fs read /data from ../strict/data"]);
}

#[test]
fn what_widens_is_accepted_by_its_name_only() {
    let old = revision(LINE);
    let wider = LINE.replace("GET https", "* https");
    let plan = plan(&old, &revision(&wider));
    let name = "scan:http * https://a.example/v1/**".to_string();
    assert_eq!(plan.accepted(std::slice::from_ref(&name)), Ok(()));
    assert_eq!(plan.accepted(&[]), Err(Refusal::Widens(vec![name.clone()])));
    for other in [
        "all",
        "scan",
        "scan:http",
        "http * https://a.example/v1/**",
        "",
    ] {
        let names = [name.clone(), other.to_string()];
        assert_eq!(plan.accepted(&names), Err(Refusal::NoGrant(other.into())));
    }
    insta::assert_snapshot!(Refusal::Widens(vec![name]));
}

#[test]
fn items_of_a_station_that_goes_need_a_place() {
    let old = revision(LINE);
    let text = LINE
        .replace("next = \"scan\"\n", "next = \"report\"\n")
        .replace("report\", leak", "done\", leak");
    let at = text.find("[stations.scan]").expect("there");
    let end = text.find("[stations.report]").expect("there");
    let new = revision(&[&text[..at], &text[end..]].concat());
    let told = |moves: &[(&str, &str)], drain| {
        let moves: BTreeMap<Name, Name> = moves.iter().map(|(a, b)| (name(a), name(b))).collect();
        let items = [(name("scan"), 3)].into();
        let plan = Plan::between((1, &old), ("x".into(), &new), &items, &moves);
        match plan.housed(&old.line, &new.line, &moves, drain) {
            Ok(()) => "well".to_string(),
            Err(refusal) => refusal.to_string(),
        }
    };
    assert_eq!(told(&[("scan", "report")], false), "well");
    assert_eq!(told(&[], true), "well");
    let wrong = [
        told(&[], false),
        told(&[("scan", "scan")], false),
        told(&[("parse", "report")], true),
        told(&[("nowhere", "report")], true),
    ];
    insta::assert_snapshot!(wrong.join("\n"));
    let none = Plan::between(
        (1, &old),
        ("x".into(), &new),
        &BTreeMap::new(),
        &BTreeMap::new(),
    );
    assert_eq!(
        none.housed(&old.line, &new.line, &BTreeMap::new(), false),
        Ok(())
    );
    assert_eq!(none.removed().collect::<Vec<_>>(), [&name("scan")]);
}
