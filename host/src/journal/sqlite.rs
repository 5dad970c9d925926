//! The journal in an SQLite database: the default store. One thread writes and commits what has come
//! together in one transaction; reads go over connections of their own. Knows records only by their
//! kind and never looks at what they say.

mod audit;
mod deliveries;
mod effects;
mod lines;
mod read;
mod schema;
mod sources;
mod standing;
mod upkeep;
mod writer;

#[cfg(test)]
mod tests;

use super::{
    Append, Delivery, Filter, Journal, JournalError, LineState, PhaseKind, RetoolRecord, Seq,
    Summary,
    audit::{AuditFilter, Chain, Flaw, Kept, Verified, encode},
};
use crate::{
    audit::Entry,
    digest::Digest,
    disk,
    effect::{Effect, VisitKey},
    item::{ItemId, Message, Record},
    name::Name,
    visit::Millis,
};
use bytes::Bytes;
use futures::{FutureExt, channel::oneshot, future::BoxFuture};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::FlockOperation;
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fs::{self, File},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, mpsc},
    thread::JoinHandle,
};
use tokio::sync::Notify;
use writer::{Order, Work, Writer};

/// A journal in `journal.sqlite` of a state folder.
pub struct Sqlite {
    shared: Arc<Shared>,
    factory: [u8; 16],
    readers: Mutex<Vec<Connection>>,
    /// None where it was opened for reading only.
    orders: Option<mpsc::Sender<Order>>,
    writer: Option<JoinHandle<()>>,
    /// Held until the writer has ended: fields are dropped in their order, after `drop`.
    _lock: Option<File>,
}

/// What callers and the writer both see.
struct Shared {
    path: PathBuf,
    /// Why nothing can be kept any more, until it is tried again.
    failed: RwLock<Option<JournalError>>,
    inboxes: Mutex<Inboxes>,
    /// Blobs of appends that are not durable yet, and how many appends bring each.
    pending: Mutex<HashMap<Digest, (Bytes, usize)>>,
}

#[derive(Default)]
struct Inboxes {
    of: HashMap<Name, Inbox>,
    closed: bool,
}

/// What is for a line, and who waits for it.
#[derive(Default)]
struct Inbox {
    messages: VecDeque<Message>,
    news: Arc<Notify>,
}

impl Sqlite {
    /// Opens the journal in the folder `dir`, makes it if there is none, and keeps others out until
    /// it is dropped.
    ///
    /// # Errors
    /// When another process has it open, when it cannot be written, is damaged, or was written by a
    /// newer andon.
    pub fn open(dir: &Path) -> Result<Self, JournalError> {
        Self::open_with(dir, |_| Ok(()))
    }

    /// The same, with a last word to the connection that writes.
    pub(crate) fn open_with(
        dir: &Path,
        tune: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<Self, JournalError> {
        // What items carry is nobody's but its owner's.
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir);
        made.map_err(|error| JournalError::io(dir, &error))?;
        let lock = lock(dir)?;
        let path = dir.join(FILE);
        let connection = connect(
            &path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        )?;
        let factory = schema::prepare(&connection, &path)?;
        tune(&connection).map_err(|error| problem(&path, &error))?;
        let shared = Shared::new(path);
        let (orders, queue) = mpsc::channel();
        let writer = Writer::new(connection, shared.clone())?;
        let writer = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(&queue))
            .map_err(|error| JournalError::io(&shared.path, &error))?;
        Ok(Self {
            shared,
            factory,
            readers: Mutex::default(),
            orders: Some(orders),
            writer: Some(writer),
            _lock: Some(lock),
        })
    }

    /// Opens an existing journal to look at, also beside a process that writes to it. Whatever would
    /// change it fails.
    ///
    /// # Errors
    /// When there is none, or it cannot be read, is damaged, or was written by a newer andon.
    pub fn open_read_only(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Err(JournalError::Other {
                path: dir.display().to_string(),
                reason: "there is no journal here\n  hint: `andon run` and `andon serve` make one; `--state DIR` names another folder".into(),
            });
        }
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let factory = schema::check(&connection, &path).map_err(|error| match error {
            JournalError::Unwritable { path, reason, .. } => JournalError::Unwritable {
                path,
                reason,
                hint: "looking at a journal makes files beside it: copy the folder to where that is allowed".into(),
            },
            other => other,
        })?;
        Ok(Self {
            shared: Shared::new(path),
            factory,
            readers: Mutex::new(vec![connection]),
            orders: None,
            writer: None,
            _lock: None,
        })
    }

    /// Whether a process has the journal in the folder `dir` open to write.
    pub fn is_in_use(dir: &Path) -> bool {
        dir.join(LOCK).exists() && matches!(lock(dir), Err(JournalError::InUse(_)))
    }

    /// Whether there is a journal in the folder `dir`.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(FILE).is_file()
    }

    fn order(&self, order: Order) -> Result<(), JournalError> {
        match self.shared.failure() {
            Some(failed) => Err(failed),
            None => self.give(order),
        }
    }

    /// Gives an order whatever failed before.
    fn give(&self, order: Order) -> Result<(), JournalError> {
        let Some(orders) = &self.orders else {
            return Err(JournalError::unwritable(
                &self.shared.path,
                "it was opened to be read".into(),
            ));
        };
        orders.send(order).map_err(|_| self.shared.ended())
    }

    fn effect(
        &self,
        visit: VisitKey,
        effect: &Effect,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let encoded = effects::encode(visit, effect, &self.shared.path);
        let (reply, receipt) = oneshot::channel();
        let sent = encoded.and_then(|effect| self.order(Order::Effect(effect, reply)));
        answer(sent, receipt, &self.shared)
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Connection, &Path) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let path = &self.shared.path;
        let idle = locked(&self.readers).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
        };
        let result = read(&connection, path);
        locked(&self.readers).push(connection);
        result
    }
}

impl Journal for Sqlite {
    fn load(&self, item: &ItemId) -> Result<Vec<Record>, JournalError> {
        self.read(|connection, path| read::load(connection, path, item))
    }

    fn knows(&self, item: &ItemId) -> Result<bool, JournalError> {
        self.read(|connection, path| read::knows(connection, path, item))
    }

    fn append(&self, append: Append) -> BoxFuture<'static, Result<Seq, JournalError>> {
        let prepared = writer::encode(append, &self.shared.path);
        let (reply, receipt) = oneshot::channel();
        let sent = prepared.and_then(|prepared| {
            self.shared.keep_pending(&prepared.blobs);
            self.order(Order::Append(prepared, reply))
        });
        answer(sent, receipt, &self.shared)
    }

    fn messages(&self, line: &Name) -> BoxFuture<'_, Vec<Message>> {
        let line = line.clone();
        async move {
            loop {
                let news = {
                    let mut inboxes = locked(&self.shared.inboxes);
                    let closed = inboxes.closed || self.orders.is_none();
                    let inbox = inboxes.of.entry(line.clone()).or_default();
                    if closed || !inbox.messages.is_empty() {
                        return inbox.messages.drain(..).collect();
                    }
                    inbox.news.clone()
                };
                // What comes in between leaves a permit behind.
                news.notified().await;
            }
        }
        .boxed()
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Summary>, JournalError> {
        self.read(|connection, path| read::list(connection, path, filter))
    }

    fn counts(&self, line: &Name) -> Result<Vec<(PhaseKind, Option<Name>, u64)>, JournalError> {
        self.read(|connection, path| read::counts(connection, path, line))
    }

    fn any(&self, filter: &Filter) -> Result<bool, JournalError> {
        self.read(|connection, path| read::any(connection, path, filter))
    }

    fn begun(&self, line: &Name) -> Result<BTreeSet<u64>, JournalError> {
        self.read(|connection, path| read::begun(connection, path, line))
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, JournalError> {
        let pending = locked(&self.shared.pending).get(digest).cloned();
        match pending {
            Some((bytes, _)) => Ok(Some(bytes)),
            None => self.read(|connection, path| read::blob(connection, path, digest)),
        }
    }

    fn undelivered(&self, line: &Name) -> Result<Vec<ItemId>, JournalError> {
        self.read(|connection, path| read::undelivered(connection, path, line))
    }

    fn delivered(&self, items: Vec<ItemId>) -> BoxFuture<'static, Result<(), JournalError>> {
        let (reply, receipt) = oneshot::channel();
        let sent = self.order(Order::Delivered(items, reply));
        answer(sent, receipt, &self.shared)
    }

    fn owed(
        &self,
        line: &Name,
        sink: &Name,
        until: Millis,
        most: usize,
    ) -> Result<Vec<Delivery>, JournalError> {
        self.read(|connection, path| deliveries::owed(connection, path, (line, sink), until, most))
    }

    fn deliveries(&self, item: &ItemId) -> Result<Vec<Delivery>, JournalError> {
        self.read(|connection, path| deliveries::of_item(connection, path, item))
    }

    fn keep_deliveries(
        &self,
        deliveries: Vec<Delivery>,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let deliveries: Vec<_> = deliveries.into_iter().map(Delivery::bounded).collect();
        let (reply, receipt) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            deliveries::keep(connection, &deliveries)?;
            Ok(deliveries.len() as u64)
        });
        let sent = self.order(Order::Work(work, reply));
        let done = answer(sent, receipt, &self.shared);
        async { done.await.map(|_| ()) }.boxed()
    }

    fn keep_source(
        &self,
        line: &Name,
        source: &Name,
        state: &str,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let (reply, receipt) = oneshot::channel();
        let kept = (line.clone(), source.clone(), state.to_owned());
        let work: Work =
            Box::new(move |connection| sources::keep(connection, &kept.0, &kept.1, &kept.2));
        let sent = self.order(Order::Work(work, reply));
        let done = answer(sent, receipt, &self.shared);
        async { done.await.map(|_| ()) }.boxed()
    }

    fn source(&self, line: &Name, source: &Name) -> Result<Option<String>, JournalError> {
        self.read(|connection, path| sources::kept(connection, path, line, source))
    }

    fn audit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), JournalError>> {
        let encoded: Result<Vec<_>, String> = entries.into_iter().map(encode).collect();
        let (reply, receipt) = oneshot::channel();
        let sent = match encoded {
            Ok(encoded) => self.order(Order::Audit(encoded, reply)),
            // Nobody may wait for the answer, and nothing may follow what is not in the audit.
            Err(reason) => Err(self.shared.fail(JournalError::Other {
                path: self.shared.path.display().to_string(),
                reason,
            })),
        };
        answer(sent, receipt, &self.shared)
    }

    fn audited(&self, filter: &AuditFilter) -> Result<Vec<Kept>, JournalError> {
        self.read(|connection, path| audit::list(connection, path, filter))
    }

    fn verify(&self, noted: Option<Chain>) -> Result<Result<Verified, Flaw>, JournalError> {
        self.read(|connection, path| audit::verify(connection, path, noted))
    }

    fn intend(
        &self,
        visit: VisitKey,
        effect: Effect,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        self.effect(visit, &effect)
    }

    fn ended(
        &self,
        visit: VisitKey,
        effect: Effect,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        self.effect(visit, &effect)
    }

    fn effects(
        &self,
        item: ItemId,
        visit: Option<(Name, u32)>,
    ) -> BoxFuture<'_, Result<Vec<(VisitKey, Effect)>, JournalError>> {
        let (reply, receipt) = oneshot::channel();
        // A journal that is only looked at has nothing to wait for.
        let written = (self.orders.is_some()).then(|| self.order(Order::Wait(reply)));
        async move {
            if let Some(sent) = written {
                answer(sent, receipt, &self.shared).await?;
            }
            self.read(|connection, path| effects::list(connection, path, &item, visit.as_ref()))
        }
        .boxed()
    }

    fn recorded_until(&self, visit: &VisitKey, first: u32) -> Result<Millis, JournalError> {
        self.read(|connection, path| effects::recorded_until(connection, path, visit, first))
    }

    fn keep_revision(&self, line: &Name, definition: &str) -> Result<u64, JournalError> {
        let (reply, receipt) = mpsc::channel();
        self.order(Order::Revision(line.clone(), definition.into(), reply))?;
        receipt.recv().unwrap_or_else(|_| Err(self.shared.ended()))
    }

    fn revision(&self, line: &Name, number: u64) -> Result<Option<String>, JournalError> {
        self.read(|connection, path| read::revision(connection, path, line, number))
    }

    fn keep_line(
        &self,
        state: LineState,
        record: Option<RetoolRecord>,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let (reply, receipt) = oneshot::channel();
        let row = lines::encode(&self.shared.path, &state, record.as_ref());
        let sent = row.and_then(|row| {
            let work: Work = Box::new(move |connection| {
                lines::keep(connection, &row)?;
                Ok(1)
            });
            self.order(Order::Work(work, reply))
        });
        let done = answer(sent, receipt, &self.shared);
        async { done.await.map(|_| ()) }.boxed()
    }

    fn lines(&self) -> Result<Vec<LineState>, JournalError> {
        self.read(lines::all)
    }

    fn retools(&self, line: &Name) -> Result<Vec<RetoolRecord>, JournalError> {
        self.read(|connection, path| lines::retools(connection, path, line))
    }

    fn try_again(&self) -> BoxFuture<'static, Result<(), JournalError>> {
        let (reply, receipt) = oneshot::channel();
        let sent = self.give(Order::TryAgain(reply));
        answer(sent, receipt, &self.shared)
    }

    fn factory(&self) -> [u8; 16] {
        self.factory
    }
}

impl Drop for Sqlite {
    /// Waits until what was handed over is durable.
    fn drop(&mut self) {
        // before the writer ends: its connection closes last, and so empties the log and removes it
        locked(&self.readers).clear();
        self.orders = None;
        if let Some(writer) = self.writer.take() {
            // a writer that panicked has answered nobody, so nobody was told of something lost
            let _ = writer.join();
        }
    }
}

impl Shared {
    fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            path,
            failed: RwLock::default(),
            inboxes: Mutex::default(),
            pending: Mutex::default(),
        })
    }

    /// Lets everything from now on fail; the cause that it fails with.
    fn fail(&self, cause: JournalError) -> JournalError {
        let mut failed = self.failed.write().unwrap_or_else(PoisonError::into_inner);
        let cause = failed.get_or_insert(cause).clone();
        drop(failed);
        self.close();
        cause
    }

    fn failure(&self) -> Option<JournalError> {
        let failed = self.failed.read().unwrap_or_else(PoisonError::into_inner);
        failed.clone()
    }

    /// As after being opened: what was on its way when it failed is gone.
    fn begin_anew(&self) {
        *locked(&self.inboxes) = Inboxes::default();
        locked(&self.pending).clear();
        *self.failed.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn ended(&self) -> JournalError {
        self.failure().unwrap_or(JournalError::Other {
            path: self.path.display().to_string(),
            reason: "the journal's writer has ended".into(),
        })
    }

    fn keep_pending(&self, blobs: &[(Digest, Bytes)]) {
        if blobs.is_empty() {
            return;
        }
        let mut pending = locked(&self.pending);
        for (digest, bytes) in blobs {
            let (_, appends) = pending.entry(*digest).or_insert_with(|| (bytes.clone(), 0));
            *appends += 1;
        }
    }

    fn drop_pending<'a>(&self, blobs: impl Iterator<Item = &'a Digest>) {
        let mut pending = locked(&self.pending);
        for digest in blobs {
            if let Some((_, appends)) = pending.get_mut(digest) {
                *appends -= 1;
                if *appends == 0 {
                    pending.remove(digest);
                }
            }
        }
    }

    fn tell(&self, line: &Name, messages: Vec<Message>) {
        let mut inboxes = locked(&self.inboxes);
        if !inboxes.of.contains_key(line) {
            inboxes.of.insert(line.clone(), Inbox::default());
        }
        if let Some(inbox) = inboxes.of.get_mut(line) {
            inbox.messages.extend(messages);
            inbox.news.notify_one();
        }
    }

    fn close(&self) {
        let mut inboxes = locked(&self.inboxes);
        inboxes.closed = true;
        for inbox in inboxes.of.values() {
            inbox.news.notify_one();
        }
    }
}

/// The database in a state folder.
pub(crate) const FILE: &str = "journal.sqlite";
/// Held by the one process that writes.
const LOCK: &str = "lock";

/// A panic elsewhere leaves these maps whole: each change of them is one call.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer<T: Send + 'static>(
    sent: Result<(), JournalError>,
    receipt: oneshot::Receiver<Result<T, JournalError>>,
    shared: &Arc<Shared>,
) -> BoxFuture<'static, Result<T, JournalError>> {
    let shared = shared.clone();
    async move {
        sent?;
        receipt.await.unwrap_or_else(|_| Err(shared.ended()))
    }
    .boxed()
}

fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| JournalError::io(&path, &error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::InUse(dir.display().to_string())),
        Err(error) => Err(JournalError::io(&path, &error.into())),
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, JournalError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| problem(path, &error))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// What SQLite says, sorted by what can be done about it.
fn problem(path: &Path, error: &rusqlite::Error) -> JournalError {
    let shown = path.display().to_string();
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => JournalError::Full { path: shown },
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            JournalError::unwritable(path, reason)
        }
        // Not all that fails for want of room says so: the index of the log does not.
        Some(ErrorCode::SystemIoFailure) if crowded(path) => JournalError::Full { path: shown },
        Some(ErrorCode::SystemIoFailure) => JournalError::Unwritable {
            path: shown,
            reason,
            hint: "look after the disk, then start again: what was reported as done is kept".into(),
        },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(
            path,
            format!(
                "{reason}\n  hint: put a copy of the state folder back, or name another one with `--state DIR`"
            ),
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => JournalError::InUse(shown),
        _ => JournalError::Other {
            path: shown,
            reason,
        },
    }
}

/// Whether there is no room beside the database.
fn crowded(path: &Path) -> bool {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    disk::has_room(folder.unwrap_or(Path::new("."))).is_ok_and(|room| !room)
}

/// SQLite's integers end at 2^63; no time or count comes near.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn damaged(path: &Path, reason: impl Into<String>) -> JournalError {
    JournalError::Damaged {
        path: path.display().to_string(),
        reason: reason.into(),
    }
}
