//! What happens on the lines, numbered, for whoever follows it: the newest are kept, so that a
//! follower who was away for a moment misses nothing, and who was away for longer is told so.

use super::stopped;
use crate::{conveyor::Notice, item::ItemId, lines::LineNotice, name::Name};
use futures::{Stream, stream};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use tokio::sync::{Notify, broadcast, watch};
use utoipa::ToSchema;

/// As many events are kept.
const KEPT: usize = 4096;
/// As many are looked at together for one follower.
const BATCH: usize = 64;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// An input was taken.
    Taken {
        /// Its line.
        line: Name,
        /// Its item.
        item: ItemId,
        /// Its name.
        source: String,
    },
    /// An item jammed.
    Jammed {
        /// Its line.
        line: Name,
        /// The item.
        item: ItemId,
        /// The station at which it jammed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        station: Option<Name>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// An item waits for somebody's answer.
    Held {
        /// Its line.
        line: Name,
        /// The item.
        item: ItemId,
        /// The station at which it is held.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        station: Option<Name>,
        /// What is asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// An item ended.
    Ended {
        /// Its line.
        line: Name,
        /// The item.
        item: ItemId,
        /// How: `done`, `scrapped` or `joined`.
        phase: String,
        /// Whether it has a result.
        result: bool,
    },
    /// Some events are missing here: whoever follows was too slow or away for too long.
    Lost,
}

impl Event {
    /// What a notice says; none where it says nothing that anybody follows.
    pub(super) fn of(LineNotice { line, notice }: &LineNotice) -> Option<Self> {
        let line = line.clone();
        Some(match notice {
            Notice::Taken { item, source } => Self::Taken {
                line,
                item: item.clone(),
                source: source.clone(),
            },
            Notice::Known { .. } => return None,
            Notice::Jammed { summary } => Self::Jammed {
                line,
                item: summary.item.clone(),
                station: summary.station.clone(),
                reason: summary.reason.clone(),
            },
            Notice::Held { summary } => Self::Held {
                line,
                item: summary.item.clone(),
                station: summary.station.clone(),
                reason: summary.reason.clone(),
            },
            Notice::Ended { item } => {
                let summary = item.summary();
                Self::Ended {
                    line,
                    phase: summary.phase.key().into(),
                    result: summary.result,
                    item: summary.item,
                }
            }
        })
    }

    /// Its name.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "taken",
            Self::Jammed { .. } => "jammed",
            Self::Held { .. } => "held",
            Self::Ended { .. } => "ended",
            Self::Lost => "lost",
        }
    }

    /// The line and the item that it is about; none where it is about no single one.
    pub(super) fn about(&self) -> Option<(&Name, &ItemId)> {
        match self {
            Self::Taken { line, item, .. }
            | Self::Jammed { line, item, .. }
            | Self::Held { line, item, .. }
            | Self::Ended { line, item, .. } => Some((line, item)),
            Self::Lost => None,
        }
    }
}

/// The newest events, and who waits for what.
pub(super) struct Events {
    /// Tells this daemon's numbers from those of another.
    epoch: u64,
    kept: Mutex<VecDeque<Arc<Event>>>,
    /// The number of the newest; the first is 1.
    newest: watch::Sender<u64>,
    waiting: Mutex<HashMap<ItemId, Weak<Notify>>>,
}

/// Waits for something to happen to an item.
pub(super) struct Waiter {
    item: ItemId,
    events: Arc<Events>,
    notify: Arc<Notify>,
}

impl Events {
    /// None yet, of the daemon that began at `epoch`.
    pub(super) fn new(epoch: u64) -> Arc<Self> {
        Arc::new(Self {
            epoch,
            kept: Mutex::default(),
            newest: watch::Sender::new(0),
            waiting: Mutex::default(),
        })
    }

    /// Keeps what is noticed until nothing more can be.
    pub(super) async fn listen(self: Arc<Self>, mut notices: broadcast::Receiver<Arc<LineNotice>>) {
        loop {
            match notices.recv().await {
                Ok(notice) => {
                    if let Some(event) = Event::of(&notice) {
                        self.keep(event);
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => self.keep(Event::Lost),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn keep(&self, event: Event) {
        let about = event.about().map(|(_, item)| item.clone());
        let mut kept = locked(&self.kept);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::new(event));
        // Under the lock, so that numbers and events belong together.
        self.newest.send_modify(|newest| *newest += 1);
        drop(kept);
        let waiting = locked(&self.waiting);
        let wake = |weak: &Weak<Notify>| {
            if let Some(notify) = weak.upgrade() {
                notify.notify_waiters();
            }
        };
        match about {
            Some(item) => waiting.get(&item).into_iter().for_each(wake),
            // It may have been anybody's.
            None => waiting.values().for_each(wake),
        }
    }

    /// The events after number `after`, each with its number. [`Event::Lost`] stands where some are not
    /// kept any more.
    fn after(&self, after: u64) -> Vec<(u64, Arc<Event>)> {
        let kept = locked(&self.kept);
        let newest = *self.newest.borrow();
        let oldest = newest + 1 - kept.len() as u64;
        let mut found = Vec::new();
        let mut next = after + 1;
        if next < oldest {
            found.push((oldest - 1, Arc::new(Event::Lost)));
            next = oldest;
        }
        let skipped = (next - oldest) as usize;
        let events = kept.iter().skip(skipped).take(BATCH);
        found.extend((next..).zip(events.cloned()));
        found
    }

    /// The id of the event of this number, as followers give it back.
    pub(super) fn id(&self, number: u64) -> String {
        format!("{:x}-{number}", self.epoch)
    }

    /// The events after the one with this id, and all that come, until `stop` is signalled. Without an
    /// id: those that come from now on.
    pub(super) fn follow(
        self: &Arc<Self>,
        after: Option<&str>,
        stop: watch::Receiver<bool>,
    ) -> impl Stream<Item = (u64, Arc<Event>)> + use<> {
        let now = *self.newest.borrow();
        let (from, lost) = match after {
            None => (now, false),
            Some(id) => match self.number(id) {
                Some(number) => (number, false),
                // Of another daemon, or none at all.
                None => (now, true),
            },
        };
        let first = lost.then(|| (now, Arc::new(Event::Lost)));
        let follower = (Arc::clone(self), self.newest.subscribe(), stop, from);
        let later = stream::unfold(follower, async |(events, mut newest, stop, mut from)| {
            loop {
                // Seen before it is looked for, so that none comes in between.
                newest.borrow_and_update();
                let found = events.after(from);
                if let Some((last, _)) = found.last() {
                    from = *last;
                    return Some((stream::iter(found), (events, newest, stop, from)));
                }
                tokio::select! {
                    () = stopped(stop.clone()) => return None,
                    changed = newest.changed() => changed.ok()?,
                }
            }
        });
        use futures::StreamExt as _;
        stream::iter(first).chain(later.flatten())
    }

    fn number(&self, id: &str) -> Option<u64> {
        let (epoch, number) = id.split_once('-')?;
        let number = number.parse().ok()?;
        let own = u64::from_str_radix(epoch, 16) == Ok(self.epoch);
        (own && number <= *self.newest.borrow()).then_some(number)
    }

    /// To wait for something to happen to an item.
    pub(super) fn waiter(self: &Arc<Self>, item: &ItemId) -> Waiter {
        let mut waiting = locked(&self.waiting);
        let known = waiting.get(item).and_then(Weak::upgrade);
        let notify = known.unwrap_or_else(|| {
            let notify = Arc::new(Notify::new());
            waiting.insert(item.clone(), Arc::downgrade(&notify));
            notify
        });
        Waiter {
            item: item.clone(),
            events: self.clone(),
            notify,
        }
    }
}

impl Waiter {
    /// Looks until there is something: now, and whenever something happened to the item.
    pub(super) async fn until<T, E>(
        &self,
        mut look: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<T, E> {
        loop {
            let mut happened = std::pin::pin!(self.notify.notified());
            // Before it is looked for, so that nothing happens in between unheard.
            happened.as_mut().enable();
            if let Some(found) = look()? {
                return Ok(found);
            }
            happened.await;
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = locked(&self.events.waiting);
        if Arc::strong_count(&self.notify) == 1 {
            waiting.remove(&self.item);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept is whole whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt as _, StreamExt as _};

    fn taken(source: impl ToString) -> Event {
        let line: Name = "l".parse().expect("a name");
        Event::Taken {
            item: ItemId::input(&[0; 16], &line, &source.to_string()),
            line,
            source: source.to_string(),
        }
    }

    /// What comes at once.
    fn ready(stream: impl Stream<Item = (u64, Arc<Event>)>) -> Vec<(u64, Event)> {
        let mut stream = std::pin::pin!(stream);
        std::iter::from_fn(|| stream.next().now_or_never().flatten())
            .map(|(number, event)| (number, (*event).clone()))
            .collect()
    }

    #[test]
    fn a_follower_goes_on_where_it_was_or_is_told_that_it_cannot() {
        let events = Events::new(0xab);
        let stop = || watch::channel(false);
        for n in 1..=3 {
            events.keep(taken(n));
        }
        let (_going, stopped) = stop();
        let all = events.follow(Some("ab-1"), stopped.clone());
        assert_eq!(ready(all), [(2, taken(2)), (3, taken(3))]);
        for foreign in ["cd-1", "ab-4", "ab-x", "", "ab"] {
            let all = events.follow(Some(foreign), stopped.clone());
            assert_eq!(ready(all), [(3, Event::Lost)], "{foreign}");
        }
        let new = events.follow(None, stopped.clone());
        events.keep(taken(4));
        assert_eq!(ready(new), [(4, taken(4))]);
        for n in 5..=KEPT + 10 {
            events.keep(taken(n));
        }
        let all = ready(events.follow(Some("ab-2"), stopped));
        assert_eq!(all[0], (10, Event::Lost));
        assert_eq!(all[1], (11, taken(11)));
        assert_eq!(all.len(), KEPT + 1);
        assert_eq!(all[KEPT].0, (KEPT + 10) as u64);
    }

    #[test]
    fn a_follower_ends_with_the_daemon() {
        let events = Events::new(1);
        let (stop, stopped) = watch::channel(false);
        let mut stream = Box::pin(events.follow(None, stopped));
        assert!(stream.next().now_or_never().is_none());
        stop.send_replace(true);
        assert_eq!(stream.next().now_or_never(), Some(None));
    }

    #[test]
    fn a_waiter_hears_of_its_item_only_and_leaves_nothing_behind() {
        let events = Events::new(1);
        let Some((_, item)) = taken("mine").about().map(|(l, i)| (l.clone(), i.clone())) else {
            panic!("it is about an item");
        };
        let waiter = events.waiter(&item);
        let second = events.waiter(&item);
        let mut looks = 0;
        {
            let mut waits = Box::pin(waiter.until(|| {
                looks += 1;
                Ok::<_, ()>((looks == 3).then_some(()))
            }));
            assert!((&mut waits).now_or_never().is_none());
            events.keep(taken("other"));
            assert!((&mut waits).now_or_never().is_none());
            events.keep(taken("mine"));
            assert!((&mut waits).now_or_never().is_none());
            events.keep(taken("mine"));
            assert_eq!((&mut waits).now_or_never(), Some(Ok(())));
        }
        assert_eq!(looks, 3);
        drop(waiter);
        assert_eq!(locked(&events.waiting).len(), 1);
        drop(second);
        assert_eq!(locked(&events.waiting).len(), 0);
    }
}
