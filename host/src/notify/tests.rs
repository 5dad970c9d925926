use super::*;
use crate::{
    grant::Target,
    item::{PhaseKind, Priority},
    journal::conformance as kept,
    line::sink::Webhook,
    sandbox::{
        Failure,
        egress::post::{Posted, Unposted},
    },
};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use tokio::sync::{Semaphore, mpsc};

/// A receiver that says what it was told, and answers when it may: but for the first so many times.
struct Receiver {
    told: mpsc::UnboundedSender<News>,
    may: Arc<Semaphore>,
    deaf: AtomicUsize,
}

impl Post for Receiver {
    fn post(&self, call: Call) -> BoxFuture<'static, Result<Posted, Unposted>> {
        let news = serde_json::from_slice(&call.body).expect("it is JSON");
        let _ = self.told.send(news);
        let may = self.may.clone();
        let deaf = |n: usize| n.checked_sub(1);
        let deaf = self.deaf.fetch_update(SeqCst, SeqCst, deaf).is_ok();
        Box::pin(async move {
            may.acquire().await.expect("nobody closes it").forget();
            match deaf {
                true => Err(Unposted::Failed(Failure::Connect)),
                false => Ok(Posted {
                    status: 204,
                    retry_after: None,
                }),
            }
        })
    }
}

fn webhook() -> Told {
    Told::Webhook(Webhook {
        target: Target::parse("https://hooks.example/x").expect("a URL"),
        secret: None,
        private: false,
    })
}

/// Of a line that tells the receiver of its holds only.
fn of_holds(receiver: Receiver) -> NotifySettings {
    NotifySettings {
        line: kept::name("line"),
        revision: 1,
        notify: Notify {
            jam: None,
            hold: Some(webhook()),
        },
        ceiling: None,
        post: Arc::new(receiver),
        say: Arc::new(|_| {}),
    }
}

fn jammed(line: &str, key: &str) -> Arc<LineNotice> {
    let summary = Summary {
        item: kept::id(key),
        line: kept::name(line),
        revision: 1,
        source: key.into(),
        phase: PhaseKind::Jammed,
        station: Some(kept::name("a")),
        result: false,
        reason: Some("no".into()),
        priority: Priority::Normal,
        due: None,
        began: None,
        taken: 1,
        changed: 7,
    };
    Arc::new(LineNotice {
        line: kept::name(line),
        notice: Notice::Jammed { summary },
    })
}

fn held(key: &str) -> Arc<LineNotice> {
    let Notice::Jammed { summary } = jammed("line", key).notice.clone() else {
        unreachable!("it is one");
    };
    Arc::new(LineNotice {
        line: kept::name("line"),
        notice: Notice::Held { summary },
    })
}

#[tokio::test]
async fn jams_are_told_together_while_somebody_is_slow() {
    let (told, mut heard) = mpsc::unbounded_channel();
    let may = Arc::new(Semaphore::new(0));
    let said = Arc::new(Mutex::new(Vec::new()));
    let settings = NotifySettings {
        line: kept::name("line"),
        revision: 1,
        notify: Notify {
            jam: Some(webhook()),
            hold: None,
        },
        ceiling: None,
        post: Arc::new(Receiver {
            told,
            may: may.clone(),
            deaf: 2.into(),
        }),
        say: {
            let said = said.clone();
            Arc::new(move |text| said.lock().expect("whole").push(text.to_owned()))
        },
    };
    let (notices, listening) = broadcast::channel(64);
    let _tasks = start_with(settings, &listening, Duration::ZERO);
    drop(listening);
    let tell = |notice| drop(notices.send(notice));
    tell(jammed("other", "x"));
    tell(held("x"));
    tell(jammed("line", "first"));
    let first = heard.recv().await.expect("it is told");
    assert_eq!((first.kind.as_str(), first.count, first.at), ("jam", 1, 7));
    assert_eq!(first.items[0].source, "first");
    // Nobody waits for the receiver, and what comes meanwhile is one word.
    for n in 0..15 {
        tell(jammed("line", &n.to_string()));
    }
    while !notices.is_empty() {
        tokio::task::yield_now().await;
    }
    // What does not come through is told again, with what came meanwhile.
    may.add_permits(1);
    let second = heard.recv().await.expect("it is told");
    assert_eq!((second.count, second.items.len()), (16, News::ITEMS));
    assert_eq!(second.items[0].source, "first");
    assert!(!second.more);
    may.add_permits(1);
    assert_eq!(heard.recv().await.expect("it is told"), second);
    // From then on it is only told of what is new; that it was not reached is said once.
    tell(jammed("line", "last"));
    while !notices.is_empty() {
        tokio::task::yield_now().await;
    }
    may.add_permits(1);
    assert_eq!(heard.recv().await.expect("it is told").count, 1);
    let said = said.lock().expect("whole").clone();
    assert_eq!(
        said,
        ["nobody is told of each jam of `line`: nobody answers the connection"]
    );
}

#[tokio::test]
async fn a_word_is_not_followed_by_another_at_once() {
    let (told, mut heard) = mpsc::unbounded_channel();
    let may = Arc::new(Semaphore::new(100));
    let settings = of_holds(Receiver {
        told,
        may,
        deaf: 0.into(),
    });
    let (notices, listening) = broadcast::channel(64);
    let tasks = start(settings, &listening);
    drop(listening);
    let _ = notices.send(held("a"));
    assert_eq!(heard.recv().await.expect("it is told").kind, "hold");
    for key in ["b", "c"] {
        let _ = notices.send(held(key));
    }
    while !notices.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(heard.try_recv().is_err());
    drop(tasks);
    assert!(heard.recv().await.is_none());
}

#[tokio::test]
async fn what_waits_is_told_by_whoever_goes_on_or_ends() {
    let (told, mut heard) = mpsc::unbounded_channel();
    let may = Arc::new(Semaphore::new(100));
    let settings = of_holds(Receiver {
        told,
        may,
        deaf: 0.into(),
    });
    let (notices, listening) = broadcast::channel(64);
    let tellers = start(settings.clone(), &listening);
    drop(listening);
    let _ = notices.send(held("a"));
    assert_eq!(heard.recv().await.expect("it is told").count, 1);
    let _ = notices.send(held("b"));
    let next = NotifySettings {
        revision: 2,
        ..settings.clone()
    };
    assert!(tellers.go_on(&next));
    while !notices.is_empty() {
        tokio::task::yield_now().await;
    }
    // The next word is a minute away, whichever the revision.
    assert!(heard.try_recv().is_err());
    let others = NotifySettings {
        notify: Notify::default(),
        ..settings
    };
    assert!(!tellers.go_on(&others));
    tellers.end().await;
    let last = heard.recv().await.expect("it is told");
    assert_eq!((last.count, last.items[0].source.as_str()), (1, "b"));
}
