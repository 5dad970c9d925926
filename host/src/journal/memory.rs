//! The journal in memory: for tests, benchmarks and dry runs. Plain, it is as fast as a store can be;
//! unruly, it treats messages as badly as the trait allows any store to.

mod standing;
mod upkeep;

use super::{
    Append, Delivery, DeliveryState, Filter, Journal, JournalError, LineState, PhaseKind,
    RetoolRecord, Seq, Summary,
    audit::{
        self, AuditFilter, Chain, Encoded, Flaw, Following, Found, Kept as KeptEntry, Verified,
    },
};
use crate::{
    audit::Entry,
    digest::Digest,
    effect::{Effect, VisitKey},
    item::{ItemId, Message, Record},
    name::Name,
    visit::Millis,
};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// A journal that is gone when it is dropped. An append is kept when the call returns.
pub struct Memory {
    kept: Mutex<Kept>,
}

/// What is for a line, and who waits for it.
#[derive(Default)]
struct Inbox {
    messages: Vec<Message>,
    news: Arc<Notify>,
}

#[derive(Default)]
struct Kept {
    items: HashMap<ItemId, Life>,
    /// In the order in which they were taken in.
    order: Vec<ItemId>,
    /// How many ever came to be.
    born: u64,
    delivered: HashSet<ItemId>,
    deliveries: BTreeMap<(ItemId, Name), Delivery>,
    /// Each with the number of the last append that handed it over.
    blobs: HashMap<Digest, (Bytes, u64)>,
    handed_over: u64,
    /// Inputs that are known and gone, since when.
    forgotten: BTreeMap<ItemId, Millis>,
    /// Entries of the audit, from 0, of which only the headings are left.
    erased: HashSet<usize>,
    epoch: u64,
    /// How far sources are, by line and source.
    sources: BTreeMap<(Name, Name), String>,
    revisions: HashMap<Name, Vec<String>>,
    lines: BTreeMap<Name, (LineState, Vec<RetoolRecord>)>,
    /// By line.
    inboxes: HashMap<Name, Inbox>,
    /// In the order in which they were first heard of.
    effects: HashMap<ItemId, Vec<(VisitKey, Effect)>>,
    /// Each with the chain up to it.
    audit: Vec<(Encoded, Digest)>,
    chain: Chain,
    failed: Option<JournalError>,
    /// Trying again fails as well.
    broken: bool,
    closed: bool,
    mischief: Option<Dice>,
}

struct Life {
    /// From 1, in the order in which items came to be.
    position: u64,
    records: Vec<Record>,
    summary: Summary,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// One that passes each message on once, in order.
    pub fn new() -> Self {
        Self {
            kept: Mutex::default(),
        }
    }

    /// One that delays, repeats and reorders messages, the same way for the same seed and calls.
    pub fn unruly(seed: u64) -> Self {
        let memory = Self::new();
        memory.kept().mischief = Some(Dice(seed));
        memory
    }

    /// Lets every append from now on fail with this, until it is mended and tried again.
    pub fn fail(&self, cause: JournalError) {
        let mut kept = self.kept();
        kept.failed = Some(cause);
        kept.broken = true;
    }

    /// Ends what [`Self::fail`] began: the next [`Journal::try_again`] goes well.
    pub fn mend(&self) {
        self.kept().broken = false;
    }

    /// Ends [`Journal::messages`] once what is there is fetched.
    pub fn close(&self) {
        let mut kept = self.kept();
        kept.closed = true;
        for inbox in kept.inboxes.values() {
            inbox.news.notify_one();
        }
    }

    /// Keeps blobs that no record names.
    #[cfg(test)]
    pub(crate) fn keep_blobs(&self, blobs: impl IntoIterator<Item = (Digest, Bytes)>) {
        self.kept().keep_blobs(blobs);
    }

    /// How many blobs there are.
    #[cfg(test)]
    pub(crate) fn number_of_blobs(&self) -> usize {
        self.kept().blobs.len()
    }

    /// A panic elsewhere is a failed test; what is kept is looked at all the same.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for Memory {
    fn load(&self, item: &ItemId) -> Result<Vec<Record>, JournalError> {
        let kept = self.kept();
        Ok(kept
            .items
            .get(item)
            .map_or_else(Vec::new, |life| life.records.clone()))
    }

    fn knows(&self, item: &ItemId) -> Result<bool, JournalError> {
        let kept = self.kept();
        Ok(kept.items.contains_key(item) || kept.forgotten.contains_key(item))
    }

    fn append(&self, append: Append) -> BoxFuture<'static, Result<Seq, JournalError>> {
        let result = self.kept().append(append);
        std::future::ready(result).boxed()
    }

    fn messages(&self, line: &Name) -> BoxFuture<'_, Vec<Message>> {
        let line = line.clone();
        async move {
            loop {
                let news = {
                    let mut kept = self.kept();
                    let messages = kept.some_messages(&line);
                    let inbox = kept.inboxes.entry(line.clone()).or_default();
                    let (news, left) = (inbox.news.clone(), !inbox.messages.is_empty());
                    if left {
                        news.notify_one();
                    }
                    if kept.closed || !messages.is_empty() {
                        return messages;
                    }
                    news
                };
                // What comes in between leaves a permit behind.
                news.notified().await;
            }
        }
        .boxed()
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Summary>, JournalError> {
        let kept = self.kept();
        let mut all: Vec<_> = kept
            .order
            .iter()
            .filter_map(|item| kept.items.get(item))
            .map(|life| &life.summary)
            .filter(|summary| fits(filter, summary))
            .cloned()
            .collect();
        match filter.newest {
            true => all.reverse(),
            false => all.sort_by_key(|summary| summary.taken),
        }
        if let Some(after) = &filter.after {
            let place = |item: &ItemId| kept.order.iter().position(|it| it == item);
            let of = |summary: &Summary| (summary.taken, place(&summary.item));
            let after = kept.items.get(after).map(|life| of(&life.summary));
            all.retain(|summary| after.is_some_and(|after| of(summary) > after));
        }
        all.truncate(filter.most.unwrap_or(usize::MAX));
        Ok(all)
    }

    fn counts(&self, line: &Name) -> Result<Vec<(PhaseKind, Option<Name>, u64)>, JournalError> {
        let mut all: Vec<(PhaseKind, Option<Name>, u64)> = Vec::new();
        for life in self.kept().items.values() {
            let Summary { phase, station, .. } = &life.summary;
            if life.summary.line != *line {
                continue;
            }
            match all.iter_mut().find(|it| it.0 == *phase && it.1 == *station) {
                Some(known) => known.2 += 1,
                None => all.push((*phase, station.clone(), 1)),
            }
        }
        Ok(all)
    }

    fn any(&self, filter: &Filter) -> Result<bool, JournalError> {
        let kept = self.kept();
        Ok((kept.items.values()).any(|life| fits(filter, &life.summary)))
    }

    fn begun(&self, line: &Name) -> Result<BTreeSet<u64>, JournalError> {
        let kept = self.kept();
        let theirs = kept.items.values().map(|life| &life.summary);
        let theirs = theirs.filter(|summary| summary.line == *line);
        Ok(theirs.filter_map(|summary| summary.began).collect())
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, JournalError> {
        let kept = self.kept();
        Ok(kept.blobs.get(digest).map(|(bytes, _)| bytes.clone()))
    }

    fn undelivered(&self, line: &Name) -> Result<Vec<ItemId>, JournalError> {
        let kept = self.kept();
        let mut all: Vec<_> = kept
            .order
            .iter()
            .filter(|item| !kept.delivered.contains(*item))
            .filter_map(|item| kept.items.get(item))
            .filter(|life| life.summary.result && life.summary.line == *line)
            .map(|life| (life.summary.changed, life.summary.item.clone()))
            .collect();
        all.sort_by_key(|(changed, _)| *changed);
        Ok(all.into_iter().map(|(_, item)| item).collect())
    }

    fn delivered(&self, items: Vec<ItemId>) -> BoxFuture<'static, Result<(), JournalError>> {
        let mut kept = self.kept();
        let result = kept.check();
        if result.is_ok() {
            for item in items {
                if kept
                    .items
                    .get(&item)
                    .is_some_and(|life| life.summary.result)
                {
                    kept.delivered.insert(item);
                }
            }
        }
        std::future::ready(result).boxed()
    }

    fn owed(
        &self,
        line: &Name,
        sink: &Name,
        until: Millis,
        most: usize,
    ) -> Result<Vec<Delivery>, JournalError> {
        let kept = self.kept();
        let mut all: Vec<_> = kept
            .order
            .iter()
            .filter(|item| !kept.delivered.contains(*item))
            .filter_map(|item| kept.items.get(item))
            .filter(|life| life.summary.result && life.summary.line == *line)
            .map(|life| {
                let key = (life.summary.item.clone(), sink.clone());
                let known = kept.deliveries.get(&key).cloned();
                known.unwrap_or_else(|| Delivery::first(key.0, key.1, life.summary.changed))
            })
            .filter(|delivery| delivery.state == DeliveryState::Owed && delivery.next <= until)
            .collect();
        all.sort_by_key(|delivery| delivery.next);
        all.truncate(most);
        Ok(all)
    }

    fn deliveries(&self, item: &ItemId) -> Result<Vec<Delivery>, JournalError> {
        let kept = self.kept();
        let of_item = |delivery: &&Delivery| delivery.item == *item;
        Ok(kept.deliveries.values().filter(of_item).cloned().collect())
    }

    fn keep_deliveries(
        &self,
        deliveries: Vec<Delivery>,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let mut kept = self.kept();
        let result = kept.check();
        if result.is_ok() {
            for delivery in deliveries {
                if kept.items.contains_key(&delivery.item) {
                    let key = (delivery.item.clone(), delivery.sink.clone());
                    kept.deliveries.insert(key, delivery.bounded());
                }
            }
        }
        std::future::ready(result).boxed()
    }

    fn keep_source(
        &self,
        line: &Name,
        source: &Name,
        state: &str,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let mut kept = self.kept();
        let result = kept.check();
        if result.is_ok() {
            let key = (line.clone(), source.clone());
            kept.sources.insert(key, state.into());
        }
        std::future::ready(result).boxed()
    }

    fn source(&self, line: &Name, source: &Name) -> Result<Option<String>, JournalError> {
        let kept = self.kept();
        let key = (line.clone(), source.clone());
        Ok(kept.sources.get(&key).cloned())
    }

    fn audit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), JournalError>> {
        let mut kept = self.kept();
        let result = kept.check().and_then(|()| {
            let encoded: Result<Vec<_>, _> = entries.into_iter().map(audit::encode).collect();
            let encoded = encoded.map_err(|reason| JournalError::Other {
                path: "memory".into(),
                reason,
            });
            if let Err(cause) = &encoded {
                kept.failed = Some(cause.clone());
            }
            encoded
        });
        let result = result.map(|encoded| {
            for entry in encoded {
                kept.chain = kept.chain.with(&entry.heading, &entry.digest);
                let head = kept.chain.head;
                kept.audit.push((entry, head));
            }
        });
        std::future::ready(result).boxed()
    }

    fn audited(&self, filter: &AuditFilter) -> Result<Vec<KeptEntry>, JournalError> {
        let kept = self.kept();
        let mut fitting: Vec<_> = (1..)
            .zip(&kept.audit)
            .filter(|(seq, (entry, _))| filter.fits(*seq, &entry.heading))
            .collect();
        let most = filter.most.unwrap_or(usize::MAX).min(fitting.len());
        if filter.newest {
            fitting.drain(..fitting.len() - most);
        } else {
            fitting.truncate(most);
        }
        let damaged = |reason| JournalError::Damaged {
            path: "memory".into(),
            reason,
        };
        let kept_entry = |(seq, (entry, chain)): (u64, &(Encoded, Digest))| {
            Ok(KeptEntry {
                seq,
                heading: entry.heading.clone(),
                entry: match kept.erased.contains(&(seq as usize - 1)) {
                    true => None,
                    false => Some(audit::decode(&entry.facts).map_err(damaged)?),
                },
                digest: entry.digest,
                chain: *chain,
            })
        };
        fitting.into_iter().map(kept_entry).collect()
    }

    fn verify(&self, noted: Option<Chain>) -> Result<Result<Verified, Flaw>, JournalError> {
        let kept = self.kept();
        let mut following = Following::new(noted);
        for (seq, (entry, chain)) in (1..).zip(&kept.audit) {
            let erased = kept.erased.contains(&(seq as usize - 1));
            let found = Found {
                seq,
                heading: Some(entry.heading.clone()),
                facts: (!erased).then_some(&entry.facts),
                digest: Some(entry.digest),
                chain: Some(*chain),
            };
            if let Err(flaw) = following.next(&found) {
                return Ok(Err(flaw));
            }
        }
        Ok(following.end(Some(kept.chain)))
    }

    fn intend(
        &self,
        visit: VisitKey,
        effect: Effect,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        std::future::ready(self.kept().effect(visit, effect)).boxed()
    }

    fn ended(
        &self,
        visit: VisitKey,
        effect: Effect,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        std::future::ready(self.kept().effect(visit, effect)).boxed()
    }

    fn effects(
        &self,
        item: ItemId,
        visit: Option<(Name, u32)>,
    ) -> BoxFuture<'_, Result<Vec<(VisitKey, Effect)>, JournalError>> {
        let kept = self.kept();
        let of = |key: &VisitKey| {
            let one = visit.as_ref();
            one.is_none_or(|(station, nth)| key.station == *station && key.nth == *nth)
        };
        let all = kept.effects.get(&item).into_iter().flatten();
        let mut all: Vec<_> = all.filter(|(key, _)| of(key)).cloned().collect();
        match visit {
            Some(_) => all.sort_by_key(|(_, effect)| (effect.run, effect.number)),
            None => all.sort_by_key(|(_, effect)| effect.at),
        }
        std::future::ready(kept.check().map(|()| all)).boxed()
    }

    fn recorded_until(&self, visit: &VisitKey, first: u32) -> Result<Millis, JournalError> {
        let kept = self.kept();
        let all = kept.effects.get(&visit.item).into_iter().flatten();
        let ends = all
            .filter(|(key, effect)| key == visit && effect.run >= first)
            .filter_map(|(_, effect)| Some(effect.end.as_ref()?.at));
        Ok(ends.max().unwrap_or(0))
    }

    fn keep_revision(&self, line: &Name, definition: &str) -> Result<u64, JournalError> {
        let mut kept = self.kept();
        kept.check()?;
        let all = kept.revisions.entry(line.clone()).or_default();
        if all.last().is_none_or(|newest| newest != definition) {
            all.push(definition.into());
        }
        Ok(all.len() as u64)
    }

    fn revision(&self, line: &Name, number: u64) -> Result<Option<String>, JournalError> {
        let kept = self.kept();
        let all = kept.revisions.get(line).map_or(&[][..], |all| &all[..]);
        let position = number.checked_sub(1).and_then(|n| usize::try_from(n).ok());
        Ok(position.and_then(|n| all.get(n)).cloned())
    }

    fn keep_line(
        &self,
        state: LineState,
        record: Option<RetoolRecord>,
    ) -> BoxFuture<'static, Result<(), JournalError>> {
        let mut kept = self.kept();
        let result = kept.check();
        if result.is_ok() {
            let history = kept.lines.remove(&state.line).map(|(_, history)| history);
            let mut history = history.unwrap_or_default();
            history.extend(record);
            kept.lines.insert(state.line.clone(), (state, history));
        }
        std::future::ready(result).boxed()
    }

    fn lines(&self) -> Result<Vec<LineState>, JournalError> {
        let kept = self.kept();
        Ok(kept
            .lines
            .values()
            .map(|(state, _)| state.clone())
            .collect())
    }

    fn retools(&self, line: &Name) -> Result<Vec<RetoolRecord>, JournalError> {
        let kept = self.kept();
        let history = kept.lines.get(line).map(|(_, history)| history.clone());
        Ok(history.unwrap_or_default())
    }

    fn try_again(&self) -> BoxFuture<'static, Result<(), JournalError>> {
        let mut kept = self.kept();
        let result = match &kept.failed {
            Some(cause) if kept.broken => Err(cause.clone()),
            Some(_) => {
                kept.failed = None;
                kept.inboxes.clear();
                Ok(())
            }
            None => Ok(()),
        };
        std::future::ready(result).boxed()
    }

    /// The same always: whoever wants runs that can be repeated wants ids that can be, too.
    fn factory(&self) -> [u8; 16] {
        *b"andon's memory.."
    }
}

impl Kept {
    fn check(&self) -> Result<(), JournalError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn effect(&mut self, visit: VisitKey, effect: Effect) -> Result<(), JournalError> {
        self.check()?;
        if !self.items.contains_key(&visit.item) {
            return Err(JournalError::unknown_item(&visit.item));
        }
        let all = self.effects.entry(visit.item.clone()).or_default();
        let same = |(key, known): &&mut (VisitKey, Effect)| {
            *key == visit && (known.run, known.number) == (effect.run, effect.number)
        };
        match all.iter_mut().find(same) {
            Some((_, known)) => known.end = effect.end,
            None => all.push((visit, effect)),
        }
        Ok(())
    }

    fn append(&mut self, append: Append) -> Result<Seq, JournalError> {
        self.check()?;
        let Append {
            item,
            expected,
            records,
            messages,
            blobs,
            summary,
        } = append;
        let found = self
            .items
            .get(&item)
            .map_or(0, |life| life.records.len() as Seq);
        if found != expected {
            return Err(JournalError::Conflict {
                item,
                expected,
                found,
            });
        }
        let seq = expected + records.len() as Seq;
        let inbox = summary.line.clone();
        match self.items.get_mut(&item) {
            Some(life) => {
                life.records.extend(records);
                life.summary = summary;
            }
            None => {
                self.born += 1;
                let life = Life {
                    position: self.born,
                    records,
                    summary,
                };
                self.order.push(item.clone());
                self.items.insert(item, life);
            }
        }
        self.keep_blobs(blobs);
        if !messages.is_empty() {
            let inbox = self.inboxes.entry(inbox).or_default();
            for message in messages {
                if let Some(dice) = &mut self.mischief
                    && dice.below(4) == 0
                {
                    inbox.messages.push(message.clone());
                }
                inbox.messages.push(message);
            }
            inbox.news.notify_one();
        }
        Ok(seq)
    }

    fn keep_blobs(&mut self, blobs: impl IntoIterator<Item = (Digest, Bytes)>) {
        for (digest, bytes) in blobs {
            self.handed_over += 1;
            self.blobs.insert(digest, (bytes, self.handed_over));
        }
    }

    /// All messages for a line in their order; where it is unruly, some of them in any.
    fn some_messages(&mut self, line: &Name) -> Vec<Message> {
        let Some(inbox) = self.inboxes.get_mut(line) else {
            return Vec::new();
        };
        let Some(dice) = &mut self.mischief else {
            return std::mem::take(&mut inbox.messages);
        };
        let number = inbox.messages.len();
        for i in (1..number).rev() {
            inbox.messages.swap(i, dice.below(i + 1));
        }
        // at least one, so that waiting for the rest comes to an end
        let some = if number == 0 {
            0
        } else {
            1 + dice.below(number)
        };
        inbox.messages.drain(..some).collect()
    }
}

fn fits(filter: &Filter, summary: &Summary) -> bool {
    let is_in = |root: &ItemId| {
        summary
            .item
            .as_str()
            .strip_prefix(root.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    filter
        .line
        .as_ref()
        .is_none_or(|line| *line == summary.line)
        && (filter.phases.is_empty() || filter.phases.contains(&summary.phase))
        && (filter.station.is_none() || filter.station == summary.station)
        && filter.root.as_ref().is_none_or(is_in)
        && (!filter.inputs || summary.item.parent().is_none())
        && (filter.begins.as_ref()).is_none_or(|begins| summary.item.as_str().starts_with(begins))
}

/// A small generator (SplitMix64): enough to be unruly, and no dependency.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }
}
