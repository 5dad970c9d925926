//! Carrying out what is asked of a running line. Each order is answered once it is durable.

use super::{Answer, ConveyorError, Input, Order, Reply, Running, Submitted, Unable, revisions};
use crate::{
    item::{Event, Item, ItemId, Phase, Summary},
    journal::{Filter, PhaseKind},
};
use futures::FutureExt;
use std::{collections::BTreeSet, time::Duration};

/// Who is told of an order that takes no part in an append, where the asker has gone.
fn tell<T>(reply: Reply<T>, result: Result<T, Unable>) {
    // Whoever asked may have gone away: it is done all the same.
    let _ = reply.send(result);
}

/// What is told once an append is durable.
fn answer<T: Send + 'static>(reply: Reply<T>, value: T) -> Answer {
    Box::new(move |result| tell(reply, result.map(|()| value)))
}

impl Running {
    /// Carries out one order. `draining` where the line takes nothing more.
    pub(super) async fn order(
        &mut self,
        order: Order,
        draining: bool,
    ) -> Result<(), ConveyorError> {
        match order {
            Order::Submit(_, reply) if draining => {
                tell(reply, Err(Unable::Stopping));
                Ok(())
            }
            Order::Submit(input, reply) => self.submit(*input, reply),
            Order::Act(item, event, reply) => match *event {
                Event::Cancelled { by, why } => self.cancel(item, by, why, reply).await,
                event @ (Event::Cleared { .. } | Event::Answered { .. }) => {
                    self.act(item, event, reply).await
                }
                _ => {
                    let what = "nobody but the line itself can do that to an item\n  hint: clear, answer or cancel it";
                    tell(reply, Err(Unable::Failed(what.into())));
                    Ok(())
                }
            },
            Order::Pause(station, paused, reply) => {
                let result = match self.belts.pause(&station, paused) {
                    true if paused => {
                        self.conveyor.paused.insert(station);
                        Ok(())
                    }
                    true => {
                        self.conveyor.paused.remove(&station);
                        Ok(())
                    }
                    false => Err(Unable::NoStation(station)),
                };
                tell(reply, result);
                Ok(())
            }
            Order::Retool(change, reply) => {
                let result = self.retool(*change);
                let changed = result.is_ok();
                tell(reply, result);
                if changed {
                    self.move_held().await?;
                }
                Ok(())
            }
        }
    }

    fn submit(&mut self, input: Input, reply: Reply<Submitted>) -> Result<(), ConveyorError> {
        let item = self.id_of(&input);
        if self.knows(&item)? {
            let known = Submitted { item, known: true };
            // It may be on its way to the disk only now.
            self.after_all(answer(reply, known));
            return Ok(());
        }
        let line = &self.revisions.assigned(&item).line;
        let station = (input.taking.from.as_ref()).unwrap_or(&line.entry).clone();
        if !line.stations.contains_key(&station) {
            tell(reply, Err(Unable::NoStation(station)));
            return Ok(());
        }
        // At rest nothing would ever make room.
        if !self.at_rest && self.belts.room(&station) == 0 {
            let after = self.relief(&station);
            let full = Unable::Full {
                line: self.revisions.line().clone(),
                waiting: self.belts.waiting(&station),
                station,
                after,
            };
            tell(reply, Err(full));
            return Ok(());
        }
        let submitted = Submitted {
            item: item.clone(),
            known: false,
        };
        self.take(item, input, Some(answer(reply, submitted)))
    }

    /// When a station may have worked off a quarter of what waits before it, at its pace of late.
    fn relief(&mut self, station: &crate::name::Name) -> Duration {
        let waiting = self.belts.waiting(station);
        let rate = self.belts.live(station).counts().rate;
        let seconds = if rate > 0.0 {
            waiting as f64 / 4.0 / rate
        } else {
            1.0
        };
        Duration::from_secs_f64(seconds.clamp(1.0, 60.0))
    }

    /// An item of this line, in memory from now on; none where there is none.
    pub(super) async fn fetch(&mut self, id: &ItemId) -> Result<bool, ConveyorError> {
        if self.live.contains_key(id) {
            return Ok(true);
        }
        let found = self.written(id).await?;
        let found = found.filter(|item| item.line == *self.revisions.line());
        let is_there = found.is_some();
        self.live.extend(found.map(|item| (id.clone(), item)));
        Ok(is_there)
    }

    async fn act(
        &mut self,
        id: ItemId,
        event: Event,
        reply: Reply<Summary>,
    ) -> Result<(), ConveyorError> {
        if !self.fetch(&id).await? {
            tell(reply, Err(Unable::NoItem(id)));
            return Ok(());
        }
        self.complete(&id).await?;
        // News of its last child may have sent it on.
        self.fetch(&id).await?;
        match self.try_happen(&id, event, Vec::new(), Some(reply))? {
            Ok(()) => {}
            Err((refused, reply)) => {
                self.put_back(&id);
                if let Some(reply) = reply {
                    tell(reply, Err(refused.into()));
                }
            }
        }
        Ok(())
    }

    /// Sees to it that the children of an item exist before it goes on without them: the messages that
    /// make them could be lost with a host that ends.
    pub(super) async fn complete(&mut self, id: &ItemId) -> Result<(), ConveyorError> {
        let spawns = self.live.get(id).map(Item::spawns).unwrap_or_default();
        for spawn in spawns {
            if self.coming.contains_key(spawn.to()) || self.shelf.is_searching() {
                self.deliver(spawn).await?;
            }
        }
        Ok(())
    }

    /// Takes an item and all that was split from it from the line, the youngest first: if the host ends
    /// on the way, the item itself is still there to be cancelled again.
    async fn cancel(
        &mut self,
        id: ItemId,
        by: String,
        why: String,
        reply: Reply<Summary>,
    ) -> Result<(), ConveyorError> {
        if !self.fetch(&id).await? {
            tell(reply, Err(Unable::NoItem(id)));
            return Ok(());
        }
        let ended = |item: &Item| matches!(item.phase, Phase::Ended { .. });
        let over = self.live.get(&id).is_some_and(ended);
        if !over {
            let event = || Event::Cancelled {
                by: by.clone(),
                why: why.clone(),
            };
            let mut tree: BTreeSet<ItemId> = self.tree(&id).await?;
            for member in tree.clone() {
                if self.fetch(&member).await? {
                    let children = self.live.get(&member).map(Item::spawns);
                    let children = children.unwrap_or_default();
                    tree.extend(children.iter().map(|spawn| spawn.to().clone()));
                    self.complete(&member).await?;
                    self.put_back(&member);
                }
            }
            tree.remove(&id);
            let mut tree: Vec<ItemId> = tree.into_iter().collect();
            tree.sort_by_key(|member| std::cmp::Reverse(member.path().count()));
            for member in tree {
                if self.fetch(&member).await? && !self.live.get(&member).is_some_and(ended) {
                    self.happen(&member, event(), Vec::new())?;
                } else {
                    self.put_back(&member);
                }
            }
        }
        self.act(id, Event::Cancelled { by, why }, reply).await
    }

    /// An item and all that were split from it and have not ended.
    async fn tree(&mut self, id: &ItemId) -> Result<BTreeSet<ItemId>, ConveyorError> {
        self.conveyor.journal.delivered(Vec::new()).await?;
        let phases = PhaseKind::ALL.into_iter().filter(|phase| !phase.ended());
        let found = self.conveyor.journal.list(&Filter {
            root: Some(id.clone()),
            phases: phases.collect(),
            ..Filter::default()
        })?;
        Ok(found.into_iter().map(|summary| summary.item).collect())
    }

    /// Sends those elsewhere whom the line asked at a station that it does not have any more. What a
    /// station asked goes on by its own revision.
    pub(super) async fn move_held(&mut self) -> Result<(), ConveyorError> {
        let gone: Vec<_> = (self.revisions.change.moves.keys())
            .filter(|station| {
                let mut lines = self.revisions.lines();
                lines.any(|line| !line.stations.contains_key(*station))
            })
            .cloned()
            .collect();
        for station in gone {
            self.conveyor.journal.delivered(Vec::new()).await?;
            let held = self.conveyor.journal.list(&Filter {
                line: Some(self.revisions.line().clone()),
                phases: vec![PhaseKind::Held],
                station: Some(station.clone()),
                ..Filter::default()
            })?;
            for summary in held {
                let id = summary.item;
                if !self.fetch(&id).await? {
                    continue;
                }
                let Some(item) = self.live.get(&id) else {
                    continue;
                };
                let line = &self.revisions.of(item).line;
                if revisions::begun(item).is_some() || line.stations.contains_key(&station) {
                    self.put_back(&id);
                    continue;
                }
                let to = self.revisions.elsewhere(&station, line);
                self.happen(&id, Event::Relocated { to }, Vec::new())?;
            }
        }
        Ok(())
    }

    /// Tells somebody once everything that was handed to the journal so far is durable.
    pub(super) fn after_all(&mut self, answer: Answer) {
        let all = self.conveyor.journal.delivered(Vec::new());
        let receipt = all.map(move |result| super::Receipt {
            result,
            notice: None,
            answer: Some(answer),
        });
        self.underway.receipts.push(receipt.boxed());
    }
}
