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
    /// The engine does not take it, or does not run here.
    #[error("{0:#}")]
    Engine(wasmtime::Error),
}

/// Compiles a component, or a core module that is made into one first.
///
/// # Errors
/// When it cannot be made into a component, is not valid, or uses what the engine does not have.
pub fn compile(wasm: &[u8]) -> Result<Code, CompileError> {
    let component = andon_build::adapt(wasm)?;
    let facts = Facts::of(&component).map_err(CompileError::Broken)?;
    let engine = Engine::new(&engine::config()).map_err(CompileError::Engine)?;
    let bytes = engine
        .precompile_component(&component)
        .map_err(CompileError::Engine)?;
    Ok(Code { bytes, facts })
}

/// Names all that compiled code depends on besides the component: andon and its engine, the machine
/// and the settings.
///
/// # Errors
/// When the engine does not run on this machine.
pub fn engine_key() -> Result<String, CompileError> {
    let engine = Engine::new(&engine::config()).map_err(CompileError::Engine)?;
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
