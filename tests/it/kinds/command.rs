//! Programs: arguments, environment, standard streams, exit codes, `ANDON_OUTPUT`; as folders of C and
//! Rust, and as files of their own.

use super::{Trial, does, labels};
use insta::assert_snapshot;

const TEXT: &str = "one two\n\nthree  \n";

#[test]
fn line_stats_sums_up() {
    let trial = Trial::of("%line-stats", "").with(
        "label",
        "@does",
        &format!("{}\nnext = \"s\"", labels("lang=en\na.b-c=\"x\"")),
    );
    let out = trial.run_from("label", TEXT).well();
    assert_eq!(
        out,
        "{\"lines\":3,\"words\":3,\"bytes\":17,\"blank\":1,\"trailing\":1,\"longest\":7,\"labels\":{\"a_b_c\":\"\\\"x\\\"\",\"lang\":\"en\"}}\n"
    );
}

#[test]
fn line_stats_adds_a_footer() {
    let trial = Trial::of("%line-stats", "args = [\"--footer\", \"lang\", \"none\"]").with(
        "label",
        "@does",
        &format!("{}\nnext = \"s\"", labels("lang=en")),
    );
    let out = trial.run_from("label", TEXT).well();
    assert_eq!(out, format!("{TEXT}\n---\n\n3 lines, 3 words, lang: en\n"));
}

#[test]
fn exit_codes_are_told_apart() {
    let line_stats = |settings: &str| Trial::of("%line-stats", settings);
    assert_eq!(
        line_stats("").jams(""),
        "rejected: line-stats: the text is empty"
    );
    let wired = "next = { pass = \"scrap\", reject = \"done\" }";
    assert_eq!(line_stats(wired).passes("a\0b\n"), "a\0b\n");
    let usage = "args = [\"--nonsense\"]";
    assert!(
        line_stats(usage)
            .jams(TEXT)
            .starts_with("rejected: line-stats: unknown argument `--nonsense`")
    );
    let mapped = "exits = { 64 = \"usage\" }\nnext = { pass = \"scrap\", usage = \"done\" }";
    assert_eq!(line_stats(&format!("{usage}\n{mapped}")).passes(TEXT), "\n");
    // A folder where it wants to write a file: 75.
    let trial = line_stats("args = [\"--labels\"]").with(
        "before",
        "@does",
        &format!(
            "{}\nnext = \"s\"",
            does("folder /workspace/line-stats.txt\nforward")
        ),
    );
    let came = trial.run_from("before", TEXT);
    assert!(
        came.stderr
            .contains("every attempt failed, the last one: line-stats: cannot create"),
        "{}",
        came.whole()
    );
}

#[test]
fn exit_codes_of_rust_are_told_apart_too() {
    let exit = |code: &str, settings: &str| {
        Trial::of(
            "@tells",
            &format!("args = [\"exit\", \"{code}\"]\n{settings}"),
        )
    };
    assert_eq!(exit("0", "").passes("a"), "half\n");
    assert_eq!(exit("1", "").jams("a"), "rejected: exit 1 was asked for");
    assert_eq!(
        exit("255", "").jams("a"),
        "rejected: exit 255 was asked for"
    );
    let all = "every attempt failed, the last one: exit 75 was asked for";
    assert_eq!(exit("75", "").jams("a"), all);
    // As on POSIX systems, the low eight bits count.
    let mapped = "exits = { 255 = \"odd\" }\nnext = { pass = \"scrap\", odd = \"done\" }";
    assert_eq!(exit("-1", mapped).passes("a"), "half\n");
}

#[test]
fn a_program_sees_what_the_line_says_and_nothing_else() {
    let trial = Trial::of(
        "@tells",
        "args = [\"a b\", \"\", \"ü\"]\nenv = { EDITOR = \"ed\", EMPTY = \"\" }",
    )
    .with(
        "label",
        "@does",
        &format!("{}\nnext = \"s\"", labels("lang=en")),
    );
    let out = trial.run_from("label", "hello\n").well();
    assert_snapshot!(out, @r##"
    arguments ["s", "a b", "", "ü"]
    ANDON_LABEL_LANG=en
    ANDON_OUTPUT=/andon/output.jsonl
    EDITOR=ed
    EMPTY=
    6 bytes, sum 542
    in /
    / is closed
    /etc is closed
    /home is closed
    /proc is closed
    /tmp is closed
    .. is closed
    /workspace/.. is closed
    "##);
}

#[test]
fn files_of_the_host_are_not_there() {
    for file in [
        "/etc/passwd",
        "../../../../etc/passwd",
        "/workspace/../etc/passwd",
        "/proc/self/environ",
    ] {
        let out = Trial::of("@tells", &format!("args = [\"read\", \"{file}\"]")).passes("a");
        assert!(
            ["NotFound", "PermissionDenied", "Uncategorized"].contains(&out.trim_end()),
            "{file}: {out}"
        );
    }
}

#[test]
fn a_body_of_five_mebibytes_comes_and_goes() {
    let body: String = (0..5 << 20)
        .map(|n| char::from(b'a' + (n % 23) as u8))
        .collect();
    assert!(Trial::of("@tells", "args = [\"echo\"]").passes(&body) == format!("{body}\n"));
    let sum: u64 = body.bytes().map(u64::from).sum();
    let told = Trial::of("@tells", "").passes(&body);
    assert!(
        told.contains(&format!("5242880 bytes, sum {sum}\n")),
        "{told}"
    );
}

#[test]
fn a_flood_is_over_the_limit() {
    let trial = Trial::of(
        "@tells",
        "args = [\"flood\"]\nlimits = { output = \"64KiB\" }",
    );
    assert!(trial.jams("a").contains("over the limit `output` of 64KiB"));
    let trial = Trial::of(
        "@tells",
        "args = [\"echo\"]\nlimits = { output = \"64KiB\" }",
    );
    assert!(trial.passes("x".repeat(60 << 10)).len() == (60 << 10) + 1);
    assert!(
        trial
            .jams("x".repeat((64 << 10) + 1))
            .contains("over the limit `output` of 64KiB")
    );
}

/// A program of WASI 0.1 that copies its input and exits with `code`.
fn copies(code: i32) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (loop
      (i32.store (i32.const 0) (i32.const 16))
      (i32.store (i32.const 4) (i32.const 4096))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.load (i32.const 8)) (then
        (i32.store (i32.const 4) (i32.load (i32.const 8)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (br 1))))
    (call $exit (i32.const {code}))))"#
    )
}

#[test]
fn a_core_module_is_a_station() {
    for (code, settings) in [
        (0, ""),
        (
            7,
            "exits = { 7 = \"odd\" }\nnext = { pass = \"scrap\", odd = \"done\" }",
        ),
    ] {
        let wat = copies(code);
        let trial = Trial::of("copies.wat", settings);
        trial.ground.write("copies.wat", &wat);
        assert_eq!(trial.passes("hello\n"), "hello\n");
        let trial = Trial::of("copies.wasm", settings);
        trial
            .ground
            .write("copies.wasm", wat::parse_str(&wat).expect("wat"));
        assert_eq!(trial.passes("hello\n"), "hello\n");
    }
    let trial = Trial::of("copies.wat", "");
    trial.ground.write("copies.wat", copies(7));
    assert_eq!(trial.jams("hello\n"), "rejected: exit code 7");
    let alone = trial
        .ground
        .andon_with(&["run", "copies.wat", "-", "-q", "--state", "s"], "x");
    assert_eq!(alone.code, Some(2), "{}", alone.whole());
}

#[test]
fn a_component_in_text_is_a_station() {
    let component = |code: u32| {
        format!(
            r#"(component
  (core module $m (func (export "run") (result i32) i32.const {code}))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
        )
    };
    let trial = Trial::of("c.wat", "");
    trial.ground.write("c.wat", component(0));
    assert_eq!(trial.passes("hello\n"), "\n");
    let trial = Trial::of("c.wat", "");
    trial.ground.write("c.wat", component(1));
    assert_eq!(trial.jams("hello\n"), "rejected: exit code 1");
}
