//! The host's side of the interface: the real one in the sandbox, a stand-in on the build machine.

#[cfg(target_arch = "wasm32")]
mod http;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod native;
#[cfg(target_arch = "wasm32")]
mod sandbox;

#[cfg(target_arch = "wasm32")]
pub(crate) use http::http;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{config, config_all, http, log, progress, workspace};
#[cfg(target_arch = "wasm32")]
pub use sandbox::{Exported, bindings};
#[cfg(target_arch = "wasm32")]
pub(crate) use sandbox::{config, config_all, log, progress, workspace};
