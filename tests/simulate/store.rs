//! The stores that histories run on, and what is left of each after a crash.

use crate::{
    dice::Dice,
    disk::{Work, carry_out_all},
};
use andon::{
    item::{ItemId, Seq},
    journal::{Journal, Memory, Sqlite},
};
use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What is on its way to a store.
pub(crate) type OnItsWay = Vec<(Option<(ItemId, Seq)>, Work)>;

/// A store that histories run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Sqlite,
}

/// One of them, for one history.
pub(crate) struct Store {
    folders: Option<Folders>,
    /// How many writes that were on their way were there after each crash.
    pub(crate) survived: Vec<usize>,
    /// The same as it was on another store: then it is so here.
    pub(crate) script: Option<Vec<usize>>,
}

/// Where a database is, and was before each crash.
struct Folders {
    root: tempfile::TempDir,
    number: u32,
}

impl Folders {
    fn newest(&self) -> PathBuf {
        self.root.path().join(self.number.to_string())
    }
}

impl Store {
    pub(crate) fn new(kind: Kind, script: Option<Vec<usize>>) -> (Self, Arc<dyn Journal>) {
        let mut store = Self {
            folders: None,
            survived: Vec::new(),
            script,
        };
        let journal: Arc<dyn Journal> = match kind {
            Kind::Memory => Arc::new(Memory::new()),
            Kind::Sqlite => {
                let shared = Path::new("/dev/shm");
                let root = match shared.is_dir() {
                    true => tempfile::tempdir_in(shared),
                    false => tempfile::tempdir(),
                };
                let folders = Folders {
                    root: root.expect("a temporary folder"),
                    number: 0,
                };
                let journal = opened(&folders.newest());
                store.folders = Some(folders);
                journal
            }
        };
        (store, journal)
    }

    /// A crash: some of what was on its way is there afterwards, and nothing that came after something that
    /// is not.
    pub(crate) fn crashed(
        &mut self,
        journal: Arc<dyn Journal>,
        mut works: OnItsWay,
        keep: u8,
    ) -> Arc<dyn Journal> {
        works.truncate(usize::from(keep) % (works.len() + 1));
        let Some(folders) = &mut self.folders else {
            let script = self.script.as_ref();
            if let Some(kept) = script.and_then(|script| script.get(self.survived.len())) {
                works.truncate(*kept);
            }
            self.survived.push(works.len());
            carry_out_all(&*journal, works.into_iter().map(|(_, work)| work).collect());
            return journal;
        };
        let (appends, works): (Vec<_>, Vec<_>) = works.into_iter().unzip();
        let old = folders.newest();
        let log = |folder: &Path| folder.join("journal.sqlite-wal");
        let before = fs::metadata(log(&old)).map_or(0, |log| log.len());
        carry_out_all(&*journal, works);
        folders.number += 1;
        let new = folders.newest();
        fs::create_dir(&new).expect("a folder");
        for file in ["journal.sqlite", "journal.sqlite-wal"] {
            if old.join(file).exists() {
                fs::copy(old.join(file), new.join(file)).expect("a copy");
            }
        }
        // what is after the last sync may be there in part, and its later parts without its earlier ones
        if let Ok(file) = fs::File::options().write(true).open(log(&new)) {
            let after = file.metadata().expect("a file").len();
            let mut dice = Dice::of(&[before, after, u64::from(keep)]);
            let cut = before + dice.next() % (after.saturating_sub(before) + 1);
            file.set_len(cut).expect("it is cut");
            if cut > before && dice.chance(50) {
                let hole = before + dice.next() % (cut - before);
                let bytes = [0; 512];
                let length = bytes.len().min((cut - hole) as usize);
                let written = file.write_all_at(&bytes[..length], hole);
                written.expect("it is written");
            }
        }
        drop(journal);
        let journal = opened(&new);
        let there = |append: &Option<(ItemId, Seq)>| {
            append.as_ref().is_none_or(|(item, seq)| {
                let records = journal.load(item).expect("it reads");
                records.len() as Seq >= *seq
            })
        };
        // audits and the like are not looked at: they count with the append after them
        let kept = (0..appends.len())
            .rev()
            .find(|n| appends[*n].is_some() && there(&appends[*n]));
        self.survived.push(kept.map_or(0, |n| n + 1));
        journal
    }
}

fn opened(folder: &Path) -> Arc<dyn Journal> {
    match Sqlite::open(folder) {
        Ok(journal) => Arc::new(journal),
        Err(error) => panic!("{error}"),
    }
}
