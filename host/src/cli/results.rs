//! Where results go: files in a folder, or standard output. They are given when they are durable in
//! the journal, and said to be delivered only when they are durable where they went.

use super::{print, state::State};
use crate::{
    item::Item,
    sinks::{file_name, write_whole},
};
use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

/// Threads that write files. Each mostly waits for the disk, which makes what several wrote durable
/// at once.
const WRITERS: usize = 16;

/// Where results go.
pub(super) struct Results {
    pub(super) state: Arc<State>,
    pub(super) out: Option<PathBuf>,
    pub(super) json: bool,
}

impl Results {
    /// Makes the folder, if there is to be one.
    pub(super) fn make_folder(&self) -> anyhow::Result<()> {
        if let Some(out) = &self.out {
            fs::create_dir_all(out)
                .with_context(|| format!("folder `{}` cannot be made", out.display()))?;
        }
        Ok(())
    }

    /// Gives the results of these items, those of them that have one. How many items that were: all,
    /// unless standard output was closed before.
    pub(super) fn give(&self, items: &[Item]) -> anyhow::Result<usize> {
        if let Some(out) = &self.out {
            self.write_all(out, items)?;
        }
        for (given, item) in items.iter().enumerate() {
            match self.print(item) {
                Err(error) if print::closed(&error) => return Ok(given),
                printed => printed?,
            }
        }
        Ok(items.len())
    }

    /// Whether giving writes to standard output.
    pub(super) fn prints(&self) -> bool {
        self.json || self.out.is_none()
    }

    fn write_all(&self, out: &Path, items: &[Item]) -> anyhow::Result<()> {
        let next = AtomicUsize::new(0);
        let write = || -> anyhow::Result<()> {
            while let Some(item) = items.get(next.fetch_add(1, Relaxed)) {
                let Some(payload) = item.result() else {
                    continue;
                };
                let body = self.state.body(payload, item.workspace)?;
                let path = out.join(file_name(item, payload));
                write_whole(&path, &body)
                    .with_context(|| format!("result `{}` cannot be written", path.display()))?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let writers: Vec<_> = (0..items.len().min(WRITERS))
                .map(|_| scope.spawn(write))
                .collect();
            writers.into_iter().try_for_each(|writer| {
                let panicked = |_| anyhow::anyhow!("a thread that writes results panicked");
                writer.join().map_err(panicked)?
            })
        })?;
        // The names are in the folder; the files were synced one by one.
        fs::File::open(out)
            .and_then(|folder| folder.sync_all())
            .with_context(|| format!("folder `{}` cannot be synced", out.display()))
    }

    fn print(&self, item: &Item) -> anyhow::Result<()> {
        let Some(payload) = item.result() else {
            return Ok(());
        };
        let body = || self.state.body(payload, item.workspace);
        if self.json {
            let mut value = json!({
                "event": "result", "item": item.id, "source": item.source,
                "content-type": payload.content_type,
                "labels": payload.labels.iter().collect::<BTreeMap<_, _>>(),
            });
            match &self.out {
                Some(out) => {
                    let file = out.join(file_name(item, payload));
                    value["file"] = json!(file.display().to_string());
                }
                None => match String::from_utf8(body()?) {
                    Ok(text) => value["text"] = json!(text),
                    Err(error) => {
                        value["base64"] = json!(BASE64_STANDARD.encode(error.into_bytes()))
                    }
                },
            }
            print::json(&value)?;
        } else if self.out.is_none() {
            let body = body()?;
            print::data(&body)?;
            if !body.is_empty() && !body.ends_with(b"\n") {
                print::data(b"\n")?;
            }
        }
        Ok(())
    }
}
