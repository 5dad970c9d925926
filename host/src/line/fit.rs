//! What can be known to be wrong with a line once its components are: whether each station gets what it
//! says it needs, and whether neighbours understand each other.
//!
//! Reads no component: what is known of each is handed in. What a component does not say passes.

mod needs;
mod neighbours;
mod own;
mod schema;
mod station;

use super::Draft;
use crate::{factory::Factory, grant::Rights, manifest::Manifest, name::Name, problem::Problem};
use std::collections::BTreeMap;

/// In which of the ways a component is a station.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It exports `andon:station/process` or `process-async`.
    Typed,
    /// It is a `wasi:cli` program.
    Command,
    /// It is a `wasi:http` handler.
    Handler,
}

/// What is known of a station's component.
#[derive(Debug, Clone)]
pub struct Known {
    /// In which way it is a station.
    pub kind: Kind,
    /// What it says of itself; none where it carries no manifest.
    pub manifest: Option<Manifest>,
    /// What the line grants and the ceiling admits, folders resolved.
    pub rights: Rights,
    /// Whether it reports progress.
    pub reports: bool,
    /// The imports that the host has nothing for, granted or not.
    pub imports_unknown: Vec<String>,
}

/// All that is wrong with the line's stations as they are. A station that is not in `known` is not judged.
pub fn fit(draft: &Draft, factory: &Factory, known: &BTreeMap<Name, Known>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, station) in &draft.line.stations {
        if let Some(known) = known.get(name) {
            station::fit(draft, name, station, known, &mut problems);
            needs::fit(draft, factory, name, known, &mut problems);
        }
    }
    neighbours::fit(draft, known, &mut problems);
    own::fit(draft, factory, &mut problems);
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    problems
}
