//! The visits of one line: each goes to the runner of its revision, and all of them can be stopped.

use super::room::Room;
use crate::{
    conveyor::Revised,
    item::ItemId,
    name::Name,
    sandbox::Runner,
    visit::{Outcome, Report, Visit},
};
use futures::future::BoxFuture;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};
use tokio::sync::{Semaphore, oneshot, watch};

/// A revision whose stations are ready.
pub(super) struct Ready {
    /// As the conveyor runs it.
    pub(super) revised: Arc<Revised>,
    /// What executes its visits.
    pub(super) runner: Arc<dyn Runner>,
}

/// The revisions of a line that are ready.
#[derive(Default)]
pub(super) struct Revisions(RwLock<BTreeMap<u64, Arc<Ready>>>);

impl Revisions {
    pub(super) fn get(&self, number: u64) -> Option<Arc<Ready>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&number).cloned()
    }

    pub(super) fn put(&self, ready: Ready) -> Arc<Revised> {
        let revised = ready.revised.clone();
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(revised.number, Arc::new(ready));
        revised
    }

    /// Takes out a revision that no visit is under way on; what it was made of may go then.
    pub(super) fn take_unused(&self, number: u64) -> Option<Arc<Ready>> {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Each visit holds its revision, and gets it under this lock.
        let unused = all
            .get(&number)
            .is_some_and(|it| Arc::strong_count(it) == 1);
        if unused { all.remove(&number) } else { None }
    }

    fn runners(&self) -> Vec<Arc<dyn Runner>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.values().map(|ready| ready.runner.clone()).collect()
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.keys().copied().collect()
    }
}

/// As many visits of one line are counted at the same time.
const MOST: u32 = 1 << 20;

/// What a conveyor has its visits done by, from its start to its end.
pub(super) struct Visits {
    line: Name,
    revisions: Arc<Revisions>,
    /// Where reports are held back while there is no room, until the visits are stopped; none where
    /// nobody would stop them.
    room: Option<Room>,
    stop: watch::Sender<bool>,
    under_way: Arc<Semaphore>,
    recalls: Arc<Recalls>,
}

/// How each visit that is under way is recalled.
#[derive(Default)]
struct Recalls(Mutex<(u64, HashMap<u64, Recall>)>);

struct Recall {
    station: Name,
    revision: u64,
    /// Told why.
    tell: oneshot::Sender<String>,
}

/// A visit's place in [`Recalls`], given up with the visit.
struct Place(Arc<Recalls>, u64);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.all().1.remove(&self.1);
    }
}

impl Recalls {
    fn all(&self) -> MutexGuard<'_, (u64, HashMap<u64, Recall>)> {
        // Each entry comes and goes as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visits {
    pub(super) fn new(line: Name, revisions: Arc<Revisions>, room: Option<Room>) -> Self {
        Self {
            line,
            revisions,
            room,
            stop: watch::Sender::new(false),
            under_way: Arc::new(Semaphore::new(MOST as usize)),
            recalls: Arc::default(),
        }
    }

    /// Ends the visits at these stations, but for those on one revision: each is made anew, on the
    /// revision that is its by then. How many there were.
    pub(super) fn recall(&self, stations: &BTreeSet<Name>, but: Option<u64>, why: &str) -> u64 {
        let mut all = self.recalls.all();
        let theirs =
            |_: &u64, it: &mut Recall| Some(it.revision) != but && stations.contains(&it.station);
        let recalled = all.1.extract_if(theirs).map(|(_, recall)| recall);
        // One that has just ended does not hear it.
        recalled
            .filter_map(|recall| recall.tell.send(why.into()).ok())
            .count() as u64
    }

    fn place(&self, visit: &Visit) -> (Place, oneshot::Receiver<String>) {
        let (tell, told) = oneshot::channel();
        let mut all = self.recalls.all();
        all.0 += 1;
        let number = all.0;
        let recall = Recall {
            station: visit.station.clone(),
            revision: visit.revision,
            tell,
        };
        all.1.insert(number, recall);
        (Place(self.recalls.clone(), number), told)
    }

    /// Ends all visits, and waits until none is under way. What they changed is thrown away; nobody
    /// hears of them.
    pub(super) async fn stop(&self) {
        self.stop.send_replace(true);
        // It is never closed.
        drop(self.under_way.acquire_many(MOST).await);
    }
}

impl Runner for Visits {
    fn visit(&self, visit: Visit) -> BoxFuture<'static, Report> {
        let Some(ready) = self.revisions.get(visit.revision) else {
            let reason = format!(
                "revision {} of line `{}` was not made ready",
                visit.revision, self.line
            );
            return Box::pin(std::future::ready(Report::not_made(reason)));
        };
        let counted = self.under_way.clone().try_acquire_owned();
        let mut stopped = self.stop.subscribe();
        let room = self.room.clone();
        let (place, recalled) = self.place(&visit);
        Box::pin(async move {
            let (_counted, _place) = (counted, place);
            let running = async {
                let report = ready.runner.visit(visit).await;
                if room.is_some_and(|room| room.is_out()) {
                    std::future::pending::<()>().await;
                }
                report
            };
            tokio::select! {
                report = running => report,
                Ok(why) = recalled => Report {
                    outcome: Outcome::Recalled(why),
                    ..Report::not_made(String::new())
                },
                _ = stopped.wait_for(|stopped| *stopped) => Report::not_made("it was stopped".into()),
            }
        })
    }

    fn parted(&self, item: &ItemId) {
        let mut told: Vec<Arc<dyn Runner>> = Vec::with_capacity(1);
        for runner in self.revisions.runners() {
            // Those in this process are one.
            if !told.iter().any(|it| Arc::ptr_eq(it, &runner)) {
                runner.parted(item);
                told.push(runner);
            }
        }
    }
}

/// The runner of a line that only carries out orders.
pub(super) struct NoVisits;

impl Runner for NoVisits {
    fn visit(&self, _: Visit) -> BoxFuture<'static, Report> {
        let reason = "no visits are made on a state folder at rest";
        Box::pin(std::future::ready(Report::not_made(reason.into())))
    }

    fn parted(&self, _: &ItemId) {}
}
