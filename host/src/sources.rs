//! Sources: submit to a line by themselves what its file says, each input once.
//!
//! An input's key is made of its source and of what it is: a file's name and content, a run's time. So
//! whatever was under way when the host died is submitted again, and known. Where the line is full, a
//! source waits. Knows of the line no more than how to submit to it.

mod cron;
mod folder;

use crate::{
    conveyor::{Handle, Input, Submitted, Unable},
    item::{Labels, Payload, Taking, Ticket},
    line::source::{Origin, Source},
    lines::State,
    name::Name,
    visit::Millis,
};
use futures::future::BoxFuture;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::sleep};

/// Takes inputs for a line.
pub trait Submit: Send + Sync + 'static {
    /// Takes an input; it is durable when this returns.
    fn submit(&self, input: Input) -> BoxFuture<'_, Result<Submitted, Unable>>;
}

impl Submit for Handle {
    fn submit(&self, input: Input) -> BoxFuture<'_, Result<Submitted, Unable>> {
        Box::pin(Handle::submit(self, input))
    }
}

/// What the sources of a line are started with.
#[derive(Clone)]
pub struct SourceSettings {
    /// The line.
    pub line: Name,
    /// Its sources, their folders absolute.
    pub sources: BTreeMap<Name, Source>,
    /// Where bodies and what sources remember are kept.
    pub state: State,
    /// The way to the line.
    pub submit: Arc<dyn Submit>,
    /// The time on the wall.
    pub clock: Arc<dyn Fn() -> Millis + Send + Sync>,
    /// Told what a person should hear of.
    pub say: Arc<dyn Fn(&str) + Send + Sync>,
}

/// The shortest and the longest wait before a line is asked again.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(30));

/// Starts the sources of a line. To be called in a runtime. Dropping what it returns ends them, wherever
/// they are: nothing is lost by that, and nothing taken twice when they are started again.
pub fn start(settings: SourceSettings) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (name, source) in settings.sources.clone() {
        let means = Means {
            settings: settings.clone(),
            name,
            source: source.clone(),
        };
        match source.from {
            Origin::Folder(inbox) => tasks.spawn(folder::run(means, inbox)),
            Origin::Cron(timed) => tasks.spawn(cron::run(means, *timed)),
        };
    }
    tasks
}

/// What one source works with.
struct Means {
    settings: SourceSettings,
    name: Name,
    source: Source,
}

impl Means {
    /// Submits an input, however long that takes: waits where there is no room, and where the line
    /// cannot take anything for now.
    async fn submit(&self, input: Input) -> Submitted {
        let mut failures = 0_u32;
        loop {
            let (wait, failed) = match self.settings.submit.submit(input.clone()).await {
                Ok(submitted) => return submitted,
                Err(Unable::Full { after, .. }) => (after, None),
                Err(error) => {
                    failures = failures.saturating_add(1);
                    (PATIENCE.0 * (1 << failures.min(16)), Some(error))
                }
            };
            // Once is enough, and not where a line is just being stopped.
            if let Some(error) = failed.filter(|_| failures == 5) {
                self.say(&format!("waits: {error}"));
            }
            sleep(wait.clamp(PATIENCE.0, PATIENCE.1)).await;
        }
    }

    /// An input of this source, as it is `now`.
    fn input(&self, key: String, source: String, payload: Payload, now: Millis) -> Input {
        let deadline = |within: Duration| now.saturating_add(within.as_millis() as Millis);
        Input {
            key,
            taking: Taking {
                ticket: Ticket {
                    priority: self.source.priority,
                    deadline: self.source.deadline.map(deadline),
                    ..Ticket::default()
                },
                ..Taking::plain(source, payload)
            },
            blobs: Vec::new(),
        }
    }

    fn labels(&self) -> Labels {
        self.source.labels.clone()
    }

    fn now(&self) -> Millis {
        (self.settings.clock)()
    }

    fn say(&self, text: &str) {
        let (line, name) = (&self.settings.line, &self.name);
        (self.settings.say)(&format!("source `{name}` of `{line}`: {text}"));
    }
}

#[cfg(test)]
mod tests;
