//! Programs that write their outputs to the file that `ANDON_OUTPUT` names.

use super::{Trial, does};
use insta::assert_snapshot;

#[test]
fn line_stats_labels_the_text_by_the_file_for_outputs() {
    let tells = does("labels\nbody\ntype\nlength");
    let trial = Trial::of(
        "%line-stats",
        "args = [\"--labels\"]\nnext = [{ when = { lines = \"3\" }, to = \"tell\" }, { to = \"scrap\" }]",
    )
    .with("tell", "@does", &tells);
    assert_snapshot!(trial.passes("one two\n\nthree  \n"), @r##"
    labels: [("lines", "3"), ("longest", "7"), ("words", "3")]
    body: "file"
    type: text/plain
    length: 17
    "##);
}

#[test]
fn a_program_with_more_to_say_writes_lines() {
    let said = r#"{"port": "odd", "file": "kept/a.txt", "content-type": "text/markdown", "labels": {"n": "1"}}

{"labels": {"n": "2"}}
{"file": "kept/a.txt"}
"#;
    let trial = Trial::of(
        "@tells",
        "args = [\"say\"]\nnext = { pass = \"tell\", odd = \"tell\" }",
    )
    .with(
        "tell",
        "@does",
        &format!("{}\nworkers = 1", does("labels\ntype\nbody\nlength")),
    );
    assert_snapshot!(trial.passes(said), @r##"
    labels: [("n", "1")]
    type: text/markdown
    body: "file"
    length: 12
    labels: [("n", "2")]
    type: text/plain
    body: "bytes"
    length: 0
    labels: []
    type: text/plain
    body: "file"
    length: 12
    "##);
    // Nothing said is nothing but standard output.
    assert_eq!(says().passes("\n"), "this is no output\n");
}

#[test]
fn what_a_program_may_not_say_is_invalid() {
    for (said, reason) in [
        ("{\"prot\": \"pass\"}", "unknown field `prot`"),
        ("pass", "line 1 of `/andon/output.jsonl`"),
        ("{}\n[", "line 2 of `/andon/output.jsonl`"),
        ("{\"port\": \"reject\"}", "`reject` is reserved"),
        ("{\"port\": \"exhausted\"}", "`exhausted` is reserved"),
        ("{\"port\": \"other\"}", "other"),
        ("{\"port\": \"No Port\"}", "`No Port` is no port"),
        ("{\"file\": \"../out\"}", "is no file of the workspace"),
        ("{\"file\": \"/etc/passwd\"}", "is no file of the workspace"),
        ("{\"file\": \"kept\"}", "it is no regular file"),
        ("{\"file\": \"kept/b.txt\"}", "is no file of the workspace"),
        ("{\"labels\": {\"Big\": \"1\"}}", "Big"),
        ("{\"content-type\": \"ü\"}", "is no media type"),
    ] {
        let jam = says().jams(said);
        assert!(jam.contains(reason), "{said}: {jam}");
    }
}

fn says() -> Trial {
    Trial::of(
        "@tells",
        "args = [\"say\"]\nnext = { pass = \"done\", odd = \"done\" }",
    )
}
