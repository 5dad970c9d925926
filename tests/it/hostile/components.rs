//! Components that are meant for whoever reads or compiles them.

use crate::ground::Ground;
use andon::catalogue::{self, Allowance, Cache, Compiler};
use andon_build::Options;
use std::{fs::File, time::Duration};

/// What `andon check` says of a line whose station is this file.
fn check(ground: &Ground, name: &str) -> String {
    ground.line(&format!(
        "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"{name}\"\nnext = \"done\"\n"
    ));
    let came = ground.andon(&["check"]);
    assert_eq!(came.code, Some(1), "{}", came.whole());
    came.whole()
}

/// A program of 300,000 steps, each of which needs the one before: long work for a compiler, and much
/// to remember.
fn slow() -> Vec<u8> {
    let step = "(i32.store (local.tee 0 (i32.mul (i32.load (local.get 1)) (local.get 0))) (local.tee 1 (i32.popcnt (local.get 0))))";
    let text = format!(
        "(module (memory (export \"memory\") 1) (func (export \"_start\") (local i32 i32)
           (local.set 0 (i32.load (i32.const 64))) (local.set 1 (i32.load (i32.const 72))) {}))",
        step.repeat(300_000)
    );
    wat::parse_str(text).expect("it is well-formed")
}

#[test]
fn a_file_of_a_gibibyte_is_not_read() {
    let ground = Ground::new();
    let file = File::create(ground.path("s.wasm")).expect("a file");
    // Takes no room on the disk.
    file.set_len(1 << 30).expect("a length");
    let said = check(&ground, "s.wasm");
    assert!(
        said.contains("`s.wasm` is larger than 268435456 bytes, the most that a station may have"),
        "{said}"
    );
}

#[test]
fn names_of_any_length_are_short_in_what_is_said() {
    let station = "(instance $x) (export \"andon:station/process@0.1.0\" (instance $x))";
    for (length, component, reason) in [
        (
            1 << 20,
            "(component (instance $x) (export \"acme:NAME/x@1.0.0\" (instance $x)))",
            "string size out of bounds",
        ),
        (
            90_000,
            "(component (instance $x) (export \"acme:NAME/x@1.0.0\" (instance $x)))",
            "it is no station",
        ),
        (
            90_000,
            &format!("(component (import \"acme:NAME/x@1.0.0\" (instance)) {station})"),
            "which nobody knows",
        ),
        (
            90_000,
            &format!(
                "(component (@custom \"{}\" \"{{\\\"NAME\\\": 1}}\") {station})",
                andon_build::manifest::SECTION
            ),
            "the manifest inside the component is not one",
        ),
    ] {
        let ground = Ground::new();
        ground.write("s.wat", component.replace("NAME", &"a".repeat(length)));
        let said = check(&ground, "s.wat");
        assert!(said.contains(reason) && said.len() < 1000, "{said:.2000}");
    }
}

#[test]
fn names_without_number_and_nesting_without_end_are_not_followed() {
    let names: String = (0..150_000)
        .map(|n| format!("(export \"e{n}\" (func $f))"))
        .collect();
    for (text, reason) in [
        (
            format!("(module (func $f) {names})"),
            "it has more than 100000 imports and exports",
        ),
        ("(component ".repeat(100_000), "nesting too deep"),
    ] {
        let ground = Ground::new();
        ground.write("s.wat", text);
        let said = check(&ground, "s.wat");
        assert!(said.contains(reason) && said.len() < 1000, "{said:.2000}");
    }
}

#[test]
fn more_of_everything_than_the_engine_has_for_one_visit_is_said_at_the_station() {
    let ground = Ground::new();
    let memories = "(core instance (instantiate $m))".repeat(9);
    ground.write(
        "s.wat",
        format!(
            "(component (core module $m (memory 1)) {memories}
               (core module $run (func (export \"run\") (result i32) (i32.const 0)))
               (core instance $i (instantiate $run))
               (func $run (result (result)) (canon lift (core func $i \"run\")))
               (instance $x (export \"run\" (func $run)))
               (export \"wasi:cli/run@0.2.0\" (instance $x)))"
        ),
    );
    let said = check(&ground, "s.wat");
    assert!(
        said.contains("line.toml:4:7: the component of station `s` does not fit this andon: ")
            && said.contains("contains 9 Wasm linear memories"),
        "{said}"
    );
}

#[test]
fn compiling_is_bounded_in_time_and_memory() {
    let ground = Ground::new();
    ground.write("s.wasm", slow());
    let component =
        catalogue::resolve(&ground.path("s.wasm"), &Options::default()).expect("it is well-formed");
    let enough = Allowance::default();
    for (allowance, reason) in [
        (
            Allowance {
                cpu: Duration::from_secs(1),
                ..enough
            },
            "it took more than 1s of processor time",
        ),
        (
            Allowance {
                wall: Duration::from_millis(10),
                ..enough
            },
            "it took longer than 10ms",
        ),
        (
            Allowance {
                memory: 32 << 20,
                ..enough
            },
            "more than 33554432 bytes of memory",
        ),
    ] {
        let compiler = Compiler {
            exe: env!("CARGO_BIN_EXE_andon").into(),
            allowance,
        };
        let cache = Cache::open(&ground.path("cache"), "engine", compiler).expect("a cache");
        let error = cache
            .get(&component, &|| {})
            .expect_err("it does not compile");
        let said = error.to_string();
        assert!(said.contains(reason) && said.len() < 10_000, "{said:.2000}");
    }
}

/// A check proves nothing for a component that is another one when it runs: what runs is what is there
/// then, compiled from just those bytes.
#[test]
fn a_component_that_changes_after_the_check_is_another_one() {
    let ground = Ground::new();
    let exits = |code: u32| {
        format!(
            "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
               (memory (export \"memory\") 1)
               (func (export \"_start\") (call $exit (i32.const {code}))))"
        )
    };
    ground.write("a.txt", "a\n");
    ground.line("line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"s.wat\"\nnext = \"done\"\n");
    ground.write("s.wat", exits(0));
    ground.andon(&["check"]).well();
    ground.write("s.wat", exits(9));
    let came = ground.andon(&["run", ".", "a.txt", "-q"]);
    assert!(
        came.stderr.contains("rejected: exit code 9"),
        "{}",
        came.whole()
    );
    ground.write("s.wat", "no component");
    let came = ground.andon(&["run", ".", "a.txt", "-q"]);
    assert!(
        came.stderr
            .contains("neither WebAssembly nor its text format"),
        "{}",
        came.whole()
    );
}
