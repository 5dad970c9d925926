//! Housekeeping beside lines that run: now and then, on a thread of its own.

use super::{Condition, Lines};
use crate::{assembly, conveyor::wall_clock, housekeeping::Collector};
use std::{path::Path, sync::Weak, time::Duration};

/// How long after the start it is first done: short runs come to their end before.
const FIRST: Duration = Duration::from_secs(10 * 60);
/// How long after each time it is done again.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Lets go of what is no longer needed, for as long as there are lines. What cannot be done is said, and
/// tried again at the next time.
pub(super) async fn tidy(lines: Weak<Lines>) {
    let mut collector = Collector::new();
    let mut pause = FIRST;
    loop {
        tokio::time::sleep(pause).await;
        pause = EVERY;
        let Some(lines) = lines.upgrade() else { return };
        let condition = lines.condition.subscribe();
        let (state, factory) = (lines.state.clone(), lines.settings.factory.clone());
        let say = lines.settings.say.clone();
        drop(lines);
        let collected = tokio::task::spawn_blocking(move || {
            // Neither while there is no room to write, nor when the lines are to end.
            let go_on =
                || condition.has_changed().is_ok() && *condition.borrow() == Condition::Running;
            let beside = state.folder.parent().unwrap_or(Path::new("."));
            // Read each time: it may have been changed.
            let done = match assembly::factory_of(factory.as_deref(), beside) {
                Ok(factory) => collector
                    .collect(&state, wall_clock(), &factory.retention, &go_on)
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = done {
                say(&format!("error: housekeeping was not done: {error}"));
            }
            collector
        });
        match collected.await {
            Ok(again) => collector = again,
            Err(_) => collector = Collector::new(),
        }
    }
}
