//! Housekeeping beside lines that run: now and then, on a thread of its own.

use super::{Condition, Lines, LinesError, State};
use crate::{assembly, conveyor::wall_clock, factory::Retention, housekeeping::Collector};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Weak,
    time::Duration,
};

/// How long after the start it is first done: short runs come to their end before, and lines that are
/// taken up have gone on.
const FIRST: Duration = Duration::from_secs(60);
/// How long after each time it is done again: what ends between two times is little beside what is kept.
const EVERY: Duration = Duration::from_secs(10 * 60);
/// Once in so many times what nothing names is looked for as well, which reads all records.
const SWEEPS: usize = 6;

/// What is kept for how long: as `factory` says, or else the factory's file that the lines of the state
/// folder are under; where it knows no line, the one that it is under itself.
///
/// # Errors
/// When that cannot be read or is wrong, or lines are under different ones.
pub fn retention(state: &State, factory: Option<&Path>) -> Result<Retention, LinesError> {
    let mut files = BTreeSet::new();
    if let Some(file) = factory {
        files.insert(file.into());
    } else {
        let lines: Vec<PathBuf> = (state.journal.lines()?.into_iter())
            .filter_map(|line| line.file.map(PathBuf::from))
            .collect();
        let own = lines.is_empty().then_some(&state.folder);
        let beside = lines.iter().chain(own).filter_map(|it| it.parent());
        files.extend(beside.filter_map(|folder| assembly::factory_file(None, folder)));
    }
    let mut files: Vec<PathBuf> = files.into_iter().collect();
    match (files.pop(), &*files) {
        (None, _) => Ok(Retention::default()),
        (Some(file), []) => {
            let beside = file.parent().unwrap_or(Path::new(".")).to_path_buf();
            Ok(assembly::factory_of(Some(&file), &beside)?.retention)
        }
        (Some(one), [other, ..]) => Err(LinesError::Factories {
            one: one.display().to_string(),
            other: other.display().to_string(),
        }),
    }
}

/// Lets go of what is no longer needed, for as long as there are lines. What cannot be done is said, and
/// tried again at the next time.
pub(super) async fn tidy(lines: Weak<Lines>) {
    let mut collector = Collector::new();
    let mut pause = FIRST;
    for time in 1_usize.. {
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
            // Read each time: it may have been changed.
            let done = match retention(&state, factory.as_deref()) {
                Ok(policy) => {
                    let now = wall_clock();
                    let done = match time % SWEEPS {
                        0 => collector.collect(&state, now, &policy, &go_on),
                        _ => collector.forget(&state, now, &policy, &go_on),
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
