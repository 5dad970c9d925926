//! Results as files of a folder. A file is there as a whole or not at all, and the same result always
//! has the same name, so that one that is given again is no second file.

use super::{Came, unread};
use crate::{
    failpoint::Point,
    item::{Item, Payload},
    journal::Delivery,
    lines::State,
    visit::Millis,
};
use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    path::Path,
    thread,
};

/// Results that are written together.
pub(super) const AT_ONCE: usize = 64;
/// Threads that write files. Each mostly waits for the disk, which makes what several wrote durable
/// at once.
const WRITERS: usize = 8;

/// Writes the results of these items: what came of each, in their order. Blocks.
pub(super) fn give(
    state: &State,
    folder: &Path,
    owed: &[(Delivery, Millis, Option<Item>)],
) -> Vec<Came> {
    let again = |error: io::Error| Came::Again {
        why: error.to_string(),
        after: None,
    };
    if let Err(error) = fs::create_dir_all(folder) {
        return vec![again(error); owed.len()];
    }
    let part = owed.len().div_ceil(WRITERS).max(1);
    let written = |owed: &[(Delivery, Millis, Option<Item>)]| -> Vec<Came> {
        let write = |item: &Option<Item>| {
            let Some((item, payload)) = item.as_ref().and_then(|i| Some((i, i.result()?))) else {
                return gone("the item has no result");
            };
            let body = match state.body(payload, item.workspace) {
                Ok(body) => body,
                Err(error) => return unread(&error),
            };
            match write_whole(&folder.join(file_name(item, payload)), &body) {
                Ok(()) => Came::Done,
                Err(error) => again(error),
            }
        };
        owed.iter().map(|(_, _, item)| write(item)).collect()
    };
    let mut came: Vec<Came> = thread::scope(|scope| {
        let writers: Vec<_> = owed
            .chunks(part)
            .map(|owed| (owed.len(), scope.spawn(move || written(owed))))
            .collect();
        let panicked = |n| vec![again(io::Error::other("a thread panicked")); n];
        writers
            .into_iter()
            .flat_map(|(n, writer)| writer.join().unwrap_or_else(|_| panicked(n)))
            .collect()
    });
    // The names are in the folder; the files were synced one by one.
    if let Err(error) = fs::File::open(folder).and_then(|folder| folder.sync_all()) {
        let lost = again(error);
        came.iter_mut()
            .filter(|came| **came == Came::Done)
            .for_each(|came| *came = lost.clone());
    }
    came
}

fn gone(why: &str) -> Came {
    Came::Never { why: why.into() }
}

/// A result's file: named after its input, with an ending that fits its media type, and the item's
/// id in it, so that the same result always has the same name and no two share one.
pub fn file_name(item: &Item, payload: &Payload) -> String {
    let stem = Path::new(&item.source)
        .file_stem()
        .and_then(|s| s.to_str())
        .unwrap_or("result");
    let stem: String = stem
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '-'
            }
        })
        .take(100)
        .collect();
    let essence = payload
        .content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let extension = match essence {
        "text/markdown" => "md",
        "application/json" => "json",
        "text/html" => "html",
        "text/csv" => "csv",
        "text/x-diff" => "patch",
        "message/rfc822" => "eml",
        text if text.starts_with("text/") => "txt",
        _ => "bin",
    };
    format!("{}.{}.{extension}", stem.trim_start_matches('.'), item.id)
}

/// Writes a file so that it is there as a whole or not at all. What a crash leaves beside it is replaced
/// when the result is given again.
///
/// # Errors
/// What the system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    let beside = path.with_file_name(name);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Whatever stands there now was put there meanwhile: it is not written through.
    let mut file = fs::File::create_new(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    Point::ResultWritten.reached();
    let named = written.and_then(|()| fs::rename(&beside, path));
    Point::ResultGiven.reached();
    if named.is_err() {
        // A disk that is full has room again for what is smaller.
        let _ = fs::remove_file(&beside);
    }
    named
}
