//! What happens to single items: they are taken, messages and reports reach them, and after each event
//! they are put where their state says that they belong.

use super::{
    Answer, ConveyorError, Input, Notice, Place, Receipt, Reply, Revised, Running, Unable,
    audit::Attempt, belts::Belts, news, revisions,
};
use crate::{
    digest::Digest,
    item::{
        self, Child, Destination, Event, Item, ItemId, Message, Record, Refused, Summary, Wants,
    },
    journal::PhaseKind,
    name::Name,
    visit::Report,
};
use bytes::Bytes;
use futures::FutureExt;
use std::collections::HashMap;

/// What came of an event; whoever asked for it is still to be answered where it was refused.
pub(super) type Decided = Result<(), (Refused, Option<Reply<Summary>>)>;

impl Running {
    pub(super) fn id_of(&self, input: &Input) -> ItemId {
        let factory = self.conveyor.journal.factory();
        ItemId::input(&factory, self.revisions.line(), &input.key)
    }

    pub(super) fn knows(&self, id: &ItemId) -> Result<bool, ConveyorError> {
        // What left memory may not be written yet.
        let is_near = self.live.contains_key(id) || self.shelf.has_left(id);
        Ok(is_near || self.conveyor.journal.knows(id)?)
    }

    pub(super) fn take(
        &mut self,
        id: ItemId,
        input: Input,
        answer: Option<Answer>,
    ) -> Result<(), ConveyorError> {
        if self.knows(&id)? {
            (self.conveyor.notify)(Notice::Known {
                item: id,
                source: input.taking.source,
            });
            return Ok(());
        }
        let notice = Notice::Taken {
            item: id.clone(),
            source: input.taking.source.clone(),
        };
        let now = (self.conveyor.clock)();
        let revised = self.revisions.assigned(&id);
        let record = item::take(now, &revised.line, revised.number, input.taking);
        self.begin(id, record, input.blobs, Some(notice), answer)
    }

    /// The first record of an item.
    pub(super) fn begin(
        &mut self,
        id: ItemId,
        taken: Record,
        blobs: Vec<(Digest, Bytes)>,
        notice: Option<Notice>,
        answer: Option<Answer>,
    ) -> Result<(), ConveyorError> {
        let wrong = |e: item::FoldError| ConveyorError::Item {
            item: id.clone(),
            reason: e.to_string(),
        };
        let records = vec![taken];
        let Some(item) = Item::fold(id.clone(), &records).map_err(wrong)? else {
            return Ok(());
        };
        self.shift(&Place::Nowhere, &Place::of(&item));
        // A child may come to its end at once, where its port leads to no station.
        let notice = notice.or_else(|| news(&item));
        let underway = &mut self.underway;
        (self.conveyor).append(underway, &item, records, blobs, notice, answer);
        self.live.insert(id.clone(), item);
        self.settle(&id);
        Ok(())
    }

    pub(super) async fn deliver(&mut self, message: Message) -> Result<(), ConveyorError> {
        let mut message = message;
        if let Message::Spawn { child, taken } = message {
            if let Some(station) = self.coming.remove(&child) {
                if let Some(station) = station {
                    self.belts.came(&station);
                }
                return self.begin(child, *taken, Vec::new(), None, None);
            }
            // It comes again, or from before the start.
            if self.live.contains_key(&child) {
                return Ok(());
            }
            match self.written(&child).await? {
                None => return self.begin(child, *taken, Vec::new(), None, None),
                // The parent asks again because it did not hear of the end.
                Some(known) => match known.farewell() {
                    Some(again) => message = again,
                    None => return Ok(()),
                },
            }
        }
        if let Message::ChildEnded { parent, child, end } = message {
            if let Some(child) = parent.child(child) {
                self.underway.going.remove(&child);
            }
            if !self.fetch(&parent).await? {
                return Ok(());
            }
            self.happen(&parent, Event::ChildEnded { child, end }, Vec::new())?;
            self.put_back(&parent);
        }
        Ok(())
    }

    pub(super) fn report(
        &mut self,
        id: ItemId,
        visit: u64,
        report: Report,
    ) -> Result<(), ConveyorError> {
        // A visit that was ended may have reported all the same.
        if self
            .working
            .get(&id)
            .is_none_or(|under| under.visit != visit)
        {
            return Ok(());
        }
        let Some(under) = self.working.remove(&id) else {
            return Ok(());
        };
        self.conveyor.board.over(&id);
        let tally = self.conveyor.board.revision(under.revised.number);
        tally.ended(&report);
        let now = (self.conveyor.clock)();
        if let Some(station) = self.live.get(&id).and_then(Item::station) {
            self.belts.live(station).ended(&report, now);
        }
        let mut report = report;
        let blobs = std::mem::take(&mut report.blobs);
        self.happen_on(&id, &under.revised, Event::Reported(report), blobs)?;
        Ok(())
    }

    /// Lets an event happen to a live item of which it is known that it can.
    pub(super) fn happen(
        &mut self,
        id: &ItemId,
        event: Event,
        blobs: Vec<(Digest, Bytes)>,
    ) -> Result<(), ConveyorError> {
        match self.try_happen(id, event, blobs, None)? {
            Ok(()) => Ok(()),
            Err((refused, _)) => Err(ConveyorError::Item {
                item: id.clone(),
                reason: refused.to_string(),
            }),
        }
    }

    /// Lets an event happen to a live item; whoever asked for it is answered when it is durable. Where it
    /// cannot be, nothing has changed, and nobody was answered.
    pub(super) fn try_happen(
        &mut self,
        id: &ItemId,
        event: Event,
        blobs: Vec<(Digest, Bytes)>,
        reply: Option<Reply<Summary>>,
    ) -> Result<Decided, ConveyorError> {
        let Some(item) = self.live.get(id) else {
            return Ok(Ok(()));
        };
        let under = self.working.get(id).map(|under| under.revised.clone());
        let revised = under.unwrap_or_else(|| self.revisions.of(item).clone());
        self.decide(id, &revised, event, blobs, reply)
    }

    /// The same by a revision that is known, without anybody who waits.
    pub(super) fn happen_on(
        &mut self,
        id: &ItemId,
        revised: &Revised,
        event: Event,
        blobs: Vec<(Digest, Bytes)>,
    ) -> Result<(), ConveyorError> {
        let decided = self.decide(id, revised, event, blobs, None)?;
        decided.map_err(|(refused, _)| ConveyorError::Item {
            item: id.clone(),
            reason: refused.to_string(),
        })
    }

    /// Decide, apply, hand the records to the journal, put the item where it belongs.
    pub(super) fn decide(
        &mut self,
        id: &ItemId,
        revised: &Revised,
        event: Event,
        blobs: Vec<(Digest, Bytes)>,
        reply: Option<Reply<Summary>>,
    ) -> Result<Decided, ConveyorError> {
        let now = (self.conveyor.clock)();
        let Some(item) = self.live.get_mut(id) else {
            return Ok(Ok(()));
        };
        let wrong = |reason: String| ConveyorError::Item {
            item: id.clone(),
            reason,
        };
        let (before, was, place) = (item.wants(), item.kind(), Place::of(item));
        let opened = revisions::begun(item);
        let attempt = Attempt::ended_by(item, &event);
        let records = match item::step(item, &revised.line, now, event) {
            Ok(records) => records,
            Err(refused) => return Ok(Err((refused, reply))),
        };
        if let Some(attempt) = attempt {
            let entries = attempt.entries(revised, item, &records, now);
            if !entries.is_empty() {
                // Not waited for: the append that follows fails where this does.
                drop(self.conveyor.journal.audit(entries));
            }
            if records.iter().any(ends_visit) {
                let jammed = records.iter().any(jams);
                self.conveyor.board.revision(revised.number).over(jammed);
            }
        }
        let mut answered = None;
        if !records.is_empty() {
            for record in &records {
                item.apply(record).map_err(|e| wrong(e.to_string()))?;
                if let Record::Split { children, .. } = record {
                    expect(&mut self.belts, &mut self.coming, id, children);
                }
            }
            // Late news of a child changes nothing of how its parent stands.
            let notice = (item.kind() != was).then(|| news(item)).flatten();
            let answer = reply.map(|reply| {
                let summary = item.summary();
                Box::new(move |result: Result<(), Unable>| {
                    // Whoever asked may have gone away: it is done all the same.
                    let _ = reply.send(result.map(|()| summary));
                }) as Answer
            });
            let underway = &mut self.underway;
            (self.conveyor).append(underway, item, records, blobs, notice, answer);
        } else {
            answered = reply.map(|reply| (reply, item.summary()));
        }
        let (after, wants) = (Place::of(item), item.wants());
        self.revisions.opened(opened, revisions::begun(item));
        let ended = matches!(place, Place::Working(_)) && after != place && self.end_visit(id);
        if wants != before {
            self.delayed.remove(id);
            self.until.remove(id);
            self.shelf.listed.remove(id);
            if matches!(before, Wants::Children { until: Some(_) }) {
                self.shelf.children_came();
            }
        }
        self.shift(&place, &after);
        // News of a child, late or repeated, may leave it as it was: on its belt, or with its timer.
        let settled =
            matches!(before, Wants::Visit { .. } | Wants::Children { .. }) && wants == before;
        if ended {
            self.part(id);
        } else if !settled {
            self.settle(id);
        }
        if let Some((reply, summary)) = answered {
            self.after_all(Box::new(move |result| {
                let _ = reply.send(result.map(|()| summary));
            }));
        }
        Ok(Ok(()))
    }

    /// Ends a visit whose item was taken away from it. What is kept ready for the item goes only when the
    /// visit is really over. Whether there was one.
    pub(super) fn end_visit(&mut self, id: &ItemId) -> bool {
        let Some(under) = self.working.remove(id) else {
            return false;
        };
        under.task.abort();
        self.conveyor.board.over(id);
        let (runner, id) = (self.conveyor.runner.clone(), id.clone());
        let over = under.task.map(move |_| {
            runner.parted(&id);
            Receipt {
                result: Ok(()),
                notice: None,
                answer: None,
            }
        });
        self.underway.receipts.push(over.boxed());
        true
    }

    /// Puts a live item where its state says it belongs.
    pub(super) fn settle(&mut self, id: &ItemId) {
        let Some(item) = self.live.get(id) else {
            return;
        };
        match item.wants() {
            Wants::Visit { not_before, .. } => {
                match not_before.filter(|at| *at > (self.conveyor.clock)()) {
                    Some(at) if !self.at_rest && self.delayed.len() < self.shelf.room.times => {
                        self.delayed.insert(id.clone(), at);
                        self.arm(at, id);
                    }
                    Some(_) => self.leave(id),
                    None => self.place(id),
                }
            }
            Wants::Children { until } => {
                if let Some(at) = until {
                    self.remember(id, PhaseKind::Split, at);
                }
                self.keep_split(id);
            }
            Wants::Answer { until } => {
                if let Some(at) = until {
                    self.remember(id, PhaseKind::Held, at);
                }
                self.conveyor.runner.parted(id);
                self.part(id);
            }
            Wants::Outcome { .. } => {}
            Wants::Clearing | Wants::Nothing => {
                self.conveyor.runner.parted(id);
                self.part(id);
            }
        }
    }
}

/// Whether a record is of an item that jams.
fn jams(record: &Record) -> bool {
    matches!(
        record,
        Record::Jammed { .. }
            | Record::Moved {
                to: Destination::Nowhere(_),
                ..
            }
    )
}

/// Whether a record that an attempt led to is the last of its visit: it is neither made again nor gone on
/// with after an answer.
fn ends_visit(record: &Record) -> bool {
    matches!(
        record,
        Record::Moved { .. }
            | Record::Split { .. }
            | Record::Finished { .. }
            | Record::Jammed { .. }
    )
}

/// What a split puts on other belts counts there from now on, not from when it arrives: stations
/// would begin visits without end while the journal is slow.
fn expect(
    belts: &mut Belts,
    coming: &mut HashMap<ItemId, Option<Name>>,
    parent: &ItemId,
    children: &[Child],
) {
    for child in children {
        let Some(id) = parent.child(child.n) else {
            continue;
        };
        let station = match &child.to {
            Destination::Station(station) => {
                belts.expect(station);
                Some(station.clone())
            }
            _ => None,
        };
        coming.insert(id, station);
    }
}
