//! The factory's own file, `andon.toml`: values for its lines' variables. Knows no lines.

use crate::{
    line::{Vars, grammar::FACTORY, parse::text, reader::Reader},
    problem::Problem,
};

/// What a factory's file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Factory {
    /// Values for the variables of its lines.
    pub vars: Vars,
}

impl Factory {
    /// Reads a factory's file.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of the file.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let text = text(file, bytes).map_err(|problem| vec![problem])?;
        let mut reader = Reader::new(file, text);
        let mut factory = Self::default();
        if let Some(document) = reader.document() {
            let root = reader.root(&document, &FACTORY);
            if let Some(node) = root.get("vars") {
                factory.vars = Vars::read(&mut reader, &node);
            }
        }
        let problems = reader.finish().problems;
        if problems.is_empty() {
            Ok(factory)
        } else {
            Err(problems)
        }
    }
}
