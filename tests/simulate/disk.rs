//! The simulated disk: a journal in front of another, which takes its time. What is handed over becomes
//! durable when the history says so, in its order; is acknowledged later, in any order; tells its messages
//! late, twice and in any order; is lost at a crash from some point on; and cannot be written while the disk
//! is full. Behind it stands a real store, so that the same history runs the same way over each of them.

use crate::{dice::Dice, model::Model};
use andon::{
    audit::Entry,
    digest::Digest,
    effect::{Effect, VisitKey},
    item::{ItemId, Message, PhaseKind, Record, Seq, Summary},
    journal::{
        Append, Awaited, Delivery, Filter, Journal, JournalError, LineState, Listed, Queue,
        Retired, RetoolRecord, Rewritten, Standing, Standpoint, Upkeep,
        audit::{AuditFilter, Chain, Flaw, Kept, Verified},
    },
    name::Name,
    visit::Millis,
};
use bytes::Bytes;
use futures::{FutureExt, channel::oneshot, executor::block_on, future::BoxFuture};
use std::{
    collections::{BTreeSet, VecDeque},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

/// What is wrong with a disk on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Acknowledges an append before it is durable.
    Hasty,
    /// Tells of a message before its append is durable.
    Talkative,
    /// Does not deliver some messages.
    Mute,
    /// Does not apply some appends, and says that it did.
    Forgetful,
    /// Does not find some of those who wait in a queue.
    Blind,
    /// Does not find those whose time has come.
    Timeless,
    /// Does not find those whose children may have lost their messages.
    Aloof,
    /// Not of the disk: orders to pause are not passed on.
    Deaf,
    /// Not of the disk: retools are not passed on.
    Lagging,
}

impl Fault {
    pub(crate) const ALL: [Self; 9] = [
        Self::Hasty,
        Self::Talkative,
        Self::Mute,
        Self::Forgetful,
        Self::Blind,
        Self::Timeless,
        Self::Aloof,
        Self::Deaf,
        Self::Lagging,
    ];
}

/// A write to a store.
pub(crate) type Work =
    Box<dyn FnOnce(&dyn Journal) -> BoxFuture<'static, Result<Seq, JournalError>> + Send>;

/// How whoever handed something over is told what came of it.
type Ack = oneshot::Sender<Result<Seq, JournalError>>;

/// Something on its way to the disk.
struct Pending {
    /// The item and how many records it has then, of an append.
    append: Option<(ItemId, Seq, Vec<Message>)>,
    work: Work,
    ack: Ack,
}

struct State {
    pending: VecDeque<Pending>,
    acks: Vec<(Ack, Result<Seq, JournalError>)>,
    inbox: Vec<Message>,
    dice: Dice,
    /// After so many more writes the disk is full.
    room: Option<u8>,
    failed: bool,
    fault: Option<Fault>,
}

/// The disk, for one line.
pub(crate) struct Disk {
    inner: Mutex<Arc<dyn Journal>>,
    line: Name,
    state: Mutex<State>,
    model: Arc<Mutex<Model>>,
}

fn full() -> JournalError {
    JournalError::Full {
        path: "simulated".into(),
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    pub(crate) fn new(
        inner: Arc<dyn Journal>,
        line: Name,
        model: Arc<Mutex<Model>>,
        seed: u64,
        fault: Option<Fault>,
    ) -> Self {
        Self {
            inner: Mutex::new(inner),
            line,
            state: Mutex::new(State {
                pending: VecDeque::new(),
                acks: Vec::new(),
                inbox: Vec::new(),
                dice: Dice::of(&[seed, 3]),
                room: None,
                failed: false,
                fault,
            }),
            model,
        }
    }

    pub(crate) fn inner(&self) -> Arc<dyn Journal> {
        locked(&self.inner).clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    fn hand(
        &self,
        append: Option<(ItemId, Seq, Vec<Message>)>,
        work: Work,
    ) -> BoxFuture<'static, Result<Seq, JournalError>> {
        locked(&self.model).moved += 1;
        let mut state = self.state();
        if state.failed {
            return std::future::ready(Err(full())).boxed();
        }
        let (ack, acked) = oneshot::channel();
        if state.fault == Some(Fault::Hasty)
            && let Some((_, seq, _)) = &append
        {
            let (early, told) = oneshot::channel();
            state.acks.push((early, Ok(*seq)));
            state.pending.push_back(Pending { append, work, ack });
            return told.map(|told| told.unwrap_or(Err(full()))).boxed();
        }
        if state.fault == Some(Fault::Talkative)
            && let Some((_, _, messages)) = &append
        {
            let early = messages.clone();
            state.tell(early);
        }
        state.pending.push_back(Pending { append, work, ack });
        acked.map(|acked| acked.unwrap_or(Err(full()))).boxed()
    }

    fn pass_on<T: 'static>(
        &self,
        work: impl FnOnce(&dyn Journal) -> BoxFuture<'static, Result<T, JournalError>> + Send + 'static,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let work: Work = Box::new(move |journal| {
            let done = work(journal);
            async { done.await.map(|_| 0) }.boxed()
        });
        let done = self.hand(None, work);
        async { done.await.map(|_| ()) }.boxed()
    }

    /// How much is on its way.
    pub(crate) fn unwritten(&self) -> usize {
        self.state().pending.len()
    }

    pub(crate) fn is_still(&self) -> bool {
        let state = self.state();
        state.pending.is_empty() && state.acks.is_empty() && state.inbox.is_empty()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// The disk will be full after so many more writes.
    pub(crate) fn fill(&self, room: u8) {
        self.state().room = Some(room);
    }

    /// There will be room after all.
    pub(crate) fn spare(&self) {
        self.state().room = None;
    }

    /// There is room again; whoever was refused something does not go on.
    pub(crate) fn empty(&self) {
        let mut state = self.state();
        (state.room, state.failed) = (None, false);
        state.forget();
    }

    /// Makes the first so many writes durable.
    pub(crate) fn write(&self, number: usize) {
        for _ in 0..number {
            let mut state = self.state();
            if state.pending.is_empty() || state.failed {
                return;
            }
            match &mut state.room {
                Some(0) => {
                    state.failed = true;
                    for pending in std::mem::take(&mut state.pending) {
                        state.acks.push((pending.ack, Err(full())));
                    }
                    return;
                }
                Some(room) => *room -= 1,
                None => {}
            }
            let Some(pending) = state.pending.pop_front() else {
                return;
            };
            drop(state);
            let (result, told) = self.carry_out(pending.work, &pending.append);
            let mut state = self.state();
            let mut messages = pending.append.map(|it| it.2).unwrap_or_default();
            if result.is_ok() && told < messages.len() {
                let text = format!("of {} messages the store told {told}", messages.len());
                locked(&self.model).found(|| text);
            }
            if state.fault == Some(Fault::Mute) && state.dice.chance(10) {
                messages.clear();
            }
            if result.is_ok() && state.fault != Some(Fault::Talkative) {
                state.tell(messages);
            }
            state.acks.push((pending.ack, result));
        }
    }

    fn carry_out(
        &self,
        work: Work,
        append: &Option<(ItemId, Seq, Vec<Message>)>,
    ) -> (Result<Seq, JournalError>, usize) {
        let inner = self.inner();
        let forgets = {
            let mut state = self.state();
            state.fault == Some(Fault::Forgetful) && append.is_some() && state.dice.chance(5)
        };
        let result = match (forgets, append) {
            (true, Some((_, seq, messages))) => return (Ok(*seq), messages.len()),
            _ => block_on(work(&*inner)),
        };
        if let (Ok(_), Some((item, seq, _))) = (&result, append) {
            locked(&self.model).written(item, *seq);
        }
        if let Err(error) = &result {
            locked(&self.model).found(|| format!("the store says: {error}"));
        }
        (result, self.drained())
    }

    /// How many messages the store itself has told since.
    fn drained(&self) -> usize {
        let inner = self.inner();
        let mut told = 0;
        while let Some(messages) = inner.messages(&self.line).now_or_never() {
            if messages.is_empty() {
                break;
            }
            told += messages.len();
        }
        told
    }

    /// Acknowledges some of what was written, in any order.
    pub(crate) fn acknowledge(&self, number: usize) {
        for _ in 0..number {
            let mut state = self.state();
            if state.acks.is_empty() {
                return;
            }
            let number = state.acks.len();
            let which = state.dice.below(number);
            let (ack, result) = state.acks.swap_remove(which);
            drop(state);
            locked(&self.model).moved += 1;
            let _ = ack.send(result);
        }
    }

    /// The process is gone. `reopen` is given the store, and what may be written of what was on its way
    /// before it is opened again; it returns the store.
    pub(crate) fn crash(
        &self,
        reopen: impl FnOnce(Arc<dyn Journal>, Vec<(Option<(ItemId, Seq)>, Work)>) -> Arc<dyn Journal>,
    ) {
        let pending = std::mem::take(&mut self.state().pending);
        let works = pending.into_iter().map(|pending| {
            let append = pending.append.map(|(item, seq, _)| (item, seq));
            (append, pending.work)
        });
        let works = works.collect();
        {
            let mut inner = locked(&self.inner);
            let store = std::mem::replace(&mut *inner, Arc::new(andon::journal::Memory::new()));
            *inner = reopen(store, works);
        }
        self.drained();
        let mut state = self.state();
        (state.room, state.failed) = (None, false);
        state.forget();
    }
}

/// Carries out what was on its way, one after the other: how many a store would write together depends on
/// its speed. Nobody hears how it ends.
pub(crate) fn carry_out_all(journal: &dyn Journal, works: Vec<Work>) {
    for work in works {
        let _ = block_on(work(journal));
    }
}

impl State {
    fn tell(&mut self, messages: Vec<Message>) {
        for message in messages {
            if self.dice.chance(20) {
                self.inbox.push(message.clone());
            }
            self.inbox.push(message);
        }
    }

    /// What a process had in memory.
    fn forget(&mut self) {
        self.pending.clear();
        self.acks.clear();
        self.inbox.clear();
    }

    /// Some of what there is, at least one.
    fn some(&mut self) -> Vec<Message> {
        let number = self.inbox.len();
        for i in (1..number).rev() {
            let other = self.dice.below(i + 1);
            self.inbox.swap(i, other);
        }
        let some = 1 + self.dice.below(number);
        self.inbox.drain(..some.min(number)).collect()
    }
}

impl Standing for Disk {
    fn waiting(&self, queue: &Queue, until: Millis, most: usize) -> Result<Awaited, JournalError> {
        locked(&self.model).saw("a reading of a queue");
        let mut found = self.inner().waiting(queue, until, most)?;
        let mut state = self.state();
        if state.fault == Some(Fault::Blind) && state.dice.chance(20) {
            found.items.pop();
        }
        Ok(found)
    }

    fn due(
        &self,
        line: &Name,
        phase: PhaseKind,
        until: Millis,
        most: usize,
    ) -> Result<Awaited, JournalError> {
        locked(&self.model).saw("a reading of times");
        match self.state().fault {
            Some(Fault::Timeless) => Ok(Awaited::default()),
            _ => self.inner().due(line, phase, until, most),
        }
    }

    fn standing(
        &self,
        line: &Name,
        phase: PhaseKind,
        after: Option<&Standpoint>,
        most: usize,
    ) -> Result<Vec<(Standpoint, ItemId)>, JournalError> {
        // a page of a search, after which there is another
        locked(&self.model).moved += 1;
        match self.state().fault {
            Some(Fault::Aloof) => Ok(Vec::new()),
            _ => self.inner().standing(line, phase, after, most),
        }
    }
}

impl Journal for Disk {
    fn load(&self, item: &ItemId) -> Result<Vec<Record>, JournalError> {
        self.inner().load(item)
    }

    fn knows(&self, item: &ItemId) -> Result<bool, JournalError> {
        self.inner().knows(item)
    }

    fn append(&self, append: Append) -> BoxFuture<'static, Result<Seq, JournalError>> {
        locked(&self.model).handed(&append);
        let seq = append.expected + append.records.len() as Seq;
        let of = (append.item.clone(), seq, append.messages.clone());
        self.hand(Some(of), Box::new(move |journal| journal.append(append)))
    }

    fn messages(&self, _: &Name) -> BoxFuture<'_, Vec<Message>> {
        // The simulation polls whoever waits again and again: nobody has to be woken.
        std::future::poll_fn(|_| {
            let mut state = self.state();
            if state.failed {
                return Poll::Ready(Vec::new());
            }
            if state.inbox.is_empty() {
                return Poll::Pending;
            }
            let some = state.some();
            drop(state);
            locked(&self.model).moved += 1;
            Poll::Ready(some)
        })
        .boxed()
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Summary>, JournalError> {
        self.inner().list(filter)
    }

    fn counts(&self, line: &Name) -> Result<Vec<(PhaseKind, Option<Name>, u64)>, JournalError> {
        self.inner().counts(line)
    }

    fn any(&self, filter: &Filter) -> Result<bool, JournalError> {
        self.inner().any(filter)
    }

    fn begun(&self, line: &Name) -> Result<BTreeSet<u64>, JournalError> {
        self.inner().begun(line)
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, JournalError> {
        self.inner().blob(digest)
    }

    fn keep_revision(&self, line: &Name, definition: &str) -> Result<u64, JournalError> {
        self.inner().keep_revision(line, definition)
    }

    fn undelivered(&self, line: &Name) -> Result<Vec<ItemId>, JournalError> {
        self.inner().undelivered(line)
    }

    fn delivered(&self, items: Vec<ItemId>) -> BoxFuture<'static, Result<(), JournalError>> {
        let model = self.model.clone();
        self.pass_on(move |journal| {
            let done = journal.delivered(items.clone());
            async move {
                done.await?;
                locked(&model).given(&items);
                Ok(())
            }
            .boxed()
        })
    }

    fn owed(
        &self,
        line: &Name,
        sink: &Name,
        until: Millis,
        most: usize,
    ) -> Result<Vec<Delivery>, JournalError> {
        self.inner().owed(line, sink, until, most)
    }

    fn deliveries(&self, item: &ItemId) -> Result<Vec<Delivery>, JournalError> {
        self.inner().deliveries(item)
    }

    fn keep_deliveries(&self, all: Vec<Delivery>) -> BoxFuture<'static, Result<(), JournalError>> {
        self.pass_on(move |journal| journal.keep_deliveries(all))
    }

    fn keep_source(
        &self,
        line: &Name,
        source: &Name,
        state: &str,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let (line, source, state) = (line.clone(), source.clone(), state.to_owned());
        self.pass_on(move |journal| journal.keep_source(&line, &source, &state))
    }

    fn source(&self, line: &Name, source: &Name) -> Result<Option<String>, JournalError> {
        self.inner().source(line, source)
    }

    fn audit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), JournalError>> {
        self.pass_on(move |journal| journal.audit(entries))
    }

    fn audited(&self, filter: &AuditFilter) -> Result<Vec<Kept>, JournalError> {
        self.inner().audited(filter)
    }

    fn verify(&self, noted: Option<Chain>) -> Result<Result<Verified, Flaw>, JournalError> {
        self.inner().verify(noted)
    }

    fn intend(
        &self,
        visit: VisitKey,
        effect: Effect,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        self.pass_on(move |journal| journal.intend(visit, effect))
    }

    fn ended(
        &self,
        visit: VisitKey,
        effect: Effect,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        self.pass_on(move |journal| journal.ended(visit, effect))
    }

    fn effects(
        &self,
        item: ItemId,
        visit: Option<(Name, u32)>,
    ) -> BoxFuture<'_, Result<Vec<(VisitKey, Effect)>, JournalError>> {
        let inner = self.inner();
        async move { inner.effects(item, visit).await }.boxed()
    }

    fn recorded_until(&self, visit: &VisitKey, first: u32) -> Result<Millis, JournalError> {
        self.inner().recorded_until(visit, first)
    }

    fn revision(&self, line: &Name, number: u64) -> Result<Option<String>, JournalError> {
        self.inner().revision(line, number)
    }

    fn keep_line(
        &self,
        state: LineState,
        record: Option<RetoolRecord>,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        self.pass_on(move |journal| journal.keep_line(state, record))
    }

    fn lines(&self) -> Result<Vec<LineState>, JournalError> {
        self.inner().lines()
    }

    fn retools(&self, line: &Name) -> Result<Vec<RetoolRecord>, JournalError> {
        self.inner().retools(line)
    }

    fn try_again(&self) -> BoxFuture<'static, Result<(), JournalError>> {
        self.empty();
        std::future::ready(Ok(())).boxed()
    }

    /// The same over every store, so that items have the same ids.
    fn factory(&self) -> [u8; 16] {
        *b"a simulated one."
    }
}

/// Nothing of this happens in a history; it goes straight to the store.
impl Upkeep for Disk {
    fn page(&self, after: u64, most: usize) -> Result<Vec<Listed>, JournalError> {
        self.inner().page(after, most)
    }

    fn line_names(&self) -> Result<Vec<Name>, JournalError> {
        self.inner().line_names()
    }

    fn retired(
        &self,
        line: &Name,
        which: &Retired,
        after: Option<&(Millis, ItemId)>,
        most: usize,
    ) -> Result<Vec<(Millis, ItemId)>, JournalError> {
        self.inner().retired(line, which, after, most)
    }

    fn ended_before_newest(&self, line: &Name, newer: u64) -> Result<Option<Millis>, JournalError> {
        self.inner().ended_before_newest(line, newer)
    }

    fn forget(
        &self,
        trees: Vec<ItemId>,
        which: Retired,
        at: Millis,
        most: usize,
    ) -> BoxFuture<'static, Result<u64, JournalError>> {
        self.inner().forget(trees, which, at, most)
    }

    fn forgotten(&self, item: &ItemId) -> Result<Option<Millis>, JournalError> {
        self.inner().forgotten(item)
    }

    fn lapse(&self, before: Millis, most: usize) -> BoxFuture<'static, Result<u64, JournalError>> {
        self.inner().lapse(before, most)
    }

    fn small_blobs(
        &self,
        after: Option<&Digest>,
        most: usize,
    ) -> Result<Vec<Digest>, JournalError> {
        self.inner().small_blobs(after, most)
    }

    fn blobs_so_far(&self) -> Result<u64, JournalError> {
        self.inner().blobs_so_far()
    }

    fn drop_blobs(
        &self,
        digests: Vec<Digest>,
        mark: u64,
    ) -> BoxFuture<'static, Result<u64, JournalError>> {
        self.inner().drop_blobs(digests, mark)
    }

    fn effect_bodies(
        &self,
        after: u64,
        most: usize,
    ) -> Result<Vec<(u64, ItemId, Digest)>, JournalError> {
        self.inner().effect_bodies(after, most)
    }

    fn rewrite(&self, rewritten: Rewritten) -> BoxFuture<'static, Result<(), JournalError>> {
        self.inner().rewrite(rewritten)
    }

    fn relist(&self, summary: Summary) -> BoxFuture<'static, Result<(), JournalError>> {
        self.inner().relist(summary)
    }

    fn integrity(&self) -> Result<Vec<String>, JournalError> {
        self.inner().integrity()
    }

    fn copy_to(&self, file: &Path) -> Result<(), JournalError> {
        self.inner().copy_to(file)
    }

    fn epoch(&self) -> Result<u64, JournalError> {
        self.inner().epoch()
    }

    fn next_epoch(&self) -> BoxFuture<'static, Result<u64, JournalError>> {
        self.inner().next_epoch()
    }
}
