//! Plans as values: each difference of two revisions, what has to be accepted, where items go.

use super::{lowered::Lowered, *};
use crate::{
    assembly::Revision,
    digest::Digest,
    grant::{Ceiling, Grants, HttpGrant},
    item::ItemId,
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

fn there(items: u64) -> Unfinished {
    Unfinished {
        items,
        ..Unfinished::default()
    }
}

fn plan(old: &Revision, new: &Revision) -> Plan {
    let items = [(name("scan"), there(3)), (name("parse"), there(1))].into();
    Plan::between(
        (1, old),
        ("line.toml".into(), new),
        &items,
        &BTreeMap::new(),
        Lowered::default(),
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
fn a_ceiling_that_leaves_less_narrows() {
    let below = |rules: Option<&[&str]>| {
        rules.map(|rules| Ceiling {
            grants: Grants {
                http: (rules.iter())
                    .map(|rule| HttpGrant::new(rule.parse().expect(rule)))
                    .collect(),
                ..Grants::default()
            },
            commands: false,
        })
    };
    let wide = Some(&["* https://a.example/**"][..]);
    let part = Some(&["GET https://a.example/v1/x"][..]);
    let more = Some(&["GET https://a.example/v1/x", "GET https://a.example/v1/y"][..]);
    let nothing = Some(&[][..]);
    let line = revision(LINE);
    let mut all = String::new();
    for (old, new, narrows) in [
        (None, wide, false),
        (wide, part, true),
        (more, part, true),
        (part, more, false),
        (part, nothing, true),
        (None, nothing, true),
        (nothing, part, false),
        (nothing, wide, false),
        (wide, None, false),
    ] {
        let (old, new) = (below(old), below(new));
        let lowered = Lowered {
            from: old.as_ref(),
            to: new.as_ref(),
        };
        let (items, moves) = (BTreeMap::new(), BTreeMap::new());
        let plan = Plan::between((1, &line), ("x".into(), &line), &items, &moves, lowered);
        assert!(!plan.is_empty());
        assert_eq!(plan.accepted(&[]), Ok(()));
        assert_eq!(plan.narrows().contains("scan"), narrows, "{plan}");
        all += &format!("{plan}\n");
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
        let items = [(name("scan"), there(3))].into();
        let plan = Plan::between(
            (1, &old),
            ("x".into(), &new),
            &items,
            &moves,
            Lowered::default(),
        );
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
        Lowered::default(),
    );
    assert_eq!(
        none.housed(&old.line, &new.line, &BTreeMap::new(), false),
        Ok(())
    );
    assert_eq!(none.removed().collect::<Vec<_>>(), [&name("scan")]);
}

#[test]
fn what_a_line_has_outside_is_accepted_by_its_name_only() {
    let folder = "[sources.in]\nfolder = \"in\"\nlabels = { a = \"1\" }\n";
    let cron = "[sources.tick]\ncron = \"0 2 * * *\"\n";
    let hook = "[sinks.hook]\nwebhook = \"https://hooks.example/x?token=hush\"\nwithin = \"1h\"\n";
    let out = "[sinks.out]\nfolder = \"out\"\n";
    let jam = "[notify]\njam = { command = [\"tell\", \"me\"] }\n";
    let cases: &[(&str, &str, &str)] = &[
        ("a source", "", folder),
        ("a schedule", "", cron),
        ("another schedule", cron, &cron.replace('2', "3")),
        ("a sink", "", hook),
        ("a notice", "", jam),
        (
            "another folder",
            folder,
            &folder.replace("\"in\"", "\"in2\""),
        ),
        (
            "where what was taken goes",
            folder,
            &format!("{folder}done = \"taken\"\n").replace("labels", "# "),
        ),
        ("only another label", folder, &folder.replace('1', "2")),
        ("another receiver", hook, &hook.replace("hooks", "other")),
        ("another query", hook, &hook.replace("hush", "hiss")),
        ("signed", hook, &format!("{hook}secret = \"KEY\"\n")),
        ("a private one", hook, &format!("{hook}private = true\n")),
        ("only another time", hook, &hook.replace("1h", "2h")),
        ("another program", jam, &jam.replace("me", "you")),
        (
            "a server for a program",
            jam,
            "[notify]\njam = \"https://hooks.example/jam\"\n",
        ),
        (
            "none any more",
            &format!("{folder}{cron}{hook}{out}{jam}"),
            "",
        ),
        (
            "a folder for a server",
            hook,
            "[sinks.hook]\nfolder = \"out\"\nwithin = \"1h\"\n",
        ),
    ];
    let with = |outside: &str| revision(&format!("{LINE}{outside}"));
    let mut all = String::new();
    for (what, old, new) in cases {
        let plan = plan(&with(old), &with(new));
        assert!(!plan.is_empty(), "{what}");
        let told = plan.to_string();
        let written = serde_json::to_string(&plan).expect("it is written");
        for text in [&told, &written] {
            assert!(
                !text.contains("hush") && !text.contains("hiss"),
                "{what}: {text}"
            );
        }
        let names: Vec<String> = plan
            .widened
            .iter()
            .filter_map(|g| g.accept.clone())
            .collect();
        match names.is_empty() {
            true => assert_eq!(plan.accepted(&[]), Ok(()), "{what}"),
            false => assert_eq!(
                plan.accepted(&[]),
                Err(Refusal::Widens(names.clone())),
                "{what}"
            ),
        }
        assert_eq!(plan.accepted(&names), Ok(()), "{what}");
        all += &format!("{what}: {told}\n");
        for name in names {
            all += &format!("    --accept '{name}'\n");
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn those_that_are_held_are_named() {
    let old = revision(
        "line = \"review\"\nentry = \"scan\"\n\
         [stations.scan]\nask = { prompt = \"Well?\", choices = [\"pass\", \"leak\"] }\n\
         next = { pass = \"report\", leak = \"scrap\" }\n\
         [stations.report]\nuse = \"../report\"\nnext = \"done\"\n",
    );
    let without = |more: &str| {
        let next = if more.is_empty() { "done" } else { "other" };
        revision(&format!(
            "line = \"review\"\nentry = \"report\"\n\
             [stations.report]\nuse = \"../report\"\nnext = \"{next}\"\n{more}"
        ))
    };
    let other =
        "[stations.other]\nask = { prompt = \"So?\", choices = [\"pass\"] }\nnext = \"done\"\n";
    let items: Vec<ItemId> = (0..3)
        .map(|n| ItemId::input(&[0; 16], "review", &n.to_string()))
        .collect();
    let held = |held: u64| Unfinished {
        items: 5,
        held,
        holds: items.iter().take(held as usize).cloned().collect(),
    };
    let mut all = String::new();
    for (new, to, number) in [
        (without(""), Some("report"), 0),
        (without(""), Some("report"), 2),
        (without(other), Some("other"), 3),
        (without(""), Some("report"), 9),
        (without(""), None, 2),
    ] {
        let moves: BTreeMap<Name, Name> =
            to.map(|to| (name("scan"), name(to))).into_iter().collect();
        let there = [(name("scan"), held(number))].into();
        let plan = Plan::between(
            (1, &old),
            ("x".into(), &new),
            &there,
            &moves,
            Lowered::default(),
        );
        let ended = if to.is_some() { number } else { 0 };
        assert_eq!(plan.questions_ended(), ended);
        let told = plan.to_string();
        let told = told
            .lines()
            .skip_while(|line| !line.contains("waiting"))
            .collect::<Vec<_>>()
            .join("\n");
        all += &format!("{told}\n");
    }
    let all = items.iter().enumerate().fold(all, |all, (n, item)| {
        all.replace(item.as_str(), &format!("ITEM{n}"))
    });
    insta::assert_snapshot!(all);
}
