//! What of the host's no line may be granted: andon's own state, caches and settings, and for writing
//! also what a line is made of. A station that could change these would grant itself what it likes.

use crate::{
    catalogue::Cache,
    escape::line as escaped,
    factory::Factory,
    grant::{Access, Mount, SAYING, STATE},
    journal::sqlite,
    line::{Asset, Draft},
    problem::{Problem, shown},
};
use std::{
    ffi::OsStr,
    fs,
    path::{Component, Path, PathBuf},
};

/// What is not granted, links resolved.
pub(super) struct Reserved {
    /// Neither read nor written.
    closed: Vec<(PathBuf, &'static str)>,
    /// Not written.
    fixed: Vec<(PathBuf, &'static str)>,
    /// What stations may write: a link in there is a guest's.
    writable: Vec<PathBuf>,
    folder: PathBuf,
}

impl Reserved {
    /// What a line in `folder` may not be granted; `file` is its own.
    pub(super) fn new(
        draft: &Draft,
        file: Option<&Path>,
        folder: &Path,
        state: Option<&Path>,
        factory: &Factory,
    ) -> Self {
        let own = folder.join(STATE);
        let mut closed = vec![(resolve(state.unwrap_or(&own)), "the state folder")];
        if state.is_some() {
            closed.push((resolve(&own), "the state folder"));
        }
        for place in Cache::homes() {
            closed.push((resolve(&place), "a folder of andon's own"));
        }
        let folder = resolve(folder);
        let mut fixed: Vec<_> = SAYING
            .iter()
            .map(|name| (folder.join(name), "says what the line may do"))
            .collect();
        fixed.extend(file.map(|file| (resolve(file), "says what the line may do")));
        let file = factory.file.as_deref().map(Path::new);
        fixed.extend(file.map(|file| (resolve(file), "says what lines may do")));
        let stations = draft.line.stations.values();
        for station in stations.clone().filter(|station| station.ask.is_none()) {
            fixed.push((
                resolve(&folder.join(&station.r#use)),
                "is what a station is made from",
            ));
        }
        let writable = stations
            .flat_map(|station| &station.grants.fs)
            .filter(|mount| mount.access == Access::Write)
            .map(|mount| resolve(&folder.join(&mount.host)))
            .collect();
        Self {
            closed,
            fixed,
            writable,
            folder,
        }
    }

    /// What is wrong with granting a folder, written as `host` in the line file.
    pub(super) fn mount(
        &self,
        draft: &Draft,
        at: &str,
        host: &Path,
        access: Access,
    ) -> Option<Problem> {
        let name = shown(&host.display().to_string());
        if let Some(problem) = self.reading(draft, at, host, &name) {
            return Some(problem);
        }
        if access == Access::Read {
            return None;
        }
        let place = resolve(&self.folder.join(host));
        let (path, what) = overlaps(&self.fixed, &place)?;
        Some(
            draft
                .problem(
                    at,
                    format!(
                        "`{name}` cannot be granted for writing: `{}` {what}",
                        shown(&path.display().to_string())
                    ),
                )
                .hint("grant a folder beside it, or `access = \"read\"`"),
        )
    }

    /// What is wrong with taking an asset from where it is. Below a ceiling it has to be in the line's
    /// folder or in one of the ceiling's: else it would be a way around it.
    pub(super) fn asset(
        &self,
        draft: &Draft,
        at: &str,
        asset: &Asset,
        factory: &Factory,
    ) -> Option<Problem> {
        let name = shown(&asset.host.display().to_string());
        if let Some(problem) = self.reading(draft, at, &asset.host, &name) {
            return Some(problem);
        }
        let ceiling = factory.ceiling.as_ref()?;
        let mount = Mount {
            host: resolve(&self.folder.join(&asset.host)),
            guest: asset.guest.clone(),
            access: Access::Read,
            quota: None,
            max_files: None,
        };
        if mount.host.starts_with(&self.folder) || ceiling.mount(&mount).is_some() {
            return None;
        }
        let host = escaped(&mount.host.display().to_string());
        let file = shown(factory.file.as_deref().unwrap_or("andon.toml"));
        let message = format!(
            "the asset `{name}` is outside of the line's folder, and the ceiling does not admit it"
        );
        Some(draft.problem(at, message).hint(format!(
            "`fs = [{{ host = \"{host}\", access = \"read\" }}]` in `[ceiling.grants]` of `{file}` admits it"
        )))
    }

    /// What is wrong with a folder of a line's own, that its files are taken from or its results put
    /// into: as with one that is granted for writing, and no station may write there either.
    pub(super) fn own(&self, draft: &Draft, at: &str, host: &Path) -> Option<Problem> {
        let name = shown(&host.display().to_string());
        if let Some(problem) = self.open(draft, at, host, &name, "used") {
            return Some(problem);
        }
        let place = resolve(&self.folder.join(host));
        let fixed = overlaps(&self.fixed, &place).map(|(path, what)| {
            let path = shown(&path.display().to_string());
            format!("`{name}` cannot be used: `{path}` {what}")
        });
        let written = || {
            let mut writable = self.writable.iter();
            let other =
                writable.find(|other| other.starts_with(&place) || place.starts_with(other))?;
            let other = shown(&other.display().to_string());
            Some(format!(
                "`{name}` cannot be used: a station may write to `{other}`"
            ))
        };
        let message = fixed.or_else(written)?;
        Some(draft.problem(at, message).hint("name a folder beside it"))
    }

    fn reading(&self, draft: &Draft, at: &str, host: &Path, name: &str) -> Option<Problem> {
        self.open(draft, at, host, name, "granted")
    }

    /// What is wrong with a folder that is to be `done` something with.
    fn open(
        &self,
        draft: &Draft,
        at: &str,
        host: &Path,
        name: &str,
        done: &str,
    ) -> Option<Problem> {
        let beside = match done {
            "granted" => "grant a folder beside it",
            _ => "name a folder beside it",
        };
        let place = resolve(&self.folder.join(host));
        let within_state = place
            .components()
            .any(|part| part == Component::Normal(OsStr::new(STATE)));
        if let Some((path, what)) = overlaps(&self.closed, &place) {
            let message = if place.starts_with(path) {
                format!("`{name}` cannot be {done}: it is, or is in, {what}")
            } else {
                format!(
                    "`{name}` cannot be {done}: {what} `{}` is in it",
                    shown(&path.display().to_string())
                )
            };
            return Some(draft.problem(at, message).hint(beside));
        }
        if let Some(what) = systems(&place) {
            let message = format!("`{name}` cannot be {done}: it is in {what}");
            return Some(
                draft
                    .problem(at, message)
                    .hint("grant a folder with ordinary files"),
            );
        }
        if let Some(state) = state_folder(&place) {
            let state = shown(&state.display().to_string());
            let message = format!("`{name}` cannot be {done}: `{state}` is a state folder");
            return Some(draft.problem(at, message).hint(beside));
        }
        if within_state {
            return Some(
                draft
                    .problem(
                        at,
                        format!("`{name}` cannot be {done}: `{STATE}` is a folder of andon's own"),
                    )
                    .hint(beside),
            );
        }
        let link = self.guests_link(host)?;
        Some(
            draft
                .problem(
                    at,
                    format!(
                        "`{name}` cannot be {done}: `{}` is a link in a folder that a station may write",
                        shown(&link.display().to_string())
                    ),
                )
                .hint("name what is meant without the link"),
        )
    }

    /// A link on the way to `host` that a station may have put there.
    fn guests_link(&self, host: &Path) -> Option<PathBuf> {
        let mut way = self.folder.clone();
        for part in host.components() {
            let around = resolve(&way);
            way.push(part);
            let guests = self.writable.iter().any(|place| around.starts_with(place));
            if guests && fs::symlink_metadata(&way).is_ok_and(|about| about.is_symlink()) {
                return Some(way);
            }
        }
        None
    }
}

/// What is wrong with granting a folder for writing that another grant of the station opens for writing
/// with other bounds: the wider ones would hold for both.
pub(super) fn twice(
    draft: &Draft,
    at: &str,
    folder: &Path,
    mount: &Mount,
    before: &[Mount],
) -> Option<Problem> {
    let place = |mount: &Mount| resolve(&folder.join(&mount.host));
    let here = place(mount);
    let other = before.iter().find(|other| {
        let there = place(other);
        mount.access == Access::Write
            && other.access == Access::Write
            && (mount.quota, mount.max_files) != (other.quota, other.max_files)
            && (here.starts_with(&there) || there.starts_with(&here))
    })?;
    let message = format!(
        "`{}` is also written at `{}`, with another `quota` or `max-files`",
        shown(&mount.host.display().to_string()),
        shown(&other.guest)
    );
    Some(
        draft
            .problem(at, message)
            .hint("give both the same, or grant it once"),
    )
}

/// What of the system's own a folder is in: there files are switches, processes and devices.
fn systems(place: &Path) -> Option<&'static str> {
    let tops = [
        ("/proc", "the system's processes"),
        ("/sys", "the system's switches"),
        ("/dev", "the system's devices"),
    ];
    tops.iter()
        .find(|(top, _)| place.starts_with(top))
        .map(|(_, what)| *what)
}

/// A state folder that `place` is, is in, or has in it.
fn state_folder(place: &Path) -> Option<PathBuf> {
    let keeps = |folder: &PathBuf| folder.join(sqlite::FILE).is_file();
    let inside = fs::read_dir(place).into_iter().flatten().flatten();
    (place.ancestors().map(Path::to_path_buf))
        .chain(inside.map(|entry| entry.path()))
        .find(keeps)
}

/// The first of these places that is `place`, in it or around it.
fn overlaps<'a>(
    places: &'a [(PathBuf, &'static str)],
    place: &Path,
) -> Option<(&'a Path, &'static str)> {
    places
        .iter()
        .find(|(own, _)| own.starts_with(place) || place.starts_with(own))
        .map(|(own, what)| (own.as_path(), *what))
}

/// The path with all links resolved, also where its end is not there yet.
pub(super) fn resolve(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    for above in path.ancestors() {
        let above_or_here = if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        };
        if let Ok(mut found) = fs::canonicalize(above_or_here) {
            found.extend(missing.iter().rev());
            return found;
        }
        missing.extend(above.file_name().map(OsStr::to_os_string));
    }
    path.to_path_buf()
}
