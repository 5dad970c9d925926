//! Tells somebody of jams and holds, by webhook or command.
//!
//! At most once a minute for each line and kind, with how many there were: a line on which everything
//! jams does not call a thousand times. Nothing waits for it, and nothing depends on it: who is not
//! reached is told of the next. What needs a person stands in the journal.

mod command;

use crate::{
    conveyor::Notice,
    grant::Ceiling,
    item::{ItemId, Summary},
    line::sink::{Notify, Told},
    lines::LineNotice,
    name::Name,
    sandbox::egress::post::{Call, Post},
    visit::Millis,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// What a line's notices are started with.
#[derive(Clone)]
pub struct NotifySettings {
    /// The line.
    pub line: Name,
    /// Its revision, for the audit.
    pub revision: u64,
    /// Who is told of what.
    pub notify: Notify,
    /// What the operator allows at most.
    pub ceiling: Option<Ceiling>,
    /// The way to servers.
    pub post: Arc<dyn Post>,
    /// Told what a person should hear of.
    pub say: Arc<dyn Fn(&str) + Send + Sync>,
}

/// What somebody is told: the body of a POST, or the standard input of a program, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// `jam` or `hold`.
    pub kind: String,
    /// The line.
    pub line: Name,
    /// How many items there are since the last word.
    pub count: u64,
    /// Whether there may be more than were counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// When the last of them came to be so, in milliseconds since 1970.
    pub at: Millis,
    /// The first of them, at most [`News::ITEMS`].
    pub items: Vec<Stuck>,
}

/// An item that needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    /// The item.
    pub item: ItemId,
    /// The input's name; not escaped.
    pub source: String,
    /// The station that it is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<Name>,
    /// Why it jammed, or what it asks; not escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl News {
    /// The most items that are named.
    pub const ITEMS: usize = 10;
}

/// The shortest time between two words of a kind.
const PAUSE: Duration = Duration::from_secs(60);

/// Starts telling of a line. To be called in a runtime. Dropping what it returns ends it at once.
pub fn start(
    settings: NotifySettings,
    notices: &broadcast::Receiver<Arc<LineNotice>>,
) -> JoinSet<()> {
    start_with(settings, notices, PAUSE)
}

/// The same with another shortest time between two words.
fn start_with(
    settings: NotifySettings,
    notices: &broadcast::Receiver<Arc<LineNotice>>,
    pause: Duration,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let notify = settings.notify.clone();
    for (kind, told) in notify.all() {
        let teller = Teller {
            settings: settings.clone(),
            kind,
            told: told.clone(),
            failed: false,
        };
        tasks.spawn(teller.run(notices.resubscribe(), pause));
    }
    tasks
}

/// Tells of one kind.
struct Teller {
    settings: NotifySettings,
    kind: &'static str,
    told: Told,
    /// Whether the last word did not come through, which a person was told of.
    failed: bool,
}

impl Teller {
    async fn run(mut self, mut notices: broadcast::Receiver<Arc<LineNotice>>, pause: Duration) {
        let (mut news, mut missed) = (None::<News>, false);
        let mut not_before = Instant::now();
        // Whoever is slow to be told does not keep us from counting.
        let mut telling: Option<BoxFuture<'static, Result<(), String>>> = None;
        loop {
            let quiet = telling.is_none();
            let told = async {
                match &mut telling {
                    Some(telling) => telling.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                came = notices.recv() => match came {
                    Ok(notice) if notice.line == self.settings.line => {
                        if let Some(summary) = self.concerned(&notice.notice) {
                            self.add(&mut news, summary);
                        }
                    }
                    Ok(_) => {}
                    // What was missed may have been one, or not.
                    Err(RecvError::Lagged(_)) => missed = true,
                    Err(RecvError::Closed) => return,
                },
                came = told => {
                    telling = None;
                    self.heard(came);
                }
                () = sleep_until(not_before), if news.is_some() && quiet => {
                    if let Some(mut news) = news.take() {
                        news.more = std::mem::take(&mut missed);
                        not_before = Instant::now() + pause;
                        telling = Some(self.tell(&news));
                    }
                }
            }
        }
    }

    /// The item of a notice, where it is of this kind.
    fn concerned<'n>(&self, notice: &'n Notice) -> Option<&'n Summary> {
        match notice {
            Notice::Jammed { summary } if self.kind == "jam" => Some(summary),
            Notice::Held { summary } if self.kind == "hold" => Some(summary),
            _ => None,
        }
    }

    fn add(&self, news: &mut Option<News>, summary: &Summary) {
        let news = news.get_or_insert_with(|| News {
            kind: self.kind.into(),
            line: self.settings.line.clone(),
            count: 0,
            more: false,
            at: 0,
            items: Vec::new(),
        });
        news.count += 1;
        news.at = news.at.max(summary.changed);
        if news.items.len() < News::ITEMS {
            news.items.push(Stuck {
                item: summary.item.clone(),
                source: summary.source.clone(),
                station: summary.station.clone(),
                reason: summary.reason.clone(),
            });
        }
    }

    /// Tells them, within the time that a call or a program may take.
    fn tell(&self, news: &News) -> BoxFuture<'static, Result<(), String>> {
        let body = body(news);
        let webhook = match &self.told {
            Told::Webhook(webhook) => webhook.clone(),
            Told::Command(words) => {
                let words = words.clone();
                return Box::pin(async move { command::run(&words, body).await });
            }
        };
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let posted = self.settings.post.post(Call {
            line: self.settings.line.clone(),
            revision: self.settings.revision,
            rule: format!("notify.{}", self.kind),
            by: self.settings.line.clone(),
            item: None,
            webhook,
            ceiling: self.settings.ceiling.clone(),
            headers,
            body: Bytes::from(body),
        });
        Box::pin(async {
            match posted.await {
                Ok(posted) if (200..300).contains(&posted.status) => Ok(()),
                Ok(posted) => Err(format!("status {}", posted.status)),
                Err(error) => Err(error.to_string()),
            }
        })
    }

    fn heard(&mut self, came: Result<(), String>) {
        let Err(why) = came else {
            self.failed = false;
            return;
        };
        if !std::mem::replace(&mut self.failed, true) {
            let (line, kind) = (&self.settings.line, self.kind);
            let text = format!("nobody is told of each {kind} of `{line}`: {why}");
            (self.settings.say)(&text);
        }
    }
}

fn body(news: &News) -> Vec<u8> {
    // Names, numbers and texts are always JSON.
    serde_json::to_vec(news).unwrap_or_default()
}

#[cfg(test)]
mod tests;
