//! How far the sources of lines are: a row for each that keeps something.

use super::{problem, schema};
use crate::{journal::JournalError, name::Name};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::path::Path;

pub(super) fn keep(
    connection: &Connection,
    line: &Name,
    source: &Name,
    state: &str,
) -> rusqlite::Result<u64> {
    let mut insert = connection
        .prepare_cached("INSERT OR REPLACE INTO sources (line, source, state) VALUES (?, ?, ?)")?;
    let rows = insert.execute(params![line.as_str(), source.as_str(), state])?;
    Ok(rows as u64)
}

pub(super) fn kept(
    connection: &Connection,
    path: &Path,
    line: &Name,
    source: &Name,
) -> Result<Option<String>, JournalError> {
    if schema::format(connection, path)? < schema::SOURCES {
        return Ok(None);
    }
    connection
        .prepare_cached("SELECT state FROM sources WHERE line = ? AND source = ?")
        .and_then(|mut select| {
            select
                .query_row(params![line.as_str(), source.as_str()], |row| row.get(0))
                .optional()
        })
        .map_err(|error| problem(path, &error))
}
