//! Sinks: hand every result of a line to each place that its file names, at least once, under a name
//! that stays the same.
//!
//! What is owed stands in the journal, so that a restart goes on where it was; what happens on the line
//! only wakes a sink. Each has a task of its own: a slow or dead receiver holds up neither the line nor
//! another sink. Knows nothing of how items came to their end.

mod folder;
mod webhook;

pub use folder::{file_name, write_whole};

use crate::{
    conveyor::Notice,
    grant::Ceiling,
    item::{FoldError, Item, ItemId},
    journal::{Delivery, DeliveryState, JournalError},
    line::sink::{Sink, To},
    lines::{BodyError, LineNotice, State},
    name::Name,
    sandbox::egress::post::Post,
    visit::Millis,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast, watch},
    task::{JoinError, JoinSet},
    time::sleep,
};

/// What the sinks of a line are started with.
#[derive(Clone)]
pub struct SinkSettings {
    /// The line.
    pub line: Name,
    /// Its revision, for the audit.
    pub revision: u64,
    /// Its sinks, their folders absolute.
    pub sinks: BTreeMap<Name, Sink>,
    /// What the operator allows at most.
    pub ceiling: Option<Ceiling>,
    /// Where results are kept.
    pub state: State,
    /// The way to servers.
    pub post: Arc<dyn Post>,
    /// The time on the wall.
    pub clock: Arc<dyn Fn() -> Millis + Send + Sync>,
    /// Told what a person should hear of.
    pub say: Arc<dyn Fn(&str) + Send + Sync>,
}

/// The running sinks of a line. Dropping it ends them at once; what was under way then is handed over
/// again, under the same name.
pub struct Running {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// What came of handing a result over.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Came {
    /// The receiver has it.
    Done,
    /// It failed in a way that may pass.
    Again {
        why: String,
        /// When the receiver wants to be asked again.
        after: Option<Duration>,
    },
    /// It will not be taken.
    Never { why: String },
}

/// What it means that a result cannot be read.
fn unread(error: &BodyError) -> Came {
    let why = error.to_string();
    match error.may_pass() {
        true => Came::Again { why, after: None },
        false => Came::Never { why },
    }
}

/// The first wait after a failure, doubled after each.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait, also where the receiver wants a longer one.
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// As long a sink waits without a word before it looks again: the clock on the wall may jump.
const LOOK: Duration = Duration::from_secs(30);
/// A person hears of results that were given up at most this often.
const SAYING: Millis = 60_000;

/// Starts the sinks of a line. To be called in a runtime.
pub fn start(settings: SinkSettings, notices: &broadcast::Receiver<Arc<LineNotice>>) -> Running {
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for (name, sink) in settings.sinks.clone() {
        let worker = Worker::new(settings.clone(), name, sink);
        tasks.spawn(worker.run(notices.resubscribe(), stopped.clone()));
    }
    Running { tasks, stop }
}

impl Running {
    /// Ends the sinks when what is under way has come to an end: within the time that a call may take.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Why a sink cannot go on for now.
#[derive(Debug, thiserror::Error)]
enum SinkError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("item `{item}` cannot be read: {error}")]
    Item { item: ItemId, error: FoldError },
    #[error(transparent)]
    Join(#[from] JoinError),
}

/// One sink at work.
struct Worker {
    settings: SinkSettings,
    name: Name,
    sink: Sink,
    /// Time that passed before counts for no result: nobody could have handed it over.
    started: Millis,
    /// Failures in a row: then one result at a time is tried, and not before some time.
    failures: u32,
    not_before: Millis,
    /// Whether it was looked for what an earlier run left half kept.
    taken_up: bool,
    /// Results that were given up since a person heard of one, and when that was.
    given_up: u64,
    said: Millis,
}

impl Worker {
    fn new(settings: SinkSettings, name: Name, sink: Sink) -> Self {
        Self {
            started: (settings.clock)(),
            settings,
            name,
            sink,
            failures: 0,
            not_before: 0,
            taken_up: false,
            given_up: 0,
            said: 0,
        }
    }

    async fn run(
        mut self,
        mut notices: broadcast::Receiver<Arc<LineNotice>>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut troubles = false;
        while !*stop.borrow_and_update() {
            let next = match self.turn().await {
                Ok(next) => {
                    troubles = false;
                    next
                }
                Err(error) => {
                    if !std::mem::replace(&mut troubles, true) {
                        self.say(&format!("waits: {error}"));
                    }
                    (self.settings.clock)() + LOOK.as_millis() as Millis
                }
            };
            let now = (self.settings.clock)();
            if next <= now {
                continue;
            }
            let wait = Duration::from_millis(next - now).min(LOOK);
            // What waits for its time is not hurried by new results.
            let held = troubles || self.not_before > now;
            tokio::select! {
                () = sleep(wait) => {}
                () = result(&self.settings.line, &mut notices), if !held => {}
                changed = stop.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }

    /// Hands over what is due; when to look again.
    async fn turn(&mut self) -> Result<Millis, SinkError> {
        if !self.taken_up {
            self.take_up().await?;
            self.taken_up = true;
        }
        let now = (self.settings.clock)();
        // A clock that went back makes nobody wait longer than the longest wait.
        self.not_before = self.not_before.min(now + LONGEST.as_millis() as Millis);
        if self.not_before > now {
            return Ok(self.not_before);
        }
        let most = match &self.sink.to {
            _ if self.failures > 0 => 1,
            To::Folder(_) => folder::AT_ONCE,
            To::Webhook(_) => webhook::AT_ONCE,
        };
        let owed = self.owed(now, most).await?;
        if owed.is_empty() {
            let next = self.owed(i64::MAX as Millis, 1).await?;
            return Ok(next.first().map_or(Millis::MAX, |first| first.next));
        }
        let owed = self.items(owed).await?;
        let came = match &self.sink.to {
            To::Folder(path) => {
                let (state, path, owed) = (self.settings.state.clone(), path.clone(), owed.clone());
                let give = move || folder::give(&state, &path, &owed);
                tokio::task::spawn_blocking(give).await?
            }
            To::Webhook(webhook) => webhook::give(&self.settings, &self.name, webhook, &owed).await,
        };
        self.stands(&came);
        let mut ended = Vec::new();
        let mut kept = Vec::new();
        for ((delivery, since, _), came) in owed.into_iter().zip(came) {
            let delivery = self.judged(delivery, since, came);
            if delivery.state != DeliveryState::Owed {
                ended.push(delivery.item.clone());
            }
            kept.push(delivery);
        }
        self.settings.state.journal.keep_deliveries(kept).await?;
        self.settle(ended).await?;
        Ok((self.settings.clock)())
    }

    /// What is owed to this sink and may be tried by a time.
    async fn owed(&self, until: Millis, most: usize) -> Result<Vec<Delivery>, SinkError> {
        let (settings, name) = (self.settings.clone(), self.name.clone());
        let look = move || {
            let journal = &settings.state.journal;
            journal.owed(&settings.line, &name, until, most)
        };
        Ok(tokio::task::spawn_blocking(look).await??)
    }

    /// Each with when it came to be owed, and its item.
    async fn items(
        &self,
        owed: Vec<Delivery>,
    ) -> Result<Vec<(Delivery, Millis, Option<Item>)>, SinkError> {
        let journal = self.settings.state.journal.clone();
        let load = move || {
            let item = |delivery: Delivery| {
                let records = journal.load(&delivery.item)?;
                let since = records.last().map_or(0, |record| record.at());
                let id = &delivery.item;
                let item = Item::fold(id.clone(), &records).map_err(|error| SinkError::Item {
                    item: id.clone(),
                    error,
                })?;
                Ok((delivery, since, item))
            };
            owed.into_iter().map(item).collect()
        };
        tokio::task::spawn_blocking(load).await?
    }

    /// How the receiver stands. One that took something is there, whatever it thinks of the rest.
    fn stands(&mut self, came: &[Came]) {
        let now = (self.settings.clock)();
        let mut failed = came.iter().filter_map(|came| match came {
            Came::Again { why, after } => Some((why, after.unwrap_or_default())),
            _ => None,
        });
        let longest = failed.clone().map(|(_, after)| after).max();
        let mut wait = longest.unwrap_or_default().min(LONGEST);
        if came.contains(&Came::Done) {
            if std::mem::take(&mut self.failures) > 0 {
                self.say("works again");
            }
        } else if let Some((why, _)) = failed.next() {
            if self.failures == 0 {
                self.say(&format!("fails and is tried again: {why}"));
            }
            self.failures = self.failures.saturating_add(1);
            wait = wait.max(backoff(self.failures, 1.0));
        }
        self.not_before = now + wait.as_millis() as Millis;
    }

    /// How far a delivery is after what came of it.
    fn judged(&mut self, delivery: Delivery, since: Millis, came: Came) -> Delivery {
        let now = (self.settings.clock)();
        let attempts = delivery.attempts.saturating_add(1);
        let within = self.sink.within.as_millis() as Millis;
        let over = now.saturating_sub(since.max(self.started)) >= within;
        let (state, next, reason) = match came {
            Came::Done => (DeliveryState::Done, now, None),
            Came::Never { why } => {
                self.gave_up(&delivery.item, &why, now);
                (DeliveryState::GivenUp, now, Some(why))
            }
            Came::Again { why, .. } if over => {
                self.gave_up(&delivery.item, &why, now);
                (DeliveryState::GivenUp, now, Some(why))
            }
            Came::Again { why, after } => {
                let wait = backoff(attempts, spread(&delivery.item, &self.name, attempts));
                let wait = wait.max(after.unwrap_or_default().min(LONGEST));
                let next = now + wait.as_millis() as Millis;
                (DeliveryState::Owed, next, Some(why))
            }
        };
        Delivery {
            attempts,
            next,
            state,
            reason,
            ..delivery
        }
    }

    /// Settles what no sink is owed and was not settled: the process ended in between, or a sink that was
    /// owed something is gone. One sink does it for all.
    async fn take_up(&self) -> Result<(), SinkError> {
        if self.settings.sinks.keys().next() != Some(&self.name) {
            return Ok(());
        }
        let (journal, line) = (
            self.settings.state.journal.clone(),
            self.settings.line.clone(),
        );
        let left = tokio::task::spawn_blocking(move || journal.undelivered(&line)).await??;
        self.settle(left).await
    }

    /// What no sink of the line is owed any more is delivered.
    async fn settle(&self, ended: Vec<ItemId>) -> Result<(), SinkError> {
        let journal = self.settings.state.journal.clone();
        let sinks: Vec<Name> = self.settings.sinks.keys().cloned().collect();
        let look = move || -> Result<Vec<ItemId>, JournalError> {
            let mut all = Vec::new();
            for item in ended {
                let kept = journal.deliveries(&item)?;
                let has = |sink: &Name| {
                    let ended = |d: &Delivery| d.sink == *sink && d.state != DeliveryState::Owed;
                    kept.iter().any(ended)
                };
                if sinks.iter().all(has) {
                    all.push(item);
                }
            }
            Ok(all)
        };
        let all = tokio::task::spawn_blocking(look).await??;
        if !all.is_empty() {
            self.settings.state.journal.delivered(all).await?;
        }
        Ok(())
    }

    fn gave_up(&mut self, item: &ItemId, why: &str, now: Millis) {
        self.given_up += 1;
        if now.abs_diff(self.said) < SAYING {
            return;
        }
        self.said = now;
        let more = match std::mem::take(&mut self.given_up) {
            1 => String::new(),
            all => format!(" and {} others", all - 1),
        };
        self.say(&format!("does not get the result of {item}{more}: {why}"));
    }

    fn say(&self, text: &str) {
        let (line, name) = (&self.settings.line, &self.name);
        (self.settings.say)(&format!("sink `{name}` of `{line}` {text}"));
    }
}

/// Waits for a result of a line, or for notices that were missed.
async fn result(line: &Name, notices: &mut broadcast::Receiver<Arc<LineNotice>>) {
    loop {
        match notices.recv().await {
            Ok(notice) if notice.line == *line => {
                if let Notice::Ended { item } = &notice.notice
                    && item.result().is_some()
                {
                    return;
                }
            }
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            // Nothing ends any more; what failed is still tried.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// The wait after so many failures: three quarters of it up to all of it.
fn backoff(failures: u32, spread: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST).mul_f64(0.75 + 0.25 * spread)
}

/// From 0 to 1, the same for the same attempt.
fn spread(item: &ItemId, sink: &Name, attempt: u32) -> f64 {
    let hash = blake3::hash(format!("{item} {sink} {attempt}").as_bytes());
    f64::from(hash.as_bytes()[0]) / 255.0
}

#[cfg(test)]
mod tests;
