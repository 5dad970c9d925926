//! The developer's loop: a retool at every saved change.
//!
//! What is watched is only a hint to look: whether anything is another is decided by the content of what
//! comes of it, so that a save of the same changes nothing, and one that comes in pieces changes once.

use super::{Retool, folder_of, print, said};
use crate::{
    cli::Done,
    line::{self, Vars},
    lines::Control,
    retool::{Aim, PlanFor, Retool as Wanted, Retooled},
};
use anyhow::{Context as _, bail};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::{
    collections::BTreeSet,
    fs, mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

/// After so long without a further change, a save is over.
const QUIET: Duration = Duration::from_millis(15);
/// A change that goes on is not waited for longer than this.
const LONGEST: Duration = Duration::from_millis(150);
/// Folders of a station in which nothing is its source: what is built from it, and what is not its own.
const BUILT: [&str; 4] = [".andon", "target", ".git", "node_modules"];

/// Retools the line at every saved change, until the command is ended.
pub(super) async fn watch(control: &dyn Control, asked: &Retool) -> anyhow::Result<Done> {
    let status = control.status(Some(&asked.line)).await.map_err(said)?;
    let line = status.lines.first().context("the line is gone")?;
    if !line.running {
        bail!(
            "line `{}` does not run\n  hint: `andon serve` runs it; `andon retool` without `--watch` changes it at rest",
            asked.line
        );
    }
    let mut aim = asked.aim()?;
    if aim.file.is_none() {
        aim.file = line.file.clone();
    }
    let Some(file) = aim.file.as_deref().map(line_file) else {
        bail!(
            "line `{}` has no file to watch\n  hint: name one",
            asked.line
        );
    };
    let (tell, mut told) = mpsc::unbounded_channel();
    let places = Arc::new(Mutex::new(Places::default()));
    let watcher = notify::recommended_watcher({
        let places = places.clone();
        move |event: notify::Result<Event>| {
            let places = places.lock().unwrap_or_else(PoisonError::into_inner);
            if event.is_ok_and(|event| places.concern(&event)) {
                // Nobody listens any more when the command ends.
                let _ = tell.send(());
            }
        }
    });
    let mut watched = Watched {
        watcher: watcher.context("changes cannot be watched")?,
        folders: BTreeSet::new(),
        places,
    };
    watched.follow(&file)?;
    print::note(&format!(
        "watching `{}` and its stations; Ctrl-C ends",
        file.display()
    ));
    // What was saved before counts as well.
    loop {
        match retool(control, asked, &aim).await {
            Ok(retooled) if !retooled.changed => {}
            Ok(retooled) if asked.json => print::json(&serde_json::json!(retooled))?,
            Ok(retooled) => {
                print::note(&retooled.plan.to_string());
                print::note(&super::told(&asked.line, None, &retooled));
            }
            // The line runs on as it did.
            Err(error) => print::note(&format!("error: {}", print::error(&error))),
        }
        watched.follow(&file)?;
        if told.recv().await.is_none() {
            return Ok(Done::Well);
        }
        let more = async { while timeout(QUIET, told.recv()).await.is_ok() {} };
        // Going on for longer, it is looked at as it is; what comes after is looked at again.
        let _ = timeout(LONGEST, more).await;
        while told.try_recv().is_ok() {}
    }
}

async fn retool(control: &dyn Control, asked: &Retool, aim: &Aim) -> anyhow::Result<Retooled> {
    let mut accept = asked.accept.clone();
    if !accept.is_empty() {
        // What was accepted from the start is part of one of the changes only.
        let wanted = PlanFor {
            aim: aim.clone(),
            moves: asked.moves(),
            shadow: None,
        };
        let plan = control.plan(&asked.line, wanted).await.map_err(said)?;
        accept.retain(|name| plan.widened.iter().any(|g| g.accept.as_ref() == Some(name)));
    }
    let wanted = Wanted {
        aim: aim.clone(),
        why: match asked.reason.as_str() {
            "" => "saved".into(),
            why => why.into(),
        },
        accept,
        moves: asked.moves(),
        drain: asked.drain,
        now: asked.now,
        ..Wanted::default()
    };
    control
        .retool(&asked.by.name(), &asked.line, wanted)
        .await
        .map_err(said)
}

/// What a change of which counts.
#[derive(Default, PartialEq)]
struct Places {
    /// These themselves.
    files: BTreeSet<PathBuf>,
    /// Whatever is in these.
    folders: BTreeSet<PathBuf>,
}

impl Places {
    /// Whether an event may be a save; reading is none.
    fn concern(&self, event: &Event) -> bool {
        let saves = matches!(
            event.kind,
            EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_)
        );
        saves
            && event.paths.iter().any(|path| {
                self.files.contains(path) || path.parent().is_some_and(|f| self.folders.contains(f))
            })
    }

    /// Adds a file or a folder with all in it.
    fn add(&mut self, path: &Path) {
        if path.is_dir() {
            self.add_folder(&fs::canonicalize(path).unwrap_or_else(|_| path.into()));
        } else if let Some(name) = path.file_name() {
            let folder = folder_of(path);
            let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.into());
            self.files.insert(folder.join(name));
        }
    }

    fn add_folder(&mut self, folder: &Path) {
        self.folders.insert(folder.into());
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let built = BUILT.iter().any(|name| entry.file_name() == *name);
            if !built && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.add_folder(&entry.path());
            }
        }
    }

    /// What is asked of the system. A file is watched by its folder, since many programs save by putting
    /// another in its place.
    fn watched(&self) -> BTreeSet<PathBuf> {
        let around = self.files.iter().map(|file| folder_of(file).to_path_buf());
        around.chain(self.folders.iter().cloned()).collect()
    }
}

/// What is watched.
struct Watched {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    places: Arc<Mutex<Places>>,
}

impl Watched {
    /// Watches what the line's file names by now.
    fn follow(&mut self, file: &Path) -> anyhow::Result<()> {
        let mut places = Places::default();
        places.add(file);
        let parsed = fs::read(file).ok().and_then(|bytes| {
            line::parse_bytes(&file.display().to_string(), &bytes, &Vars::default()).ok()
        });
        if parsed.is_none() && !self.folders.is_empty() {
            // What is wrong with the file has been told; the stations stay watched.
            return Ok(());
        }
        let stations = parsed.iter().flat_map(|draft| draft.line.stations.values());
        for station in stations {
            let assets = station.assets.iter().map(|asset| &asset.host);
            for path in [&station.r#use].into_iter().chain(assets) {
                places.add(&folder_of(file).join(path));
            }
        }
        let folders = places.watched();
        for gone in self.folders.difference(&folders) {
            // It may not be there any more.
            let _ = self.watcher.unwatch(gone);
        }
        for new in folders.difference(&self.folders) {
            self.watcher
                .watch(new, RecursiveMode::NonRecursive)
                .with_context(|| format!("`{}` cannot be watched", new.display()))?;
        }
        self.folders = folders;
        let mut shared = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        drop(mem::replace(&mut *shared, places));
        Ok(())
    }
}

/// The file that a line or its folder is.
fn line_file(path: &str) -> PathBuf {
    let path = Path::new(path);
    match path.is_dir() {
        true => path.join("line.toml"),
        false => path.into(),
    }
}
