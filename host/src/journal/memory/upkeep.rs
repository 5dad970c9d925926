//! Upkeep of the journal in memory: the same, for tests of what goes by it.

use super::{Kept, Life, Memory};
use crate::{
    digest::Digest,
    item::ItemId,
    journal::{JournalError, Listed, Retired, Rewritten, Summary, Upkeep},
    name::Name,
    visit::Millis,
};
use futures::{FutureExt, future::BoxFuture};
use std::{collections::BTreeSet, path::Path};

impl Memory {
    fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Kept) -> Result<T, JournalError>,
    ) -> BoxFuture<'static, Result<T, JournalError>> {
        let mut kept = self.kept();
        let result = kept.check().and_then(|()| change(&mut kept));
        std::future::ready(result).boxed()
    }
}

impl Upkeep for Memory {
    fn page(&self, after: u64, most: usize) -> Result<Vec<Listed>, JournalError> {
        let kept = self.kept();
        let lives = kept.order.iter().filter_map(|item| kept.items.get(item));
        let listed = |life: &Life| Listed {
            position: life.position,
            item: Ok(life.summary.item.clone()),
            summary: Ok(life.summary.clone()),
        };
        let later = lives.filter(|life| life.position > after);
        Ok(later.take(most).map(listed).collect())
    }

    fn line_names(&self) -> Result<Vec<Name>, JournalError> {
        let kept = self.kept();
        let lines: BTreeSet<_> = kept.items.values().map(|life| &life.summary.line).collect();
        let lines = lines.into_iter().chain(kept.revisions.keys());
        Ok(lines
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect())
    }

    fn retired(
        &self,
        line: &Name,
        which: &Retired,
        after: Option<&(Millis, ItemId)>,
        most: usize,
    ) -> Result<Vec<(Millis, ItemId)>, JournalError> {
        let kept = self.kept();
        let mut all: Vec<_> = kept
            .ended_inputs(line)
            .filter(|ended| ended.0 <= which.ended && after.is_none_or(|after| ended > after))
            .filter(|(_, root)| kept.may_go(root, which))
            .collect();
        all.sort();
        all.truncate(most);
        Ok(all)
    }

    fn ended_before_newest(&self, line: &Name, newer: u64) -> Result<Option<Millis>, JournalError> {
        let kept = self.kept();
        let mut ended: Vec<_> = kept.ended_inputs(line).map(|(at, _)| at).collect();
        ended.sort_by(|a, b| b.cmp(a));
        Ok(usize::try_from(newer)
            .ok()
            .and_then(|n| ended.get(n))
            .copied())
    }

    fn forget(
        &self,
        trees: Vec<ItemId>,
        which: Retired,
        at: Millis,
        most: usize,
    ) -> BoxFuture<'static, Result<u64, JournalError>> {
        self.change(|kept| {
            let mut removed = 0;
            for root in trees {
                if !kept.may_go(&root, &which) {
                    continue;
                }
                let mut tree: Vec<_> = kept
                    .tree(&root)
                    .map(|life| life.summary.item.clone())
                    .collect();
                tree.sort_by_key(|item| *item == root);
                for item in tree.into_iter().take(most - removed) {
                    kept.items.remove(&item);
                    kept.order.retain(|other| *other != item);
                    kept.effects.remove(&item);
                    kept.deliveries.retain(|(other, _), _| *other != item);
                    kept.delivered.remove(&item);
                    kept.effects.remove(&item);
                    removed += 1;
                    if item == root {
                        kept.forgotten.insert(item, at);
                    }
                }
            }
            Ok(removed as u64)
        })
    }

    fn forgotten(&self, item: &ItemId) -> Result<Option<Millis>, JournalError> {
        Ok(self.kept().forgotten.get(item).copied())
    }

    fn lapse(&self, before: Millis, most: usize) -> BoxFuture<'static, Result<u64, JournalError>> {
        self.change(|kept| {
            let old = kept.forgotten.iter().filter(|(_, at)| **at < before);
            let old: Vec<_> = old.map(|(item, _)| item.clone()).take(most).collect();
            for item in &old {
                kept.forgotten.remove(item);
            }
            Ok(old.len() as u64)
        })
    }

    fn small_blobs(
        &self,
        after: Option<&Digest>,
        most: usize,
    ) -> Result<Vec<Digest>, JournalError> {
        let kept = self.kept();
        let mut all: Vec<_> = kept.blobs.keys().copied().collect();
        all.retain(|digest| after.is_none_or(|after| digest > after));
        all.sort();
        all.truncate(most);
        Ok(all)
    }

    fn effect_bodies(
        &self,
        after: u64,
        most: usize,
    ) -> Result<Vec<(u64, ItemId, Digest)>, JournalError> {
        let kept = self.kept();
        let effects = kept.effects.iter().flat_map(|(item, all)| {
            let bodies = all.iter().filter_map(|(_, effect)| effect.stored());
            bodies.map(|digest| (item.clone(), digest))
        });
        let mut bodies: Vec<_> = effects.collect();
        bodies.sort();
        let numbered = (1..).zip(bodies).skip_while(|(n, _)| *n <= after);
        let all = numbered.map(|(n, (item, digest))| (n, item, digest));
        Ok(all.take(most).collect())
    }

    fn blobs_so_far(&self) -> Result<u64, JournalError> {
        Ok(self.kept().handed_over)
    }

    fn drop_blobs(
        &self,
        digests: Vec<Digest>,
        mark: u64,
    ) -> BoxFuture<'static, Result<u64, JournalError>> {
        self.change(|kept| {
            let before = kept.blobs.len();
            for digest in digests {
                if kept
                    .blobs
                    .get(&digest)
                    .is_some_and(|(_, number)| *number < mark)
                {
                    kept.blobs.remove(&digest);
                }
            }
            Ok((before - kept.blobs.len()) as u64)
        })
    }

    fn rewrite(&self, rewritten: Rewritten) -> BoxFuture<'static, Result<(), JournalError>> {
        self.change(|kept| {
            let Rewritten {
                item,
                expected,
                records,
                summary,
            } = rewritten;
            let life = kept.items.get_mut(&item);
            let found = life.as_ref().map_or(0, |life| life.records.len() as u64);
            let Some(life) = life.filter(|_| found == expected) else {
                return Err(JournalError::Conflict {
                    item,
                    expected,
                    found,
                });
            };
            life.records = records;
            life.summary = summary;
            for ((of, _), delivery) in &mut kept.deliveries {
                if *of == item {
                    delivery.reason = None;
                }
            }
            kept.effects.remove(&item);
            let about = kept.audit.iter().enumerate();
            let about = about.filter(|(_, (entry, _))| entry.heading.item.as_ref() == Some(&item));
            kept.erased.extend(about.map(|(n, _)| n));
            Ok(())
        })
    }

    fn relist(&self, summary: Summary) -> BoxFuture<'static, Result<(), JournalError>> {
        self.change(|kept| {
            if let Some(life) = kept.items.get_mut(&summary.item) {
                life.summary = summary;
            }
            Ok(())
        })
    }

    fn integrity(&self) -> Result<Vec<String>, JournalError> {
        Ok(Vec::new())
    }

    fn copy_to(&self, file: &Path) -> Result<(), JournalError> {
        Err(JournalError::Other {
            path: file.display().to_string(),
            reason: "a journal in memory has no copies".into(),
        })
    }

    fn epoch(&self) -> Result<u64, JournalError> {
        Ok(self.kept().epoch)
    }

    fn next_epoch(&self) -> BoxFuture<'static, Result<u64, JournalError>> {
        self.change(|kept| {
            kept.epoch += 1;
            Ok(kept.epoch)
        })
    }
}

impl Kept {
    fn ended_inputs(&self, line: &Name) -> impl Iterator<Item = (Millis, ItemId)> {
        let lives = self.order.iter().filter_map(|item| self.items.get(item));
        lives
            .map(|life| &life.summary)
            .filter(move |summary| {
                summary.line == *line && summary.phase.ended() && summary.item.parent().is_none()
            })
            .map(|summary| (summary.changed, summary.item.clone()))
    }

    fn tree(&self, root: &ItemId) -> impl Iterator<Item = &Life> {
        let lives = self.order.iter().filter_map(|item| self.items.get(item));
        lives.filter(move |life| life.summary.item.root() == *root)
    }

    fn may_go(&self, root: &ItemId, which: &Retired) -> bool {
        let may_go = |life: &Life| {
            let summary = &life.summary;
            let fetched = !summary.result
                || self.delivered.contains(&summary.item)
                || which
                    .unfetched
                    .is_some_and(|until| summary.changed <= until);
            summary.phase.ended() && summary.changed <= which.ended && fetched
        };
        self.items.contains_key(root) && self.tree(root).all(may_go)
    }
}
