//! A daemon whose line is retooled a hundred times while items come, with visits that are short and visits
//! that take longer than a retool: none is lost, none is made twice.

use crate::{
    counting::Counting,
    ground::{Ground, root},
};
use andon::{
    item::{Destination, Item, Record},
    journal::{Filter, Journal, PhaseKind, Sqlite},
    lines::Control as _,
    retool::{Aim, Promote, Retool},
    serve::client::Client,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Retools; ten sorts in turn.
const RETOOLS: usize = 100;
/// Between two inputs.
const PACE: Duration = Duration::from_millis(15);
/// Every so many items has a long visit.
const LONG: usize = 16;
/// Long enough for whatever has to come.
const BOUND: Duration = Duration::from_secs(90);

/// A daemon; killed with the test where it has not ended.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Load {
    ground: Ground,
    server: Counting,
}

impl Load {
    /// The line; `change` makes another of it.
    fn line(&self, change: impl FnOnce(String) -> String) {
        let url = self.server.url();
        let text = change(format!(
            r#"
line = "l"
entry = "call"
[sources.files]
folder = "in"
settle = "1ms"
[stations.call]
use = "=acts"
next = "mark"
workers = 8
grants.http = [{{ rule = "* {url}/**", private = true }}]
[stations.mark]
use = "=stamp"
next = "last"
[stations.last]
use = "=stamp"
next = "done"
"#
        ));
        let text = ["acts", "stamp", "pass-on"]
            .iter()
            .fold(text, |text, name| {
                text.replace(&format!("\"={name}\""), &format!("\"{name}.wasm\""))
            });
        self.ground.write("line.toml", text);
    }

    /// Retools the line: the revision by which it runs then.
    fn retool(&self, what: &str, wanted: Retool) -> u64 {
        let ramps = wanted.ramp.is_some();
        let revision = self.asked(what, Some(wanted));
        if !ramps {
            self.runs_by(revision);
        }
        revision
    }

    /// Asks the daemon for a retool, or to promote a ramp: as the command does it, without a process for
    /// each.
    fn asked(&self, what: &str, wanted: Option<Retool>) -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let asking = async {
            let client = Client::of(&self.ground.path(".andon")).await;
            let client = client.expect("a socket").expect("a daemon");
            let (line, why) = ("l".parse().expect("a name"), what.to_string());
            match wanted {
                Some(wanted) => {
                    let wanted = Retool { why, ..wanted };
                    client.retool("a test", &line, wanted).await
                }
                None => client.promote("a test", &line, Promote { why }).await,
            }
        };
        let came = runtime.expect("a runtime").block_on(asking);
        let came = came.unwrap_or_else(|fault| panic!("{what}: {fault}"));
        assert!(!came.plan.is_empty(), "{what} changes nothing");
        came.revision
    }

    /// Waits until the line runs by a revision: stations that go are emptied first.
    fn runs_by(&self, revision: u64) {
        let start = Instant::now();
        let journal = self.journal();
        loop {
            let lines = journal.lines().expect("it lists");
            if lines[0].current == revision && lines[0].ramp.is_none() {
                return;
            }
            assert!(
                start.elapsed() < BOUND,
                "it never runs by revision {revision}: {lines:?}"
            );
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Every way in which a line can be another, one after the other; how many retools that were.
    fn change_all(&self) -> usize {
        let more = |text: String| {
            text.replace(
                "next = \"done\"",
                "next = \"extra\"\n[stations.extra]\nuse = \"=stamp\"\nnext = \"done\"",
            )
        };
        let passes = |text: String| text.replacen("=stamp", "=pass-on", 1);
        let to = |revision| Retool {
            aim: Aim {
                revision: Some(revision),
                file: None,
            },
            ..Retool::default()
        };
        self.line(passes);
        let first = self.retool("a component", Retool::default());
        self.line(|text| {
            passes(text).replace("workers = 8", "workers = 6\nlimits = { wall = \"20s\" }")
        });
        self.retool("limits", Retool::default());
        self.line(|text| {
            text.replace(
                "next = \"mark\"",
                "next = { pass = \"mark\", other = \"scrap\" }",
            )
        });
        self.retool("a port", Retool::default());
        self.line(more);
        let added = self.retool("a station", Retool::default());
        self.line(|text| text);
        let [extra, last] = ["extra", "last"].map(|name| name.parse().expect("a name"));
        let moves = Retool {
            moves: [(extra, last)].into(),
            ..Retool::default()
        };
        self.retool("it goes elsewhere", moves);
        self.retool("back", to(added));
        self.line(|text| text);
        let drains = Retool {
            drain: true,
            ..Retool::default()
        };
        self.retool("it is emptied", drains);
        self.retool("back", to(first));
        self.line(|text| text.replace("workers = 8", "workers = 7"));
        let share = Retool {
            ramp: Some(30),
            ..Retool::default()
        };
        self.retool("a share", share);
        let promoted = self.asked("all", None);
        self.runs_by(promoted);
        10
    }

    fn journal(&self) -> Sqlite {
        Sqlite::open_read_only(&self.ground.path(".andon")).expect("it opens")
    }

    /// Waits until all items are through: what another process does is told to nobody.
    fn all_done(&self, items: usize) {
        let start = Instant::now();
        let journal = self.journal();
        loop {
            let counts = journal
                .counts(&"l".parse().expect("a name"))
                .expect("it counts");
            let of = |wanted| -> u64 {
                let fits = counts.iter().filter(|(phase, _, _)| *phase == wanted);
                fits.map(|(_, _, count)| count).sum()
            };
            assert_eq!(
                of(PhaseKind::Jammed),
                0,
                "{}",
                self.ground.andon(&["items", "--jammed"]).stdout
            );
            if of(PhaseKind::Done) == items as u64 {
                return;
            }
            assert!(start.elapsed() < BOUND, "{items} are not done: {counts:?}");
            thread::park_timeout(Duration::from_millis(20));
        }
    }
}

/// Gives the line an input now and then, until it is told to stop: how many.
fn feed(load: &Arc<Load>, stop: &Arc<AtomicBool>) -> JoinHandle<usize> {
    let (load, stop) = (load.clone(), stop.clone());
    fs::create_dir_all(load.ground.path("in")).expect("a folder");
    thread::spawn(move || {
        let mut next = Instant::now();
        for n in 0.. {
            if stop.load(SeqCst) {
                return n;
            }
            let long = if n % LONG == 0 { "sleep 400\n" } else { "" };
            let steps = format!("{long}POST {}/once/{n}\n", load.server.url());
            // Named when it is whole.
            load.ground.write(&format!(".new/{n}"), steps);
            let (new, input) = (format!(".new/{n}"), format!("in/{n}.txt"));
            fs::rename(load.ground.path(&new), load.ground.path(&input)).expect("renamed");
            next += PACE;
            while let Some(left) = next.checked_duration_since(Instant::now()) {
                thread::park_timeout(left);
            }
        }
        0
    })
}

#[test]
fn a_hundred_retools_under_load_lose_nothing_and_do_nothing_twice() {
    let load = Arc::new(Load {
        ground: Ground::new(),
        server: Counting::start(),
    });
    for station in ["acts", "stamp", "pass-on"] {
        let folder = root().join("tests/stations").join(station);
        let built = andon_build::build(&folder, &andon_build::Options::default());
        let to = load.ground.path(&format!("{station}.wasm"));
        fs::copy(built.expect("it builds").component, to).expect("copied");
    }
    load.line(|text| text);
    // The retools are to meet a line that runs, not one that is compiled.
    load.ground.andon(&["check", "."]).well();
    let log = fs::File::create(load.ground.path("log")).expect("a file");
    let daemon = Daemon(
        load.ground
            .command(&["serve", "."])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("it starts"),
    );
    let start = Instant::now();
    while !load.ground.path(".andon/serve.sock").exists() {
        assert!(start.elapsed() < BOUND, "it does not serve");
        thread::park_timeout(Duration::from_millis(5));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let feeding = feed(&load, &stop);
    let mut retools = 0;
    while retools < RETOOLS {
        retools += load.change_all();
    }
    stop.store(true, SeqCst);
    let items = feeding.join().expect("it ends");
    load.all_done(items);
    load.ground.andon(&["drain", "--within", "30s"]).well();
    drop(daemon);
    check(&load, items);
}

/// Each item is done once, each of its visits was made in one attempt, and its history says by which
/// revision.
fn check(load: &Load, items: usize) {
    let journal = load.journal();
    let all = journal.list(&Filter::default()).expect("it lists");
    let sources: BTreeSet<&str> = all.iter().map(|one| one.source.as_str()).collect();
    assert_eq!((all.len(), sources.len()), (items, items));
    let mut revisions = BTreeSet::new();
    let mut between = 0;
    for (n, summary) in all.iter().enumerate() {
        let records = journal.load(&summary.item).expect("it loads");
        let item = Item::fold(summary.item.clone(), &records).expect("it folds");
        let item = item.expect("there is one");
        let count = |fits: &dyn Fn(&Record) -> bool| records.iter().filter(|r| fits(r)).count();
        let started = count(&|record| matches!(record, Record::Started { .. }));
        let interrupted =
            count(&|record| matches!(record, Record::Interrupted { .. } | Record::Failed { .. }));
        let ended =
            count(&|record| matches!(record, Record::Moved { to, .. } if *to == Destination::Done));
        let visits: u32 = item.visits.values().sum();
        assert_eq!(
            (ended, interrupted, started),
            (1, 0, visits as usize),
            "{records:#?}"
        );
        let by: Vec<u64> = records
            .iter()
            .filter_map(|record| match record {
                Record::Started { revision, .. } => Some(*revision),
                _ => None,
            })
            .collect();
        between += usize::from(by.iter().collect::<BTreeSet<_>>().len() > 1);
        if n % 40 == 0 {
            assert_eq!(shown(load, summary.item.as_str()), by);
        }
        revisions.extend(by);
    }
    assert!(revisions.len() > RETOOLS / 2, "{revisions:?}");
    assert!(!revisions.contains(&0));
    assert!(between > 0, "no item was retooled on its way");
    let asked: BTreeMap<String, usize> = load
        .server
        .all()
        .into_iter()
        .map(|(request, keys)| (request, keys.len()))
        .collect();
    assert_eq!(asked.len(), items);
    let twice: Vec<_> = asked.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    load.ground.andon(&["doctor"]).well();
}

/// The revisions of an item's attempts, as a person is shown them.
fn shown(load: &Load, item: &str) -> Vec<u64> {
    let shown = load.ground.andon(&["show", item, "--json"]).well();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let history = shown["history"].as_array().expect("a history");
    let started = history.iter().filter(|one| one["kind"] == "started");
    started
        .map(|one| one["revision"].as_u64().expect("a revision"))
        .collect()
}
