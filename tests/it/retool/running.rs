//! Retools of lines that run, in this process: what is refused, and that nothing is lost under load.

use crate::ground::Ground;
use andon::{
    conveyor::Input,
    item::{Body, Destination, Item, Labels, Payload, Record, Taking},
    journal::{Filter, Guard, PhaseKind, RetoolKind},
    line::Worker,
    lines::{Control as _, Fault, FaultKind, Lines, LinesSettings},
    name::Name,
    retool::{Aim, PlanFor, Promote, Retool, Retooled},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{runtime::Runtime, task::JoinHandle, time::timeout};

/// Long enough for whatever has to come.
pub(super) const BOUND: Duration = Duration::from_secs(60);

pub(super) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// A state folder whose lines run in this process.
pub(super) struct Factory {
    pub(super) ground: Ground,
    pub(super) lines: Arc<Lines>,
    pub(super) line: Name,
    pub(super) runtime: Runtime,
}

impl Factory {
    /// Runs this line.
    pub(super) fn run(text: &str, worker: Option<Worker>) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let ground = Ground::new();
        ground.line(text);
        let lines = {
            let _inside = runtime.enter();
            open(&ground, worker)
        };
        let started = lines.start(&ground.path("line.toml")).expect("it starts");
        Self {
            line: started.line,
            ground,
            lines,
            runtime,
        }
    }

    /// The line by what `text` says.
    pub(super) fn wanted(&self, text: &str) -> Retool {
        self.ground.line(text);
        Retool {
            why: "a test".into(),
            ..Retool::default()
        }
    }

    pub(super) async fn retool(&self, wanted: Retool) -> Result<Retooled, Fault> {
        let done = timeout(BOUND, self.lines.retool("anna", &self.line, wanted)).await;
        done.expect("it comes to an end")
    }

    /// Gives the line an item now and then, until it is told to stop: how many.
    fn load(&self) -> (Arc<AtomicBool>, JoinHandle<usize>) {
        let stop = Arc::new(AtomicBool::new(false));
        let inputs = self.lines.line(&self.line).expect("it runs").inputs;
        let task = self.runtime.spawn({
            let stop = stop.clone();
            async move {
                let mut sent = 0;
                let mut tick = tokio::time::interval(Duration::from_millis(2));
                while !stop.load(SeqCst) {
                    tick.tick().await;
                    inputs
                        .send(input(&sent.to_string()))
                        .await
                        .expect("it takes");
                    sent += 1;
                }
                sent
            }
        });
        (stop, task)
    }

    pub(super) fn count(&self, phase: PhaseKind) -> usize {
        let found = self.lines.state().journal.list(&Filter {
            line: Some(self.line.clone()),
            phases: vec![phase],
            ..Filter::default()
        });
        found.expect("it lists").len()
    }

    /// Waits until something is so.
    pub(super) async fn until(&self, what: &str, so: impl Fn() -> bool) {
        let mut notices = self.lines.notices();
        let wait = async {
            while !so() {
                // What was missed is seen by looking.
                let _ = timeout(Duration::from_millis(20), notices.recv()).await;
            }
        };
        let waited = timeout(BOUND, wait).await;
        waited.unwrap_or_else(|_| panic!("{what}: it never came to that{}", self.stuck()));
    }

    /// What is not done, for whoever reads a failure.
    fn stuck(&self) -> String {
        let all = self.lines.state().journal.list(&Filter {
            line: Some(self.line.clone()),
            phases: PhaseKind::ALL
                .into_iter()
                .filter(|phase| *phase != PhaseKind::Done)
                .collect(),
            most: Some(20),
            ..Filter::default()
        });
        let told = all.expect("it lists").into_iter().map(|summary| {
            let records = self.lines.state().journal.load(&summary.item);
            format!(
                "\n{summary:?} {:?}",
                records.map(|all| all.into_iter().next_back())
            )
        });
        told.chain([format!(
            "\n{:?}",
            self.lines.line(&self.line).map(|line| line.state)
        )])
        .collect()
    }

    pub(super) async fn feed(&self, keys: std::ops::Range<usize>) {
        let inputs = self.lines.line(&self.line).expect("it runs").inputs;
        for key in keys {
            inputs
                .send(input(&key.to_string()))
                .await
                .expect("it takes");
        }
    }

    pub(super) fn kinds(&self) -> Vec<RetoolKind> {
        let history = self
            .lines
            .state()
            .journal
            .retools(&self.line)
            .expect("it reads");
        history.iter().map(|record| record.kind).collect()
    }

    /// The revisions of all attempts, each item done once, each visit in one attempt.
    pub(super) fn revisions(&self, items: usize) -> BTreeSet<u64> {
        let journal = &self.lines.state().journal;
        let all = journal.list(&Filter::default()).expect("it lists");
        assert_eq!(all.len(), items);
        let mut revisions = BTreeSet::new();
        for summary in all {
            let records = journal.load(&summary.item).expect("it loads");
            let item = Item::fold(summary.item.clone(), &records).expect("it folds");
            let item = item.expect("there is one");
            let count = |fits: &dyn Fn(&Record) -> bool| records.iter().filter(|r| fits(r)).count();
            let started = count(&|record| matches!(record, Record::Started { .. }));
            let recalled = count(&|record| matches!(record, Record::Recalled { .. }));
            let ended = count(&|record| {
                let done = Destination::Done;
                matches!(record, Record::Moved { to, .. } if *to == done)
            });
            let visits: u32 = item.visits.values().sum();
            assert_eq!(
                (ended, started - recalled),
                (1, visits as usize),
                "{}: {records:?}",
                summary.item
            );
            revisions.extend(records.iter().filter_map(|record| match record {
                Record::Started { revision, .. } => Some(*revision),
                _ => None,
            }));
        }
        revisions
    }
}

fn open(ground: &Ground, worker: Option<Worker>) -> Arc<Lines> {
    let settings = LinesSettings {
        state: ground.path("state"),
        factory: None,
        exe: env!("CARGO_BIN_EXE_andon").into(),
        say: Arc::new(|_| ()),
        worker,
        patient: true,
        told: None,
    };
    Lines::open(settings).expect("it opens")
}

fn input(key: &str) -> Input {
    let payload = Payload {
        content_type: "text/plain".into(),
        body: Body::Inline(format!("{key}\n").into_bytes().into()),
        labels: Labels::default(),
    };
    Input {
        key: key.into(),
        taking: Taking::plain(key, payload),
        blobs: Vec::new(),
    }
}

fn to(revision: u64) -> Retool {
    Retool {
        aim: Aim {
            revision: Some(revision),
            file: None,
        },
        ..Retool::default()
    }
}

pub(super) const LINE: &str = r#"
line = "l"
entry = "first"
[stations.first]
use = "@stamp"
next = "slow"
[stations.slow]
use = "@waits"
next = "last"
[stations.last]
use = "@stamp"
next = "done"
"#;

#[test]
fn what_is_refused_changes_nothing() {
    let factory = Factory::run(LINE, None);
    let wider = LINE.replace(
        "use = \"@waits\"",
        "use = \"@waits\"\ngrants.tcp = [\"db:5432\"]",
    );
    let refused = |wanted: Retool| {
        let fault = factory.runtime.block_on(factory.retool(wanted));
        let fault = fault.expect_err("it is refused");
        assert_ne!(fault.kind, FaultKind::Internal, "{fault}");
        let folder = factory.ground.path("").display().to_string();
        let root = crate::ground::root().display().to_string();
        fault
            .message
            .replace(&folder, "DIR/")
            .replace(&root, "ROOT")
    };
    let mut told = vec![
        refused(factory.wanted(&LINE.replace("next = \"last\"", "next = \"nowhere\""))),
        refused(factory.wanted("line = ")),
        refused(factory.wanted(&LINE.replace("\"l\"", "\"other\""))),
        refused(factory.wanted(&LINE.replace("@waits", "@nothing"))),
        refused(factory.wanted(&wider)),
        refused(Retool {
            accept: vec!["slow:tcp db:5432".into(), "slow:http".into()],
            ..factory.wanted(&wider)
        }),
        refused(Retool {
            looked_at: Some(andon::digest::Digest::of("another")),
            accept: vec!["slow:tcp db:5432".into()],
            ..factory.wanted(&wider)
        }),
        refused(to(7)),
        refused(Retool {
            aim: Aim {
                file: Some("x".into()),
                revision: Some(1),
            },
            ..Retool::default()
        }),
    ];
    for percent in [0, 100] {
        told.push(refused(Retool {
            ramp: Some(percent),
            ..factory.wanted(&LINE.replace("@stamp", "@pass-on"))
        }));
    }
    told.push(refused(Retool {
        guard: Some(Guard::default()),
        ..factory.wanted(&LINE.replace("@stamp", "@pass-on"))
    }));
    told.push(refused(Retool {
        moves: BTreeMap::from([(name("first"), name("last"))]),
        ..factory.wanted(&LINE.replace("@stamp", "@pass-on"))
    }));
    told.push({
        let promoted = factory.runtime.block_on(factory.lines.promote(
            "anna",
            &factory.line,
            Promote::default(),
        ));
        promoted.expect_err("there is no ramp").message
    });
    told.push({
        let nowhere = name("nowhere");
        let plan = factory
            .runtime
            .block_on(factory.lines.plan(&nowhere, PlanFor::default()));
        plan.expect_err("there is no such line").message
    });
    insta::assert_snapshot!(told.join("\n"));
    let state = factory.lines.line(&factory.line).expect("it runs").state;
    assert_eq!((state.current, state.ramp), (1, None));
    assert!(factory.kinds().is_empty());

    // A plan changes nothing, and the same line is no change.
    factory.ground.line(&wider);
    let plan = factory
        .runtime
        .block_on(factory.lines.plan(&factory.line, PlanFor::default()));
    insta::assert_snapshot!(
        plan.expect("there is one")
            .to_string()
            .replace(&factory.ground.path("").display().to_string(), "DIR/")
    );
    let same = factory
        .runtime
        .block_on(factory.retool(factory.wanted(LINE)))
        .expect("it is well");
    assert!(same.plan.is_empty() && same.revision == 1);
    assert!(factory.kinds().is_empty());
}

/// Every way in which a line can be another, one after the other, while items come and go.
async fn change_all(factory: &Factory) {
    let more = LINE.replace(
        "next = \"done\"",
        "next = \"extra\"\n[stations.extra]\nuse = \"@waits\"\nnext = \"done\"",
    );
    let well = |what: &'static str, wanted: Retool| async move {
        let retooled = factory.retool(wanted).await;
        retooled.unwrap_or_else(|fault| panic!("{what}: {fault}"))
    };
    // A component, limits, a port, a new station.
    well(
        "component",
        factory.wanted(&LINE.replacen("@stamp", "@pass-on", 1)),
    )
    .await;
    well(
        "limits",
        factory.wanted(&LINE.replace(
            "use = \"@waits\"",
            "use = \"@waits\"\nlimits = { wall = \"20s\" }\nworkers = 8",
        )),
    )
    .await;
    well(
        "port",
        factory.wanted(&LINE.replace(
            "next = \"slow\"",
            "next = { pass = \"slow\", other = \"scrap\" }",
        )),
    )
    .await;
    let added = well("station", factory.wanted(&more)).await;
    factory
        .until("items come to the new station", || {
            factory.lines.line(&factory.line).is_some_and(|line| {
                line.board
                    .counts()
                    .any(|(station, counts)| *station == *"extra" && counts.passed > 0)
            })
        })
        .await;
    // It goes again: what waits there is done there first.
    let drained = well(
        "drain",
        Retool {
            drain: true,
            ..factory.wanted(LINE)
        },
    )
    .await;
    factory
        .until("the station is empty", || {
            factory
                .lines
                .line(&factory.line)
                .is_some_and(|line| line.state.current == drained.revision)
        })
        .await;
    // Back to where it was there, and away with it: its items go elsewhere.
    well("back", to(added.revision)).await;
    well(
        "move",
        Retool {
            moves: BTreeMap::from([(name("extra"), name("last"))]),
            ..factory.wanted(LINE)
        },
    )
    .await;
    // A share, then all; a share, then none.
    for end in ["promote", "back"] {
        let other = LINE.replacen(
            "@stamp",
            if end == "back" {
                "@pass-on"
            } else {
                "@keeps-files"
            },
            1,
        );
        let current = factory
            .lines
            .line(&factory.line)
            .expect("it runs")
            .state
            .current;
        well(
            "ramp",
            Retool {
                ramp: Some(30),
                ..factory.wanted(&other)
            },
        )
        .await;
        match end {
            "promote" => drop(
                factory
                    .lines
                    .promote("anna", &factory.line, Promote::default())
                    .await
                    .expect("it is promoted"),
            ),
            _ => drop(well("no ramp", to(current)).await),
        }
    }
}

fn under_load(worker: Worker, rounds: usize) {
    let factory = Factory::run(LINE, Some(worker));
    let (stop, load) = factory.load();
    factory.runtime.block_on(async {
        for _ in 0..rounds {
            change_all(&factory).await;
        }
        stop.store(true, SeqCst);
        let sent = load.await.expect("it ends");
        factory
            .until("all are done", || factory.count(PhaseKind::Done) == sent)
            .await;
        let revisions = factory.revisions(sent);
        assert!(revisions.len() > 4 * rounds, "{revisions:?}");
        let known = factory
            .lines
            .line(&factory.line)
            .expect("it runs")
            .state
            .current;
        let newest = *revisions.last().expect("there are some");
        for number in revisions {
            let kept = factory
                .lines
                .state()
                .journal
                .revision(&factory.line, number);
            assert!(
                kept.expect("it reads").is_some(),
                "revision {number} of {known}, {newest}"
            );
        }
        factory.lines.drain(BOUND).await;
    });
}

#[test]
fn a_line_under_load_loses_nothing_and_does_nothing_twice() {
    under_load(Worker::Shared, 2);
}

#[test]
fn nor_does_one_with_processes_of_its_own() {
    under_load(Worker::Own, 1);
}

#[test]
fn attempts_whose_grants_narrow_are_made_anew_at_once() {
    let text = r#"
line = "l"
entry = "a"
[stations.a]
use = "@sleeps"
next = "done"
limits = { wall = "10m" }
grants.tcp = ["db:5432"]
"#;
    let factory = Factory::run(text, None);
    factory.runtime.block_on(async {
        factory.feed(0..3).await;
        factory
            .until("all are under way", || {
                factory.count(PhaseKind::Working) == 3
            })
            .await;
        let narrower = text
            .replace("grants.tcp = [\"db:5432\"]\n", "")
            .replace("@sleeps", "@stamp");
        let retooled = factory
            .retool(Retool {
                now: true,
                ..factory.wanted(&narrower)
            })
            .await
            .expect("it is retooled");
        assert_eq!(retooled.stopped, 3);
        factory
            .until("all are done", || factory.count(PhaseKind::Done) == 3)
            .await;
        assert_eq!(factory.revisions(3), [1, 2].into());
        factory.lines.drain(BOUND).await;
    });
}

#[test]
fn a_ramp_that_jams_is_rolled_back_by_itself() {
    ramp_that_jams(1, 20);
}

#[test]
fn attempts_that_are_made_again_do_not_hide_jams() {
    // A third of the attempts jam, and every visit.
    ramp_that_jams(3, 50);
}

fn ramp_that_jams(attempts: u32, margin: u8) {
    let text = format!(
        r#"
line = "l"
entry = "a"
[defaults]
retry = {{ attempts = {attempts}, backoff = "1ms..1ms" }}
[stations.a]
use = "@stamp"
next = "done"
"#
    );
    let factory = Factory::run(&text, None);
    factory.runtime.block_on(async {
        let ramp = Retool {
            ramp: Some(50),
            guard: Some(Guard { margin, least: 5 }),
            ..factory.wanted(&text.replace("@stamp", "@traps"))
        };
        let ramped = factory.retool(ramp).await.expect("it is ramped");
        assert_eq!(ramped.revision, 2);
        let other = factory
            .retool(factory.wanted(&text.replace("@stamp", "@pass-on")))
            .await;
        insta::assert_snapshot!(
            "a_ramp_is_under_way",
            other.expect_err("a ramp is under way")
        );
        factory.feed(0..60).await;
        factory
            .until("it is rolled back", || {
                factory.kinds().contains(&RetoolKind::AutoRollback)
            })
            .await;
        factory
            .until("the line has heard of it", || {
                factory
                    .lines
                    .line(&factory.line)
                    .is_some_and(|line| line.state.ramp.is_none())
            })
            .await;
        let jams = factory.count(PhaseKind::Jammed);
        assert!((5..60).contains(&jams), "{jams} jams");
        let sent = AtomicUsize::new(60);
        factory.feed(60..100).await;
        sent.store(100, SeqCst);
        factory
            .until("all else is done", || {
                factory.count(PhaseKind::Done) + factory.count(PhaseKind::Jammed)
                    == sent.load(SeqCst)
            })
            .await;
        assert_eq!(
            factory.kinds(),
            [RetoolKind::Ramp, RetoolKind::AutoRollback]
        );
        let history = factory
            .lines
            .history(&factory.line)
            .await
            .expect("there is one");
        let last = history.retools.last().expect("there is one");
        assert_eq!((last.by.as_str(), last.current), ("", 1));
        assert!(last.why.contains("visits jammed"), "{}", last.why);
        factory.lines.drain(BOUND).await;
    });
}

#[test]
fn a_start_goes_on_by_what_was_retooled_without_its_sources() {
    let factory = Factory::run(LINE, None);
    let Factory {
        ground,
        lines,
        line,
        runtime,
    } = factory;
    let second = LINE.replacen("@stamp", "@pass-on", 1);
    ground.line(&second);
    runtime.block_on(async {
        lines
            .retool("anna", &line, Retool::default())
            .await
            .expect("it is retooled");
        lines
            .retool("anna", &line, to(1))
            .await
            .expect("it is back");
        lines
            .retool("anna", &line, to(2))
            .await
            .expect("it is forth");
        lines.drain(BOUND).await;
    });
    drop(lines);
    std::fs::remove_file(ground.path("line.toml")).expect("it can go");
    let inside = runtime.enter();
    let lines = open(&ground, None);
    drop(inside);
    let started = lines.start_known().expect("it reads");
    let [(_, Ok(started))] = &started[..] else {
        panic!("{started:?}");
    };
    assert_eq!(started.revision, 2);
    let factory = Factory {
        ground,
        lines,
        line,
        runtime,
    };
    factory.runtime.block_on(async {
        factory.feed(0..5).await;
        factory
            .until("all are done", || factory.count(PhaseKind::Done) == 5)
            .await;
        assert_eq!(factory.revisions(5), [2].into());
        factory.retool(to(1)).await.expect("it is back");
        factory.lines.drain(BOUND).await;
    });
    let kinds = [
        RetoolKind::Apply,
        RetoolKind::Rollback,
        RetoolKind::Rollback,
        RetoolKind::Rollback,
    ];
    assert_eq!(factory.kinds(), kinds);
}
