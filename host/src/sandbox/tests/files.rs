//! What is left behind by visits that do much with files, and what is told of them.

use super::bench::{Bench, command, passed, run, station};
use crate::{
    grant::{Access, Mount},
    limits::Limit,
    line::Station,
    sandbox::Runner as _,
    visit::{DeniedFile, Outcome},
};
use std::{fs, path::Path, time::Duration};
use tempfile::TempDir;

/// A program that opens `path` below its descriptor `folder`, to be written and made where it is not
/// there, `times` times; errors do not stop it.
fn opens(folder: u32, path: &str, times: u32) -> String {
    let len = path.len();
    command(
        &format!(
            r#"(import "wasi_snapshot_preview1" "path_open"
                 (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
               (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
               (data (i32.const 64) "{path}")"#
        ),
        &format!(
            "(local $n i32) (drop (call $prestat (i32.const 3) (i32.const 16)))
             (loop
               (drop (call $open (i32.const {folder}) (i32.const 0) (i32.const 64) (i32.const {len})
                 (i32.const 1) (i64.const 66) (i64.const 66) (i32.const 0) (i32.const 16)))
               (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1)))
                 (i32.const {times}))))"
        ),
    )
}

/// A station that sees a folder of the host's as `/data`.
fn mounted(host: &Path, access: Access) -> Station {
    let mut station = station();
    station.grants.fs = vec![Mount {
        host: host.into(),
        guest: "/data".into(),
        access,
        quota: (access == Access::Write).then_some(1_000),
        max_files: None,
    }];
    station
}

#[tokio::test]
async fn denied_calls_are_told_of_within_bounds() {
    let report = run(&opens(3, "../x", 40), station()).await;
    assert_eq!(passed(&report).len(), 1);
    let denied = DeniedFile {
        what: "open `/workspace/../x`".into(),
        why: "it leads out of `/workspace`".into(),
    };
    assert_eq!(report.denied, vec![denied; 32]);
    assert_eq!(report.denied_more, 8);

    let host = TempDir::new().unwrap();
    fs::write(host.path().join("rule"), "x").unwrap();
    let report = run(&opens(5, "rule", 1), mounted(host.path(), Access::Read)).await;
    let denied = DeniedFile {
        what: "write `/data/rule`".into(),
        why: "`/data` may only be read".into(),
    };
    assert_eq!(report.denied, [denied]);

    // What is not there is no denial.
    let report = run(&opens(5, "none/x", 1), mounted(host.path(), Access::Write)).await;
    assert_eq!((report.denied.len(), report.denied_more), (0, 0));
}

#[tokio::test]
async fn what_a_guest_leaves_open_is_closed() {
    let host = TempDir::new().unwrap();
    let held = || {
        let open = fs::read_dir("/proc/self/fd").unwrap();
        let leads = |fd: std::io::Result<fs::DirEntry>| fs::read_link(fd.ok()?.path()).ok();
        open.filter_map(leads)
            .filter(|file| file.starts_with(host.path()))
            .count()
    };
    // To its end, into the bound of its handles, and into its time.
    for (times, wall) in [(100, 20_000), (5_000, 20_000), (100_000_000, 300)] {
        let mut station = mounted(host.path(), Access::Write);
        station.limits.wall = Duration::from_millis(wall);
        let report = run(&opens(5, "x", times), station).await;
        // A call that was under way on a thread of its own is over soon.
        let closed = async {
            while held() > 0 {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), closed).await;
        assert!(waited.is_ok(), "{} open after {:?}", held(), report.outcome);
    }
}

#[tokio::test]
async fn a_workspace_that_tells_nothing_of_itself_is_counted() {
    // The bench's workspaces come with one file of six bytes.
    for (files, over) in [(1, true), (2, false)] {
        let mut station = station();
        station.limits.files = files;
        let outcome = Bench::own().run(&opens(3, "x", 1), station).await.outcome;
        let value = files.to_string();
        let limit = Limit::Files;
        assert_eq!(
            outcome == Outcome::Overrun { limit, value },
            over,
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_folder_that_is_gone_is_the_hosts_trouble() {
    let host = TempDir::new().unwrap();
    let bench = Bench::own();
    let station = mounted(host.path(), Access::Read);
    let visit = bench.prepare(&opens(5, "x", 1), &station).unwrap();
    host.close().unwrap();
    let outcome = bench.runner.visit(visit).await.outcome;
    let said = format!("{outcome:?}");
    assert!(
        matches!(outcome, Outcome::Retry { .. }) && said.contains("could not give the visit"),
        "{said}"
    );
}
