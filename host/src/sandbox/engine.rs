//! The engine's settings: one place, since a component loads only into the settings it was compiled with.

use wasmtime::Config;

/// What changes compiled code; the same for compiling and for running.
pub fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.wasm_component_model_async(true);
    // The same inputs give the same outputs on every machine: replays compare them bit by bit.
    config.cranelift_nan_canonicalization(true);
    config.wasm_relaxed_simd(true);
    config.relaxed_simd_deterministic(true);
    // Every tick of the epoch yields, so that a tight loop can be metered and stopped.
    config.epoch_interruption(true);
    config
}
