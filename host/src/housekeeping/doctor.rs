//! Looking a state folder over: is everything there, and is it what the records say?

use super::{
    Collector, HousekeepingError,
    collect::{Needed, unneeded},
    uses::{Told, User, uses},
};
use crate::{
    assembly::assets::Tree,
    catalogue::Cache,
    digest::Digest,
    disk,
    factory::Retention,
    item::{Item, ItemId, Summary},
    journal::{Listed, Sqlite},
    lines::State,
    visit::Millis,
};
use futures::executor::block_on;
use serde::Serialize;
use std::{ffi::OsString, fs, os::unix::fs::PermissionsExt as _, path::Path};

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where: `journal`, `listing`, `records`, `blobs`, `assets`, `audit`, `orphans`, `folder`, `disk`,
    /// `lock`, `cache`, `epoch`.
    pub about: &'static str,
    /// What is so. Not escaped.
    pub what: String,
    /// How it is mended; none of what only is good to know.
    pub hint: Option<String>,
    /// Whether it was mended.
    pub mended: bool,
}

/// What an examination found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Findings {
    /// All of it, in the order in which it was looked for.
    pub all: Vec<Finding>,
    /// How many items were held against their records.
    pub items: u64,
    /// Items that are listed as what they are not, as they are.
    #[serde(skip)]
    relist: Vec<Summary>,
    /// Whether a collection would remove something.
    #[serde(skip)]
    orphans: bool,
}

/// The most findings of one sort that are told one by one.
const MOST: usize = 50;
/// How many items are read at a time.
const PAGE: usize = 512;

impl Findings {
    /// Whether nothing is wrong, or nothing any more.
    pub fn are_well(&self) -> bool {
        self.all
            .iter()
            .all(|finding| finding.hint.is_none() || finding.mended)
    }

    fn note(&mut self, about: &'static str, what: impl Into<String>) {
        self.all.push(Finding {
            about,
            what: what.into(),
            hint: None,
            mended: false,
        });
    }

    fn wrong(&mut self, about: &'static str, what: impl Into<String>, hint: &str) {
        let before = self
            .all
            .iter()
            .filter(|f| f.about == about && f.hint.is_some());
        match before.count() {
            n if n < MOST => self.all.push(Finding {
                about,
                what: what.into(),
                hint: Some(hint.into()),
                mended: false,
            }),
            MOST => self.all.push(Finding {
                about,
                what: format!("more than {MOST} such"),
                hint: Some(hint.into()),
                mended: false,
            }),
            _ => {}
        }
    }
}

const BACKUP: &str = "take the state folder back from a backup: `andon restore`";
const REPAIR: &str = "`andon doctor --repair` mends it";

/// Looks a state folder over, without touching anything. May be done while lines run.
///
/// # Errors
/// When it cannot be read at all.
pub fn examine(state: &State) -> Result<Findings, HousekeepingError> {
    let mut found = Findings::default();
    for wrong in state.journal.integrity()? {
        found.wrong("journal", wrong, BACKUP);
    }
    found.items(state)?;
    match state.journal.verify(None)? {
        Ok(whole) if whole.erased > 0 => {
            found.note("audit", format!("{} entries are erased", whole.erased));
        }
        Ok(_) => {}
        Err(flaw) => found.wrong("audit", flaw.to_string(), BACKUP),
    }
    let mut needs = Needs {
        state,
        found: &mut found,
        needed: Needed::default(),
        broken: false,
    };
    uses(state, &mut needs)?;
    let (needed, broken) = (needs.needed, needs.broken);
    let running = Sqlite::is_in_use(&state.folder);
    if broken {
        found.note("orphans", "not looked for: it is not known what is needed");
    } else if !running {
        // While lines run, what is about to be named looks the same.
        found.orphans(state, &needed)?;
    }
    if running {
        found.note("lock", "another andon uses the state folder");
    }
    found.folder(&state.folder);
    found.disk(&state.folder);
    found.cache();
    match state.journal.epoch()? {
        0 => {}
        n => found.note("epoch", format!("the state folder was restored {n} times")),
    }
    Ok(found)
}

/// Mends what can be: lists items as their records say, and removes what nothing needs. The process has
/// to have the state folder for itself.
///
/// # Errors
/// When something cannot be written.
pub fn repair(state: &State, found: &mut Findings, now: Millis) -> Result<(), HousekeepingError> {
    for summary in std::mem::take(&mut found.relist) {
        block_on(state.journal.relist(summary))?;
    }
    if found.orphans {
        Collector::at_rest(state, now, &Retention::default())?;
    }
    for finding in &mut found.all {
        if finding.hint.as_deref() == Some(REPAIR) {
            finding.mended = true;
        }
    }
    Ok(())
}

impl Findings {
    fn items(&mut self, state: &State) -> Result<(), HousekeepingError> {
        let mut after = 0;
        loop {
            let page = state.journal.page(after, PAGE)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.position;
            for listed in page {
                self.items += 1;
                self.item(state, listed)?;
            }
        }
    }

    fn item(&mut self, state: &State, listed: Listed) -> Result<(), HousekeepingError> {
        let Listed {
            position,
            item,
            summary,
        } = listed;
        let id = match item {
            Ok(id) => id,
            Err(error) => {
                self.wrong("listing", error.to_string(), BACKUP);
                return Ok(());
            }
        };
        let Some(is) = self.folded(state, &id) else {
            return Ok(());
        };
        if summary.as_ref().is_ok_and(|listed| *listed == is) {
            return Ok(());
        }
        // It may have gone on between the two looks: then it is as listed now.
        let again = state.journal.page(position.saturating_sub(1), 1)?;
        let again = again
            .into_iter()
            .next()
            .and_then(|listed| listed.summary.ok());
        let now = self.folded(state, &id);
        if again.is_some() && again == now {
            return Ok(());
        }
        let what = match summary {
            Ok(listed) => format!(
                "item `{id}` is listed as {}, and is {}",
                words(&listed, &is),
                words(&is, &listed)
            ),
            Err(error) => format!("item `{id}` is listed as nothing: {error}"),
        };
        self.wrong("listing", what, REPAIR);
        self.relist.extend(now);
        Ok(())
    }

    fn folded(&mut self, state: &State, id: &ItemId) -> Option<Summary> {
        let folded = state
            .journal
            .load(id)
            .map_err(|error| error.to_string())
            .and_then(|records| {
                Item::fold(id.clone(), &records)
                    .map_err(|error| error.to_string())?
                    .ok_or_else(|| format!("item `{id}` has no records"))
            });
        match folded {
            Ok(item) => Some(item.summary()),
            Err(what) => {
                self.wrong("records", what, BACKUP);
                None
            }
        }
    }

    fn orphans(&mut self, state: &State, needed: &Needed) -> Result<(), HousekeepingError> {
        let (files, small) = unneeded(state, needed)?;
        let assets = super::collect::unneeded_assets(state, needed)?;
        let bytes: u64 = files.values().sum();
        if !files.is_empty() {
            let what = format!(
                "{} large blobs of {bytes} bytes are needed by nothing",
                files.len()
            );
            self.wrong("orphans", what, REPAIR);
        }
        if !small.is_empty() {
            let what = format!("{} small blobs are needed by nothing", small.len());
            self.wrong("orphans", what, REPAIR);
        }
        if !assets.is_empty() {
            let what = format!("{} assets are needed by no revision", assets.len());
            self.wrong("orphans", what, REPAIR);
        }
        self.orphans = !(files.is_empty() && small.is_empty() && assets.is_empty());
        let work = fs::read_dir(state.folder.join("work"));
        let left = work.map_or(0, |entries| entries.flatten().count());
        if left > 0 {
            let what = format!("{left} working copies are left, which the next start removes");
            self.note("orphans", what);
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path) {
        let mode = fs::metadata(folder).map(|about| about.permissions().mode() & 0o777);
        match mode {
            Ok(mode) if mode & 0o077 == 0 => {}
            Ok(mode) => {
                let shown = folder.display();
                let what = format!("`{shown}` is open to others (mode {mode:o})");
                self.wrong("folder", what, &format!("`chmod 700 {shown}`"));
            }
            Err(error) => {
                let what = format!("it is not known who may open it: {error}");
                self.wrong("folder", what, "look after the disk");
            }
        }
    }

    fn disk(&mut self, folder: &Path) {
        match disk::room(folder) {
            Ok(room) if room.is_enough() => {
                self.note("disk", format!("{} bytes are free", room.free));
            }
            Ok(room) => {
                let what = format!("only {} bytes are free", room.free);
                self.wrong("disk", what, "free some space: lines wait until there is");
            }
            Err(error) => {
                let what = format!("it is not known how much is free: {error}");
                self.wrong("disk", what, "look after the disk");
            }
        }
    }

    fn cache(&mut self) {
        let Some(folder) = Cache::default_folder() else {
            return self.note("cache", "there is no home for compiled stations");
        };
        let shown = folder.display();
        match fs::read_dir(&folder) {
            Ok(entries) => {
                let sizes = entries.flatten().filter_map(|entry| entry.metadata().ok());
                let (files, bytes) = sizes
                    .filter(|about| about.is_file())
                    .fold((0_u64, 0), |(n, all), about| (n + 1, all + about.len()));
                let what = format!("`{shown}` has {files} files of {bytes} bytes");
                self.note("cache", what);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.note("cache", format!("`{shown}` is not there yet"));
            }
            Err(error) => self.wrong(
                "cache",
                format!("`{shown}` cannot be read: {error}"),
                "make it readable, or remove it: stations are compiled again",
            ),
        }
    }
}

/// What is different in a listing from another.
fn words(one: &Summary, other: &Summary) -> String {
    let station = one.station.as_ref().map_or("nowhere", |name| name.as_str());
    if one.phase != other.phase || one.station != other.station {
        format!("{} at {station}", one.phase)
    } else if one.changed != other.changed {
        format!("changed at {}", one.changed)
    } else {
        let text = serde_json::to_string(one);
        text.unwrap_or_default()
    }
}

/// Holds what is needed against what is there.
struct Needs<'a> {
    state: &'a State,
    found: &'a mut Findings,
    needed: Needed,
    broken: bool,
}

impl Told for Needs<'_> {
    fn blob(&mut self, user: &User, digest: &Digest) -> Result<(), HousekeepingError> {
        self.needed.blob(user, digest)?;
        let wrong = match self.state.journal.blob(digest) {
            Ok(Some(_)) => None,
            Ok(None) => match self.state.content.is_whole(digest)? {
                Some(true) => None,
                Some(false) => Some("does not have its digest"),
                None => Some("is missing"),
            },
            Err(_) => Some("does not have its digest"),
        };
        if let Some(wrong) = wrong {
            let what = format!("the blob {digest} {wrong}, which {user} needs");
            self.found.wrong("blobs", what, BACKUP);
        }
        Ok(())
    }

    fn asset(&mut self, user: &User, name: &OsString) -> Result<(), HousekeepingError> {
        self.needed.asset(user, name)?;
        let shelf = self.state.folder.join("assets");
        if let Err(error) = Tree::kept(&shelf, Path::new(name)) {
            let what = format!("{user} needs an asset: {error}");
            self.found.wrong("assets", what, BACKUP);
        }
        Ok(())
    }

    fn unreadable(&mut self, user: &User, reason: String) -> Result<(), HousekeepingError> {
        self.broken = true;
        self.found
            .wrong("blobs", format!("{user}: {reason}"), BACKUP);
        Ok(())
    }
}
