//! Putting a backup back: a new epoch of the same factory. What was under way when the backup was made
//! may have been done since, so nobody knows what became of it: a person says how it goes on.

use super::{
    HousekeepingError,
    backup::{Copying, Manifest, digest_of, empty_folder},
    uses::{User, uses},
};
use crate::{
    assembly::Revision,
    content::Content,
    item::{self, Event, Item, ItemId, Phase},
    journal::{Append, Listed, sqlite},
    lines::State,
    visit::{Millis, Outcome, Report},
    workspace::Workspaces,
};
use futures::executor::block_on;
use serde::Serialize;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// What the backup says of itself.
    pub backup: Manifest,
    /// The number of the new epoch.
    pub epoch: u64,
    /// How many items there are.
    pub items: u64,
    /// Those that were under way, and are jammed now.
    pub jammed: Vec<ItemId>,
    /// How many results were not delivered, and will be.
    pub undelivered: u64,
}

/// Makes the state folder `to`, which must not have anything in it, out of the backup `from`. Whatever
/// goes wrong, `to` is not there, or whole.
///
/// # Errors
/// When the backup is not whole, or `to` cannot be written.
pub fn restore(from: &Path, to: &Path, at: Millis) -> Result<Restored, HousekeepingError> {
    let manifest = manifest(from)?;
    empty_folder(to)?;
    let new = beside(to);
    // What an earlier restore did not finish.
    match fs::remove_dir_all(&new) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(HousekeepingError::system("remove", &new)(error)),
    }
    empty_folder(&new)?;
    let restored = fill(from, &new, manifest, at).and_then(|restored| {
        let put = || {
            File::open(&new)?.sync_all()?;
            fs::rename(&new, to)?;
            File::open(above(to))?.sync_all()
        };
        put().map_err(HousekeepingError::system("create", to))?;
        Ok(restored)
    });
    if restored.is_err() {
        let _ = fs::remove_dir_all(&new);
    }
    restored
}

fn manifest(from: &Path) -> Result<Manifest, HousekeepingError> {
    let path = from.join(Manifest::FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let reason = format!("it has no `{}`, which is written last", Manifest::FILE);
            return Err(HousekeepingError::damaged(from, reason));
        }
        Err(error) => return Err(HousekeepingError::system("read", &path)(error)),
    };
    let damaged = |what: String| HousekeepingError::damaged(from, what);
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|error| damaged(format!("`{}` cannot be read: {error}", Manifest::FILE)))?;
    if manifest.format != Manifest::FORMAT {
        return Err(damaged(format!(
            "it is of format {}, and this andon knows {}",
            manifest.format,
            Manifest::FORMAT
        )));
    }
    Ok(manifest)
}

fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    }
}

fn beside(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_os_string();
    name.push(".restoring");
    above(to).join(name)
}

fn fill(
    from: &Path,
    new: &Path,
    manifest: Manifest,
    at: Millis,
) -> Result<Restored, HousekeepingError> {
    let damaged = |what: String| HousekeepingError::damaged(from, what);
    let (source, target) = (from.join(sqlite::FILE), new.join(sqlite::FILE));
    match fs::copy(&source, &target) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(damaged("its journal is missing".into()));
        }
        Err(error) => return Err(HousekeepingError::system("copy", &source)(error)),
    }
    if digest_of(&target)?.0 != manifest.journal {
        return Err(damaged("its journal is not the one that was copied".into()));
    }
    let state = State::open(new)?;
    if let Some(wrong) = state.journal.integrity()?.first() {
        return Err(damaged(format!("its journal is damaged: {wrong}")));
    }
    match state.journal.verify(None)? {
        Ok(found) if (found.chain.entries, found.chain.head) == manifest.audit => {}
        Ok(_) => return Err(damaged("its audit is not the one that was copied".into())),
        Err(flaw) => return Err(damaged(format!("its audit is broken: {flaw}"))),
    }
    let kept = Content::open(from.join("blobs"));
    let backup = State {
        folder: from.into(),
        journal: state.journal.clone(),
        workspaces: Workspaces::open(from.join("work"), kept.clone(), state.journal.clone()),
        content: kept,
    };
    let mut copying = Copying {
        from: &backup,
        small: &state,
        content: state.content.clone(),
        shelf: new.join("assets"),
        blobs: 0,
        bytes: 0,
        assets: 0,
    };
    uses(&backup, &mut copying).map_err(|error| match error {
        HousekeepingError::Unreadable { user, reason } => {
            damaged(format!("{user} needs what cannot be read: {reason}"))
        }
        other => other,
    })?;
    let epoch = block_on(state.journal.next_epoch())?;
    let (items, jammed) = jam_all(&state, at)?;
    let mut undelivered = 0;
    for line in state.journal.line_names()? {
        undelivered += state.journal.undelivered(&line)?.len() as u64;
    }
    Ok(Restored {
        backup: manifest,
        epoch,
        items,
        jammed,
        undelivered,
    })
}

/// Jams what was under way: how many items there are, and which were.
fn jam_all(state: &State, at: Millis) -> Result<(u64, Vec<ItemId>), HousekeepingError> {
    let (mut items, mut jammed, mut after) = (0, Vec::new(), 0);
    loop {
        let page = state.journal.page(after, 512)?;
        let Some(last) = page.last() else {
            return Ok((items, jammed));
        };
        after = last.position;
        for Listed { item, summary, .. } in page {
            items += 1;
            if !summary?.phase.ended() && jam(state, item.as_ref().map_err(Clone::clone)?, at)? {
                jammed.push(item?);
            }
        }
    }
}

/// Jams an item with an attempt that has begun and not ended; whether it has one.
fn jam(state: &State, id: &ItemId, at: Millis) -> Result<bool, HousekeepingError> {
    let records = state.journal.load(id)?;
    let Some(item) = Item::fold(id.clone(), &records)? else {
        return Ok(false);
    };
    // An attempt that waits to be gone on with has begun as well.
    let (began, starts) = match &item.phase {
        Phase::Working { course, .. } => (course.began, false),
        Phase::Ready { course, .. } if course.began.is_some() => (course.began, true),
        _ => return Ok(false),
    };
    // Records of before that was kept say 0.
    let number = began.map_or(0, |began| began.revision);
    let number = if number == 0 { item.revision } else { number };
    let user = User::Revision(item.line.clone(), number).to_string();
    let unreadable = |reason: String| HousekeepingError::Unreadable {
        user: user.clone(),
        reason,
    };
    let text = state.journal.revision(&item.line, number)?;
    let text = text.ok_or_else(|| unreadable("it is missing".into()))?;
    let line = Revision::from_text(&text).map_err(|error| unreadable(error.to_string()))?;
    let line = line.line;
    let mut events = Vec::new();
    if starts {
        events.push(Event::Start { revision: number });
    }
    events.push(Event::Reported(Report::of(Outcome::UnknownOutcome(
        "it was under way when the backup was made that this state folder comes from".into(),
    ))));
    let (mut after, mut all) = (item.clone(), Vec::new());
    for event in events {
        // It may jam at its start already, where its time is over.
        if matches!(after.phase, Phase::Jammed { .. }) {
            break;
        }
        let records = item::step(&after, &line, at, event)?;
        for record in &records {
            after.apply(record)?;
        }
        all.extend(records);
    }
    block_on(state.journal.append(Append {
        item: id.clone(),
        expected: item.seq,
        messages: item::messages(&after, &all),
        records: all,
        blobs: Vec::new(),
        summary: after.summary(),
    }))?;
    Ok(true)
}
