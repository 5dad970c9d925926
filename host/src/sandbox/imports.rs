//! What a guest may import: one module an interface. All of WASI 0.2 and 0.3 is linked, so that any
//! toolchain's component loads; what is not granted is closed behind the import.

mod clocks;
mod config;
mod filesystem;
mod http;
mod log;
mod preopens;
pub(crate) mod progress;
mod random;
mod sockets;
pub(crate) mod stdio;

pub(crate) use clocks::Clock;
pub(crate) use filesystem::{Counted, Shared};
pub(crate) use http::Out;
pub(crate) use preopens::{Files, OUTPUT, WORKSPACE};
pub(crate) use random::Random;

use super::state::State;
use wasmtime::component::Linker;

/// A linker with everything in it. What a visit may do with it is in its [`State`].
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    // Ours stand in for the host's own time, randomness, folders, sockets and errors.
    linker.allow_shadowing(true);
    clocks::add_to_linker(&mut linker)?;
    random::add_to_linker(&mut linker)?;
    preopens::add_to_linker(&mut linker)?;
    filesystem::add_to_linker(&mut linker)?;
    sockets::add_to_linker(&mut linker)?;
    http::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    config::add_to_linker(&mut linker)?;
    log::add_to_linker(&mut linker)?;
    progress::add_to_linker(&mut linker)?;
    Ok(linker)
}
