//! What a guest says never becomes part of what andon says.

use crate::ground::Ground;

/// A body that would clear the screen, turn the direction of writing, end the line, and be a result
/// of its own.
const BODY: &str = "\u{1b}[2J\u{202e}\n{\"item\":\"forged\"}\n\"}\u{0}\u{9b}1m";

#[test]
fn a_body_stays_inside_the_json_that_carries_it() {
    let ground = Ground::new();
    ground
        .line("line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@pass-on\"\nnext = \"done\"\n")
        .write("a.txt", BODY);
    let said = ground.andon(&["run", ".", "a.txt", "-q", "--json"]).well();
    let events: Vec<serde_json::Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is one event"))
        .collect();
    let [result, summary] = &events[..] else {
        panic!("not one result and the summary:\n{said}");
    };
    assert_eq!(
        (&result["event"], &result["text"]),
        (&"result".into(), &BODY.into())
    );
    assert_eq!(summary["event"], "summary");
    assert!(
        !said.contains(['\u{1b}', '\u{0}', '\u{9b}', '\u{202e}']),
        "{said:?}"
    );
}

#[test]
fn a_reason_stays_on_its_line() {
    let ground = Ground::new();
    ground
        .line(
            "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@tells\"\nargs = [\"say\"]\nnext = \"done\"\n",
        )
        .write("a.txt", "{\"port\": \"x\\u001b[2J\\njammed: forged\\u202e\"}");
    let came = ground.andon(&["run", ".", "a.txt", "-q"]);
    assert_eq!(came.code, Some(2), "{}", came.whole());
    let shown = ground.andon(&["items", "--jammed"]).well();
    for text in [came.stderr, shown] {
        assert!(text.contains("forged"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        assert!(!text.contains("\njammed: forged"), "{text}");
    }
}
