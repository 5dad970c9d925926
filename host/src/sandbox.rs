//! The sandbox: runs untrusted components, one visit at a time. The only module that names wasmtime.
//!
//! A visit goes in through [`Runner`] and comes out as a report; between the two stand a fresh
//! instance, its meter and the imports that it was granted. Nothing here knows what happens to an
//! item before or afterwards.

mod answer;
mod bindings;
mod body;
mod command;
pub mod compile;
pub mod egress;
pub mod engine;
mod folders;
mod handler;
mod imports;
mod in_process;
mod meter;
mod own;
mod prepared;
mod runner;
mod state;
mod stores;
mod tape;
mod typed;
mod way;

pub use folders::{Contents, Folder, Folders, LeaveError, Left};
pub use imports::progress::{Listener, Progress};
pub use in_process::{InProcess, Settings};
pub use own::{Own, OwnSettings, OwnStation, StartError, run_inside};
pub use prepared::{Kind, PrepareError};
pub use runner::Runner;
pub use way::{CameAt, Connection, Egress, Failure, Patience, Refusal, Vault, Way, WayBody};

#[cfg(test)]
mod tests;
