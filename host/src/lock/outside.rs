//! What a line has to do with the world by itself, as a person reads and accepts it.

use crate::{
    digest::Digest,
    escape::line as escaped,
    line::{
        Line,
        sink::{To, Told, Webhook},
        source::Origin,
    },
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What a line does by itself beside its stations' work, by the place in its file: folders that it takes
/// files from and writes to, servers that it calls, programs that it runs. `placed` says where a folder is
/// that the file names. Schedules open nothing and are left out.
pub fn outside(line: &Line, placed: impl Fn(&Path) -> PathBuf) -> BTreeMap<String, String> {
    let folder = |path: &Path| format!("folder {}", escaped(&placed(path).display().to_string()));
    let mut all = BTreeMap::new();
    for (name, source) in &line.sources {
        if let Origin::Folder(inbox) = &source.from {
            let mut text = folder(&inbox.folder);
            if let Some(done) = &inbox.done {
                text += &format!(" done={}", escaped(&placed(done).display().to_string()));
            }
            all.insert(format!("sources.{name}"), text);
        }
    }
    for (name, sink) in &line.sinks {
        let text = match &sink.to {
            To::Folder(path) => folder(path),
            To::Webhook(webhook) => called(webhook),
        };
        all.insert(format!("sinks.{name}"), text);
    }
    for (kind, told) in line.notify.all() {
        let text = match told {
            Told::Webhook(webhook) => called(webhook),
            Told::Command(words) => {
                let words: Vec<String> =
                    words.iter().map(|w| format!("{:?}", escaped(w))).collect();
                format!("command {}", words.join(" "))
            }
        };
        all.insert(format!("notify.{kind}"), text);
    }
    all
}

/// Path and query may hold what nobody else should read: they are told by their digests.
fn called(webhook: &Webhook) -> String {
    let target = &webhook.target;
    let mut text = format!("webhook {}", target.without_path());
    if let Some((_, query)) = target.path_and_query().split_once('?') {
        text += &format!(" query={}", Digest::of(query).short());
    }
    if webhook.private {
        text += " private";
    }
    if let Some(secret) = &webhook.secret {
        text += &format!(" signed={secret}");
    }
    text
}
