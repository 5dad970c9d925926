//! How lines stand, and the history of their retools.

use super::{damaged, int, problem, schema};
use crate::{
    journal::{JournalError, LineState, RetoolRecord},
    name::Name,
};
use rusqlite::{Connection, params};
use serde::de::DeserializeOwned;
use std::path::Path;

pub(super) fn all(connection: &Connection, path: &Path) -> Result<Vec<LineState>, JournalError> {
    if schema::format(connection, path)? < schema::LINES {
        return Ok(Vec::new());
    }
    texts(
        connection,
        path,
        "SELECT state FROM lines ORDER BY line",
        &[],
    )
}

pub(super) fn retools(
    connection: &Connection,
    path: &Path,
    line: &Name,
) -> Result<Vec<RetoolRecord>, JournalError> {
    if schema::format(connection, path)? < schema::LINES {
        return Ok(Vec::new());
    }
    let sql = "SELECT facts FROM retools WHERE line = ? ORDER BY id";
    texts(connection, path, sql, &[line.as_str()])
}

/// What is written: the line's name, its state, and where there is one the record with its time.
pub(super) type Row = (Name, String, Option<(u64, String)>);

pub(super) fn encode(
    path: &Path,
    state: &LineState,
    record: Option<&RetoolRecord>,
) -> Result<Row, JournalError> {
    let failed = |error: serde_json::Error| JournalError::Other {
        path: path.display().to_string(),
        reason: format!("line `{}` cannot be written: {error}", state.line),
    };
    let record = record.map(|record| Ok((record.at, serde_json::to_string(record)?)));
    let record = record.transpose().map_err(failed)?;
    let text = serde_json::to_string(state).map_err(failed)?;
    Ok((state.line.clone(), text, record))
}

/// Both in one transaction: that of the writer.
pub(super) fn keep(connection: &Connection, (line, state, record): &Row) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO lines (line, state) VALUES (?, ?)")?
        .execute(params![line.as_str(), state])?;
    if let Some((at, facts)) = record {
        connection
            .prepare_cached("INSERT INTO retools (line, at, facts) VALUES (?, ?, ?)")?
            .execute(params![line.as_str(), int(*at), facts])?;
    }
    Ok(())
}

fn texts<T: DeserializeOwned>(
    connection: &Connection,
    path: &Path,
    sql: &str,
    arguments: &[&str],
) -> Result<Vec<T>, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    let mut statement = connection.prepare_cached(sql).map_err(fail)?;
    let mut rows = statement
        .query(rusqlite::params_from_iter(arguments))
        .map_err(fail)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        let text: String = row.get(0).map_err(fail)?;
        let value = serde_json::from_str(&text)
            .map_err(|error| damaged(path, format!("what it keeps of a line: {error}")))?;
        all.push(value);
    }
    Ok(all)
}
