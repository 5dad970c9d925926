//! `andon run`: take inputs, carry them along a line until nothing moves, give the results.

use super::{
    Done,
    inputs::{self, Cut},
    print,
    progress::Progress,
    results::Results,
    state::{FactoryArg, State, StateArg},
};
use crate::{
    assembly::{Assembly, AssemblyError},
    conveyor::{Ending, Input, Notice, wall_clock},
    item::{Body, Item, ItemId},
    journal::{Filter, PhaseKind, Summary},
    line::Worker,
    lines::{LineNotice, Lines, LinesError, LinesSettings},
    name::Name,
};
use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::timeout,
};

/// Run inputs through a line, or through one station
///
/// Inputs that were taken before are not taken again, and items that an earlier run left unfinished
/// go on where they were: after Ctrl-C, a crash or `kill -9`, give the same command once more.
///
/// Exit codes: 0 all done, 1 the line or an input is wrong, 2 some items jammed or wait for an answer, 130
/// interrupted.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// A line (its folder or `line.toml`), a station folder, or a component.
    line: PathBuf,
    /// Files, folders, or `-` for standard input (an mbox gives an item for each mail).
    inputs: Vec<PathBuf>,
    /// Write results as files into this folder instead of to standard output.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Take standard input as one JSON value a line, each an item.
    #[arg(long)]
    jsonl: bool,
    /// Take inputs also if they were taken before.
    #[arg(long)]
    again: bool,
    /// Print one JSON object a line: results, jams, and a summary at the end.
    #[arg(long)]
    json: bool,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
    /// Run visits in the host's own process, or in processes of their own behind a second wall,
    /// whatever the line says.
    #[arg(long, value_name = "WHERE")]
    worker: Option<Where>,
    #[command(flatten)]
    state: StateArg,
    #[command(flatten)]
    factory: FactoryArg,
}

/// Where visits run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Where {
    /// In runner processes, up to one a core.
    Own,
    /// In the host's own process.
    Shared,
}

impl From<Where> for Worker {
    fn from(place: Where) -> Self {
        match place {
            Where::Own => Self::Own,
            Where::Shared => Self::Shared,
        }
    }
}

/// The most notices that are looked at together.
const NOTICES: usize = 256;

/// What a run came to.
#[derive(Default)]
struct Tally {
    taken: u64,
    known: u64,
    done: u64,
    scrapped: u64,
    results: u64,
    /// Jammed or held, and told already; the end names the others.
    told: HashSet<ItemId>,
    /// Inputs that could not be read.
    wrong: usize,
    /// Standard output was closed before all was given.
    closed: bool,
    /// The line was stopped before it came to rest.
    drained: bool,
}

/// How long a run waits without a word for requests that its guests went away from.
const PATIENCE: Duration = Duration::from_secs(1);

/// What carrying takes.
struct Work {
    lines: Arc<Lines>,
    state: Arc<State>,
    line: Name,
    progress: Arc<Progress>,
    backlog: Arc<Backlog>,
    noticed: mpsc::UnboundedReceiver<Notice>,
}

/// What the thread that reads inputs works with.
struct Feed {
    sources: Vec<inputs::Source>,
    take: mpsc::Sender<Input>,
    state: Arc<State>,
    progress: Arc<Progress>,
    backlog: Arc<Backlog>,
}

/// Notices that were not looked at yet. Giving results may be slower than the line: no more inputs
/// are taken then, so that what waits in memory does not grow with their number.
#[derive(Default)]
struct Backlog {
    waiting: Mutex<usize>,
    less: Condvar,
}

impl Backlog {
    /// As many notices wait before inputs do.
    const MOST: usize = 1024;

    fn grows(&self) {
        *self.waiting() += 1;
    }

    fn shrinks(&self, by: usize) {
        *self.waiting() -= by;
        self.less.notify_all();
    }

    fn wait(&self) {
        let waits = |waiting: &mut usize| *waiting >= Self::MOST;
        drop(self.less.wait_while(self.waiting(), waits));
    }

    fn waiting(&self) -> MutexGuard<'_, usize> {
        // A number is whole whoever panicked.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let sources = match inputs::find(&self.inputs) {
            Ok(sources) => sources,
            Err(wrong) => {
                for error in wrong {
                    print::note(&format!("error: {}", print::error(&error.into())));
                }
                return Ok(Done::Wrong);
            }
        };
        let say = |text: &str| {
            if !self.quiet {
                print::note(text);
            }
        };
        let assembly = Assembly {
            factory: self.factory.path(),
            state: self.state.path(),
            exe: std::env::current_exe()?,
            say: &say,
        };
        let assembled = match assembly.assemble(&self.line) {
            Err(AssemblyError::Problems(problems)) => return Ok(super::check::wrong(&problems)),
            assembled => assembled?,
        };
        if !self.quiet {
            super::secret::note_missing(&assembled, &self.factory);
            if assembled.draft.line.has_outside() {
                print::note(
                    "note: sources, sinks and notices of the line are left out: `andon serve` starts them",
                );
            }
        }
        raise_descriptors();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let inside = runtime.enter();
        let backlog = Arc::new(Backlog::default());
        let (notify, noticed) = mpsc::unbounded_channel();
        let lines = Lines::open(LinesSettings {
            state: self.state.of_line(&assembled.folder),
            factory: self.factory.path().map(Into::into),
            exe: std::env::current_exe()?,
            say: Arc::new(print::note),
            worker: self.worker.map(Into::into),
            patient: false,
            told: Some(Arc::new({
                let backlog = backlog.clone();
                move |notice: &LineNotice| {
                    backlog.grows();
                    // The receiver outlives the conveyor.
                    let _ = notify.send(notice.notice.clone());
                }
            })),
        })?;
        let started = match lines.make_ready(&assembled) {
            Err(LinesError::Assembly(AssemblyError::Problems(problems))) => {
                return Ok(super::check::wrong(&problems));
            }
            started => started?,
        };
        if let Some(runners) = started.runners.filter(|_| !self.quiet) {
            print::note(&runners);
        }
        drop(inside);
        // What the components were read from is not needed any more.
        drop(assembled);

        let state = Arc::new(lines.state().clone());
        let board = lines.board(&started.line)?;
        let progress = Arc::new(Progress::show(board, self.quiet));
        let work = Work {
            lines: lines.clone(),
            state: state.clone(),
            line: started.line.clone(),
            progress: progress.clone(),
            backlog,
            noticed,
        };
        let outcome = runtime.block_on(async {
            let outcome = self.carry(work, sources).await;
            // Guests may have gone away from requests that are still being sent.
            let settled = lines.settled();
            tokio::pin!(settled);
            if timeout(PATIENCE, &mut settled).await.is_err() {
                progress.say("waiting for requests that are under way");
                settled.await;
            }
            outcome
        });
        // Visits that a second Ctrl-C left behind are not waited for.
        runtime.shutdown_background();
        progress.end();
        self.finish(&state, &started.line, &outcome?)
    }

    async fn carry(&self, work: Work, sources: Vec<inputs::Source>) -> anyhow::Result<Tally> {
        let Work {
            lines,
            state,
            line,
            progress,
            backlog,
            mut noticed,
        } = work;
        let results = Results {
            state: state.clone(),
            out: self.out.clone(),
            json: self.json,
        };
        results.make_folder()?;
        let give = |items: &[Item]| {
            if results.prints() {
                progress.aside(|| results.give(items))
            } else {
                results.give(items)
            }
        };
        let mut tally = Tally::default();

        // What an earlier run finished and could not give away any more.
        for ids in state.journal.undelivered(&line)?.chunks(NOTICES) {
            let mut items = Vec::new();
            for id in ids {
                items.extend(Item::fold(id.clone(), &state.journal.load(id)?)?);
            }
            let given = give(&items)?;
            tally.results += given as u64;
            tally.closed = given < items.len();
            let ids = items.into_iter().take(given).map(|item| item.id).collect();
            state.journal.delivered(ids).await?;
            if tally.closed {
                return Ok(tally);
            }
        }

        // Caught before the first visit, not whenever the task comes to it.
        let signals = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        // It outlives the run, and the journal is to be closed before the process ends.
        tokio::spawn(interrupts(
            signals,
            Arc::downgrade(&lines),
            progress.clone(),
        ));
        lines.begin(&line)?;
        let running = lines.line(&line).context("the line does not run")?;
        let wrong = self.feed(Feed {
            sources,
            take: running.inputs,
            state: state.clone(),
            progress: progress.clone(),
            backlog: backlog.clone(),
        });
        drop(running.handle);
        let mut batch = Vec::new();
        let ending = lines.finish(&line);
        tokio::pin!(ending);
        let mut ended = None;
        loop {
            // What was told before the end is there by then.
            if ended.is_none() {
                tokio::select! {
                    biased;
                    n = noticed.recv_many(&mut batch, NOTICES) => debug_assert!(n > 0),
                    ending = &mut ending => ended = Some(ending),
                }
            }
            while batch.len() < NOTICES
                && let Ok(notice) = noticed.try_recv()
            {
                batch.push(notice);
            }
            if batch.is_empty() && ended.is_some() {
                break;
            }
            backlog.shrinks(batch.len());
            let mut items = Vec::new();
            for notice in batch.drain(..) {
                self.note(notice, &progress, &mut tally, &mut items)?;
            }
            if !items.is_empty() && !tally.closed {
                let given = give(&items)?;
                tally.results += given as u64;
                tally.closed = given < items.len();
                // Not waited for: at the worst the last results are given once more after a crash.
                let ids = items.into_iter().take(given).map(|item| item.id).collect();
                drop(state.journal.delivered(ids));
            }
            if tally.closed {
                // What is not given stays undelivered and comes with the next run.
                lines.begin_drain();
            }
        }
        let ending = ended.context("the conveyor stopped unexpectedly")??;
        // That the last results were given is on the disk when the process ends, whoever still holds the
        // journal then.
        state.journal.delivered(Vec::new()).await?;
        tally.drained = ending == Ending::Drained;
        tally.wrong = wrong.load(Relaxed);
        Ok(tally)
    }

    /// Reads the inputs on a thread of their own; counts those that could not be read.
    fn feed(&self, feed: Feed) -> Arc<AtomicUsize> {
        let Feed {
            sources,
            take,
            state,
            progress,
            backlog,
        } = feed;
        let wrong = Arc::new(AtomicUsize::new(0));
        let cut = if self.jsonl {
            Cut::JsonLines
        } else {
            Cut::Mails
        };
        let again = self.again.then(|| wall_clock().to_string());
        std::thread::spawn({
            let wrong = wrong.clone();
            move || {
                for source in &sources {
                    inputs::read(source, cut, again.as_deref(), &mut |input| {
                        let stored = input
                            .map_err(anyhow::Error::from)
                            .and_then(|input| store(input, &state));
                        match stored {
                            Ok(input) => {
                                backlog.wait();
                                take.blocking_send(input).is_ok()
                            }
                            Err(error) => {
                                wrong.fetch_add(1, Relaxed);
                                progress.say(&format!("error: {}", print::error(&error)));
                                true
                            }
                        }
                    });
                }
            }
        });
        wrong
    }

    fn note(
        &self,
        notice: Notice,
        progress: &Progress,
        tally: &mut Tally,
        with_results: &mut Vec<Item>,
    ) -> anyhow::Result<()> {
        match notice {
            Notice::Taken { .. } => tally.taken += 1,
            Notice::Known { .. } => tally.known += 1,
            Notice::Jammed { summary } => {
                if self.json {
                    match progress.aside(|| print::json(&stuck("jammed", &summary))) {
                        Err(print::OutputError::Closed) => tally.closed = true,
                        printed => printed?,
                    }
                } else {
                    progress.say(&jam_line(&summary));
                    tally.told.insert(summary.item);
                }
            }
            Notice::Held { summary } => {
                if self.json {
                    match progress.aside(|| print::json(&stuck("held", &summary))) {
                        Err(print::OutputError::Closed) => tally.closed = true,
                        printed => printed?,
                    }
                } else {
                    progress.say(&held_line(&summary));
                    tally.told.insert(summary.item);
                }
            }
            Notice::Ended { item } => {
                let root = item.id.parent().is_none();
                match item.summary().phase {
                    PhaseKind::Done if root => tally.done += 1,
                    PhaseKind::Scrapped if root => tally.scrapped += 1,
                    _ => {}
                }
                if item.result().is_some() {
                    with_results.push(*item);
                }
            }
        }
        Ok(())
    }

    fn finish(&self, state: &State, line: &Name, tally: &Tally) -> anyhow::Result<Done> {
        if tally.closed {
            // Whoever closed it knows; what was not given comes with the next run.
            return Ok(Done::Interrupted);
        }
        let stuck = |phase| {
            state.journal.list(&Filter {
                line: Some(line.clone()),
                phases: vec![phase],
                ..Filter::default()
            })
        };
        let jams = stuck(PhaseKind::Jammed)?;
        let held = stuck(PhaseKind::Held)?;
        let Tally {
            taken,
            known,
            done,
            scrapped,
            results,
            told,
            wrong,
            drained,
            closed: _,
        } = tally;
        if self.json {
            let summary = json!({
                "event": "summary", "taken": taken, "known": known, "done": done, "scrapped": scrapped,
                "results": results, "jammed": jams.len(), "held": held.len(),
                "unreadable": wrong,
                "interrupted": drained,
            });
            match print::json(&summary) {
                // All else was given: what the run came to is no other for it.
                Err(print::OutputError::Closed) => {}
                printed => printed?,
            }
        } else if !self.quiet {
            let results = print::count(*results, "result");
            let mut words = format!("{taken} taken, {done} done, {results}");
            for (count, what) in [
                (*known, "taken before"),
                (*scrapped, "scrapped"),
                (jams.len() as u64, "jammed"),
                (held.len() as u64, "held"),
                (*wrong as u64, "unreadable"),
            ] {
                if count > 0 {
                    words.push_str(&format!(", {count} {what}"));
                }
            }
            print::note(&words);
        }
        if *drained {
            print::note("interrupted\n  hint: the same command goes on from here");
            return Ok(Done::Interrupted);
        }
        if !self.json {
            let state = self.state.words(&state.folder);
            for jam in jams.iter().filter(|jam| !told.contains(&jam.item)) {
                print::note(&jam_line(jam));
            }
            for item in held.iter().filter(|item| !told.contains(&item.item)) {
                print::note(&held_line(item));
            }
            if !jams.is_empty() {
                print::note(&format!(
                    "  hint: `andon show ITEM{state}` tells its way, `andon clear ITEM retry{state}` tries again"
                ));
            }
            if !held.is_empty() {
                print::note(&format!(
                    "  hint: `andon show ITEM{state}` tells what is asked, `andon answer ITEM CHOICE{state}` answers"
                ));
            }
        }
        if !jams.is_empty() || !held.is_empty() {
            return Ok(Done::Jammed);
        }
        Ok(if *wrong > 0 { Done::Wrong } else { Done::Well })
    }
}

/// Guests of many visits at the same time may each hold a thousand files open; the soft limit of most
/// systems is no more than that for the whole process.
pub(super) fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    // Where it may not be raised, a guest that opens many files gets an ordinary error sooner.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
}

/// Large bodies go to the content store before the record that names them.
fn store(mut input: Input, state: &State) -> anyhow::Result<Input> {
    if let Body::Inline(bytes) = &input.taking.payload.body
        && bytes.len() > Body::INLINE
    {
        let digest = state.content.put(bytes)?;
        input.taking.payload.body = Body::Stored {
            digest,
            len: bytes.len() as u64,
        };
    }
    Ok(input)
}

/// The first Ctrl-C drains, the second ends the process at once.
async fn interrupts(
    (mut interrupt, mut terminate): (Signal, Signal),
    lines: Weak<Lines>,
    progress: Arc<Progress>,
) {
    let mut asked = false;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if asked {
            std::process::exit(130);
        }
        asked = true;
        progress.say("stopping: visits under way end first, Ctrl-C again stops at once");
        if let Some(lines) = lines.upgrade() {
            lines.begin_drain();
        }
    }
}

fn stuck(event: &str, summary: &Summary) -> serde_json::Value {
    let mut value = json!({ "event": event });
    if let (Some(value), Ok(serde_json::Value::Object(fields))) =
        (value.as_object_mut(), serde_json::to_value(summary))
    {
        value.extend(fields);
    }
    value
}

/// A jam in words.
pub(super) fn jam_line(summary: &Summary) -> String {
    line_of("jammed", summary, "for no reason given")
}

/// A hold in words.
pub(super) fn held_line(summary: &Summary) -> String {
    line_of("held", summary, "an answer")
}

fn line_of(phase: &str, summary: &Summary, without: &str) -> String {
    let station = summary
        .station
        .as_ref()
        .map_or_else(String::new, |s| format!(" at `{s}`"));
    let reason = summary.reason.as_deref().unwrap_or(without);
    format!(
        "{phase}: {} ({}){station}: {}",
        summary.item,
        print::line(&summary.source),
        print::first(reason)
    )
}
