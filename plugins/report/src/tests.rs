//! Whole inputs through the station.

use andon_station::prelude::*;
use serde_json::{Value, json};

use crate::Report;

fn run(bodies: &[Value]) -> Result<Output> {
    let inputs = bodies
        .iter()
        .map(|body| Payload::of("application/json", body.to_string()))
        .collect();
    Report::run(&Visit::default(), inputs).map(|outputs| outputs[0].clone())
}

fn file(subject: &str, path: &str, score: u64) -> Value {
    json!({
        "commit": { "id": "0123456789abcdef", "author": "Ada <ada@example.com>", "subject": subject, "date": "3 Nov" },
        "file": { "path": path, "old_path": path, "status": "modified" },
        "hunks": [{ "lines": [{ "kind": "+" }, { "kind": "+" }, { "kind": "-" }, { "kind": " " }] }],
        "findings": [],
        "risk": { "score": score, "level": if score < 50 { "low" } else { "high" }, "reasons": [] },
    })
}

#[test]
fn files_of_one_patch() {
    let mut worst = file("Count from one", "src/z.rs", 90);
    worst["findings"] = json!([{ "rule": "jwt", "line": 3, "column": 7, "secret": "eyJh…[90]" }]);
    worst["risk"]["reasons"] = json!(["leaked secret: jwt", "sensitive path (`**/z.rs`)"]);
    let mut renamed = file("Count from one", "b.rs", 0);
    renamed["file"] =
        json!({ "path": "b.rs", "old_path": "a.rs", "status": "renamed", "binary": true });
    let output = run(&[file("Count from one", "src/c.rs", 0), worst, renamed]).unwrap();
    let labels: Vec<_> = output.payload.labels.iter().collect();
    assert_eq!(
        labels,
        [
            ("leaks", "1"),
            ("path", ""),
            ("risk", "high"),
            ("status", ""),
            ("subject", "Count from one")
        ]
    );
    assert_eq!(output.payload.content_type, "text/markdown");
    assert_eq!(
        output.payload.text().unwrap(),
        "\
# Count from one

by Ada \\<ada@example.com\\>, 3 Nov, `0123456789ab`

3 files changed, 6 lines added, 3 removed, **1 of high risk**, **1 leaked secret**

| file | status | added | removed | risk | secrets |
|---|---|---:|---:|---|---:|
| `src/z.rs` | modified | 2 | 1 | **high** (90) | 1 |
| `b.rs` | renamed from `a.rs`, binary | 2 | 1 | low (0) | 0 |
| `src/c.rs` | modified | 2 | 1 | low (0) | 0 |

## Secrets

- `src/z.rs:3:7`: jwt, `eyJh…[90]`

## Risks

- `src/z.rs` (90): leaked secret: jwt; sensitive path (`**/z.rs`)

"
    );
}

#[test]
fn several_patches() {
    let output = run(&[
        file("One", "a", 0),
        file("One", "b", 10),
        file("Two", "a", 0),
    ])
    .unwrap();
    let text = output.payload.text().unwrap();
    let heads: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(heads, ["# Review of 2 patches", "## One", "## Two"]);
    assert!(text.contains("\n3 files changed, 6 lines added, 3 removed\n"));
    assert_eq!(output.payload.labels.get("subject"), Some(""));
    assert_eq!(output.payload.labels.get("risk"), Some("low"));
}

#[test]
fn a_single_file_that_nobody_scored() {
    let output = run(&[json!({ "file": { "path": "x" } })]).unwrap();
    assert_eq!(output.payload.labels.get("risk"), Some(""));
    let text = output.payload.text().unwrap();
    assert!(
        text.starts_with(
            "# A patch without a subject\n\n1 file changed, 0 lines added, 0 removed\n"
        )
    );
    assert!(text.contains("| `x` | ? | 0 | 0 | not scored | 0 |"));
}

#[test]
fn hostile_names_stay_in_their_place() {
    let mut body = file("a\n\n# <b>\u{1b}[2J", "x\n| y | `\u{202e}", 0);
    body["risk"] = json!({ "score": 1, "level": "|<i>\n", "reasons": ["[a](b)\n\n- c"] });
    let text = run(&[body]).unwrap().payload.text().unwrap();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    assert!(!text.contains('\u{202e}'));
    assert_eq!(
        text.lines().filter(|line| line.starts_with('#')).count(),
        2,
        "{text}"
    );
    assert_eq!(
        text.lines().filter(|line| line.starts_with('|')).count(),
        3,
        "{text}"
    );
    assert_eq!(
        text.lines().filter(|line| line.starts_with('-')).count(),
        1,
        "{text}"
    );
    assert!(!text.contains("<i>") && !text.contains("<b>"));
}

#[test]
fn what_is_no_file_is_rejected_with_its_number() {
    assert!(matches!(run(&[]), Err(Stop::Reject(_))));
    let stop = run(&[file("s", "a", 0), json!({ "text": "x" })]).unwrap_err();
    assert!(
        matches!(&stop, Stop::Reject(why) if why.starts_with("input 2 of 2: ")),
        "{stop}"
    );
    let many: Vec<Value> = (0..700).map(|n| file("s", &format!("f{n}"), 0)).collect();
    assert!(
        run(&many)
            .unwrap()
            .payload
            .text()
            .unwrap()
            .contains("… and 200 more files")
    );
}
