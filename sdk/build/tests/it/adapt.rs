//! Core modules made into components, and what cannot be.

use andon_build::{AdaptError, adapt};
use wit_component::DecodedWasm;

/// What the component exports, by name.
fn exports(component: &[u8]) -> Vec<String> {
    wasmparser::Validator::new()
        .validate_all(component)
        .unwrap();
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component).unwrap() else {
        panic!("not a component");
    };
    let world = &resolve.worlds[world];
    world
        .exports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect()
}

/// Whether this is the one thing that a command exports, in whichever release of WASI 0.2.
pub(crate) fn is_command(exports: &[String]) -> bool {
    matches!(exports, [only] if only.starts_with("wasi:cli/run@0.2."))
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[track_caller]
fn refused(wasm: &[u8], expected: &str) {
    let error = adapt(wasm).unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}");
}

const WRITE: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)"#;

#[test]
fn a_command_runs() {
    let command = wat(&format!("(module {WRITE} (func (export \"_start\")))"));
    assert!(is_command(&exports(&adapt(&command).unwrap())));
}

#[test]
fn a_command_that_imports_nothing_runs_too() {
    let command = wat("(module (memory (export \"memory\") 1) (func (export \"_start\")))");
    assert!(is_command(&exports(&adapt(&command).unwrap())));
}

#[test]
fn a_reactor_exports_nothing_by_itself() {
    let reactor = wat(&format!("(module {WRITE} (func (export \"_initialize\")))"));
    assert_eq!(exports(&adapt(&reactor).unwrap()), [""; 0]);
}

#[test]
fn component_types_inside_say_what_is_exported() {
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve
        .push_str(
            "t.wit",
            "package a:b; interface i { f: func() -> u32; } world w { export i; }",
        )
        .unwrap();
    let world = resolve.select_world(&[package], Some("w")).unwrap();
    let mut module = wat(r#"(module (func (export "a:b/i#f") (result i32) i32.const 1))"#);
    wit_component::embed_component_metadata(
        &mut module,
        &resolve,
        world,
        wit_component::StringEncoding::UTF8,
    )
    .unwrap();
    assert_eq!(exports(&adapt(&module).unwrap()), ["a:b/i"]);
}

/// What the component imports, by name.
fn imports(component: &[u8]) -> Vec<String> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component).unwrap() else {
        panic!("not a component");
    };
    let world = &resolve.worlds[world];
    let keys = world.imports.keys();
    keys.map(|key| resolve.name_world_key(key)).collect()
}

fn names(component: &[u8], function: &str) -> bool {
    component
        .windows(function.len())
        .any(|part| part == function.as_bytes())
}

const EXIT: &str = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;

#[test]
fn the_exit_code_is_told() {
    let program = wat(&format!(
        "(module {EXIT} {WRITE} (func (export \"_start\") (call $exit (i32.const 75))))"
    ));
    let component = adapt(&program).unwrap();
    assert!(names(&component, "exit-with-code"));
    // One release of WASI, or the host would have to link two.
    let imports = imports(&component);
    let releases: std::collections::BTreeSet<_> = imports
        .iter()
        .filter_map(|name| name.split_once('@').map(|(_, release)| release))
        .collect();
    assert_eq!(releases.len(), 1, "{imports:?}");
    assert!(
        imports
            .iter()
            .any(|name| name.starts_with("wasi:cli/exit@"))
    );
}

#[test]
fn a_program_that_shows_its_allocator_shares_it() {
    let program = |realloc: &str| {
        adapt(&wat(&format!(
            "(module {EXIT} {WRITE} {realloc} (func (export \"_start\") (call $exit (i32.const 1))))"
        )))
        .unwrap()
    };
    let shares = |component: &[u8]| {
        let whole = wasmparser::Validator::new().validate_all(component);
        assert!(whole.is_ok());
        names(component, "cabi_realloc")
    };
    let plain = program("");
    let realloc = r#"(func (export "realloc") (param i32 i32) (result i32) local.get 0)"#;
    assert!(shares(&program(realloc)));
    assert!(program(realloc).len() > plain.len());
    // Another function of that name is none of ours.
    shares(&program(
        r#"(func (export "realloc") (param i64) (result i32) i32.const 0)"#,
    ));
    shares(&program(r#"(global (export "realloc") i32 i32.const 0)"#));
}

#[test]
fn only_a_program_exits() {
    let reactor = wat(&format!(
        "(module {EXIT} {WRITE} (func (export \"_initialize\")))"
    ));
    assert!(!names(&adapt(&reactor).unwrap(), "exit-with-code"));
}

#[test]
fn an_exit_of_another_type_is_refused() {
    for ty in [
        "(func)",
        "(func (param i64))",
        "(func (param i32) (result i32))",
        "(global i32)",
        "(memory 1)",
    ] {
        refused(
            &wat(&format!(
                "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" {ty}) (func (export \"_start\")))"
            )),
            "the module cannot be made into a component: ",
        );
    }
}

#[test]
fn a_component_passes_through() {
    let component = wat("(component (core module))");
    assert_eq!(adapt(&component).unwrap(), component);
}

#[test]
fn what_cannot_be_adapted_says_why() {
    refused(b"", "not a WebAssembly module: ");
    refused(b"#!/bin/sh", "not a WebAssembly module: ");
    refused(&wat("(module)")[..6], "not a WebAssembly module: ");
    refused(
        &wat("(module (import \"env\" \"host\" (func)))"),
        "the module cannot be made into a component: ",
    );
    refused(
        &wat("(module (import \"wasi_snapshot_preview1\" \"fd_teleport\" (func)))"),
        "the module cannot be made into a component: ",
    );
    let old =
        wat("(module (import \"wasi_unstable\" \"fd_close\" (func (param i32) (result i32))))");
    assert!(matches!(adapt(&old), Err(AdaptError::Preview0)));
    let ill_typed = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x05\x01\x03\0\x41\x0b";
    refused(ill_typed, "the WebAssembly module is not valid: ");
}

#[test]
fn damaged_bytes_never_panic() {
    let realloc = r#"(func (export "realloc") (param i32 i32) (result i32) local.get 0)"#;
    let command = wat(&format!(
        "(module {EXIT} {WRITE} {realloc} (func (export \"_start\") (call $exit (i32.const 1))))"
    ));
    for end in 0..command.len() {
        let _ = adapt(&command[..end]);
        let mut flipped = command.clone();
        flipped[end] ^= 0x55;
        let _ = adapt(&flipped);
    }
}
