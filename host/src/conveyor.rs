//! The conveyor: carries items along a line. Takes inputs, starts visits where there is a worker and
//! room behind it, journals what came of them, delivers messages between items, keeps timers.
//!
//! It decides nothing about an item: [`crate::item::step`] does. It knows a runner only as something
//! that turns a visit into a report, and a store only as the journal's trait.

mod audit;
mod belts;
mod board;
mod error;
mod latest;
mod order;
mod recovery;
mod timers;

pub use board::{Board, Counts, Notice};
pub use error::ConveyorError;
pub use order::{Change, Changed, Handle, Order, Ramp, Reply, Revised, Submitted, Unable};

use crate::{
    digest::Digest,
    effect::VisitKey,
    item::{self, Child, Destination, Event, Item, ItemId, Message, Phase, Record, Taking, Wants},
    journal::{Append, Journal, JournalError, Seq},
    line::Line,
    name::Name,
    sandbox::Runner,
    visit::{Millis, Outcome, Report, Usage, Visit},
};
use audit::Attempt;
use belts::Belts;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::SystemTime,
};
use tokio::sync::mpsc;

/// What a conveyor needs to run a line.
pub struct Conveyor {
    /// Where everything is kept.
    pub journal: Arc<dyn Journal>,
    /// What executes visits.
    pub runner: Arc<dyn Runner>,
    /// Which revisions the line runs by.
    pub change: Change,
    /// Stations that start no visits until they are told to.
    pub paused: BTreeSet<Name>,
    /// Counts for whoever watches.
    pub board: Arc<Board>,
    /// Called on the conveyor's own task, so it has to be quick.
    pub notify: Box<dyn FnMut(Notice) + Send>,
    /// The time on the wall.
    pub clock: fn() -> Millis,
    /// Whether the host ended the visits itself that an earlier run left under way, so that they cannot
    /// be the cause of its end.
    pub stopped: bool,
}

/// Something to be taken.
#[derive(Debug, Clone)]
pub struct Input {
    /// What makes it the same input when it comes again.
    pub key: String,
    /// What it is taken with.
    pub taking: Taking,
    /// Small blobs that the payload names.
    pub blobs: Vec<(Digest, Bytes)>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing can move any more: all inputs are done, jammed or wait for what is jammed.
    Idle,
    /// Drained on demand; items may still wait.
    Drained,
}

/// The time on the wall, in milliseconds since 1970.
pub fn wall_clock() -> Millis {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as Millis)
}

/// The most reports, messages or receipts that are handled before visits are started again.
const BATCH: usize = 256;

/// As many ends and other news may wait for the disk before no more inputs are taken: what waits in
/// memory does not grow with the number of inputs.
const UNWRITTEN: usize = 2048;

/// What an append came to, and what is told then.
type Receipt = (Result<Seq, JournalError>, Option<Notice>);
type Receipts = FuturesUnordered<BoxFuture<'static, Receipt>>;

/// What was handed to the journal and has not come back.
#[derive(Default)]
struct Underway {
    /// Appends whose durability somebody has to hear of.
    receipts: Receipts,
    /// Children whose end is on its way to their parent.
    going: HashSet<ItemId>,
}

struct Running {
    conveyor: Conveyor,
    belts: Belts,
    /// Items that something will happen to: waiting, working, or split.
    live: HashMap<ItemId, Item>,
    /// Jammed since the start, or found so: a split that waits for one of them waits for a person.
    jammed: HashSet<ItemId>,
    timers: BinaryHeap<Reverse<(Millis, ItemId)>>,
    /// Those that wait for the time of their next attempt and are on no belt.
    delayed: HashSet<ItemId>,
    /// Children whose `Spawn` is on its way, with the station whose queue they fill already.
    coming: HashMap<ItemId, Option<Name>>,
    underway: Underway,
    reports: mpsc::UnboundedSender<(ItemId, Report)>,
}

impl Conveyor {
    /// Runs the line until nothing can move any more and `inputs` is closed, or until `drain` is
    /// signalled and the visits under way have ended.
    ///
    /// # Errors
    /// When the journal fails or what it holds does not fit the line.
    pub async fn run(
        self,
        mut inputs: mpsc::Receiver<Input>,
        orders: mpsc::Receiver<Order>,
        mut drain: tokio::sync::watch::Receiver<bool>,
    ) -> Result<Ending, ConveyorError> {
        let (reports, mut reported) = mpsc::unbounded_channel();
        let journal = self.journal.clone();
        let mut running = Running {
            belts: Belts::new(&self.change.current.line),
            conveyor: self,
            live: HashMap::new(),
            jammed: HashSet::new(),
            timers: BinaryHeap::new(),
            delayed: HashSet::new(),
            coming: HashMap::new(),
            underway: Underway::default(),
            reports,
        };
        running.recover().await?;
        drop(orders);
        let mut open = true;
        let mut draining = *drain.borrow();
        let mut batch = Vec::with_capacity(BATCH);
        let mut taken = Vec::new();
        let line = running.line().name.clone();
        let mut messages = journal.messages(&line);
        loop {
            running.fire_timers()?;
            if !draining {
                running.start_visits()?;
            }
            let settled = if draining {
                running.belts.working() == 0
            } else {
                !open && running.idle()
            };
            if settled && running.underway.receipts.is_empty() {
                return Ok(if draining {
                    Ending::Drained
                } else {
                    Ending::Idle
                });
            }
            let timer = running.next_timer();
            let room = if open && !draining && running.underway.receipts.len() < UNWRITTEN {
                running.belts.room(&running.line().entry).min(BATCH)
            } else {
                0
            };
            tokio::select! {
                biased;
                _ = drain.changed(), if !draining => draining = true,
                n = reported.recv_many(&mut batch, BATCH) => {
                    debug_assert!(n > 0, "the conveyor holds a sender itself");
                    for (item, report) in batch.drain(..) {
                        running.report(item, report)?;
                    }
                }
                found = &mut messages => {
                    if found.is_empty() {
                        return Err(ConveyorError::of_closed(&*journal).await);
                    }
                    messages = journal.messages(&line);
                    for message in found {
                        running.deliver(message).await?;
                    }
                }
                Some(receipt) = running.underway.receipts.next(), if !running.underway.receipts.is_empty() => {
                    running.received(receipt)?;
                    // One sync makes many appends durable.
                    while let Some(Some(receipt)) = running.underway.receipts.next().now_or_never() {
                        running.received(receipt)?;
                    }
                }
                n = inputs.recv_many(&mut taken, room), if room > 0 => {
                    open = n > 0;
                    for input in taken.drain(..) {
                        running.take(input)?;
                    }
                }
                () = tokio::time::sleep(timer.unwrap_or_default()), if timer.is_some() && !draining => {}
            }
        }
    }
}

impl Conveyor {
    /// Hands records to the journal. `item` is as it is with them.
    fn append(
        &self,
        underway: &mut Underway,
        item: &Item,
        expected: Seq,
        records: Vec<Record>,
        blobs: Vec<(Digest, Bytes)>,
        notice: Option<Notice>,
    ) {
        let messages = item::messages(item, &records);
        if messages
            .iter()
            .any(|message| matches!(message, Message::ChildEnded { .. }))
        {
            underway.going.insert(item.id.clone());
        }
        // An attempt's start may be lost with the attempt itself; everything that somebody hears of
        // waits for the disk. A failed append fails all later ones, so watching those is enough.
        let watched = notice.is_some() || !messages.is_empty();
        let receipt = self.journal.append(Append {
            item: item.id.clone(),
            expected,
            records,
            messages,
            blobs,
            summary: item.summary(),
        });
        if watched {
            underway
                .receipts
                .push(receipt.map(|result| (result, notice)).boxed());
        }
    }
}

/// What whoever watches hears of once it is durable.
fn news(item: &Item) -> Option<Notice> {
    match &item.phase {
        Phase::Ended { .. } => Some(Notice::Ended {
            item: Box::new(item.clone()),
        }),
        Phase::Jammed { .. } => Some(Notice::Jammed {
            summary: item.summary(),
        }),
        Phase::Held { .. } => Some(Notice::Held {
            summary: item.summary(),
        }),
        _ => None,
    }
}

impl Running {
    fn line(&self) -> &Line {
        &self.conveyor.change.current.line
    }

    fn received(&mut self, (result, notice): Receipt) -> Result<(), ConveyorError> {
        result?;
        if let Some(notice) = notice {
            (self.conveyor.notify)(notice);
        }
        Ok(())
    }

    fn take(&mut self, input: Input) -> Result<(), ConveyorError> {
        let c = &mut self.conveyor;
        let id = ItemId::input(
            &c.journal.factory(),
            &c.change.current.line.name,
            &input.key,
        );
        if self.live.contains_key(&id) || c.journal.knows(&id)? {
            (c.notify)(Notice::Known {
                item: id,
                source: input.taking.source,
            });
            return Ok(());
        }
        let notice = Notice::Taken {
            item: id.clone(),
            source: input.taking.source.clone(),
        };
        let record = item::take(
            (c.clock)(),
            &c.change.current.line,
            c.change.current.number,
            input.taking,
        );
        self.begin(id, record, input.blobs, Some(notice))
    }

    /// The first record of an item.
    fn begin(
        &mut self,
        id: ItemId,
        taken: Record,
        blobs: Vec<(Digest, Bytes)>,
        notice: Option<Notice>,
    ) -> Result<(), ConveyorError> {
        let wrong = |e: item::FoldError| ConveyorError::Item {
            item: id.clone(),
            reason: e.to_string(),
        };
        let records = vec![taken];
        let Some(item) = Item::fold(id.clone(), &records).map_err(wrong)? else {
            return Ok(());
        };
        // A child may come to its end at once, where its port leads to no station.
        let notice = notice.or_else(|| news(&item));
        self.conveyor
            .append(&mut self.underway, &item, 0, records, blobs, notice);
        self.live.insert(id.clone(), item);
        self.settle(&id);
        Ok(())
    }

    async fn deliver(&mut self, message: Message) -> Result<(), ConveyorError> {
        let mut message = message;
        if let Message::Spawn { child, taken } = message {
            if let Some(station) = self.coming.remove(&child) {
                if let Some(station) = station {
                    self.belts.came(&station);
                }
                return self.begin(child, *taken, Vec::new(), None);
            }
            // It comes again, or from before the start.
            if self.live.contains_key(&child) || self.jammed.contains(&child) {
                return Ok(());
            }
            match self.written(&child).await? {
                None => return self.begin(child, *taken, Vec::new(), None),
                // The parent asks again because it did not hear of the end.
                Some(known) => match known.farewell() {
                    Some(again) => message = again,
                    None => return Ok(()),
                },
            }
        }
        if let Message::ChildEnded { parent, child, end } = message {
            if let Some(child) = parent.child(child) {
                self.underway.going.remove(&child);
            }
            if !self.live.contains_key(&parent) {
                let Some(item) = self.written(&parent).await? else {
                    return Ok(());
                };
                self.live.insert(parent.clone(), item);
            }
            self.happen(&parent, Event::ChildEnded { child, end }, Vec::new())?;
        }
        Ok(())
    }

    fn report(&mut self, id: ItemId, report: Report) -> Result<(), ConveyorError> {
        if let Some(Item {
            phase: Phase::Working { station, .. },
            ..
        }) = self.live.get(&id)
        {
            self.belts.left(station);
            self.conveyor.board.left(station, &report);
        }
        self.conveyor.board.over(&id);
        let mut report = report;
        let blobs = std::mem::take(&mut report.blobs);
        self.happen(&id, Event::Reported(report), blobs)
    }

    /// Lets an event happen to a live item: decide, apply, hand the records to the journal.
    fn happen(
        &mut self,
        id: &ItemId,
        event: Event,
        blobs: Vec<(Digest, Bytes)>,
    ) -> Result<(), ConveyorError> {
        let now = (self.conveyor.clock)();
        let Some(item) = self.live.get_mut(id) else {
            return Ok(());
        };
        let wrong = |reason: String| ConveyorError::Item {
            item: id.clone(),
            reason,
        };
        let (before, was) = (item.wants(), item.kind());
        let attempt = Attempt::ended_by(item, &event);
        let records = item::step(item, &self.conveyor.change.current.line, now, event)
            .map_err(|e| wrong(e.to_string()))?;
        if let Some(attempt) = attempt {
            let entries = attempt.entries(&self.conveyor, item, &records, now);
            if !entries.is_empty() {
                // Not waited for: the append that follows fails where this does.
                drop(self.conveyor.journal.audit(entries));
            }
        }
        if !records.is_empty() {
            let expected = item.seq;
            for record in &records {
                item.apply(record).map_err(|e| wrong(e.to_string()))?;
                if let Record::Split { children, .. } = record {
                    expect(&mut self.belts, &mut self.coming, id, children);
                }
            }
            // Late news of a child changes nothing of how its parent stands.
            let notice = (item.kind() != was).then(|| news(item)).flatten();
            self.conveyor
                .append(&mut self.underway, item, expected, records, blobs, notice);
        }
        // News of a child, late or repeated, may leave it as it was: on its belt, or with its timer.
        let settled = matches!(before, Wants::Visit { .. } | Wants::Children { .. })
            && item.wants() == before;
        if !settled {
            self.settle(id);
        }
        Ok(())
    }

    /// Puts a live item where its state says it belongs.
    fn settle(&mut self, id: &ItemId) {
        let Some(item) = self.live.get(id) else {
            return;
        };
        match item.wants() {
            Wants::Visit {
                station,
                not_before,
                ..
            } => {
                self.conveyor.board.waits(&station);
                match not_before.filter(|at| *at > (self.conveyor.clock)()) {
                    Some(at) => {
                        self.belts.expect(&station);
                        self.delayed.insert(id.clone());
                        self.timers.push(Reverse((at, id.clone())));
                    }
                    None => self.belts.push(&station, id.clone()),
                }
            }
            Wants::Children { until } | Wants::Answer { until } => {
                if let Some(at) = until {
                    self.timers.push(Reverse((at, id.clone())));
                }
            }
            Wants::Outcome { .. } => {}
            Wants::Clearing => {
                self.conveyor.runner.parted(id);
                self.live.remove(id);
                self.jammed.insert(id.clone());
            }
            Wants::Nothing => {
                self.conveyor.runner.parted(id);
                self.live.remove(id);
                self.jammed.remove(id);
            }
        }
    }

    fn start_visits(&mut self) -> Result<(), ConveyorError> {
        while let Some((station, id)) = self.belts.next() {
            let now = (self.conveyor.clock)();
            let Some(item) = self.live.get_mut(&id) else {
                continue;
            };
            let wrong = |reason: String| ConveyorError::Item {
                item: id.clone(),
                reason,
            };
            let records = item::step(
                item,
                &self.conveyor.change.current.line,
                now,
                Event::Start {
                    revision: self.conveyor.change.current.number,
                },
            )
            .map_err(|e| wrong(e.to_string()))?;
            let expected = item.seq;
            for record in &records {
                item.apply(record).map_err(|e| wrong(e.to_string()))?;
            }
            let Phase::Working {
                nth,
                attempt,
                course,
                ..
            } = &item.phase
            else {
                // It has had its visits.
                let notice = news(item);
                let underway = &mut self.underway;
                (self.conveyor).append(underway, item, expected, records, Vec::new(), notice);
                self.conveyor.board.gone(&station);
                self.settle(&id);
                continue;
            };
            let (nth, attempt) = (*nth, *attempt);
            let mut run = course.run(0);
            if run.first < run.number {
                let key = VisitKey {
                    item: id.clone(),
                    station: station.clone(),
                    nth,
                };
                run = course.run(self.conveyor.journal.recorded_until(&key, run.first)?);
            }
            let visit = Visit {
                item: id.clone(),
                line: item.line.clone(),
                revision: self.conveyor.change.current.number,
                station: station.clone(),
                nth,
                attempt,
                started: course.began.map_or(now, |began| began.at),
                seed: seed(
                    &self.conveyor.journal.factory(),
                    &id,
                    &station,
                    nth,
                    attempt,
                ),
                inputs: item.inputs.clone(),
                workspace: item.workspace,
                joined: item.joined.clone(),
                deadline: item.ticket.deadline,
                answers: course.answers.clone(),
                run,
            };
            self.conveyor.append(
                &mut self.underway,
                item,
                expected,
                records,
                Vec::new(),
                None,
            );
            self.belts.started(&station);
            self.conveyor.board.started(&station);
            let running = self.conveyor.runner.visit(visit);
            let reports = self.reports.clone();
            tokio::spawn(async move {
                let report = AssertUnwindSafe(running)
                    .catch_unwind()
                    .await
                    .unwrap_or_else(|_| Report {
                        outcome: Outcome::Trapped(
                            "the host's own code panicked during the visit".into(),
                        ),
                        log: Vec::new(),
                        usage: Usage::default(),
                        workspace: None,
                        blobs: Vec::new(),
                        denied: Vec::new(),
                        denied_more: 0,
                    });
                // The receiver is gone only when the run is over.
                let _ = reports.send((id, report));
            });
        }
        Ok(())
    }

    /// Whether nothing can move without a person: no item waits or works, no message is on its way, and
    /// no split waits for a time that will come by itself. What is held waits for a person also where it
    /// goes on without one some day.
    fn idle(&self) -> bool {
        let waits = |item: &Item| match &item.phase {
            Phase::Split(split) => split.until.is_none(),
            phase => matches!(phase, Phase::Held { .. }),
        };
        self.belts.is_empty()
            && self.coming.is_empty()
            && self.underway.going.is_empty()
            && self.live.values().all(waits)
    }
}

/// What a split puts on other belts counts there from now on, not from when it arrives: stations
/// would begin visits without end while the journal is slow.
fn expect(
    belts: &mut Belts,
    coming: &mut HashMap<ItemId, Option<Name>>,
    parent: &ItemId,
    children: &[Child],
) {
    for child in children {
        let Some(id) = parent.child(child.n) else {
            continue;
        };
        let station = match &child.to {
            Destination::Station(station) => {
                belts.expect(station);
                Some(station.clone())
            }
            _ => None,
        };
        coming.insert(id, station);
    }
}

/// The seed of an attempt's randomness: the same when it is run again, another for every other.
pub(crate) fn seed(
    factory: &[u8; 16],
    item: &ItemId,
    station: &Name,
    nth: u32,
    attempt: u32,
) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("andon 2026 seed of an attempt");
    hasher.update(factory);
    hasher.update(item.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(station.as_bytes());
    hasher.update(&[0]);
    hasher.update(&nth.to_le_bytes());
    hasher.update(&attempt.to_le_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests;
