//! Items that are gone, and whose directories are still there: removed one after the other, by few at the
//! same time, however many go at once.

use crate::item::ItemId;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// So many remove directories at the same time: while one waits for the disk, another looks at what is next.
const HANDS: usize = 2;

/// Whose directories are to be removed.
#[derive(Default)]
pub(super) struct Gone(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    items: VecDeque<ItemId>,
    /// How many remove some now.
    hands: usize,
}

impl Gone {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // An item is in it or not.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one. Whether it takes one more to remove them.
    pub(super) fn add(&self, item: ItemId) -> bool {
        let mut waiting = self.waiting();
        waiting.items.push_back(item);
        let wanted = waiting.hands < HANDS;
        waiting.hands += usize::from(wanted);
        wanted
    }

    /// The next one for somebody who was wanted; where there is none, they are done.
    pub(super) fn next(&self) -> Option<ItemId> {
        let mut waiting = self.waiting();
        let next = waiting.items.pop_front();
        waiting.hands -= usize::from(next.is_none());
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_go_few_hands_are_wanted() {
        let gone = Gone::default();
        let id = |n: u8| ItemId::input(&[0; 16], "line", &n.to_string());
        let wanted = (0..10).filter(|n| gone.add(id(*n))).count();
        assert_eq!(wanted, HANDS);
        let all: Vec<ItemId> = std::iter::from_fn(|| gone.next()).collect();
        assert_eq!(all, (0..10).map(id).collect::<Vec<_>>());
        assert_eq!(gone.next(), None);
        // Both are done: for the next one somebody is wanted again.
        assert!(gone.add(id(0)));
    }
}
