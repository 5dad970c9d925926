//! The thread that writes. It takes all that has come together, commits it as one transaction, and
//! only then answers and passes messages on.

use super::{Shared, audit, damaged, effects, int, problem};
use crate::{
    digest::Digest,
    failpoint::Point,
    item::{ItemId, Message, Record},
    journal::{
        Append, JournalError, Seq, Summary,
        audit::{Chain, Encoded as EncodedEntry},
    },
    name::Name,
};
use bytes::Bytes;
use futures::channel::oneshot;
use rusqlite::{Connection, OptionalExtension, params};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, mpsc},
};

/// The most orders in one transaction.
const GROUP: usize = 2048;
/// The most bytes of records and blobs in one transaction; one order alone may have more.
const GROUP_BYTES: usize = 8 << 20;

/// How many bytes have to fit before a store that failed is used again.
const ROOM: usize = 256 << 10;

/// Something to be written.
pub(super) enum Order {
    Append(Encoded, oneshot::Sender<Result<Seq, JournalError>>),
    Delivered(Vec<ItemId>, oneshot::Sender<Result<(), JournalError>>),
    Audit(Vec<EncodedEntry>, oneshot::Sender<Result<(), JournalError>>),
    Effect(effects::Encoded, oneshot::Sender<Result<(), JournalError>>),
    /// Nothing to write: answered when all before it is durable.
    Wait(oneshot::Sender<Result<(), JournalError>>),
    Revision(Name, String, mpsc::Sender<Result<u64, JournalError>>),
    Work(Work, oneshot::Sender<Result<u64, JournalError>>),
    TryAgain(oneshot::Sender<Result<(), JournalError>>),
}

/// Anything else, done within the transaction in its turn: how much it did. It fails only where the
/// database does, and then everything after it.
pub(super) type Work = Box<dyn Fn(&Connection) -> rusqlite::Result<u64> + Send>;

/// An append with its records as they are stored: encoding is done by the callers, of which there
/// are many, and not by the writer, of which there is one.
pub(super) struct Encoded {
    item: ItemId,
    expected: Seq,
    records: Vec<EncodedRecord>,
    messages: Vec<Message>,
    pub(super) blobs: Vec<(Digest, Bytes)>,
    summary: Summary,
}

pub(super) struct EncodedRecord {
    pub(super) kind: &'static str,
    pub(super) at: i64,
    pub(super) facts: Vec<u8>,
}

pub(super) fn encode_record(
    record: &Record,
    item: &ItemId,
    path: &Path,
) -> Result<EncodedRecord, JournalError> {
    Ok(EncodedRecord {
        kind: record.kind(),
        at: int(record.at()),
        facts: rmp_serde::to_vec_named(record).map_err(|error| JournalError::Other {
            path: path.display().to_string(),
            reason: format!("a record of item `{item}` cannot be written: {error}"),
        })?,
    })
}

pub(super) fn encode(append: Append, path: &Path) -> Result<Encoded, JournalError> {
    let records = append.records.iter();
    let records = records.map(|record| encode_record(record, &append.item, path));
    Ok(Encoded {
        records: records.collect::<Result<_, JournalError>>()?,
        item: append.item,
        expected: append.expected,
        messages: append.messages,
        blobs: append.blobs,
        summary: append.summary,
    })
}

impl Order {
    /// What a piece of work counts for: nobody knows how much it writes, so few go together.
    const WORK: usize = GROUP_BYTES / 8;

    fn bytes(&self) -> usize {
        match self {
            Self::Append(append, _) => {
                let records: usize = append.records.iter().map(|r| r.facts.len()).sum();
                let blobs: usize = append.blobs.iter().map(|(_, bytes)| bytes.len()).sum();
                records + blobs
            }
            Self::Delivered(..) | Self::TryAgain(_) | Self::Wait(_) => 0,
            Self::Effect(effect, _) => effect.bytes(),
            Self::Audit(entries, _) => entries.iter().map(|entry| entry.facts.len()).sum(),
            Self::Revision(_, definition, _) => definition.len(),
            Self::Work(..) => Self::WORK,
        }
    }
}

/// What an order came to, once the transaction that it is in is committed.
enum Outcome {
    Appended(Result<Seq, JournalError>),
    Delivered,
    Audited,
    Effect(Result<(), JournalError>),
    Waited,
    Revision(u64),
    Worked(u64),
}

pub(super) struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    known: HashMap<ItemId, Known>,
    /// The end of the audit.
    chain: Chain,
}

impl Writer {
    /// A writer for an open journal of the newest format.
    pub(super) fn new(connection: Connection, shared: Arc<Shared>) -> Result<Self, JournalError> {
        let chain = audit::newest(&connection).map_err(|error| problem(&shared.path, &error))?;
        let chain = chain.ok_or_else(|| damaged(&shared.path, "the head of the audit is gone"))?;
        Ok(Self {
            connection,
            shared,
            known: HashMap::new(),
            chain,
        })
    }

    /// Writes until there is nobody left to give orders.
    pub(super) fn run(mut self, queue: &mpsc::Receiver<Order>) {
        // also when this thread panics: whoever waits for messages is not left waiting
        let _closed = Closing(self.shared.clone());
        while let Ok(first) = queue.recv() {
            let mut bytes = first.bytes();
            let mut group = vec![first];
            while group.len() < GROUP && bytes < GROUP_BYTES {
                let Ok(order) = queue.try_recv() else { break };
                bytes += order.bytes();
                group.push(order);
            }
            self.write(group);
        }
    }

    fn write(&mut self, group: Vec<Order>) {
        if group.is_empty() {
            return;
        }
        let mut again = None;
        if let Some(cause) = self.shared.failure() {
            let mut orders = group.into_iter();
            // What was given before was given by those who did not know yet.
            let before = orders.by_ref().map_while(|order| match order {
                Order::TryAgain(reply) => {
                    again = Some(reply);
                    None
                }
                order => Some(order),
            });
            refuse(before.collect(), &cause);
            if let Some(reply) = again {
                let tried = self.try_again();
                let _ = reply.send(tried);
                self.write(orders.collect());
            }
            return;
        }
        let outcomes = match self.commit(&group) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                let cause = problem(&self.shared.path, &error);
                // a full disk may have rolled back by itself: then there is nothing to roll back
                let _ = self.connection.execute_batch("ROLLBACK");
                return refuse(group, &self.shared.fail(cause));
            }
        };
        let mut digests = Vec::new();
        for (order, outcome) in group.into_iter().zip(outcomes) {
            match (order, outcome) {
                (Order::Append(append, reply), Outcome::Appended(result)) => {
                    digests.extend(append.blobs.iter().map(|(digest, _)| *digest));
                    if result.is_ok() && !append.messages.is_empty() {
                        (self.shared).tell(&append.summary.line, append.messages);
                    }
                    // nobody waits any more: dropping a receipt drops the news only
                    let _ = reply.send(result);
                }
                (Order::Delivered(_, reply), _) => drop(reply.send(Ok(()))),
                (Order::Audit(_, reply), _) => drop(reply.send(Ok(()))),
                (Order::Effect(_, reply), Outcome::Effect(result)) => drop(reply.send(result)),
                (Order::Wait(reply), _) => drop(reply.send(Ok(()))),
                (Order::Revision(_, _, reply), Outcome::Revision(number)) => {
                    let _ = reply.send(Ok(number));
                }
                (Order::Work(_, reply), Outcome::Worked(number)) => {
                    let _ = reply.send(Ok(number));
                }
                (Order::TryAgain(reply), _) => drop(reply.send(Ok(()))),
                (
                    Order::Append(..) | Order::Effect(..) | Order::Revision(..) | Order::Work(..),
                    _,
                ) => {}
            }
        }
        if !digests.is_empty() {
            self.shared.drop_pending(digests.iter());
        }
    }

    /// Writes as much as a busy moment would, and takes it back: a store that has room for one page only
    /// would fail again with the next group.
    fn try_again(&mut self) -> Result<(), JournalError> {
        let path = &self.shared.path;
        let written = self.connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; INSERT OR REPLACE INTO meta VALUES ('room', randomblob({ROOM})); COMMIT; \
             DELETE FROM meta WHERE key = 'room';"
        ));
        if let Err(error) = written {
            let _ = self.connection.execute_batch("ROLLBACK");
            return Err(problem(path, &error));
        }
        // What was remembered is of the transaction that failed.
        let chain = audit::newest(&self.connection).map_err(|error| problem(path, &error))?;
        self.chain = chain.ok_or_else(|| damaged(path, "the head of the audit is gone"))?;
        self.known.clear();
        self.shared.begin_anew();
        Ok(())
    }

    fn commit(&mut self, group: &[Order]) -> rusqlite::Result<Vec<Outcome>> {
        if self.known.len() > REMEMBERED {
            self.known.clear();
        }
        Point::CommitBegins.reached();
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])?;
        let mut batch = Batch {
            outcomes: Vec::with_capacity(group.len()),
            known: &mut self.known,
            chain: &mut self.chain,
            summaries: BTreeMap::new(),
        };
        batch.apply(&self.connection, group)?;
        let outcomes = batch.outcomes;
        Point::CommitWritten.reached();
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Point::Committed.reached();
        Ok(outcomes)
    }
}

fn refuse(group: Vec<Order>, cause: &JournalError) {
    for order in group {
        match order {
            Order::Append(_, reply) => drop(reply.send(Err(cause.clone()))),
            Order::Delivered(_, reply) => drop(reply.send(Err(cause.clone()))),
            Order::Audit(_, reply) => drop(reply.send(Err(cause.clone()))),
            Order::Effect(_, reply) => drop(reply.send(Err(cause.clone()))),
            Order::Wait(reply) => drop(reply.send(Err(cause.clone()))),
            Order::Revision(_, _, reply) => drop(reply.send(Err(cause.clone()))),
            Order::Work(_, reply) => drop(reply.send(Err(cause.clone()))),
            Order::TryAgain(reply) => drop(reply.send(Err(cause.clone()))),
        }
    }
}

struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// An item as the database has it.
#[derive(Clone, Copy)]
struct Known {
    /// Its row: what its records are filed under. Items that are under way have rows side by side,
    /// while their names are spread all over; so what one commit changes stands on few pages.
    row: i64,
    /// How many records it has.
    seq: Seq,
}

/// The most items that are remembered between transactions.
const REMEMBERED: usize = 16_384;

/// One transaction in the making.
struct Batch<'a> {
    outcomes: Vec<Outcome>,
    /// Of the items that were appended to lately. Nobody else writes, and after a transaction that
    /// failed there is no other.
    known: &'a mut HashMap<ItemId, Known>,
    chain: &'a mut Chain,
    /// The newest summaries by row: an item that moves often in one group is listed once.
    summaries: BTreeMap<i64, &'a Summary>,
}

impl<'a> Batch<'a> {
    fn apply(&mut self, connection: &Connection, group: &'a [Order]) -> rusqlite::Result<()> {
        for order in group {
            let outcome = match order {
                Order::Append(append, _) => Outcome::Appended(self.append(connection, append)?),
                Order::Delivered(items, _) => {
                    self.list(connection)?;
                    let mut update = connection.prepare_cached(
                        "UPDATE items SET delivered = 1 WHERE item = ? AND result",
                    )?;
                    for item in items {
                        update.execute([item.as_str()])?;
                    }
                    Outcome::Delivered
                }
                Order::Audit(entries, _) => {
                    audit::add(connection, self.chain, entries)?;
                    Outcome::Audited
                }
                Order::Effect(effect, _) => Outcome::Effect(self.effect(connection, effect)?),
                Order::Wait(_) => Outcome::Waited,
                Order::Revision(line, definition, _) => {
                    Outcome::Revision(keep_revision(connection, line, definition)?)
                }
                // Nothing failed.
                Order::TryAgain(_) => Outcome::Delivered,
                Order::Work(work, _) => {
                    self.list(connection)?;
                    let number = work(connection)?;
                    // it may have removed items
                    self.known.clear();
                    Outcome::Worked(number)
                }
            };
            self.outcomes.push(outcome);
        }
        self.list(connection)
    }

    fn effect(
        &self,
        connection: &Connection,
        effect: &effects::Encoded,
    ) -> rusqlite::Result<Result<(), JournalError>> {
        let item = &effect.visit.item;
        let known = match self.known.get(item) {
            Some(known) => Some(*known),
            None => find(connection, item)?,
        };
        let Some(Known { row, .. }) = known else {
            return Ok(Err(JournalError::unknown_item(item)));
        };
        effects::write(connection, row, effect)?;
        Ok(Ok(()))
    }

    fn append(
        &mut self,
        connection: &Connection,
        append: &'a Encoded,
    ) -> rusqlite::Result<Result<Seq, JournalError>> {
        let (item, expected) = (&append.item, append.expected);
        let known = match self.known.get(item) {
            Some(known) => Some(*known),
            None if expected == 0 => match enter(connection, &append.summary)? {
                Some(row) => Some(Known { row, seq: 0 }),
                None => find(connection, item)?,
            },
            None => find(connection, item)?,
        };
        let found = known.map_or(0, |known| known.seq);
        let Some(Known { row, .. }) = known.filter(|_| found == expected) else {
            return Ok(Err(JournalError::Conflict {
                item: item.clone(),
                expected,
                found,
            }));
        };
        let mut insert = connection.prepare_cached(
            "INSERT INTO records (item, seq, kind, version, at, facts) VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        let mut seq = expected;
        for record in &append.records {
            seq += 1;
            insert.execute(params![
                row,
                int(seq),
                record.kind,
                Record::VERSION,
                record.at,
                record.facts
            ])?;
        }
        for (digest, bytes) in &append.blobs {
            // Again where it is there: what is handed over now is newer than any mark before.
            connection
                .prepare_cached("INSERT OR REPLACE INTO blobs (digest, bytes) VALUES (?, ?)")?
                .execute(params![&digest.as_bytes()[..], &bytes[..]])?;
        }
        if append.summary.phase.ended() {
            self.known.remove(item);
        } else {
            self.known.insert(item.clone(), Known { row, seq });
        }
        self.summaries.insert(row, &append.summary);
        Ok(Ok(seq))
    }

    /// Brings the listing up to the records.
    fn list(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut update = connection.prepare_cached(
            "UPDATE items SET revision = ?, phase = ?, station = ?, result = ?, reason = ?, \
             changed = ?, due = ? WHERE id = ?",
        )?;
        for (row, summary) in std::mem::take(&mut self.summaries) {
            update.execute(params![
                int(summary.revision),
                summary.phase.key(),
                summary.station.as_deref(),
                summary.result,
                summary.reason,
                int(summary.changed),
                summary.due.map(int),
                row
            ])?;
        }
        Ok(())
    }
}

/// Makes a row for a new item; none where there is one.
fn enter(connection: &Connection, summary: &Summary) -> rusqlite::Result<Option<i64>> {
    let entered = connection
        .prepare_cached(
            "INSERT INTO items (item, line, revision, source, phase, station, result, reason, \
             taken, changed, priority, due) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (item) DO NOTHING",
        )?
        .execute(params![
            summary.item.as_str(),
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
            summary.due.map(int)
        ])?;
    Ok((entered > 0).then(|| connection.last_insert_rowid()))
}

fn find(connection: &Connection, item: &ItemId) -> rusqlite::Result<Option<Known>> {
    connection
        .prepare_cached(
            "SELECT id, (SELECT max(seq) FROM records WHERE records.item = items.id) \
             FROM items WHERE item = ?",
        )?
        .query_row([item.as_str()], |row| {
            let seq: Option<i64> = row.get(1)?;
            let seq = seq.and_then(|seq| seq.try_into().ok()).unwrap_or(0);
            Ok(Known {
                row: row.get(0)?,
                seq,
            })
        })
        .optional()
}

fn keep_revision(connection: &Connection, line: &Name, definition: &str) -> rusqlite::Result<u64> {
    let newest: Option<(i64, String)> = connection
        .prepare_cached(
            "SELECT number, definition FROM revisions WHERE line = ? ORDER BY number DESC LIMIT 1",
        )?
        .query_row([line.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let number = match newest {
        Some((number, kept)) if kept == definition => return Ok(number.max(0).unsigned_abs()),
        Some((number, _)) => number.max(0).saturating_add(1),
        None => 1,
    };
    connection
        .prepare_cached("INSERT INTO revisions (line, number, definition) VALUES (?, ?, ?)")?
        .execute(params![line.as_str(), number, definition])?;
    Ok(number.unsigned_abs())
}
