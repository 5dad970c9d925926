//! Write stations for andon in Rust.
//!
//! A station is a type that implements [`Station`] and is exported with [`export!`]:
//!
//! ```
//! use andon_station::prelude::*;
//!
//! struct Hello;
//!
//! impl Station for Hello {
//!     fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
//!         let name = inputs.one()?.text()?;
//!         Ok(Output::pass().text(format!("hello {name}")).into())
//!     }
//! }
//!
//! andon_station::export!(Hello);
//! # fn main() {
//! let outputs = Hello::run(&Visit::default(), Payload::text_of("ada").into()).unwrap();
//! assert_eq!(outputs[0].payload.text().unwrap(), "hello ada");
//! # }
//! ```
//!
//! The crate compiles for wasm, where it speaks with the host, and for the machine that it is built
//! on, where [`testing`] stands in for the host so that a station's logic is an ordinary unit test.
//!
//! # Which error becomes which stop
//!
//! `?` turns an error into a [`Stop`]. The rule: what is wrong with the *item* rejects it, what was
//! wrong *outside* is tried again.
//!
//! | error | stop |
//! |---|---|
//! | not JSON, JSON of another shape, not UTF-8, not a number | reject |
//! | `std::io::Error` of the kinds `InvalidData`, `InvalidInput`, `UnexpectedEof` | reject |
//! | any other `std::io::Error` | retry |
//! | configuration that is missing or malformed | reject, naming the key |
//! | any other error | yours to say, with [`OrStop::or_reject`] or [`OrStop::or_retry`] |

pub mod config;
mod host;
pub mod http;
mod inputs;
mod label;
pub mod log;
mod output;
mod payload;
pub mod progress;
mod station;
mod stop;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod visit;
pub mod workspace;

pub use inputs::Inputs;
pub use label::Labels;
pub use output::{Output, Outputs};
pub use payload::{Body, Payload};
pub use station::Station;
pub use stop::{OrStop, Result, Stop};
pub use visit::{Answer, Question, Visit};

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub use host::Exported;
/// What [`export!`] needs at the place where it is used; not for stations.
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub use host::bindings;

/// What nearly every station uses.
pub mod prelude {
    pub use crate::{
        Answer, Body, Inputs, Labels, OrStop, Output, Outputs, Payload, Question, Result, Station,
        Stop, Visit, config, http, log, progress, workspace,
    };
}
