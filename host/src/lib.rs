//! andon: a sandboxed host for production lines of AI-agent work.
//!
//! The modules stand on floors and imports point down only; `ARCHITECTURE.md` beside this crate is
//! the map, and a test holds the code against it.

// floor 0, nouns: no IO, no wasm, no tokio
pub mod audit;
pub mod digest;
pub mod effect;
pub mod escape;
pub mod factory;
pub mod grant;
pub mod item;
pub mod limits;
pub mod line;
pub mod lock;
pub mod manifest;
pub mod name;
pub mod problem;
pub mod role;
pub mod visit;

// floor 1, stores
pub mod catalogue;
pub mod content;
pub mod disk;
pub mod failpoint;
pub mod journal;
pub mod secrets;
pub mod workspace;

// floor 2, sandbox: the only floor that names wasmtime
pub mod sandbox;

// floor 3, running
pub mod assembly;
pub mod conveyor;
pub mod housekeeping;
pub mod lines;
pub mod notify;
pub mod replay;
pub mod retool;
pub mod sinks;
pub mod sources;

// floor 4, faces
pub mod cli;
pub mod serve;
