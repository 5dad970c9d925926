//! Items that stand still, in memory: all are looked at.

use super::{Life, Memory};
use crate::{
    item::ItemId,
    journal::{Awaited, JournalError, PhaseKind, Queue, Standing, Standpoint},
    name::Name,
    visit::Millis,
};

/// Those that fit, with the times that they wait for, in the order of the times and of when they came to be.
fn timed(memory: &Memory, fits: impl Fn(&Life) -> bool) -> Vec<(Option<Millis>, ItemId)> {
    let kept = memory.kept();
    let mut all: Vec<_> = (kept.items.values())
        .filter(|life| fits(life))
        .map(|life| (life.summary.due, life.position, life.summary.item.clone()))
        .collect();
    all.sort();
    all.into_iter().map(|(due, _, item)| (due, item)).collect()
}

impl Standing for Memory {
    fn waiting(&self, queue: &Queue, until: Millis, most: usize) -> Result<Awaited, JournalError> {
        let all = timed(self, |life| {
            let summary = &life.summary;
            summary.phase == PhaseKind::Waiting
                && summary.line == queue.line
                && summary.station.as_ref() == Some(&queue.station)
                && summary.priority == queue.priority
        });
        let (mut ready, mut fresh, mut next) = (Vec::new(), Vec::new(), None);
        for (due, item) in all {
            match due {
                None if fresh.len() < most => fresh.push(item),
                Some(at) if at <= until => ready.push(item),
                Some(at) => next = next.or(Some(at)),
                None => {}
            }
        }
        Ok(Awaited::of_both(ready, fresh, next, most))
    }

    fn due(
        &self,
        line: &Name,
        phase: PhaseKind,
        until: Millis,
        most: usize,
    ) -> Result<Awaited, JournalError> {
        let all = timed(self, |life| {
            life.summary.line == *line && life.summary.phase == phase
        });
        let mut awaited = Awaited::default();
        for (due, item) in all {
            match due {
                Some(at) if at > until => awaited.next = awaited.next.or(Some(at)),
                Some(_) if awaited.items.len() < most => awaited.items.push(item),
                _ => {}
            }
        }
        Ok(awaited)
    }

    fn standing(
        &self,
        line: &Name,
        phase: PhaseKind,
        after: Option<&Standpoint>,
        most: usize,
    ) -> Result<Vec<(Standpoint, ItemId)>, JournalError> {
        let kept = self.kept();
        let fitting = (kept.items.values())
            .filter(|life| life.summary.line == *line && life.summary.phase == phase);
        let mut all: Vec<_> = fitting
            .filter_map(|life| {
                let at = Standpoint {
                    station: life.summary.station.clone()?,
                    position: life.position,
                };
                Some((at, life.summary.item.clone()))
            })
            .filter(|(at, _)| after.is_none_or(|after| at > after))
            .collect();
        all.sort();
        all.truncate(most);
        Ok(all)
    }
}
