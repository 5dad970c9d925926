//! A line with all that a crash may hit, and processes that carry it and are killed: loops that write
//! files, a split and a join, calls to a server that counts, results and inputs in folders.

use super::{points::Random, torn};
use crate::{
    counting::Counting,
    ground::{Ground, root},
};
use andon::{
    failpoint::Point,
    housekeeping::examine,
    item::{Clearing, Destination, Item, ItemId, Record, Summary},
    journal::{Filter, PhaseKind},
    lines::State,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// Few: each run of it is to be short.
const ITEMS: usize = 4;
/// Long enough for whatever has to come.
const BOUND: Duration = Duration::from_secs(60);

/// What carries the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Run,
    Serve,
}

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kill {
    /// By itself, when it comes to a point for the nth time.
    At(Point, u32),
    After(Duration),
    Never,
}

/// What became of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    Killed,
    /// It has nothing more to do.
    Done,
    /// It waits for somebody.
    Stuck,
}

pub(super) struct Works {
    ground: Ground,
    server: Counting,
    how: How,
    worker: &'static str,
}

/// The built component of a test station.
fn component(station: &str) -> PathBuf {
    let folder = root().join("tests/stations").join(station);
    let built = andon_build::build(&folder, &andon_build::Options::default());
    built.expect("it builds").component
}

/// Where the components of the line are, built once.
fn components() -> &'static [(&'static str, PathBuf)] {
    static ALL: OnceLock<Vec<(&str, PathBuf)>> = OnceLock::new();
    ALL.get_or_init(|| {
        ["keeps-files", "splits", "acts", "joins"]
            .map(|station| (station, component(station)))
            .into()
    })
}

impl Works {
    pub(super) fn new(how: How, worker: &'static str) -> Self {
        let works = Self {
            ground: Ground::new(),
            server: Counting::start(),
            how,
            worker,
        };
        works.line(1);
        for n in 0..ITEMS {
            let steps: String = works.paths(n).map(|path| works.step(&path)).collect();
            works.ground.write(&format!("in/{n}.txt"), steps);
        }
        works
    }

    /// Writes the line's file; with other `workers` it is another revision.
    fn line(&self, workers: u32) {
        let url = self.server.url();
        let mut text = format!(
            r#"
line = "l"
entry = "keep"
[defaults]
retry = {{ attempts = 3, backoff = "1ms..2ms" }}
[stations.keep]
use = "=keeps-files"
next = "split"
workers = {workers}
[stations.split]
use = "=splits"
next = "post"
[stations.post]
use = "=acts"
next = "join"
[[stations.post.grants.http]]
rule = "* {url}/once/strict/**"
private = true
[[stations.post.grants.http]]
rule = "* {url}/once/safe/**"
private = true
idempotent = true
[stations.join]
use = "=joins"
join = {{ of = "split" }}
next = "last"
[stations.last]
use = "=keeps-files"
next = "done"
"#
        );
        if self.how == How::Serve {
            text.push_str(
                "[sources.files]\nfolder = \"in\"\nsettle = \"1ms\"\n[sinks.files]\nfolder = \"out\"\n",
            );
        }
        for (station, component) in components() {
            let component = format!("\"{}\"", component.display());
            text = text.replace(&format!("\"={station}\""), &component);
        }
        // As an editor does it: a daemon that begins reads one or the other.
        self.ground.write("line.new", text);
        let (new, path) = (self.ground.path("line.new"), self.ground.path("line.toml"));
        fs::rename(new, path).expect("it is renamed");
    }

    /// What the children of an item ask for. One has an answer that is too long for a record.
    fn paths(&self, n: usize) -> impl Iterator<Item = String> + use<> {
        let long = (n == 0).then(|| format!("/once/safe/{n}/long"));
        [format!("/once/strict/{n}"), format!("/once/safe/{n}")]
            .into_iter()
            .chain(long)
    }

    fn step(&self, path: &str) -> String {
        format!("POST {}{path} x\n", self.server.url())
    }

    fn start(&self, kill: Kill) -> Child {
        let arguments: &[&str] = match self.how {
            How::Run => &["run", ".", "in", "--out", "out", "-q"],
            How::Serve => &["serve", "."],
        };
        let mut command = self.ground.command(arguments);
        if let Kill::At(point, n) = kill {
            command.env("ANDON_FAILPOINT", format!("{}:{n}", point.name()));
        }
        let log = fs::OpenOptions::new();
        let log = log
            .clone()
            .create(true)
            .append(true)
            .open(self.ground.path("log"));
        command
            .args(["--worker", self.worker])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("it opens"))
            .spawn()
            .expect("the command starts")
    }

    /// One process from its start to its end. With `retool` the line is changed beneath it.
    pub(super) fn turn(&self, kill: Kill, retool: Option<u32>) -> Came {
        let mut child = self.start(kill);
        let retool = retool.map(|workers| {
            let arguments = ["retool", "l", "--yes", "--reason", "a test"];
            let mut command = self.ground.command(&arguments);
            // It fails where there is no daemon yet or none any more.
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            (workers, command)
        });
        let came = match self.how {
            How::Run => self.run(&mut child, kill),
            How::Serve => self.serve(&mut child, kill, retool),
        };
        // Nobody but the dead has a connection now.
        self.server.settled();
        if came == Came::Stuck || came == Came::Killed {
            self.clear(true);
        }
        came
    }

    fn run(&self, child: &mut Child, kill: Kill) -> Came {
        let status = match kill {
            Kill::After(time) => self.until(Instant::now() + time, || child.try_wait().unwrap()),
            Kill::At(..) | Kill::Never => Some(child.wait().expect("it ends")),
        };
        match status {
            None => killed(child),
            Some(status) => match status.code() {
                Some(0) => Came::Done,
                Some(2) => Came::Stuck,
                None if matches!(kill, Kill::At(..)) => Came::Killed,
                _ => self.fails(&format!("it came to {status}")),
            },
        }
    }

    fn serve(
        &self,
        child: &mut Child,
        kill: Kill,
        mut retool: Option<(u32, std::process::Command)>,
    ) -> Came {
        let until = match kill {
            Kill::After(time) => Instant::now() + time,
            Kill::At(..) | Kill::Never => Instant::now() + BOUND,
        };
        let mut retooling: Option<Child> = None;
        let came = self.until(until, || {
            if let Some(status) = child.try_wait().expect("it can be asked") {
                return Some(self.died(status, kill));
            }
            if let Some((workers, mut command)) = retool.take_if(|_| self.socket().exists()) {
                // Not before: a daemon that has just begun would start by it.
                self.line(workers);
                retooling = Some(command.spawn().expect("it starts"));
            }
            if let Some(running) = &mut retooling {
                running.try_wait().expect("it can be asked")?;
            }
            let waits = retool.is_some();
            self.clear(false);
            (!waits && self.is_done()).then_some(Came::Done)
        });
        if let Some(mut retooling) = retooling {
            let _ = retooling.kill();
            retooling.wait().expect("it ends");
        }
        match (came, kill) {
            (Some(Came::Done), _) => {
                let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                kill_process(pid.expect("a process"), Signal::TERM).expect("it can be told");
                let status = child.wait().expect("it ends");
                // Told before it listens for that, it ends by the signal.
                match status.success() || status.signal() == Some(Signal::TERM.as_raw()) {
                    true => Came::Done,
                    false => self.died(status, kill),
                }
            }
            (Some(came), _) => came,
            (None, Kill::After(_)) => killed(child),
            (None, _) => {
                killed(child);
                self.fails("it never came to its end")
            }
        }
    }

    fn died(&self, status: ExitStatus, kill: Kill) -> Came {
        match (status.code(), kill) {
            (None, Kill::At(..)) => Came::Killed,
            _ => self.fails(&format!("it came to {status}")),
        }
    }

    /// Leaves of the journal's log what a loss of power may leave of it: what lies behind its last commit is
    /// cut off or half written, and the index into it is gone.
    pub(super) fn tear(&self, random: &mut Random) {
        let path = |name: &str| self.ground.path(".andon").join(name);
        let log = path("journal.sqlite-wal");
        let Ok(bytes) = fs::read(&log) else {
            return;
        };
        fs::write(log, torn::torn(bytes, random)).expect("written");
        let _ = fs::remove_file(path("journal.sqlite-shm"));
    }

    fn socket(&self) -> PathBuf {
        self.ground.path(".andon/serve.sock")
    }

    /// Looks again and again until there is something, or the time is over: what other processes do is
    /// told to nobody.
    fn until<T>(&self, end: Instant, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        loop {
            if let Some(found) = look() {
                return Some(found);
            }
            let left = end.checked_duration_since(Instant::now())?;
            std::thread::park_timeout(left.min(Duration::from_millis(5)));
        }
    }

    fn view(&self) -> Option<State> {
        State::view(&self.ground.path(".andon")).ok()
    }

    /// All items were taken and are through, and their results are given.
    fn is_done(&self) -> bool {
        if files(&self.ground.path("out")).len() < ITEMS {
            return false;
        }
        let Some(state) = self.view() else {
            return false;
        };
        let all = state.journal.list(&Filter::default());
        let all = all.unwrap_or_default();
        let roots = all.iter().filter(|one| one.item.parent().is_none());
        let line = "l".parse().expect("a name");
        let owed = state.journal.undelivered(&line);
        roots.count() == ITEMS
            && all.iter().all(|one| one.phase.ended())
            && owed.is_ok_and(|owed| owed.is_empty())
            && files(&self.ground.path("in")).is_empty()
    }

    /// Does about jams what a person would do who looks at the server.
    fn clear(&self, at_rest: bool) {
        let Some(state) = self.view() else {
            return;
        };
        let jams = state.journal.list(&Filter {
            phases: vec![PhaseKind::Jammed],
            ..Filter::default()
        });
        for jam in jams.unwrap_or_default() {
            let how = self.way_out(&state, &jam);
            let came = self.ground.andon(&["clear", jam.item.as_str(), how]);
            // Beside a daemon, that may die of it.
            if at_rest {
                came.well();
            }
        }
    }

    fn way_out(&self, state: &State, jam: &Summary) -> &'static str {
        let reason = jam.reason.as_deref().unwrap_or_default();
        if reason.contains("nobody knows whether it arrived") {
            match self.counted(&step_of(state, &jam.item)) {
                0 => "retry",
                _ => "skip",
            }
        } else if reason.contains("host") {
            "retry"
        } else {
            self.fails(&format!("`{}` jams: {reason}", jam.item))
        }
    }

    /// How often the server had what a step asks for.
    fn counted(&self, step: &str) -> usize {
        let path = step
            .strip_prefix("POST ")
            .and_then(|s| s.strip_prefix(&*self.server.url()));
        let path = path.and_then(|rest| rest.split(' ').next());
        let request = format!("POST {}", path.expect("a step"));
        self.server.all().get(&request).map_or(0, Vec::len)
    }

    fn fails(&self, why: &str) -> ! {
        let log = fs::read_to_string(self.ground.path("log")).unwrap_or_default();
        panic!(
            "{why}, with {:?} and {} workers:\n{log}",
            self.how, self.worker
        )
    }

    /// Lets it come to its end, and holds all against what should be.
    pub(super) fn ends_well(&self, about: &str) {
        let start = Instant::now();
        while self.turn(Kill::Never, None) != Came::Done {
            assert!(
                start.elapsed() < BOUND,
                "{about}: it never comes to its end"
            );
        }
        self.is_as_it_should(about);
    }

    fn is_as_it_should(&self, about: &str) {
        let state = self.view().expect("a state folder");
        let all = state.journal.list(&Filter::default()).expect("it lists");
        let mut sources = BTreeSet::new();
        let mut results = BTreeSet::new();
        for summary in &all {
            let records = state.journal.load(&summary.item).expect("it loads");
            let told = || format!("{about}: {summary:?}\n{records:#?}");
            assert!(summary.phase.ended(), "{}", told());
            let item = Item::fold(summary.item.clone(), &records).expect("it folds");
            let item = item.expect("there is one");
            assert_eq!(item.summary(), *summary, "{}", told());
            let ends = records.iter().filter(
                |record| matches!(record, Record::Moved { to, .. } if *to == Destination::Done),
            );
            let is_root = summary.item.parent().is_none();
            assert_eq!(ends.count(), usize::from(is_root), "{}", told());
            if !is_root {
                continue;
            }
            let n = number(&summary.source);
            assert!(sources.insert(n), "{} was taken twice", summary.source);
            let result = item.result().expect("a result");
            let body = state.body(result, item.workspace).expect("its body");
            let body = String::from_utf8(body).expect("text");
            let expected = self.expected(&state, n, &summary.item);
            let rest = body.strip_prefix(&*expected).unwrap_or_else(|| {
                panic!("{about}: {n} gave {body:?}, not {expected:?}\n{records:#?}")
            });
            assert!(rest.starts_with("keep-1: written by attempt "), "{body:?}");
            let tree = state.workspaces.snapshots().tree(item.workspace);
            let tree = tree.expect("its workspace");
            let names: Vec<&str> = tree.iter().map(|(name, _)| name).collect();
            assert_eq!(names, ["keep-1", "last-1"], "{}", told());
            results.insert(body);
        }
        assert_eq!(sources, (0..ITEMS).collect(), "{about}");
        let given: Vec<String> = files(&self.ground.path("out"))
            .iter()
            .map(|path| fs::read_to_string(path).expect("text"))
            .collect();
        assert_eq!(given.len(), ITEMS, "{about}: results were given twice");
        assert_eq!(
            given.into_iter().collect::<BTreeSet<_>>(),
            results,
            "{about}"
        );
        for (request, keys) in self.server.all() {
            let different: BTreeSet<_> = keys.iter().collect();
            let most = if request.contains("/strict/") {
                1
            } else {
                keys.len()
            };
            assert!(
                keys.iter().all(Option::is_some) && different.len() == 1 && keys.len() <= most,
                "{about}: {request} came with {keys:?}"
            );
        }
        let found = examine(&state).expect("it can be looked over");
        assert!(found.are_well(), "{about}: {found:#?}");
        // What it came to is what a person is told as well.
        drop(state);
    }

    /// What the children of an item brought back, in their order; one that was left out by a person, what it
    /// should have asked.
    fn expected(&self, state: &State, n: usize, item: &ItemId) -> String {
        let child = |(i, path): (usize, String)| {
            let id = item.child(i as u32 + 1).expect("an id");
            let records = state.journal.load(&id).expect("it loads");
            let skipped = records.iter().any(|record| {
                matches!(
                    record,
                    Record::Cleared {
                        how: Clearing::Skip { .. },
                        ..
                    }
                )
            });
            match (skipped, path.ends_with("/long")) {
                (true, _) => self.step(&path),
                (false, true) => {
                    format!(
                        "POST: 200 and {} bytes\n",
                        format!("{path} 1 ").len() + 300_000
                    )
                }
                (false, false) => format!("POST: 200 {path} 1\n"),
            }
        };
        self.paths(n).enumerate().map(child).collect()
    }
}

fn killed(child: &mut Child) -> Came {
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    Came::Killed
}

/// What a child was to do.
fn step_of(state: &State, item: &ItemId) -> String {
    let records = state.journal.load(item).expect("it loads");
    let item = Item::fold(item.clone(), &records).expect("it folds");
    let item = item.expect("there is one");
    let body = state
        .body(&item.inputs[0], item.workspace)
        .expect("its body");
    String::from_utf8(body).expect("text")
}

/// `in/3.txt` is the third.
fn number(source: &str) -> usize {
    let stem = Path::new(source).file_stem().and_then(|stem| stem.to_str());
    stem.and_then(|stem| stem.parse().ok()).expect("a number")
}

/// The files that are in a folder, but for hidden ones.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let all = entries.flatten().map(|entry| entry.path());
    all.filter(|path| {
        path.is_file()
            && !path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    })
    .collect()
}
