//! Records fold into an item. This is all that recovery does, and running does the same: whatever is
//! not in a record is not so. Records are taken as they come from the store and may be nonsense.

use super::{
    Arrival, Asker, Child, ChildEnd, Clearing, Course, Destination, End, Hold, Item, ItemId, Jam,
    Payload, Phase, Record, Seq, Split,
};
use crate::{
    name::Name,
    visit::{Answer, Millis},
};
use std::collections::BTreeMap;

/// The records are none that an item can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The history has no beginning.
    #[error("the history of item `{0}` does not begin with `Taken`")]
    NoBeginning(ItemId),
    /// A record that cannot follow on what was.
    #[error("record {seq} of item `{item}` cannot be: {what}")]
    Impossible {
        /// The item.
        item: ItemId,
        /// The record's number, from 1.
        seq: Seq,
        /// What is wrong.
        what: String,
    },
}

impl Item {
    /// The item that these records tell of; none if there are none.
    ///
    /// # Errors
    /// When no item can have such a history.
    pub fn fold(id: ItemId, records: &[Record]) -> Result<Option<Self>, FoldError> {
        let Some((first, rest)) = records.split_first() else {
            return Ok(None);
        };
        let mut item = Self::begin(id, first)?;
        for record in rest {
            item.apply(record)?;
        }
        Ok(Some(item))
    }

    fn begin(id: ItemId, record: &Record) -> Result<Self, FoldError> {
        let Record::Taken {
            at,
            line,
            revision,
            source,
            to,
            payload,
            workspace,
            lineage,
            visits,
            budget,
            ticket,
        } = record
        else {
            return Err(FoldError::NoBeginning(id));
        };
        let mut item = Self {
            id,
            seq: 1,
            line: line.clone(),
            revision: *revision,
            source: source.clone(),
            ticket: ticket.clone(),
            taken: *at,
            changed: *at,
            labels: payload.labels.clone(),
            inputs: Vec::new(),
            joined: Vec::new(),
            workspace: *workspace,
            visits: visits.clone(),
            lineage: lineage.clone(),
            children: 0,
            budget: *budget,
            last: None,
            late: Vec::new(),
            carried: Vec::new(),
            // replaced in the next line: `enter` sets every phase
            phase: Phase::Ended {
                end: End::Done,
                result: None,
                port: None,
                arrivals: Vec::new(),
            },
        };
        item.enter(to, None, payload)?;
        Ok(item)
    }

    /// Adds one record.
    ///
    /// # Errors
    /// When it cannot follow on what is; the item is then not to be used any more.
    pub fn apply(&mut self, record: &Record) -> Result<(), FoldError> {
        self.seq += 1;
        match record {
            Record::Taken { .. } => return Err(self.impossible("it was taken before")),
            Record::Started { at, revision } => self.start(*at, *revision)?,
            Record::Interrupted { stopped, .. } => self.interrupt(*stopped)?,
            Record::Recalled { .. } => self.recall()?,
            Record::Moved {
                port,
                to,
                payload,
                workspace,
                ..
            } => {
                self.leave()?;
                self.workspace = *workspace;
                self.enter(to, Some(port), payload)?;
            }
            Record::Split {
                at,
                children,
                workspace,
                join,
                until,
                shares,
                ..
            } => {
                let (station, nth) = self.leave()?;
                self.workspace = *workspace;
                self.budget = shares.map(|shares| shares.own).or(self.budget);
                let children = self.numbered(children)?;
                self.phase = Phase::Split(Split {
                    station,
                    nth,
                    since: *at,
                    children,
                    arrivals: Vec::new(),
                    until: *until,
                    join: join.clone(),
                    was: Vec::new(),
                    workspace: *workspace,
                    visits: self.visits.clone(),
                    each: shares.map(|shares| shares.each),
                });
            }
            Record::Finished { .. } => {
                self.leave()?;
                self.end(End::Done, None, None, None);
            }
            Record::Failed { again, .. } => self.fail(*again)?,
            Record::Jammed { jam, .. } => self.jam(jam)?,
            Record::ChildEnded { child, end, .. } => self.child_ended(*child, end)?,
            Record::Gathered { join, .. } => self.gather(join.as_ref())?,
            Record::Cleared { by, how, .. } => {
                self.clear(how)?;
                if let Clearing::Edit(_) = how {
                    self.ticket.also.insert(by.clone());
                }
            }
            Record::Asked { hold, .. } => self.hold(hold)?,
            Record::Answered { answer, .. } => self.answer(answer)?,
            Record::Cancelled { .. } => self.cancel()?,
            Record::Relocated { to, .. } => self.relocate(to)?,
            Record::Erased { .. } if self.kind().ended() => {}
            Record::Erased { .. } => return Err(self.misplaced("it is erased")),
        }
        self.changed = record.at();
        Ok(())
    }

    fn impossible(&self, what: impl Into<String>) -> FoldError {
        FoldError::Impossible {
            item: self.id.clone(),
            seq: self.seq,
            what: what.into(),
        }
    }

    fn misplaced(&self, what: &str) -> FoldError {
        self.impossible(format!("{what}, but the item is {}", self.kind()))
    }

    fn start(&mut self, at: Millis, revision: u64) -> Result<(), FoldError> {
        let Phase::Ready {
            station,
            nth,
            attempt,
            course,
            ..
        } = &self.phase
        else {
            return Err(self.misplaced("an attempt begins"));
        };
        self.visits.insert(station.clone(), *nth);
        self.last = Some(station.clone());
        if revision > 0 {
            self.revision = revision;
        }
        self.phase = Phase::Working {
            station: station.clone(),
            nth: *nth,
            attempt: *attempt,
            course: course.started(at, revision),
        };
        Ok(())
    }

    /// The host ended: the same attempt is made again.
    fn interrupt(&mut self, stopped: bool) -> Result<(), FoldError> {
        let (station, nth, attempt, course) = self.working()?;
        let more = u32::from(!stopped);
        self.phase = Phase::Ready {
            station,
            nth,
            attempt,
            not_before: None,
            course: Course {
                interruptions: course.interruptions.saturating_add(more),
                ..course
            },
        };
        Ok(())
    }

    /// The attempt is made anew.
    fn recall(&mut self) -> Result<(), FoldError> {
        let (station, nth, attempt, course) = self.working()?;
        self.phase = Phase::Ready {
            station,
            nth,
            attempt,
            not_before: None,
            course: course.ended(),
        };
        Ok(())
    }

    /// The attempt failed: another one is made at this time.
    fn fail(&mut self, again: Millis) -> Result<(), FoldError> {
        let (station, nth, attempt, course) = self.working()?;
        self.phase = Phase::Ready {
            station,
            nth,
            attempt: attempt.saturating_add(1),
            not_before: Some(again),
            course: course.ended(),
        };
        Ok(())
    }

    fn working(&self) -> Result<(Name, u32, u32, Course), FoldError> {
        match &self.phase {
            Phase::Working {
                station,
                nth,
                attempt,
                course,
            } => Ok((station.clone(), *nth, *attempt, course.clone())),
            _ => Err(self.misplaced("an attempt ends")),
        }
    }

    /// A question is asked: by the station in an attempt, by the line before one.
    fn hold(&mut self, hold: &Hold) -> Result<(), FoldError> {
        let (station, nth, attempt, course) = match (&self.phase, hold.asker) {
            (
                Phase::Working {
                    station,
                    nth,
                    attempt,
                    course,
                },
                Asker::Station,
            )
            | (
                Phase::Ready {
                    station,
                    nth,
                    attempt,
                    course,
                    ..
                },
                Asker::Line,
            ) => (station.clone(), *nth, *attempt, course.clone()),
            _ => return Err(self.misplaced("a question is asked")),
        };
        if hold.asker == Asker::Line {
            self.visits.insert(station.clone(), nth);
            self.last = Some(station.clone());
        }
        self.phase = Phase::Held {
            station,
            nth,
            attempt,
            course,
            hold: hold.clone(),
        };
        Ok(())
    }

    /// The same attempt goes on with the answer; where the line asked, it leaves next.
    fn answer(&mut self, answer: &Answer) -> Result<(), FoldError> {
        let Phase::Held {
            station,
            nth,
            attempt,
            course,
            ..
        } = &self.phase
        else {
            return Err(self.misplaced("a question is answered"));
        };
        let mut course = course.clone();
        course.answers.push(answer.clone());
        self.phase = Phase::Ready {
            station: station.clone(),
            nth: *nth,
            attempt: *attempt,
            not_before: None,
            course,
        };
        Ok(())
    }

    /// Ends as scrapped, wherever it is; what its children still bring is dropped.
    fn cancel(&mut self) -> Result<(), FoldError> {
        if let Phase::Ended { .. } = self.phase {
            return Err(self.misplaced("it is cancelled"));
        }
        if let Some(split) = self.take_split() {
            self.turn_from(split);
        }
        self.end(End::Scrapped, None, None, None);
        Ok(())
    }

    /// Waits at another station for its first attempt there; while it waits for children, it is their
    /// join that goes by another name.
    fn relocate(&mut self, to: &Name) -> Result<(), FoldError> {
        match &mut self.phase {
            Phase::Ready { .. } | Phase::Held { .. } | Phase::Jammed { split: None, .. } => {
                self.ready_at(to);
                Some(())
            }
            Phase::Split(split) => rejoin(split, to),
            Phase::Jammed {
                split: Some(split), ..
            } => rejoin(split, to),
            _ => None,
        }
        .ok_or_else(|| self.misplaced("it is sent to another station"))
    }

    /// The station and visit that it leaves: after an attempt, or straight from the queue where a
    /// person or the bound of a loop sends it on.
    fn leave(&self) -> Result<(Name, u32), FoldError> {
        match &self.phase {
            Phase::Ready { station, nth, .. } | Phase::Working { station, nth, .. } => {
                Ok((station.clone(), *nth))
            }
            _ => Err(self.misplaced("it leaves a station")),
        }
    }

    fn enter(
        &mut self,
        to: &Destination,
        port: Option<&Name>,
        payload: &Payload,
    ) -> Result<(), FoldError> {
        self.labels = payload.labels.clone();
        self.inputs = vec![payload.clone()];
        self.joined.clear();
        match to {
            Destination::Station(station) => self.ready_at(station),
            Destination::Join(join) => {
                let arrival = Arrival {
                    item: self.id.clone(),
                    join: join.clone(),
                    payload: payload.clone(),
                    workspace: self.workspace,
                    visits: self.visits.clone(),
                    also: self.ticket.also.clone(),
                };
                self.end(End::Joined, None, port, Some(arrival));
            }
            Destination::Done => self.end(End::Done, Some(payload), port, None),
            Destination::Scrap => self.end(End::Scrapped, None, port, None),
            Destination::Nowhere(jam) => {
                let station = match jam {
                    Jam::Exhausted(station) | Jam::Homeless(station) => station.clone(),
                    _ => self
                        .last
                        .as_ref()
                        .or(self.lineage.last())
                        .cloned()
                        .ok_or_else(|| self.impossible("it jams at no station"))?,
                };
                self.phase = Phase::Jammed {
                    nth: self.next_visit(&station),
                    station,
                    attempt: 1,
                    course: Course::default(),
                    jam: jam.clone(),
                    split: None,
                };
            }
        }
        Ok(())
    }

    fn next_visit(&self, station: &Name) -> u32 {
        self.visits
            .get(station)
            .copied()
            .unwrap_or(0)
            .saturating_add(1)
    }

    fn ready_at(&mut self, station: &Name) {
        self.phase = Phase::Ready {
            station: station.clone(),
            nth: self.next_visit(station),
            attempt: 1,
            not_before: None,
            course: Course::default(),
        };
    }

    fn end(
        &mut self,
        end: End,
        result: Option<&Payload>,
        port: Option<&Name>,
        own: Option<Arrival>,
    ) {
        let mut arrivals = std::mem::take(&mut self.carried);
        arrivals.extend(own);
        self.phase = Phase::Ended {
            end,
            result: result.cloned(),
            port: port.cloned(),
            arrivals,
        };
    }

    fn numbered(&mut self, children: &[Child]) -> Result<BTreeMap<u32, Child>, FoldError> {
        let mut all = BTreeMap::new();
        for child in children {
            if child.n <= self.children || self.id.child(child.n).is_none() {
                return Err(self.impossible(format!("it has no child {}", child.n)));
            }
            self.children = child.n;
            all.insert(child.n, child.clone());
        }
        if all.is_empty() {
            return Err(self.impossible("it is split into nothing"));
        }
        Ok(all)
    }

    fn jam(&mut self, jam: &Jam) -> Result<(), FoldError> {
        let (station, nth, attempt, course, split) = match &self.phase {
            Phase::Ready {
                station,
                nth,
                attempt,
                course,
                ..
            }
            | Phase::Working {
                station,
                nth,
                attempt,
                course,
            }
            | Phase::Held {
                station,
                nth,
                attempt,
                course,
                ..
            } => (station.clone(), *nth, *attempt, course.clone(), None),
            Phase::Split(split) => (
                split.station.clone(),
                split.nth,
                1,
                Course::default(),
                Some(Box::new(split.clone())),
            ),
            _ => return Err(self.misplaced("it jams")),
        };
        self.phase = Phase::Jammed {
            station,
            nth,
            attempt,
            course,
            jam: jam.clone(),
            split,
        };
        Ok(())
    }

    fn child_ended(&mut self, n: u32, end: &ChildEnd) -> Result<(), FoldError> {
        let also = end.arrivals.iter().flat_map(|arrival| &arrival.also);
        self.ticket.also.extend(also.cloned());
        let waiting = match &mut self.phase {
            Phase::Split(split) => Some(split),
            Phase::Jammed { split, .. } => split.as_deref_mut(),
            _ => None,
        };
        if let Some(split) = waiting
            && split.children.remove(&n).is_some()
        {
            split.arrivals.extend_from_slice(&end.arrivals);
            self.take_back(end);
            return Ok(());
        }
        let known = self
            .late
            .iter_mut()
            .any(|split| split.children.remove(&n).is_some());
        self.late.retain(|split| !split.children.is_empty());
        if !known {
            return Err(self.impossible(format!("it does not wait for a child {n}")));
        }
        self.take_back(end);
        Ok(())
    }

    fn take_back(&mut self, end: &ChildEnd) {
        if let Some(budget) = &mut self.budget {
            budget.give_back(end.unused);
        }
    }

    fn take_split(&mut self) -> Option<Split> {
        match &mut self.phase {
            Phase::Split(split) => Some(split),
            Phase::Jammed { split, .. } => split.as_deref_mut(),
            _ => None,
        }
        .map(|split| Split {
            arrivals: std::mem::take(&mut split.arrivals),
            children: std::mem::take(&mut split.children),
            ..split.clone()
        })
    }

    /// Turns from what it waited for: sorts what arrived into its own and what is for joins further
    /// up, and remembers the children that are still out.
    fn turn_from(&mut self, mut split: Split) -> Vec<Arrival> {
        let (mut own, others): (Vec<_>, Vec<_>) = std::mem::take(&mut split.arrivals)
            .into_iter()
            .partition(|arrival| split.takes(arrival));
        own.sort_by(|a, b| a.item.path().cmp(b.item.path()));
        self.carried.extend(others);
        self.carried
            .sort_by(|a, b| a.item.path().cmp(b.item.path()));
        if !split.children.is_empty() {
            self.late.push(split);
        }
        own
    }

    fn gather(&mut self, join: Option<&Name>) -> Result<(), FoldError> {
        let Some(split) = self.take_split() else {
            return Err(self.misplaced("it gathers its children"));
        };
        let own_join = split.join.clone();
        let own = self.turn_from(split);
        let Some(join) = join else {
            if !own.is_empty() {
                return Err(self.impossible("it ends although payloads arrived at its join"));
            }
            self.end(End::Done, None, None, None);
            return Ok(());
        };
        if own.is_empty() || own_join.as_ref() != Some(join) {
            return Err(self.impossible(format!("nothing has arrived at the join `{join}`")));
        }
        self.inputs = Vec::with_capacity(own.len());
        self.joined = Vec::with_capacity(own.len());
        for arrival in own {
            for (station, times) in arrival.visits {
                let most = self.visits.entry(station).or_default();
                *most = times.max(*most);
            }
            self.inputs.push(arrival.payload);
            self.joined.push(arrival.workspace);
        }
        self.ready_at(join);
        Ok(())
    }

    fn clear(&mut self, how: &Clearing) -> Result<(), FoldError> {
        let Phase::Jammed {
            station,
            nth,
            course,
            jam,
            split,
            ..
        } = &mut self.phase
        else {
            return Err(self.misplaced("a jam is cleared"));
        };
        if *jam == Jam::Deadline {
            // whoever lets it go on all the same has seen that it is late
            self.ticket.deadline = None;
        }
        // Another jam tells nobody that a request may have been received.
        let told = matches!(jam, Jam::Diverged(_) | Jam::UnknownOutcome(_));
        let accepts = told || matches!(how, Clearing::Edit(_));
        let again = Phase::Ready {
            station: station.clone(),
            nth: *nth,
            attempt: 1,
            not_before: None,
            course: course.cleared(accepts),
        };
        let split = split.take();
        match (how, split) {
            (Clearing::Retry, Some(split)) => {
                self.phase = Phase::Split(Split {
                    until: None,
                    ..*split
                });
            }
            (Clearing::Retry | Clearing::Skip { .. }, None) => self.phase = again,
            (Clearing::Edit(payload), None) => {
                self.labels = payload.labels.clone();
                self.inputs = vec![payload.clone()];
                // a join with one input keeps that input's workspace; there is no edit of several
                self.joined.truncate(1);
                self.phase = again;
                // they were given for another payload
                if let Phase::Ready { course, .. } = &mut self.phase {
                    course.answers.clear();
                }
            }
            (Clearing::Scrap, split) => {
                if let Some(split) = split {
                    self.turn_from(*split);
                }
                self.end(End::Scrapped, None, None, None);
            }
            (Clearing::Edit(_) | Clearing::Skip { .. }, Some(_)) => {
                return Err(self.impossible("it waits for children"));
            }
        }
        Ok(())
    }
}

/// Gives the join of a split another name; none where it has no join.
fn rejoin(split: &mut Split, to: &Name) -> Option<()> {
    let was = split.join.replace(to.clone());
    split.was.push(was?);
    Some(())
}

impl Record {
    /// When it was.
    pub fn at(&self) -> Millis {
        match self {
            Self::Taken { at, .. }
            | Self::Started { at, .. }
            | Self::Interrupted { at, .. }
            | Self::Recalled { at, .. }
            | Self::Moved { at, .. }
            | Self::Split { at, .. }
            | Self::Finished { at, .. }
            | Self::Failed { at, .. }
            | Self::Jammed { at, .. }
            | Self::ChildEnded { at, .. }
            | Self::Gathered { at, .. }
            | Self::Cleared { at, .. }
            | Self::Asked { at, .. }
            | Self::Cancelled { at, .. }
            | Self::Relocated { at, .. }
            | Self::Erased { at, .. } => *at,
            Self::Answered { answer, .. } => answer.at,
        }
    }
}
