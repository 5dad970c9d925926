//! What crosses items: splits, joins, loops, queues, and starting anew on what is left.

use super::*;

/// Two splits, one within the other, a bounded loop, ends of every kind.
const NESTED: &str = r#"
line = "l"
entry = "outer"
[defaults]
workers = WORKERS
queue = QUEUE
retry = { attempts = 3, backoff = "1ms..4ms" }
[stations.outer]
use = "x"
next = { pass = "inner", other = "done" }
[stations.inner]
use = "x"
next = { pass = "work", other = "scrap" }
[stations.work]
use = "x"
visits = 3
next = { pass = "look", other = "both", exhausted = "both" }
[stations.look]
use = "x"
next = { pass = "both", other = "work", reject = "scrap" }
[stations.both]
use = "x"
join = { of = "inner" }
next = { pass = "all", other = "done" }
[stations.all]
use = "x"
join = { of = "outer" }
next = { pass = "done", other = "done" }
"#;

fn nested(workers: u64, queue: u64) -> Line {
    line(
        &NESTED
            .replace("WORKERS", &workers.to_string())
            .replace("QUEUE", &queue.to_string()),
    )
}

/// A script by chance, the same for the same visit.
fn chance(seed: u64) -> Arc<Script> {
    Script::new(move |visit| {
        let dice = hash(&[
            &seed.to_le_bytes(),
            visit.item.as_str().as_bytes(),
            visit.station.as_bytes(),
            &visit.nth.to_le_bytes(),
            &visit.attempt.to_le_bytes(),
        ]);
        match dice % 20 {
            0..8 => passed(visit, &["pass"]),
            8..11 => passed(visit, &["other"]),
            11..14 => passed(visit, &["pass", "pass", "other"]),
            14 => passed(visit, &["other", "pass"]),
            15 => passed(visit, &[]),
            16 | 17 => retry("later"),
            18 => report(Outcome::Trapped("unreachable".into())),
            _ => report(Outcome::Rejected("not for me".into())),
        }
    })
}

/// Messages late, twice and in any order, few workers, small queues, and the process gone at any two
/// moments: all items come to what they come to without.
#[test]
fn whatever_happens_all_comes_to_the_same() {
    const INPUTS: usize = 4;
    let mut seen = BTreeMap::<&str, usize>::new();
    for seed in 0..300u64 {
        ROOM.set(None);
        let calm = Run::new(Memory::new(), nested(4, 64));
        let runner = chance(seed);
        assert_eq!(
            calm.whole(&runner, INPUTS).expect("it runs"),
            Ending::Idle,
            "seed {seed}"
        );
        let expected = calm.told();
        for text in expected.values() {
            let kind = ["Done", "Scrapped", "Joined", "split"]
                .into_iter()
                .find(|kind| text.starts_with(kind));
            *seen.entry(kind.unwrap_or("jammed")).or_default() += 1;
        }

        let dice = |n: u64| hash(&[&seed.to_le_bytes(), &n.to_le_bytes()]);
        tight(dice(4));
        let rough = Run::new(
            Memory::unruly(seed),
            nested(1 + dice(0) % 3, 1 + dice(1) % 3),
        );
        for crash in 0..2 {
            let _ = rough.go(chance(seed), INPUTS, dice(2 + crash) % 150);
        }
        let runner = chance(seed);
        assert_eq!(
            rough.whole(&runner, INPUTS).expect("it runs"),
            Ending::Idle,
            "seed {seed}"
        );
        assert_eq!(rough.told(), expected, "seed {seed}");
        for (item, times) in rough.endings() {
            assert_eq!(times, 1, "{item} ended {times} times, seed {seed}");
        }
        assert!(rough.board.counts().count() == 6);
    }
    for kind in ["Done", "Scrapped", "Joined", "split", "jammed"] {
        assert!(
            seen.get(kind).is_some_and(|n| *n > 20),
            "too few are {kind}: {seen:?}"
        );
    }
}

/// Without a crash, each visit's outcome is asked for once.
#[test]
fn no_visit_is_run_twice() {
    for seed in 0..100 {
        tight(seed);
        let run = Run::new(Memory::unruly(seed), nested(2, 2));
        let inner = chance(seed);
        let seen = Arc::new(Mutex::new(HashSet::new()));
        let runner = Script::new({
            let (play, seen) = (inner.play.clone(), seen.clone());
            move |visit| {
                let key = (
                    visit.item.clone(),
                    visit.station.clone(),
                    visit.nth,
                    visit.attempt,
                );
                assert!(
                    seen.lock().expect("no panics").insert(key.clone()),
                    "{key:?} twice"
                );
                play(visit)
            }
        });
        run.whole(&runner, 5).expect("it runs");
        let ended: HashSet<ItemId> = runner
            .ended
            .lock()
            .expect("no panics")
            .iter()
            .cloned()
            .collect();
        for item in run.items() {
            let is_over = matches!(item.phase, Phase::Ended { .. } | Phase::Jammed { .. });
            // What left memory for a while parted as well.
            let exact = ROOM.get().is_none();
            assert!(is_over == ended.contains(&item.id) || !is_over && !exact);
        }
        for (name, counts) in run.board.counts() {
            assert_eq!(
                (counts.waiting, counts.working),
                (0, 0),
                "`{name}`, seed {seed}"
            );
        }
    }
}

#[test]
fn a_full_queue_stops_what_is_before_it() {
    const WIDTH: u64 = 3;
    for (workers, queue) in [(1, 1), (1, 4), (3, 1), (3, 5)] {
        let text = format!(
            "line = 'l'\nentry = 'a'\n[defaults]\nworkers = {workers}\nqueue = {queue}\n\
             [stations.a]\nuse = 'x'\nnext = 'b'\n[stations.b]\nuse = 'x'\nnext = 'c'\n\
             [stations.c]\nuse = 'x'\nworkers = 1\nnext = 'done'\n"
        );
        let run = Run::new(Memory::new(), line(&text));
        let most = Arc::new(Mutex::new(BTreeMap::<Name, u64>::new()));
        let runner = Script::new({
            let (board, most) = (run.board.clone(), most.clone());
            move |visit| {
                for (name, counts) in board.counts() {
                    let mut most = most.lock().expect("no panics");
                    let most = most.entry(name.clone()).or_default();
                    *most = counts.waiting.max(*most);
                }
                match visit.station.as_str() {
                    "a" => passed(visit, &["pass"; WIDTH as usize]),
                    _ => passed(visit, &["pass"]),
                }
            }
        });
        assert_eq!(run.whole(&runner, 60).expect("it runs"), Ending::Idle);
        let most = most.lock().expect("no panics");
        // Visits that began while there was room may all still put out.
        let bound = |width| queue - 1 + workers * width;
        assert!(most["a"] <= queue, "{most:?}");
        assert!(
            most["b"] <= bound(WIDTH),
            "{most:?} with {workers} and {queue}"
        );
        assert!(most["c"] <= bound(1), "{most:?} with {workers} and {queue}");
        assert!(most["c"] >= queue, "the queue is used: {most:?}");
        assert_eq!(run.items().len() as u64, 60 * (1 + WIDTH));
    }
}

#[test]
fn loops_do_not_wait_for_themselves() {
    let text = r#"
line = "l"
entry = "in"
[defaults]
workers = 1
queue = 1
[stations.in]
use = "x"
next = "a"
[stations.a]
use = "x"
visits = 5
next = { pass = "b", exhausted = "out" }
[stations.b]
use = "x"
next = { pass = "c", other = "a" }
[stations.c]
use = "x"
next = { pass = "a", other = "b" }
[stations.out]
use = "x"
next = "done"
"#;
    for seed in 0..50 {
        tight(seed);
        // `b` and `c` lead to each other as well: that loop needs a bound, too.
        let text = text.replace("[stations.b]\n", "[stations.b]\nvisits = 9\n");
        let text = text.replace("other = \"a\" }", "other = \"a\", exhausted = \"out\" }");
        let run = Run::new(Memory::unruly(seed), line(&text));
        let runner = Script::new(move |visit| {
            let dice = hash(&[
                &seed.to_le_bytes(),
                visit.item.as_str().as_bytes(),
                &body(visit).to_le_bytes(),
            ]);
            match (visit.station.as_str(), dice % 3) {
                ("b" | "c", 0) => passed(visit, &["other"]),
                ("a", 0) => passed(visit, &["pass", "pass"]),
                _ => passed(visit, &["pass"]),
            }
        });
        assert_eq!(run.whole(&runner, 20).expect("it runs"), Ending::Idle);
        for item in run.items() {
            assert!(
                matches!(item.phase, Phase::Ended { .. }),
                "{item:?}, seed {seed}"
            );
        }
    }
}

/// A child jams: its join waits for as long as it was told to, and the run with it.
#[test]
fn joins_that_wait_for_a_time() {
    for (missing, expected) in [("pass", "Done"), ("jam", "split 1 1 the time")] {
        for seed in 0..60 {
            tight(seed);
            let text = format!(
                "line = 'l'\nentry = 'split'\n[stations.split]\nuse = 'x'\nnext = {{ pass = 'work', other = 'slow' }}\n\
                 [stations.work]\nuse = 'x'\nnext = 'join'\n[stations.slow]\nuse = 'x'\nnext = 'join'\n\
                 [stations.join]\nuse = 'x'\njoin = {{ of = 'split', after = '1h', missing = '{missing}' }}\nnext = 'done'\n"
            );
            let mut run = Run::new(Memory::unruly(seed), line(&text));
            // Of three splits, all nine children have joined or jammed.
            run.hour_after = 9;
            let runner = Script::new(|visit| match visit.station.as_str() {
                "split" => passed(visit, &["pass", "other", "pass"]),
                "slow" => report(Outcome::Rejected("never".into())),
                "join" => {
                    assert_eq!(visit.inputs.len(), 2);
                    passed(visit, &["pass"])
                }
                _ => passed(visit, &["pass"]),
            });
            assert_eq!(run.whole(&runner, 3).expect("it runs"), Ending::Idle);
            for (item, text) in run.told() {
                if item.parent().is_none() {
                    assert!(text.starts_with(expected), "{text}, seed {seed}");
                }
            }
        }
    }
}

/// All children come in time: the timer that is left behind does nothing.
#[test]
fn joins_that_need_not_wait() {
    let text = "line = 'l'\nentry = 'split'\n[stations.split]\nuse = 'x'\nnext = 'join'\n\
         [stations.join]\nuse = 'x'\nworkers = 1\nretry = { attempts = 4, backoff = '10ms..40ms' }\n\
         join = { of = 'split', after = '60ms' }\nnext = 'done'\n";
    for seed in 0..40 {
        tight(seed);
        let run = Run::new(Memory::unruly(seed), line(text));
        let runner = Script::new(|visit| match visit.station.as_str() {
            "split" => passed(visit, &["pass", "pass"]),
            _ if visit.attempt < 4 => retry("later"),
            _ => passed(visit, &["pass"]),
        });
        assert_eq!(
            run.whole(&runner, 4).expect("it runs"),
            Ending::Idle,
            "seed {seed}"
        );
        let told = run.told();
        assert!(
            told.iter()
                .all(|(id, text)| id.parent().is_some() || text.starts_with("Done")),
            "{told:?}"
        );
    }
}

/// Joins that do not wait long: children come late, while their parent waits, works, is jammed or has
/// ended. Nothing stops the run, nothing ends twice, and nobody is left waiting for what has come.
#[test]
fn late_children_neither_stop_nor_repeat_anything() {
    let mut late = 0;
    for missing in ["pass", "jam"] {
        let text = ["inner", "outer"]
            .iter()
            .fold(NESTED.to_string(), |text, of| {
                let join = format!("of = \"{of}\" }}");
                let bounded =
                    format!("of = \"{of}\", after = \"60ms\", missing = \"{missing}\" }}");
                text.replace(&join, &bounded)
            });
        for seed in 0..150u64 {
            let dice = |n: u64| hash(&[&seed.to_le_bytes(), &n.to_le_bytes()]);
            tight(dice(4));
            let text = text.replace("WORKERS", &(1 + dice(0) % 3).to_string());
            let run = Run::new(Memory::unruly(seed), line(&text.replace("QUEUE", "4")));
            for crash in 0..2 {
                let _ = run.go(chance(seed), 4, dice(2 + crash) % 150);
            }
            for _ in 0..2 {
                let ending = run.whole(&chance(seed), 4);
                assert_eq!(
                    ending.expect("it runs"),
                    Ending::Idle,
                    "{missing}, seed {seed}"
                );
            }
            for (item, times) in run.endings() {
                assert_eq!(
                    times, 1,
                    "{item} ended {times} times, {missing}, seed {seed}"
                );
            }
            let items: BTreeMap<ItemId, Item> = run
                .items()
                .into_iter()
                .map(|item| (item.id.clone(), item))
                .collect();
            for item in items.values() {
                late += usize::from(went_on_without(&run, item));
                let waits = item.split().map(|split| split.children.keys());
                for n in waits.into_iter().flatten() {
                    let child = &items[&item.id.child(*n).expect("an id")];
                    assert!(
                        !child.kind().ended(),
                        "{} waits for {}, which has ended, {missing}, seed {seed}",
                        item.id,
                        child.id
                    );
                }
                let moves = matches!(item.phase, Phase::Ready { .. } | Phase::Working { .. });
                assert!(!moves, "{} is left over, {missing}, seed {seed}", item.id);
            }
        }
    }
    assert!(late > 20, "only {late} items went on without a child");
}

/// Whether a child ended after its parent had gone on, or had jammed for want of it.
fn went_on_without(run: &Run, item: &Item) -> bool {
    let records = run.journal.load(&item.id).expect("it loads");
    let went = |record: &Record| matches!(record, Record::Gathered { .. } | Record::Jammed { .. });
    let came = |record: &Record| matches!(record, Record::ChildEnded { .. });
    records
        .iter()
        .position(went)
        .is_some_and(|at| records[at..].iter().any(came))
}
