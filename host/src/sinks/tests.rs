//! Sinks with a journal of their own, a server that is a double, and a clock of the tests' own.

use super::*;
use crate::{
    content::ContentError,
    digest::Digest,
    grant::Target,
    item::Destination,
    journal::conformance as kept,
    line::sink::Webhook,
    sandbox::{
        Failure,
        egress::post::{Call, Posted, Unposted},
    },
    workspace::WorkspaceError,
};
use futures::future::BoxFuture;
use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};
use tempfile::TempDir;

const MINUTE: Millis = 60_000;

/// A server that gives its answers one after the other, and then 200.
#[derive(Default)]
struct Double {
    answers: Mutex<VecDeque<Result<Posted, Unposted>>>,
    /// Idempotency keys of the calls, in order.
    keys: Mutex<Vec<String>>,
}

impl Post for Double {
    fn post(&self, call: Call) -> BoxFuture<'static, Result<Posted, Unposted>> {
        let key = call.headers["idempotency-key"].to_str().expect("text");
        self.keys.lock().expect("whole").push(key.into());
        let answer = self.answers.lock().expect("whole").pop_front();
        Box::pin(std::future::ready(answer.unwrap_or(status(200))))
    }
}

fn status(status: u16) -> Result<Posted, Unposted> {
    Ok(Posted {
        status,
        retry_after: None,
    })
}

struct Ground {
    folder: TempDir,
    state: State,
    server: Arc<Double>,
    clock: Arc<AtomicU64>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Ground {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let state = State::open(&folder.path().join("state")).expect("a state folder");
        Self {
            folder,
            state,
            server: Arc::default(),
            clock: Arc::new(AtomicU64::new(MINUTE)),
            said: Arc::default(),
        }
    }

    fn worker(&self, name: &str, to: To, others: &[&str]) -> Worker {
        let (clock, said) = (self.clock.clone(), self.said.clone());
        let sink = Sink {
            to,
            within: Duration::from_secs(600),
        };
        let names = others.iter().chain([&name]);
        let settings = SinkSettings {
            line: kept::name("line"),
            revision: 1,
            sinks: names.map(|n| (kept::name(n), sink.clone())).collect(),
            ceiling: None,
            state: self.state.clone(),
            post: self.server.clone(),
            clock: Arc::new(move || clock.load(SeqCst)),
            say: Arc::new(move |text| said.lock().expect("whole").push(text.into())),
        };
        Worker::new(settings, kept::name(name), sink)
    }

    fn hook(&self) -> Worker {
        self.worker("hook", webhook(), &[])
    }

    fn answers(&self, answers: impl IntoIterator<Item = Result<Posted, Unposted>>) {
        self.server.answers.lock().expect("whole").extend(answers);
    }

    /// A result that came to be long ago.
    fn result(&self, key: &str) -> ItemId {
        kept::finished(&*self.state.journal, key, 1, "line", Destination::Done)
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.server.keys.lock().expect("whole"))
    }

    fn said(&self) -> Vec<String> {
        std::mem::take(&mut *self.said.lock().expect("whole"))
    }

    /// The one delivery of an item: its state, its attempts and why it failed.
    fn stands(&self, item: &ItemId) -> (DeliveryState, u32, Option<String>) {
        let kept = self.state.journal.deliveries(item).expect("readable");
        let [one] = <[Delivery; 1]>::try_from(kept).expect("one sink");
        (one.state, one.attempts, one.reason)
    }

    fn undelivered(&self) -> usize {
        let left = self.state.journal.undelivered(&kept::name("line"));
        left.expect("readable").len()
    }

    /// Turns at the times that the sink asks for, until nothing is owed; the times between them.
    async fn all(&self, worker: &mut Worker) -> Vec<Millis> {
        let mut waits = Vec::new();
        loop {
            let now = self.clock.load(SeqCst);
            let next = worker.turn().await.expect("the journal works");
            if next == Millis::MAX {
                return waits;
            }
            if next > now {
                waits.push(next - now);
                self.clock.store(next, SeqCst);
            }
        }
    }
}

fn webhook() -> To {
    To::Webhook(Webhook {
        target: Target::parse("https://hooks.example/x").expect("a URL"),
        secret: None,
        private: false,
    })
}

#[tokio::test]
async fn what_may_pass_is_tried_again_under_the_same_key() {
    let ground = Ground::new();
    let item = ground.result("a");
    let mut worker = ground.hook();
    let later = Posted {
        status: 429,
        retry_after: Some(Duration::from_secs(40)),
    };
    ground.answers([
        status(500),
        Err(Unposted::Failed(Failure::Broken)),
        status(408),
        Ok(later),
    ]);
    let waits = ground.all(&mut worker).await;
    assert_eq!(ground.calls(), vec![format!("{item}.hook"); 5]);
    assert_eq!(ground.stands(&item), (DeliveryState::Done, 5, None));
    assert_eq!(ground.undelivered(), 0);
    // Doubled from a second on, and no sooner than the server wants.
    for (n, (least, most)) in [(750, 1000), (1500, 2000), (3000, 4000), (40_000, 40_000)]
        .into_iter()
        .enumerate()
    {
        assert!(waits[n] >= least && waits[n] <= most, "{n}: {waits:?}");
    }
    let said = ground.said();
    assert_eq!(
        said,
        [
            "sink `hook` of `line` fails and is tried again: status 500",
            "sink `hook` of `line` works again"
        ]
    );
}

#[tokio::test]
async fn what_will_not_be_taken_is_given_up_at_once() {
    let cases = [
        (400, "status 400"),
        (302, "status 302: redirects are not followed"),
        (404, "status 404"),
    ];
    for (code, why) in cases {
        let ground = Ground::new();
        let item = ground.result("a");
        ground.answers([status(code)]);
        let mut worker = ground.hook();
        ground.all(&mut worker).await;
        let stands = (DeliveryState::GivenUp, 1, Some(why.to_owned()));
        assert_eq!(ground.stands(&item), stands);
        assert_eq!(ground.calls().len(), 1);
        // Nobody is owed it any more, and a person knows.
        assert_eq!(ground.undelivered(), 0);
        let said = format!("sink `hook` of `line` does not get the result of {item}: {why}");
        assert_eq!(ground.said(), [said]);
    }
}

#[tokio::test]
async fn a_dead_receiver_is_given_up_after_its_time_and_no_sooner() {
    let ground = Ground::new();
    let item = ground.result("a");
    let mut worker = ground.hook();
    // It may lie there from long before: the time counts from when somebody could hand it over.
    ground.answers((0..1000).map(|_| Err(Unposted::Failed(Failure::Connect))));
    let waits = ground.all(&mut worker).await;
    // The last is after it was given up: a receiver that failed is left alone for a while.
    let total: Millis = waits[..waits.len() - 1].iter().sum();
    assert!((600_000..=900_000).contains(&total), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 300_000), "{waits:?}");
    assert_eq!(ground.stands(&item).0, DeliveryState::GivenUp);
}

#[tokio::test]
async fn while_a_receiver_is_down_one_result_at_a_time_is_tried() {
    let ground = Ground::new();
    for key in 0..20 {
        ground.result(&key.to_string());
    }
    let mut worker = ground.hook();
    ground.answers((0..webhook::AT_ONCE + 2).map(|_| status(503)));
    for _ in 0..3 {
        let next = worker.turn().await.expect("the journal works");
        // What comes to be meanwhile does not hurry it.
        assert!(worker.turn().await.expect("it works") >= next);
        ground.clock.fetch_max(next + 10_000, SeqCst);
        ground.clock.fetch_max(worker.not_before, SeqCst);
    }
    let calls = ground.calls().len();
    assert_eq!(calls, webhook::AT_ONCE + 2);
    ground.all(&mut worker).await;
    assert_eq!(ground.undelivered(), 0);
}

#[tokio::test]
async fn a_result_is_delivered_when_every_sink_is_through() {
    let ground = Ground::new();
    let item = ground.result("a");
    let out = ground.folder.path().join("out");
    let mut hook = ground.worker("hook", webhook(), &["out"]);
    let mut folder = ground.worker("out", To::Folder(out.clone()), &["hook"]);
    ground.all(&mut folder).await;
    assert_eq!(ground.undelivered(), 1);
    let files = || std::fs::read_dir(&out).expect("it is there").count();
    assert_eq!(files(), 1);
    ground.all(&mut hook).await;
    assert_eq!(ground.undelivered(), 0);
    // What is given once more, after a crash before that was kept, is the same file.
    let again = Delivery::first(item.clone(), kept::name("out"), 1);
    let kept = ground.state.journal.keep_deliveries(vec![again]);
    kept.await.expect("it is kept");
    let records = ground.state.journal.load(&item).expect("readable");
    let folded = Item::fold(item.clone(), &records).expect("whole");
    let owed = (Delivery::first(item, kept::name("out"), 1), 1, folded);
    assert_eq!(folder::give(&ground.state, &out, &[owed]), [Came::Done]);
    assert_eq!(files(), 1);
}

#[tokio::test]
async fn what_was_handed_over_and_not_settled_is_settled_by_the_next_run() {
    let ground = Ground::new();
    let (given, owed) = (ground.result("given"), ground.result("owed"));
    let done = |sink: &str, item: &ItemId| Delivery {
        item: item.clone(),
        sink: kept::name(sink),
        attempts: 1,
        next: 0,
        state: DeliveryState::Done,
        reason: None,
    };
    // The process ended here; a sink of then is gone.
    let kept = vec![done("hook", &given), done("gone", &owed)];
    let journal = &ground.state.journal;
    journal.keep_deliveries(kept).await.expect("kept");
    assert_eq!(ground.undelivered(), 2);
    ground.answers([status(503)]);
    let mut hook = ground.hook();
    hook.turn().await.expect("the journal works");
    assert_eq!(ground.undelivered(), 1);
    ground.all(&mut hook).await;
    assert_eq!((ground.calls().len(), ground.undelivered()), (2, 0));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_tried_again() {
    let ground = Ground::new();
    let item = ground.result("a");
    let out = ground.folder.path().join("out");
    std::fs::write(&out, "in the way").expect("written");
    let mut worker = ground.worker("out", To::Folder(out.clone()), &[]);
    let next = worker.turn().await.expect("the journal works");
    assert_eq!(ground.stands(&item).0, DeliveryState::Owed);
    std::fs::remove_file(&out).expect("removed");
    ground.clock.fetch_max(next + MINUTE, SeqCst);
    ground.all(&mut worker).await;
    assert_eq!(ground.stands(&item), (DeliveryState::Done, 2, None));
}

#[test]
fn only_what_is_not_there_any_more_is_never_given() {
    let no = ContentError {
        doing: "read",
        path: "blobs/ab".into(),
        reason: "too many open files".into(),
        kind: std::io::ErrorKind::Other,
    };
    let missing = || WorkspaceError::Missing(Digest::of("x"));
    for (error, again) in [
        (BodyError::Content(no.clone()), true),
        (BodyError::Workspace(WorkspaceError::Content(no)), true),
        (BodyError::Workspace(missing()), false),
        (BodyError::Gone(Digest::of("x")), false),
    ] {
        let came = unread(&error);
        assert_eq!(matches!(came, Came::Again { .. }), again, "{came:?}");
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_makes_nobody_wait_for_long() {
    let ground = Ground::new();
    ground.result("a");
    let mut worker = ground.hook();
    ground.answers([status(500)]);
    ground.clock.store(1_000 * MINUTE, SeqCst);
    worker.turn().await.expect("the journal works");
    ground.clock.store(MINUTE, SeqCst);
    let next = worker.turn().await.expect("the journal works");
    assert!(next <= MINUTE + LONGEST.as_millis() as Millis, "{next}");
}

#[test]
fn waits_are_doubled_up_to_the_longest() {
    assert_eq!(backoff(1, 1.0), FIRST);
    assert_eq!(backoff(3, 0.0), FIRST * 3);
    for failures in [20, 64, u32::MAX] {
        assert_eq!(backoff(failures, 1.0), LONGEST);
    }
}
