//! Visits that fail, inputs that come twice, runs that are told to stop or cannot go on.

use super::*;

fn two(settings: &str) -> Line {
    line(&format!(
        "line = 'l'\nentry = 'a'\n[defaults]\nworkers = 1\n[stations.a]\nuse = 'x'\nnext = 'b'\n{settings}\n[stations.b]\nuse = 'x'\nnext = 'done'\n"
    ))
}

fn pass() -> Arc<Script> {
    Script::new(|visit| passed(visit, &["pass"]))
}

#[test]
fn a_retry_waits_for_its_time_and_jams_in_the_end() {
    let line = two("retry = { attempts = 3, backoff = '100ms..150ms' }");
    let run = Run::new(Memory::new(), line);
    let runner = Script::new(|visit| match visit.item.as_str().as_bytes()[0] % 2 {
        _ if visit.station == *"b" => passed(visit, &["pass"]),
        0 if visit.attempt == 3 => passed(visit, &["pass"]),
        _ => retry("not yet"),
    });
    assert_eq!(run.whole(&runner, 12).expect("it runs"), Ending::Idle);
    let mut jammed = 0;
    for item in run.items() {
        let records = run.journal.load(&item.id).expect("it loads");
        let mut due = 0;
        let mut waits = Vec::new();
        for record in &records {
            match record {
                Record::Started { at, .. } => assert!(*at >= due, "{records:#?}"),
                Record::Failed { at, again, .. } => {
                    due = *again;
                    waits.push(again - at);
                }
                _ => {}
            }
        }
        assert_eq!(waits.len(), 2);
        assert!(
            (50..=100).contains(&waits[0]) && (75..=150).contains(&waits[1]),
            "{waits:?}"
        );
        if let Phase::Jammed { attempt, .. } = item.phase {
            assert_eq!(attempt, 3);
            jammed += 1;
        }
    }
    let told = run.notices.lock().expect("no panics");
    let told = told
        .iter()
        .filter(|notice| matches!(notice, Notice::Jammed { .. }));
    assert_eq!(told.count(), jammed);
    assert!((1..12).contains(&jammed));
}

#[test]
fn a_runner_that_panics_is_a_failed_attempt() {
    let run = Run::new(
        Memory::new(),
        two("retry = { attempts = 2, backoff = '1ms..2ms' }"),
    );
    let runner = Script::new(|visit| {
        assert!(
            visit.attempt == 2 || visit.station == *"b",
            "as the test wants it"
        );
        passed(visit, &["pass"])
    });
    assert_eq!(run.whole(&runner, 2).expect("it runs"), Ending::Idle);
    assert!(run.told().values().all(|text| text.starts_with("Done")));
}

#[test]
fn inputs_are_taken_once() {
    let run = Run::new(Memory::new(), two(""));
    for (inputs, taken, known) in [(3, 3, 0), (5, 5, 3), (5, 5, 8)] {
        assert_eq!(run.whole(&pass(), inputs).expect("it runs"), Ending::Idle);
        let notices = run.notices.lock().expect("no panics");
        let count = |fits: fn(&Notice) -> bool| notices.iter().filter(|n| fits(n)).count();
        assert_eq!(count(|n| matches!(n, Notice::Taken { .. })), taken);
        assert_eq!(count(|n| matches!(n, Notice::Known { .. })), known);
    }
    assert_eq!(run.endings().len(), 5);
}

#[test]
fn a_drain_ends_what_is_under_way_and_begins_nothing() {
    for moment in 1..30 {
        let run = Run::new(Memory::new(), two("queue = 2"));
        let asked = Arc::new(AtomicU64::new(0));
        let runner = Script::new({
            let (drain, asked) = (run.drain.clone(), asked.clone());
            move |visit| {
                if asked.fetch_add(1, Relaxed) + 1 == moment {
                    let _ = drain.send(true);
                }
                passed(visit, &["pass"])
            }
        });
        assert_eq!(run.whole(&runner, 20).expect("it runs"), Ending::Drained);
        // Two stations with one worker each: at most one other was under way, one more may have
        // begun while the order was on its way.
        assert!(asked.load(Relaxed) <= moment + 2, "after {moment}");
        assert!(
            run.items()
                .iter()
                .all(|item| !matches!(item.phase, Phase::Working { .. }))
        );
        run.drain.send_replace(false);
        assert_eq!(run.whole(&pass(), 20).expect("it runs"), Ending::Idle);
        let endings = run.endings();
        assert_eq!((endings.len(), endings.values().sum::<usize>()), (20, 20));
    }
}

#[test]
fn a_run_ends_with_what_ails_its_journal() {
    for (close, moment) in (1..20).flat_map(|moment| [(false, moment), (true, moment)]) {
        let run = Run::new(Memory::new(), two(""));
        let cause = || JournalError::Other {
            path: "here".into(),
            reason: "no room".into(),
        };
        let visits = AtomicU64::new(0);
        let runner = Script::new({
            let journal = run.journal.clone();
            move |visit| {
                if visits.fetch_add(1, Relaxed) == moment {
                    journal.fail(cause());
                    if close {
                        journal.close();
                    }
                }
                passed(visit, &["pass"])
            }
        });
        let error = run.whole(&runner, 10).expect_err("it cannot go on");
        assert_eq!(error.to_string(), cause().to_string());
    }
}

#[test]
fn three_crashes_during_one_visit_jam_it() {
    let run = Run::new(Memory::new(), two(""));
    let hangs = Arc::new(HangsAt("b"));
    for _ in 0..3 {
        assert!(run.go(hangs.clone(), 1, 200).is_none());
    }
    assert_eq!(run.whole(&pass(), 1).expect("it runs"), Ending::Idle);
    let told: Vec<String> = run.told().into_values().collect();
    assert!(told[0].starts_with("b 1 1 "), "{told:?}");
}

/// Never comes back from one station.
struct HangsAt(&'static str);

impl Runner for HangsAt {
    fn visit(&self, visit: Visit) -> BoxFuture<'static, Report> {
        let hangs = visit.station == *self.0;
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            passed(&visit, &["pass"])
        }
        .boxed()
    }

    fn parted(&self, _: &ItemId) {}
}

#[test]
fn items_at_a_station_that_is_gone_jam() {
    let run = Run::new(Memory::new(), two(""));
    let hangs = Arc::new(HangsAt("b"));
    assert!(run.go(hangs, 3, 200).is_none());
    let without = line("line = 'l'\nentry = 'a'\n[stations.a]\nuse = 'x'\nnext = 'done'\n");
    let run = Run {
        line: Arc::new(without),
        ..run
    };
    assert_eq!(run.whole(&pass(), 0).expect("it runs"), Ending::Idle);
    for item in run.items() {
        assert!(
            matches!(&item.phase, Phase::Jammed { jam: crate::item::Jam::Homeless(at), .. } if **at == *"b"),
            "{item:?}"
        );
    }
}

#[test]
fn every_limit_that_a_visit_ran_into_is_in_the_audit() {
    use crate::{
        audit::Deed,
        journal::audit::AuditFilter,
        limits::{Limit, Limits},
    };
    // One that may pass and is tried again, and one that jams at once.
    for (limit, times) in [(Limit::Wall, 3), (Limit::Memory, 1)] {
        let line = two("retry = { attempts = 3, backoff = '1ms..2ms' }");
        let run = Run::new(Memory::new(), line);
        let runner = Script::new(move |visit| match visit.station == *"a" {
            true => report(Outcome::Overrun {
                limit,
                value: Limits::default().written(limit),
            }),
            false => passed(visit, &["pass"]),
        });
        assert_eq!(run.whole(&runner, 2).expect("it runs"), Ending::Idle);
        let kept = run.journal.audited(&AuditFilter::default());
        let kept = kept.expect("it reads");
        assert_eq!(kept.len(), 2 * times);
        let written = Limits::default().written(limit);
        for entry in kept.into_iter().map(|kept| kept.entry.expect("it is kept")) {
            assert_eq!((entry.deed, entry.allowed), (Deed::Limit, false));
            assert_eq!(entry.what, format!("{} {written}", limit.key()));
            assert_eq!(entry.component, Some(Digest::of("a")));
            assert!(entry.item.is_some() && entry.station == *"a");
        }
    }
    let run = Run::new(Memory::new(), two(""));
    run.whole(&pass(), 3).expect("it runs");
    let kept = run.journal.audited(&AuditFilter::default());
    assert!(kept.expect("it reads").is_empty());
}
