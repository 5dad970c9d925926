//! What goes on after a change: a ramp is watched until it ends, and stations that go are waited for.
//! What there is to do stands in the last record of the line's history, so that a start goes on with it.

use super::{Tally, draw};
use crate::{
    journal::{Drains, Guard, RetoolKind, RetoolRecord},
    lines::{LineHandle, Lines},
    name::Name,
};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::{MissedTickBehavior, interval};

/// How often a ramp is judged, and it is looked whether stations are empty.
const LOOK: Duration = Duration::from_millis(100);

/// Has the last change of a line be tended to, where there is something to do. To be called in a runtime.
pub(crate) fn tend(lines: &Arc<Lines>, line: &Name) {
    if lines.rests() {
        return;
    }
    let (Ok(history), Some(state)) = (lines.history_of(line), lines.runs_by(line)) else {
        return;
    };
    // What was undone, and its undoing, changed nothing.
    let led_here = |record: &RetoolRecord| {
        record.kind != RetoolKind::Undone
            && (record.current, record.ramp) == (state.current, state.ramp)
    };
    let Some(last) = history.retools.into_iter().rfind(led_here) else {
        return;
    };
    let (lines, line) = (Arc::downgrade(lines), line.clone());
    if let Some(drains) = last.drains.clone() {
        tokio::spawn(wait(lines, line, last, drains));
    } else if let (Some(ramp), Some(guard)) = (last.ramp, last.guard) {
        tokio::spawn(guard_ramp(lines, line, (last.current, ramp.to), guard));
    }
}

/// The line, as long as it runs by these revisions.
fn still(
    lines: &Weak<Lines>,
    line: &Name,
    current: u64,
    ramp: Option<u64>,
) -> Option<(Arc<Lines>, Option<LineHandle>)> {
    let lines = lines.upgrade()?;
    let state = lines.runs_by(line)?;
    let same = state.current == current && state.ramp.map(|ramp| ramp.to) == ramp;
    let handle = lines.line(line);
    same.then_some((lines, handle))
}

/// Completes a change when the stations that go have become empty.
async fn wait(lines: Weak<Lines>, line: Name, record: RetoolRecord, drains: Drains) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let Some((lines, _)) = still(&lines, &line, record.current, None) else {
            return;
        };
        let empty = tokio::task::spawn_blocking({
            let (lines, line, stations) = (lines.clone(), line.clone(), drains.stations.clone());
            move || {
                // In this order: what is on its way comes there before it is looked.
                matches!(lines.lead_to(&line, &stations), Ok(false))
                    && stations
                        .iter()
                        .all(|station| matches!(draw::is_at(&lines, &line, station), Ok(false)))
            }
        });
        if !empty.await.unwrap_or(false) {
            continue;
        }
        // Where somebody else has the turn, or an item came after all, it is tried again.
        if let Err(error) = lines.complete(&line, &record, &drains).await {
            tracing::debug!(%line, "the drained stations do not go yet: {error}");
        }
    }
}

/// Rolls a ramp back that jams more than what runs beside it.
async fn guard_ramp(lines: Weak<Lines>, line: Name, (old, new): (u64, u64), guard: Guard) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut began: Option<(Tally, Tally)> = None;
    loop {
        look.tick().await;
        let Some((lines, handle)) = still(&lines, &line, old, Some(new)) else {
            return;
        };
        let Some(handle) = handle else {
            // It waits for the disk; counts begin anew then.
            began = None;
            continue;
        };
        let now = (tally(&handle, old), tally(&handle, new));
        let before = *began.get_or_insert(now);
        let since = (now.0.since(before.0), now.1.since(before.1));
        if let Some(why) = guard.judge(since.0, since.1)
            && let Err(error) = lines.roll_back(&line, why).await
        {
            tracing::warn!(%line, "the ramp cannot be rolled back: {error}");
        }
    }
}

/// What a revision's visits came to since the line began to be carried.
fn tally(handle: &LineHandle, revision: u64) -> Tally {
    let came = handle
        .board
        .revisions()
        .remove(&revision)
        .unwrap_or_default();
    Tally {
        visits: came.ended,
        jams: came.jammed,
    }
}
