//! Nothing that a guest says reaches a person as it is: a station that says what steers a terminal
//! wherever it may say something, and every command that shows any of it.

use crate::ground::Ground;
use andon::escape::misleads;
use std::process::Output;

/// Where the station says it, how the item ends, and what of it a person is shown.
const PLACES: &[(&str, &str, &str)] = &[
    ("log", "done", r"stderr: \u{1b}[2J\u{1b}]8;;https://evil"),
    ("long", "jammed", "over the limit `log`"),
    ("body", "done", ""),
    ("reject", "jammed", r"rejected: \u{1b}[2J"),
    ("trap", "jammed", r"!\u{1b}[31m\u{202e}forged: all is well"),
    ("panic", "jammed", r"\u{202e}live"),
    ("label", "done", r"a=\u{202e}live\u{2066}\u{200b}\u{e0041}"),
    ("label-value", "jammed", "the value of label `a`"),
    ("label-name", "jammed", r"`\u{1b}[2J"),
    ("port", "jammed", r"`\u{1b}[2J"),
    ("type", "jammed", r"`\u{1b}[2J"),
    ("file", "jammed", r"`\u{1b}[2J"),
    ("key", "jammed", r"\u{1b}[2J"),
    ("names", "done", r"file `\u{1b}[2J"),
];

const LINE: &str = r#"
line = "l"
entry = "s"
[defaults]
retry = { attempts = 2, backoff = "1ms..2ms" }
[stations.s]
use = "@misleads"
args = ["\u001b[31m\u202e"]
env = { A = "\u009b31m" }
next = "done"
"#;

#[test]
fn nothing_that_a_guest_says_reaches_a_person_as_it_is() {
    let ground = Ground::new();
    ground.line(LINE);
    let mut arguments = vec!["run", ".", "-q"];
    let inputs: Vec<String> = PLACES
        .iter()
        .map(|(place, ..)| format!("{place}\r\nforged\u{1b}[1m\u{202e}.txt"))
        .collect();
    for ((place, ..), input) in PLACES.iter().zip(&inputs) {
        ground.write(input, place);
        arguments.push(input);
    }
    // Results that go into a pipe are the bytes as they are, and the log is nobody's.
    let output = ground
        .command(&arguments)
        .env("ANDON_LOG", "debug")
        .output();
    let output = output.expect("the command runs");
    assert_eq!(output.status.code(), Some(2));
    let body = String::from_utf8_lossy(&output.stdout);
    assert!(body.contains("\u{1b}[2J\u{1b}]8;;https://evil.example/\u{1b}\\here"));
    check("run", &output.stderr);

    let shown = |arguments: &[&str], code: i32| -> String {
        let output = ground
            .command(arguments)
            .output()
            .expect("the command runs");
        clean(arguments, &output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let items = shown(&["items", "--json"], 0);
    let items: Vec<serde_json::Value> = json_lines(&items);
    assert_eq!(items.len(), PLACES.len());
    for (place, phase, shows) in PLACES {
        let is_it = |item: &&serde_json::Value| {
            let source = item["source"].as_str().expect("a name");
            source.split('\r').next() == Some(place)
        };
        let item = items.iter().find(is_it).expect("it was taken");
        assert_eq!(item["phase"], *phase, "{place}");
        let id = item["item"].as_str().expect("an id");
        let told = shown(&["show", id], 0);
        assert!(told.contains(shows), "{place} shows not `{shows}`:\n{told}");
        json_lines(&shown(&["show", id, "--json"], 0));
        shown(&["diff", id], 0);
        json_lines(&shown(&["audit", "--item", id, "--json"], 0));
        if *phase == "jammed" {
            shown(
                &[
                    "clear",
                    id,
                    "scrap",
                    "--why",
                    "\u{1b}[1m",
                    "--by",
                    "\u{202e}",
                ],
                0,
            );
            shown(&["show", id], 0);
        }
    }
    let station = crate::ground::root().join("tests/stations/misleads");
    let station = station.display().to_string();
    for arguments in [
        &["items"][..],
        &["audit"],
        &["audit", "--denied"],
        &["audit", "--verify"],
        &["check", "."],
        &["explain", ".", "s"],
        &["show", &station],
    ] {
        shown(arguments, 0);
    }
    for arguments in [
        &["audit", "--json"][..],
        &["audit", "--verify", "--json"],
        &["check", ".", "--json"],
        &["explain", ".", "s", "--json"],
        &["show", &station, "--json"],
    ] {
        json_lines(&shown(arguments, 0));
    }
    let denied = shown(&["audit", "--denied"], 0);
    assert!(
        denied.contains("limit log 64KiB: denied by `limits.log`"),
        "{denied}"
    );

    // All of it once more, as JSON, and with nobody to take the results from.
    let mut arguments = vec!["run", ".", "--json", "--again"];
    arguments.extend(inputs.iter().map(String::as_str));
    let events = json_lines(&shown(&arguments, 2));
    assert_eq!(events.len(), PLACES.len() + 1);
}

#[test]
fn what_is_no_item_is_said_to_be_none() {
    let ground = Ground::new();
    ground.line(LINE).write("a.txt", "log");
    ground.andon(&["run", ".", "a.txt", "-q"]).well();
    for (text, says) in [
        ("nothing", "there is no item `nothing`"),
        ("\u{1b}[2J\n", r"there is no item `\u{1b}[2J\n`"),
        ("a'; DROP TABLE items; --", "there is no item `a'; DROP"),
        ("", "there is no item ``"),
    ] {
        for arguments in [
            &["show", text][..],
            &["diff", text],
            &["audit", "--item", text],
        ] {
            let output = ground.command(arguments).output().expect("it runs");
            clean(arguments, &output);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(told.contains(says), "{arguments:?}: {told}");
            assert!(told.contains("hint: "), "{arguments:?}: {told}");
        }
    }
    for (arguments, says) in [
        (
            &["items", "--tree", "\u{1b}x"][..],
            r"`\u{1b}x` is no item id",
        ),
        (&["items", "--station", "\u{1b}x"], r"`\u{1b}x` is no name"),
        (&["audit", "--station", "../x"], "`../x` is no name"),
        (&["audit", "--deed", "x"], "deeds are `grant`"),
        (&["audit", "--verify", "--noted", "1:x"], "`ENTRIES:HEAD`"),
        (&["diff", "nothing", "\u{202e}"], r"`\u{202e}` is no name"),
        (
            &["clear", "nothing", "skip", "--port", "a\u{7}"],
            r"`a\u{7}` is no name",
        ),
    ] {
        let output = ground.command(arguments).output().expect("it runs");
        clean(arguments, &output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(says), "{arguments:?}: {told}");
    }
}

/// Both streams are text with nothing in it that misleads.
fn clean(arguments: &[&str], output: &Output) {
    let what = format!("{arguments:?}");
    check(&what, &output.stdout);
    check(&what, &output.stderr);
}

fn check(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).expect(what);
    for line in text.split('\n') {
        let raw = line.chars().find(|c| misleads(*c));
        assert_eq!(raw, None, "{what} prints it in {line:?}");
        assert!(
            !line.starts_with("forged"),
            "{what} has a forged line {line:?}"
        );
    }
}

fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}
