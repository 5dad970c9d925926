//! Line files that are wrong, and what goes with them.

use super::{one, says};
use crate::ground::Ground;
use insta::assert_snapshot;

fn check(line: &str) -> String {
    says(line, &["check"])
}

#[test]
fn what_is_not_toml() {
    assert_snapshot!(check("line: review\nstations:\n  - parse\n"), @r"
    exit 1
    -- stderr
    line.toml:1:7: not TOML: key with no value, expected `=`
      hint: texts stand in quotes, tables begin with `[name]`, everything else is `key = value`
    line.toml:2:10: not TOML: key with no value, expected `=`
      hint: texts stand in quotes, tables begin with `[name]`, everything else is `key = value`
    line.toml:3:5: not TOML: key with no value, expected `=`
      hint: texts stand in quotes, tables begin with `[name]`, everything else is `key = value`
    3 problems
    ");
}

#[test]
fn a_run_says_the_same_and_makes_no_state() {
    let ground = Ground::new();
    ground.line("line = \n").write("a.txt", "a\n");
    assert_snapshot!(ground.andon(&["run", ".", "a.txt"]).whole(), @r"
    exit 1
    -- stderr
    line.toml:1:8: not TOML: string values must be quoted, expected literal string
      hint: texts stand in quotes, tables begin with `[name]`, everything else is `key = value`
    1 problem
    ");
    assert!(!ground.path(".andon").exists());
}

#[test]
fn what_is_not_utf_8() {
    let ground = Ground::new();
    ground.write("line.toml", b"line = \"l\"\n# caf\xe9\n");
    assert_snapshot!(ground.andon(&["check"]).whole(), @r"
    exit 1
    -- stderr
    line.toml:2:6: not UTF-8
      hint: save the file as UTF-8 text
    1 problem
    ");
}

#[test]
fn an_inline_table_that_is_extended_later() {
    let line = "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@stamp\"\nnext = { pass = \"done\" }\n[stations.s.next]\nreject = \"scrap\"\n";
    assert_snapshot!(check(line), @r"
    exit 1
    -- stderr
    line.toml:6:13: `next` is already complete and cannot be extended
      hint: what is written in braces or brackets ends there: write all of it there, or all of it as a table of its own
    1 problem
    ");
}

#[test]
fn unknown_stations_keys_and_variables() {
    let line = r#"
lines = "l"
line = "l"
entry = "scam"
[defaults]
worker = 2
[stations.scan]
use = "@stamp"
next = "reprot"
configs = { a = "${nothing}" }
config = { a = "${rulez}" }
[stations.report]
use = "@stamp"
next = "don"
[vars]
rules = "x"
"#;
    assert_snapshot!(check(line), @r"
    exit 1
    -- stderr
    line.toml:2:1: unknown key `lines` in a line
      hint: did you mean `line`?
    line.toml:4:9: unknown station `scam`
      hint: did you mean `scan`?
    line.toml:6:1: unknown key `worker` in defaults
      hint: did you mean `workers`?
    line.toml:9:8: unknown station `reprot`
      hint: did you mean `report`?
    line.toml:10:1: unknown key `configs` in a station
      hint: did you mean `config`?
    line.toml:11:17: unknown variable `rulez`
      hint: did you mean `rules`?
    line.toml:14:8: unknown station `don`
      hint: did you mean `done`?
    7 problems
    ");
}

#[test]
fn ports_that_the_station_does_not_have_or_that_lead_nowhere() {
    let line = "line = \"l\"\nentry = \"scan\"\n[stations.scan]\nuse = \"%secret-scan\"\nnext = { pass = \"done\", leek = \"scrap\" }\nconfig = { entrpy = 4 }\n";
    assert_snapshot!(check(line), @r#"
    exit 1
    -- stderr
    line.toml:5:1: the port `leak` of station `scan` is not wired
      hint: say in `next` where it leads: `leak = "done"` ends the line there
    line.toml:5:32: station `scan` has no port `leek`
      hint: did you mean `leak`?
    line.toml:6:21: `secret-scan` knows no setting `entrpy`
      hint: did you mean `entropy`?
    3 problems
    "#);
}

#[test]
fn two_stations_of_one_name() {
    let line = one("[stations.s]\nuse = \"@stamp\"\nnext = \"done\"");
    assert_snapshot!(check(&line), @r"
    exit 1
    -- stderr
    line.toml:7:11: the table `s` is there twice
      hint: put its keys together, or give one of the two another name
    1 problem
    ");
}

#[test]
fn no_entry() {
    assert_snapshot!(check("line = \"l\"\n[stations.s]\nuse = \"@stamp\"\nnext = \"done\"\n"), @r"
    exit 1
    -- stderr
    line.toml:1:1: the file has no `entry`
      hint: it takes a name in quotes
    1 problem
    ");
}

#[test]
fn a_station_that_nothing_leads_to() {
    assert_snapshot!(check(&one("[stations.t]\nuse = \"@stamp\"\nnext = \"done\"")), @r"
    exit 1
    -- stderr
    line.toml:7:11: nothing leads to station `t`
      hint: name it in the `next` of a station that `s` leads to, or take it out
    1 problem
    ");
}

#[test]
fn a_loop_without_a_bound() {
    let line = "line = \"l\"\nentry = \"a\"\n[stations.a]\nuse = \"@stamp\"\nnext = \"b\"\n[stations.b]\nuse = \"@stamp\"\nnext = { pass = \"done\", reject = \"a\" }\n";
    assert_snapshot!(check(line), @r"
    exit 1
    -- stderr
    line.toml:5:8: a loop without a bound: `a` → `b` → `a`
      hint: say with `visits` at one of its stations how often an item may come there
    1 problem
    ");
}

#[test]
fn joins_of_what_was_never_split() {
    let line = r#"
line = "l"
entry = "a"
[stations.a]
use = "@stamp"
next = { pass = "b", reject = "c" }
[stations.b]
use = "@joins"
join = { of = "nobody" }
next = "done"
[stations.c]
use = "@joins"
join = { of = "b" }
next = "done"
"#;
    assert_snapshot!(check(line), @r"
    exit 1
    -- stderr
    line.toml:9:15: unknown station `nobody`
      hint: known here: `a`, `b`, `c`
    line.toml:13:15: `b` does not lead to `c`, which joins it
      hint: wire `b` so that what it splits comes to `c`
    2 problems
    ");
}

#[test]
fn what_is_not_there_yet() {
    let line = one(
        "grants.udp = [\"ns.example.com:53\"]\ninstance = \"warm\"\n[stations.t]\nuse = \"oci://example.com/t\"\nnext = \"done\"",
    );
    assert_snapshot!(check(&line), @r#"
    exit 1
    -- stderr
    line.toml:7:8: `udp` is not supported yet
      hint: it will be for datagrams; take it out for now
    line.toml:8:1: `instance` is not supported yet
      hint: it will be for instances that are used again; take it out for now
    line.toml:9:11: nothing leads to station `t`
      hint: name it in the `next` of a station that `s` leads to, or take it out
    line.toml:10:7: `use = "oci://example.com/t"`: registries are not supported yet
      hint: name a station's folder, a `.wasm` or a `.wat` file; a path may begin with `./`
    4 problems
    "#);
}

#[test]
fn files_that_are_missing() {
    let line = r#"
line = "l"
entry = "a"
[stations.a]
use = "gone"
next = "b"
[stations.b]
use = "gone.wasm"
next = "c"
[stations.c]
use = "@stamp"
assets = [{ host = "rules", guest = "/rules" }]
grants.fs = [{ host = "data", guest = "/data", access = "read" }]
next = "done"
"#;
    assert_snapshot!(check(line), @r"
    exit 1
    -- stderr
    line.toml:5:7: `gone` does not exist
      hint: a station is a folder with a `station.toml`, or a `.wasm` or `.wat` file
    line.toml:8:7: `gone.wasm` does not exist
      hint: a station is a folder with a `station.toml`, or a `.wasm` or `.wat` file
    line.toml:12:20: asset `rules` cannot be read: No such file or directory
      hint: make it, or name another
    line.toml:13:23: `data` is no folder
      hint: make it, or name another
    4 problems
    ");
}

#[test]
fn lines_that_are_missing() {
    let ground = Ground::new();
    ground.write("empty/.keep", "").write("notes.md", "hello\n");
    assert_snapshot!(ground.andon(&["check", "nowhere"]).whole(), @r"
    exit 1
    -- stderr
    error: `nowhere` cannot be read: No such file or directory
      hint: name a line (its folder or `line.toml`), a station folder, or a `.wasm` or `.wat` file
    ");
    assert_snapshot!(ground.andon(&["check", "nowhere.toml"]).whole(), @r"
    exit 1
    -- stderr
    error: `nowhere.toml` cannot be read: No such file or directory
      hint: name a line (its folder or `line.toml`), a station folder, or a `.wasm` or `.wat` file
    ");
    assert_snapshot!(ground.andon(&["check", "empty"]).whole(), @r"
    exit 1
    -- stderr
    error: `empty` cannot be read: there is neither a `line.toml` nor a `station.toml` in it
      hint: name a line (its folder or `line.toml`), a station folder, or a `.wasm` or `.wat` file
    ");
    assert_snapshot!(ground.andon(&["check", "notes.md"]).whole(), @r"
    exit 1
    -- stderr
    error: `notes.md` is neither WebAssembly nor its text format: expected `(` at 1:1
      hint: a station is a folder with a `station.toml`, or a `.wasm` or `.wat` file
    ");
    assert_snapshot!(ground.andon(&["check", ""]).whole(), @r"
    exit 1
    -- stderr
    error: a value is required for '[LINE]' but none was supplied

    For more information, try '--help'.
    ");
}

#[test]
fn factory_files_that_are_wrong() {
    let ground = Ground::new();
    ground
        .line(&one(""))
        .write("andon.toml", "[var]\na = \"b\"\n");
    assert_snapshot!(ground.andon(&["check"]).whole(), @r"
    exit 1
    -- stderr
    andon.toml:1:2: unknown key `var` in a factory
      hint: did you mean `vars`?
    1 problem
    ");
    assert_snapshot!(ground.andon(&["check", "--factory", "gone.toml"]).whole(), @r"
    exit 1
    -- stderr
    error: `gone.toml` cannot be read: No such file or directory
      hint: a factory file is an `andon.toml`
    ");
}

#[test]
fn problems_for_programs() {
    assert_snapshot!(says(&one("worker = 2"), &["check", "--json"]), @r#"
    exit 1
    {"ok":false,"problems":[{"file":"line.toml","line":7,"column":1,"message":"unknown key `worker` in a station","hint":"did you mean `workers`?"}]}
    -- stderr
    "#);
}
