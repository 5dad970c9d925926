//! The conveyor: carries items along a line. Takes inputs, starts visits where there is a worker and
//! room behind it, journals what came of them, delivers messages between items, keeps timers.
//!
//! It decides nothing about an item: [`crate::item::step`] does. It knows a runner only as something
//! that turns a visit into a report, and a store only as the journal's trait.

mod audit;
mod belts;
mod board;
mod carry;
mod error;
mod latest;
mod order;
mod orders;
mod recovery;
mod revisions;
mod standing;
mod start;
mod timers;

pub use board::{Board, Came, Counts, Notice};
pub use error::ConveyorError;
pub use order::{Change, Changed, Handle, Order, Ramp, Reply, Revised, Submitted, Unable};
pub use standing::Room;
pub(crate) use start::seed;

use crate::{
    digest::Digest,
    item::{self, Item, ItemId, Message, Phase, Record, Taking},
    journal::{Append, Journal, JournalError, PhaseKind, Seq},
    name::Name,
    sandbox::Runner,
    visit::{Millis, Report},
};
use belts::Belts;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use revisions::Revisions;
use standing::Shelf;
use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

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
}

type Receipts = FuturesUnordered<BoxFuture<'static, Receipt>>;

/// What was handed to the journal and has not come back.
#[derive(Default)]
struct Underway {
    /// Appends whose durability somebody has to hear of, and visits that are being ended.
    receipts: Receipts,
    /// Children whose end is on its way to their parent.
    going: HashSet<ItemId>,
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
    Nowhere,
}

struct Running {
    conveyor: Conveyor,
    revisions: Revisions,
    belts: Belts,
    /// Items that something will happen to soon: those that work, and some of those that stand still.
    live: HashMap<ItemId, Item>,
    shelf: Shelf,
    working: HashMap<ItemId, Under>,
    /// The number of the last visit.
    visits: u64,
    timers: BinaryHeap<Reverse<(Millis, ItemId)>>,
    /// Those that wait for the time of their next attempt and are not in their place on a belt yet.
    delayed: HashMap<ItemId, Millis>,
    /// Those that are held or wait for their children until a time, as far as it is remembered.
    until: HashMap<ItemId, (Millis, PhaseKind)>,
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
        inputs: mpsc::Receiver<Input>,
        orders: mpsc::Receiver<Order>,
        drain: watch::Receiver<bool>,
    ) -> Result<Ending, ConveyorError> {
        self.run_within(Room::default(), inputs, orders, drain)
            .await
    }

    /// The same, with so much in memory and no more: the less, the more is read from the journal.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_within(
        self,
        room: Room,
        mut inputs: mpsc::Receiver<Input>,
        mut orders: mpsc::Receiver<Order>,
        mut drain: watch::Receiver<bool>,
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
            shelf: Shelf::new(room),
            working: HashMap::new(),
            visits: 0,
            timers: BinaryHeap::new(),
            delayed: HashMap::new(),
            until: HashMap::new(),
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
                running.start_visits().await?;
            }
            let goes_on = !draining || running.at_rest;
            if goes_on {
                running.search().await?;
                running.begin_reading(draining);
            }
            // While the entry is full nothing is received: also not that there is nothing more.
            open = open && !(inputs.is_closed() && inputs.is_empty());
            let settled = if running.at_rest {
                !ordered && running.is_quiet()
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
                running.room_for_inputs().min(BATCH)
            } else {
                0
            };
            tokio::select! {
                biased;
                _ = drain.changed(), if !draining => draining = true,
                written = running.shelf.written(), if goes_on => running.read_back(written).await?,
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
                () = tokio::task::yield_now(), if goes_on && running.shelf.is_searching() => {}
            }
        }
    }
}

impl Conveyor {
    /// Hands the last records of an item to the journal. `item` is as it is with them.
    fn append(
        &self,
        underway: &mut Underway,
        item: &Item,
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
        // An attempt's start may be lost with the attempt itself; everything that somebody hears of
        // waits for the disk. A failed append fails all later ones, so watching those is enough.
        let watched = notice.is_some() || answer.is_some() || !messages.is_empty();
        let receipt = self.journal.append(Append {
            item: item.id.clone(),
            expected: item.seq - records.len() as Seq,
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
            Phase::Split(_) | Phase::Ended { .. } => Self::Nowhere,
        }
    }
}

impl Running {
    fn received(&mut self, receipt: Receipt) -> Result<(), ConveyorError> {
        let Receipt {
            result,
            notice,
            answer,
        } = receipt;
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

    /// How many inputs can be taken, whichever revision each of them goes by.
    fn room_for_inputs(&self) -> usize {
        let rooms = (self.revisions.lines()).map(|line| self.belts.room(&line.entry));
        rooms.min().unwrap_or_default()
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
            Place::Nowhere => {}
        }
        match to {
            Place::Waiting(station) => self.belts.waits(station),
            Place::Working(station) => self.belts.started(station),
            Place::Held(station) => self.belts.live(station).held(true),
            Place::Jammed(station) => self.belts.live(station).jammed(true),
            Place::Nowhere => {}
        }
    }

    /// Whether nothing can move without a person: nothing waits or works but at stations that are paused,
    /// no message is on its way, and no split waits for a time that will come by itself. A hold waits for
    /// a person, also where it does not wait for ever.
    fn idle(&mut self) -> bool {
        let split = |(_, phase): &(Millis, PhaseKind)| *phase == PhaseKind::Split;
        let still = self.working.is_empty() && self.is_quiet() && !self.until.values().any(split);
        let held_up = || {
            let paused = |id: &ItemId| {
                let station = self.live.get(id).and_then(Item::station);
                station.is_none_or(|station| self.belts.is_paused(station))
            };
            self.belts.is_held_up()
                && self.delayed.keys().all(paused)
                && !self.belts.expects(self.shelf.room.window)
        };
        still && (self.belts.is_empty() || held_up()) && !self.shelf.may_wait_for_children()
    }

    /// Whether no message is on its way, and nothing is being read.
    fn is_quiet(&self) -> bool {
        self.coming.is_empty() && self.underway.going.is_empty() && !self.shelf.is_busy()
    }
}

#[cfg(test)]
mod tests;
