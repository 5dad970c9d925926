//! Exit codes that survive the adapter.
//!
//! The adapter's `proc_exit` tells success from failure and nothing more. WASI 0.2.12 has a function
//! that takes the code and has the same core signature, so a program is made to import that one
//! instead. As on POSIX systems the low eight bits of a code count.

use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{ImportSection, Module, RawSection};
use wasmparser::{ImportSectionReader, Parser, Payload};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::PREVIEW1;

/// In the release of WASI that the adapter speaks: the two are merged into one import.
const EXIT: &str = "wasi:cli/exit@0.2.12";
const WIT: &str = "package wasi:cli@0.2.12;
interface exit { exit: func(status: result); exit-with-code: func(status-code: u8); }
world code { import exit; }";

/// The module with `proc_exit` replaced. All else stays as it is, byte by byte.
pub(super) fn keep_code(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => {
                module.section(&imports(section)?);
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    let data = &wasm[range];
                    module.section(&RawSection { id, data });
                }
            }
        }
    }
    let mut bytes = module.finish();
    let mut resolve = Resolve::default();
    let package = resolve.push_str("exit.wit", WIT)?;
    let world = resolve.select_world(&[package], Some("code"))?;
    embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8)?;
    Ok(bytes)
}

/// Whether this import is the function that loses the code.
pub(super) fn loses_code(import: &wasmparser::Import<'_>) -> bool {
    import.module == PREVIEW1 && import.name == "proc_exit"
}

fn imports(section: ImportSectionReader<'_>) -> anyhow::Result<ImportSection> {
    let mut imports = ImportSection::new();
    for import in section.into_imports() {
        let import = import?;
        let (module, name) = match loses_code(&import) {
            true => (EXIT, "exit-with-code"),
            false => (import.module, import.name),
        };
        imports.import(module, name, RoundtripReencoder.entity_type(import.ty)?);
    }
    Ok(imports)
}
