//! Taking up what an earlier run left. Items that are read back go on by the same code as running ones.

use super::{ConveyorError, Running};
use crate::{
    item::{Event, Item, ItemId, Phase, Wants},
    journal::{Filter, PhaseKind},
    name::Name,
};
use std::collections::HashMap;

impl Running {
    /// Takes up what an earlier run left: the same code as running, started from folded records.
    pub(super) async fn recover(&mut self) -> Result<(), ConveyorError> {
        let journal = self.conveyor.journal.clone();
        let phases = vec![
            PhaseKind::Waiting,
            PhaseKind::Working,
            PhaseKind::Split,
            PhaseKind::Held,
            PhaseKind::Jammed,
        ];
        let line = Some(self.line().name.clone());
        let found = journal.list(&Filter {
            line,
            phases,
            ..Filter::default()
        })?;
        let mut homeless: HashMap<Name, usize> = HashMap::new();
        for summary in found {
            let Some(item) = self.fold(&summary.item)? else {
                continue;
            };
            if summary.phase == PhaseKind::Jammed {
                // Where its children are missing they still count, and go on.
                self.jammed.insert(summary.item);
                for spawn in item.spawns() {
                    self.deliver(spawn).await?;
                }
                continue;
            }
            if let Phase::Ready { station, .. } | Phase::Working { station, .. } = &item.phase
                && !self.line().stations.contains_key(station)
            {
                *homeless.entry(station.clone()).or_default() += 1;
                continue;
            }
            self.admit(item).await?;
        }
        match homeless.into_iter().next() {
            Some((station, count)) => Err(ConveyorError::Homeless { station, count }),
            None => Ok(()),
        }
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

    /// Carries on an item that was read back.
    async fn admit(&mut self, item: Item) -> Result<(), ConveyorError> {
        let id = item.id.clone();
        let interrupted = matches!(item.wants(), Wants::Outcome { .. });
        let spawns = item.spawns();
        self.live.insert(id.clone(), item);
        if interrupted {
            self.happen(
                &id,
                Event::Interrupted {
                    stopped: self.conveyor.stopped,
                },
                Vec::new(),
            )?;
        } else {
            self.settle(&id);
        }
        for spawn in spawns {
            self.deliver(spawn).await?;
        }
        Ok(())
    }
}
