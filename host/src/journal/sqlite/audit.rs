//! The audit's tables: one row an entry, and the head in a row of its own, so that rows that are cut
//! off at the end are missed.

use super::{damaged, int, problem, schema};
use crate::{
    audit::{Deed, Heading},
    digest::Digest,
    journal::{
        JournalError,
        audit::{AuditFilter, Chain, Encoded, Flaw, Following, Found, Kept, Verified, decode},
    },
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, types::FromSql};
use std::{path::Path, str::FromStr};

/// Where the chain goes on: at the head that was kept. Rows that somebody put behind it are passed,
/// not overwritten; they do not fit the chain.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<Option<Chain>> {
    let Some(head) = head(connection)? else {
        return Ok(None);
    };
    let last: Option<i64> =
        connection.query_row("SELECT max(seq) FROM audit", [], |row| row.get(0))?;
    let last = last.and_then(|last| u64::try_from(last).ok()).unwrap_or(0);
    Ok(Some(Chain {
        entries: head.entries.max(last),
        ..head
    }))
}

/// The head as it was kept; none where it is gone or no head.
fn head(connection: &Connection) -> rusqlite::Result<Option<Chain>> {
    connection
        .prepare_cached("SELECT entries, chain FROM audit_head WHERE one = 1")?
        .query_row([], |row| {
            let entries = row.get::<_, i64>(0).ok();
            Ok(entries
                .and_then(|entries| u64::try_from(entries).ok())
                .zip(digest(row, 1))
                .map(|(entries, head)| Chain { entries, head }))
        })
        .optional()
        .map(Option::flatten)
}

/// Adds entries to the chain, and keeps its head.
pub(super) fn add(
    connection: &Connection,
    chain: &mut Chain,
    entries: &[Encoded],
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO audit (seq, at, deed, allowed, line, revision, station, item, facts, digest, \
         chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for entry in entries {
        *chain = chain.with(&entry.heading, &entry.digest);
        let heading = &entry.heading;
        insert.execute(params![
            int(chain.entries),
            int(heading.at),
            heading.deed.key(),
            heading.allowed,
            heading.line.as_str(),
            int(heading.revision),
            heading.station.as_str(),
            heading.item.as_ref().map(|item| item.as_str()),
            entry.facts,
            &entry.digest.as_bytes()[..],
            &chain.head.as_bytes()[..],
        ])?;
    }
    connection
        .prepare_cached("UPDATE audit_head SET entries = ?, chain = ? WHERE one = 1")?
        .execute(params![int(chain.entries), &chain.head.as_bytes()[..]])?;
    Ok(())
}

const COLUMNS: &str = "seq, at, deed, allowed, line, revision, station, item, facts, digest, chain";

pub(super) fn list(
    connection: &Connection,
    path: &Path,
    filter: &AuditFilter,
) -> Result<Vec<Kept>, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    if schema::format(connection, path)? < schema::AUDIT {
        return Ok(Vec::new());
    }
    let mut conditions = vec!["seq >= ?"];
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(int(filter.from))];
    if let Some(item) = &filter.item {
        // `/` is the character after `.`
        conditions.push("(item = ? OR item > ? || '.' AND item < ? || '/')");
        values.extend((0..3).map(|_| Box::new(item.to_string()) as Box<dyn ToSql>));
    }
    if let Some(station) = &filter.station {
        conditions.push("station = ?");
        values.push(Box::new(station.to_string()));
    }
    if let Some(line) = &filter.line {
        conditions.push("line = ?");
        values.push(Box::new(line.to_string()));
    }
    // As literals, so that the indexes of these are used.
    let deed = filter.deed.map(|deed| format!("deed = '{deed}'"));
    conditions.extend(deed.as_deref());
    if filter.denied {
        conditions.push("NOT allowed");
    }
    values.push(Box::new(
        filter
            .most
            .map_or(-1, |most| i64::try_from(most).unwrap_or(-1)),
    ));
    let sql = format!(
        "SELECT {COLUMNS} FROM audit WHERE {} ORDER BY seq {} LIMIT ?",
        conditions.join(" AND "),
        if filter.newest { "DESC" } else { "ASC" }
    );
    let mut statement = connection.prepare_cached(&sql).map_err(fail)?;
    let mut rows = statement
        .query(rusqlite::params_from_iter(values))
        .map_err(fail)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        all.push(kept(row, path)?);
    }
    if filter.newest {
        all.reverse();
    }
    Ok(all)
}

fn kept(row: &Row<'_>, path: &Path) -> Result<Kept, JournalError> {
    let seq: i64 = row.get(0).map_err(|error| problem(path, &error))?;
    let broken = |what: &str| {
        damaged(
            path,
            format!("entry {seq} of the audit {what}\n  hint: `andon audit --verify` tells more"),
        )
    };
    let entry = match facts(row).map_err(|()| broken("has no bytes"))? {
        None => None,
        Some(facts) => Some(decode(facts).map_err(|_| broken("cannot be read"))?),
    };
    Ok(Kept {
        seq: u64::try_from(seq).map_err(|_| broken("has no such number"))?,
        heading: heading(row).ok_or_else(|| broken("is listed as what it cannot be"))?,
        entry,
        digest: digest(row, 9).ok_or_else(|| broken("has no digest"))?,
        chain: digest(row, 10).ok_or_else(|| broken("has no chain"))?,
    })
}

pub(super) fn verify(
    connection: &Connection,
    path: &Path,
    noted: Option<Chain>,
) -> Result<Result<Verified, Flaw>, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    let mut following = Following::new(noted);
    if schema::format(connection, path)? < schema::AUDIT {
        return Ok(following.end(Some(Chain::default())));
    }
    // One view of rows and head, whatever is written meanwhile.
    let view = connection.unchecked_transaction().map_err(fail)?;
    let mut statement = view
        .prepare_cached(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq"))
        .map_err(fail)?;
    let mut rows = statement.query([]).map_err(fail)?;
    while let Some(row) = rows.next().map_err(fail)? {
        let seq: i64 = row.get(0).map_err(fail)?;
        // Bytes that are none have no digest either.
        let (facts, digest) = match facts(row) {
            Ok(facts) => (facts, digest(row, 9)),
            Err(()) => (None, None),
        };
        let found = Found {
            seq,
            heading: heading(row),
            facts,
            digest,
            chain: self::digest(row, 10),
        };
        if let Err(flaw) = following.next(&found) {
            return Ok(Err(flaw));
        }
    }
    Ok(following.end(head(&view).map_err(fail)?))
}

/// What the row says that it is found by; none where that is nothing that was ever kept.
fn heading(row: &Row<'_>) -> Option<Heading> {
    Some(Heading {
        at: number(row, 1)?,
        deed: parsed::<Deed>(row, 2)?,
        allowed: value(row, 3)?,
        line: parsed(row, 4)?,
        revision: number(row, 5)?,
        station: parsed(row, 6)?,
        item: match value::<Option<String>>(row, 7)? {
            Some(item) => Some(item.parse().ok()?),
            None => None,
        },
    })
}

/// The entry's bytes; none where they were erased, an error where they are no bytes.
fn facts<'r>(row: &'r Row<'_>) -> Result<Option<&'r [u8]>, ()> {
    let value = row.get_ref(8).map_err(|_| ())?;
    value.as_blob_or_null().map_err(|_| ())
}

fn value<T: FromSql>(row: &Row<'_>, column: usize) -> Option<T> {
    row.get(column).ok()
}

fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> Option<T> {
    value::<String>(row, column)?.parse().ok()
}

fn number(row: &Row<'_>, column: usize) -> Option<u64> {
    u64::try_from(value::<i64>(row, column)?).ok()
}

pub(super) fn digest(row: &Row<'_>, column: usize) -> Option<Digest> {
    value(row, column).map(Digest::from_bytes)
}
