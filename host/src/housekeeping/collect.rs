//! Letting go of what is no longer needed: trees that ended long enough ago, and then what nothing names.
//!
//! In small steps, so that lines that run meanwhile are never held up: the journal's writer does some
//! dozens of items at a time, and others' appends go in between.

use super::{
    HousekeepingError,
    backup::collecting,
    uses::{Told, User, uses},
};
use crate::{
    digest::Digest, factory::Retention, item::ItemId, journal::Retired, lines::State, visit::Millis,
};
use futures::executor::block_on;
use serde::Serialize;
use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    fs, io,
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// How long a blob has to have been named by nothing before it goes, while lines run: an input that
/// waits for room, and a workspace that was just left, are on the disk before a record names them.
pub const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// The least age of a tree that goes while lines run: news of it may still be on its way.
const YOUNG: Duration = Duration::from_secs(60);

/// How many trees are asked for at a time, and how many items go in one step.
const TREES: usize = 64;
const ITEMS: usize = 256;
/// How many small blobs go in one step, and how many are listed at a time.
const BLOBS: usize = 256;
/// How many inputs that are known and gone lapse in one step.
const LAPSES: usize = 1024;

/// What was let go of; of a survey, what would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Ended inputs, each with all that was split from it.
    pub trees: u64,
    /// Items, the inputs and what was split from them; of a survey 0.
    pub items: u64,
    /// Inputs that were known and gone, and may be taken anew.
    pub lapsed: u64,
    /// Files that nothing names: large blobs.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Small blobs in the journal that nothing names.
    pub small: u64,
    /// Assets that no revision has.
    pub assets: u64,
}

/// Collects again and again, beside lines that run. Remembers what nothing named when it last looked.
#[derive(Debug, Default)]
pub struct Collector {
    /// Since when nothing names these.
    files: HashMap<Digest, Millis>,
    small: HashMap<Digest, Millis>,
    swept: bool,
    /// Whether something was let go of since, so that blobs may have lost their last name.
    forgot: bool,
}

impl Collector {
    /// One that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets go of what the policy says, and looks for nothing that is named by nothing any more. For the
    /// process that runs the lines, on a thread that may wait: it blocks, for a time that goes with how
    /// much there is to let go of. Stops early when `go_on` says no.
    ///
    /// # Errors
    /// When the journal cannot be read or written. What has gone is gone.
    pub fn forget(
        &mut self,
        state: &State,
        now: Millis,
        policy: &Retention,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Collected, HousekeepingError> {
        let mut done = Collected::default();
        let latest = now.saturating_sub(millis(YOUNG));
        let forgot = forget(state, now, latest, policy, go_on, &mut done);
        // Also where it failed half-way.
        self.forgot |= forgot.is_err() || done.items > 0;
        forgot.map(|()| done)
    }

    /// Lets go of what the policy says, and of what nothing named for [`GRACE`]. For the process that runs
    /// the lines, on a thread that may wait: it blocks, and reads all records where something was let go
    /// of since the last time. Stops early, with what it has done, when `go_on` says no.
    ///
    /// # Errors
    /// When the journal or the content store cannot be read or written. What has gone is gone.
    pub fn collect(
        &mut self,
        state: &State,
        now: Millis,
        policy: &Retention,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Collected, HousekeepingError> {
        let mut done = self.forget(state, now, policy, go_on)?;
        let due = !self.swept || self.forgot || !self.files.is_empty() || !self.small.is_empty();
        if due && go_on() {
            self.swept = self.sweep(state, now, Some(GRACE), go_on, &mut done)?;
            self.forgot &= !self.swept;
        }
        Ok(done)
    }

    /// The same at once, for a state folder that this process has for itself and in which no line runs.
    ///
    /// # Errors
    /// As with [`Self::collect`].
    pub fn at_rest(
        state: &State,
        now: Millis,
        policy: &Retention,
    ) -> Result<Collected, HousekeepingError> {
        let mut done = Collected::default();
        forget(state, now, now, policy, &|| true, &mut done)?;
        Self::default().sweep(state, now, None, &|| true, &mut done)?;
        if state.folder.join("work").exists() {
            // Working copies that an earlier process left: coming into the folder clears them away.
            state.workspaces.root()?;
        }
        Ok(done)
    }

    /// Whether it was done: not while somebody makes a backup.
    fn sweep(
        &mut self,
        state: &State,
        now: Millis,
        grace: Option<Duration>,
        go_on: &dyn Fn() -> bool,
        done: &mut Collected,
    ) -> Result<bool, HousekeepingError> {
        let Some(_nobody_copies) = collecting(&state.folder)? else {
            return Ok(false);
        };
        // Before anything is read: what an append hands over from here on is newer, and stays.
        let mark = match grace {
            Some(_) => state.journal.blobs_so_far()?,
            None => u64::MAX,
        };
        let needed = match Needed::of(state, go_on) {
            Err(HousekeepingError::Stopped) => return Ok(false),
            needed => needed?,
        };
        let (files, small) = unneeded(state, &needed)?;
        let files = files.into_keys().collect();
        let due =
            |since: Millis| grace.is_none_or(|grace| now.saturating_sub(since) >= millis(grace));
        for (digest, since) in condemn(&mut self.files, files, now) {
            if !go_on() || !due(since) {
                continue;
            }
            let kept_after = grace.map(|_| SystemTime::UNIX_EPOCH + Duration::from_millis(since));
            match state.content.remove(&digest, kept_after)? {
                Some(bytes) => {
                    done.files += 1;
                    done.bytes += bytes;
                    self.files.remove(&digest);
                }
                // Kept once more since then: its time begins anew.
                None => drop(self.files.insert(digest, now)),
            }
        }
        let small: Vec<_> = condemn(&mut self.small, small, now)
            .into_iter()
            .filter(|(_, since)| due(*since))
            .map(|(digest, _)| digest)
            .collect();
        for some in small.chunks(BLOBS) {
            if !go_on() {
                break;
            }
            done.small += block_on(state.journal.drop_blobs(some.to_vec(), mark))?;
            for digest in some {
                self.small.remove(digest);
            }
        }
        // A retool may be about to name one that is there: only where none can be under way.
        if grace.is_none() {
            for asset in unneeded_assets(state, &needed)? {
                let removed = fs::remove_dir_all(&asset);
                removed.map_err(HousekeepingError::system("remove", &asset))?;
                done.assets += 1;
            }
        }
        Ok(true)
    }
}

/// What would be let go of at rest, without touching anything. Blobs of trees that would go are not
/// counted: they go with the next look.
///
/// # Errors
/// When the journal or the content store cannot be read.
pub fn survey(
    state: &State,
    now: Millis,
    policy: &Retention,
) -> Result<Collected, HousekeepingError> {
    let mut done = Collected::default();
    each_retired(state, now, now, policy, &|| true, |_, trees| {
        done.trees += trees.len() as u64;
        Ok(())
    })?;
    let needed = Needed::of(state, &|| true)?;
    let (files, small) = unneeded(state, &needed)?;
    done.files = files.len() as u64;
    done.bytes = files.values().sum();
    done.small = small.len() as u64;
    done.assets = unneeded_assets(state, &needed)?.len() as u64;
    Ok(done)
}

fn millis(time: Duration) -> Millis {
    time.as_millis().try_into().unwrap_or(Millis::MAX)
}

fn forget(
    state: &State,
    now: Millis,
    latest: Millis,
    policy: &Retention,
    go_on: &dyn Fn() -> bool,
    done: &mut Collected,
) -> Result<(), HousekeepingError> {
    let (mut trees, mut items) = (0, 0);
    each_retired(state, now, latest, policy, go_on, |which, some| {
        trees += some.len() as u64;
        loop {
            let step = state.journal.forget(some.to_vec(), which, now, ITEMS);
            let removed = block_on(step)?;
            items += removed;
            if removed < ITEMS as u64 || !go_on() {
                return Ok(());
            }
        }
    })?;
    done.trees += trees;
    done.items += items;
    let before = now.saturating_sub(millis(policy.known));
    while go_on() {
        let lapsed = block_on(state.journal.lapse(before, LAPSES))?;
        done.lapsed += lapsed;
        if lapsed < LAPSES as u64 {
            break;
        }
    }
    Ok(())
}

/// The trees that may go by the policy, some at a time; none that ended after `latest`.
fn each_retired(
    state: &State,
    now: Millis,
    latest: Millis,
    policy: &Retention,
    go_on: &dyn Fn() -> bool,
    mut each: impl FnMut(Retired, &[ItemId]) -> Result<(), HousekeepingError>,
) -> Result<(), HousekeepingError> {
    let before = |age: Duration| now.saturating_sub(millis(age));
    for line in state.journal.line_names()? {
        let by_age = policy.finished.map(before);
        let by_count = match policy.most {
            Some(most) => state.journal.ended_before_newest(&line, most.into())?,
            None => None,
        };
        let Some(ended) = by_age.max(by_count).map(|ended| ended.min(latest)) else {
            continue;
        };
        let which = Retired {
            ended,
            unfetched: policy.unfetched.map(before),
        };
        let mut after = None;
        while go_on() {
            let some = state
                .journal
                .retired(&line, &which, after.as_ref(), TREES)?;
            let trees: Vec<_> = some.iter().map(|(_, item)| item.clone()).collect();
            let Some(last) = some.into_iter().next_back() else {
                break;
            };
            each(which, &trees)?;
            after = Some(last);
        }
    }
    Ok(())
}

/// All that is needed.
#[derive(Default)]
pub(super) struct Needed {
    blobs: HashSet<Digest>,
    assets: HashSet<OsString>,
}

impl Needed {
    /// Nothing is taken for unneeded where something that names blobs cannot be read.
    fn of(state: &State, go_on: &dyn Fn() -> bool) -> Result<Self, HousekeepingError> {
        let mut marking = Marking {
            needed: Self::default(),
            go_on,
        };
        uses(state, &mut marking)?;
        Ok(marking.needed)
    }
}

struct Marking<'a> {
    needed: Needed,
    go_on: &'a dyn Fn() -> bool,
}

impl Told for Marking<'_> {
    fn go_on(&self) -> bool {
        (self.go_on)()
    }

    fn blob(&mut self, user: &User, digest: &Digest) -> Result<(), HousekeepingError> {
        self.needed.blob(user, digest)
    }

    fn asset(&mut self, user: &User, name: &OsString) -> Result<(), HousekeepingError> {
        self.needed.asset(user, name)
    }
}

impl Told for Needed {
    fn blob(&mut self, _: &User, digest: &Digest) -> Result<(), HousekeepingError> {
        self.blobs.insert(*digest);
        Ok(())
    }

    fn asset(&mut self, _: &User, name: &OsString) -> Result<(), HousekeepingError> {
        self.assets.insert(name.clone());
        Ok(())
    }
}

/// The large and the small blobs that are there and not needed; of the large ones their lengths.
pub(super) type Unneeded = (HashMap<Digest, u64>, HashSet<Digest>);

pub(super) fn unneeded(state: &State, needed: &Needed) -> Result<Unneeded, HousekeepingError> {
    let mut files = HashMap::new();
    state.content.each(|digest, len| {
        if !needed.blobs.contains(&digest) {
            files.insert(digest, len);
        }
    })?;
    let mut small = HashSet::new();
    let mut after = None;
    loop {
        let some = state.journal.small_blobs(after.as_ref(), BLOBS)?;
        let Some(last) = some.last() else { break };
        after = Some(*last);
        small.extend(
            some.into_iter()
                .filter(|digest| !needed.blobs.contains(digest)),
        );
    }
    Ok((files, small))
}

pub(super) fn unneeded_assets(
    state: &State,
    needed: &Needed,
) -> Result<Vec<PathBuf>, HousekeepingError> {
    let shelf = state.folder.join("assets");
    let entries = match fs::read_dir(&shelf) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(HousekeepingError::system("read", &shelf)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(HousekeepingError::system("read", &shelf))?;
        if !needed.assets.contains(&entry.file_name()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Remembers since when nothing needs these, and forgets those that are needed again: all of them.
fn condemn(
    known: &mut HashMap<Digest, Millis>,
    unneeded: HashSet<Digest>,
    now: Millis,
) -> Vec<(Digest, Millis)> {
    let before = std::mem::take(known);
    let since = |digest: Digest| (digest, before.get(&digest).copied().unwrap_or(now).min(now));
    known.extend(unneeded.into_iter().map(since));
    known
        .iter()
        .map(|(digest, since)| (*digest, *since))
        .collect()
}
