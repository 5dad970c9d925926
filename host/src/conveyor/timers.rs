//! Items that wait for a time on the wall: the next attempt, or the end of a join's patience.

use super::{ConveyorError, Running};
use crate::item::{Event, Wants};
use std::{cmp::Reverse, time::Duration};

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
    pub(super) fn fire_timers(&mut self) -> Result<(), ConveyorError> {
        let now = (self.conveyor.clock)();
        while self
            .timers
            .peek()
            .is_some_and(|Reverse((at, _))| *at <= now)
        {
            let Some(Reverse((_, id))) = self.timers.pop() else {
                break;
            };
            let Some(item) = self.live.get(&id) else {
                continue;
            };
            match item.wants() {
                // Not a timer that its split left behind.
                Wants::Visit {
                    station,
                    not_before,
                    ..
                } if not_before <= Some(now) && self.delayed.remove(&id) => {
                    self.belts.came(&station);
                    self.belts.push(&station, id);
                }
                Wants::Children { until: Some(at) } | Wants::Answer { until: Some(at) }
                    if at <= now =>
                {
                    self.happen(&id, Event::Due, Vec::new())?
                }
                _ => {}
            }
        }
        Ok(())
    }
}
