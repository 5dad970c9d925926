//! What a daemon's lines have to do with the world by themselves: their sources, their sinks, and whom
//! they notify, started with each line and anew with each of its revisions.
//!
//! Each line is attended to by itself, its sinks apart from the rest: a result that is being handed over
//! comes to its end first, and holds up nobody else meanwhile.

use super::{Condition, LineNotice, Lines};
use crate::{
    conveyor::{Input, Revised, Submitted, Unable},
    grant::Ceiling,
    name::Name,
    notify::{self, NotifySettings, Tellers},
    sandbox::egress::Gate,
    sinks::{self, SinkSettings},
    sources::{self, SourceSettings, Submit},
};
use futures::future::BoxFuture;
use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};
use tokio::{
    sync::{broadcast, watch},
    task::JoinSet,
};

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

/// Attends to the outside of all lines, for as long as there are lines and they are not drained. Dropped, it
/// ends all of it at once.
pub(super) async fn attend(lines: Weak<Lines>, mut changed: watch::Receiver<()>) {
    let mut known: BTreeMap<Name, Known> = BTreeMap::new();
    let mut attended = JoinSet::new();
    while changed.changed().await.is_ok() {
        let Some(lines) = lines.upgrade().filter(|lines| !lines.drains()) else {
            break;
        };
        for (name, revised) in lines.run_by_others(&known) {
            let line = known.entry(name.clone()).or_default();
            line.revision = revised.number;
            match &line.told {
                Some(told) => told.send_replace(()),
                // Most lines have nothing outside.
                None if !revised.line.has_outside() => {}
                None => {
                    let (told, heard) = watch::channel(());
                    let line_of = || Attended {
                        lines: Arc::downgrade(&lines),
                        line: name.clone(),
                        revision: None,
                        changed: heard.clone(),
                    };
                    attended.spawn(attend_to_sinks(line_of()));
                    attended.spawn(attend_to_ways(line_of()));
                    line.told = Some(told);
                }
            }
        }
    }
    // Those that listen hear of it.
    drop(known);
    while attended.join_next().await.is_some() {}
}

/// What is known of a line that runs.
#[derive(Default)]
struct Known {
    /// By which revision it ran when it was looked last.
    revision: u64,
    /// Whoever attends to it is told here that this is another; nobody does before it has something
    /// outside.
    told: Option<watch::Sender<()>>,
}

/// A line that is attended to.
struct Attended {
    lines: Weak<Lines>,
    line: Name,
    /// Whose outside was started last.
    revision: Option<u64>,
    changed: watch::Receiver<()>,
}

/// What the outside of a revision is started with.
struct Opening {
    lines: Weak<Lines>,
    revised: Arc<Revised>,
    gate: Arc<Gate>,
    ceiling: Option<Ceiling>,
    notices: broadcast::Receiver<Arc<LineNotice>>,
}

impl Attended {
    /// Waits until the line runs by a revision whose outside was not started yet; none once it is drained.
    async fn next(&mut self) -> Option<Opening> {
        loop {
            let lines = self.lines.upgrade().filter(|lines| !lines.drains())?;
            // Where it is retooled at this moment, it is told of that as well.
            self.changed.mark_unchanged();
            if let Some(opening) = lines.opening(&self.line, self.revision) {
                self.revision = Some(opening.revised.number);
                return Some(opening);
            }
            drop(lines);
            self.changed.changed().await.ok()?;
        }
    }
}

/// Has a line's results handed over: by one revision after another, so that none is handed over by two.
async fn attend_to_sinks(mut line: Attended) {
    let mut running: Option<sinks::Running> = None;
    while let Some(opening) = line.next().await {
        if let Some(before) = running.take() {
            before.stop().await;
        }
        running = opening.sinks();
    }
    if let Some(running) = running {
        running.stop().await;
    }
}

/// Has a line submitted to by its sources, and somebody notified. These end wherever they are.
async fn attend_to_ways(mut line: Attended) {
    let (mut sources, mut told) = (JoinSet::new(), None::<Tellers>);
    // Nobody waits for their last word.
    let mut ending = JoinSet::new();
    while let Some(opening) = line.next().await {
        while ending.try_join_next().is_some() {}
        if let Some(settings) = opening.told() {
            let go_on = told.as_ref().is_some_and(|told| told.go_on(&settings));
            if !go_on {
                // In between nobody would hear that an item jams.
                let before = told.replace(notify::start(settings, &opening.notices));
                if let Some(before) = before {
                    ending.spawn(before.end());
                }
            }
        }
        // Two do not take from one folder.
        sources.shutdown().await;
        sources = opening.sources();
    }
}

impl Lines {
    fn drains(&self) -> bool {
        *self.condition.borrow() == Condition::Draining
    }

    /// The lines that run by other revisions than is known, with these.
    fn run_by_others(&self, known: &BTreeMap<Name, Known>) -> Vec<(Name, Arc<Revised>)> {
        let running = self.running();
        let others = running.iter().filter(|(name, line)| {
            let before = known.get(*name).map(|known| known.revision);
            line.run.is_some() && before != Some(line.change.current.number)
        });
        others
            .map(|(name, line)| (name.clone(), line.change.current.clone()))
            .collect()
    }

    /// What the outside of a line's current revision is started with, where that is another than `started`.
    fn opening(self: &Arc<Self>, name: &Name, started: Option<u64>) -> Option<Opening> {
        let revised = self.running().get(name)?.change.current.clone();
        if started == Some(revised.number) {
            return None;
        }
        let (gate, ceiling) = self.gates.of(name, revised.number)?;
        Some(Opening {
            lines: Arc::downgrade(self),
            revised,
            gate: Arc::new(gate),
            ceiling,
            notices: self.notices.subscribe(),
        })
    }
}

impl Opening {
    fn sinks(&self) -> Option<sinks::Running> {
        let lines = self.lines.upgrade()?;
        let clock = lines.clock;
        let settings = SinkSettings {
            line: self.revised.line.name.clone(),
            revision: self.revised.number,
            sinks: self.revised.line.sinks.clone(),
            ceiling: self.ceiling.clone(),
            state: lines.state.clone(),
            post: self.gate.clone(),
            clock: Arc::new(clock),
            say: lines.settings.say.clone(),
        };
        Some(sinks::start(settings, &self.notices))
    }

    fn sources(&self) -> JoinSet<()> {
        let Some(lines) = self.lines.upgrade() else {
            return JoinSet::new();
        };
        let (line, clock) = (&self.revised.line, lines.clock);
        sources::start(SourceSettings {
            line: line.name.clone(),
            sources: line.sources.clone(),
            state: lines.state.clone(),
            submit: Arc::new(Door {
                lines: self.lines.clone(),
                line: line.name.clone(),
            }),
            clock: Arc::new(clock),
            say: lines.settings.say.clone(),
        })
    }

    /// Who is told of jams and holds.
    fn told(&self) -> Option<NotifySettings> {
        let lines = self.lines.upgrade()?;
        Some(NotifySettings {
            line: self.revised.line.name.clone(),
            revision: self.revised.number,
            notify: self.revised.line.notify.clone(),
            ceiling: self.ceiling.clone(),
            post: self.gate.clone(),
            say: lines.settings.say.clone(),
        })
    }
}
