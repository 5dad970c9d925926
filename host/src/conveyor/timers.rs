//! Items that wait for a time on the wall: the next attempt, the end of a join's patience or of the time
//! for an answer.

use super::{ConveyorError, Running};
use crate::visit::Millis;
use std::{cmp::Reverse, time::Duration};

/// A clock that goes back by more than this was set.
const JUMP: Millis = 1000;

impl Running {
    /// How long until the next item's time may have come.
    pub(super) fn next_timer(&self) -> Option<Duration> {
        let armed = self.timers.peek().map(|Reverse((at, _))| *at);
        let left = [self.belts.later(), self.shelf.later()];
        let at = armed.into_iter().chain(left.into_iter().flatten()).min()?;
        // Clamped, so that a jump of the clock is noticed within a second.
        Some(Duration::from_millis(
            at.saturating_sub((self.conveyor.clock)()).min(1000),
        ))
    }

    /// Lets what waited for a time go on whose time has come.
    pub(super) async fn fire_timers(&mut self) -> Result<(), ConveyorError> {
        loop {
            // Read anew each time: an item may be read back for a while, and the clock be set meanwhile.
            let now = (self.conveyor.clock)();
            self.follow(now);
            let due = matches!(self.timers.peek(), Some(Reverse((at, _))) if *at <= now);
            let Some(Reverse((at, id))) = due.then(|| self.timers.pop()).flatten() else {
                return Ok(());
            };
            // What was left behind by something that came otherwise is in neither of these.
            if self.delayed.get(&id) == Some(&at) {
                self.delayed.remove(&id);
                self.place(&id);
            } else if self.until.get(&id).is_some_and(|(known, _)| *known == at) {
                self.until.remove(&id);
                self.fall_due(&id).await?;
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
        self.belts.hurry();
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
