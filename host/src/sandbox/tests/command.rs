//! Command stations: programs of WASI 0.1, adapted.

use super::bench::{BENCH, Bench, command, command_async, passed, run, station};
use crate::{
    digest::Digest,
    grant::{Access, Mount},
    item::Body,
    limits::Limit,
    line::{Asset, Station},
    sandbox::{PrepareError, Runner},
    visit::Outcome,
};
use bytes::Bytes;
use std::{path::PathBuf, time::Duration};

/// Copies its standard input to its standard output.
fn cat() -> String {
    let body = "(local $n i32) (loop
        (local.set $n (call $hear))
        (if (local.get $n) (then
          (call $say (i32.const 1) (i32.const 4096) (local.get $n)) (br 1))))";
    command("", body)
}

#[tokio::test]
async fn a_program_is_a_station() {
    let report = run(&cat(), station()).await;
    assert_eq!(passed(&report), [("pass".into(), "hello".into())]);
    let Outcome::Passed(outputs) = report.outcome else {
        unreachable!()
    };
    assert_eq!(outputs[0].payload.content_type, "text/plain");
    let silent = run(&command("", ""), station()).await;
    assert_eq!(passed(&silent), [("pass".into(), String::new())]);
}

#[tokio::test]
async fn large_bodies_come_and_go_by_the_store() {
    let bench = Bench::own();
    let mut roomy = station();
    roomy.limits.output = 1 << 20;
    let mut visit = bench.prepare(&cat(), &roomy).unwrap();
    let large = vec![b'x'; 200_000];
    let digest = Digest::of(&large);
    let len = large.len() as u64;
    bench
        .stores
        .bodies
        .lock()
        .unwrap()
        .insert(digest, large.into());
    visit.inputs[0].body = Body::Stored { digest, len };
    let report = bench.runner.visit(visit.clone()).await;
    assert_eq!(passed(&report)[0].1, format!("{:?}", visit.inputs[0].body));
}

#[tokio::test]
async fn exit_codes_say_how_it_went() {
    let exits = |code: i32| {
        command(
            r#"(data (i32.const 64) "first\nlast words\n")"#,
            &format!(
                "(call $say (i32.const 2) (i32.const 64) (i32.const 17)) (call $exit (i32.const {code}))"
            ),
        )
    };
    let mut mapped = station();
    mapped.exits.insert(3, "odd".parse().unwrap());
    let report = run(&exits(3), mapped).await;
    assert_eq!(passed(&report), [("odd".into(), String::new())]);
    let lines: Vec<_> = report.log.iter().map(|l| l.message.as_str()).collect();
    assert_eq!(lines, ["first", "last words"]);
    assert_eq!(report.log[0].level, "stderr");
    assert_eq!(
        run(&exits(75), station()).await.outcome,
        Outcome::Retry {
            reason: "last words".into(),
            after: None
        }
    );
    assert_eq!(
        run(&exits(2), station()).await.outcome,
        Outcome::Rejected("last words".into())
    );
    assert_eq!(passed(&run(&exits(0), station()).await).len(), 1);
    let quiet = command("", "(call $exit (i32.const 9))");
    assert_eq!(
        run(&quiet, station()).await.outcome,
        Outcome::Rejected("exit code 9".into())
    );
}

#[tokio::test]
async fn it_is_told_what_the_line_says_and_no_more() {
    let tells = command(
        r#"(import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))"#,
        "(drop (call $args_sizes (i32.const 16) (i32.const 20)))
         (drop (call $args (i32.const 1024) (i32.const 2048)))
         (call $say (i32.const 1) (i32.const 2048) (i32.load (i32.const 20)))
         (drop (call $sizes (i32.const 16) (i32.const 20)))
         (drop (call $env (i32.const 1024) (i32.const 2048)))
         (call $say (i32.const 1) (i32.const 2048) (i32.load (i32.const 20)))",
    );
    let mut told = station();
    told.args = vec!["--fast".into()];
    told.env.insert("LANG".into(), "C".into());
    let mut visit = BENCH.prepare(&tells, &told).unwrap();
    visit.inputs[0].labels.set("risk.level", "high").unwrap();
    let name = visit.station.to_string();
    let report = BENCH.runner.visit(visit).await;
    assert_eq!(
        passed(&report)[0].1,
        format!(
            "{name}\0--fast\0LANG=C\0ANDON_OUTPUT=/andon/output.jsonl\0ANDON_LABEL_RISK_LEVEL=high\0"
        )
    );
}

#[tokio::test]
async fn its_output_is_bounded() {
    let endless = command(
        "",
        "(loop (call $say (i32.const 1) (i32.const 0) (i32.const 4096)) (br 0))",
    );
    let Outcome::Overrun { limit, .. } = run(&endless, station()).await.outcome else {
        panic!();
    };
    assert_eq!(limit, Limit::Output);
    let chatty = command(
        "",
        "(loop (call $say (i32.const 2) (i32.const 0) (i32.const 100)) (br 0))",
    );
    let Outcome::Overrun { limit, .. } = run(&chatty, station()).await.outcome else {
        panic!();
    };
    assert_eq!(limit, Limit::Log);
}

#[tokio::test]
async fn time_and_randomness_are_the_visits_own() {
    let asks = command(
        r#"(import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
           (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))"#,
        "(drop (call $time (i32.const 0) (i64.const 1) (i32.const 64)))
         (i32.store (i32.const 2016) (i32.const 1)) (i64.store (i32.const 2024) (i64.const 5000000))
         (drop (call $poll (i32.const 2000) (i32.const 2100) (i32.const 1) (i32.const 2200)))
         (drop (call $time (i32.const 1) (i64.const 1) (i32.const 72)))
         (drop (call $random (i32.const 80) (i32.const 16)))
         (call $say (i32.const 1) (i32.const 64) (i32.const 32))",
    );
    let visit = BENCH.prepare(&asks, &station()).unwrap();
    let said = async |visit| {
        let report = BENCH.runner.visit(visit).await;
        let Outcome::Passed(outputs) = report.outcome else {
            panic!("{report:?}");
        };
        match &outputs[0].payload.body {
            Body::Inline(bytes) => bytes.clone(),
            other => panic!("{other:?}"),
        }
    };
    let first: Bytes = said(visit.clone()).await;
    assert_eq!(said(visit.clone()).await, first);
    let time = |at: usize| u64::from_le_bytes(first[at..at + 8].try_into().unwrap());
    let started = visit.started * 1_000_000;
    assert!(
        (started..started + 10_000).contains(&time(0)),
        "{}",
        time(0)
    );
    let slept = time(8) - time(0);
    assert!((5_000_000..5_010_000).contains(&slept), "{slept}");
    let mut other = visit;
    other.seed = [8; 32];
    let other = said(other).await;
    assert_eq!(other[..16], first[..16]);
    assert_ne!(other[16..], first[16..]);
}

/// A program that writes `text` to a file of the `dir`-th folder that it sees (3 is the workspace),
/// and exits with the error number if it may not.
fn writes(files: &[(u32, &str, &str)]) -> String {
    let mut data = String::new();
    let mut body = String::new();
    for (n, (dir, name, text)) in files.iter().enumerate() {
        let at = 1024 + 512 * n;
        let escaped = text.replace('"', "\\22").replace('\n', "\\0a");
        data += &format!(
            r#"(data (i32.const {at}) "{name}") (data (i32.const {}) "{escaped}")"#,
            at + 64
        );
        body += &format!(
            "(call $write_file (i32.const {dir}) (i32.const {at}) (i32.const {}) (i32.const {}) (i32.const {}))",
            name.len(),
            at + 64,
            text.len()
        );
    }
    command(
        &format!(
            r#"(import "wasi_snapshot_preview1" "path_open"
                 (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
               (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32))) {data}
               (func $write_file (param $dir i32) (param $name i32) (param $len i32) (param $text i32) (param $size i32)
                 (local $error i32) (drop (call $prestat (i32.const 3) (i32.const 16)))
                 (local.set $error (call $open (local.get $dir) (i32.const 0) (local.get $name) (local.get $len)
                   (i32.const 1) (i64.const 66) (i64.const 66) (i32.const 0) (i32.const 16)))
                 (if (local.get $error) (then (call $exit (local.get $error))))
                 (call $say (i32.load (i32.const 16)) (local.get $text) (local.get $size)))"#
        ),
        &body,
    )
}

#[tokio::test]
async fn it_may_say_more_in_a_file() {
    let bench = Bench::own();
    let lines = "{\"port\":\"leak\",\"file\":\"found.txt\",\"labels\":{\"risk\":\"high\"}}\n{\"content-type\":\"text/html\"}";
    let text = writes(&[(3, "found.txt", "key"), (4, "output.jsonl", lines)]);
    let report = bench.run(&text, station()).await;
    let Outcome::Passed(outputs) = &report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(outputs.len(), 2);
    assert_eq!(outputs[0].port, *"leak");
    assert_eq!(outputs[0].payload.body, Body::File("found.txt".into()));
    assert_eq!(outputs[0].payload.labels.get("risk"), Some("high"));
    assert_eq!(outputs[1].payload.content_type, "text/html");
    let left = bench.stores.left.lock().unwrap();
    assert_eq!(left.len(), 2);
    assert_eq!(left[&PathBuf::from("found.txt")], b"key");
}

#[tokio::test]
async fn what_it_says_in_the_file_is_checked() {
    for (line, said) in [
        (
            "{\"file\":\"gone.txt\"}",
            "output 1: `gone.txt` is no file of the workspace: its workspace is empty",
        ),
        (
            "{\"file\":\"../x\"}",
            "output 1: `../x` is no file of the workspace: a relative path of at most 1024 bytes with no `.` or `..` is wanted",
        ),
        (
            "{\"port\":\"reject\"}",
            "output 1: `reject` is no port: `reject` is reserved for the stop of that name",
        ),
        (
            "{\"prot\":\"x\"}",
            "line 1 of `/andon/output.jsonl`: unknown field `prot`, expected one of `port`, `content-type`, `labels`, `file` at line 1 column 7",
        ),
    ] {
        let report = run(&writes(&[(4, "output.jsonl", line)]), station()).await;
        assert_eq!(report.outcome, Outcome::Invalid(said.into()));
    }
}

#[tokio::test]
async fn folders_are_closed_and_made_only_when_asked_for() {
    let bench = Bench::own();
    assert_eq!(passed(&bench.run(&cat(), station()).await).len(), 1);
    let entered = |bench: &Bench| {
        bench
            .stores
            .entered
            .load(std::sync::atomic::Ordering::SeqCst)
    };
    assert_eq!(entered(&bench), 0);
    // 63 is EPERM, 76 ENOTCAPABLE.
    for path in ["../escape", "/etc/hostname"] {
        let report = bench.run(&writes(&[(3, path, "x")]), station()).await;
        assert_eq!(report.outcome, Outcome::Rejected("exit code 63".into()));
    }
    assert_eq!(entered(&bench), 2);
    // A descriptor that it was never given.
    let report = bench.run(&writes(&[(9, "x", "x")]), station()).await;
    assert_eq!(report.outcome, Outcome::Rejected("exit code 8".into()));
}

#[tokio::test]
async fn granted_folders_and_assets_are_mounted() {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("rules"), "x").unwrap();
    let mut mounted = station();
    let mount = |access| Mount {
        host: host.path().into(),
        guest: "/data".into(),
        access,
        quota: None,
        max_files: None,
    };
    mounted.grants.fs = vec![mount(Access::Write)];
    let write = writes(&[(5, "new", "text")]);
    assert_eq!(passed(&run(&write, mounted.clone()).await).len(), 1);
    assert_eq!(std::fs::read(host.path().join("new")).unwrap(), b"text");
    let refused = |station: Station| async move {
        match run(&writes(&[(5, "more", "text")]), station).await.outcome {
            Outcome::Rejected(reason) => reason,
            other => panic!("{other:?}"),
        }
    };
    mounted.grants.fs = vec![mount(Access::Read)];
    assert_eq!(refused(mounted.clone()).await, "exit code 63");
    mounted.grants.fs.clear();
    mounted.assets = vec![Asset {
        host: host.path().join("rules"),
        guest: "/etc/rules".into(),
    }];
    assert_eq!(refused(mounted.clone()).await, "exit code 63");
    mounted.assets[0].host = host.path().join("gone");
    assert!(matches!(
        BENCH.prepare(&cat(), &mounted),
        Err(PrepareError::Folder { .. })
    ));
}

/// Opening a pipe waits for its other end: it has to be the guest alone that waits.
#[tokio::test]
async fn a_pipe_in_a_granted_folder_stops_nobody() {
    let host = tempfile::tempdir().unwrap();
    let pipe = host.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut mounted = station();
    mounted.limits.wall = Duration::from_secs(5);
    mounted.grants.fs = vec![Mount {
        host: host.path().into(),
        guest: "/data".into(),
        access: Access::Write,
        quota: None,
        max_files: None,
    }];
    let report = run(&writes(&[(5, "pipe", "x")]), mounted).await;
    assert_eq!(report.outcome, Outcome::Rejected("exit code 63".into()));
}

#[tokio::test]
async fn a_join_reads_each_inputs_own_file() {
    let mut visit = BENCH.prepare(&cat(), &station()).unwrap();
    visit.inputs[0].body = Body::File("own.txt".into());
    visit.inputs.push(visit.inputs[0].clone());
    visit.joined = vec![Some(Digest::of("a")), Some(Digest::of("b"))];
    let report = BENCH.runner.visit(visit).await;
    assert_eq!(passed(&report)[0].1, "input 0\ninput 1\n");
}

#[tokio::test]
async fn a_file_of_an_earlier_station_may_be_passed_on() {
    let link = "{\"file\":\"before.txt\"}";
    let bench = Bench::own();
    let program = writes(&[(4, "output.jsonl", link)]);
    let mut visit = bench.prepare(&program, &station()).expect("a station");
    visit.workspace = Some(Digest::of("as the earlier station left it"));
    let report = bench.runner.visit(visit).await;
    assert_eq!(passed(&report)[0].1, r#"File("before.txt")"#);
}

#[tokio::test]
async fn handles_are_bounded() {
    let hoards = command(
        r#"(import "wasi_snapshot_preview1" "path_open"
             (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
           (data (i32.const 64) "x")"#,
        "(local $n i32) (drop (call $prestat (i32.const 3) (i32.const 16)))
         (loop
           (if (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 1)
                 (i64.const 66) (i64.const 66) (i32.const 0) (i32.const 16)) (then (call $exit (i32.const 9))))
           (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 5000))))",
    );
    let outcome = run(&hoards, station()).await.outcome;
    assert!(
        matches!(outcome, Outcome::Trapped(_) | Outcome::Rejected(_)),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn datagrams_are_closed() {
    let sends = command(
        r#"(import "wasi:sockets/udp-create-socket@0.2.0" "create-udp-socket" (func $socket (param i32 i32)))"#,
        "(call $socket (i32.const 0) (i32.const 64))
         (if (i32.load8_u (i32.const 64)) (then (call $exit (i32.add (i32.const 100) (i32.load8_u (i32.const 68))))))",
    );
    // 1 is `access-denied`.
    assert_eq!(
        run(&sends, station()).await.outcome,
        Outcome::Rejected("exit code 101".into())
    );
}

#[tokio::test]
async fn a_program_of_wasi_0_3_is_a_station() {
    let report = run(
        &command_async("", "(call $return (i32.const 0))"),
        station(),
    )
    .await;
    assert_eq!(passed(&report), [("pass".into(), String::new())]);
    for (body, outcome) in [
        ("(call $return (i32.const 1))", "exit code 1"),
        ("(call $exit (i32.const 9))", "exit code 9"),
    ] {
        let report = run(&command_async("", body), station()).await;
        assert_eq!(report.outcome, Outcome::Rejected(outcome.into()));
    }
}

#[tokio::test]
async fn time_and_randomness_of_wasi_0_3_are_the_visits_own() {
    let imports = r#"(import "wasi:clocks/monotonic-clock@0.3.0" "now" (func $now (result i64)))
        (import "wasi:clocks/monotonic-clock@0.3.0" "wait-for" (func $wait (param i64)))
        (import "wasi:random/random@0.3.0" "get-random-u64" (func $random (result i64)))"#;
    // Sleeps 5 ms; 100 and the milliseconds that passed for the guest.
    let sleeps =
        "(local $before i64) (local.set $before (call $now)) (call $wait (i64.const 5000000))
        (call $exit (i32.add (i32.const 100) (i32.wrap_i64 (i64.div_u
          (i64.sub (call $now) (local.get $before)) (i64.const 1000000)))))";
    let report = run(&command_async(imports, sleeps), station()).await;
    assert_eq!(report.outcome, Outcome::Rejected("exit code 105".into()));
    assert!(report.usage.wall_us >= 5_000);
    let draws = "(call $exit (i32.or (i32.const 128) (i32.wrap_i64 (call $random))))";
    let visit = BENCH
        .prepare(&command_async(imports, draws), &station())
        .unwrap();
    let first = BENCH.runner.visit(visit.clone()).await.outcome;
    assert!(matches!(first, Outcome::Rejected(_)), "{first:?}");
    assert_eq!(BENCH.runner.visit(visit).await.outcome, first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_workspace_is_entered_from_a_runtime_of_many_threads() {
    let link = "{\"file\":\"before.txt\"}";
    let text = writes(&[(3, "new.txt", "x"), (4, "output.jsonl", link)]);
    let mut visit = BENCH.prepare(&text, &station()).unwrap();
    visit.workspace = Some(Digest::of("snapshot"));
    let visits = (0..8).map(|_| tokio::spawn(BENCH.runner.visit(visit.clone())));
    for visit in visits.collect::<Vec<_>>() {
        assert_eq!(passed(&visit.await.unwrap()).len(), 1);
    }
}
