//! Carrying items along a line in this process.

use super::{
    bare::thread_time,
    ground::{self, BODY, Ground},
};
use andon::{
    assembly::{Assembled, Assembly},
    content::Content,
    conveyor::{Board, Conveyor, Ending, Input, Notice, wall_clock},
    item::{Body, ItemId, Labels, Payload},
    journal::{Journal, memory::Memory, sqlite::Sqlite},
    line::Line,
    sandbox::{InProcess, Runner as _, Settings, egress},
    visit::{Outcome, Visit},
    workspace::Workspaces,
};
use anyhow::Context as _;
use bytes::Bytes;
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

struct Stores {
    folder: TempDir,
    journal: Arc<dyn Journal>,
    runner: InProcess,
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
    let runner = InProcess::new(Settings {
        visits: Settings::VISITS,
        folders: Arc::new(workspaces),
        contents: Arc::new(content),
        egress: Arc::new(egress::Closed),
        progress: None,
    })
    .map_err(|error| anyhow::anyhow!("{error:#}"))?;
    Ok(Stores {
        folder,
        journal,
        runner,
    })
}

/// Loads a line from the compiled cache as `andon run` does.
pub(super) fn load(ground: &Ground) -> anyhow::Result<Loaded> {
    let stores = stores(ground.path(), Store::Memory)?;
    let started = Instant::now();
    let assembled = assemble(ground)?;
    let assembling = started.elapsed();
    assembled.prepare(&stores.runner, &assembled.draft.line, 1)?;
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
        Ok(self.stores(Store::Memory)?.runner)
    }

    fn stores(&self, store: Store) -> anyhow::Result<Stores> {
        let stores = stores(&self.place, store)?;
        self.assembled.prepare(&stores.runner, &self.line, 1)?;
        Ok(stores)
    }

    fn conveyor(&self, stores: &Stores, ended: mpsc::UnboundedSender<()>) -> Conveyor {
        Conveyor {
            journal: stores.journal.clone(),
            runner: Arc::new(stores.runner.clone()),
            line: self.line.clone(),
            revision: 1,
            board: Arc::new(Board::new(&self.line)),
            notify: Box::new(move |notice| match notice {
                Notice::Ended { .. } => {
                    let _ = ended.send(());
                }
                Notice::Jammed { summary } => eprintln!("  jammed: {:?}", summary.reason),
                Notice::Taken { .. } | Notice::Known { .. } => {}
            }),
            clock: wall_clock,
        }
    }

    /// One visit after the other through the runner alone: the processor time of one.
    pub(super) fn alone(&self, visits: u32) -> anyhow::Result<Duration> {
        let runner = self.runner()?;
        let visit = Visit {
            item: ItemId::input(&[0; 16], "line", "input"),
            line: self.line.name.clone(),
            revision: 1,
            station: self.line.entry.clone(),
            nth: 1,
            attempt: 1,
            started: wall_clock(),
            seed: [7; 32],
            inputs: vec![input(0).payload],
            workspace: None,
            joined: Vec::new(),
        };
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
    pub(super) fn run(&self, items: usize, store: Store, threads: usize) -> anyhow::Result<Run> {
        let stores = self.stores(store)?;
        let (ended, mut ends) = mpsc::unbounded_channel();
        let conveyor = self.conveyor(&stores, ended);
        let runtime = runtime(threads)?;
        let (wall, cpu) = runtime.block_on(async {
            let (take, taken) = mpsc::channel(64);
            let (_drain, drained) = watch::channel(false);
            let started = (Instant::now(), cpu());
            let feeding = tokio::spawn(async move {
                for n in 0..items {
                    if take.send(input(n)).await.is_err() {
                        break;
                    }
                }
            });
            let ending = tokio::spawn(conveyor.run(taken, drained)).await??;
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
            folder,
            journal,
            runner,
        } = stores;
        drop(runtime);
        // The runner's workspaces hold the journal, too; its log is emptied when it closes.
        drop((runner, journal));
        Ok(Run {
            visits: u32::try_from(items * self.line.stations.len())?,
            wall,
            cpu,
            grown: ground::size(folder.path()),
        })
    }

    /// Takes one input after the other, each when the one before has ended: how long each took.
    pub(super) fn one_by_one(&self, items: usize, threads: usize) -> anyhow::Result<Vec<Duration>> {
        let stores = self.stores(Store::Sqlite)?;
        let (ended, mut ends) = mpsc::unbounded_channel();
        let conveyor = self.conveyor(&stores, ended);
        runtime(threads)?.block_on(async {
            let (take, taken) = mpsc::channel(64);
            let (_drain, drained) = watch::channel(false);
            let running = tokio::spawn(conveyor.run(taken, drained));
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
        source: format!("in.jsonl:{n}"),
        payload: Payload {
            content_type: "application/json".into(),
            body: Body::Inline(Bytes::from(text)),
            labels: Labels::default(),
        },
        blobs: Vec::new(),
    }
}

/// Processor time of this process so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
