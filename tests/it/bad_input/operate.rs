//! Commands that name what there is not, and runs that are interrupted.

use super::{inputs::ended, one};
use crate::ground::Ground;
use andon::journal::{Filter, Journal as _, sqlite::Sqlite};
use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Child,
};

/// A line with an item that is done and one that jammed.
fn ground() -> Ground {
    let ground = Ground::new();
    ground
        .line("line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@stamp\"\nnext = \"t\"\n[stations.t]\nuse = \"@rejects\"\nnext = { pass = \"done\", other = \"scrap\" }\n")
        .write("a.txt", "a\n");
    assert_eq!(ground.andon(&["run", ".", "a.txt"]).code, Some(2));
    ground
}

fn item(ground: &Ground) -> String {
    let output = ground
        .command(&["items", "--json"])
        .output()
        .expect("runs")
        .stdout;
    let item: serde_json::Value = serde_json::from_slice(&output).expect("one object");
    item["item"].as_str().expect("an id").into()
}

#[test]
fn unknown_items() {
    let ground = ground();
    assert_snapshot!(ground.andon(&["show", "nothing"]).whole(), @r"
    exit 1
    -- stderr
    error: there is no item `nothing`
      hint: `andon items` lists them
    ");
    assert_snapshot!(ground.andon(&["diff", "nothing"]).whole(), @r"
    exit 1
    -- stderr
    error: there is no item `nothing`
      hint: `andon items` lists them
    ");
    assert_snapshot!(ground.andon(&["clear", "nothing", "retry"]).whole(), @r"
    exit 1
    -- stderr
    error: there is no jammed item `nothing`
      hint: `andon items --jammed` lists them
    ");
    assert_snapshot!(ground.andon(&["items", "--tree", "nothing"]).whole(), @r"
    exit 1
    -- stderr
    error: invalid value 'nothing' for '--tree <ITEM>': `nothing` is no item id

    For more information, try '--help'.
    ");
    assert_snapshot!(ground.andon(&["items", "--phase", "jamed"]).whole(), @r"
    exit 1
    -- stderr
    error: invalid value 'jamed' for '--phase <PHASE>': phases are `waiting`, `working`, `split`, `held`, `jammed`, `done`, `scrapped`, `joined`

    For more information, try '--help'.
    ");
    assert_snapshot!(ground.andon(&["items", "--station", "No Name"]).whole(), @r"
    exit 1
    -- stderr
    error: invalid value 'No Name' for '--station <STATION>': `No Name` is no name: a name is 1 to 64 of `a-z`, `0-9` and `-`, and begins with no `-`

    For more information, try '--help'.
    ");
    assert_snapshot!(ground.andon(&["items", "--station", "nowhere"]).whole(), @r"
    exit 0
    -- stderr
    no items
    ");
    assert_snapshot!(ground.andon(&["show", ""]).whole(), @r"
    exit 1
    -- stderr
    error: there is no item ``
      hint: `andon items` lists them
    ");
    assert_snapshot!(ground.andon(&["show", "\u{1b}[31m"]).whole(), @r"
    exit 1
    -- stderr
    error: there is no item `\u{1b}[31m`
      hint: `andon items` lists them
    ");
}

#[test]
fn unknown_stations_and_ports() {
    let ground = ground();
    let id = item(&ground);
    assert_snapshot!(ground.andon(&["diff", &id, "nowhere"]).whole(), @r"
    exit 1
    -- stderr
    error: line `l` has no station `nowhere`
      hint: it has `s`, `t`
    ");
    assert_snapshot!(ground.andon(&["explain", ".", "nowhere"]).whole(), @r"
    exit 1
    -- stderr
    error: line `l` has no station `nowhere`
      hint: it has `s`, `t`
    ");
    assert_snapshot!(ground.andon(&["clear", &id, "skip", "--port", "nowhere"]).whole(), @r"
    exit 1
    -- stderr
    error: item `ITEM` cannot leave `t` by the port `nowhere`: `other`, `pass` are wired
      hint: name a wired port, or wire it in the line file
    ");
    assert_snapshot!(ground.andon(&["clear", &id, "edit"]).whole(), @r"
    exit 1
    -- stderr
    error: `edit` needs the new body
      hint: `--file FILE`
    ");
    assert_snapshot!(ground.andon(&["clear", &id, "edit", "--file", "gone"]).whole(), @r"
    exit 1
    -- stderr
    error: `gone` cannot be read: No such file or directory
    ");
    assert_snapshot!(ground.andon(&["clear", &id, "retry", "--file", "a.txt"]).whole(), @r"
    exit 1
    -- stderr
    error: `--file` goes with `edit`, not with `retry`
    ");
    assert_snapshot!(ground.andon(&["clear", &id, "retry", "--port", "other"]).whole(), @r"
    exit 1
    -- stderr
    error: `--port` goes with `skip`, not with `retry`
    ");
    assert_snapshot!(ground.andon(&["clear", &id, "retyr"]).whole(), @r"
    exit 1
    -- stderr
    error: `retyr` is no way to clear
      hint: `retry`, `edit`, `skip` and `scrap` are
    ");
    assert_snapshot!(ground.andon(&["clear", &id, "scrap"]).whole(), @r"
    exit 0
    ITEM is scrapped at `t`
    -- stderr
    ");
    assert_snapshot!(ground.andon(&["clear", &id, "retry"]).whole(), @r"
    exit 1
    -- stderr
    error: item `ITEM` is not jammed but scrapped
      hint: `andon items --jammed` lists those that are
    ");
}

#[test]
fn unknown_commands() {
    let ground = Ground::new();
    assert_snapshot!(ground.andon(&["rnu", "."]).whole(), @r"
    exit 1
    -- stderr
    error: unrecognized subcommand 'rnu'

    Usage: andon <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(ground.andon(&["run", ".", "--jsnol"]).whole(), @r"
    exit 1
    -- stderr
    error: unexpected argument '--jsnol' found

      tip: a similar argument exists: '--jsonl'

    Usage: andon run --jsonl <LINE> [INPUTS]...

    For more information, try '--help'.
    ");
    assert_snapshot!(ground.andon(&["items"]).whole(), @r"
    exit 1
    -- stderr
    error: there is no state folder `.andon` in `DIR` or above
      hint: go to the line's folder, or name one with `--state DIR`
    ");
    assert_snapshot!(ground.andon(&["schema", "lines"]).whole(), @r"
    exit 1
    -- stderr
    error: invalid value 'lines' for '[FILE]'
      [possible values: line, station, factory]

      tip: a similar value exists: 'line'

    For more information, try '--help'.
    ");
    assert_snapshot!(ground.andon(&["new", "station", "My Station"]).whole(), @r"
    exit 1
    -- stderr
    error: invalid value 'My Station' for '<NAME>': `My Station` is no name: a name is 1 to 64 of `a-z`, `0-9` and `-`, and begins with no `-`

    For more information, try '--help'.
    ");
    assert_snapshot!(ground.andon(&["new", "line", "l", "--use", "gone"]).whole(), @r"
    exit 1
    -- stderr
    error: station `gone` cannot be found: No such file or directory
    ");
    ground.write("l/x", "");
    assert_snapshot!(ground.andon(&["new", "line", "l"]).whole(), @r"
    exit 1
    -- stderr
    error: `l` is there already
      hint: take another name, or remove it first
    ");
}

#[test]
fn a_station_that_the_line_lost_while_items_wait_there() {
    let ground = ground();
    let id = item(&ground);
    ground.andon(&["clear", &id, "retry"]).well();
    ground.line(&one(""));
    assert_snapshot!(ground.andon(&["run", "."]).whole(), @r"
    exit 2
    -- stderr
    jammed: ITEM (a.txt) at `t`: the line has no station `t` any more
    0 taken, 0 done, 0 results, 1 jammed
      hint: `andon show ITEM` tells its way, `andon clear ITEM retry` tries again
    ");
}

/// A line whose visits last until the file `gate/open` is there.
fn gated() -> Ground {
    let ground = Ground::new();
    ground
        .line("line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@lingers\"\nnext = \"done\"\nworkers = 1\ngrants.fs = [{ host = \"gate\", guest = \"/gate\", access = \"write\" }]\n")
        .write("in.jsonl", "1\n2\n3\n");
    fs::create_dir(ground.path("gate")).expect("a folder");
    ground
}

/// Starts a run, and comes back when all inputs are taken and the first visit is under way.
fn under_way(ground: &Ground) -> Child {
    let child = ground.spawn(&["run", ".", "in.jsonl"]);
    let visits = || fs::read_dir(ground.path("gate")).expect("a folder").count();
    let taken = || {
        let journal = Sqlite::open_read_only(&ground.path(".andon")).ok()?;
        Some(journal.list(&Filter::default()).ok()?.len())
    };
    while visits() == 0 || taken() != Some(3) {
        std::thread::yield_now();
    }
    child
}

fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process");
    kill_process(pid, Signal::INT).expect("it runs");
}

/// Reads what the command says until a line begins so.
fn said(child: &mut Child, beginning: &str) {
    let mut stderr = BufReader::new(child.stderr.as_mut().expect("piped"));
    let mut line = String::new();
    while stderr.read_line(&mut line).expect("text") > 0 {
        if line.starts_with(beginning) {
            return;
        }
        line.clear();
    }
    panic!("it never said `{beginning}`");
}

#[test]
fn interrupted_once_it_drains() {
    let ground = gated();
    let mut child = under_way(&ground);
    interrupt(&child);
    said(&mut child, "stopping");
    ground.write("gate/open", "");
    assert_snapshot!(ended(&ground, child).whole(), @r"
    exit 130
    1
    -- stderr
    3 taken, 1 done, 1 result
    interrupted
      hint: the same command goes on from here
    ");
    assert_snapshot!(ground.andon(&["items"]).whole(), @r"
    exit 0
    ITEM              PHASE     STATION  SOURCE
    ITEM  done      s        in.jsonl:1
    ITEM  waiting   s        in.jsonl:2
    ITEM  waiting   s        in.jsonl:3
    -- stderr
    ");
    assert_snapshot!(ground.andon(&["run", ".", "in.jsonl"]).whole(), @r"
    exit 0
    2
    3
    -- stderr
    0 taken, 2 done, 2 results, 3 taken before
    ");
}

#[test]
fn interrupted_twice_it_stops_at_once() {
    let ground = gated();
    let mut child = under_way(&ground);
    interrupt(&child);
    said(&mut child, "stopping");
    interrupt(&child);
    assert_snapshot!(ended(&ground, child).whole(), @r"
    exit 130
    -- stderr
    ");
    ground.write("gate/open", "");
    assert_snapshot!(ground.andon(&["run", ".", "in.jsonl"]).whole(), @r"
    exit 0
    1
    2
    3
    -- stderr
    0 taken, 3 done, 3 results, 3 taken before
    ");
}
