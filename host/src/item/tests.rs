//! Items as data: histories, and properties of all histories.

mod histories;
mod holds;
mod lines;
mod properties;
mod samples;
mod world;

pub(crate) use samples::{one_of_each_kind, with_later_facts};
