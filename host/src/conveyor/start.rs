//! Starting visits, and sending those elsewhere whose station their revision does not have.

use super::{ConveyorError, Place, Running, Under, news, revisions};
use crate::{
    effect::VisitKey,
    item::{self, Event, ItemId, Phase},
    name::Name,
    visit::{Outcome, Report, Visit},
};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;

impl Running {
    /// Starts visits as long as there is somebody who can begin one.
    pub(super) async fn start_visits(&mut self) -> Result<(), ConveyorError> {
        while let Some((station, id)) = self.belts.next() {
            self.start(station, id).await?;
        }
        Ok(())
    }

    async fn start(&mut self, station: Name, id: ItemId) -> Result<(), ConveyorError> {
        // Who left the queue another way may still stand in it, or stand in it twice.
        if !self.shelf.listed.remove(&id) {
            return Ok(());
        }
        if !self.live.contains_key(&id) {
            let Some(item) = self.fold(&id)? else {
                return Ok(());
            };
            // Of children that it did not wait for any more, the messages may be lost.
            let spawns = item.spawns();
            self.live.insert(id.clone(), item);
            for spawn in spawns {
                self.deliver(spawn).await?;
            }
        }
        let Some(item) = self.live.get_mut(&id) else {
            return Ok(());
        };
        let waits = matches!(&item.phase, Phase::Ready { station: at, .. } if *at == station);
        if !waits || self.delayed.contains_key(&id) {
            self.put_back(&id);
            return Ok(());
        }
        let revised = self.revisions.of(item).clone();
        if !revised.line.stations.contains_key(&station) {
            // An attempt that cannot be gone on with, or a station that is gone.
            let to = self.revisions.elsewhere(&station, &revised.line);
            return self.happen_on(&id, &revised, Event::Relocated { to }, Vec::new());
        }
        let now = (self.conveyor.clock)();
        let wrong = |reason: String| ConveyorError::Item {
            item: id.clone(),
            reason,
        };
        let opened = revisions::begun(item);
        let start = Event::Start {
            revision: revised.number,
        };
        let records =
            item::step(item, &revised.line, now, start).map_err(|e| wrong(e.to_string()))?;
        for record in &records {
            item.apply(record).map_err(|e| wrong(e.to_string()))?;
        }
        self.revisions.opened(opened, revisions::begun(item));
        let place = Place::of(item);
        let Phase::Working {
            nth,
            attempt,
            course,
            ..
        } = &item.phase
        else {
            // It has had its visits, or the line asks here.
            let notice = news(item);
            let underway = &mut self.underway;
            (self.conveyor).append(underway, item, records, Vec::new(), notice, None);
            self.shift(&Place::Waiting(station), &place);
            self.settle(&id);
            return Ok(());
        };
        let (nth, attempt) = (*nth, *attempt);
        let mut run = course.run(0);
        if run.first < run.number {
            let key = VisitKey {
                item: id.clone(),
                station: station.clone(),
                nth,
            };
            run = course.run(self.conveyor.journal.recorded_until(&key, run.first)?);
        }
        let visit = Visit {
            item: id.clone(),
            line: item.line.clone(),
            revision: revised.number,
            station: station.clone(),
            nth,
            attempt,
            started: course.began.map_or(now, |began| began.at),
            seed: seed(
                &self.conveyor.journal.factory(),
                &id,
                &station,
                nth,
                attempt,
            ),
            inputs: item.inputs.clone(),
            workspace: item.workspace,
            joined: item.joined.clone(),
            deadline: item.ticket.deadline,
            answers: course.answers.clone(),
            run,
        };
        let underway = &mut self.underway;
        (self.conveyor).append(underway, item, records, Vec::new(), None, None);
        self.shift(&Place::Waiting(station), &place);
        self.visits += 1;
        self.conveyor.board.begins(&id, &visit.station);
        let running = self.conveyor.runner.visit(visit);
        let (reports, number, of) = (self.reports.clone(), self.visits, id.clone());
        let task = tokio::spawn(async move {
            let report = AssertUnwindSafe(running)
                .catch_unwind()
                .await
                .unwrap_or_else(|_| {
                    Report::of(Outcome::Trapped(
                        "the host's own code panicked during the visit".into(),
                    ))
                });
            // The receiver is gone only when the run is over.
            let _ = reports.send((of, number, report));
        });
        let under = Under {
            visit: number,
            task,
            revised,
        };
        self.working.insert(id, under);
        Ok(())
    }
}

/// The seed of an attempt's randomness: the same when it is run again, another for every other.
pub(crate) fn seed(
    factory: &[u8; 16],
    item: &ItemId,
    station: &Name,
    nth: u32,
    attempt: u32,
) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("andon 2026 seed of an attempt");
    hasher.update(factory);
    hasher.update(item.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(station.as_bytes());
    hasher.update(&[0]);
    hasher.update(&nth.to_le_bytes());
    hasher.update(&attempt.to_le_bytes());
    *hasher.finalize().as_bytes()
}
