//! The nouns of the host, which is all that the targets need: without the engine they build in a minute.

#[path = "../../../host/src"]
mod nouns {
    #![allow(dead_code, unreachable_pub, reason = "what only the rest of the host uses")]

    pub mod audit;
    pub mod digest;
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
    pub mod visit;
}

pub use nouns::*;
