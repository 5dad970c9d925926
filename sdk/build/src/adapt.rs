//! Core modules made into components.
//!
//! What Go, Swift, Zig and older C and Rust toolchains emit are core modules for WASI 0.1; here they
//! get the adapter that speaks WASI 0.2 for them. The bytes are not trusted: they are validated before
//! anything else looks at them. Time and memory are bounded by whoever calls, in a process of its own.

mod exit;
mod memory;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as PREVIEW1,
    WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER as COMMAND,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as REACTOR,
};
use wasmparser::types::Types;
use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};
use wit_component::ComponentEncoder;

/// WASI as it was before 0.1 had a name.
const PREVIEW0: &str = "wasi_unstable";

/// Why bytes could not be made into a component.
#[derive(Debug, thiserror::Error)]
pub enum AdaptError {
    /// Neither a core module nor a component.
    #[error("not a WebAssembly module: {0}")]
    NotWasm(String),
    /// A core module that does not validate.
    #[error("the WebAssembly module is not valid: {0}")]
    Invalid(String),
    /// A module of 2019 or so.
    #[error(
        "the module imports `wasi_unstable`, which is older than WASI 0.1\n  hint: build it again with a newer toolchain, for `wasm32-wasip1` or `wasm32-wasi`"
    )]
    Preview0,
    /// The module imports something that no adapter knows, or its component types do not fit.
    #[error("the module cannot be made into a component: {0}")]
    Unfit(String),
}

/// Makes a core module into a component; a component is returned as it is, unread.
///
/// A module with `_start` becomes a command (`wasi:cli/run`), any other one exports what the
/// component types inside it say. Never panics, whatever the bytes.
pub fn adapt(wasm: &[u8]) -> Result<Vec<u8>, AdaptError> {
    match Parser::new(0).parse_all(wasm).next() {
        Some(Ok(Payload::Version {
            encoding: Encoding::Component,
            ..
        })) => return Ok(wasm.to_vec()),
        Some(Ok(Payload::Version {
            encoding: Encoding::Module,
            ..
        })) => {}
        Some(Err(e)) => return Err(AdaptError::NotWasm(e.message().to_owned())),
        _ => return Err(AdaptError::NotWasm("no header".into())),
    }
    let types = Validator::new_with_features(WasmFeatures::all())
        .validate_all(wasm)
        .map_err(|e| AdaptError::Invalid(e.to_string()))?;
    let shape = Shape::of(wasm).map_err(|e| AdaptError::Invalid(e.to_string()))?;
    if shape.preview0 {
        return Err(AdaptError::Preview0);
    }
    // The encoder is written for the output of toolchains. Should it panic on something that is valid
    // and hostile, then that is one more thing that cannot be made into a component.
    catch_unwind(AssertUnwindSafe(|| encode(wasm, &types, &shape)))
        .unwrap_or_else(|_| Err(AdaptError::Unfit("the encoder gave up on it".into())))
}

fn encode(wasm: &[u8], types: &Types, shape: &Shape) -> Result<Vec<u8>, AdaptError> {
    let unfit = |e: anyhow::Error| AdaptError::Unfit(format!("{e:#}"));
    let mut wasm = Cow::Borrowed(wasm);
    if shape.command {
        let realloc = memory::realloc(&wasm, types).map_err(|e| unfit(e.into()))?;
        if let Some(realloc) = realloc {
            let shared = memory::share(&wasm, types, realloc);
            wasm = Cow::Owned(shared.map_err(|e| unfit(e.into()))?);
        }
        if shape.exits {
            wasm = Cow::Owned(exit::keep_code(&wasm).map_err(unfit)?);
        }
    }
    let mut encoder = ComponentEncoder::default()
        .validate(true)
        .module(&wasm)
        .map_err(unfit)?;
    if shape.preview1 {
        let adapter = if shape.command { COMMAND } else { REACTOR };
        encoder = encoder.adapter(PREVIEW1, adapter).map_err(unfit)?;
    }
    encoder.encode().map_err(unfit)
}

/// What decides how a module is adapted.
#[derive(Default)]
struct Shape {
    preview0: bool,
    preview1: bool,
    command: bool,
    exits: bool,
}

impl Shape {
    fn of(wasm: &[u8]) -> wasmparser::Result<Self> {
        let mut shape = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        shape.preview0 |= import.module == PREVIEW0;
                        shape.preview1 |= import.module == PREVIEW1;
                        shape.exits |= exit::loses_code(&import);
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        shape.command |= export?.name == "_start";
                    }
                }
                _ => {}
            }
        }
        // A command of WASI 0.1 that happens to import nothing still has to become `wasi:cli/run`.
        shape.preview1 |= shape.command;
        Ok(shape)
    }
}
