//! Tells somebody of jams and holds, by webhook or command.
//!
//! At most once a minute for each line and kind, with how many there were: a line on which everything
//! jams does not call a thousand times. Nothing waits for it, and nothing depends on it: who is not
//! reached is told again, a minute later and then ever later, up to an hour, together with what came
//! meanwhile. What needs a person stands in the journal.

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
    sync::{
        broadcast::{self, error::RecvError},
        watch,
    },
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
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
    /// How many items there are since the last word that came through.
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

    /// This, and what came after it.
    fn then(mut self, later: Option<Self>) -> Self {
        if let Some(later) = later {
            self.count += later.count;
            self.more |= later.more;
            self.at = self.at.max(later.at);
            self.items.extend(later.items);
            self.items.truncate(Self::ITEMS);
        }
        self
    }
}

/// The shortest time between two words of a kind.
const PAUSE: Duration = Duration::from_secs(60);
/// Who is not reached is told again after twice the time as before, up to so many times the shortest.
const LATEST: u32 = 60;
/// How long those who end have for what they have not told yet.
const ENDING: Duration = Duration::from_secs(5);

/// Those who tell of a line. Dropped, they end at once.
pub struct Tellers {
    // Goes first: they end by themselves, with a last word, when the settings go.
    tasks: JoinSet<()>,
    settings: watch::Sender<NotifySettings>,
}

impl Tellers {
    /// Has them go on for another revision; whether they do, which is where the same are told of the same.
    pub fn go_on(&self, settings: &NotifySettings) -> bool {
        let same = self.settings.borrow().notify == settings.notify;
        if same {
            self.settings.send_replace(settings.clone());
        }
        same
    }

    /// Ends them, with a last word of what they have not told yet, as far as that is quick.
    pub async fn end(self) {
        let Self {
            mut tasks,
            settings,
        } = self;
        drop(settings);
        let ended = async { while tasks.join_next().await.is_some() {} };
        // Who is not reached by then is not told.
        let _ = timeout(ENDING, ended).await;
    }
}

/// Starts telling of a line. To be called in a runtime.
pub fn start(settings: NotifySettings, notices: &broadcast::Receiver<Arc<LineNotice>>) -> Tellers {
    start_with(settings, notices, PAUSE)
}

/// The same with another shortest time between two words.
fn start_with(
    settings: NotifySettings,
    notices: &broadcast::Receiver<Arc<LineNotice>>,
    pause: Duration,
) -> Tellers {
    let mut tasks = JoinSet::new();
    let (line, notify) = (settings.line.clone(), settings.notify.clone());
    let (settings, goes_on) = watch::channel(settings);
    for (kind, told) in notify.all() {
        let teller = Teller {
            line: line.clone(),
            settings: goes_on.clone(),
            kind,
            told: told.clone(),
            failed: false,
        };
        tasks.spawn(teller.run(notices.resubscribe(), pause));
    }
    Tellers { tasks, settings }
}

/// Tells of one kind.
struct Teller {
    line: Name,
    /// As of the revision that runs; gone when another takes over.
    settings: watch::Receiver<NotifySettings>,
    kind: &'static str,
    told: Told,
    /// Whether the last word did not come through, which a person was told of.
    failed: bool,
}

impl Teller {
    async fn run(mut self, mut notices: broadcast::Receiver<Arc<LineNotice>>, pause: Duration) {
        let (mut news, mut missed) = (None::<News>, false);
        let (mut not_before, mut wait) = (Instant::now(), pause);
        // Whoever is slow to be told does not keep us from counting.
        let mut telling: Option<BoxFuture<'static, Result<(), (News, String)>>> = None;
        let mut settings = self.settings.clone();
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
                    Ok(notice) if notice.line == self.line => {
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
                    match &came {
                        Ok(()) => wait = pause,
                        Err(_) => {
                            not_before = Instant::now() + wait;
                            wait = (wait * 2).min(pause * LATEST);
                        }
                    }
                    news = self.heard(came, news);
                }
                goes_on = settings.changed() => if goes_on.is_err() {
                    break;
                },
                () = sleep_until(not_before), if news.is_some() && quiet => {
                    if let Some(mut news) = news.take() {
                        news.more |= std::mem::take(&mut missed);
                        not_before = Instant::now() + pause;
                        telling = Some(self.tell(news));
                    }
                }
            }
        }
        if let Some(telling) = telling {
            let came = telling.await;
            news = self.heard(came, news);
        }
        if let Some(mut news) = news {
            news.more |= missed;
            let came = self.tell(news).await;
            self.heard(came, None);
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
            line: self.line.clone(),
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

    /// Tells them, within the time that a call or a program may take; gives back what did not come
    /// through, and why.
    fn tell(&self, news: News) -> BoxFuture<'static, Result<(), (News, String)>> {
        let telling = self.told_of(&news);
        Box::pin(async { telling.await.map_err(|why| (news, why)) })
    }

    fn told_of(&self, news: &News) -> BoxFuture<'static, Result<(), String>> {
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
        let settings = self.settings.borrow().clone();
        let posted = settings.post.post(Call {
            line: self.line.clone(),
            revision: settings.revision,
            rule: format!("notify.{}", self.kind),
            by: self.line.clone(),
            item: None,
            webhook,
            ceiling: settings.ceiling,
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

    /// What is to be told next: also what was not heard.
    fn heard(&mut self, came: Result<(), (News, String)>, next: Option<News>) -> Option<News> {
        let Err((news, why)) = came else {
            self.failed = false;
            return next;
        };
        if !std::mem::replace(&mut self.failed, true) {
            let (line, kind) = (&self.line, self.kind);
            let text = format!("nobody is told of each {kind} of `{line}`: {why}");
            let say = self.settings.borrow().say.clone();
            say(&text);
        }
        Some(news.then(next))
    }
}

fn body(news: &News) -> Vec<u8> {
    // Names, numbers and texts are always JSON.
    serde_json::to_vec(news).unwrap_or_default()
}

#[cfg(test)]
mod tests;
