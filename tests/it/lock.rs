//! `line.lock`: a line runs as it was accepted, and `andon lock` accepts what changed, by its name.

use crate::ground::{Came, Ground, on_the_way};
use insta::assert_snapshot;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

/// A program in text that says nothing and leaves by `pass`; `more` makes it another.
fn program(more: &str) -> String {
    format!(
        r#"(component
  (core module $m (func (export "run") (result i32) i32.const 0) (func {more}))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
    )
}

const RULE: &str = "\"GET https://api.example.com/v1/**\"";

fn line(settings: &str) -> String {
    format!(
        "line = \"l\"\nentry = \"s\"\n[vars]\nrules = \"rules\"\n[stations.s]\nuse = \"s.wat\"\nnext = \"done\"\nassets = [{{ host = \"${{rules}}\", guest = \"/rules\" }}]\n{settings}\n"
    )
}

/// A line with an asset and one grant, not locked yet.
fn ground() -> Ground {
    let ground = Ground::new();
    ground
        .line(&line(&format!("grants.http = [{RULE}]")))
        .write("s.wat", program("nop"))
        .write("rules/a.txt", "strict\n")
        .write("in.txt", "a\n");
    ground
}

/// The same, locked as it is.
fn locked() -> Ground {
    let ground = ground();
    ground
        .andon(&[
            "lock",
            "--accept",
            "s:http GET https://api.example.com/v1/**",
        ])
        .well();
    ground
}

/// The whole of what a command says, digests left out.
fn said(came: &Came) -> String {
    let text = came.whole();
    let mut plain = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() && !c.is_ascii_uppercase() {
            word.push(c);
            continue;
        }
        let digest = matches!(word.len(), 12 | 64) && word.bytes().any(|b| b.is_ascii_digit());
        plain.push_str(if digest { "DIGEST" } else { &word });
        word.clear();
        plain.push(c);
    }
    plain.pop();
    plain
}

/// What a change does to a line's folder, and what is said of it.
type Change<'c> = (&'c str, &'c dyn Fn(&Ground));

#[test]
fn the_first_lock_shows_everything_and_asks_for_grants() {
    let ground = ground();
    assert_snapshot!(said(&ground.andon(&["lock"])));
    assert!(!ground.path("line.lock").exists());
    ground.andon(&["run", ".", "in.txt", "-q"]).well();
    let accepted = [
        "lock",
        "--accept",
        "s:http GET https://api.example.com/v1/**",
    ];
    assert_snapshot!(said(&ground.andon(&accepted)));
    let text = fs::read_to_string(ground.path("line.lock")).expect("written");
    let component = andon::digest::Digest::of(program("nop")).to_string();
    assert!(text.contains(&component), "{text}");
    assert!(text.contains("[vars]\nrules = \"rules\"\n"), "{text}");
    assert_snapshot!(said(&ground.andon(&["lock"])));
    ground.andon(&["lock", "--check"]).well();
    ground
        .andon(&["run", ".", "in.txt", "-q", "--again"])
        .well();
    let mode = fs::metadata(ground.path("line.lock"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o600, 0o600);
    assert_eq!(mode & 0o111, 0);
}

#[test]
fn what_changed_under_its_name_does_not_run() {
    let changes: &[Change<'_>] = &[
        ("component", &|g| {
            g.write("s.wat", program("nop nop"));
        }),
        ("asset", &|g| {
            g.write("rules/a.txt", "lax\n");
        }),
        ("asset from elsewhere, by a variable", &|g| {
            g.write("lax/a.txt", "lax\n")
                .write("andon.toml", "[vars]\nrules = \"lax\"\n");
        }),
        ("wider grant", &|g| {
            g.line(&line("grants.http = [\"GET https://api.example.com/**\"]"));
        }),
        ("one more of a grant", &|g| {
            g.line(&line(&format!(
                "grants.http = [{{ rule = {RULE}, private = true }}]"
            )));
        }),
        ("another station", &|g| {
            let more = "[stations.t]\nuse = \"s.wat\"\nnext = \"done\"";
            let text = line(&format!("grants.http = [{RULE}]\n{more}"));
            g.line(&text.replace("next = \"done\"\nassets", "next = \"t\"\nassets"));
        }),
        ("two at once", &|g| {
            g.write("s.wat", program("nop nop"));
            g.line(&line(&format!(
                "grants.http = [{RULE}]\ngrants.tcp = [\"db.internal:5432\"]"
            )));
        }),
    ];
    let mut all = String::new();
    for (what, change) in changes {
        let ground = locked();
        let before = fs::read(ground.path("line.lock")).expect("locked");
        change(&ground);
        let check = ground.andon(&["check"]);
        assert_eq!(check.code, Some(1), "{what}");
        let run = ground.andon(&["run", ".", "in.txt"]);
        assert_eq!(run.whole(), check.whole(), "{what}");
        assert!(!ground.path(".andon").exists(), "{what}: nothing ran");
        let lock = ground.andon(&["lock"]);
        let after = fs::read(ground.path("line.lock")).expect("still there");
        assert_eq!(
            after, before,
            "{what}: nothing is accepted without being named"
        );
        all += &format!("= {what}\n{}\n{}\n", said(&check), said(&lock));

        // The names that are shown are those that accept.
        let names = lock.stderr.lines().filter_map(|line| {
            let name = line.trim().strip_prefix("--accept ")?;
            Some(name.trim_matches('\'').to_owned())
        });
        let mut arguments = vec!["lock".to_string()];
        arguments.extend(names.flat_map(|name| ["--accept".into(), name]));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        ground.andon(&arguments).well();
        ground.andon(&["run", ".", "in.txt", "-q"]).well();
    }
    assert_snapshot!(all);
}

#[test]
fn what_is_narrower_runs_and_is_written_without_being_asked() {
    for settings in ["", "grants.http = [\"GET https://api.example.com/v1/x\"]"] {
        let ground = locked();
        ground.line(&line(settings));
        ground.andon(&["run", ".", "in.txt", "-q"]).well();
        assert_eq!(ground.andon(&["lock", "--check"]).code, Some(1));
        ground.andon(&["lock"]).well();
        ground.andon(&["lock", "--check"]).well();
        // What was given up has to be accepted anew.
        ground.line(&line(&format!("grants.http = [{RULE}]")));
        assert_eq!(ground.andon(&["check"]).code, Some(1));
    }
}

#[test]
fn a_station_that_asks_for_more() {
    let station = |requires: &str| {
        format!(
            "name = \"s\"\nversion = \"1.0.0\"\ndescription = \"Does nothing\"\n[build]\nlanguage = \"c\"\n{requires}"
        )
    };
    let ground = Ground::new();
    let data = "grants.fs = [{ host = \"data\", guest = \"/data\", access = \"read\" }]";
    let text = format!(
        "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"s\"\nnext = \"done\"\n{data}\n"
    );
    ground
        .line(&text)
        .write("s/main.c", "int main(void) { return 0; }\n")
        .write("s/station.toml", station(""))
        .write("data/a", "a");
    ground
        .andon(&["lock", "--accept", "s:fs read /data from data"])
        .well();
    let need = "[[requires.fs]]\nguest = \"/data\"\naccess = \"read\"\nwhy = \"reads what was there before\"\n";
    ground.write("s/station.toml", station(need));
    assert_snapshot!(said(&ground.andon(&["check"])));
    assert_snapshot!(said(&ground.andon(&["lock"])));
}

#[test]
fn names_that_accept_nothing() {
    let ground = locked();
    ground.write("s.wat", program("nop nop"));
    for name in [
        "all",
        "s",
        "digest",
        "s:digest=0123456789ab",
        "s:http GET https://api.example.com/v1/**",
    ] {
        let came = ground.andon(&["lock", "--accept", "s:digest", "--accept", name]);
        assert_eq!(came.code, Some(1), "{name}");
        assert!(
            came.stderr
                .contains("nothing that has to be accepted has this name"),
            "{}",
            came.whole()
        );
        assert_eq!(ground.andon(&["check"]).code, Some(1), "{name}");
    }
    ground.andon(&["lock", "--accept", "s:digest"]).well();
    ground.andon(&["check"]).well();
}

#[test]
fn for_programs() {
    let ground = locked();
    ground.write("s.wat", program("nop nop"));
    let came = ground.andon(&["lock", "--json"]);
    assert_eq!(came.code, Some(1));
    let about: serde_json::Value = serde_json::from_str(&came.stdout).expect("JSON");
    assert_eq!(about["written"], false);
    assert_eq!(about["changes"][0]["what"], "component");
    let name = about["to-accept"][0].as_str().expect("a name").to_owned();
    assert!(name.starts_with("s:digest="), "{name}");
    let about = ground.andon(&["lock", "--json", "--accept", &name]).well();
    let about: serde_json::Value = serde_json::from_str(&about).expect("JSON");
    assert_eq!(about["written"], true);
}

#[test]
fn locks_that_are_none() {
    let ground = locked();
    let whole = fs::read_to_string(ground.path("line.lock")).expect("locked");
    let cut = &whole[..whole.len() - 20];
    let mut all = String::new();
    for text in [
        cut,
        "",
        "version = 7\n",
        "version = 1\nstations = {}\nlines = 2\n",
    ] {
        ground.write("line.lock", text);
        for arguments in [&["check"][..], &["run", ".", "in.txt"], &["lock"]] {
            let came = ground.andon(arguments);
            assert_eq!(came.code, Some(1), "{arguments:?}");
            if arguments == ["check"] {
                all += &format!("{}\n", said(&came));
            } else {
                assert!(
                    all.ends_with(&format!("{}\n", said(&came))),
                    "{arguments:?}"
                );
            }
        }
    }
    fs::remove_file(ground.path("line.lock")).expect("removed");
    fs::create_dir(ground.path("line.lock")).expect("a folder");
    all += &said(&ground.andon(&["check"]));
    assert_snapshot!(all);
}

#[test]
fn a_folder_that_may_not_be_written() {
    let ground = ground();
    let mode = |mode| {
        fs::set_permissions(ground.path(""), Permissions::from_mode(mode)).expect("its own folder")
    };
    mode(0o555);
    // Root may write everywhere: the rights that let it are taken away first.
    let andon = env!("CARGO_BIN_EXE_andon");
    let accept = "s:http GET https://api.example.com/v1/**";
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", andon]);
        command
    } else {
        Command::new(andon)
    };
    let output = command
        .args(["lock", "--accept", accept])
        .current_dir(ground.path(""))
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    mode(0o755);
    let came = ground.came(output);
    assert_eq!(came.code, Some(1), "{}", came.whole());
    let error = came.stderr.lines().filter(|line| !on_the_way(line));
    let error: Vec<&str> = error.collect();
    assert_snapshot!(error.join("\n"), @r"
    error: `line.lock` cannot be written: permission denied
      hint: make its folder writable
    ");
    let mut left = fs::read_dir(ground.path("")).expect("a folder").flatten();
    assert!(left.all(|entry| !entry.file_name().to_string_lossy().contains("lock")));
}

#[test]
fn a_station_alone_has_no_lock() {
    let ground = ground();
    assert_snapshot!(said(&ground.andon(&["lock", "s.wat"])), @r"
    exit 1
    -- stderr
    error: `s.wat` is a station, and only lines have a lock
      hint: name a line's folder or `line.toml`
    ");
}
