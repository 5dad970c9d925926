//! Upkeep: going through all rows, and removing some.

use super::{
    Order, Sqlite, Work, answer, audit, connect, damaged, int, problem, read, schema,
    writer::encode_record,
};
use crate::{
    digest::Digest,
    item::{ItemId, Record, Summary},
    journal::{JournalError, Listed, Retired, Rewritten, Upkeep},
    name::Name,
    visit::Millis,
};
use futures::{FutureExt, channel::oneshot, future::BoxFuture};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::{collections::BTreeSet, fs::File, path::Path};

/// What is kept of an item in tables of its own: removed with it, first.
const OF_ITEMS: &[&str] = &[
    "DELETE FROM records WHERE item = ?",
    "DELETE FROM effects WHERE item = ?",
    "DELETE FROM deliveries WHERE item = ?",
    "DELETE FROM effects WHERE item = ?",
];

/// Whether an item has ended. The index of those that may go is for just these words.
const ENDED: &str = "phase IN ('done', 'scrapped', 'joined')";

/// Whether the tree of the input `root.item` may go: ?1 is the latest end, ?2 the latest of a result
/// that nobody fetched. `/` is the character after `.`.
const MAY_GO: &str = "NOT EXISTS (SELECT 1 FROM items AS below \
    WHERE below.item >= root.item AND below.item < root.item || '/' \
    AND (below.phase NOT IN ('done', 'scrapped', 'joined') OR below.changed > ?1 \
    OR (below.result AND NOT below.delivered AND below.changed > ?2)))";

/// No time: nothing came to be before.
const NEVER: i64 = -1;

impl Sqlite {
    fn work(
        &self,
        work: impl Fn(&Connection) -> rusqlite::Result<u64> + Send + 'static,
    ) -> BoxFuture<'static, Result<u64, JournalError>> {
        let (reply, receipt) = oneshot::channel();
        let work: Work = Box::new(work);
        let sent = self.order(Order::Work(work, reply));
        answer(sent, receipt, &self.shared)
    }
}

impl Upkeep for Sqlite {
    fn page(&self, after: u64, most: usize) -> Result<Vec<Listed>, JournalError> {
        self.read(|connection, path| {
            let fail = |error: rusqlite::Error| problem(path, &error);
            let mut statement = connection
                .prepare_cached(&format!(
                    "SELECT {}, id FROM items WHERE id > ? ORDER BY id LIMIT ?",
                    read::columns(connection, path)?
                ))
                .map_err(fail)?;
            let mut rows = statement
                .query(params![int(after), int(most as u64)])
                .map_err(fail)?;
            let mut all = Vec::new();
            while let Some(row) = rows.next().map_err(fail)? {
                all.push(Listed {
                    position: read::number(row, read::COLUMNS, path)?,
                    item: read::parsed(row, 0, path),
                    summary: read::summary(row, path),
                });
            }
            Ok(all)
        })
    }

    fn line_names(&self) -> Result<Vec<Name>, JournalError> {
        self.read(|connection, path| {
            let mut all = BTreeSet::new();
            for table in ["items", "revisions"] {
                let mut next = connection
                    .prepare_cached(&format!("SELECT min(line) FROM {table} WHERE line > ?"))
                    .map_err(|error| problem(path, &error))?;
                let mut last = String::new();
                // From one name to the next over the index: there are few lines, and many items.
                loop {
                    let line: Option<String> = next
                        .query_row([&last], |row| row.get(0))
                        .map_err(|error| problem(path, &error))?;
                    let Some(line) = line else { break };
                    let name: Name = line
                        .parse()
                        .map_err(|error| damaged(path, format!("{error}")))?;
                    all.insert(name);
                    last = line;
                }
            }
            Ok(all.into_iter().collect())
        })
    }

    fn retired(
        &self,
        line: &Name,
        which: &Retired,
        after: Option<&(Millis, ItemId)>,
        most: usize,
    ) -> Result<Vec<(Millis, ItemId)>, JournalError> {
        self.read(|connection, path| {
            let fail = |error: rusqlite::Error| problem(path, &error);
            if schema::format(connection, path)? < schema::DELIVERIES {
                return Ok(Vec::new());
            }
            let mut statement = connection
                .prepare_cached(&format!(
                    "SELECT changed, item FROM items AS root WHERE line = ?3 AND {ENDED} \
                     AND instr(item, '.') = 0 AND changed <= ?1 AND (changed, item) > (?4, ?5) \
                     AND {MAY_GO} ORDER BY changed, item LIMIT ?6"
                ))
                .map_err(fail)?;
            let (since, last) = match after {
                Some((at, item)) => (int(*at), item.as_str()),
                None => (NEVER, ""),
            };
            let mut rows = statement
                .query(params![
                    int(which.ended),
                    which.unfetched.map_or(NEVER, int),
                    line.as_str(),
                    since,
                    last,
                    int(most as u64)
                ])
                .map_err(fail)?;
            let mut all = Vec::new();
            while let Some(row) = rows.next().map_err(fail)? {
                all.push((read::number(row, 0, path)?, read::parsed(row, 1, path)?));
            }
            Ok(all)
        })
    }

    fn ended_before_newest(&self, line: &Name, newer: u64) -> Result<Option<Millis>, JournalError> {
        self.read(|connection, path| {
            if schema::format(connection, path)? < schema::DELIVERIES {
                return Ok(None);
            }
            let at: Option<i64> = connection
                .prepare_cached(&format!(
                    "SELECT changed FROM items WHERE line = ? AND {ENDED} \
                     AND instr(item, '.') = 0 ORDER BY changed DESC LIMIT 1 OFFSET ?"
                ))
                .and_then(|mut statement| {
                    statement
                        .query_row(params![line.as_str(), int(newer)], |row| row.get(0))
                        .optional()
                })
                .map_err(|error| problem(path, &error))?;
            Ok(at.map(|at| at.max(0).unsigned_abs()))
        })
    }

    fn forget(
        &self,
        trees: Vec<ItemId>,
        which: Retired,
        at: Millis,
        most: usize,
    ) -> BoxFuture<'static, Result<u64, JournalError>> {
        self.work(move |connection| {
            let mut removed = 0;
            for root in &trees {
                if removed >= most as u64 {
                    break;
                }
                removed += forget(connection, root, &which, at, most as u64 - removed)?;
            }
            Ok(removed)
        })
    }

    fn forgotten(&self, item: &ItemId) -> Result<Option<Millis>, JournalError> {
        self.read(|connection, path| {
            if schema::format(connection, path)? < schema::DELIVERIES {
                return Ok(None);
            }
            let at: Option<i64> = connection
                .prepare_cached("SELECT at FROM forgotten WHERE item = ?")
                .and_then(|mut statement| {
                    let found = statement.query_row([item.as_str()], |row| row.get(0));
                    found.optional()
                })
                .map_err(|error| problem(path, &error))?;
            Ok(at.map(|at| at.max(0).unsigned_abs()))
        })
    }

    fn lapse(&self, before: Millis, most: usize) -> BoxFuture<'static, Result<u64, JournalError>> {
        self.work(move |connection| {
            let removed = connection
                .prepare_cached(
                    "DELETE FROM forgotten WHERE item IN \
                     (SELECT item FROM forgotten WHERE at < ? ORDER BY at LIMIT ?)",
                )?
                .execute(params![int(before), int(most as u64)])?;
            Ok(removed as u64)
        })
    }

    fn small_blobs(
        &self,
        after: Option<&Digest>,
        most: usize,
    ) -> Result<Vec<Digest>, JournalError> {
        self.read(|connection, path| {
            let fail = |error: rusqlite::Error| problem(path, &error);
            let mut statement = connection
                .prepare_cached("SELECT digest FROM blobs WHERE digest > ? ORDER BY digest LIMIT ?")
                .map_err(fail)?;
            let after = after.map_or(&[][..], |digest| &digest.as_bytes()[..]);
            let mut rows = statement
                .query(params![after, int(most as u64)])
                .map_err(fail)?;
            let mut all = Vec::new();
            while let Some(row) = rows.next().map_err(fail)? {
                all.push(
                    audit::digest(row, 0).ok_or_else(|| damaged(path, "a blob has no digest"))?,
                );
            }
            Ok(all)
        })
    }

    fn effect_bodies(
        &self,
        after: u64,
        most: usize,
    ) -> Result<Vec<(u64, ItemId, Digest)>, JournalError> {
        self.read(|connection, path| {
            let fail = |error: rusqlite::Error| problem(path, &error);
            if schema::format(connection, path)? < schema::EFFECTS {
                return Ok(Vec::new());
            }
            let mut statement = connection
                .prepare_cached(
                    "SELECT effects.id, items.item, stored FROM effects \
                     JOIN items ON items.id = effects.item \
                     WHERE effects.id > ? AND stored IS NOT NULL ORDER BY effects.id LIMIT ?",
                )
                .map_err(fail)?;
            let mut rows = statement
                .query(params![int(after), int(most as u64)])
                .map_err(fail)?;
            let mut all = Vec::new();
            while let Some(row) = rows.next().map_err(fail)? {
                let body = audit::digest(row, 2);
                all.push((
                    read::number(row, 0, path)?,
                    read::parsed(row, 1, path)?,
                    body.ok_or_else(|| damaged(path, "the body of an effect has no digest"))?,
                ));
            }
            Ok(all)
        })
    }

    fn blobs_so_far(&self) -> Result<u64, JournalError> {
        self.read(|connection, path| {
            let last: Option<i64> = connection
                .query_row("SELECT max(rowid) FROM blobs", [], |row| row.get(0))
                .map_err(|error| problem(path, &error))?;
            Ok(last.unwrap_or(0).max(0).unsigned_abs())
        })
    }

    fn drop_blobs(
        &self,
        digests: Vec<Digest>,
        mark: u64,
    ) -> BoxFuture<'static, Result<u64, JournalError>> {
        self.work(move |connection| {
            // The newest row before the mark stays, so that its number is not given again: what an
            // append hands over is newer than every mark before it.
            let mut delete =
                connection.prepare_cached("DELETE FROM blobs WHERE digest = ? AND rowid < ?")?;
            let mut removed = 0;
            for digest in &digests {
                removed += delete.execute(params![&digest.as_bytes()[..], int(mark)])? as u64;
            }
            Ok(removed)
        })
    }

    fn rewrite(&self, rewritten: Rewritten) -> BoxFuture<'static, Result<(), JournalError>> {
        let Rewritten {
            item,
            expected,
            records,
            summary,
        } = rewritten;
        let path = self.shared.path.clone();
        let encoded: Result<Vec<_>, _> = records
            .iter()
            .map(|record| encode_record(record, &item, &path))
            .collect();
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(error) => return std::future::ready(Err(error)).boxed(),
        };
        let subject = item.clone();
        let done = self.work(move |connection| {
            let row: Option<(i64, i64)> = connection
                .prepare_cached(
                    "SELECT id, (SELECT count(*) FROM records WHERE records.item = items.id) \
                     FROM items WHERE item = ?",
                )?
                .query_row([subject.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((row, found)) = row else {
                return Ok(CONFLICT);
            };
            if found != int(expected) {
                return Ok(CONFLICT + found.unsigned_abs());
            }
            for (seq, record) in (1..).zip(&encoded) {
                connection
                    .prepare_cached(
                        "INSERT INTO records (item, seq, kind, version, at, facts) \
                         VALUES (?, ?, ?, ?, ?, ?) \
                         ON CONFLICT (item, seq) DO UPDATE SET facts = excluded.facts",
                    )?
                    .execute(params![
                        row,
                        seq,
                        record.kind,
                        Record::VERSION,
                        record.at,
                        record.facts
                    ])?;
            }
            list(connection, &summary)?;
            connection
                .prepare_cached("DELETE FROM effects WHERE item = ?")?
                .execute([row])?;
            for sql in [
                "UPDATE audit SET facts = NULL WHERE item = ?",
                "UPDATE deliveries SET reason = NULL \
                 WHERE item = (SELECT id FROM items WHERE item = ?)",
            ] {
                connection
                    .prepare_cached(sql)?
                    .execute([subject.as_str()])?;
            }
            Ok(0)
        });
        async move {
            match done.await?.checked_sub(CONFLICT) {
                None => Ok(()),
                Some(found) => Err(JournalError::Conflict {
                    item,
                    expected,
                    found,
                }),
            }
        }
        .boxed()
    }

    fn relist(&self, summary: Summary) -> BoxFuture<'static, Result<(), JournalError>> {
        let done = self.work(move |connection| list(connection, &summary));
        async { done.await.map(drop) }.boxed()
    }

    fn integrity(&self) -> Result<Vec<String>, JournalError> {
        self.read(|connection, path| {
            let fail = |error: rusqlite::Error| problem(path, &error);
            let mut wrong = Vec::new();
            let mut check = connection
                .prepare("PRAGMA integrity_check(20)")
                .map_err(fail)?;
            let mut rows = check.query([]).map_err(fail)?;
            while let Some(row) = rows.next().map_err(fail)? {
                let says: String = row.get(0).map_err(fail)?;
                if says != "ok" {
                    wrong.push(says);
                }
            }
            let unfiled: i64 = connection
                .query_row(
                    "SELECT count(*) FROM records WHERE item NOT IN (SELECT id FROM items)",
                    [],
                    |row| row.get(0),
                )
                .map_err(fail)?;
            if unfiled > 0 {
                wrong.push(format!("{unfiled} records are of no item"));
            }
            Ok(wrong)
        })
    }

    fn copy_to(&self, file: &Path) -> Result<(), JournalError> {
        self.read(|connection, _| {
            connection
                .execute("VACUUM INTO ?", [file.to_string_lossy()])
                .map_err(|error| problem(file, &error))?;
            // A copy is one file, which whoever reads it makes no others beside.
            let copy = connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
                .map_err(|error| problem(file, &error))?;
            copy.close().map_err(|(_, error)| problem(file, &error))?;
            let synced = File::open(file).and_then(|file| file.sync_all());
            synced.map_err(|error| JournalError::io(file, &error))
        })
    }

    fn epoch(&self) -> Result<u64, JournalError> {
        self.read(|connection, path| epoch(connection).map_err(|error| problem(path, &error)))
    }

    fn next_epoch(&self) -> BoxFuture<'static, Result<u64, JournalError>> {
        self.work(|connection| {
            let next = epoch(connection)? + 1;
            connection.execute(
                "INSERT OR REPLACE INTO meta VALUES ('epoch', ?)",
                [int(next)],
            )?;
            Ok(next)
        })
    }
}

/// What a piece of work gives where the item has other records than expected: this, and how many.
const CONFLICT: u64 = 1 << 62;

fn epoch(connection: &Connection) -> rusqlite::Result<u64> {
    let found: Option<i64> = connection
        .query_row(
            "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'epoch'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    Ok(found.unwrap_or(0).max(0).unsigned_abs())
}

fn forget(
    connection: &Connection,
    root: &ItemId,
    which: &Retired,
    at: Millis,
    most: u64,
) -> rusqlite::Result<u64> {
    let may_go = connection
        .prepare_cached(&format!(
            "SELECT 1 FROM items AS root WHERE item = ?3 AND {ENDED} AND {MAY_GO}"
        ))?
        .exists(params![
            int(which.ended),
            which.unfetched.map_or(NEVER, int),
            root.as_str()
        ])?;
    if !may_go {
        return Ok(0);
    }
    // The input comes last, whatever else goes in this step: as long as it is there, the rest is found.
    let rows: Vec<i64> = connection
        .prepare_cached(
            "SELECT id FROM items WHERE item >= ?1 AND item < ?1 || '/' \
             ORDER BY item = ?1, item LIMIT ?2",
        )?
        .query_map(params![root.as_str(), int(most)], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for row in &rows {
        for sql in OF_ITEMS {
            connection.prepare_cached(sql)?.execute([row])?;
        }
        connection
            .prepare_cached("DELETE FROM items WHERE id = ?")?
            .execute([row])?;
    }
    let left = connection
        .prepare_cached("SELECT 1 FROM items WHERE item = ?")?
        .exists([root.as_str()])?;
    if !left {
        connection
            .prepare_cached("INSERT OR REPLACE INTO forgotten (item, at) VALUES (?, ?)")?
            .execute(params![root.as_str(), int(at)])?;
    }
    Ok(rows.len() as u64)
}

/// Lists an item as this says, whatever its row said.
fn list(connection: &Connection, summary: &Summary) -> rusqlite::Result<u64> {
    let changed = connection
        .prepare_cached(
            "UPDATE items SET line = ?, revision = ?, source = ?, phase = ?, station = ?, \
             result = ?, reason = ?, taken = ?, changed = ?, priority = ?, due = ?, \
             began = ? WHERE item = ?",
        )?
        .execute(params![
            summary.line.as_str(),
            int(summary.revision),
            summary.source,
            summary.phase.key(),
            summary.station.as_deref(),
            summary.result,
            summary.reason,
            int(summary.taken),
            int(summary.changed),
            summary.priority as i64,
            summary.due.map(int),
            summary.began.map(int),
            summary.item.as_str(),
        ])?;
    Ok(changed as u64)
}
