//! The table of effects: one row each, written when it is intended and once more when it has ended; what is
//! safe is written only then.

use super::{damaged, int, problem, schema};
use crate::{
    digest::Digest,
    effect::{Effect, EffectKind, End, VisitKey},
    item::ItemId,
    journal::JournalError,
    name::Name,
    visit::Millis,
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use std::path::Path;

/// An effect as it is stored.
pub(super) struct Encoded {
    pub(super) visit: VisitKey,
    run: u32,
    number: u32,
    at: i64,
    kind: EffectKind,
    safe: bool,
    intent: Vec<u8>,
    end: Option<EncodedEnd>,
}

struct EncodedEnd {
    at: i64,
    ended: &'static str,
    facts: Vec<u8>,
    stored: Option<Digest>,
}

pub(super) fn encode(
    visit: VisitKey,
    effect: &Effect,
    path: &Path,
) -> Result<Encoded, JournalError> {
    let failed = |error: rmp_serde::encode::Error| JournalError::Other {
        path: path.display().to_string(),
        reason: format!(
            "an effect of item `{}` cannot be written: {error}",
            visit.item
        ),
    };
    let stored = effect.stored();
    let end = |end: &End| {
        Ok(EncodedEnd {
            at: int(end.at),
            ended: end.ended.key(),
            facts: rmp_serde::to_vec_named(end).map_err(failed)?,
            stored,
        })
    };
    Ok(Encoded {
        run: effect.run,
        number: effect.number,
        at: int(effect.at),
        kind: effect.intent.kind,
        safe: effect.intent.safe,
        intent: rmp_serde::to_vec_named(&effect.intent).map_err(failed)?,
        end: effect.end.as_ref().map(end).transpose()?,
        visit,
    })
}

impl Encoded {
    pub(super) fn bytes(&self) -> usize {
        self.intent.len() + self.end.as_ref().map_or(0, |end| end.facts.len())
    }
}

/// Writes an effect of the item in this row: adds it, or says how it ended.
pub(super) fn write(connection: &Connection, item: i64, effect: &Encoded) -> rusqlite::Result<()> {
    let end = effect.end.as_ref();
    connection
        .prepare_cached(
            "INSERT INTO effects (item, station, visit, run, number, at, kind, safe, intent, \
             ended_at, ended, facts, stored) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (item, station, visit, run, number) DO UPDATE SET \
             ended_at = excluded.ended_at, ended = excluded.ended, facts = excluded.facts, \
             stored = excluded.stored",
        )?
        .execute(params![
            item,
            effect.visit.station.as_str(),
            effect.visit.nth,
            effect.run,
            effect.number,
            effect.at,
            effect.kind.key(),
            effect.safe,
            effect.intent,
            end.map(|end| end.at),
            end.map(|end| end.ended),
            end.map(|end| &end.facts),
            end.and_then(|end| end.stored.as_ref())
                .map(|digest| &digest.as_bytes()[..]),
        ])?;
    Ok(())
}

pub(super) fn list(
    connection: &Connection,
    path: &Path,
    item: &ItemId,
    visit: Option<&(Name, u32)>,
) -> Result<Vec<(VisitKey, Effect)>, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    if schema::format(connection, path)? < schema::EFFECTS {
        return Ok(Vec::new());
    }
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(item.to_string())];
    let (one, order) = match visit {
        Some((station, nth)) => {
            values.push(Box::new(station.to_string()));
            values.push(Box::new(*nth));
            (" AND station = ? AND visit = ?", "run, number")
        }
        None => ("", "at, id"),
    };
    let sql = format!(
        "SELECT station, visit, run, number, at, intent, facts FROM effects \
         WHERE item = (SELECT id FROM items WHERE item = ?){one} ORDER BY {order}"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(fail)?;
    let mut rows = statement
        .query(rusqlite::params_from_iter(values))
        .map_err(fail)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        all.push(effect(row, path, item)?);
    }
    Ok(all)
}

fn effect(row: &Row<'_>, path: &Path, item: &ItemId) -> Result<(VisitKey, Effect), JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    let unreadable = |what: &str, error: &dyn std::fmt::Display| {
        damaged(
            path,
            format!("{what} of an effect of item `{item}` cannot be read: {error}"),
        )
    };
    let station: String = row.get(0).map_err(fail)?;
    let visit = VisitKey {
        item: item.clone(),
        station: station
            .parse()
            .map_err(|error| unreadable("the station", &error))?,
        nth: row.get(1).map_err(fail)?,
    };
    let at: i64 = row.get(4).map_err(fail)?;
    let intent: Vec<u8> = row.get(5).map_err(fail)?;
    let end: Option<Vec<u8>> = row.get(6).map_err(fail)?;
    let end = end.map(|end| rmp_serde::from_slice(&end)).transpose();
    let effect = Effect {
        run: row.get(2).map_err(fail)?,
        number: row.get(3).map_err(fail)?,
        at: at.max(0).unsigned_abs(),
        intent: rmp_serde::from_slice(&intent).map_err(|error| unreadable("the intent", &error))?,
        end: end.map_err(|error| unreadable("the end", &error))?,
    };
    Ok((visit, effect))
}

pub(super) fn recorded_until(
    connection: &Connection,
    path: &Path,
    visit: &VisitKey,
    first: u32,
) -> Result<Millis, JournalError> {
    let fail = |error: rusqlite::Error| problem(path, &error);
    if schema::format(connection, path)? < schema::EFFECTS {
        return Ok(0);
    }
    let last: Option<Option<i64>> = connection
        .prepare_cached(
            "SELECT max(ended_at) FROM effects \
             WHERE item = (SELECT id FROM items WHERE item = ?) AND station = ? AND visit = ? \
             AND run >= ?",
        )
        .map_err(fail)?
        .query_row(
            params![
                visit.item.as_str(),
                visit.station.as_str(),
                visit.nth,
                first
            ],
            |row| row.get(0),
        )
        .optional()
        .map_err(fail)?;
    Ok(last.flatten().unwrap_or(0).max(0).unsigned_abs())
}
