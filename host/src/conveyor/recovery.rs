//! Taking up what an earlier run left. Items that are read back go on by the same code as running ones.

use super::{ConveyorError, Place, Running};
use crate::{
    item::{Event, Item, ItemId, Summary, Wants},
    journal::{Filter, PhaseKind},
};
use std::cmp::Reverse;

impl Running {
    /// Takes up what an earlier run left: the same code as running, started from folded records. At rest
    /// nothing goes on, and so it is only counted what is where; but what is on its way arrives.
    pub(super) async fn recover(&mut self) -> Result<(), ConveyorError> {
        let journal = self.conveyor.journal.clone();
        let phases = PhaseKind::ALL.into_iter().filter(|phase| !phase.ended());
        let line = Some(self.revisions.line().clone());
        let found = journal.list(&Filter {
            line,
            phases: phases.collect(),
            ..Filter::default()
        })?;
        for summary in found {
            self.shift(&Place::Nowhere, &place(&summary));
            match summary.phase {
                PhaseKind::Held => {
                    if let Some(at) = summary.due {
                        self.held.insert(summary.item.clone(), at);
                        self.timers.push(Reverse((at, summary.item)));
                    }
                }
                PhaseKind::Waiting if self.at_rest => {}
                // That the host stopped it is said at once; that the host ended with it, by the next run.
                PhaseKind::Working if self.at_rest && !self.conveyor.stopped => {}
                _ => {
                    if let Some(item) = self.fold(&summary.item)? {
                        self.admit(item).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// An item as it is once everything that was handed to the journal is written.
    pub(super) async fn written(&mut self, id: &ItemId) -> Result<Option<Item>, ConveyorError> {
        // Orders are applied one after the other, so this one waits for all before it.
        self.conveyor.journal.delivered(Vec::new()).await?;
        self.fold(id)
    }

    fn fold(&self, id: &ItemId) -> Result<Option<Item>, ConveyorError> {
        let records = self.conveyor.journal.load(id)?;
        Item::fold(id.clone(), &records).map_err(|e| ConveyorError::Item {
            item: id.clone(),
            reason: e.to_string(),
        })
    }

    /// Carries on an item that was read back, and was counted.
    async fn admit(&mut self, item: Item) -> Result<(), ConveyorError> {
        let id = item.id.clone();
        let wants = item.wants();
        let spawns = item.spawns();
        // Jammed ones are not kept in memory; where their children are missing those still count.
        if wants != Wants::Clearing {
            self.live.insert(id.clone(), item);
        }
        if matches!(wants, Wants::Outcome { .. }) {
            let stopped = self.conveyor.stopped;
            self.happen(&id, Event::Interrupted { stopped }, Vec::new())?;
        } else {
            self.settle(&id);
        }
        for spawn in spawns {
            self.deliver(spawn).await?;
        }
        Ok(())
    }
}

/// Where an item counts by what a listing says.
fn place(summary: &Summary) -> Place {
    let at = |place: fn(crate::name::Name) -> Place| {
        summary.station.clone().map_or(Place::Nowhere, place)
    };
    match summary.phase {
        PhaseKind::Waiting => at(Place::Waiting),
        PhaseKind::Working => at(Place::Working),
        PhaseKind::Held => at(Place::Held),
        PhaseKind::Jammed => at(Place::Jammed),
        PhaseKind::Split => Place::Split {
            bounded: summary.due.is_some(),
        },
        PhaseKind::Done | PhaseKind::Scrapped | PhaseKind::Joined => Place::Nowhere,
    }
}
