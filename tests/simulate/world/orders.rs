//! Orders of a history: how they are given, and whether what is said of them is so.

use super::{RERUN, World, clock, revised};
use crate::{
    disk::{Fault, locked},
    plant::{NAMES, Plant, named},
    script::payload,
};
use andon::{
    conveyor::{Change, Changed, Input, Order, Ramp, Submitted, Unable},
    item::{Event, ItemId, Priority, Record, Summary, Taking, Ticket},
    journal::Journal,
    name::Name,
    visit::Millis,
};
use std::collections::BTreeMap;
use tokio::sync::oneshot;

type Answer<T> = oneshot::Receiver<Result<T, Unable>>;

/// An order that was given and not answered.
pub(super) enum Unanswered {
    Submit(ItemId, Answer<Submitted>),
    Act(ItemId, String, Answer<Summary>),
    Pause(Name, bool, Answer<()>),
    Retool(Answer<Changed>),
}

impl World<'_> {
    /// What was answered to orders.
    pub(super) fn answers(&mut self) -> Result<(), String> {
        let mut open = Vec::new();
        for given in std::mem::take(&mut self.open) {
            if let Some(given) = self.answer(given)? {
                open.push(given);
            }
        }
        self.open = open;
        self.tell_paused();
        Ok(())
    }

    /// Stations that start nothing for sure: no order about them is on its way.
    pub(super) fn tell_paused(&self) {
        let asked = |name: &Name| {
            let about =
                |given: &Unanswered| matches!(given, Unanswered::Pause(at, ..) if at == name);
            self.open.iter().any(about)
        };
        let sure = self.paused.iter().filter(|name| !asked(name));
        locked(&self.model).paused = sure.cloned().collect();
    }

    fn answer(&mut self, given: Unanswered) -> Result<Option<Unanswered>, String> {
        use oneshot::error::TryRecvError::Empty;
        match given {
            Unanswered::Submit(item, mut answer) => match answer.try_recv() {
                Err(Empty) => return Ok(Some(Unanswered::Submit(item, answer))),
                Ok(Ok(submitted)) => {
                    if submitted.item != item || !locked(&self.model).is_durable(&item) {
                        return Err(format!(
                            "submitted `{item}`, said {submitted:?}, not durable"
                        ));
                    }
                    if submitted.known {
                        self.saw("an input that is known");
                    }
                    if !submitted.known && !self.fresh.insert(item.clone()) {
                        return Err(format!("item `{item}` is said to be new twice"));
                    }
                }
                Ok(Err(Unable::Full { .. })) => self.saw("an input without room"),
                Ok(Err(Unable::NoStation(_))) => self.saw("an input for no station"),
                Ok(Err(Unable::Stopping | Unable::Failed(_))) | Err(_) => {}
                Ok(Err(other)) => return Err(format!("submitted `{item}`: {other}")),
            },
            Unanswered::Act(item, why, mut answer) => match answer.try_recv() {
                Err(Empty) => return Ok(Some(Unanswered::Act(item, why, answer))),
                Ok(Ok(_)) => {
                    let records = self.disk.load(&item).map_err(|e| e.to_string())?;
                    let times = records.iter().filter(|record| says(record, &why)).count();
                    let cancels = |record: &Record| matches!(record, Record::Cancelled { .. });
                    if records.iter().any(cancels) {
                        locked(&self.model).cancelled.insert(item.clone());
                    }
                    if times != 1 {
                        return Err(format!(
                            "`{why}` is acknowledged for `{item}`, and {times} times there"
                        ));
                    }
                }
                Ok(Err(Unable::Refused(refused))) => {
                    self.saw("a refusal");
                    let model = locked(&self.model);
                    let known = model.items.get(&item);
                    if known.is_some_and(|known| known.said.contains(&why)) {
                        return Err(format!(
                            "`{why}` is refused for `{item}` ({refused}), and there"
                        ));
                    }
                }
                Ok(Err(_)) | Err(_) => {}
            },
            Unanswered::Pause(station, paused, mut answer) => match answer.try_recv() {
                Err(Empty) => return Ok(Some(Unanswered::Pause(station, paused, answer))),
                Ok(Ok(())) if paused => {
                    self.saw("a pause");
                    self.paused.insert(station);
                }
                Ok(Ok(())) => drop(self.paused.remove(&station)),
                Ok(Err(Unable::NoStation(_))) | Err(_) => {}
                Ok(Err(other)) => return Err(format!("pausing `{station}`: {other}")),
            },
            Unanswered::Retool(mut answer) => match answer.try_recv() {
                Err(Empty) => return Ok(Some(Unanswered::Retool(answer))),
                Ok(Ok(changed)) => {
                    self.saw("a retool");
                    if changed.moved > 0 {
                        self.saw("a retool that moves items");
                    }
                    if let Some(asked) = self.asked.take() {
                        self.change = asked;
                    }
                    locked(&self.model).runs = vec![self.change.clone()];
                }
                Ok(Err(_)) | Err(_) => {
                    self.saw("a retool that cannot be");
                    self.asked = None;
                    locked(&self.model).runs = vec![self.change.clone()];
                }
            },
        }
        Ok(None)
    }

    pub(super) fn order(&mut self, order: Order, given: Unanswered) {
        if let Some(process) = &self.process
            && process.orders.try_send(order).is_ok()
        {
            self.open.push(given);
        }
    }

    pub(super) fn input(&self, key: u8, priority: u8, within: Option<u16>) -> Input {
        Input {
            key: key.to_string(),
            taking: Taking {
                ticket: Ticket {
                    by: Some("somebody".into()),
                    priority: Priority::ALL[usize::from(priority) % 3],
                    deadline: within.map(|within| clock() + Millis::from(within)),
                    ..Ticket::default()
                },
                from: (key >= RERUN).then(|| named(NAMES[usize::from(key) % NAMES.len()])),
                ..Taking::plain(key.to_string(), payload(key.to_string()))
            },
            blobs: Vec::new(),
        }
    }

    pub(super) fn act(&mut self, item: ItemId, event: impl FnOnce(String) -> Event) {
        self.words += 1;
        let why = format!("word {}", self.words);
        let (reply, answer) = oneshot::channel();
        let event = Box::new(event(why.clone()));
        self.order(
            Order::Act(item.clone(), event, reply),
            Unanswered::Act(item, why, answer),
        );
    }

    pub(super) fn picked(
        &self,
        which: u8,
        fits: impl Fn(&crate::known::Known) -> bool,
    ) -> Option<ItemId> {
        let model = locked(&self.model);
        let all: Vec<&ItemId> = (model.items.iter())
            .filter(|(_, known)| fits(known))
            .map(|(id, _)| id)
            .collect();
        let number = all.len();
        all.get(usize::from(which) % number.max(1))
            .map(|id| (*id).clone())
    }

    pub(super) fn retool(&mut self, variant: u8, share: u8) {
        if self.asked.is_some() {
            return;
        }
        let of = Plant::retooled(self.history.seed, &self.history.without, variant);
        let Some((line, moves)) = of else { return };
        let mut model = locked(&self.model);
        let number = model.revisions.len() as u64 + 1;
        let to = revised(number, &line);
        model.revisions.insert(number, to.clone());
        let (current, ramp) = match share {
            0 => (to, None),
            percent => {
                let percent = percent.min(99);
                (self.change.current.clone(), Some(Ramp { to, percent }))
            }
        };
        let mut change = Change {
            current,
            ramp,
            moves,
            // the conveyor itself keeps what it still needs
            older: match self.history.seed % 2 {
                0 => model.revisions.clone(),
                _ => BTreeMap::new(),
            },
        };
        change.older.remove(&change.current.number);
        if let Some(ramp) = &change.ramp {
            change.older.remove(&ramp.to.number);
        }
        model.runs = vec![self.change.clone(), change.clone()];
        drop(model);
        let (reply, answer) = oneshot::channel();
        if self.fault == Some(Fault::Lagging) {
            let moved = Changed {
                pause: std::time::Duration::ZERO,
                moved: 0,
            };
            let _ = reply.send(Ok(moved));
            self.asked = Some(change);
            self.open.push(Unanswered::Retool(answer));
            return;
        }
        let given = self.process.as_ref().map(|process| {
            let order = Order::Retool(Box::new(change.clone()), reply);
            process.orders.try_send(order).is_ok()
        });
        if given == Some(true) {
            self.asked = Some(change);
            self.open.push(Unanswered::Retool(answer));
        } else {
            locked(&self.model).runs = vec![self.change.clone()];
        }
    }
}

fn says(record: &Record, word: &str) -> bool {
    match record {
        Record::Cleared { why, .. }
        | Record::Answered { why, .. }
        | Record::Cancelled { why, .. } => why == word,
        _ => false,
    }
}
