//! Items that wait for a time on the wall: the next attempt, the end of a join's patience or of the time
//! for an answer.

use super::{ConveyorError, Running};
use crate::{
    item::{Event, Wants},
    visit::Millis,
};
use std::{cmp::Reverse, time::Duration};

/// A clock that goes back by more than this was set.
const JUMP: Millis = 1000;

impl Running {
    /// How long until the next item's time may have come.
    pub(super) fn next_timer(&self) -> Option<Duration> {
        let Reverse((at, _)) = self.timers.peek()?;
        // Clamped, so that a jump of the clock is noticed within a second.
        Some(Duration::from_millis(
            at.saturating_sub((self.conveyor.clock)()).min(1000),
        ))
    }

    /// Lets what waited for a time go on whose time has come.
    pub(super) async fn fire_timers(&mut self) -> Result<(), ConveyorError> {
        loop {
            if self.timers.is_empty() {
                return Ok(());
            }
            // Read anew each time: an item may be read back for a while, and the clock be set meanwhile.
            let now = (self.conveyor.clock)();
            self.follow(now);
            let next = self.timers.peek().map(|Reverse((at, _))| *at);
            let Some(Reverse((at, id))) =
                next.filter(|at| *at <= now).and_then(|_| self.timers.pop())
            else {
                return Ok(());
            };
            // What was left behind by something that came otherwise is in none of these.
            if self.delayed.get(&id) == Some(&at) {
                self.delayed.remove(&id);
                if let Some(item) = self.live.get(&id)
                    && let Wants::Visit { station, .. } = item.wants()
                {
                    let priority = item.ticket.priority;
                    self.belts.push(&station, priority, id);
                }
            } else if self.held.get(&id) == Some(&at) {
                self.held.remove(&id);
                if let Some(item) = self.written(&id).await? {
                    self.live.insert(id.clone(), item);
                    self.happen(&id, Event::Due, Vec::new())?;
                }
            } else if let Some(item) = self.live.get(&id)
                && item.wants() == (Wants::Children { until: Some(at) })
            {
                self.complete(&id).await?;
                self.happen(&id, Event::Due, Vec::new())?;
            }
        }
    }

    /// Where the clock was set back, attempts wait no longer for it than they would have: only what is a
    /// time of day, the end of a join or of a hold, goes by the new clock.
    fn follow(&mut self, now: Millis) {
        let back = self.looked.saturating_sub(now);
        self.looked = now;
        if back < JUMP {
            return;
        }
        for Reverse((at, id)) in std::mem::take(&mut self.timers).into_vec() {
            let mut at = at;
            if let Some(delayed) = self.delayed.get_mut(&id)
                && *delayed == at
            {
                at = at.saturating_sub(back);
                *delayed = at;
            }
            self.timers.push(Reverse((at, id)));
        }
    }
}
