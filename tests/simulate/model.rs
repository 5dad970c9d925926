//! The reference model: what is held true of a line, written without looking at how the host does it. It
//! hears of every append that is handed to the journal, of every visit that begins and ends, and of every
//! notice, and keeps the first thing that cannot be.

use crate::known::{At, Known};
use andon::{
    conveyor::{Change, Notice, Revised},
    item::{Destination, Item, ItemId, Jam, Record},
    journal::{Append, Journal},
    name::Name,
    visit::{Millis, Visit},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) items: BTreeMap<ItemId, Known>,
    /// How many records of each are durable.
    durable: HashMap<ItemId, u64>,
    /// The first thing that cannot be.
    pub(crate) fault: Option<String>,
    /// Counts everything that happens.
    pub(crate) moved: u64,
    /// How often what happened: records of each kind, and what people and the world do.
    pub(crate) seen: BTreeMap<&'static str, u64>,
    pub(crate) revisions: BTreeMap<u64, Arc<Revised>>,
    /// What runs, and what was asked for and may run already.
    pub(crate) runs: Vec<Change>,
    /// Stations that were told to start nothing, and said so.
    pub(crate) paused: BTreeSet<Name>,
    pub(crate) at_rest: bool,
    begun: HashMap<(ItemId, Name, u32, u32, u32), u64>,
    told: HashMap<ItemId, u32>,
    /// Visits under way in the runner.
    under: HashSet<ItemId>,
    /// Results that were handed over for good; and those of which a crash may have taken that back.
    given: BTreeSet<ItemId>,
    perhaps: BTreeSet<ItemId>,
    /// The process is going.
    pub(crate) crashing: bool,
    /// What was taken from the line with all that was split from it, for sure.
    pub(crate) cancelled: BTreeSet<ItemId>,
    pub(crate) now: Millis,
    /// How far time has come, whatever was made of the clock.
    pub(crate) steady: Millis,
    /// What the clock showed when the conveyor last looked at it, and how far time had come.
    looked: (Millis, Millis),
    /// When the next attempts were to begin by that, as this process knows; and how much later is no wonder.
    ripe: HashMap<ItemId, Millis>,
    slack: Millis,
    /// The clock was set back in this process: times before the next attempt are shorter then.
    pub(crate) jumped_back: bool,
}

/// What sort of jam it is, for counting.
fn sort(jam: &Jam) -> &'static str {
    match jam {
        Jam::Retries(_) => "jam: retries",
        Jam::Rejected(_) => "jam: rejected",
        Jam::Exhausted(_) => "jam: exhausted",
        Jam::Missing(_) => "jam: missing",
        Jam::HostCrash => "jam: host-crash",
        Jam::Deadline => "jam: deadline",
        Jam::Unanswered => "jam: unanswered",
        Jam::Homeless(_) => "jam: homeless",
        Jam::Invalid(_) => "jam: invalid",
        Jam::Violation(_) => "jam: violation",
        _ => "jam: other",
    }
}

impl Model {
    pub(crate) fn found(&mut self, fault: impl FnOnce() -> String) {
        if self.fault.is_none() {
            self.fault = Some(fault());
        }
    }

    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// The conveyor hands an append to the journal.
    pub(crate) fn handed(&mut self, append: &Append) {
        self.moved += 1;
        if let Err(fault) = self.try_handed(append) {
            self.found(|| format!("item `{}`: {fault}", append.item));
        }
    }

    fn try_handed(&mut self, append: &Append) -> Result<(), String> {
        let id = &append.item;
        let known = self.items.get(id).map_or(0, |known| known.seq);
        if known != append.expected {
            return Err(format!(
                "appends at {} where it has {known} records",
                append.expected
            ));
        }
        let mut cleared = false;
        for record in &append.records {
            self.saw(record.kind());
            if let Record::Jammed { jam, .. }
            | Record::Moved {
                to: Destination::Nowhere(jam),
                ..
            } = record
            {
                self.saw(sort(jam));
            }
            self.may(id, record)?;
            match self.items.get_mut(id) {
                None => {
                    self.items.insert(id.clone(), Known::taken(record)?);
                }
                Some(known) => known.add(record, self.now, cleared)?,
            }
            cleared |= matches!(record, Record::Cleared { .. });
            match record {
                Record::Started { .. } => self.begins(id)?,
                Record::Failed { again, .. } => {
                    let ripe = self.steady + again.saturating_sub(self.now);
                    self.ripe.insert(id.clone(), ripe);
                }
                _ => {}
            }
        }
        self.items[id].agrees(&append.summary)
    }

    /// What a record needs of others than its item.
    fn may(&self, id: &ItemId, record: &Record) -> Result<(), String> {
        match record {
            Record::Taken { to, .. } => {
                let Some((parent, n)) = id.parent() else {
                    return match to {
                        Destination::Station(to) if !self.at_rest && self.is_full(to) => {
                            Err(format!("it is taken, and `{to}` is full"))
                        }
                        _ => Ok(()),
                    };
                };
                let parent = self.items.get(&parent).ok_or("its parent does not exist")?;
                if !parent.out.contains(&n) {
                    return Err("its parent does not wait for it".into());
                }
            }
            Record::ChildEnded { child, .. } => {
                let child = id.child(*child).ok_or("no such child can be")?;
                let known = self.items.get(&child).ok_or("its child does not exist")?;
                let durable = self.durable.get(&child).copied().unwrap_or(0);
                if !known.has_ended() || durable < known.ended {
                    return Err(format!(
                        "its child is {:?}, {durable} records durable",
                        known.at
                    ));
                }
            }
            Record::Started { revision, .. } => self.may_start(id, *revision)?,
            _ => {}
        }
        Ok(())
    }

    /// Whether new attempts may begin at a station by any revision that runs, now or perhaps.
    fn open(&self, station: &Name) -> bool {
        let lines = self.runs.iter().map(|change| {
            [&change.current]
                .into_iter()
                .chain(change.ramp.as_ref().map(|ramp| &ramp.to))
                .any(|revised| revised.line.stations.contains_key(station))
        });
        lines.into_iter().all(|has| has)
    }

    fn most(&self, station: &Name, of: impl Fn(&andon::line::Station) -> u32) -> u32 {
        let stations = self.revisions.values();
        let stations = stations.filter_map(|revised| revised.line.stations.get(station));
        stations.map(of).max().unwrap_or(u32::MAX)
    }

    fn may_start(&self, id: &ItemId, revision: u64) -> Result<(), String> {
        let known = self.items.get(id).ok_or("it does not exist")?;
        let station = known.station.as_ref().ok_or("it is at no station")?;
        if self.at_rest {
            return Err("it starts a visit while the line is at rest".into());
        }
        if let At::Waits {
            not_before: Some(at),
        } = known.at
            && at > self.now
            && !self.jumped_back
        {
            return Err(format!(
                "it starts at {} and was to wait until {at}",
                self.now
            ));
        }
        let right = match known.began {
            Some(began) => began == revision,
            None => self.runs.iter().any(|change| {
                let ramp = change.ramp.as_ref().filter(|ramp| ramp.takes(id));
                ramp.map_or(&change.current, |ramp| &ramp.to).number == revision
            }),
        };
        if !right {
            return Err(format!(
                "it starts on revision {revision}, and began on {:?}",
                known.began
            ));
        }
        if self.open(station) {
            if self.paused.contains(station) {
                return Err(format!("it starts at `{station}`, which is paused"));
            }
            let busy = self.items.values().filter(|other| {
                matches!(other.at, At::Works) && other.station.as_ref() == Some(station)
            });
            let (busy, most) = (busy.count() as u32, self.most(station, |it| it.workers));
            if busy >= most {
                return Err(format!(
                    "it is the {}th at `{station}`, with {most} workers",
                    busy + 1
                ));
            }
        }
        if let Some(full) = self.full_behind(station).filter(|_| self.open(station)) {
            return Err(format!("it starts at `{station}`, and `{full}` is full"));
        }
        let before = self.items.iter().find(|(_, other)| {
            other.station.as_ref() == Some(station)
                && other.at == (At::Waits { not_before: None })
                && other.priority < known.priority
        });
        if let Some((other, _)) = before {
            return Err(format!("it starts before `{other}`, which is more urgent"));
        }
        let attempts = self.most(station, |it| it.retry.attempts);
        if known.attempt > attempts {
            return Err(format!("attempt {} of {attempts}", known.attempt));
        }
        let bound = self.most(station, |it| it.visits.unwrap_or(u32::MAX));
        // children inherit what their ancestors were let in for, and joins what their children were
        let tree = self
            .items
            .iter()
            .filter(|(other, _)| other.root() == id.root());
        let extra: u32 = tree.filter_map(|(_, known)| known.extra.get(station)).sum();
        if known.nth > bound.saturating_add(extra) {
            return Err(format!("visit {} to `{station}`, of {bound}", known.nth));
        }
        if known.interruptions >= 3 {
            return Err(format!(
                "the host ended {} times in this visit",
                known.interruptions
            ));
        }
        Ok(())
    }

    /// A process begins: it knows of times only what is written.
    pub(crate) fn began(&mut self, now: Millis) {
        (self.now, self.jumped_back, self.slack) = (now, false, 0);
        let steady = self.steady;
        self.looked = (now, steady);
        let waiting = self.items.iter().filter_map(|(id, known)| match known.at {
            At::Waits {
                not_before: Some(at),
            } => Some((id.clone(), steady + at.saturating_sub(now))),
            _ => None,
        });
        self.ripe = waiting.collect();
    }

    /// The conveyor looks at the clock.
    pub(crate) fn looked(&mut self, now: Millis) {
        let (before, steady) = std::mem::replace(&mut self.looked, (now, self.steady));
        let passed = self.steady - steady;
        let set_back = (before + passed).saturating_sub(now);
        if set_back > 0 {
            // what passed since is not seen; and by less than a second a clock is only put right
            let is_followed = before.saturating_sub(now) >= 1000;
            self.slack += if is_followed { passed } else { set_back };
        }
    }

    /// Nothing moves any more at this time: whether somebody waits longer for it than if the clock had not
    /// been set back.
    pub(crate) fn waits_too_long(&self) -> Result<(), String> {
        for (id, known) in &self.items {
            if let (At::Waits { not_before }, Some(ripe), Some(station)) =
                (&known.at, self.ripe.get(id), &known.station)
                && not_before.is_some_and(|at| at > self.now)
                && self.steady > ripe + self.slack
                && !self.at_rest
                && !self.kept_back(station)
            {
                let late = self.steady - ripe;
                return Err(format!("item `{id}` waits {late} ms too long: {known:?}"));
            }
        }
        Ok(())
    }

    /// Whether the station at which the line asks is gone, and there is another one to go to.
    fn is_gone(&self, id: &ItemId, known: &Known) -> bool {
        let (Some(station), [change]) = (&known.station, &*self.runs) else {
            return false;
        };
        let ramp = change.ramp.as_ref().filter(|ramp| ramp.takes(id));
        let stations = &ramp.map_or(&change.current, |ramp| &ramp.to).line.stations;
        let to = change.moves.get(station);
        !stations.contains_key(station) && to.is_some_and(|to| stations.contains_key(to))
    }

    /// How many wait before a station.
    fn waiting(&self, station: &Name) -> usize {
        let waits = |known: &&Known| {
            matches!(known.at, At::Waits { .. }) && known.station.as_ref() == Some(station)
        };
        self.items.values().filter(waits).count()
    }

    fn is_full(&self, station: &Name) -> bool {
        self.waiting(station) >= self.most(station, |it| it.queue) as usize
    }

    /// A station right behind this one that takes no more, unless they are in one loop.
    fn full_behind(&self, station: &Name) -> Option<Name> {
        let lines = |change: &Change| {
            let ramp = change.ramp.as_ref().map(|ramp| &ramp.to);
            let all = [&change.current].into_iter().chain(ramp);
            let stations = all.filter_map(|revised| revised.line.stations.get(station));
            let names = stations.flat_map(|it| it.downstream().cloned());
            names.collect::<BTreeSet<Name>>()
        };
        let all = self.runs.iter().map(lines);
        let behind = all.reduce(|one, other| &one & &other).unwrap_or_default();
        let mut full = behind.into_iter().filter(|it| self.is_full(it));
        full.find(|it| !self.behind(it).contains(station))
    }

    /// A station and all that any revision leads to from there.
    fn behind(&self, station: &Name) -> BTreeSet<Name> {
        let mut seen = BTreeSet::new();
        let mut open = vec![station.clone()];
        while let Some(at) = open.pop() {
            if seen.insert(at.clone()) {
                let stations = self.revisions.values();
                let stations = stations.filter_map(|revised| revised.line.stations.get(&at));
                open.extend(stations.flat_map(|it| it.downstream()).cloned());
            }
        }
        seen
    }

    /// No attempt is made on two revisions.
    fn begins(&mut self, id: &ItemId) -> Result<(), String> {
        let known = &self.items[id];
        let (Some(station), Some(revision)) = (known.station.clone(), known.began) else {
            return Err("it begins nowhere".into());
        };
        let key = (
            id.clone(),
            station,
            known.nth,
            known.attempt,
            known.generation,
        );
        match self.begun.insert(key, revision) {
            Some(other) if other != revision => Err(format!(
                "the same attempt on the revisions {other} and {revision}"
            )),
            _ => Ok(()),
        }
    }

    /// The runner is given a visit.
    pub(crate) fn visited(&mut self, visit: &Visit) {
        self.moved += 1;
        let id = visit.item.clone();
        if !self.under.insert(id.clone()) {
            self.found(|| format!("item `{id}` is at work twice"));
        }
        let Some(known) = self.items.get(&id) else {
            return self.found(|| format!("item `{id}` is at work and does not exist"));
        };
        let as_known = known.at == At::Works
            && known.station.as_ref() == Some(&visit.station)
            && (known.nth, known.attempt) == (visit.nth, visit.attempt)
            && known.began == Some(visit.revision);
        if !as_known {
            let known = known.clone();
            self.found(|| format!("item `{id}` is at work as {visit:?}, and is {known:?}"));
        }
    }

    /// A visit is over, or was dropped.
    pub(crate) fn left(&mut self, item: &ItemId) {
        self.moved += 1;
        self.under.remove(item);
    }

    pub(crate) fn parted(&mut self, item: &ItemId) {
        if self.under.contains(item) {
            self.found(|| format!("item `{item}` is let go of during its visit"));
        }
    }

    pub(crate) fn written(&mut self, item: &ItemId, seq: u64) {
        self.moved += 1;
        self.durable.insert(item.clone(), seq);
    }

    /// Whether an item is durable with what somebody said.
    pub(crate) fn is_durable(&self, item: &ItemId) -> bool {
        self.durable.contains_key(item)
    }

    pub(crate) fn noticed(&mut self, notice: &Notice) {
        self.moved += 1;
        match notice {
            Notice::Taken { item, .. } if !self.is_durable(item) => {
                self.found(|| format!("item `{item}` is said to be taken, and is not durable"));
            }
            Notice::Ended { item } => {
                let times = self.told.entry(item.id.clone()).or_default();
                *times += 1;
                let times = *times;
                let durable = self.durable.get(&item.id).copied().unwrap_or(0);
                let known = self.items.get(&item.id);
                let ended = known.is_some_and(|known| known.has_ended() && durable >= known.ended);
                if times > 1 || !ended {
                    self.found(|| {
                        format!(
                            "the end of `{}` is told {times} times, durable: {ended}",
                            item.id
                        )
                    });
                }
            }
            _ => {}
        }
    }

    /// The process is gone: what is known is what the journal has.
    pub(crate) fn crashed(&mut self, journal: &dyn Journal) {
        self.under.clear();
        self.begun.clear();
        let before = std::mem::take(&mut self.items);
        let durable = std::mem::take(&mut self.durable);
        let found = journal.list(&andon::journal::Filter::default());
        for summary in found.unwrap_or_default() {
            let id = summary.item.clone();
            let records = journal.load(&id).unwrap_or_default();
            let seq = records.len() as u64;
            match self.again(&id, &records) {
                Ok(known) => {
                    if let Err(fault) = known.agrees(&summary) {
                        self.found(|| format!("item `{id}` after a crash: {fault}"));
                    }
                    self.items.insert(id.clone(), known);
                }
                Err(fault) => self.found(|| format!("item `{id}` after a crash: {fault}")),
            }
            if let Err(fault) = Item::fold(id.clone(), &records) {
                self.found(|| fault.to_string());
            }
            self.durable.insert(id, seq);
        }
        for (id, seq) in durable {
            let now = self.durable.get(&id).copied().unwrap_or(0);
            if now < seq {
                self.found(|| format!("item `{id}` had {seq} durable records, and has {now}"));
            }
        }
        for (id, known) in &self.items {
            let begun = known.began.zip(known.station.clone());
            if let Some((revision, station)) = begun {
                let key = (
                    id.clone(),
                    station,
                    known.nth,
                    known.attempt,
                    known.generation,
                );
                self.begun.insert(key, revision);
            }
        }
        drop(before);
    }

    fn again(&self, _: &ItemId, records: &[Record]) -> Result<Known, String> {
        let (first, rest) = records.split_first().ok_or("it has no records")?;
        let mut known = Known::taken(first)?;
        let mut cleared = false;
        for record in rest {
            // when each was is said by the record itself here
            known.add(record, record.at(), cleared)?;
            cleared = matches!(record, Record::Cleared { .. });
        }
        Ok(known)
    }

    /// Results are handed over for good.
    pub(crate) fn given(&mut self, items: &[ItemId]) {
        let to = match self.crashing {
            true => &mut self.perhaps,
            false => &mut self.given,
        };
        to.extend(items.iter().cloned());
    }

    /// What a store says it has to hand over is what ended with a result and was not handed over.
    pub(crate) fn owed(&mut self, undelivered: &[ItemId]) {
        let ended = self.items.iter().filter(|(id, known)| {
            let durable = self.durable.get(*id).copied().unwrap_or(0);
            known.has_ended() && known.result && durable >= known.ended
        });
        let mut owed: BTreeSet<ItemId> = ended.map(|(id, _)| id.clone()).collect();
        owed.retain(|id| !self.given.contains(id));
        let said: BTreeSet<ItemId> = undelivered.iter().cloned().collect();
        let given: Vec<ItemId> = owed.difference(&said).cloned().collect();
        if !said.is_subset(&owed) || given.iter().any(|id| !self.perhaps.contains(id)) {
            let text = format!("owed are the results {owed:?}, and the journal says {said:?}");
            self.found(|| text);
        }
        self.given.extend(given);
        self.perhaps.clear();
    }

    /// The latest time that somebody waits for, after now.
    pub(crate) fn latest(&self) -> Option<Millis> {
        let times = self.items.values().filter_map(|known| match known.at {
            At::Waits { not_before } => not_before,
            At::Held { until } | At::Split { until, .. } => until,
            _ => None,
        });
        times.filter(|at| *at > self.now).max()
    }

    /// Nothing moves any more, and no time is left to wait for: whether that is right.
    pub(crate) fn rests(&self) -> Result<(), String> {
        for (id, known) in &self.items {
            let wrong = |why: String| Err(format!("item `{id}` {why}: {known:?}"));
            let mut above = id.parent();
            while let Some((parent, _)) = above {
                if self.cancelled.contains(&parent) && !known.has_ended() {
                    return wrong(format!("goes on, and `{parent}` is cancelled"));
                }
                above = parent.parent();
            }
            match &known.at {
                At::Works => return wrong("works, and nobody works on it".into()),
                At::Waits { .. } if self.at_rest => {}
                At::Waits { .. } => {
                    let station = known.station.as_ref();
                    if !station.is_some_and(|station| self.kept_back(station)) {
                        return wrong("waits, and nothing keeps it".into());
                    }
                }
                At::Held { .. } if known.began.is_none() && self.is_gone(id, known) => {
                    return wrong("is held where nobody asks any more".into());
                }
                At::Held { until: Some(until) } if !self.at_rest => {
                    return wrong(format!("is held past {until}"));
                }
                At::Split {
                    until: Some(until), ..
                } if !self.at_rest => {
                    return wrong(format!("waits for children past {until}"));
                }
                At::Split { waits, .. } if waits.is_empty() => {
                    return wrong("waits for no child".into());
                }
                _ => {}
            }
            for n in known.waits_for() {
                let child = id.child(*n).and_then(|child| self.items.get(&child));
                if child.is_none_or(Known::has_ended) {
                    return wrong(format!(
                        "waits for its child {n}, which is {:?}",
                        child.map(|it| &it.at)
                    ));
                }
            }
            if let Some((parent, n)) = id.parent()
                && known.has_ended()
                && let Some(parent) = self.items.get(&parent)
                && parent.out.contains(&n)
                // whoever is held or has ended need not hear of those that it went on without
                && !matches!(parent.at, At::Held { .. } | At::Ended(_))
            {
                return wrong("has ended, and its parent has not heard".into());
            }
        }
        Ok(())
    }

    /// What the board has to show: items that wait, work, are held and are jammed, by station.
    pub(crate) fn counts(&self) -> BTreeMap<Name, [u64; 4]> {
        let mut counts: BTreeMap<Name, [u64; 4]> = BTreeMap::new();
        for known in self.items.values() {
            let which = match known.at {
                At::Waits { .. } => 0,
                At::Works => 1,
                At::Held { .. } => 2,
                At::Jammed | At::Stuck { .. } => 3,
                At::Split { .. } | At::Ended(_) => continue,
            };
            if let Some(station) = &known.station {
                counts.entry(station.clone()).or_default()[which] += 1;
            }
        }
        counts
    }

    /// Whether a station that is paused keeps items from starting here: this one, or one behind it before
    /// which some wait.
    pub(crate) fn kept_back(&self, station: &Name) -> bool {
        let held_up = |at: &Name| self.paused.contains(at) && self.waiting(at) > 0;
        self.behind(station).iter().any(held_up)
    }
}
