//! Compiling a component to machine code. Runs in a process of its own (`andon compile`): neither the
//! adapter nor Cranelift is trusted with hostile bytes beside the journal.

use super::engine;
use crate::catalogue::Facts;
use std::hash::{Hash, Hasher};
use wasmtime::Engine;

/// Compiled code.
#[derive(Debug)]
pub struct Code {
    /// What the engine loads.
    pub bytes: Vec<u8>,
    /// What the component imports and exports, after a core module was made into one.
    pub facts: Facts,
}

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// It cannot be made into a component.
    #[error(transparent)]
    Adapt(#[from] andon_build::AdaptError),
    /// It is damaged.
    #[error("it is damaged: {0}")]
    Broken(String),
    /// There is not as much memory as it takes.
    #[error("there is not as much memory as it takes")]
    Memory,
    /// The engine does not take it, or does not run here.
    #[error("{0:#}")]
    Engine(wasmtime::Error),
}

impl CompileError {
    fn of(error: wasmtime::Error) -> Self {
        match error.is::<wasmtime::error::OutOfMemory>() {
            true => Self::Memory,
            false => Self::Engine(error),
        }
    }
}

/// Compiles a component, or a core module that is made into one first.
///
/// # Errors
/// When it cannot be made into a component, is not valid, or uses what the engine does not have.
pub fn compile(wasm: &[u8]) -> Result<Code, CompileError> {
    let component = andon_build::adapt(wasm)?;
    let facts = Facts::of(&component).map_err(CompileError::Broken)?;
    let engine = Engine::new(&engine::config()).map_err(CompileError::of)?;
    let bytes = engine
        .precompile_component(&component)
        .map_err(CompileError::of)?;
    Ok(Code { bytes, facts })
}

/// Names all that compiled code depends on besides the component: andon and its engine, the machine
/// and the settings.
///
/// # Errors
/// When the engine does not run on this machine.
pub fn engine_key() -> Result<String, CompileError> {
    let engine = Engine::new(&engine::config()).map_err(CompileError::of)?;
    let mut hasher = Blake3(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let andon = env!("CARGO_PKG_VERSION");
    Ok(format!("andon {andon} {}", hasher.0.finalize().to_hex()))
}

/// A [`Hasher`] whose result is the same in every process and does not collide.
struct Blake3(blake3::Hasher);

impl Hasher for Blake3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let hash = self.0.finalize();
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("8 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::component::Component;

    /// What the cache keeps has more bytes behind the code; the engine has to leave them alone.
    #[test]
    fn code_loads_from_a_file_that_goes_on() {
        let module = "(module (func (export \"_start\")) (memory (export \"memory\") 1))";
        let code = compile(&wat::parse_str(module).unwrap()).unwrap();
        assert!(code.facts.kind().is_ok());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [&code.bytes[..], b"facts and proof"].concat()).unwrap();
        let engine = Engine::new(&engine::config()).unwrap();
        // SAFETY: the file has what `compile` gave a moment ago, and is this test's own.
        #[allow(unsafe_code)]
        let loaded = unsafe { Component::deserialize_file(&engine, file.path()) };
        assert!(loaded.is_ok(), "{:?}", loaded.err());
    }

    #[test]
    fn the_key_is_the_same_every_time() {
        assert_eq!(engine_key().unwrap(), engine_key().unwrap());
    }

    #[test]
    fn hostile_bytes_are_errors() {
        for bytes in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0\x0a\xff", b"hello"] {
            assert!(compile(bytes).is_err());
        }
    }
}
