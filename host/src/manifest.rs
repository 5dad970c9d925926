//! What a station says of itself: the manifest, as `station.toml` has it and the component carries it.
//!
//! The nouns are those of `andon-build`, which writes them; here only what lines are checked against.

pub use andon_build::manifest::{
    Access, ConfigKey, ConfigType, FsNeed, HttpNeed, Inputs, Manifest, Port, Requires, SecretNeed,
    TcpNeed,
};
