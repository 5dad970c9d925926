//! The sandbox: runs untrusted components, one visit at a time. The only module that names wasmtime.

pub mod compile;
pub mod engine;
