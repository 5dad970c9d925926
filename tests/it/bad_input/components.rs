//! Files that are no stations, or none that fit.

use super::says;
use crate::ground::{Ground, root};
use insta::assert_snapshot;

/// A line of one station, whose component is `name` with these bytes.
fn check(name: &str, bytes: impl AsRef<[u8]>) -> String {
    let ground = Ground::new();
    ground
        .line(&format!(
            "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"{name}\"\nnext = \"done\"\n"
        ))
        .write(name, bytes);
    ground.andon(&["check"]).whole()
}

/// The component of a test station.
fn component(station: &str) -> Vec<u8> {
    let folder = root().join("tests/stations").join(station);
    let built = andon_build::build(&folder, &andon_build::Options::default()).expect("it builds");
    std::fs::read(built.component).expect("it can be read")
}

#[test]
fn neither_wasm_nor_wat() {
    assert_snapshot!(check("s.wasm", "#!/bin/sh\necho hello\n"), @r"
    exit 1
    -- stderr
    line.toml:4:7: `s.wasm` is neither WebAssembly nor its text format: expected `(` at 1:1
      hint: a station is a folder with a `station.toml`, or a `.wasm` or `.wat` file
    1 problem
    ");
    assert_snapshot!(check("s.wasm", b"\x7fELF\xff\xfe"), @r"
    exit 1
    -- stderr
    line.toml:4:7: `s.wasm` is neither WebAssembly nor its text format: no WebAssembly header, and no UTF-8 (invalid utf-8 sequence of 1 bytes from index 4)
      hint: a station is a folder with a `station.toml`, or a `.wasm` or `.wat` file
    1 problem
    ");
    assert_snapshot!(check("s.wat", "(component"), @r"
    exit 1
    -- stderr
    line.toml:4:7: `s.wat` is neither WebAssembly nor its text format: expected `)` at 1:11
      hint: a station is a folder with a `station.toml`, or a `.wasm` or `.wat` file
    1 problem
    ");
    assert_snapshot!(check("s.wasm", ""), @r"
    exit 1
    -- stderr
    line.toml:4:7: `s.wasm` is neither WebAssembly nor its text format: there is nothing in it
      hint: a station is a folder with a `station.toml`, or a `.wasm` or `.wat` file
    1 problem
    ");
}

#[test]
fn cut_short() {
    let whole = component("stamp");
    // How long it is depends on the compiler and the SDK.
    let half = &whole[..whole.len() / 2];
    let said = check("s.wasm", half).replace(&half.len().to_string(), "HALF");
    assert_snapshot!(said, @r"
    exit 1
    -- stderr
    line.toml:4:7: `s.wasm` is damaged or cut short: it ends after HALF bytes, before its time
      hint: build it, or copy it, once more
    1 problem
    ");
    assert_snapshot!(check("s.wasm", &whole[..8]), @r"
    exit 1
    -- stderr
    line.toml:4:7: `s.wasm`: it is no station: it exports nothing
      hint: a station exports `andon:station/process@0.1.0`, `wasi:cli/run` or `wasi:http/incoming-handler`
    1 problem
    ");
}

#[test]
fn of_another_world() {
    assert_snapshot!(
        check("s.wat", "(component (instance $x) (export \"acme:game/level@1.0.0\" (instance $x)))"),
        @r"
    exit 1
    -- stderr
    line.toml:4:7: `s.wat`: it is no station: it exports `acme:game/level@1.0.0`
      hint: a station exports `andon:station/process@0.1.0`, `wasi:cli/run` or `wasi:http/incoming-handler`
    1 problem
    "
    );
    assert_snapshot!(check("s.wat", "(module (func (export \"add\")))"), @r"
    exit 1
    -- stderr
    line.toml:4:7: `s.wat`: it is no station: it exports nothing
      hint: a station exports `andon:station/process@0.1.0`, `wasi:cli/run` or `wasi:http/incoming-handler`
    1 problem
    ");
}

#[test]
fn of_the_right_name_and_another_shape() {
    assert_snapshot!(
        check("s.wat", "(component (instance $x) (export \"andon:station/process@0.1.0\" (instance $x)))"),
        @r"
    exit 1
    -- stderr
    line.toml:4:7: the component of station `s` does not fit this andon: instance export `andon:station/process@0.1.0` does not have export `run`
    1 problem
    "
    );
    assert_snapshot!(
        check("s.wat", "(component (instance $x) (export \"andon:station/process@0.2.0\" (instance $x)))"),
        @r"
    exit 1
    -- stderr
    line.toml:4:7: `s.wat`: it is no station: it exports `andon:station/process@0.2.0`
      hint: a station exports `andon:station/process@0.1.0`, `wasi:cli/run` or `wasi:http/incoming-handler`
    1 problem
    "
    );
}

#[test]
fn importing_what_nobody_knows() {
    let wat = r#"(component
        (import "acme:gpu/fast@1.0.0" (instance))
        (import "wasi:nn/tensor@0.2.0" (instance))
        (instance $x) (export "andon:station/process@0.1.0" (instance $x)))"#;
    assert_snapshot!(check("s.wat", wat), @r"
    exit 1
    -- stderr
    line.toml:4:7: station `s` imports `acme:gpu/fast@1.0.0`, which nobody knows
      hint: build it for the interfaces of andon and WASI only, or use a newer andon
    line.toml:4:7: station `s` imports `wasi:nn/tensor@0.2.0`, which nobody knows
      hint: build it for the interfaces of andon and WASI only, or use a newer andon
    2 problems
    ");
}

#[test]
fn with_two_manifests() {
    let mut bytes = component("stamp");
    let manifest = "{\"name\":\"second\",\"version\":\"1.0.0\"}";
    let name = andon_build::manifest::SECTION;
    let size = 1 + name.len() + manifest.len();
    assert!(size < 128, "one byte holds the section's size");
    bytes.extend([0, size as u8, name.len() as u8]);
    bytes.extend(name.as_bytes());
    bytes.extend(manifest.as_bytes());
    assert_snapshot!(check("s.wasm", bytes), @r"
    exit 1
    -- stderr
    line.toml:4:7: `s.wasm`: the component carries more than one manifest
    1 problem
    ");
}

#[test]
fn with_a_manifest_that_is_none() {
    let wat = format!(
        "(component (@custom \"{}\" \"no manifest\") (instance $x) (export \"andon:station/process@0.1.0\" (instance $x)))",
        andon_build::manifest::SECTION
    );
    assert_snapshot!(check("s.wat", wat), @r"
    exit 1
    -- stderr
    line.toml:4:7: `s.wat`: the manifest inside the component is not one: expected ident at line 1 column 2
    1 problem
    ");
}

#[test]
fn without_what_the_station_requires() {
    let line = "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@lingers\"\nnext = \"done\"\n";
    assert_snapshot!(says(line, &["check"]), @r#"
    exit 1
    -- stderr
    line.toml:3:11: `lingers` needs to write `/gate`, which is not granted
      hint: `grants.fs = [{ host = "…", guest = "/gate", access = "write" }]` grants it; why it asks: to wait at
    1 problem
    "#);
}

#[test]
fn a_station_folder_that_is_wrong() {
    let ground = Ground::new();
    ground.write("s/station.toml", "name = \"s\"\nversoin = \"0.1.0\"\n");
    assert_snapshot!(ground.andon(&["run", "s"]).whole(), @r"
    exit 1
    -- stderr
    error: s/station.toml:1:1: `description` is missing
    s/station.toml:1:1: `version` is missing
    s/station.toml:2:1: unknown key `versoin`
      hint: did you mean `version`?
    ");
    ground.write("s/station.toml", "name = \"s\"\nversion = \"0.1.0\"\n");
    assert_snapshot!(ground.andon(&["build", "s"]).whole(), @r"
    exit 1
    -- stderr
    error: s/station.toml:1:1: `description` is missing
    ");
    ground.write("s/Cargo.toml", "[package]\nname = \"s\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n")
        .write("s/src/lib.rs", "fn main( {}\n");
    assert_snapshot!(ground.andon(&["check", "s"]).whole(), @r"
    exit 1
    -- stderr
    error: s/station.toml:1:1: `description` is missing
    ");
}

#[test]
fn a_component_alone() {
    let ground = Ground::new();
    ground.write("s.wasm", "hello").write("a.txt", "a\n");
    assert_snapshot!(ground.andon(&["run", "s.wasm", "a.txt"]).whole(), @r"
    exit 1
    -- stderr
    error: `s.wasm` is neither WebAssembly nor its text format: expected `(` at 1:1
      hint: a station is a folder with a `station.toml`, or a `.wasm` or `.wat` file
    ");
    assert_snapshot!(ground.andon(&["show", "s.wasm"]).whole(), @r"
    exit 1
    -- stderr
    error: `s.wasm` is neither WebAssembly nor its text format: expected `(` at 1:1
      hint: a station is a folder with a `station.toml`, or a `.wasm` or `.wat` file
    ");
    assert!(!ground.path(".andon").exists());
}
