//! The `line.lock` beside a line file: what is pinned now, whether it is what was accepted, and how the
//! file is read and replaced.

use super::{Assembled, AssemblyError, unreadable};
use crate::{
    digest::Digest,
    line::{Draft, Vars},
    lock::{Change, Granted, Lock, Need, Pin, What, changes, outside},
    problem::Problem,
};
use rustix::fs::{FlockOperation, flock};
use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// A lock as it is in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// The text of the file.
    pub text: String,
    /// What it pins.
    pub lock: Lock,
}

/// Why a lock was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file is not what was compared with.
    #[error("`{0}` was changed by somebody else meanwhile\n  hint: look at the changes once more")]
    Changed(String),
    /// The system says no.
    #[error("`{path}` cannot be written: {reason}\n  hint: make its folder writable")]
    System {
        /// The file.
        path: String,
        /// What the system says.
        reason: io::Error,
    },
}

/// Where the lock of a line file is.
pub(super) fn beside(file: &Path) -> PathBuf {
    file.with_extension("lock")
}

/// The lock in a file; none where there is no file.
///
/// # Errors
/// When it cannot be read or is no lock.
pub fn read(path: &Path) -> Result<Option<Locked>, AssemblyError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let hint = "a lock is a file that `andon lock` writes";
            return Err(unreadable(path, &error, hint));
        }
    };
    let file = path.display().to_string();
    let bad = |problem| AssemblyError::Problems(vec![problem]);
    let text = String::from_utf8(bytes)
        .map_err(|_| bad(Problem::of(&file, "not UTF-8").hint("restore it, or remove it")))?;
    match Lock::from_text(&text) {
        Ok(lock) => Ok(Some(Locked { text, lock })),
        Err(error) => Err(bad(error.problem(&file, &text))),
    }
}

/// Replaces the lock in a file as a whole, if it is still what `before` says.
///
/// # Errors
/// When it is not, or cannot be written.
pub fn write(path: &Path, before: Option<&Locked>, lock: &Lock) -> Result<(), WriteError> {
    let failed = |reason| WriteError::System {
        path: path.display().to_string(),
        reason,
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let held = File::open(folder).map_err(failed)?;
    // From the comparison to the end nobody else writes; held until the descriptor is closed.
    flock(&held, FlockOperation::LockExclusive).map_err(|e| failed(e.into()))?;
    let there = match fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    if there.as_deref() != before.map(|locked| locked.text.as_bytes()) {
        return Err(WriteError::Changed(path.display().to_string()));
    }
    let mut new = tempfile::Builder::new()
        .prefix(".line.lock.")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        // Its own words name a file that nobody knows.
        .map_err(|e| failed(e.kind().into()))?;
    new.write_all(lock.to_text().as_bytes()).map_err(failed)?;
    new.as_file().sync_all().map_err(failed)?;
    new.persist(path).map_err(|e| failed(e.error))?;
    held.sync_all().map_err(failed)
}

/// The values of the variables that go into the assets and grants of a line file's text.
pub(super) fn vars(bytes: &[u8], over: &Vars) -> BTreeMap<String, String> {
    // What is wrong with the file is told by whoever reads it as a line.
    let text = String::from_utf8_lossy(bytes);
    let file: toml::Table = toml::from_str(&text).unwrap_or_default();
    let mut texts = Vec::new();
    let stations = file.get("stations").and_then(toml::Value::as_table);
    for station in stations.into_iter().flat_map(|table| table.values()) {
        for key in ["assets", "grants"] {
            station
                .get(key)
                .into_iter()
                .for_each(|value| strings(value, &mut texts));
        }
    }
    let vars = file.get("vars").and_then(toml::Value::as_table);
    (vars.into_iter().flatten())
        .filter(|(name, _)| {
            let used = format!("${{{name}}}");
            texts.iter().any(|text| text.contains(&used))
        })
        .filter_map(|(name, value)| {
            let value = over.get(name).or(value.as_str())?;
            Some((name.clone(), value.to_owned()))
        })
        .collect()
}

fn strings<'v>(value: &'v toml::Value, found: &mut Vec<&'v str>) {
    match value {
        toml::Value::String(text) => found.push(text),
        toml::Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        toml::Value::Table(table) => table.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}

impl Assembled {
    /// What a lock of this line as it is now would pin.
    pub fn pinned(&self) -> Lock {
        let pins = self
            .draft
            .line
            .stations
            .iter()
            .filter_map(|(name, station)| {
                let component = &self.parts.get(name)?.component;
                let trees = self.assets.get(name).map_or(&[][..], Vec::as_slice);
                let digests = trees.iter().map(super::assets::Tree::digest);
                let assets: BTreeMap<String, Digest> = (station.assets.iter())
                    .map(|asset| asset.guest.clone())
                    .zip(digests)
                    .collect();
                let pin = Pin {
                    r#use: station.r#use.display().to_string(),
                    component: component.digest,
                    requires: component
                        .manifest
                        .as_ref()
                        .map(Need::all)
                        .unwrap_or_default(),
                    assets,
                    grants: station.grants.clone(),
                };
                Some((name.clone(), pin))
            });
        Lock {
            vars: self.vars.clone(),
            outside: outside(&self.draft.line, Path::to_path_buf),
            stations: pins.collect(),
        }
    }

    /// Holds the line against its lock, where it has one.
    pub(super) fn held_to_its_lock(self) -> Result<Self, AssemblyError> {
        let Some(path) = &self.lock else {
            return Ok(self);
        };
        let Some(locked) = read(path)? else {
            return Ok(self);
        };
        let mut problems: Vec<Problem> = changes(Some(&locked.lock), &self.pinned())
            .iter()
            .filter(|change| change.needs_acceptance())
            .map(|change| refused(&self.draft, change))
            .collect();
        if problems.is_empty() {
            return Ok(self);
        }
        problems.sort();
        Err(AssemblyError::Problems(problems))
    }
}

/// A change that nobody has accepted, at the line of the file that it comes from.
fn refused(draft: &Draft, change: &Change) -> Problem {
    let at = match &change.station {
        Some(name) => format!("stations.{name}"),
        None => "vars".into(),
    };
    let station = change
        .station
        .as_ref()
        .and_then(|name| draft.line.stations.get(name));
    let place = match (&change.what, station) {
        (What::Asset { guest, .. }, Some(station)) => {
            let n = station
                .assets
                .iter()
                .position(|asset| asset.guest == *guest);
            n.map_or_else(|| format!("{at}.assets"), |n| format!("{at}.assets.{n}"))
        }
        (What::Grant { new: Some(new), .. }, Some(station)) => {
            let mut numbers = BTreeMap::new();
            let mut place = format!("{at}.grants");
            for grant in Granted::all(&station.grants) {
                let kind = match grant {
                    Granted::Fs(_) => "fs",
                    Granted::Http(_) => "http",
                    Granted::Tcp(_) => "tcp",
                    Granted::Secret(_) => "secrets",
                };
                let n = numbers.entry(kind).or_insert(0);
                if grant.to_string() == *new {
                    place = format!("{at}.grants.{kind}.{n}");
                    break;
                }
                *n += 1;
            }
            place
        }
        (What::Outside { place, .. }, _) => place.clone(),
        _ => format!("{at}.use"),
    };
    let line = match draft.file.as_str() {
        "line.toml" => String::new(),
        file => format!(" {file}"),
    };
    draft.problem(&place, change.to_string()).hint(format!(
        "`andon lock{line}` shows all changes and asks whether to accept them"
    ))
}
