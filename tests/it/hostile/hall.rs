//! A line that runs in this process, so that what the host holds can be measured.

use super::Attack;
use crate::ground::Ground;
use andon::{
    assembly::{Assembled, Assembly},
    content::Content,
    conveyor::{Board, Change, Conveyor, Handle, Input, Notice, Revised, wall_clock},
    item::{Body, Item, Labels, Payload, Phase, Taking},
    journal::{Journal, sqlite::Sqlite},
    sandbox::{InProcess, Settings, egress},
    workspace::Workspaces,
};
use bytes::Bytes;
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
    sync::{Arc, mpsc::Receiver},
    thread,
    time::{Duration, Instant},
};
use tokio::{runtime::Runtime, sync::mpsc, sync::watch};

/// After this a condition that does not come is one that never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `inside` in a process of its own, in which nothing else goes on: this test's, started anew.
pub(super) fn alone(test: &str, inside: impl FnOnce()) {
    const INSIDE: &str = "ANDON_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let output = Command::new(std::env::current_exe().expect("this test is a file"))
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("it starts");
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A line with an attack at each of its stations but the first and the last.
pub(super) struct Hall {
    ground: Ground,
    assembled: Assembled,
}

/// The line, running.
pub(super) struct Running<'a> {
    runtime: Option<Runtime>,
    take: mpsc::Sender<Input>,
    _drain: watch::Sender<bool>,
    notices: Receiver<Notice>,
    journal: Arc<dyn Journal>,
    board: Arc<Board>,
    inputs: Cell<u32>,
    /// Heard and not asked for yet.
    heard: RefCell<Vec<Notice>>,
    _hall: &'a Hall,
}

impl Attack {
    /// The station's name on the line.
    fn name(&self) -> &str {
        self.station.trim_end_matches(".wat")
    }
}

impl Hall {
    pub(super) fn of(attacks: &[Attack]) -> Self {
        let (mut routes, mut stations) = (String::new(), String::new());
        for attack in attacks {
            let name = attack.name();
            routes += &format!("{{ when = {{ to = \"{name}\" }}, to = \"{name}\" }}, ");
            let mut settings = attack.settings.replace("SELF", name);
            if !settings.contains("next") {
                settings += "\nnext = \"good\"";
            }
            stations += &format!(
                "[stations.{name}]\nuse = \"@{}\"\n{settings}\n",
                attack.station
            );
        }
        let ground = Ground::new();
        ground.line(&format!(
            "line = \"l\"\nentry = \"sort\"\n[defaults]\nretry = {{ attempts = 1 }}\n\
             [stations.sort]\nuse = \"@pass-on\"\nnext = [{routes}{{ to = \"good\" }}]\n\
             [stations.good]\nuse = \"@stamp\"\nnext = \"done\"\n{stations}"
        ));
        let assembly = Assembly {
            factory: None,
            state: None,
            exe: env!("CARGO_BIN_EXE_andon").into(),
            say: &|_| {},
        };
        let assembled = assembly
            .assemble(&ground.path("line.toml"))
            .unwrap_or_else(|error| panic!("{error}"));
        Self { ground, assembled }
    }

    /// Starts the line on an empty journal.
    pub(super) fn run(&self) -> Running<'_> {
        let state = tempfile::tempdir_in(self.ground.path(""))
            .expect("a folder")
            .keep();
        let journal: Arc<dyn Journal> = Arc::new(Sqlite::open(&state).expect("a journal"));
        let content = Content::open(state.join("blobs"));
        let workspaces = Workspaces::open(state.join("work"), content.clone(), journal.clone());
        let runner = InProcess::new(Settings {
            visits: Settings::VISITS,
            folders: Arc::new(workspaces),
            contents: Arc::new(content),
            egress: Arc::new(egress::Closed),
            progress: Some(Arc::new(|_, _| {})),
        })
        .expect("an engine");
        let line = self.assembled.draft.line.clone();
        self.assembled
            .prepare(&runner, &line, 1)
            .unwrap_or_else(|error| panic!("{error}"));
        let board = Arc::new(Board::new(&line));
        let (notify, notices) = std::sync::mpsc::channel();
        let conveyor = Conveyor {
            journal: journal.clone(),
            runner: Arc::new(runner),
            change: Change::to(Arc::new(Revised {
                number: 1,
                line,
                components: BTreeMap::new(),
            })),
            paused: BTreeSet::new(),
            board: board.clone(),
            notify: Box::new(move |notice| {
                // The receiver goes first where the line is left as it is.
                let _ = notify.send(notice);
            }),
            clock: wall_clock,
            stopped: false,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            // Threads for file calls go when they are not needed, as the test waits for that.
            .thread_keep_alive(Duration::from_millis(1))
            .enable_all()
            .build()
            .expect("a runtime");
        let (take, taken) = mpsc::channel(256);
        let (drain, drained) = watch::channel(false);
        runtime.spawn(conveyor.run(taken, Handle::new().1, drained));
        let running = Running {
            runtime: Some(runtime),
            take,
            _drain: drain,
            notices,
            journal,
            board,
            inputs: Cell::new(0),
            heard: RefCell::default(),
            _hall: self,
        };
        running.good();
        running
    }
}

impl Running<'_> {
    /// Sends an input to the attack and another that goes past it; waits until the one jams as it
    /// should and the other is through.
    #[track_caller]
    pub(super) fn fails(&self, attack: &Attack) {
        let input = self.send(Some(attack));
        let good = self.send(None);
        for _ in 0..attack.jams {
            let item = self.jam(&input);
            let Phase::Jammed { station, jam, .. } = &item.phase else {
                panic!("{}: the item is {:?}", attack.station, item.phase);
            };
            let reason = jam.to_string();
            assert!(
                **station == *attack.name() && reason.contains(attack.reason),
                "{}: `{}` is not the reason at `{station}`: {reason}",
                attack.station,
                attack.reason,
            );
        }
        self.through(&good);
    }

    /// Sends `number` inputs to a station and waits until visits of all of them are under way.
    pub(super) fn parks(&self, attack: &Attack, number: u64) {
        for _ in 0..number {
            self.send(Some(attack));
        }
        wait("all to park", || {
            (self.board.counts())
                .any(|(name, counts)| *name == *attack.name() && counts.working == number)
        });
    }

    /// Sends an input that no attack sees, and waits until it is through.
    pub(super) fn good(&self) {
        let input = self.send(None);
        self.through(&input);
    }

    fn send(&self, to: Option<&Attack>) -> String {
        self.inputs.set(self.inputs.get() + 1);
        let key = self.inputs.get().to_string();
        let mut labels = Labels::default();
        labels
            .set("to", to.map_or("good", Attack::name))
            .expect("a label");
        let input = Input {
            key: key.clone(),
            taking: Taking::plain(
                key.clone(),
                Payload {
                    content_type: "text/plain".into(),
                    body: Body::Inline(Bytes::from_static(b"a\n")),
                    labels,
                },
            ),
            blobs: Vec::new(),
        };
        self.take.blocking_send(input).expect("the line runs");
        key
    }

    /// An item of this input, as it is now that it has jammed.
    #[track_caller]
    fn jam(&self, input: &str) -> Item {
        let notice = self.hear(|notice| match notice {
            Notice::Jammed { summary } => summary.source == input,
            _ => false,
        });
        let Notice::Jammed { summary } = notice else {
            unreachable!("it was looked for");
        };
        let records = self.journal.load(&summary.item).expect("the journal reads");
        let item = Item::fold(summary.item, &records).expect("a history");
        item.expect("it is known")
    }

    #[track_caller]
    fn through(&self, input: &str) {
        self.hear(|notice| match notice {
            Notice::Ended { item } => {
                item.source == input
                    && matches!(
                        &item.phase,
                        Phase::Ended {
                            result: Some(_),
                            ..
                        }
                    )
            }
            _ => false,
        });
    }

    /// The first notice that fits.
    #[track_caller]
    fn hear(&self, fits: impl Fn(&Notice) -> bool) -> Notice {
        let mut heard = self.heard.borrow_mut();
        loop {
            if let Some(at) = heard.iter().position(&fits) {
                return heard.remove(at);
            }
            match self.notices.recv_timeout(PATIENCE) {
                Ok(notice) => heard.push(notice),
                Err(error) => panic!("what was waited for does not come ({error}): {heard:?}"),
            }
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Visits under way end with the tasks that they are on.
        drop(self.runtime.take());
    }
}

/// What the process holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    threads: usize,
    files: usize,
    /// Resident, in bytes.
    memory: u64,
}

impl Figures {
    /// What may be kept for the next time: warm slots of the pool, the allocator's own.
    const SLACK: u64 = 48 << 20;

    pub(super) fn now() -> Self {
        let count = |folder| fs::read_dir(folder).map_or(0, Iterator::count);
        let resident = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = resident
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse::<u64>().ok());
        Self {
            threads: count("/proc/self/task"),
            files: count("/proc/self/fd"),
            memory: pages.unwrap_or(0) * rustix::param::page_size() as u64,
        }
    }

    /// Waits until the process holds no more than this again.
    #[track_caller]
    pub(super) fn come_back(&self, after: &str) {
        wait(
            &format!("the host to be as before {after}, {self:?}"),
            || {
                let now = Self::now();
                now.threads <= self.threads
                    && now.files <= self.files
                    && now.memory <= self.memory + Self::SLACK
            },
        );
    }
}

#[track_caller]
fn wait(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(
            began.elapsed() < PATIENCE,
            "waited for {what} in vain: {:?}",
            Figures::now()
        );
        thread::yield_now();
    }
}
