//! A visit as it is recorded, with all that it needs to run again.

use super::{ReplayError, Told, told};
use crate::{
    content::Content,
    conveyor,
    digest::Digest,
    effect::{Effect, EffectKind},
    item::{Body, Item, ItemId, Phase, Record},
    journal::Journal,
    name::Name,
    visit::{Millis, Run, Visit},
    workspace::{Entry, Snapshots},
};
use futures::executor::block_on;
use std::collections::BTreeSet;

/// A recorded visit, in its last attempt.
#[derive(Debug, Clone)]
pub struct Case {
    /// The item while the visit was under way.
    pub item: Item,
    /// The visit, as the next run of the same attempt.
    pub visit: Visit,
    /// What is recorded of its effects.
    pub effects: Vec<Effect>,
    /// The item's records up to there.
    pub records: Vec<Record>,
    /// The record of how it ended.
    pub ended: Record,
}

/// Finds a visit of an item to a station: the `nth`, or the last one that ended.
///
/// # Errors
/// When there is none, or what is recorded of it cannot be read.
pub fn find(
    journal: &dyn Journal,
    id: &ItemId,
    station: &Name,
    nth: Option<u32>,
) -> Result<Case, ReplayError> {
    let records = journal.load(id)?;
    let Some((first, rest)) = records.split_first() else {
        return Err(ReplayError::NoItem(id.clone()));
    };
    let Some(mut item) = Item::fold(id.clone(), std::slice::from_ref(first))? else {
        return Err(ReplayError::NoItem(id.clone()));
    };
    let mut found: Option<(Item, usize)> = None;
    for (at, record) in (1..).zip(rest) {
        let here = match &item.phase {
            Phase::Working {
                station: at,
                nth: which,
                ..
            } => at == station && nth.is_none_or(|nth| nth == *which),
            _ => false,
        };
        if here && ends(record) {
            found = Some((item.clone(), at));
        }
        item.apply(record)?;
    }
    let (item, at) = found.ok_or_else(|| ReplayError::NoVisit {
        item: id.clone(),
        station: station.clone(),
        nth: nth.map_or(String::new(), |nth| format!(" {nth}")),
    })?;
    let Some(mut visit) = visit(&item, [0; 32]) else {
        return Err(ReplayError::NoItem(id.clone()));
    };
    let factory = journal.factory();
    visit.seed = conveyor::seed(&factory, id, station, visit.nth, visit.attempt);
    let effects = block_on(journal.effects(id.clone(), Some((station.clone(), visit.nth))))?;
    let effects = effects.into_iter().map(|(_, effect)| effect);
    // What a later attempt did is none of this one's.
    let effects = effects.filter(|effect| effect.run < visit.run.number);
    Ok(Case {
        effects: effects.collect(),
        item,
        visit,
        ended: records[at].clone(),
        records: records[..at].to_vec(),
    })
}

/// Whether a record says how an attempt ended that was under way.
fn ends(record: &Record) -> bool {
    matches!(
        record,
        Record::Moved { .. }
            | Record::Split { .. }
            | Record::Finished { .. }
            | Record::Failed { .. }
            | Record::Jammed { .. }
            | Record::Asked { .. }
    )
}

/// The visit that an item is on, once more: nothing is slept for, all that was recorded is behind it.
pub(super) fn visit(item: &Item, seed: [u8; 32]) -> Option<Visit> {
    let Phase::Working {
        station,
        nth,
        attempt,
        course,
    } = &item.phase
    else {
        return None;
    };
    let began = course.began?;
    Some(Visit {
        item: item.id.clone(),
        line: item.line.clone(),
        revision: match began.revision {
            0 => item.revision,
            revision => revision,
        },
        station: station.clone(),
        nth: *nth,
        attempt: *attempt,
        started: began.at,
        seed,
        inputs: item.inputs.clone(),
        workspace: item.workspace,
        joined: item.joined.clone(),
        deadline: item.ticket.deadline,
        answers: course.answers.clone(),
        run: Run {
            number: course.runs.saturating_add(1),
            recorded: Millis::MAX,
            ..course.run(0)
        },
    })
}

impl Case {
    /// What came of it, to be held against what comes of a replay.
    pub fn told(&self) -> Told {
        let mut effects: Vec<&Effect> = self.effects.iter().collect();
        effects.retain(|effect| {
            let end = effect.end.as_ref();
            let told = end.is_some_and(|end| end.answer.is_some() || end.failure.is_some());
            let http = effect.intent.kind == EffectKind::Http;
            told && http && effect.run >= self.visit.run.first
        });
        let heard = effects.iter().map(|effect| effect.intent.what.clone());
        told(&self.ended, heard.collect())
    }

    /// Brings all that it names into `to`.
    ///
    /// # Errors
    /// When something is gone, or `to` cannot be written.
    pub fn bring(&self, from: &Snapshots, to: &Content) -> Result<(), ReplayError> {
        for digest in self.blobs(from)? {
            let bytes = from.blob(&digest).map_err(|_| ReplayError::Gone {
                what: format!("blob {}", digest.short()),
            })?;
            to.put(&bytes)?;
        }
        Ok(())
    }

    /// The digests of all that it names: bodies, and what is in its workspaces.
    ///
    /// # Errors
    /// When a workspace cannot be read.
    pub fn blobs(&self, from: &Snapshots) -> Result<BTreeSet<Digest>, ReplayError> {
        let mut all = BTreeSet::new();
        let stored = |body: &Body| match body {
            Body::Stored { digest, .. } => Some(*digest),
            Body::Inline(_) | Body::File(_) => None,
        };
        all.extend(
            self.visit
                .inputs
                .iter()
                .filter_map(|input| stored(&input.body)),
        );
        let answers = self.effects.iter().filter_map(|effect| effect.end.as_ref());
        let answers = answers.filter_map(|end| stored(&end.answer.as_ref()?.body));
        all.extend(answers);
        let spaces = [self.visit.workspace]
            .into_iter()
            .chain(self.visit.joined.iter().copied());
        for space in spaces.flatten() {
            all.insert(space);
            for (_, entry) in from.tree(Some(space))?.iter() {
                if let Entry::File { digest, .. } = entry {
                    all.insert(*digest);
                }
            }
        }
        Ok(all)
    }
}
