//! The folders that a line takes inputs from and puts results into.
//!
//! They are the operator's, as granted folders are: the line file is trusted for them, and the ceiling
//! bounds them. No station may write there: it would submit, or give results, past its line.

use super::reserved::{Reserved, resolve};
use crate::{
    escape::line as escaped,
    factory::Factory,
    grant::{Access, Mount},
    line::{Draft, Line, sink::To, source::Origin},
    problem::{Problem, shown},
};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A folder of a line's own: where the file says it, and the folder as it is written there.
struct Own<'l> {
    at: String,
    path: &'l Path,
    /// Whether inputs are taken from it.
    taken: bool,
}

/// All that is wrong with the folders of sources and sinks.
pub(super) fn check(
    draft: &Draft,
    folder: &Path,
    reserved: &Reserved,
    factory: &Factory,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let all = all(&draft.line);
    for (n, own) in all.iter().enumerate() {
        let place = resolve(&folder.join(own.path));
        let problem = reserved
            .own(draft, &own.at, own.path)
            .or_else(|| missing(draft, own, &place))
            .or_else(|| above(draft, own, &place, factory))
            .or_else(|| taken_twice(draft, folder, own, &place, &all[..n]));
        problems.extend(problem);
    }
    for (name, source) in &draft.line.sources {
        let Origin::Folder(inbox) = &source.from else {
            continue;
        };
        let Some(done) = &inbox.done else {
            continue;
        };
        let (from, to) = (
            resolve(&folder.join(&inbox.folder)),
            resolve(&folder.join(done)),
        );
        let at = format!("sources.{name}.done");
        if from == to {
            let message = "a file that was taken cannot stay in the folder that it is taken from";
            problems.push(
                draft
                    .problem(&at, message)
                    .hint("name another folder, such as `.done` in it"),
            );
        } else if device(&from).is_some_and(|of| device(&to).is_some_and(|other| of != other)) {
            let message = format!(
                "`{}` is on another file system than `{}`: nothing can be moved there in one step",
                shown(&done.display().to_string()),
                shown(&inbox.folder.display().to_string())
            );
            problems.push(
                draft
                    .problem(&at, message)
                    .hint("name a folder beside the one that is watched"),
            );
        }
    }
    problems
}

/// The line's own folders become absolute, links resolved.
pub(super) fn resolved(line: &mut Line, folder: &Path) {
    let place = |path: &mut PathBuf| *path = resolve(&folder.join(&*path));
    for source in line.sources.values_mut() {
        if let Origin::Folder(inbox) = &mut source.from {
            place(&mut inbox.folder);
            inbox.done.iter_mut().for_each(place);
        }
    }
    for sink in line.sinks.values_mut() {
        if let To::Folder(path) = &mut sink.to {
            place(path);
        }
    }
}

fn all(line: &Line) -> Vec<Own<'_>> {
    let mut all = Vec::new();
    for (name, source) in &line.sources {
        if let Origin::Folder(inbox) = &source.from {
            all.push(Own {
                at: format!("sources.{name}.folder"),
                path: &inbox.folder,
                taken: true,
            });
            all.extend(inbox.done.iter().map(|done| Own {
                at: format!("sources.{name}.done"),
                path: done,
                taken: false,
            }));
        }
    }
    for (name, sink) in &line.sinks {
        if let To::Folder(path) = &sink.to {
            all.push(Own {
                at: format!("sinks.{name}.folder"),
                path,
                taken: false,
            });
        }
    }
    all
}

/// A folder is made where only it is missing.
fn missing(draft: &Draft, own: &Own<'_>, place: &Path) -> Option<Problem> {
    let name = shown(&own.path.display().to_string());
    let (message, hint) = match fs::metadata(place) {
        Ok(about) if about.is_dir() => return None,
        Ok(_) => (format!("`{name}` is no folder"), "name another"),
        Err(_) if place.parent().is_some_and(Path::is_dir) => return None,
        // The folder for files that were taken may be in one that is made as well.
        Err(_) if own.at.ends_with(".done") => return None,
        Err(_) => (
            format!("the folder that `{name}` is to be in is not there"),
            "make it, or name another",
        ),
    };
    Some(draft.problem(&own.at, message).hint(hint))
}

fn above(draft: &Draft, own: &Own<'_>, place: &Path, factory: &Factory) -> Option<Problem> {
    let ceiling = factory.ceiling.as_ref()?;
    let mount = Mount {
        host: place.into(),
        guest: String::new(),
        access: Access::Write,
        quota: None,
        max_files: None,
    };
    if ceiling
        .mount(&mount)
        .is_some_and(|(_, access)| access == Access::Write)
    {
        return None;
    }
    let message = format!(
        "the ceiling does not admit the folder `{}`",
        shown(&own.path.display().to_string())
    );
    let host = escaped(&place.display().to_string());
    let file = shown(factory.file.as_deref().unwrap_or("andon.toml"));
    Some(draft.problem(&own.at, message).hint(format!(
        "`fs = [{{ host = \"{host}\", access = \"write\" }}]` in `[ceiling.grants]` of `{file}` admits it"
    )))
}

/// Two sources of one folder would take each other's files, and a result that is put into one would be
/// the line's next input, without end.
fn taken_twice(
    draft: &Draft,
    folder: &Path,
    own: &Own<'_>,
    place: &Path,
    before: &[Own<'_>],
) -> Option<Problem> {
    let same =
        |other: &&Own<'_>| (own.taken || other.taken) && resolve(&folder.join(other.path)) == place;
    let other = before.iter().find(same)?;
    if own.at.ends_with(".done") {
        return None;
    }
    let message = format!(
        "`{}` is also the folder of `{}`",
        shown(&own.path.display().to_string()),
        other.at
    );
    Some(
        draft
            .problem(&own.at, message)
            .hint("a folder whose files are taken is nothing else; name another"),
    )
}

fn device(path: &Path) -> Option<u64> {
    let there = path.ancestors().find_map(|path| fs::metadata(path).ok());
    there.map(|about| about.dev())
}
