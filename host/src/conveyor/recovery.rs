//! Taking up what an earlier run left. Items that are read back go on by the same code as running ones.

use super::{ConveyorError, Running};
use crate::{
    item::{Event, Item, ItemId},
    journal::{Filter, PhaseKind},
};

impl Running {
    /// Takes up what an earlier run left: counts what is where, and goes on with what was under way. What
    /// stands still is read when it is its turn. At rest nothing goes on; but what is on its way arrives.
    pub(super) async fn recover(&mut self) -> Result<(), ConveyorError> {
        let journal = self.conveyor.journal.clone();
        let line = self.revisions.line().clone();
        for (phase, station, number) in journal.counts(&line)? {
            if let Some(station) = station.filter(|_| !phase.ended()) {
                self.belts.found(&station, phase, number);
            }
        }
        self.shelf.begin(self.at_rest);
        // The run that began to may have ended before it was through.
        self.move_held().await?;
        // That the host stopped it is said at once; that the host ended with it, by the next run.
        if self.at_rest && !self.conveyor.stopped {
            return Ok(());
        }
        let found = journal.list(&Filter {
            line: Some(line),
            phases: vec![PhaseKind::Working],
            ..Filter::default()
        })?;
        for summary in found {
            if let Some(item) = self.fold(&summary.item)? {
                self.admit(item).await?;
            }
        }
        Ok(())
    }

    /// An item as it is once everything that was handed to the journal is written.
    pub(super) async fn written(&mut self, id: &ItemId) -> Result<Option<Item>, ConveyorError> {
        if self.shelf.has_left(id) {
            // Orders are applied one after the other, so this one waits for all before it.
            self.conveyor.journal.delivered(Vec::new()).await?;
            self.shelf.all_written();
        }
        self.fold(id)
    }

    /// An item as it is written.
    pub(super) fn fold(&self, id: &ItemId) -> Result<Option<Item>, ConveyorError> {
        let records = self.conveyor.journal.load(id)?;
        Item::fold(id.clone(), &records).map_err(|e| ConveyorError::Item {
            item: id.clone(),
            reason: e.to_string(),
        })
    }

    /// Carries on an item whose attempt ended with its host, and was counted.
    async fn admit(&mut self, item: Item) -> Result<(), ConveyorError> {
        let (id, spawns) = (item.id.clone(), item.spawns());
        let stopped = self.conveyor.stopped;
        self.live.insert(id.clone(), item);
        self.happen(&id, Event::Interrupted { stopped }, Vec::new())?;
        for spawn in spawns {
            self.deliver(spawn).await?;
        }
        Ok(())
    }
}
