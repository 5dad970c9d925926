//! Carrying items along a line in this process.

use super::{
    bare::thread_time,
    ground::{self, BODY, Ground},
};
use andon::{
    assembly::{Assembled, Assembly},
    content::Content,
    conveyor::{Board, Change, Conveyor, Ending, Handle, Input, Notice, Revised, wall_clock},
    item::{Body, ItemId, Labels, Payload, Taking},
    journal::{Journal, JournalAuditor, memory::Memory, sqlite::Sqlite},
    line::Line,
    sandbox::{
        Egress, InProcess, Own, OwnSettings, Runner, Settings,
        egress::{self, Gate, Log, Means, NoSecrets},
    },
    visit::{Outcome, Visit},
    workspace::Workspaces,
};
use anyhow::Context as _;
use bytes::Bytes;
use futures::StreamExt as _;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, watch},
};

/// Where a run keeps its records.
#[derive(Clone, Copy)]
pub(super) enum Store {
    Memory,
    Sqlite,
}

/// Where visits run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Worker {
    /// On the threads of this process.
    Shared,
    /// In so many processes of their own.
    Own(usize),
}

/// What a run came to.
pub(super) struct Run {
    pub(super) visits: u32,
    /// From the first input to the last durable record.
    pub(super) wall: Duration,
    /// Processor time of the whole process meanwhile.
    pub(super) cpu: Duration,
    /// What the state folder has in it afterwards, in bytes.
    pub(super) grown: u64,
}

/// A line, its components loaded.
pub(super) struct Hall {
    pub(super) assembled: Assembled,
    line: Arc<Line>,
    /// On the disk that the ground is on.
    place: PathBuf,
}

/// What it takes to load a line.
pub(super) struct Loaded {
    pub(super) assembling: Duration,
    pub(super) preparing: Duration,
    /// The largest component, compiled, in bytes.
    pub(super) largest: u64,
}

/// What it takes to begin before items that wait.
pub(super) struct Started {
    /// Until the line carries out orders.
    pub(super) start: Duration,
    /// Until the first of them has ended.
    pub(super) first: Duration,
    /// By how many bytes more the process resides in memory when the first has ended than before.
    pub(super) grown: u64,
}

struct Stores {
    /// The way out of visits.
    egress: Arc<dyn Egress>,
    folder: TempDir,
    journal: Arc<dyn Journal>,
    content: Content,
    workspaces: Workspaces,
}

fn assemble(ground: &Ground) -> anyhow::Result<Assembled> {
    let assembly = Assembly {
        factory: None,
        state: None,
        exe: env!("CARGO_BIN_EXE_andon").into(),
        say: &|text| eprintln!("  {text}"),
    };
    Ok(assembly.assemble(ground.path())?)
}

fn stores(place: &Path, store: Store) -> anyhow::Result<Stores> {
    let folder = TempDir::new_in(place)?;
    let journal: Arc<dyn Journal> = match store {
        Store::Memory => Arc::new(Memory::new()),
        Store::Sqlite => Arc::new(Sqlite::open(folder.path())?),
    };
    let content = Content::open(folder.path().join("blobs"));
    let workspaces = Workspaces::open(folder.path().join("work"), content.clone(), journal.clone());
    Ok(Stores {
        egress: Arc::new(egress::Closed),
        folder,
        journal,
        content,
        workspaces,
    })
}

impl Stores {
    fn in_process(&self) -> anyhow::Result<InProcess> {
        InProcess::new(Settings {
            visits: Settings::VISITS,
            folders: Arc::new(self.workspaces.clone()),
            contents: Arc::new(self.content.clone()),
            egress: self.egress.clone(),
            progress: None,
        })
        .map_err(|error| anyhow::anyhow!("{error:#}"))
    }
}

/// Loads a line from the compiled cache as `andon run` does.
pub(super) fn load(ground: &Ground) -> anyhow::Result<Loaded> {
    let stores = stores(ground.path(), Store::Memory)?;
    let started = Instant::now();
    let assembled = assemble(ground)?;
    let assembling = started.elapsed();
    assembled.prepare(&stores.in_process()?, &assembled.draft.line, 1)?;
    let largest = assembled
        .parts
        .values()
        .filter_map(|part| Some(std::fs::metadata(part.compiled.path()).ok()?.len()))
        .max();
    Ok(Loaded {
        assembling,
        preparing: started.elapsed() - assembling,
        largest: largest.unwrap_or(0),
    })
}

impl Hall {
    pub(super) fn new(ground: &Ground) -> anyhow::Result<Self> {
        let assembled = assemble(ground)?;
        Ok(Self {
            line: Arc::new(assembled.draft.line.clone()),
            assembled,
            place: ground.path().into(),
        })
    }

    /// A runner with the line's stations.
    pub(super) fn runner(&self) -> anyhow::Result<InProcess> {
        self.shared(&stores(&self.place, Store::Memory)?)
    }

    fn shared(&self, stores: &Stores) -> anyhow::Result<InProcess> {
        let runner = stores.in_process()?;
        self.assembled.prepare(&runner, &self.line, 1)?;
        Ok(runner)
    }

    /// A runner with the line's stations. To be called in a runtime.
    fn worker(&self, stores: &Stores, worker: Worker) -> anyhow::Result<Arc<dyn Runner>> {
        Ok(match worker {
            Worker::Shared => Arc::new(self.shared(stores)?),
            Worker::Own(processes) => Arc::new(self.own(stores, processes)?),
        })
    }

    fn own(&self, stores: &Stores, processes: usize) -> anyhow::Result<Own> {
        let settings = OwnSettings {
            exe: env!("CARGO_BIN_EXE_andon").into(),
            processes,
            visits: OwnSettings::VISITS,
            root: stores.workspaces.root()?.into(),
            folders: Arc::new(stores.workspaces.clone()),
            contents: Arc::new(stores.content.clone()),
            egress: Arc::new(egress::Closed),
            progress: None,
        };
        Ok(self.assembled.start(settings, &self.line, 1)?)
    }

    /// From starting a runner process until it is ready, and how it describes itself.
    pub(super) fn start_own(&self) -> anyhow::Result<(Duration, String)> {
        let stores = stores(&self.place, Store::Memory)?;
        let runtime = runtime(2)?;
        let _inside = runtime.enter();
        stores.workspaces.root()?;
        let started = Instant::now();
        let own = self.own(&stores, 1)?;
        Ok((started.elapsed(), own.describe().into()))
    }

    /// One visit after the other from a task of a runtime: how long each took.
    pub(super) fn visits(&self, visits: u32, worker: Worker) -> anyhow::Result<Vec<Duration>> {
        let stores = stores(&self.place, Store::Memory)?;
        let runtime = runtime(ground::threads())?;
        let inside = runtime.enter();
        let runner = self.worker(&stores, worker)?;
        drop(inside);
        let visit = self.visit();
        runtime.block_on(async {
            let mut all = Vec::with_capacity(visits as usize);
            for _ in 0..visits {
                let visit = visit.clone();
                let started = Instant::now();
                // As the conveyor does it.
                let report = tokio::spawn(runner.visit(visit)).await?;
                all.push(started.elapsed());
                anyhow::ensure!(matches!(report.outcome, Outcome::Passed(_)), "{report:?}");
            }
            Ok(all)
        })
    }

    fn conveyor(
        &self,
        stores: &Stores,
        runner: Arc<dyn Runner>,
        ended: mpsc::UnboundedSender<()>,
    ) -> Conveyor {
        Conveyor {
            journal: stores.journal.clone(),
            runner,
            change: Change::to(Arc::new(Revised {
                number: 1,
                line: Line::clone(&self.line),
                components: Default::default(),
            })),
            paused: Default::default(),
            board: Arc::new(Board::new(&self.line)),
            notify: Box::new(move |notice| match notice {
                Notice::Ended { .. } => {
                    let _ = ended.send(());
                }
                Notice::Jammed { summary } => eprintln!("  jammed: {:?}", summary.reason),
                Notice::Taken { .. } | Notice::Known { .. } | Notice::Held { .. } => {}
            }),
            clock: wall_clock,
            stopped: false,
        }
    }

    fn visit(&self) -> Visit {
        Visit {
            item: ItemId::input(&[0; 16], "line", "input"),
            line: self.line.name.clone(),
            revision: 1,
            station: self.line.entry.clone(),
            nth: 1,
            attempt: 1,
            started: wall_clock(),
            seed: [7; 32],
            inputs: vec![input(0).taking.payload],
            workspace: None,
            joined: Vec::new(),
            deadline: None,
            answers: Vec::new(),
            run: andon::visit::Run::default(),
        }
    }

    /// One visit after the other through the runner alone: the processor time of one.
    pub(super) fn alone(&self, visits: u32) -> anyhow::Result<Duration> {
        let runner = self.runner()?;
        let visit = self.visit();
        runtime(1)?.block_on(async {
            let started = thread_time();
            for _ in 0..visits {
                let report = runner.visit(visit.clone()).await;
                anyhow::ensure!(matches!(report.outcome, Outcome::Passed(_)), "{report:?}");
            }
            Ok((thread_time() - started) / visits)
        })
    }

    /// Takes `items` inputs and carries them to their ends.
    pub(super) fn run(
        &self,
        items: usize,
        store: Store,
        threads: usize,
        worker: Worker,
    ) -> anyhow::Result<Run> {
        let stores = stores(&self.place, store)?;
        self.run_with(stores, threads, worker, (0..items).map(input))
    }

    /// The same with inputs that say what is to be done, on SQLite: the line's stations may call what the
    /// line grants them, with the effect log or without.
    pub(super) fn calls(&self, items: usize, logged: bool) -> anyhow::Result<Run> {
        let mut stores = stores(&self.place, Store::Sqlite)?;
        let log = Log::new(stores.journal.clone(), stores.content.clone());
        let gate = Gate::new(Means {
            vault: Arc::new(NoSecrets),
            auditor: Arc::new(JournalAuditor(stores.journal.clone())),
            resolvers: Vec::new(),
            clock: wall_clock,
            log: logged.then_some(log),
        });
        for (station, terms) in self.assembled.terms(&self.line) {
            gate.admit(&self.line.name, 1, &station, terms);
        }
        stores.egress = Arc::new(gate);
        let server = std::fs::read_to_string(self.place.join("server"))?;
        let inputs = (0..items).map(move |n| {
            let mut input = input(n);
            let payload = &mut input.taking.payload;
            payload.body = Body::Inline(format!("POST http://{server}/{n} x\n").into());
            payload.content_type = "text/plain".into();
            input
        });
        self.run_with(stores, ground::threads(), Worker::Shared, inputs)
    }

    fn run_with(
        &self,
        stores: Stores,
        threads: usize,
        worker: Worker,
        inputs: impl ExactSizeIterator<Item = Input> + Send + 'static,
    ) -> anyhow::Result<Run> {
        let items = inputs.len();
        let (ended, mut ends) = mpsc::unbounded_channel();
        let runtime = runtime(threads)?;
        let inside = runtime.enter();
        let runner = self.worker(&stores, worker)?;
        drop(inside);
        let conveyor = self.conveyor(&stores, runner, ended);
        let (wall, cpu) = runtime.block_on(async {
            let (take, taken) = mpsc::channel(64);
            let (_drain, drained) = watch::channel(false);
            let started = (Instant::now(), cpu());
            let feeding = tokio::spawn(async move {
                for input in inputs {
                    if take.send(input).await.is_err() {
                        break;
                    }
                }
            });
            // Nobody gives orders: the handle is gone before it is waited for the end.
            let (_, orders) = Handle::new();
            let ending = tokio::spawn(conveyor.run(taken, orders, drained)).await??;
            feeding.await?;
            anyhow::ensure!(ending == Ending::Idle, "{ending:?}");
            anyhow::Ok((started.0.elapsed(), cpu().saturating_sub(started.1)))
        })?;
        let mut count = 0;
        while ends.try_recv().is_ok() {
            count += 1;
        }
        anyhow::ensure!(count == items, "{count} of {items} ended");
        let Stores {
            egress,
            folder,
            journal,
            content,
            workspaces,
        } = stores;
        drop(runtime);
        // All of these hold the journal; its log is emptied when it closes.
        drop((egress, workspaces, content, journal));
        Ok(Run {
            visits: u32::try_from(items * self.line.stations.len())?,
            wall,
            cpu,
            grown: ground::size(folder.path()),
        })
    }

    /// Begins on a state folder in which so many items wait at the entry.
    pub(super) fn start_before(&self, items: usize) -> anyhow::Result<Started> {
        let stores = stores(&self.place, Store::Sqlite)?;
        let runtime = runtime(ground::threads())?;
        let inside = runtime.enter();
        let runner = self.worker(&stores, Worker::Shared)?;
        drop(inside);
        runtime.block_on(async {
            // At rest there is room for everybody, and nothing starts.
            let (ended, _) = mpsc::unbounded_channel();
            let (handle, orders) = Handle::new();
            let (_drain, drained) = watch::channel(true);
            let conveyor = self.conveyor(&stores, runner.clone(), ended);
            let resting = tokio::spawn(conveyor.run(mpsc::channel(1).1, orders, drained));
            let submitted = (0..items).map(|n| handle.submit(input(n)));
            let mut submitted = futures::stream::iter(submitted).buffer_unordered(256);
            while let Some(taken) = submitted.next().await {
                taken?;
            }
            drop(submitted);
            drop(handle);
            resting.await??;

            let (ended, mut ends) = mpsc::unbounded_channel();
            let (handle, orders) = Handle::new();
            let (drain, drained) = watch::channel(false);
            let before = resident()?;
            let started = Instant::now();
            let conveyor = self.conveyor(&stores, runner, ended);
            let running = tokio::spawn(conveyor.run(mpsc::channel(1).1, orders, drained));
            handle.pause(self.line.entry.clone(), false).await?;
            let start = started.elapsed();
            ends.recv().await.context("the conveyor runs")?;
            let first = started.elapsed();
            let grown = resident()?.saturating_sub(before);
            drain.send_replace(true);
            running.await??;
            Ok(Started {
                start,
                first,
                grown,
            })
        })
    }

    /// Takes one input after the other, each when the one before has ended: how long each took.
    pub(super) fn one_by_one(
        &self,
        items: usize,
        threads: usize,
        worker: Worker,
    ) -> anyhow::Result<Vec<Duration>> {
        let stores = stores(&self.place, Store::Sqlite)?;
        let (ended, mut ends) = mpsc::unbounded_channel();
        let runtime = runtime(threads)?;
        let inside = runtime.enter();
        let runner = self.worker(&stores, worker)?;
        drop(inside);
        let conveyor = self.conveyor(&stores, runner, ended);
        runtime.block_on(async {
            let (take, taken) = mpsc::channel(64);
            let (_drain, drained) = watch::channel(false);
            let running = tokio::spawn(conveyor.run(taken, Handle::new().1, drained));
            let mut all = Vec::with_capacity(items);
            for n in 0..items {
                let input = input(n);
                let started = Instant::now();
                take.send(input).await?;
                ends.recv().await.context("the conveyor runs")?;
                all.push(started.elapsed());
            }
            drop(take);
            running.await??;
            Ok(all)
        })
    }
}

/// A runtime of so many threads; one is the calling thread itself.
pub(super) fn runtime(threads: usize) -> anyhow::Result<Runtime> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    Ok(builder.enable_all().build()?)
}

fn input(n: usize) -> Input {
    let text = ground::body(n);
    debug_assert_eq!(text.len(), BODY);
    Input {
        key: n.to_string(),
        taking: Taking::plain(
            format!("in.jsonl:{n}"),
            Payload {
                content_type: "application/json".into(),
                body: Body::Inline(Bytes::from(text)),
                labels: Labels::default(),
            },
        ),
        blobs: Vec::new(),
    }
}

/// How much of this process resides in memory, in bytes.
fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/statm")?;
    let pages = status
        .split(' ')
        .nth(1)
        .context("`statm` has two numbers")?;
    Ok(pages.parse::<u64>()? * rustix::param::page_size() as u64)
}

/// Processor time of this process so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
