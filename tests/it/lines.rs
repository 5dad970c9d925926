//! Several lines of one state folder in one process, as the daemon has them.

use crate::ground::Ground;
use andon::{
    assembly::{Assembled, Assembly},
    conveyor::{Change, Input},
    item::{Body, Item, Labels, Payload, Priority, Record, Summary, Taking},
    journal::{Filter, PhaseKind, RetoolRecord},
    lines::{
        Because, Clear, ClearAll, ClearedAll, Condition, Control as _, FaultKind, Given, How,
        Lines, LinesError, LinesSettings, Rerun, Submit, Which,
    },
    name::Name,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::runtime::Runtime;

/// Long enough for whatever has to come.
const BOUND: Duration = Duration::from_secs(60);

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn settings(state: &Path) -> LinesSettings {
    LinesSettings {
        state: state.into(),
        factory: None,
        exe: env!("CARGO_BIN_EXE_andon").into(),
        say: Arc::new(|_| ()),
        worker: None,
        patient: true,
        told: None,
    }
}

fn open(state: &Path) -> Arc<Lines> {
    Lines::open(settings(state)).expect("it opens")
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

/// A line of stations one after the other.
fn stations(line: &str, stations: &[(&str, &str)]) -> String {
    let mut text = format!("line = \"{line}\"\nentry = \"{}\"\n", stations[0].0);
    for (i, (name, about)) in stations.iter().enumerate() {
        let next = stations.get(i + 1).map_or("done", |(name, _)| name);
        text.push_str(&format!("[stations.{name}]\n{about}\nnext = \"{next}\"\n"));
    }
    text
}

/// Puts a line into a folder of its own.
fn line(ground: &Ground, folder: &str, text: &str) {
    ground.line(text);
    let text = fs::read(ground.path("line.toml")).expect("it was written");
    ground.write(&format!("{folder}/line.toml"), text);
}

/// How many items of a line are in a phase.
fn count(lines: &Lines, line: &Name, phase: PhaseKind) -> usize {
    let found = lines.state().journal.list(&Filter {
        line: Some(line.clone()),
        phases: vec![phase],
        ..Filter::default()
    });
    found.expect("it lists").len()
}

/// Waits until so many items of a line are in a phase.
async fn until(lines: &Lines, line: &Name, phase: PhaseKind, number: usize) {
    let mut notices = lines.notices();
    let wait = async {
        while count(lines, line, phase) != number {
            // What was missed is seen by counting.
            let _ = tokio::time::timeout(Duration::from_millis(20), notices.recv()).await;
        }
    };
    let waited = tokio::time::timeout(BOUND, wait).await;
    let is = || count(lines, line, phase);
    waited.unwrap_or_else(|_| panic!("{} items of `{line}` are {phase}, not {number}", is()));
}

async fn feed(lines: &Lines, line: &Name, keys: &[String]) {
    let inputs = lines.line(line).expect("it runs").inputs;
    for key in keys {
        inputs.send(input(key)).await.expect("it takes");
    }
}

/// Many small inputs for the records, or some with a body that has to be kept by itself.
fn inputs(lines: &Lines, large: bool) -> Vec<Input> {
    if !large {
        return keys(2000).iter().map(|key| input(key)).collect();
    }
    let bytes = vec![b'x'; 2 << 20];
    let body = Body::Stored {
        digest: lines
            .state()
            .content
            .put(&bytes)
            .expect("there is room yet"),
        len: bytes.len() as u64,
    };
    let all = keys(5).into_iter().map(|key| {
        let mut input = input(&key);
        input.taking.payload.body = body.clone();
        input
    });
    all.collect()
}

fn keys(number: usize) -> Vec<String> {
    (0..number).map(|n| format!("{n}.txt")).collect()
}

#[test]
fn lines_of_one_folder_run_side_by_side_and_again() {
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let ground = Ground::new();
    let stamp = "use = \"@stamp\"";
    line(&ground, "a", &stations("a", &[("x", stamp), ("y", stamp)]));
    line(&ground, "b", &stations("b", &[("x", stamp)]));
    let state = ground.path("state");
    let (a, b) = (name("a"), name("b"));

    let lines = open(&state);
    for folder in ["a", "b"] {
        let started = lines.start(&ground.path(folder)).expect("it starts");
        assert_eq!((started.revision, started.differs), (1, false));
    }
    let again = lines.start(&ground.path("a")).expect_err("it runs already");
    assert!(matches!(again, LinesError::Running(_)), "{again}");
    runtime.block_on(async {
        feed(&lines, &a, &keys(50)).await;
        feed(&lines, &b, &keys(50)).await;
        until(&lines, &a, PhaseKind::Done, 50).await;
        until(&lines, &b, PhaseKind::Done, 50).await;
        // Nobody else may have the folder.
        let other = Lines::open(settings(&state)).err().expect("it is in use");
        assert!(
            other.to_string().contains("is in use by another andon"),
            "{other}"
        );
        let came = ground.andon(&["run", "a", "--state", "state"]);
        assert!(
            came.stderr.contains("is in use by another andon"),
            "{}",
            came.whole()
        );
        lines.drain(BOUND).await;
    });
    drop(lines);

    // What is kept in the folder is enough; a file that says something else is told of.
    fs::remove_dir_all(ground.path("b")).expect("it can go");
    line(&ground, "a", &stations("a", &[("x", stamp), ("z", stamp)]));
    let lines = open(&state);
    let started = lines.start(&ground.path("a")).expect("it starts");
    assert_eq!((started.revision, started.differs), (1, true));
    for (line, started) in lines.start_known().expect("it reads") {
        assert_eq!(line, b);
        assert_eq!(started.expect("it starts").revision, 1);
    }
    runtime.block_on(async {
        feed(&lines, &a, &keys(60)).await;
        feed(&lines, &b, &keys(60)).await;
        until(&lines, &a, PhaseKind::Done, 60).await;
        until(&lines, &b, PhaseKind::Done, 60).await;
        lines.drain(BOUND).await;
    });
}

/// A station that waits for the file `gate/open`.
const GATED: &str =
    "use = \"@lingers\"\ngrants.fs = [{ host = \"gate\", guest = \"/gate\", access = \"write\" }]";

#[test]
fn visits_that_do_not_end_in_time_are_stopped_and_taken_up_again() {
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    for worker in ["own", "shared"] {
        let ground = Ground::new();
        let text = stations("l", &[("s", GATED)]);
        let text = text.replacen('\n', &format!("\nworker = \"{worker}\"\n"), 1);
        ground.write("l/gate/x", "");
        line(&ground, "l", &text);
        let (state, l) = (ground.path("state"), name("l"));
        // More often than a visit may take its host down.
        for n in 0..4 {
            let lines = open(&state);
            if n == 0 {
                lines.start(&ground.path("l")).expect("it starts");
            } else {
                let started = lines.start_known().expect("it reads");
                assert!(started.iter().all(|(_, started)| started.is_ok()));
            }
            runtime.block_on(async {
                feed(&lines, &l, &keys(3)).await;
                until(&lines, &l, PhaseKind::Working, 3).await;
                lines.drain(Duration::ZERO).await;
                assert_eq!(count(&lines, &l, PhaseKind::Waiting), 3);
            });
        }
        ground.write("l/gate/open", "");
        let lines = open(&state);
        lines.start_known().expect("it reads");
        runtime.block_on(async {
            until(&lines, &l, PhaseKind::Done, 3).await;
            lines.drain(BOUND).await;
        });
        for summary in lines
            .state()
            .journal
            .list(&Filter::default())
            .expect("it lists")
        {
            let records = lines.state().journal.load(&summary.item).expect("it loads");
            let interruptions = records.iter().filter_map(|record| match record {
                Record::Interrupted { stopped, .. } => Some(*stopped),
                _ => None,
            });
            assert_eq!(interruptions.collect::<Vec<_>>(), [true; 4]);
        }
    }
}

/// What was assembled of a line's folder.
fn assembled(lines: &Lines, folder: &Path) -> Assembled {
    let assembly = Assembly {
        factory: None,
        state: Some(&lines.state().folder),
        exe: env!("CARGO_BIN_EXE_andon").into(),
        say: &|_| (),
    };
    assembly.assemble(folder).expect("it assembles")
}

fn record(why: &str) -> RetoolRecord {
    RetoolRecord {
        at: 1,
        by: "anna".into(),
        why: why.into(),
        ..RetoolRecord::default()
    }
}

/// On which revisions the attempts of an item began.
fn revisions(lines: &Lines, summary: &Summary) -> Vec<u64> {
    let records = lines.state().journal.load(&summary.item);
    let began = |record| match record {
        Record::Started { revision, .. } => Some(revision),
        _ => None,
    };
    let records = records.expect("it loads").into_iter();
    records.filter_map(began).collect()
}

#[test]
fn a_change_of_revisions_outlasts_the_process() {
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let ground = Ground::new();
    let stamp = "use = \"@stamp\"";
    let (state, l) = (ground.path("state"), name("l"));
    line(&ground, "l", &stations("l", &[("x", stamp)]));
    let lines = open(&state);
    lines.start(&ground.path("l")).expect("it starts");
    runtime.block_on(async {
        feed(&lines, &l, &keys(5)).await;
        until(&lines, &l, PhaseKind::Done, 5).await;
    });
    line(&ground, "l", &stations("l", &[("x", stamp), ("y", stamp)]));
    let second = lines.make_revision(&assembled(&lines, &ground.path("l")));
    let second = second.expect("it is made ready");
    assert_eq!(second.number, 2);
    runtime.block_on(async {
        let change = Change::to(second);
        let changed = lines.apply(&l, change, record("longer")).await;
        assert_eq!(changed.expect("it changes").moved, 0);
        feed(&lines, &l, &keys(10)).await;
        until(&lines, &l, PhaseKind::Done, 10).await;
        lines.drain(BOUND).await;
    });
    let journal = lines.state().journal.clone();
    let all = journal.list(&Filter::default()).expect("it lists");
    for (n, summary) in all.iter().enumerate() {
        let expected: &[u64] = if n < 5 { &[1] } else { &[2, 2] };
        assert_eq!(revisions(&lines, summary), expected);
    }
    let history = journal.retools(&l).expect("it reads");
    let history: Vec<_> = history.iter().map(|it| (it.current, &*it.why)).collect();
    assert_eq!(history, [(2, "longer")]);
    // As after a crash between what was kept and what the conveyor heard of it.
    let mut kept = journal.lines().expect("it reads").remove(0);
    assert_eq!((kept.current, &kept.older), (2, &BTreeSet::from([1])));
    (kept.current, kept.older) = (1, BTreeSet::from([2]));
    runtime
        .block_on(journal.keep_line(kept, None))
        .expect("it is kept");
    drop((journal, lines));
    let lines = open(&state);
    let started = lines.start(&ground.path("l")).expect("it starts");
    assert_eq!((started.revision, started.differs), (1, true));
    runtime.block_on(lines.drain(BOUND));
}

#[test]
fn orders_are_carried_out_on_a_folder_at_rest() {
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let ground = Ground::new();
    let stamp = "use = \"@stamp\"";
    let choosy = "use = \"@rejects\"";
    ground.line(&stations("l", &[("x", stamp), ("s", choosy), ("y", stamp)]));
    for n in 0..5 {
        ground.write(&format!("in/{n}.txt"), format!("{n}\n"));
    }
    assert_eq!(ground.andon(&["run", ".", "in", "-q"]).code, Some(2));
    let folder = ground.path(".andon");
    let l = name("l");
    let lines = Lines::at_rest(&folder).expect("nobody has it");
    let other = Lines::at_rest(&folder).err().expect("it is in use");
    assert!(other.to_string().contains("in use"), "{other}");
    let jammed = || {
        let which = Which {
            phases: vec![PhaseKind::Jammed],
            ..Which::default()
        };
        let items = runtime.block_on(lines.items(which)).expect("it lists");
        items.into_iter().map(|it| it.item).collect::<Vec<_>>()
    };
    let all = jammed();
    assert_eq!(all.len(), 5);
    let clear = |item: &str, how| {
        let why = "looks fine".into();
        runtime.block_on(lines.clear("anna", item, Clear { how, why }))
    };
    let skipped = clear(&all[0].as_str()[..10], How::Skip { port: None }).expect("it is cleared");
    assert_eq!(skipped.phase, PhaseKind::Waiting);
    assert_eq!(skipped.station, Some(name("y")));
    let twice = clear(all[0].as_str(), How::Retry).expect_err("it is not jammed");
    assert_eq!(twice.kind, FaultKind::Conflict);
    assert_eq!(
        clear("zzz", How::Retry).expect_err("no such").kind,
        FaultKind::NotFound
    );
    let body = Given::Text("edited\n".into());
    clear(all[1].as_str(), How::Edit { body }).expect("it is cleared");
    let clear_all = |reason: &str, station: Option<&str>, how| {
        let clear = ClearAll {
            line: Some(l.clone()),
            station: station.map(name),
            reason: Some(reason.into()),
            how,
            why: "all alike".into(),
        };
        runtime.block_on(lines.clear_all("anna", clear))
    };
    let some = |all: ClearedAll| (all.cleared.len(), all.left.len());
    let none = clear_all("no such reason", None, How::Retry);
    assert_eq!(none.map(some), Ok((0, 0)));
    let elsewhere = clear_all("not for me", Some("x"), How::Retry);
    assert_eq!(elsewhere.map(some), Ok((0, 0)));
    let unwired = How::Skip {
        port: Some(name("nowhere")),
    };
    let unwired = clear_all("not for me", None, unwired);
    assert_eq!(unwired.map(some), Ok((0, 3)));
    let scrapped = clear_all("not for me", Some("s"), How::Scrap);
    assert_eq!(scrapped.map(some), Ok((3, 0)));
    assert!(jammed().is_empty());
    let cancelled = runtime.block_on(lines.cancel("bob", all[1].as_str(), Because::default()));
    assert_eq!(
        cancelled.expect("it is cancelled").phase,
        PhaseKind::Scrapped
    );

    // Taken now, carried by the next run: once, whatever is asked twice.
    let submit = Submit {
        line: l.clone(),
        key: Some("k".into()),
        source: Some("note.md".into()),
        content_type: None,
        body: Given::Text("hi\n".into()),
        labels: BTreeMap::from([("risk".into(), "low".into())]),
        priority: Priority::High,
        deadline: None,
    };
    let first = runtime.block_on(lines.submit("anna", submit.clone()));
    let first = first.expect("it is taken");
    let again = runtime.block_on(lines.submit("bob", submit.clone()));
    let again = again.expect("it is known");
    assert_eq!(
        (first.known, again.known, &again.item),
        (false, true, &first.item)
    );
    let view = runtime
        .block_on(lines.item(first.item.as_str()))
        .expect("it is there");
    assert_eq!(view.ticket.by.as_deref(), Some("anna"));
    assert_eq!(view.payloads[0].content_type, "text/markdown");
    assert_eq!(view.payloads[0].labels["risk"], "low");
    let nowhere = Submit {
        line: name("nowhere"),
        ..submit
    };
    let nowhere = runtime.block_on(lines.submit("anna", nowhere));
    assert_eq!(nowhere.expect_err("no such line").kind, FaultKind::NotFound);

    // What an item brought to a station is what it is run again with.
    let rerun = |from: &str| {
        let rerun = Rerun {
            from: name(from),
            key: Some("again".into()),
            priority: None,
            deadline: None,
        };
        runtime.block_on(lines.rerun("anna", all[0].as_str(), rerun))
    };
    let rerun_at = rerun("s").expect("it has been there");
    let view = runtime
        .block_on(lines.item(rerun_at.item.as_str()))
        .expect("it is there");
    assert_eq!(view.ticket.rerun, Some(all[0].clone()));
    assert_eq!(view.summary.station, Some(name("s")));
    assert_eq!(view.payloads[0].len, Some("0\nx 1\n".len() as u64));
    let records = lines.state().journal.load(&all[0]).expect("it loads");
    let cleared = records.iter().find_map(|record| match record {
        Record::Cleared { by, why, .. } => Some((&**by, &**why)),
        _ => None,
    });
    assert_eq!(cleared, Some(("anna", "looks fine")));

    let pause = |station: &str, on: bool| {
        let (station, because) = (
            name(station),
            Because {
                why: "it smells".into(),
            },
        );
        runtime.block_on(async {
            match on {
                true => lines.pause("anna", &l, &station, because).await,
                false => lines.resume("anna", &l, &station, because).await,
            }
        })
    };
    assert_eq!(
        pause("nowhere", true).expect_err("no such").kind,
        FaultKind::NotFound
    );
    assert_eq!(
        pause("x", false).expect_err("it is not").kind,
        FaultKind::Conflict
    );
    pause("x", true).expect("it is paused");
    let status = runtime
        .block_on(lines.status(Some(&l)))
        .expect("it is known");
    assert_eq!(status.condition, Condition::Resting);
    let paused = &status.lines[0].stations;
    let paused = paused.iter().filter_map(|it| it.paused.as_ref());
    let paused: Vec<_> = paused.map(|it| (&*it.by, &*it.why)).collect();
    assert_eq!(paused, [("anna", "it smells")]);
    pause("x", false).expect("it goes on");
    runtime.block_on(lines.close()).expect("all is written");
    drop(lines);

    let came = ground.andon(&["run", ".", "-q"]);
    assert_eq!(came.code, Some(2), "{}", came.whole());
    assert_eq!(came.stdout, "0\nx 1\ny 1\n", "{}", came.whole());
    let came = ground.andon(&["audit", "--deed", "pause", "--json"]).well();
    assert_eq!(came.lines().count(), 2);
    assert!(
        came.contains("paused by anna") && came.contains("it smells"),
        "{came}"
    );
}

/// The part of [`a_full_disk_is_waited_for`] that runs in a process of its own: no file of it may grow
/// over a bound, which is what a full disk is to it.
#[test]
fn inside_a_process_without_room() {
    let Some(folder) = env::var_os("ANDON_TEST_NO_ROOM") else {
        return;
    };
    let folder = Path::new(&folder);
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let told = Arc::new(Mutex::new(Vec::new()));
    let lines = Lines::open(LinesSettings {
        say: Arc::new({
            let told = told.clone();
            move |text| told.lock().expect("whole").push(text.to_owned())
        }),
        ..settings(&folder.join("state"))
    })
    .expect("it opens");
    let both = [name("a"), name("b")];
    for line in &both {
        lines.start(&folder.join(&**line)).expect("it starts");
    }
    let bound = |most: Option<u64>| {
        let limit = Rlimit {
            current: most,
            maximum: None,
        };
        setrlimit(Resource::Fsize, limit).expect("it may be set");
    };
    let large = env::var_os("ANDON_TEST_NO_ROOM_FOR").is_some_and(|what| what == "bodies");
    let inputs = inputs(&lines, large);
    // What few inputs write to the journal is less than one of the large bodies.
    bound(Some(if large { 3 << 19 } else { 300 << 10 }));
    runtime.block_on(async {
        let mut condition = lines.condition();
        let doors = both
            .clone()
            .map(|line| lines.line(&line).expect("it runs").inputs);
        let waiting = condition.wait_for(|now| matches!(now, Condition::Waiting { .. }));
        let fed = async {
            for input in &inputs {
                for door in &doors {
                    // They end with the conveyor.
                    let _ = door.send(input.clone()).await;
                }
            }
        };
        let (reason, ()) = tokio::join!(tokio::time::timeout(BOUND, waiting), fed);
        let reason = reason.expect("it waits").expect("it is told").clone();
        let Condition::Waiting { reason } = reason else {
            unreachable!("it was waited for")
        };
        let place = if large {
            "state`: "
        } else {
            "journal.sqlite`: "
        };
        assert!(
            reason.contains(place) && reason.contains("hint:"),
            "{reason}"
        );
        for line in &both {
            assert!(lines.line(line).is_none(), "nothing is taken meanwhile");
        }
        bound(None);
        let running = condition.wait_for(|now| *now == Condition::Running);
        let running = tokio::time::timeout(BOUND, running).await;
        drop(running.expect("it goes on").expect("it is told"));
        for line in &both {
            let door = lines.line(line).expect("it runs").inputs;
            for input in &inputs {
                door.send(input.clone()).await.expect("it takes");
            }
            until(&lines, line, PhaseKind::Done, inputs.len()).await;
        }
        lines.drain(BOUND).await;
    });
    let told = told.lock().expect("whole").clone();
    assert!(
        told.iter().any(|text| text.contains("all lines wait")),
        "{told:?}"
    );
    assert!(
        told.iter().any(|text| text.contains("all lines go on")),
        "{told:?}"
    );
    let mut sources = BTreeSet::new();
    let all = lines.state().journal.list(&Filter::default());
    for summary in all.expect("it lists") {
        let records = lines.state().journal.load(&summary.item).expect("it loads");
        let moves = records
            .iter()
            .filter(|it| matches!(it, Record::Moved { .. }));
        assert_eq!(moves.count(), 2, "{} was carried once", summary.item);
        let failed = |it: &&Record| matches!(it, Record::Failed { .. } | Record::Jammed { .. });
        assert_eq!(records.iter().find(failed), None, "no visit is at fault");
        let item = Item::fold(summary.item, &records)
            .expect("it folds")
            .expect("it is there");
        assert!(sources.insert((item.line, item.source)), "taken twice");
    }
}

#[test]
fn a_full_disk_is_waited_for() {
    let ground = Ground::new();
    let stamp = "use = \"@stamp\"";
    line(&ground, "a", &stations("a", &[("x", stamp), ("y", stamp)]));
    line(&ground, "b", &stations("b", &[("x", stamp), ("y", stamp)]));
    // Compiled before, with room.
    ground.andon(&["check", "a"]).well();
    for what in ["records", "bodies"] {
        let _ = fs::remove_dir_all(ground.path("state"));
        let output = Command::new(env::current_exe().expect("this program"))
            .args([
                "--exact",
                "lines::inside_a_process_without_room",
                "--nocapture",
            ])
            .env("ANDON_TEST_NO_ROOM", ground.path(""))
            .env("ANDON_TEST_NO_ROOM_FOR", what)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        let more = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{what}: {said}{more}");
    }
}
