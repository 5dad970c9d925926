//! The conveyor with a journal in memory, which may treat its messages badly, and a runner that does
//! what a script says: a pure function from a visit to its report. All on one thread, so that a seed
//! always gives the same run.

mod crossing;
mod failing;
mod orders;
mod standing;

use super::*;
use crate::{
    item::{Body, Event, Labels, Payload, Phase},
    journal::{Filter, Memory},
    line::{Line, Vars},
    visit::{Outcome, Output, Visit},
};
use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

thread_local! {
    static NOW: Cell<Millis> = const { Cell::new(0) };
    static ROOM: Cell<Option<Room>> = const { Cell::new(None) };
}

/// A clock that goes on by itself: waiting for it takes no time.
fn clock() -> Millis {
    NOW.set(NOW.get() + 5);
    NOW.get()
}

/// From now on this thread's conveyors keep hardly anything in memory; the more the higher `n`, up to what
/// they keep otherwise.
fn tight(n: u64) {
    let room = Room {
        window: n as usize % 4,
        times: n as usize % 3,
        splits: 1 + n as usize % 2,
        page: 1 + n as usize % 3,
    };
    ROOM.set(Some(room).filter(|room| room.window > 0));
}

fn room() -> Room {
    ROOM.get().unwrap_or_default()
}

/// What a script says of a visit.
type Play = Arc<dyn Fn(&Visit) -> Report + Send + Sync>;

/// A runner that follows a script, after yielding to others a few times.
struct Script {
    play: Play,
    visits: AtomicU64,
    ended: Mutex<Vec<ItemId>>,
}

impl Script {
    fn new(play: impl Fn(&Visit) -> Report + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            play: Arc::new(play),
            visits: AtomicU64::new(0),
            ended: Mutex::default(),
        })
    }
}

impl Runner for Script {
    fn visit(&self, visit: Visit) -> BoxFuture<'static, Report> {
        let nth = self.visits.fetch_add(1, Relaxed);
        let play = self.play.clone();
        async move {
            for _ in 0..hash(&[&nth.to_le_bytes()]) % 5 {
                tokio::task::yield_now().await;
            }
            play(&visit)
        }
        .boxed()
    }

    fn parted(&self, item: &ItemId) {
        self.ended.lock().expect("no panics").push(item.clone());
    }
}

fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    u64::from_le_bytes(
        hasher.finalize().as_bytes()[..8]
            .try_into()
            .expect("8 bytes"),
    )
}

fn report(outcome: Outcome) -> Report {
    Report::of(outcome)
}

/// One output on each of these ports, their bodies told apart by their number.
fn passed(visit: &Visit, ports: &[&str]) -> Report {
    let outputs = ports.iter().enumerate().map(|(i, port)| Output {
        port: port.parse().expect("a name"),
        payload: payload(&format!("{i} {:016x}", body(visit))),
    });
    report(Outcome::Passed(outputs.collect()))
}

fn retry(reason: &str) -> Report {
    report(Outcome::Retry {
        reason: reason.into(),
        after: None,
    })
}

/// What a visit's result depends on: where it is, and what it brought, in its order.
fn body(visit: &Visit) -> u64 {
    let inputs: Vec<&[u8]> = visit
        .inputs
        .iter()
        .map(|payload| match &payload.body {
            Body::Inline(bytes) => &bytes[..],
            _ => b"",
        })
        .collect();
    hash(&[
        visit.station.as_bytes(),
        &visit.nth.to_le_bytes(),
        &hash(&inputs).to_le_bytes(),
    ])
}

fn payload(text: &str) -> Payload {
    Payload {
        content_type: "text/plain".into(),
        body: Body::Inline(Bytes::copy_from_slice(text.as_bytes())),
        labels: Labels::default(),
    }
}

fn line(text: &str) -> Line {
    crate::line::parse("line.toml", text, &Vars::default())
        .unwrap_or_else(|problems| panic!("{problems:?}"))
        .line
}

/// A run with everything that it leaves behind.
struct Run {
    journal: Arc<Memory>,
    line: Arc<Line>,
    board: Arc<Board>,
    drain: watch::Sender<bool>,
    notices: Arc<Mutex<Vec<Notice>>>,
    /// An hour goes by when so many items have ended or jammed.
    hour_after: usize,
}

impl Run {
    fn new(journal: Memory, line: Line) -> Self {
        NOW.set(0);
        Self {
            journal: Arc::new(journal),
            board: Arc::new(Board::new(&line)),
            line: Arc::new(line),
            drain: watch::channel(false).0,
            notices: Arc::default(),
            hour_after: usize::MAX,
        }
    }

    const TO_THE_END: u64 = u64::MAX;

    /// Runs until it ends; none where it was dropped after `polls` of its task.
    fn go(
        &self,
        runner: Arc<dyn Runner>,
        inputs: usize,
        mut polls: u64,
    ) -> Option<Result<Ending, ConveyorError>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let (take, taken) = mpsc::channel(inputs.max(1));
        for n in 0..inputs {
            let input = Input {
                key: n.to_string(),
                taking: Taking::plain(n.to_string(), payload(&n.to_string())),
                blobs: Vec::new(),
            };
            take.try_send(input).expect("there is room");
        }
        drop(take);
        let (notices, hour_after) = (self.notices.clone(), self.hour_after);
        let conveyor = Conveyor {
            journal: self.journal.clone(),
            runner,
            change: Change::to(Arc::new(Revised {
                number: 1,
                line: Line::clone(&self.line),
                components: BTreeMap::from([("a".parse().expect("a name"), Digest::of("a"))]),
            })),
            paused: BTreeSet::new(),
            board: self.board.clone(),
            notify: Box::new(move |notice| {
                let mut notices = notices.lock().expect("no panics");
                notices.push(notice);
                let over = |n: &&Notice| matches!(n, Notice::Ended { .. } | Notice::Jammed { .. });
                if notices.iter().filter(over).count() == hour_after {
                    NOW.set(NOW.get() + 3_600_000);
                }
            }),
            clock,
            stopped: false,
        };
        let drain = self.drain.subscribe();
        let ended = runtime.block_on(async move {
            let mut running =
                Box::pin(conveyor.run_within(room(), taken, mpsc::channel(1).1, drain));
            std::future::poll_fn(move |context| {
                if polls == 0 {
                    return std::task::Poll::Ready(None);
                }
                polls -= 1;
                if polls < Self::TO_THE_END / 2 {
                    context.waker().wake_by_ref();
                }
                running.as_mut().poll(context).map(Some)
            })
            .await
        });
        if ended.is_none() {
            // What a process had in memory dies with it.
            while (self.journal.messages(&self.line.name).now_or_never()).is_some() {}
        }
        ended
    }

    /// Runs to the end.
    fn whole(&self, runner: &Arc<Script>, inputs: usize) -> Result<Ending, ConveyorError> {
        self.go(runner.clone(), inputs, Self::TO_THE_END)
            .expect("it is not dropped")
    }

    fn items(&self) -> Vec<Item> {
        let all = self.journal.list(&Filter::default()).expect("it lists");
        all.into_iter()
            .map(|summary| {
                let records = self.journal.load(&summary.item).expect("it loads");
                let item = Item::fold(summary.item.clone(), &records);
                let item = item.expect("it folds").expect("it is there");
                assert_eq!(item.summary(), summary);
                item
            })
            .collect()
    }

    /// How each item ended, in words that say nothing of when and in which order.
    fn told(&self) -> BTreeMap<ItemId, String> {
        self.items()
            .into_iter()
            .map(|item| {
                let text = match &item.phase {
                    Phase::Ended {
                        end,
                        result,
                        arrivals,
                        ..
                    } => {
                        let mut brought: Vec<String> = arrivals
                            .iter()
                            .map(|arrival| format!("{} {}", arrival.item, arrival.join))
                            .collect();
                        brought.sort();
                        format!(
                            "{end:?} {:?} {brought:?}",
                            result.as_ref().map(|payload| &payload.body)
                        )
                    }
                    Phase::Jammed {
                        station,
                        nth,
                        attempt,
                        jam,
                        ..
                    } => {
                        format!("{station} {nth} {attempt} {jam}")
                    }
                    Phase::Split(split) => format!("split {:?}", split.children.keys()),
                    other => format!("{other:?}"),
                };
                (item.id, text)
            })
            .collect()
    }

    /// How often whoever watches heard that each item ended.
    fn endings(&self) -> BTreeMap<ItemId, usize> {
        let mut counts = BTreeMap::new();
        for notice in self.notices.lock().expect("no panics").iter() {
            if let Notice::Ended { item } = notice {
                *counts.entry(item.id.clone()).or_default() += 1;
            }
        }
        counts
    }
}
