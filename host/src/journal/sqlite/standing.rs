//! Items that stand still, found by index.

use super::{Sqlite, int, problem, read};
use crate::{
    item::ItemId,
    journal::{Awaited, JournalError, PhaseKind, Queue, Standing, Standpoint},
    name::Name,
    visit::Millis,
};
use rusqlite::{Connection, OptionalExtension, Params, params};
use std::path::Path;

fn items(
    connection: &Connection,
    path: &Path,
    sql: &str,
    values: impl Params,
) -> Result<Vec<ItemId>, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    let mut statement = connection.prepare_cached(sql).map_err(fail)?;
    let mut rows = statement.query(values).map_err(fail)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        all.push(read::parsed(row, 0, path)?);
    }
    Ok(all)
}

fn time(
    connection: &Connection,
    path: &Path,
    sql: &str,
    values: impl Params,
) -> Result<Option<Millis>, JournalError> {
    let found: Option<i64> = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(values, |row| row.get(0)).optional())
        .map_err(|error| problem(path, &error))?;
    Ok(found.map(|at| at.max(0).unsigned_abs()))
}

impl Standing for Sqlite {
    fn waiting(&self, queue: &Queue, until: Millis, most: usize) -> Result<Awaited, JournalError> {
        // One range of the index `items_waiting` each.
        const TIMED: &str = "SELECT item FROM items WHERE line = ?1 AND phase = 'waiting' \
             AND station = ?2 AND priority = ?3 AND due <= ?4 ORDER BY due, id LIMIT ?5";
        const FRESH: &str = "SELECT item FROM items WHERE line = ?1 AND phase = 'waiting' \
             AND station = ?2 AND priority = ?3 AND due IS NULL ORDER BY id LIMIT ?4";
        const NEXT: &str = "SELECT due FROM items WHERE line = ?1 AND phase = 'waiting' \
             AND station = ?2 AND priority = ?3 AND due > ?4 ORDER BY due LIMIT 1";
        let (line, station) = (queue.line.as_str(), queue.station.as_str());
        let priority = queue.priority as i64;
        let (until, limit) = (int(until), int(most as u64));
        self.read(|connection, path| {
            let values = params![line, station, priority, until, limit];
            let ready = items(connection, path, TIMED, values)?;
            let values = params![line, station, priority, limit];
            let fresh = items(connection, path, FRESH, values)?;
            let values = params![line, station, priority, until];
            let next = time(connection, path, NEXT, values)?;
            Ok(Awaited::of_both(ready, fresh, next, most))
        })
    }

    fn due(
        &self,
        line: &Name,
        phase: PhaseKind,
        until: Millis,
        most: usize,
    ) -> Result<Awaited, JournalError> {
        const ITEMS: &str = "SELECT item FROM items WHERE line = ? AND phase = ? AND due <= ? \
             ORDER BY due, id LIMIT ?";
        const NEXT: &str = "SELECT due FROM items WHERE line = ? AND phase = ? AND due > ? \
             ORDER BY due LIMIT 1";
        let (line, until) = (line.as_str(), int(until));
        self.read(|connection, path| {
            let values = params![line, phase.key(), until, int(most as u64)];
            Ok(Awaited {
                items: items(connection, path, ITEMS, values)?,
                next: time(connection, path, NEXT, params![line, phase.key(), until])?,
            })
        })
    }

    fn standing(
        &self,
        line: &Name,
        phase: PhaseKind,
        after: Option<&Standpoint>,
        most: usize,
    ) -> Result<Vec<(Standpoint, ItemId)>, JournalError> {
        let station = after.map_or("", |after| after.station.as_str());
        let position = after.map_or(0, |after| int(after.position));
        self.read(|connection, path| {
            let fail = |error: rusqlite::Error| problem(path, &error);
            let mut statement = connection
                .prepare_cached(
                    "SELECT item, station, id FROM items WHERE line = ? AND phase = ? \
                     AND (station, id) > (?, ?) ORDER BY station, id LIMIT ?",
                )
                .map_err(fail)?;
            let most = int(most as u64);
            let values = params![line.as_str(), phase.key(), station, position, most];
            let mut rows = statement.query(values).map_err(fail)?;
            let mut all = Vec::new();
            while let Some(row) = rows.next().map_err(fail)? {
                let at = Standpoint {
                    station: read::parsed(row, 1, path)?,
                    position: read::number(row, 2, path)?,
                };
                all.push((at, read::parsed(row, 0, path)?));
            }
            Ok(all)
        })
    }
}
