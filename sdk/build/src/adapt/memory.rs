//! Memory that program and adapter do not both think to be theirs.
//!
//! The adapter keeps its state in the program's memory. Where the program has no allocator for it
//! (`cabi_realloc`), it grows the memory, before the program's first allocation; and a libc of WASI
//! older than 2023 takes all that is there at that moment for its own heap. So a program that lets
//! its `realloc` be seen is given the function that the adapter asks for.

use wasm_encoder::{Encode as _, Module, RawSection};
use wasmparser::types::Types;
use wasmparser::{BinaryReader, ExternalKind, Parser, Payload, ValType};

const I32: u8 = 0x7f;

/// The function `realloc` of a valid module that has one, and no `cabi_realloc`.
pub(super) fn realloc(wasm: &[u8], types: &Types) -> wasmparser::Result<Option<u32>> {
    let mut found = None;
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::ExportSection(exports) = payload? else {
            continue;
        };
        for export in exports {
            match export? {
                export if export.name == "cabi_realloc" => return Ok(None),
                export if export.name == "realloc" && export.kind == ExternalKind::Func => {
                    found = Some(export.index);
                }
                _ => {}
            }
        }
    }
    Ok(found.filter(|&index| {
        let types = types.as_ref();
        let function = types[types.core_function_at(index)].unwrap_func();
        function.params() == [ValType::I32; 2] && function.results() == [ValType::I32]
    }))
}

/// The module with a `cabi_realloc` that calls this function, which [`realloc`] found in it.
pub(super) fn share(wasm: &[u8], types: &Types, realloc: u32) -> wasmparser::Result<Vec<u8>> {
    let types = types.as_ref();
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Some((id, range)) = payload?.as_section() else {
            continue;
        };
        let mut entry = Vec::new();
        match id {
            // Old pointer, old size, alignment, new size: an allocator of C aligns well enough.
            1 => entry.extend([0x60, 4, I32, I32, I32, I32, 1, I32]),
            3 => types.core_type_count_in_module().encode(&mut entry),
            7 => {
                "cabi_realloc".encode(&mut entry);
                entry.push(0);
                types.function_count().encode(&mut entry);
            }
            10 => {
                let mut body = vec![0, 0x20, 0, 0x20, 3, 0x10]; // local.get 0, local.get 3, call
                realloc.encode(&mut body);
                body.push(0x0b);
                body.encode(&mut entry);
            }
            _ => {}
        }
        let section = match entry.is_empty() {
            true => wasm[range].to_vec(),
            false => one_more(&wasm[range], &entry)?,
        };
        module.section(&RawSection { id, data: &section });
    }
    Ok(module.finish())
}

/// A section that is a vector, with another entry at its end.
fn one_more(section: &[u8], entry: &[u8]) -> wasmparser::Result<Vec<u8>> {
    let mut reader = BinaryReader::new(section, 0);
    let count = reader.read_var_u32()?;
    let mut longer = Vec::with_capacity(section.len() + entry.len() + 5);
    count.saturating_add(1).encode(&mut longer);
    longer.extend_from_slice(&section[reader.original_position()..]);
    longer.extend_from_slice(entry);
    Ok(longer)
}
