//! The tables, and how an older format becomes the newest one. `JOURNAL.md` explains them.

use super::{damaged, problem};
use crate::journal::JournalError;
use rusqlite::Connection;
use std::path::Path;

/// Each makes the format of its number, counted from 1, out of the one before. A released one is
/// never changed: what has to differ is one more.
pub(super) const MIGRATIONS: &[&str] = &[
    // 1: the first
    "
    CREATE TABLE meta (
        key   TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) WITHOUT ROWID;
    INSERT INTO meta VALUES ('factory', randomblob(16));

    CREATE TABLE records (
        id      INTEGER PRIMARY KEY,
        item    INTEGER NOT NULL,
        seq     INTEGER NOT NULL,
        kind    TEXT NOT NULL,
        version INTEGER NOT NULL,
        at      INTEGER NOT NULL,
        facts   BLOB NOT NULL
    );
    CREATE UNIQUE INDEX records_of_item ON records (item, seq);

    CREATE TABLE items (
        id        INTEGER PRIMARY KEY,
        item      TEXT NOT NULL UNIQUE,
        line      TEXT NOT NULL,
        revision  INTEGER NOT NULL,
        source    TEXT NOT NULL,
        phase     TEXT NOT NULL,
        station   TEXT,
        result    INTEGER NOT NULL,
        delivered INTEGER NOT NULL DEFAULT 0,
        reason    TEXT,
        taken     INTEGER NOT NULL,
        changed   INTEGER NOT NULL
    );
    CREATE INDEX items_undelivered ON items (line, changed) WHERE result AND NOT delivered;

    CREATE TABLE blobs (
        digest BLOB PRIMARY KEY,
        bytes  BLOB NOT NULL
    );

    CREATE TABLE revisions (
        line       TEXT NOT NULL,
        number     INTEGER NOT NULL,
        definition TEXT NOT NULL,
        PRIMARY KEY (line, number)
    ) WITHOUT ROWID;
    ",
    // 2: the audit
    "
    CREATE TABLE audit (
        seq      INTEGER PRIMARY KEY,
        at       INTEGER NOT NULL,
        deed     TEXT NOT NULL,
        allowed  INTEGER NOT NULL,
        line     TEXT NOT NULL,
        revision INTEGER NOT NULL,
        station  TEXT NOT NULL,
        item     TEXT,
        facts    BLOB,
        digest   BLOB NOT NULL,
        chain    BLOB NOT NULL
    );
    CREATE INDEX audit_of_item ON audit (item) WHERE item IS NOT NULL;
    CREATE INDEX audit_of_station ON audit (station);
    CREATE INDEX audit_grants ON audit (line, revision) WHERE deed = 'grant';
    CREATE INDEX audit_denied ON audit (seq) WHERE NOT allowed;

    CREATE TABLE audit_head (
        one     INTEGER PRIMARY KEY CHECK (one = 1),
        entries INTEGER NOT NULL,
        chain   BLOB NOT NULL
    );
    INSERT INTO audit_head VALUES (1, 0, zeroblob(32));
    ",
    // 3: how urgent an item is, the time that it waits for, and on which revision its attempt began; what
    // waits is found in its order
    "
    ALTER TABLE items ADD COLUMN began INTEGER;
    CREATE INDEX items_began ON items (line, began) WHERE began IS NOT NULL;
    ALTER TABLE items ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE items ADD COLUMN due INTEGER;
    CREATE INDEX items_waiting ON items (line, station, priority, due, id) WHERE phase = 'waiting';
    CREATE INDEX items_due ON items (line, phase, due, id) WHERE due IS NOT NULL;
    CREATE INDEX items_phase ON items (line, phase, station);
    ",
    // 4: what sinks are owed; inputs that are known and gone
    "
    CREATE TABLE deliveries (
        item     INTEGER NOT NULL,
        sink     TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        next     INTEGER NOT NULL,
        state    TEXT NOT NULL,
        reason   TEXT,
        PRIMARY KEY (item, sink)
    ) WITHOUT ROWID;
    CREATE TABLE forgotten (
        item TEXT PRIMARY KEY,
        at   INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX forgotten_at ON forgotten (at);
    CREATE INDEX items_retired ON items (line, changed, item)
        WHERE phase IN ('done', 'scrapped', 'joined') AND instr(item, '.') = 0;
    ",
    // 5: how lines stand, and how they came to that
    "
    CREATE TABLE lines (
        line  TEXT PRIMARY KEY,
        state TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE retools (
        id    INTEGER PRIMARY KEY,
        line  TEXT NOT NULL,
        at    INTEGER NOT NULL,
        facts TEXT NOT NULL
    );
    CREATE INDEX retools_of_line ON retools (line, id);
    ",
    // 6: how far sources are
    "
    CREATE TABLE sources (
        line   TEXT NOT NULL,
        source TEXT NOT NULL,
        state  TEXT NOT NULL,
        PRIMARY KEY (line, source)
    ) WITHOUT ROWID;
    ",
    // 7: the effect log
    "
    CREATE TABLE effects (
        id       INTEGER PRIMARY KEY,
        item     INTEGER NOT NULL,
        station  TEXT NOT NULL,
        visit    INTEGER NOT NULL,
        run      INTEGER NOT NULL,
        number   INTEGER NOT NULL,
        at       INTEGER NOT NULL,
        kind     TEXT NOT NULL,
        safe     INTEGER NOT NULL,
        intent   BLOB NOT NULL,
        ended_at INTEGER,
        ended    TEXT,
        facts    BLOB,
        stored   BLOB
    );
    CREATE INDEX effects_stored ON effects (id) WHERE stored IS NOT NULL;
    CREATE UNIQUE INDEX effects_of_visit ON effects (item, station, visit, run, number);
    ",
];

/// The format that brought the audit: in an older one, which is only looked at, there is none.
pub(super) const AUDIT: u32 = 2;

/// The format that brought priorities and the times that items wait for.
pub(super) const PRIORITY: u32 = 3;

/// The format that brought deliveries, and inputs that are known and gone.
pub(super) const DELIVERIES: u32 = 4;

/// The format that brought how lines stand.
pub(super) const LINES: u32 = 5;
/// The format that brought the state of sources.
pub(super) const SOURCES: u32 = 6;

/// The format that brought the effect log.
pub(super) const EFFECTS: u32 = 7;

/// `andn`, in the header of the file: what tells it from any other program's database.
const APPLICATION: i32 = 0x616e_646e;

/// The newest format.
pub(super) const NEWEST: u32 = MIGRATIONS.len() as u32;

/// Makes the connection fit for writing and the database the newest format; the factory's id.
pub(super) fn prepare(connection: &Connection, path: &Path) -> Result<[u8; 16], JournalError> {
    let ask = |sql: &str| {
        connection
            .execute_batch(sql)
            .map_err(|error| problem(path, &error))
    };
    let format = format(connection, path)?;
    // what is erased is overwritten in the file, not only cut loose
    // FULL: a commit is on the disk when it returns, also through a loss of power
    ask("PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -16384;
         PRAGMA temp_store = MEMORY;
         PRAGMA secure_delete = ON;")?;
    for (number, migration) in (1..).zip(MIGRATIONS).skip(format as usize) {
        ask(&format!(
            "BEGIN IMMEDIATE; {migration} PRAGMA application_id = {APPLICATION}; \
             PRAGMA user_version = {number}; COMMIT;"
        ))?;
    }
    check(connection, path)
}

/// Whether it is a journal that this andon can read, which it can in every format since the first: what
/// an older one does not have reads as empty. The factory's id.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<[u8; 16], JournalError> {
    if format(connection, path)? == 0 {
        return Err(damaged(path, "it is empty: no journal was ever made in it"));
    }
    let factory: Vec<u8> = connection
        .query_row(
            "SELECT CAST(value AS BLOB) FROM meta WHERE key = 'factory'",
            [],
            |row| row.get(0),
        )
        .map_err(|error| problem(path, &error))?;
    factory
        .try_into()
        .map_err(|_| damaged(path, "the factory's id is not 16 bytes"))
}

pub(super) fn format(connection: &Connection, path: &Path) -> Result<u32, JournalError> {
    let number = |name: &str| {
        connection
            .query_row(&format!("SELECT * FROM pragma_{name}"), [], |row| {
                row.get::<_, i32>(0)
            })
            .map_err(|error| problem(path, &error))
    };
    let (format, application) = (number("user_version")?, number("application_id")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| problem(path, &error))?;
    if tables == 0 && format == 0 {
        return Ok(0);
    }
    if application != APPLICATION || format <= 0 {
        return Err(damaged(path, "it is a database of another program"));
    }
    match u32::try_from(format) {
        Ok(found) if found > NEWEST => Err(JournalError::Newer {
            path: path.display().to_string(),
            found,
            known: NEWEST,
        }),
        Ok(found) => Ok(found),
        Err(_) => Err(damaged(path, "its format is no number")),
    }
}
