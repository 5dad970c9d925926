//! Inputs from files that are put into a folder.
//!
//! A file is claimed before it is read: renamed into a hidden folder of this factory's, so that of two
//! hosts only one has it. It stays there until it was submitted, and what a crash left there comes first
//! the next time. Whoever may put files into the folder is not trusted with more than that: links are
//! not followed, and nothing but plain files is opened.

mod inbox;

use super::Means;
use crate::{
    failpoint::Point,
    item::{Body, Payload},
    line::source::Inbox as Grammar,
};
use bytes::Bytes;
use futures::StreamExt as _;
#[cfg(test)]
pub(super) use inbox::MOST;
use inbox::{Claimed, Inbox};
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, task::spawn_blocking, time::sleep};

/// The folder is looked at as often without a word of the system's.
const LOOK: Duration = Duration::from_secs(10);
/// Files that are claimed and submitted at the same time.
const AT_ONCE: usize = 16;

pub(super) async fn run(means: Means, grammar: Grammar) {
    let woken = Arc::new(Notify::new());
    let folder = Folder::new(means, grammar);
    let mut watcher = None;
    loop {
        // Where it cannot be watched, it is looked at now and then.
        if watcher.is_none() {
            watcher = watch(&folder.path, woken.clone());
        }
        let wait = folder.turn().await.unwrap_or(LOOK).min(LOOK);
        tokio::select! {
            () = woken.notified() => {}
            () = sleep(wait) => {}
        }
    }
}

fn watch(path: &Path, woken: Arc<Notify>) -> Option<RecommendedWatcher> {
    let tell = move |event: notify::Result<Event>| {
        // That files are opened and read, which we do ourselves, is no news.
        let read = |kind: &EventKind| {
            let written = AccessKind::Close(AccessMode::Write);
            matches!(kind, EventKind::Access(access) if *access != written)
        };
        if event.is_ok_and(|event| !read(&event.kind)) {
            woken.notify_one();
        }
    };
    let mut watcher = notify::recommended_watcher(tell)
        .inspect_err(|error| tracing::warn!("no folder can be watched: {error}"))
        .ok()?;
    watcher
        .watch(path, RecursiveMode::NonRecursive)
        .inspect_err(|error| tracing::debug!("`{}` is not watched: {error}", path.display()))
        .ok()?;
    Some(watcher)
}

/// A watched folder at work.
pub(super) struct Folder {
    means: Arc<Means>,
    path: std::path::PathBuf,
    inbox: Arc<Mutex<Inbox>>,
}

impl Folder {
    pub(super) fn new(means: Means, grammar: Grammar) -> Self {
        let settings = &means.settings;
        let factory = settings.state.journal.factory();
        let factory: String = factory.iter().map(|byte| format!("{byte:02x}")).collect();
        // Another factory, or another of its lines, may take from the same folder.
        let claims = format!("{factory}.{}", settings.line);
        Self {
            path: grammar.folder.clone(),
            inbox: Arc::new(Mutex::new(Inbox::new(grammar, claims))),
            means: Arc::new(means),
        }
    }

    /// Takes what is there and has settled; when it is worth looking again.
    pub(super) async fn turn(&self) -> Option<Duration> {
        loop {
            let (files, wait) = self.with(Inbox::look).await?;
            if files.is_empty() {
                return wait;
            }
            let many = files.len();
            let taken = futures::stream::iter(files)
                .map(|file| self.take(file))
                .buffer_unordered(AT_ONCE)
                .filter(|taken| std::future::ready(*taken))
                .count()
                .await;
            // What could not be taken is not tried again at once.
            if taken < many {
                return wait.or(Some(LOOK));
            }
        }
    }

    /// Does something with the folder, and tells what came up, each once.
    async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Inbox) -> io::Result<T> + Send + 'static,
    ) -> Option<T> {
        let inbox = self.inbox.clone();
        let act = move || {
            let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
            let came = act(&mut inbox);
            if let Err(error) = &came {
                inbox.trouble_of_folder(error);
            }
            (came.ok(), inbox.told())
        };
        let (came, told) = spawn_blocking(act).await.ok()?;
        told.iter().for_each(|text| self.means.say(text));
        came
    }

    /// Claims, reads, submits and puts away one file: whether it is out of the way.
    async fn take(&self, name: std::ffi::OsString) -> bool {
        Point::Claiming.reached();
        let claimed = self.with(move |inbox| Ok(inbox.claim(&name))).await;
        Point::Claimed.reached();
        let Some(Some(claimed)) = claimed else {
            return false;
        };
        let Claimed { name, bytes } = claimed;
        let (Some(kept), shown) = (self.body(bytes).await, name.to_string_lossy().into_owned())
        else {
            return false;
        };
        let (body, digest, head) = kept;
        let payload = Payload {
            content_type: Payload::guess(&shown, &head).into(),
            body,
            labels: self.means.labels(),
        };
        // Two names that are shown alike are two inputs.
        let exact = name.as_encoded_bytes().escape_ascii();
        let key = format!("folder\0{}\0{exact}\0{digest}", self.means.name);
        let source = format!("{}/{shown}", self.means.name);
        let input = self.means.input(key, source, payload, self.means.now());
        let submitted = self.means.submit(input).await;
        Point::Submitted.reached();
        if submitted.known {
            let (shown, item) = (crate::escape::line(&shown), submitted.item);
            (self.means).say(&format!(
                "`{shown}` was taken before as {item}: nothing more is done with it"
            ));
        }
        let away = self.with(move |inbox| Ok(inbox.put_away(&name))).await;
        away.unwrap_or(false)
    }

    /// The body of an input: a large one is in the content store, on the disk. With its digest, and the
    /// bytes to guess by what it is.
    async fn body(&self, bytes: Bytes) -> Option<(Body, crate::digest::Digest, Bytes)> {
        let content = self.means.settings.state.content.clone();
        self.with(move |_| {
            let digest = crate::digest::Digest::of(&bytes);
            let body = if bytes.len() > Body::INLINE {
                content.put(&bytes)?;
                Body::Stored {
                    digest,
                    len: bytes.len() as u64,
                }
            } else {
                Body::Inline(bytes.clone())
            };
            Ok((body, digest, bytes))
        })
        .await
    }
}
