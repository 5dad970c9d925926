//! What is read. The rows may have been written by anyone: each is checked before it is believed.

use super::{damaged, problem, schema};
use crate::{
    digest::Digest,
    escape::shown,
    item::{ItemId, PhaseKind, Priority, Record, Summary},
    journal::{Filter, JournalError},
    name::Name,
};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, ToSql};
use std::{collections::BTreeSet, path::Path, str::FromStr};

pub(super) fn load(
    connection: &Connection,
    path: &Path,
    item: &ItemId,
) -> Result<Vec<Record>, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    let mut statement = connection
        .prepare_cached(
            "SELECT seq, kind, version, facts FROM records \
             WHERE item = (SELECT id FROM items WHERE item = ?) ORDER BY seq",
        )
        .map_err(fail)?;
    let mut rows = statement.query([item.as_str()]).map_err(fail)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        let seq: i64 = row.get(0).map_err(fail)?;
        if usize::try_from(seq) != Ok(records.len() + 1) {
            return Err(damaged(
                path,
                format!("record {} of item `{item}` is missing", records.len() + 1),
            ));
        }
        records.push(record(row, path, item, seq)?);
    }
    Ok(records)
}

pub(super) fn knows(
    connection: &Connection,
    path: &Path,
    item: &ItemId,
) -> Result<bool, JournalError> {
    let sql = match schema::format(connection, path)? < schema::DELIVERIES {
        true => "SELECT EXISTS (SELECT 1 FROM items WHERE item = ?1)",
        false => {
            "SELECT EXISTS (SELECT 1 FROM items WHERE item = ?1) \
             OR EXISTS (SELECT 1 FROM forgotten WHERE item = ?1)"
        }
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([item.as_str()], |row| row.get(0)))
        .map_err(|error| problem(path, &error))
}

fn record(row: &Row<'_>, path: &Path, item: &ItemId, seq: i64) -> Result<Record, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    let text: String = row.get(1).map_err(fail)?;
    let version: i64 = row.get(2).map_err(fail)?;
    if !Record::KINDS.contains(&text.as_str()) {
        return Err(damaged(
            path,
            format!(
                "record {seq} of item `{item}` is of the kind `{}`, which this andon does not know",
                shown(&text)
            ),
        ));
    }
    match u32::try_from(version) {
        Ok(Record::VERSION) => {}
        Ok(found) if found > Record::VERSION => {
            return Err(JournalError::Newer {
                path: format!("{}: record {seq} of item {item}", path.display()),
                found,
                known: Record::VERSION,
            });
        }
        _ => {
            return Err(damaged(
                path,
                format!("record {seq} of item `{item}` has the version {version}"),
            ));
        }
    }
    let facts = row
        .get_ref(3)
        .map_err(fail)?
        .as_blob()
        .map_err(|_| damaged(path, format!("record {seq} of item `{item}` has no facts")))?;
    let record: Record = rmp_serde::from_slice(facts).map_err(|error| {
        damaged(
            path,
            format!("record {seq} of item `{item}` cannot be read: {error}"),
        )
    })?;
    if record.kind() == text {
        Ok(record)
    } else {
        Err(damaged(
            path,
            format!(
                "record {seq} of item `{item}` says `{text}` and is `{}`",
                record.kind()
            ),
        ))
    }
}

pub(super) fn list(
    connection: &Connection,
    path: &Path,
    filter: &Filter,
) -> Result<Vec<Summary>, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    let (conditions, mut values) = conditions(filter);
    let most = filter
        .most
        .map_or(-1, |most| i64::try_from(most).unwrap_or(-1));
    values.push(Box::new(most));
    let order = match filter.newest {
        true => "id DESC",
        false => "taken, id",
    };
    let sql = format!(
        "SELECT {} FROM items WHERE {conditions} ORDER BY {order} LIMIT ?",
        columns(connection, path)?
    );
    let mut statement = connection.prepare_cached(&sql).map_err(fail)?;
    let mut rows = statement
        .query(rusqlite::params_from_iter(values))
        .map_err(fail)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        all.push(summary(row, path)?);
    }
    Ok(all)
}

pub(super) fn any(
    connection: &Connection,
    path: &Path,
    filter: &Filter,
) -> Result<bool, JournalError> {
    let (conditions, values) = conditions(filter);
    let sql = format!("SELECT 1 FROM items WHERE {conditions} LIMIT 1");
    (connection.prepare_cached(&sql))
        .and_then(|mut statement| statement.exists(rusqlite::params_from_iter(values)))
        .map_err(|error| problem(path, &error))
}

pub(super) fn begun(
    connection: &Connection,
    path: &Path,
    line: &Name,
) -> Result<BTreeSet<u64>, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    if schema::format(connection, path)? < schema::PRIORITY {
        return Ok(BTreeSet::new());
    }
    let mut statement = connection
        .prepare_cached("SELECT DISTINCT began FROM items WHERE line = ? AND began IS NOT NULL")
        .map_err(fail)?;
    let mut rows = statement.query([line.as_str()]).map_err(fail)?;
    let mut all = BTreeSet::new();
    while let Some(row) = rows.next().map_err(fail)? {
        all.insert(number(row, 0, path)?);
    }
    Ok(all)
}

/// What a filter says, as a condition and its values.
fn conditions(filter: &Filter) -> (String, Vec<Box<dyn ToSql>>) {
    let mut conditions = vec!["1"];
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    if let Some(line) = &filter.line {
        conditions.push("line = ?");
        values.push(Box::new(line.to_string()));
    }
    if let Some(station) = &filter.station {
        conditions.push("station = ?");
        values.push(Box::new(station.to_string()));
    }
    if let Some(root) = &filter.root {
        // `/` is the character after `.`
        conditions.push("(item = ? OR item > ? || '.' AND item < ? || '/')");
        values.extend((0..3).map(|_| Box::new(root.to_string()) as Box<dyn ToSql>));
    }
    if filter.inputs {
        conditions.push("instr(item, '.') = 0");
    }
    if let Some(begins) = &filter.begins {
        // `{` is after every character of an id
        conditions.push("item >= ? AND item < ? || '{'");
        values.extend((0..2).map(|_| Box::new(begins.clone()) as Box<dyn ToSql>));
    }
    if let Some(after) = &filter.after {
        conditions.push("(taken, id) > (SELECT taken, id FROM items WHERE item = ?)");
        values.push(Box::new(after.to_string()));
    }
    let phases = format!("phase IN ({})", vec!["?"; filter.phases.len()].join(", "));
    if !filter.phases.is_empty() {
        conditions.push(&phases);
        values.extend(
            filter
                .phases
                .iter()
                .map(|phase| Box::new(phase.key()) as Box<dyn ToSql>),
        );
    }
    (conditions.join(" AND "), values)
}

pub(super) fn counts(
    connection: &Connection,
    path: &Path,
    line: &Name,
) -> Result<Vec<(PhaseKind, Option<Name>, u64)>, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    let mut statement = connection
        .prepare_cached(
            "SELECT phase, station, count(*) FROM items WHERE line = ? GROUP BY phase, station",
        )
        .map_err(fail)?;
    let mut rows = statement.query([line.as_str()]).map_err(fail)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        let (phase, station) = (phase(row, 0, path)?, station(row, 1, path)?);
        all.push((phase, station, number(row, 2, path)?));
    }
    Ok(all)
}

fn phase(row: &Row<'_>, column: usize, path: &Path) -> Result<PhaseKind, JournalError> {
    let phase: String = row.get(column).map_err(|error| problem(path, &error))?;
    let mut all = PhaseKind::ALL.into_iter();
    all.find(|known| known.key() == phase)
        .ok_or_else(|| damaged(path, format!("`{}` is no phase", shown(&phase))))
}

fn station(row: &Row<'_>, column: usize, path: &Path) -> Result<Option<Name>, JournalError> {
    let station: Option<String> = row.get(column).map_err(|error| problem(path, &error))?;
    (station.map(|name| name.parse::<Name>()).transpose())
        .map_err(|error| damaged(path, error.to_string()))
}

/// How many columns [`summary`] reads.
pub(super) const COLUMNS: usize = 13;

/// What [`summary`] reads.
pub(super) fn columns(connection: &Connection, path: &Path) -> Result<String, JournalError> {
    // An older format, which is only looked at, has none of them.
    let extra = match schema::format(connection, path)? < schema::PRIORITY {
        true => "1, NULL, NULL",
        false => "priority, due, began",
    };
    Ok(format!(
        "item, line, revision, source, phase, station, result, reason, taken, changed, {extra}"
    ))
}

pub(super) fn summary(row: &Row<'_>, path: &Path) -> Result<Summary, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    Ok(Summary {
        item: parsed(row, 0, path)?,
        line: parsed(row, 1, path)?,
        revision: number(row, 2, path)?,
        source: row.get(3).map_err(fail)?,
        phase: phase(row, 4, path)?,
        station: station(row, 5, path)?,
        result: row.get(6).map_err(fail)?,
        reason: row.get(7).map_err(fail)?,
        priority: row
            .get::<_, i64>(10)
            .ok()
            .and_then(|at| usize::try_from(at).ok())
            .and_then(|at| Priority::ALL.get(at).copied())
            .ok_or_else(|| damaged(path, "a priority is none"))?,
        due: row
            .get::<_, Option<i64>>(11)
            .map_err(fail)?
            .map(|due| due.max(0).unsigned_abs()),
        began: row
            .get::<_, Option<i64>>(12)
            .map_err(fail)?
            .map(|began| began.max(0).unsigned_abs()),
        taken: number(row, 8, path)?,
        changed: number(row, 9, path)?,
    })
}

pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(
    row: &Row<'_>,
    column: usize,
    path: &Path,
) -> Result<T, JournalError> {
    let text: String = row.get(column).map_err(|error| problem(path, &error))?;
    text.parse()
        .map_err(|error: T::Err| damaged(path, error.to_string()))
}

pub(super) fn number(row: &Row<'_>, column: usize, path: &Path) -> Result<u64, JournalError> {
    let number: i64 = row.get(column).map_err(|error| problem(path, &error))?;
    u64::try_from(number).map_err(|_| damaged(path, format!("{number} where a number is from 0")))
}

pub(super) fn blob(
    connection: &Connection,
    path: &Path,
    digest: &Digest,
) -> Result<Option<Bytes>, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached("SELECT bytes FROM blobs WHERE digest = ?")
        .map_err(fail)?
        .query_row([&digest.as_bytes()[..]], |row| row.get(0))
        .optional()
        .map_err(fail)?;
    match bytes {
        Some(bytes) if Digest::of(&bytes) != *digest => Err(damaged(
            path,
            format!("the blob {digest} does not have that digest"),
        )),
        bytes => Ok(bytes.map(Bytes::from)),
    }
}

pub(super) fn undelivered(
    connection: &Connection,
    path: &Path,
    line: &Name,
) -> Result<Vec<ItemId>, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    let mut statement = connection
        .prepare_cached(
            "SELECT item FROM items WHERE line = ? AND result AND NOT delivered \
             ORDER BY changed, id",
        )
        .map_err(fail)?;
    let mut rows = statement.query([line.as_str()]).map_err(fail)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        all.push(parsed(row, 0, path)?);
    }
    Ok(all)
}

pub(super) fn revision(
    connection: &Connection,
    path: &Path,
    line: &Name,
    number: u64,
) -> Result<Option<String>, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    let Ok(number) = i64::try_from(number) else {
        return Ok(None);
    };
    connection
        .prepare_cached("SELECT definition FROM revisions WHERE line = ? AND number = ?")
        .map_err(fail)?
        .query_row((line.as_str(), number), |row| row.get(0))
        .optional()
        .map_err(fail)
}
