//! Typed stations.

use super::bench::{BENCH, Bench, ECHO, passed, run, station, typed, typed_async};
use crate::{
    limits::{Limit, Limits},
    line::Station,
    sandbox::Runner,
    visit::Outcome,
};
use std::time::Duration;

fn limited(change: impl FnOnce(&mut Limits)) -> Station {
    let mut station = station();
    change(&mut station.limits);
    station
}

async fn overrun(text: &str, station: Station) -> (Limit, String) {
    match run(text, station).await.outcome {
        Outcome::Overrun { limit, value } => (limit, value),
        other => panic!("{other:?}"),
    }
}

const LOG: &str =
    r#"(import "andon:station/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))"#;

#[tokio::test]
async fn answers_with_its_input() {
    let report = run(&typed("", ECHO), station()).await;
    assert_eq!(passed(&report), [("pass".into(), "hello".into())]);
    assert!(report.usage.memory >= 65536);
    assert!(report.workspace.is_none());
}

#[tokio::test]
async fn answers_through_the_interface_that_may_wait() {
    let echo =
        "(call $done (call $body (local.get $in)) (call $body_len (local.get $in))) (i32.const 0)";
    let report = run(&typed_async("", echo), station()).await;
    assert_eq!(passed(&report), [("pass".into(), "hello".into())]);
    let report = run(
        &typed_async("", "(loop (br 0)) unreachable"),
        limited(|l| l.cpu = Duration::from_millis(30)),
    )
    .await;
    assert!(
        matches!(
            report.outcome,
            Outcome::Overrun {
                limit: Limit::Cpu,
                ..
            }
        ),
        "{report:?}"
    );
    // It ends without an answer.
    let report = run(&typed_async("", "(i32.const 0)"), station()).await;
    assert!(matches!(report.outcome, Outcome::Trapped(_)), "{report:?}");
}

#[tokio::test]
async fn a_tight_loop_ends() {
    let text = typed("", "(loop (br 0)) unreachable");
    let cpu = limited(|l| l.cpu = Duration::from_millis(30));
    assert_eq!(overrun(&text, cpu).await, (Limit::Cpu, "30ms".into()));
    let wall = limited(|l| l.wall = Duration::from_millis(30));
    assert_eq!(overrun(&text, wall).await, (Limit::Wall, "30ms".into()));
}

#[tokio::test]
async fn memory_is_bounded() {
    let eats = typed(
        "",
        "(loop (br_if 0 (i32.ne (i32.const -1) (memory.grow (i32.const 1))))) unreachable",
    );
    assert_eq!(
        overrun(&eats, station()).await,
        (Limit::Memory, "1MiB".into())
    );
    // A module that begins with more than it may have.
    let big = limited(|l| l.memory = 10);
    assert_eq!(
        overrun(&typed("", ECHO), big).await,
        (Limit::Memory, "10B".into())
    );
    // A guest that can live with less does.
    let modest = typed("", &format!("(drop (memory.grow (i32.const 1000))) {ECHO}"));
    assert_eq!(passed(&run(&modest, station()).await).len(), 1);
}

#[tokio::test]
async fn a_trap_says_where() {
    let report = run(&typed("", "unreachable"), station()).await;
    let Outcome::Trapped(text) = report.outcome else {
        panic!("{report:?}");
    };
    assert!(text.contains("unreachable"), "{text}");
}

#[tokio::test]
async fn the_log_is_kept_and_bounded() {
    let write =
        "(call $log (i32.const 3) (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 0))";
    let report = run(&typed(LOG, &format!("{write} {ECHO}")), station()).await;
    let lines: Vec<_> = report
        .log
        .iter()
        .map(|l| (l.level.as_str(), l.message.as_str()))
        .collect();
    assert_eq!(lines, [("warn", "pass")]);
    let endless = typed(LOG, &format!("(loop {write} (br 0)) unreachable"));
    let report = run(&endless, station()).await;
    assert!(
        matches!(
            report.outcome,
            Outcome::Overrun {
                limit: Limit::Log,
                ..
            }
        ),
        "{report:?}"
    );
    assert!(report.log.len() > 10);
}

#[tokio::test]
async fn outputs_are_bounded() {
    let large = typed("", "(call $pass (i32.const 0) (i32.const 5000))");
    assert_eq!(
        overrun(&large, station()).await,
        (Limit::Output, "4KiB".into())
    );
    // More than the host would even copy.
    let huge = typed(
        "",
        "(drop (memory.grow (i32.const 200))) (call $pass (i32.const 0) (i32.const 13000000))",
    );
    let roomy = limited(|l| l.memory = 64 << 20);
    assert_eq!(overrun(&huge, roomy).await.0, Limit::Output);
    let many = typed(
        "",
        "(drop (call $pass (i32.const 0) (i32.const 0)))
         (i32.store (i32.const 1036) (i32.const 5))
         (memory.copy (i32.const 1092) (i32.const 1056) (i32.const 36))
         (memory.copy (i32.const 1128) (i32.const 1056) (i32.const 72))
         (memory.copy (i32.const 1200) (i32.const 1056) (i32.const 36))
         (i32.const 1024)",
    );
    assert_eq!(
        overrun(&many, station()).await,
        (Limit::Outputs, "4".into())
    );
}

#[tokio::test]
async fn what_it_may_not_answer_is_invalid() {
    let port = |name: &str| {
        typed(
            &format!("(data (i32.const 64) {name:?})"),
            &format!(
                "(call $output (i32.const 64) (i32.const {}) (i32.const 0) (i32.const 0))",
                name.len()
            ),
        )
    };
    let file = "(drop (call $pass (i32.const 16) (i32.const 4)))
                (i32.store8 (i32.const 1072) (i32.const 1)) (i32.const 1024)";
    let label = "(drop (call $pass (i32.const 16) (i32.const 4)))
                 (i32.store (i32.const 2000) (i32.const 64)) (i32.store (i32.const 2004) (i32.const 3))
                 (i32.store (i32.const 1084) (i32.const 2000)) (i32.store (i32.const 1088) (i32.const 1))
                 (i32.const 1024)";
    let media = "(drop (call $pass (i32.const 16) (i32.const 4)))
                 (i32.store (i32.const 1064) (i32.const 64)) (i32.store (i32.const 1068) (i32.const 3))
                 (i32.const 1024)";
    let bad = r#"(data (i32.const 64) "A\0aB")"#;
    for (text, said) in [
        (
            port("reject"),
            "output 1: `reject` is no port: `reject` is reserved for the stop of that name",
        ),
        (
            port("exhausted"),
            "output 1: `exhausted` is no port: `exhausted` is reserved for the host",
        ),
        (
            port("No"),
            "output 1: `No` is no port: 1 to 64 of `a-z`, `0-9` and `-` are, and begin with no `-`",
        ),
        (
            typed("", file),
            "output 1: `pass` is no file of the workspace: its workspace is empty",
        ),
        (
            typed(bad, label),
            r"output 1: `A\nB` is no label name: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-` are",
        ),
        (
            typed(bad, media),
            r"output 1: `A\nB` is no media type: at most 255 bytes of printable ASCII are",
        ),
    ] {
        let report = run(&text, station()).await;
        assert_eq!(report.outcome, Outcome::Invalid(said.into()));
    }
    // Not even text: the engine refuses it.
    let text = typed(
        r#"(data (i32.const 64) "\ff\ff")"#,
        "(call $output (i32.const 64) (i32.const 2) (i32.const 0) (i32.const 0))",
    );
    assert!(matches!(
        run(&text, station()).await.outcome,
        Outcome::Trapped(_)
    ));
}

#[tokio::test]
async fn the_stops_arrive() {
    let stop = |which: u8| {
        typed(
            "",
            &format!(
                "(i32.store8 (i32.const 1024) (i32.const 1)) (i32.store8 (i32.const 1032) (i32.const {which}))
                 (i32.store (i32.const 1040) (i32.const 16)) (i32.store (i32.const 1044) (i32.const 4))
                 (i32.store8 (i32.const 1048) (i32.const 1)) (i64.store (i32.const 1056) (i64.const 250))
                 (i32.const 1024)"
            ),
        )
    };
    assert_eq!(
        run(&stop(0), station()).await.outcome,
        Outcome::Retry {
            reason: "pass".into(),
            after: Some(Duration::from_millis(250))
        }
    );
    assert_eq!(
        run(&stop(1), station()).await.outcome,
        Outcome::Rejected("pass".into())
    );
}

#[tokio::test]
async fn settings_are_read_and_progress_is_heard() {
    let asks = typed(
        r#"(import "wasi:config/store@0.2.0-rc.1" "get" (func $get (param i32 i32 i32)))
           (import "andon:station/progress@0.1.0" "report" (func $report (param i64 i64 i32 i32)))"#,
        "(call $report (i64.const 3) (i64.const 9) (i32.const 16) (i32.const 4))
         (call $get (i32.const 16) (i32.const 4) (i32.const 2000))
         (if (i32.eqz (i32.load8_u (i32.const 2004))) (then (return (call $pass (i32.const 0) (i32.const 0)))))
         (call $pass (i32.load (i32.const 2008)) (i32.load (i32.const 2012)))",
    );
    let bench = Bench::own();
    let mut told = station();
    let body = async |told: &Station| passed(&bench.run(&asks, told.clone()).await)[0].1.clone();
    assert_eq!(body(&told).await, "");
    told.config.insert("pass".into(), "text".into());
    told.config.insert("other".into(), "x".into());
    assert_eq!(body(&told).await, "text");
    told.config
        .insert("pass".into(), serde_json::json!({"a": [1.5]}));
    assert_eq!(body(&told).await, r#"{"a":[1.5]}"#);
    assert_eq!(*bench.stores.done.lock().unwrap(), [3, 3, 3]);
}

#[tokio::test]
async fn what_it_prints_goes_to_the_log() {
    let prints = typed(
        r#"(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
           (data (i32.const 64) "one\0atwo")"#,
        &format!(
            "(i32.store (i32.const 2000) (i32.const 64)) (i32.store (i32.const 2004) (i32.const 7))
             (drop (call $write (i32.const 1) (i32.const 2000) (i32.const 1) (i32.const 2100)))
             (drop (call $write (i32.const 2) (i32.const 2000) (i32.const 1) (i32.const 2100))) {ECHO}"
        ),
    );
    let report = run(&prints, station()).await;
    let lines: Vec<_> = (report.log.iter())
        .map(|line| format!("{}: {}", line.level, line.message))
        .collect();
    assert_eq!(
        lines,
        ["stdout: one", "stderr: one", "stdout: two", "stderr: two"]
    );
    assert_eq!(passed(&report)[0].1, "hello");
}

#[tokio::test]
async fn a_dropped_visit_ends() {
    let visit = BENCH
        .prepare(&typed("", "(loop (br 0)) unreachable"), &station())
        .unwrap();
    let task = BENCH.runner.visit(visit.clone());
    let first = tokio::time::timeout(Duration::from_millis(20), task).await;
    assert!(first.is_err());
    let mut unknown = visit;
    unknown.revision = 9;
    let report = BENCH.runner.visit(unknown).await;
    assert!(
        matches!(report.outcome, Outcome::Retry { .. }),
        "{report:?}"
    );
}

#[tokio::test]
async fn sleepers_stop_nobody() {
    let sleeps = typed(
        r#"(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))"#,
        "(i32.store8 (i32.const 2008) (i32.const 0)) (i32.store (i32.const 2016) (i32.const 1))
         (i64.store (i32.const 2024) (i64.const 3600000000000))
         (drop (call $poll (i32.const 2000) (i32.const 2100) (i32.const 1) (i32.const 2200)))
         unreachable",
    );
    let asleep = BENCH
        .prepare(&sleeps, &limited(|l| l.wall = Duration::from_millis(300)))
        .unwrap();
    let good = BENCH.prepare(&typed("", ECHO), &station()).unwrap();
    let sleepers: Vec<_> = (0..64)
        .map(|_| tokio::spawn(BENCH.runner.visit(asleep.clone())))
        .collect();
    tokio::task::yield_now().await;
    for _ in 0..20 {
        assert_eq!(passed(&BENCH.runner.visit(good.clone()).await).len(), 1);
    }
    assert!(sleepers.iter().all(|task| !task.is_finished()));
    for sleeper in sleepers {
        let report = sleeper.await.unwrap();
        assert!(
            matches!(
                report.outcome,
                Outcome::Overrun {
                    limit: Limit::Wall,
                    ..
                }
            ),
            "{report:?}"
        );
        assert!(report.usage.cpu_us < 200_000);
    }
}
