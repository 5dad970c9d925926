//! Housekeeping beside lines that run: now and then, on a thread of its own.

use super::{Condition, Lines};
use crate::{assembly, conveyor::wall_clock, housekeeping::Collector};
use std::{path::Path, sync::Weak, time::Duration};

/// How long after the start it is first done, and then after each time: short runs come to their end
/// before, and what ends between two times is little beside what is kept.
const EVERY: Duration = Duration::from_secs(10 * 60);
/// Once in so many times what nothing names is looked for as well, which reads all records.
const SWEEPS: usize = 6;

/// Lets go of what is no longer needed, for as long as there are lines. What cannot be done is said, and
/// tried again at the next time.
pub(super) async fn tidy(lines: Weak<Lines>) {
    let mut collector = Collector::new();
    for time in 0_usize.. {
        tokio::time::sleep(EVERY).await;
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
                Ok(factory) => {
                    let (now, policy) = (wall_clock(), &factory.retention);
                    let done = match time % SWEEPS {
                        0 => collector.collect(&state, now, policy, &go_on),
                        _ => collector.forget(&state, now, policy, &go_on),
                    };
                    done.map_err(|error| error.to_string())
                }
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
