//! The tests of `andon-build`, a module a topic.

#![allow(missing_docs)]

mod adapt;
mod build;
mod manifest;
mod section;
