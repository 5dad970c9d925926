//! What is asked of a running line from outside: by people over the command line or the API, by sources,
//! by a retool. Each order is answered once it is durable.

use super::{ConveyorError, Input};
use crate::{
    digest::Digest,
    item::{Event, ItemId, Refused, Summary},
    line::Line,
    name::Name,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// An order to a running line, with where its answer goes.
pub enum Order {
    /// Take an input, or say that there is no room.
    Submit(Box<Input>, Reply<Submitted>),
    /// Let something happen to an item: a clearing, an answer, a cancellation. A cancellation goes to
    /// its whole tree.
    Act(ItemId, Box<Event>, Reply<Summary>),
    /// Let a station start no visits, or start them again.
    Pause(Name, bool, Reply<()>),
    /// Run by other revisions from now on.
    Retool(Box<Change>, Reply<Changed>),
}

/// Where the answer to an order goes.
pub type Reply<T> = oneshot::Sender<Result<T, Unable>>;

/// What came of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The item.
    pub item: ItemId,
    /// Whether the same input had been taken before; then nothing was done.
    pub known: bool,
}

/// A revision of a line, as a conveyor runs it.
#[derive(Debug)]
pub struct Revised {
    /// Its number.
    pub number: u64,
    /// The line.
    pub line: Line,
    /// The digest of each station's component.
    pub components: BTreeMap<Name, Digest>,
}

/// Which revisions a line runs by.
#[derive(Debug, Clone)]
pub struct Change {
    /// What runs for all items that are in no ramp.
    pub current: Arc<Revised>,
    /// What runs for a share of them.
    pub ramp: Option<Ramp>,
    /// Where items go whose station the revision that they go by does not have, now and later.
    pub moves: BTreeMap<Name, Name>,
    /// Older revisions, by their numbers, on which attempts began that are to be gone on with: after the
    /// end of a host, or after an answer. Their stations have to be ready in the runner, as have those
    /// of the others.
    pub older: BTreeMap<u64, Arc<Revised>>,
}

impl Change {
    /// One revision for all items.
    pub fn to(current: Arc<Revised>) -> Self {
        Self {
            current,
            ramp: None,
            moves: BTreeMap::new(),
            older: BTreeMap::new(),
        }
    }
}

/// A revision for a share of the items.
#[derive(Debug, Clone)]
pub struct Ramp {
    /// The revision.
    pub to: Arc<Revised>,
    /// For how many of a hundred: those whose input's id, hashed, falls below.
    pub percent: u8,
}

impl Ramp {
    /// Whether an item is in it: its whole tree is, and it stays so when the share grows.
    pub fn takes(&self, item: &ItemId) -> bool {
        let hash = blake3::hash(item.root().as_str().as_bytes());
        let number = u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]);
        u32::from(number) * 100 < u32::from(self.percent) * (u32::from(u16::MAX) + 1)
    }
}

/// What a change of revisions came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// For how long no visit could be started.
    pub pause: Duration,
    /// How many waiting items were sent to another station.
    pub moved: u64,
}

/// Why an order was not carried out. Nothing has changed then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unable {
    /// The entry's queue is full.
    #[error("`{line}` takes no more items for now: {waiting} wait before `{station}`\n  hint: try again in {seconds} s, or raise `queue` of `{station}`", seconds = .after.as_secs().max(1))]
    Full {
        /// The line.
        line: Name,
        /// Its entry.
        station: Name,
        /// How many wait there.
        waiting: u64,
        /// When it is worth trying again.
        after: Duration,
    },
    /// The item cannot do that.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no such item on the line.
    #[error("the line has no item `{0}`\n  hint: `andon items` lists them")]
    NoItem(ItemId),
    /// There is no such station on the line.
    #[error("the line has no station `{0}`\n  hint: `andon status` lists its stations")]
    NoStation(Name),
    /// Items wait at a station that the new revision does not have.
    #[error(
        "{count} unfinished items are at station `{station}`, which the new revision does not have\n  hint: `--move {station}=OTHER` sends them to another station, `--drain` waits until none is there"
    )]
    Waiting {
        /// The station.
        station: Name,
        /// How many.
        count: u64,
    },
    /// The line is stopping, or has stopped.
    #[error("the line is stopping\n  hint: try again when it runs")]
    Stopping,
    /// The journal failed.
    #[error("{0}")]
    Failed(String),
}

impl From<ConveyorError> for Unable {
    fn from(error: ConveyorError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A way to give orders to one running line; cheap to clone.
#[derive(Clone)]
pub struct Handle(mpsc::Sender<Order>);

impl Handle {
    /// As many orders wait before whoever gives one waits as well.
    const ORDERS: usize = 256;

    /// A handle, and what a conveyor receives from it.
    pub fn new() -> (Self, mpsc::Receiver<Order>) {
        let (orders, given) = mpsc::channel(Self::ORDERS);
        (Self(orders), given)
    }

    async fn give<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, Unable> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(order(reply)).await;
        sent.map_err(|_| Unable::Stopping)?;
        answer.await.map_err(|_| Unable::Stopping)?
    }

    /// Submits an input; it is durable when this returns.
    ///
    /// # Errors
    /// [`Unable::Full`] where there is no room.
    pub async fn submit(&self, input: Input) -> Result<Submitted, Unable> {
        self.give(|reply| Order::Submit(Box::new(input), reply))
            .await
    }

    /// Lets a clearing, an answer or a cancellation happen to an item: where it is then.
    ///
    /// # Errors
    /// When the item cannot do that.
    pub async fn act(&self, item: ItemId, event: Event) -> Result<Summary, Unable> {
        self.give(|reply| Order::Act(item, Box::new(event), reply))
            .await
    }

    /// Lets a station start no more visits (`true`), or start them again.
    ///
    /// # Errors
    /// When there is no such station.
    pub async fn pause(&self, station: Name, paused: bool) -> Result<(), Unable> {
        self.give(|reply| Order::Pause(station, paused, reply))
            .await
    }

    /// Runs the line by other revisions from now on. Their stations have to be ready in the runner.
    ///
    /// # Errors
    /// When items wait where they could not go on.
    pub async fn retool(&self, change: Change) -> Result<Changed, Unable> {
        self.give(|reply| Order::Retool(Box::new(change), reply))
            .await
    }
}
