//! Reads `line.toml`.
//!
//! Everything that can be read is, so that all problems are told at once; what could not be read gets a
//! stand-in and is marked, so that no check judges it.

pub(crate) mod grants;
mod hold;
mod next;
pub(crate) mod settings;
mod sink;
mod source;
mod station;

use super::{
    Draft, Line, Vars, Worker, check,
    grammar::LINE,
    reader::{Fields, Findings, Node, Reader},
};
use crate::{
    name::Name,
    problem::{Place, Problem, shown},
};
use settings::Defaults;
use std::{collections::BTreeMap, path::PathBuf};

/// Reads and checks a line file; `vars` override the values of the line's own.
///
/// # Errors
/// All that is wrong with it, in the order of the file. Where it is not TOML, only that.
pub fn parse(file: &str, text: &str, vars: &Vars) -> Result<Draft, Vec<Problem>> {
    let mut reader = Reader::new(file, text);
    let line = reader
        .document()
        .map(|document| line(reader.root(&document, &LINE), &mut reader, vars));
    let findings = reader.finish();
    let Some(line) = line else {
        return Err(findings.problems);
    };
    let draft = Draft::new(file, line, &findings);
    let Findings { mut problems, .. } = findings;
    problems.extend(check::check(&draft));
    if problems.is_empty() {
        return Ok(draft);
    }
    problems.sort_by_key(|problem| (problem.line == 0, problem.line, problem.column));
    problems.dedup();
    Err(problems)
}

/// As [`parse`], of what may be no text.
///
/// # Errors
/// As [`parse`]; where it is not UTF-8, only that.
pub fn parse_bytes(file: &str, bytes: &[u8], vars: &Vars) -> Result<Draft, Vec<Problem>> {
    match text(file, bytes) {
        Ok(text) => parse(file, text, vars),
        Err(problem) => Err(vec![problem]),
    }
}

/// The text of a file.
pub(crate) fn text<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |i| i + 1);
        let place = Place {
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
        };
        Problem::on(file, place, "not UTF-8").hint("save the file as UTF-8 text")
    })
}

fn line(root: Fields<'_>, reader: &mut Reader<'_>, over: &Vars) -> Line {
    let name = root.get("line").and_then(|node| reader.name(&node));
    let entry = root.get("entry").and_then(|node| reader.name(&node));
    let worker = root.get("worker").and_then(|node| reader.one_of(&node));
    let deadline = root.get("deadline").and_then(|node| reader.time(&node));
    let vars = match root.get("vars") {
        Some(node) => Vars::read(reader, &node).overridden(over),
        None => Vars::default(),
    };
    let defaults = match root.get("defaults") {
        Some(node) => Defaults::read(reader, &node),
        None => Defaults::default(),
    };
    let mut stations = BTreeMap::new();
    if let Some(node) = root.get("stations") {
        for (name, at, node) in reader.map(&node) {
            // the stand-in of a name that is none must not be found by anybody
            let name = reader.name_of(name, "stations", at);
            let station = station::read(reader, &node, &defaults, &vars);
            if let Some(name) = name {
                stations.insert(name, station);
            }
        }
    }
    let sources = named(reader, &root, "sources", |reader, node| {
        source::read(reader, node, &vars)
    });
    let sinks = named(reader, &root, "sinks", |reader, node| {
        sink::read(reader, node, &vars)
    });
    let notify = root
        .get("notify")
        .map(|node| sink::notify(reader, &node, &vars));
    let stand_in = || -> Name { "x".parse().expect("a name") };
    Line {
        name: name.unwrap_or_else(stand_in),
        entry: entry.unwrap_or_else(stand_in),
        worker: worker.map(|word| match word {
            "own" => Worker::Own,
            _ => Worker::Shared,
        }),
        deadline,
        stations,
        sources,
        sinks,
        notify: notify.unwrap_or_default(),
    }
}

/// Reads a table of things that the author names; what cannot be read is left out.
fn named<T>(
    reader: &mut Reader<'_>,
    root: &Fields<'_>,
    key: &'static str,
    read: impl Fn(&mut Reader<'_>, &Node<'_>) -> Option<T>,
) -> BTreeMap<Name, T> {
    let Some(node) = root.get(key) else {
        return BTreeMap::new();
    };
    let mut all = BTreeMap::new();
    for (name, at, node) in reader.map(&node) {
        let name = reader.name_of(name, key, at);
        let value = read(reader, &node);
        all.extend(name.zip(value));
    }
    all
}

/// Whether a text may be a path.
fn is_path(text: &str) -> bool {
    !text.is_empty() && text.len() <= 4096 && !text.chars().any(char::is_control)
}

/// Reads a host path with its variables filled in.
fn host(reader: &mut Reader<'_>, node: &Node<'_>, vars: &Vars) -> Option<PathBuf> {
    let text = reader.text(node)?;
    let filled = vars.fill(reader, node, text)?;
    path(reader, node, &filled)
}

/// A text as the path of something on the host.
pub(crate) fn path(reader: &mut Reader<'_>, node: &Node<'_>, text: &str) -> Option<PathBuf> {
    if is_path(text) {
        return Some(text.into());
    }
    reader.spoil(
        node,
        format!("`{}` is no path", shown(text)),
        Some("name a file or folder, relative to this file".into()),
    );
    None
}
