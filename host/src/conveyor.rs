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
mod orders;
mod recovery;
mod revisions;
mod start;
mod timers;

pub use board::{Board, Came, Counts, Notice};
pub use error::ConveyorError;
pub use order::{Change, Changed, Handle, Order, Ramp, Reply, Revised, Submitted, Unable};
pub(crate) use start::seed;

use crate::{
    digest::Digest,
    item::{
        self, Child, Destination, Event, Item, ItemId, Message, Phase, Record, Refused, Summary,
        Taking, Wants,
    },
    journal::{Append, Journal, JournalError, Seq},
    name::Name,
    sandbox::Runner,
    visit::{Millis, Report},
};
use audit::Attempt;
use belts::Belts;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use revisions::Revisions;
use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};
use tokio::{sync::mpsc, task::JoinHandle};

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

/// What is told to whoever gave an order, once it is durable or has failed.
type Answer = Box<dyn FnOnce(Result<(), Unable>) + Send>;

/// What an append came to, and what is told then.
struct Receipt {
    result: Result<(), JournalError>,
    notice: Option<Notice>,
    answer: Option<Answer>,
    /// The input that left memory with it.
    left: Option<ItemId>,
}

type Receipts = FuturesUnordered<BoxFuture<'static, Receipt>>;

/// What was handed to the journal and has not come back.
#[derive(Default)]
struct Underway {
    /// Appends whose durability somebody has to hear of, and visits that are being ended.
    receipts: Receipts,
    /// Children whose end is on its way to their parent.
    going: HashSet<ItemId>,
    /// Inputs that are not in memory any more, and perhaps not in the journal yet.
    leaving: HashSet<ItemId>,
}

/// A visit under way.
struct Under {
    /// Tells its report from that of an earlier visit of the same item.
    visit: u64,
    task: JoinHandle<()>,
    revised: Arc<Revised>,
}

/// Where an item is counted.
#[derive(Clone, PartialEq, Eq)]
enum Place {
    Waiting(Name),
    Working(Name),
    Held(Name),
    Jammed(Name),
    /// Until a time that comes by itself.
    Split {
        bounded: bool,
    },
    Nowhere,
}

struct Running {
    conveyor: Conveyor,
    revisions: Revisions,
    belts: Belts,
    /// Items that something will happen to: waiting, working, or split.
    live: HashMap<ItemId, Item>,
    working: HashMap<ItemId, Under>,
    /// The number of the last visit.
    visits: u64,
    timers: BinaryHeap<Reverse<(Millis, ItemId)>>,
    /// Those that wait for the time of their next attempt and are not in their place on a belt yet.
    delayed: HashMap<ItemId, Millis>,
    /// Those that are held until a time.
    held: HashMap<ItemId, Millis>,
    /// Splits that wait until a time.
    bounded: u64,
    /// Children whose `Spawn` is on its way, with the station whose queue they fill already.
    coming: HashMap<ItemId, Option<Name>>,
    underway: Underway,
    reports: mpsc::UnboundedSender<(ItemId, u64, Report)>,
    /// Nothing is to be started, from the beginning: only orders are carried out.
    at_rest: bool,
    /// The time when timers were last looked at.
    looked: Millis,
}

impl Conveyor {
    /// Runs the line until nothing can move any more and both `inputs` and `orders` are closed, or until
    /// `drain` is signalled and the visits under way have ended. An input is not received while the entry
    /// is full.
    ///
    /// Where `drain` is signalled before it begins, nothing is started or taken up: orders are carried out
    /// and messages delivered until `orders` is closed.
    ///
    /// # Errors
    /// When the journal fails or what it holds makes no sense.
    pub async fn run(
        self,
        mut inputs: mpsc::Receiver<Input>,
        mut orders: mpsc::Receiver<Order>,
        mut drain: tokio::sync::watch::Receiver<bool>,
    ) -> Result<Ending, ConveyorError> {
        let (reports, mut reported) = mpsc::unbounded_channel();
        let journal = self.journal.clone();
        let mut draining = *drain.borrow();
        let revisions = Revisions::new(self.change.clone());
        let mut running = Running {
            belts: Belts::new(&revisions.change, &self.paused, self.board.clone()),
            revisions,
            conveyor: self,
            live: HashMap::new(),
            working: HashMap::new(),
            visits: 0,
            timers: BinaryHeap::new(),
            delayed: HashMap::new(),
            held: HashMap::new(),
            bounded: 0,
            coming: HashMap::new(),
            underway: Underway::default(),
            reports,
            at_rest: draining,
            looked: 0,
        };
        running.recover().await?;
        let (mut open, mut ordered) = (true, true);
        let mut batch = Vec::with_capacity(BATCH);
        let mut taken = Vec::new();
        let line = running.revisions.line().clone();
        let mut messages = journal.messages(&line);
        loop {
            if !draining {
                running.fire_timers().await?;
                running.start_visits()?;
            }
            // While the entry is full nothing is received: also not that there is nothing more.
            open = open && !(inputs.is_closed() && inputs.is_empty());
            let settled = if running.at_rest {
                !ordered && running.coming.is_empty() && running.underway.going.is_empty()
            } else if draining {
                running.working.is_empty()
            } else {
                !open && !ordered && running.idle()
            };
            if settled && running.underway.receipts.is_empty() {
                return Ok(if draining {
                    Ending::Drained
                } else {
                    Ending::Idle
                });
            }
            let timer = running.next_timer();
            let written = running.underway.receipts.len() < UNWRITTEN;
            let room = if open && !draining && written {
                let entry = &running.revisions.change.current.line.entry;
                running.belts.room(entry).min(BATCH)
            } else {
                0
            };
            tokio::select! {
                biased;
                _ = drain.changed(), if !draining => draining = true,
                n = reported.recv_many(&mut batch, BATCH) => {
                    debug_assert!(n > 0, "the conveyor holds a sender itself");
                    for (item, visit, report) in batch.drain(..) {
                        running.report(item, visit, report)?;
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
                order = orders.recv(), if ordered && written => match order {
                    Some(order) => running.order(order, draining && !running.at_rest).await?,
                    None => ordered = false,
                },
                n = inputs.recv_many(&mut taken, room), if room > 0 => {
                    open = n > 0;
                    for input in taken.drain(..) {
                        let item = running.id_of(&input);
                        running.take(item, input, None)?;
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
        answer: Option<Answer>,
    ) {
        let messages = item::messages(item, &records);
        if messages
            .iter()
            .any(|message| matches!(message, Message::ChildEnded { .. }))
        {
            underway.going.insert(item.id.clone());
        }
        let stays = matches!(
            item.wants(),
            Wants::Visit { .. } | Wants::Outcome { .. } | Wants::Children { .. }
        );
        let left = (!stays && item.id.parent().is_none()).then(|| item.id.clone());
        underway.leaving.extend(left.clone());
        // An attempt's start may be lost with the attempt itself; everything that somebody hears of
        // waits for the disk. A failed append fails all later ones, so watching those is enough.
        let watched =
            notice.is_some() || answer.is_some() || left.is_some() || !messages.is_empty();
        let receipt = self.journal.append(Append {
            item: item.id.clone(),
            expected,
            records,
            messages,
            blobs,
            summary: item.summary(),
        });
        if watched {
            let receipt = receipt.map(|result| Receipt {
                result: result.map(|_| ()),
                notice,
                answer,
                left,
            });
            underway.receipts.push(receipt.boxed());
        }
    }
}

/// What whoever watches hears of once it is durable.
fn news(item: &Item) -> Option<Notice> {
    match &item.phase {
        Phase::Ended { .. } => Some(Notice::Ended {
            item: Box::new(item.clone()),
        }),
        Phase::Held { .. } => Some(Notice::Held {
            summary: item.summary(),
        }),
        Phase::Jammed { .. } => Some(Notice::Jammed {
            summary: item.summary(),
        }),
        _ => None,
    }
}

impl Place {
    fn of(item: &Item) -> Self {
        match &item.phase {
            Phase::Ready { station, .. } => Self::Waiting(station.clone()),
            Phase::Working { station, .. } => Self::Working(station.clone()),
            Phase::Held { station, .. } => Self::Held(station.clone()),
            Phase::Jammed { station, .. } => Self::Jammed(station.clone()),
            Phase::Split(split) => Self::Split {
                bounded: split.until.is_some(),
            },
            Phase::Ended { .. } => Self::Nowhere,
        }
    }
}

impl Running {
    fn received(&mut self, receipt: Receipt) -> Result<(), ConveyorError> {
        let Receipt {
            result,
            notice,
            answer,
            left,
        } = receipt;
        if let Some(left) = left {
            self.underway.leaving.remove(&left);
        }
        if let Some(answer) = answer {
            answer(match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(Unable::Failed(error.to_string())),
            });
        }
        result?;
        if let Some(notice) = notice {
            (self.conveyor.notify)(notice);
        }
        Ok(())
    }

    /// Counts an item here instead of there.
    fn shift(&mut self, from: &Place, to: &Place) {
        if from == to {
            return;
        }
        match from {
            Place::Waiting(station) => self.belts.goes(station),
            Place::Working(station) => self.belts.left(station),
            Place::Held(station) => self.belts.live(station).held(false),
            Place::Jammed(station) => self.belts.live(station).jammed(false),
            Place::Split { bounded: true } => self.bounded = self.bounded.saturating_sub(1),
            Place::Split { bounded: false } | Place::Nowhere => {}
        }
        match to {
            Place::Waiting(station) => self.belts.waits(station),
            Place::Working(station) => self.belts.started(station),
            Place::Held(station) => self.belts.live(station).held(true),
            Place::Jammed(station) => self.belts.live(station).jammed(true),
            Place::Split { bounded: true } => self.bounded += 1,
            Place::Split { bounded: false } | Place::Nowhere => {}
        }
    }

    fn id_of(&self, input: &Input) -> ItemId {
        let factory = self.conveyor.journal.factory();
        ItemId::input(&factory, self.revisions.line(), &input.key)
    }

    fn knows(&self, id: &ItemId) -> Result<bool, ConveyorError> {
        let here = self.live.contains_key(id) || self.underway.leaving.contains(id);
        Ok(here || self.conveyor.journal.knows(id)?)
    }

    fn take(
        &mut self,
        id: ItemId,
        input: Input,
        answer: Option<Answer>,
    ) -> Result<(), ConveyorError> {
        if self.knows(&id)? {
            (self.conveyor.notify)(Notice::Known {
                item: id,
                source: input.taking.source,
            });
            return Ok(());
        }
        let notice = Notice::Taken {
            item: id.clone(),
            source: input.taking.source.clone(),
        };
        let now = (self.conveyor.clock)();
        let revised = self.revisions.assigned(&id);
        let record = item::take(now, &revised.line, revised.number, input.taking);
        self.begin(id, record, input.blobs, Some(notice), answer)
    }

    /// The first record of an item.
    fn begin(
        &mut self,
        id: ItemId,
        taken: Record,
        blobs: Vec<(Digest, Bytes)>,
        notice: Option<Notice>,
        answer: Option<Answer>,
    ) -> Result<(), ConveyorError> {
        let wrong = |e: item::FoldError| ConveyorError::Item {
            item: id.clone(),
            reason: e.to_string(),
        };
        let records = vec![taken];
        let Some(item) = Item::fold(id.clone(), &records).map_err(wrong)? else {
            return Ok(());
        };
        self.shift(&Place::Nowhere, &Place::of(&item));
        // A child may come to its end at once, where its port leads to no station.
        let notice = notice.or_else(|| news(&item));
        let underway = &mut self.underway;
        (self.conveyor).append(underway, &item, 0, records, blobs, notice, answer);
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
                return self.begin(child, *taken, Vec::new(), None, None);
            }
            // It comes again, or from before the start.
            if self.live.contains_key(&child) {
                return Ok(());
            }
            match self.written(&child).await? {
                None => return self.begin(child, *taken, Vec::new(), None, None),
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

    fn report(&mut self, id: ItemId, visit: u64, report: Report) -> Result<(), ConveyorError> {
        // A visit that was ended may have reported all the same.
        if self
            .working
            .get(&id)
            .is_none_or(|under| under.visit != visit)
        {
            return Ok(());
        }
        let Some(under) = self.working.remove(&id) else {
            return Ok(());
        };
        self.conveyor.board.over(&id);
        let tally = self.conveyor.board.revision(under.revised.number);
        tally.ended(&report);
        let now = (self.conveyor.clock)();
        if let Some(station) = self.live.get(&id).and_then(Item::station) {
            self.belts.live(station).ended(&report, now);
        }
        let mut report = report;
        let blobs = std::mem::take(&mut report.blobs);
        self.happen_on(&id, &under.revised, Event::Reported(report), blobs)?;
        Ok(())
    }

    /// Lets an event happen to a live item of which it is known that it can.
    fn happen(
        &mut self,
        id: &ItemId,
        event: Event,
        blobs: Vec<(Digest, Bytes)>,
    ) -> Result<(), ConveyorError> {
        match self.try_happen(id, event, blobs, None)? {
            Ok(()) => Ok(()),
            Err((refused, _)) => Err(ConveyorError::Item {
                item: id.clone(),
                reason: refused.to_string(),
            }),
        }
    }

    /// Lets an event happen to a live item; whoever asked for it is answered when it is durable. Where it
    /// cannot be, nothing has changed, and nobody was answered.
    fn try_happen(
        &mut self,
        id: &ItemId,
        event: Event,
        blobs: Vec<(Digest, Bytes)>,
        reply: Option<Reply<Summary>>,
    ) -> Result<Result<(), (Refused, Option<Reply<Summary>>)>, ConveyorError> {
        let Some(item) = self.live.get(id) else {
            return Ok(Ok(()));
        };
        let under = self.working.get(id).map(|under| under.revised.clone());
        let revised = under.unwrap_or_else(|| self.revisions.of(item).clone());
        self.decide(id, &revised, event, blobs, reply)
    }

    /// The same by a revision that is known, without anybody who waits.
    fn happen_on(
        &mut self,
        id: &ItemId,
        revised: &Revised,
        event: Event,
        blobs: Vec<(Digest, Bytes)>,
    ) -> Result<(), ConveyorError> {
        let decided = self.decide(id, revised, event, blobs, None)?;
        decided.map_err(|(refused, _)| ConveyorError::Item {
            item: id.clone(),
            reason: refused.to_string(),
        })
    }

    /// Decide, apply, hand the records to the journal, put the item where it belongs.
    fn decide(
        &mut self,
        id: &ItemId,
        revised: &Revised,
        event: Event,
        blobs: Vec<(Digest, Bytes)>,
        reply: Option<Reply<Summary>>,
    ) -> Result<Result<(), (Refused, Option<Reply<Summary>>)>, ConveyorError> {
        let now = (self.conveyor.clock)();
        let Some(item) = self.live.get_mut(id) else {
            return Ok(Ok(()));
        };
        let wrong = |reason: String| ConveyorError::Item {
            item: id.clone(),
            reason,
        };
        let (before, was, place) = (item.wants(), item.kind(), Place::of(item));
        let opened = revisions::begun(item);
        let attempt = Attempt::ended_by(item, &event);
        let records = match item::step(item, &revised.line, now, event) {
            Ok(records) => records,
            Err(refused) => return Ok(Err((refused, reply))),
        };
        if let Some(attempt) = attempt {
            let entries = attempt.entries(revised, item, &records, now);
            if !entries.is_empty() {
                // Not waited for: the append that follows fails where this does.
                drop(self.conveyor.journal.audit(entries));
            }
            if records.iter().any(jams) {
                self.conveyor.board.revision(revised.number).jammed();
            }
        }
        let mut answered = None;
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
            let answer = reply.map(|reply| {
                let summary = item.summary();
                Box::new(move |result: Result<(), Unable>| {
                    // Whoever asked may have gone away: it is done all the same.
                    let _ = reply.send(result.map(|()| summary));
                }) as Answer
            });
            let underway = &mut self.underway;
            (self.conveyor).append(underway, item, expected, records, blobs, notice, answer);
        } else {
            answered = reply.map(|reply| (reply, item.summary()));
        }
        let (after, wants) = (Place::of(item), item.wants());
        self.revisions.opened(opened, revisions::begun(item));
        if matches!(place, Place::Held(_)) && after != place {
            self.held.remove(id);
        }
        let ended = matches!(place, Place::Working(_)) && after != place && self.end_visit(id);
        if matches!(place, Place::Waiting(_)) && wants != before {
            self.delayed.remove(id);
        }
        self.shift(&place, &after);
        // News of a child, late or repeated, may leave it as it was: on its belt, or with its timer.
        let settled =
            matches!(before, Wants::Visit { .. } | Wants::Children { .. }) && wants == before;
        if ended {
            self.live.remove(id);
        } else if !settled {
            self.settle(id);
        }
        if let Some((reply, summary)) = answered {
            self.after_all(Box::new(move |result| {
                let _ = reply.send(result.map(|()| summary));
            }));
        }
        Ok(Ok(()))
    }

    /// Ends a visit whose item was taken away from it. What is kept ready for the item goes only when the
    /// visit is really over. Whether there was one.
    fn end_visit(&mut self, id: &ItemId) -> bool {
        let Some(under) = self.working.remove(id) else {
            return false;
        };
        under.task.abort();
        self.conveyor.board.over(id);
        let (runner, id) = (self.conveyor.runner.clone(), id.clone());
        let over = under.task.map(move |_| {
            runner.parted(&id);
            Receipt {
                result: Ok(()),
                notice: None,
                answer: None,
                left: None,
            }
        });
        self.underway.receipts.push(over.boxed());
        true
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
            } => match not_before.filter(|at| *at > (self.conveyor.clock)()) {
                Some(at) => {
                    self.delayed.insert(id.clone(), at);
                    self.timers.push(Reverse((at, id.clone())));
                }
                None => {
                    let priority = item.ticket.priority;
                    self.belts.push(&station, priority, id.clone());
                }
            },
            Wants::Children { until } => {
                if let Some(at) = until {
                    self.timers.push(Reverse((at, id.clone())));
                }
            }
            Wants::Answer { until } => {
                if let Some(at) = until {
                    self.held.insert(id.clone(), at);
                    self.timers.push(Reverse((at, id.clone())));
                }
                self.conveyor.runner.parted(id);
                self.live.remove(id);
            }
            Wants::Outcome { .. } => {}
            Wants::Clearing | Wants::Nothing => {
                self.conveyor.runner.parted(id);
                self.live.remove(id);
            }
        }
    }

    /// Whether nothing can move without a person: nothing waits or works but at stations that are paused,
    /// no message is on its way, and no split waits for a time that will come by itself. A hold waits for
    /// a person, also where it does not wait for ever.
    fn idle(&self) -> bool {
        let still = self.working.is_empty()
            && self.coming.is_empty()
            && self.underway.going.is_empty()
            && self.bounded == 0;
        let held_up = || {
            let paused = |id: &ItemId| {
                let station = self.live.get(id).and_then(Item::station);
                station.is_none_or(|station| self.belts.is_paused(station))
            };
            self.belts.is_held_up() && self.delayed.keys().all(paused)
        };
        still && (self.belts.is_empty() || held_up())
    }
}

/// Whether a record is of an item that jams.
fn jams(record: &Record) -> bool {
    matches!(
        record,
        Record::Jammed { .. }
            | Record::Moved {
                to: Destination::Nowhere(_),
                ..
            }
    )
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

#[cfg(test)]
mod tests;
