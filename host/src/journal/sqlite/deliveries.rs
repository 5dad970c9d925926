//! What sinks are owed: a row for each delivery that was tried. One that never was has none, and is
//! known by the result that nobody delivered.

use super::{damaged, int, problem, schema};
use crate::{
    escape::shown,
    item::ItemId,
    journal::{Delivery, DeliveryState, JournalError},
    name::Name,
    visit::Millis,
};
use rusqlite::{Connection, Row, params};
use std::path::Path;

pub(super) fn owed(
    connection: &Connection,
    path: &Path,
    (line, sink): (&Name, &Name),
    until: Millis,
    most: usize,
) -> Result<Vec<Delivery>, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    if schema::format(connection, path)? < schema::DELIVERIES {
        return Ok(Vec::new());
    }
    let mut statement = connection
        .prepare_cached(
            "SELECT items.item, ?2, coalesce(attempts, 0), coalesce(next, changed) AS due, \
             coalesce(state, 'owed'), deliveries.reason \
             FROM items LEFT JOIN deliveries ON deliveries.item = items.id AND sink = ?2 \
             WHERE line = ?1 AND result AND NOT delivered \
             AND coalesce(state, 'owed') = 'owed' AND coalesce(next, changed) <= ?3 \
             ORDER BY due, items.id LIMIT ?4",
        )
        .map_err(fail)?;
    let most = i64::try_from(most).unwrap_or(-1);
    let mut rows = statement
        .query(params![line.as_str(), sink.as_str(), int(until), most])
        .map_err(fail)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        all.push(delivery(row, path)?);
    }
    Ok(all)
}

pub(super) fn of_item(
    connection: &Connection,
    path: &Path,
    item: &ItemId,
) -> Result<Vec<Delivery>, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    if schema::format(connection, path)? < schema::DELIVERIES {
        return Ok(Vec::new());
    }
    let mut statement = connection
        .prepare_cached(
            "SELECT items.item, sink, attempts, next, state, deliveries.reason \
             FROM deliveries JOIN items ON deliveries.item = items.id \
             WHERE items.item = ? ORDER BY sink",
        )
        .map_err(fail)?;
    let mut rows = statement.query([item.as_str()]).map_err(fail)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        all.push(delivery(row, path)?);
    }
    Ok(all)
}

pub(super) fn keep(connection: &Connection, deliveries: &[Delivery]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO deliveries (item, sink, attempts, next, state, reason) \
         SELECT id, ?, ?, ?, ?, ? FROM items WHERE item = ?",
    )?;
    for delivery in deliveries {
        insert.execute(params![
            delivery.sink.as_str(),
            delivery.attempts,
            int(delivery.next),
            delivery.state.key(),
            delivery.reason,
            delivery.item.as_str(),
        ])?;
    }
    Ok(())
}

fn delivery(row: &Row<'_>, path: &Path) -> Result<Delivery, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    let (item, sink, state): (String, String, String) = (
        row.get(0).map_err(fail)?,
        row.get(1).map_err(fail)?,
        row.get(4).map_err(fail)?,
    );
    let next: i64 = row.get(3).map_err(fail)?;
    Ok(Delivery {
        item: item
            .parse()
            .map_err(|error| damaged(path, format!("{error}")))?,
        sink: sink
            .parse()
            .map_err(|error| damaged(path, format!("{error}")))?,
        attempts: row.get(2).map_err(fail)?,
        next: next.max(0).unsigned_abs(),
        state: DeliveryState::ALL
            .into_iter()
            .find(|known| known.key() == state)
            .ok_or_else(|| {
                damaged(
                    path,
                    format!("`{}` is no state of a delivery", shown(&state)),
                )
            })?,
        reason: row.get(5).map_err(fail)?,
    })
}
