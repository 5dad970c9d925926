//! Inputs at times. What was submitted last is remembered in the journal, after it was submitted: a
//! crash in between submits the same run once more, which the line knows.

use super::Means;
use crate::{
    item::{Body, FoldError, Item, ItemId, LabelProblem, Payload, Phase},
    journal::JournalError,
    line::source::{Overlap, Timed},
    visit::Millis,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::sleep;

/// As long it is slept at most: the clock on the wall may jump meanwhile.
const LOOK: Duration = Duration::from_secs(20);

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// By which schedule.
    schedule: String,
    /// All runs up to then were looked after.
    settled: Millis,
    /// The item of the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item: Option<ItemId>,
}

/// Why a schedule cannot go on for now.
#[derive(Debug, thiserror::Error)]
pub(super) enum CronError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the item of the last run cannot be read: {0}")]
    Item(#[from] FoldError),
    #[error(transparent)]
    Label(#[from] LabelProblem),
    #[error("what is remembered cannot be written down: {0}")]
    Memory(#[from] serde_json::Error),
}

pub(super) async fn run(means: Means, timed: Timed) {
    let mut cron = Cron::new(means, timed);
    let mut failed = false;
    loop {
        let next = match cron.turn().await {
            Ok(next) => {
                failed = false;
                next
            }
            Err(error) => {
                if !std::mem::replace(&mut failed, true) {
                    cron.means.say(&format!("waits: {error}"));
                }
                None
            }
        };
        let now = cron.means.now();
        let wait = next.map_or(LOOK, |next| {
            Duration::from_millis(next.saturating_sub(now)).min(LOOK)
        });
        sleep(wait).await;
    }
}

/// A schedule at work.
pub(super) struct Cron {
    means: Means,
    timed: Timed,
    memory: Option<Memory>,
}

impl Cron {
    pub(super) fn new(means: Means, timed: Timed) -> Self {
        Self {
            means,
            timed,
            memory: None,
        }
    }

    /// Submits what is due; when the next run is.
    pub(super) async fn turn(&mut self) -> Result<Option<Millis>, CronError> {
        let now = self.means.now();
        let schedule = self.timed.schedule.clone();
        let mut memory = match self.memory.take() {
            Some(memory) => memory,
            None => self.remembered(now).await?,
        };
        // A clock that was ahead: runs that were submitted by it are known.
        memory.settled = memory.settled.min(now);
        let mut due = schedule.due(memory.settled, now, self.timed.missed);
        while !due.is_empty() {
            for at in due {
                memory = self.due(memory, at).await?;
            }
            due = schedule.due(memory.settled, now, self.timed.missed);
        }
        let next = schedule.next(memory.settled.max(now));
        self.memory = Some(memory);
        Ok(next)
    }

    /// What was kept, as far as it is of this schedule. A schedule begins when it is first seen.
    async fn remembered(&self, now: Millis) -> Result<Memory, CronError> {
        let settings = &self.means.settings;
        let schedule = self.timed.schedule.to_string();
        let kept = settings
            .state
            .journal
            .source(&settings.line, &self.means.name)?;
        let kept = kept.and_then(|kept| serde_json::from_str::<Memory>(&kept).ok());
        if let Some(memory) = kept.clone().filter(|memory| memory.schedule == schedule) {
            return Ok(memory);
        }
        let memory = Memory {
            schedule,
            settled: now,
            item: kept.and_then(|memory| memory.item),
        };
        self.keep(&memory).await?;
        Ok(memory)
    }

    async fn keep(&self, memory: &Memory) -> Result<(), CronError> {
        let settings = &self.means.settings;
        let text = serde_json::to_string(memory)?;
        let journal = &settings.state.journal;
        journal
            .keep_source(&settings.line, &self.means.name, &text)
            .await?;
        Ok(())
    }

    /// Looks after one run.
    async fn due(&self, memory: Memory, at: Millis) -> Result<Memory, CronError> {
        let shown = self.timed.schedule.shown(at);
        let mut item = memory.item;
        if self.timed.overlap == Overlap::Skip
            && let Some(before) = &item
            && self.goes_on(before)?
        {
            self.means.say(&format!(
                "the run of {shown} is left out: {before} of the run before is not through"
            ));
        } else {
            let mut labels = self.means.labels();
            labels.set(Timed::LABEL, &shown)?;
            let payload = Payload {
                content_type: self.timed.content_type.clone(),
                body: Body::Inline(Bytes::from(self.timed.payload.clone())),
                labels,
            };
            let name = &self.means.name;
            let key = format!("cron\0{name}\0{at}");
            let now = self.means.now();
            let input = self
                .means
                .input(key, format!("{name} {shown}"), payload, now);
            item = Some(self.means.submit(input).await.item);
        }
        let memory = Memory {
            schedule: memory.schedule,
            settled: at,
            item,
        };
        self.keep(&memory).await?;
        Ok(memory)
    }

    /// Whether an item, or one of its tree, is not at its end.
    fn goes_on(&self, item: &ItemId) -> Result<bool, CronError> {
        let records = self.means.settings.state.journal.load(item)?;
        let item = Item::fold(item.clone(), &records)?;
        Ok(item.is_some_and(|item| !matches!(item.phase, Phase::Ended { .. })))
    }
}
