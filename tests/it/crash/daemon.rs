//! What a daemon's end does to the visits that are under way, and what its next start does with them.

use crate::{
    daemon::{Daemon, until},
    ground::Ground,
};
use andon::{
    item::Record,
    journal::{Filter, Journal as _, sqlite::Sqlite},
};
use rustix::process::Signal;
use std::fs;

/// A line whose visits last until the file `gate/open` is there, and whose next attempts wait for ever.
fn ground() -> Ground {
    let ground = Ground::new();
    ground
        .line(
            r#"
line = "l"
entry = "s"
[defaults]
retry = { attempts = 3, backoff = "24h..24h" }
[stations.s]
use = "@lingers"
next = "done"
limits = { wall = "1h" }
grants.fs = [{ host = "gate", guest = "/gate", access = "write" }]
"#,
        )
        .write("a.txt", "a\n");
    fs::create_dir(ground.path("gate")).expect("a folder");
    ground
}

/// A daemon with the visit under way.
fn under_way(ground: &Ground, worker: &str) -> Daemon {
    let daemon = Daemon::start(ground, &[".", "--worker", worker, "--drain", "0s"]);
    ground.andon(&["submit", "l", "a.txt"]).well();
    until(ground, &["items", "--phase", "working", "--json"], |came| {
        came.stdout.lines().count() == 1
    });
    daemon
}

/// How each attempt began and ended.
fn course(ground: &Ground) -> String {
    let journal = Sqlite::open_read_only(&ground.path(".andon")).expect("it opens");
    let item = journal
        .list(&Filter::default())
        .expect("it lists")
        .remove(0)
        .item;
    let records = journal.load(&item).expect("it loads");
    let told = records.iter().map(|record| match record {
        Record::Interrupted { stopped: true, .. } => "stopped".into(),
        Record::Jammed { jam, .. } => format!("jammed: {jam}"),
        other => other.kind().to_string(),
    });
    told.collect::<Vec<_>>().join(", ")
}

#[test]
fn visits_are_taken_up_at_once_and_three_crashes_are_a_jam() {
    for worker in ["shared", "own"] {
        let ground = ground();
        // None of them waits for its next attempt: it is the same.
        let stops = [
            Signal::KILL,
            Signal::TERM,
            Signal::KILL,
            Signal::TERM,
            Signal::TERM,
            Signal::KILL,
        ];
        for stop in stops {
            let daemon = under_way(&ground, worker);
            daemon.signal(stop);
            daemon.ended();
        }
        let daemon = Daemon::start(&ground, &[".", "--worker", worker]);
        until(&ground, &["items", "--jammed"], |came| {
            came.stdout
                .contains("the host ended three times during this visit")
        });
        // A person lets it go on, and it counts anew.
        let item = || {
            let items = ground.command(&["items"]).output().expect("it runs").stdout;
            let items = String::from_utf8(items).expect("text");
            items
                .lines()
                .nth(1)
                .and_then(|line| line.split(' ').next())
                .expect("an item")
                .to_string()
        };
        ground.andon(&["clear", &item(), "retry"]).well();
        until(
            &ground,
            &["items", "--phase", "working", "--json"],
            |came| came.stdout.lines().count() == 1,
        );
        drop(daemon);
        let _daemon = under_way(&ground, worker);
        ground.write("gate/open", "");
        until(&ground, &["items", "--phase", "done", "--json"], |came| {
            came.stdout.lines().count() == 1
        });
        insta::allow_duplicates! {
            insta::assert_snapshot!(course(&ground));
        }
    }
}
