//! The effect log of one visit: read when the visit first asks for something, and written to for each
//! call that leaves. What is decided by it is decided in [`crate::effect`].

use super::{Inner, recording::Recording};
use crate::{
    content::Content,
    effect::{Asked, Decision, Effect, Ended, Intent, Ledger, Slip, VisitKey, idempotency_key},
    journal::{Journal, Memory},
    sandbox::way::{Failure, Refusal},
    visit::{Run, Visit},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, OnceCell};

/// Where effects are kept. Cheap to clone; all gates of a state folder share one, so that a run knows
/// what another gate's has under way.
#[derive(Clone)]
pub struct Log {
    pub(super) journal: Arc<dyn Journal>,
    /// Bodies that are too long for it.
    pub(super) content: Content,
    /// The visits whose effects are under way.
    underway: Arc<Underway>,
    /// Where nothing leaves: what calls are answered from.
    pub(super) played: Option<Arc<Played>>,
}

impl Log {
    /// A log in a journal, with the content store beside it.
    pub fn new(journal: Arc<dyn Journal>, content: Content) -> Self {
        Self {
            journal,
            content,
            underway: Arc::default(),
            played: None,
        }
    }

    /// The log of a visit that is replayed offline: a call that is not in it ends the visit.
    pub fn played(played: Arc<Played>, content: Content) -> Self {
        Self {
            played: Some(played),
            ..Self::new(Arc::new(Memory::new()), content)
        }
    }
}

/// The effects of a visit that is replayed offline, and what it asked for.
pub struct Played {
    effects: Vec<Effect>,
    asked: Mutex<Vec<String>>,
}

impl Played {
    /// The recorded effects of a visit, in the order of runs and numbers.
    pub fn new(effects: Vec<Effect>) -> Self {
        Self {
            effects,
            asked: Mutex::default(),
        }
    }

    /// What was asked for so far, in order, but for what an earlier attempt had done.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

/// The effects of one visit in its present run.
pub(super) struct Book {
    pub(super) log: Log,
    pub(super) visit: VisitKey,
    pub(super) run: Run,
    ledger: OnceCell<Mutex<Ledger>>,
}

/// What becomes of a call, as far as the log has a say in it.
pub(super) enum Ruled {
    /// It leaves, and is recorded.
    Leaves(Box<Recording>),
    /// It was answered before.
    Answered(Box<Effect>),
}

impl Book {
    pub(super) fn new(log: Log, visit: &Visit) -> Arc<Self> {
        Arc::new(Self {
            log,
            visit: visit.into(),
            run: visit.run,
            ledger: OnceCell::new(),
        })
    }

    /// Asks what becomes of a call.
    pub(super) async fn ask(
        self: &Arc<Self>,
        gate: &Arc<Inner>,
        asked: Asked,
    ) -> Result<Ruled, Refusal> {
        let ledger = self.ledger.get_or_try_init(|| self.read()).await?;
        let what = asked.what.clone();
        let mut decision = lock(ledger).ask(asked);
        if let Some(played) = &self.log.played {
            if let Decision::Issue(_) = decision {
                decision = Decision::Diverged(format!(
                    "it asks for `{what}`, which is not recorded, and nothing leaves in a replay"
                ));
            }
            // What an earlier attempt did is not among the calls of this one.
            let earlier = matches!(&decision, Decision::Answer(one) if one.run < self.run.first);
            if !earlier {
                lock(&played.asked).push(what);
            }
        }
        match decision {
            Decision::Answer(effect) => Ok(Ruled::Answered(effect)),
            Decision::Issue(Slip { number, intent }) => {
                let effect = Effect {
                    run: self.run.number,
                    number,
                    at: (gate.means.clock)(),
                    intent,
                    end: None,
                };
                let underway = self.log.underway.enter(&self.visit);
                let recording = Recording::new(self.clone(), gate.clone(), effect, underway);
                Ok(Ruled::Leaves(Box::new(recording)))
            }
            Decision::Diverged(what) => Err(Refusal::Diverged(what)),
            Decision::Unknown(what) => Err(Refusal::Unknown(what)),
        }
    }

    /// What earlier runs recorded, when all that they began has ended.
    async fn read(&self) -> Result<Mutex<Ledger>, Refusal> {
        let mut past = Vec::new();
        if let Some(played) = &self.log.played {
            past.clone_from(&played.effects);
        } else if self.run.number > 1 {
            self.log.underway.settled(&self.visit).await;
            let VisitKey { item, station, nth } = self.visit.clone();
            let read = self.log.journal.effects(item, Some((station, nth))).await;
            let read = read.map_err(|error| {
                tracing::error!("the effect log cannot be read: {error}");
                Refusal::Failed(Failure::Broken)
            })?;
            past.extend(read.into_iter().map(|(_, effect)| effect));
        }
        Ok(Mutex::new(Ledger::new(self.run, past)))
    }

    /// A call that left has ended.
    pub(super) fn ended(&self, intent: &Intent, ended: Ended) {
        if let Some(ledger) = self.ledger.get() {
            lock(ledger).ended(intent, ended);
        }
    }

    /// What an unsafe request carries, so that the server knows it again.
    pub(super) fn key(&self, intent: &Intent) -> String {
        let factory = self.log.journal.factory();
        idempotency_key(&factory, &self.visit, &intent.digest, intent.occurrence)
    }
}

/// How many effects of each visit are under way: they may outlast the run that began them.
#[derive(Default)]
struct Underway {
    visits: Mutex<HashMap<VisitKey, usize>>,
    less: Notify,
}

/// An effect that is under way.
pub(super) struct Entered {
    all: Arc<Underway>,
    visit: VisitKey,
}

impl Underway {
    fn enter(self: &Arc<Self>, visit: &VisitKey) -> Entered {
        *lock(&self.visits).entry(visit.clone()).or_default() += 1;
        Entered {
            all: self.clone(),
            visit: visit.clone(),
        }
    }

    /// Waits until nothing of a visit is under way.
    async fn settled(&self, visit: &VisitKey) {
        loop {
            let less = self.less.notified();
            tokio::pin!(less);
            less.as_mut().enable();
            if !lock(&self.visits).contains_key(visit) {
                return;
            }
            less.await;
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut visits = lock(&self.all.visits);
        if let Some(number) = visits.get_mut(&self.visit) {
            *number -= 1;
            if *number == 0 {
                visits.remove(&self.visit);
                self.all.less.notify_waiters();
            }
        }
    }
}

/// Each change of what these hold is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
