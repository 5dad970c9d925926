//! What a daemon's lines have to do with the world by themselves: their sources, their sinks, and whom
//! they notify, started with each line and anew with each of its revisions.

use super::{Condition, Lines};
use crate::{
    conveyor::{Input, Submitted, Unable},
    name::Name,
    notify::{self, NotifySettings},
    sinks::{self, SinkSettings},
    sources::{self, SourceSettings, Submit},
};
use futures::future::BoxFuture;
use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};
use tokio::{sync::watch, task::JoinSet};

/// The way of sources to a line, whichever conveyor carries it.
struct Door {
    lines: Weak<Lines>,
    line: Name,
}

impl Submit for Door {
    fn submit(&self, input: Input) -> BoxFuture<'_, Result<Submitted, Unable>> {
        Box::pin(async {
            let line = self
                .lines
                .upgrade()
                .and_then(|lines| lines.line(&self.line));
            // Nobody holds the line open while its input is on the way.
            match line {
                Some(line) => line.handle.submit(input).await,
                None => Err(Unable::Stopping),
            }
        })
    }
}

/// What one line has outside.
struct Outside {
    revision: u64,
    /// Sources, and whoever is notified: they end wherever they are.
    tasks: [JoinSet<()>; 2],
    sinks: sinks::Running,
}

/// Attends to the outside of all lines, for as long as there are lines and they are not drained.
pub(super) async fn attend(lines: Weak<Lines>, mut changed: watch::Receiver<()>) {
    let mut outside = BTreeMap::new();
    while changed.changed().await.is_ok() {
        let Some(lines) = lines.upgrade() else { return };
        if *lines.condition.borrow() == Condition::Draining {
            break;
        }
        for name in lines.names() {
            lines.open_outside(&name, &mut outside).await;
        }
    }
    for (_, outside) in outside {
        outside.end().await;
    }
}

impl Outside {
    async fn end(self) {
        drop(self.tasks);
        self.sinks.stop().await;
    }
}

impl Lines {
    /// Starts what a line has outside, where its current revision's is not started yet.
    async fn open_outside(self: &Arc<Self>, name: &Name, all: &mut BTreeMap<Name, Outside>) {
        let current = match self.running().get(name) {
            Some(line) if line.run.is_some() => line.change.current.clone(),
            _ => return,
        };
        let revision = current.number;
        if all
            .get(name)
            .is_some_and(|outside| outside.revision == revision)
        {
            return;
        }
        if let Some(before) = all.remove(name) {
            before.end().await;
        }
        let Some((gate, ceiling)) = self.gates.of(name, revision) else {
            return;
        };
        let (clock, say) = (self.clock, self.settings.say.clone());
        let sources = sources::start(SourceSettings {
            line: name.clone(),
            sources: current.line.sources.clone(),
            state: self.state.clone(),
            submit: Arc::new(Door {
                lines: Arc::downgrade(self),
                line: name.clone(),
            }),
            clock: Arc::new(clock),
            say: say.clone(),
        });
        let post = Arc::new(gate);
        let notices = self.notices.subscribe();
        let sinks = sinks::start(
            SinkSettings {
                line: name.clone(),
                revision,
                sinks: current.line.sinks.clone(),
                ceiling: ceiling.clone(),
                state: self.state.clone(),
                post: post.clone(),
                clock: Arc::new(clock),
                say: say.clone(),
            },
            &notices,
        );
        let told = notify::start(
            NotifySettings {
                line: name.clone(),
                revision,
                notify: current.line.notify.clone(),
                ceiling,
                post,
                say,
            },
            &notices,
        );
        let outside = Outside {
            revision,
            tasks: [sources, told],
            sinks,
        };
        all.insert(name.clone(), outside);
    }
}
