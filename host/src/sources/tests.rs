//! Sources against a line that is a double, with real folders and a clock of the tests' own.

use super::{
    cron::Cron,
    folder::{Folder, MOST},
    *,
};
use crate::{
    item::{Body, Destination, ItemId, Priority, Record},
    journal::conformance as kept,
    line::{
        schedule::{Missed, Schedule},
        source::{Inbox, Overlap, Timed},
    },
};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    },
};
use tempfile::TempDir;

/// A line that takes each key once, and is full or broken when it was told so.
#[derive(Default)]
struct Double {
    taken: Mutex<Vec<Input>>,
    full: AtomicU32,
    submitted: AtomicU32,
}

impl Submit for Double {
    fn submit(&self, input: Input) -> BoxFuture<'_, Result<Submitted, Unable>> {
        let full = self
            .full
            .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        let came = match full {
            Ok(left) if left % 2 == 0 => Err(Unable::Full {
                line: kept::name("line"),
                station: kept::name("a"),
                waiting: 1,
                after: Duration::ZERO,
            }),
            Ok(_) => Err(Unable::Stopping),
            Err(_) => {
                self.submitted.fetch_add(1, SeqCst);
                let mut taken = self.taken.lock().expect("no test panicked");
                let known = taken.iter().any(|other| other.key == input.key);
                let item = kept::id(&input.key);
                if !known {
                    taken.push(input);
                }
                Ok(Submitted { item, known })
            }
        };
        Box::pin(std::future::ready(came))
    }
}

struct Ground {
    folder: TempDir,
    state: State,
    line: Arc<Double>,
    clock: Arc<AtomicU64>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Ground {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let state = State::open(&folder.path().join("state")).expect("a state folder");
        Self {
            folder,
            state,
            line: Arc::default(),
            clock: Arc::default(),
            said: Arc::default(),
        }
    }

    fn means(&self, source: Source) -> Means {
        let (clock, said) = (self.clock.clone(), self.said.clone());
        Means {
            settings: SourceSettings {
                line: kept::name("line"),
                sources: BTreeMap::new(),
                state: self.state.clone(),
                submit: self.line.clone(),
                clock: Arc::new(move || clock.load(SeqCst)),
                say: Arc::new(move |text| said.lock().expect("whole").push(text.into())),
            },
            name: kept::name("it"),
            source,
        }
    }

    /// What the line took: the names, the bodies, and the labels.
    fn taken(&self) -> Vec<(String, String, String)> {
        let taken = self.line.taken.lock().expect("whole");
        let mut all: Vec<_> = taken
            .iter()
            .map(|input| {
                let payload = &input.taking.payload;
                let body = match &payload.body {
                    Body::Inline(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    Body::Stored { digest, .. } => {
                        let bytes = self.state.content.get(digest).expect("readable");
                        format!("{} bytes", bytes.expect("it is kept").len())
                    }
                    Body::File(_) => "a file".into(),
                };
                let labels: Vec<_> = payload.labels.iter().map(|(_, value)| value).collect();
                (input.taking.source.clone(), body, labels.join(" "))
            })
            .collect();
        all.sort();
        all
    }

    fn names(&self) -> Vec<String> {
        self.taken().into_iter().map(|(name, ..)| name).collect()
    }

    fn said(&self) -> Vec<String> {
        std::mem::take(&mut *self.said.lock().expect("whole"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders can be made");
        fs::write(path, content).expect("files can be written");
    }

    fn inbox(&self) -> Inbox {
        Inbox {
            folder: self.path("in"),
            done: None,
            pattern: None,
            settle: Duration::ZERO,
        }
    }

    fn folder(&self, inbox: Inbox) -> Folder {
        Folder::new(self.means(source(Origin::Folder(inbox.clone()))), inbox)
    }

    fn cron(&self, timed: &Timed) -> Cron {
        Cron::new(
            self.means(source(Origin::Cron(Box::new(timed.clone())))),
            timed.clone(),
        )
    }

    fn at(&self, time: &str) -> &Self {
        let time = chrono::DateTime::parse_from_rfc3339(time).expect(time);
        self.clock.store(
            time.timestamp_millis().try_into().expect("after 1970"),
            SeqCst,
        );
        self
    }
}

fn source(from: Origin) -> Source {
    Source {
        from,
        priority: Priority::Low,
        deadline: Some(Duration::from_secs(60)),
        labels: Labels::default(),
    }
}

fn nightly(missed: Missed, overlap: Overlap) -> Timed {
    Timed {
        schedule: Schedule::new("0 2 * * *", "Europe/Berlin").expect("a schedule"),
        missed,
        overlap,
        content_type: "text/plain".into(),
        payload: "go".into(),
    }
}

/// All names below a folder, hidden ones too.
fn below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            let inner = below(&entry.path());
            found.extend(inner.into_iter().map(|inner| format!("{name}/{inner}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_schedule_submits_each_run_once() {
    let ground = Ground::new();
    let timed = nightly(Missed::Last, Overlap::Queue);
    let mut cron = ground.cron(&timed);
    // It begins when it is first seen.
    ground.at("2026-06-01T12:00:00+02:00");
    let next = cron.turn().await.expect("it turns").expect("a next run");
    assert_eq!(timed.schedule.shown(next), "2026-06-02T02:00:00+02:00");
    assert!(ground.names().is_empty());
    ground.at("2026-06-02T02:00:00+02:00");
    cron.turn().await.expect("it turns");
    cron.turn().await.expect("it turns");
    let first = ground.taken();
    let shown = "2026-06-02T02:00:00+02:00";
    assert_eq!(first, [(format!("it {shown}"), "go".into(), shown.into())]);
    {
        let taken = ground.line.taken.lock().expect("whole");
        let ticket = &taken[0].taking.ticket;
        assert_eq!(ticket.priority, Priority::Low);
        assert_eq!(ticket.deadline, Some(ground.clock.load(SeqCst) + 60_000));
    }
    // The clock goes back, and on again; a process is started anew at every moment.
    for time in [
        "2026-06-01T11:00:00+02:00",
        "2026-06-02T01:59:59+02:00",
        "2026-06-02T02:00:01+02:00",
        "2026-06-02T03:00:00+02:00",
    ] {
        ground.at(time);
        cron.turn().await.expect("it turns");
        ground.cron(&timed).turn().await.expect("it turns");
        assert_eq!(ground.names().len(), 1, "{time}");
    }
    // It goes far ahead, and back: that was a run, and the ones in between come in their time.
    ground.at("2027-06-01T12:00:00+02:00");
    cron.turn().await.expect("it turns");
    assert_eq!(ground.names().len(), 2);
    ground.at("2026-06-03T02:00:00+02:00");
    cron.turn().await.expect("it turns");
    ground.at("2026-06-04T02:00:00+02:00");
    cron.turn().await.expect("it turns");
    assert_eq!(ground.names()[1], "it 2026-06-04T02:00:00+02:00");
}

#[tokio::test]
async fn a_crash_before_a_run_is_remembered_submits_it_once() {
    let ground = Ground::new();
    let timed = nightly(Missed::Last, Overlap::Queue);
    ground.at("2026-06-01T12:00:00+02:00");
    ground.cron(&timed).turn().await.expect("it turns");
    let (line, it) = (kept::name("line"), kept::name("it"));
    let before = ground.state.journal.source(&line, &it).expect("it reads");
    ground.at("2026-06-02T02:00:00+02:00");
    ground.cron(&timed).turn().await.expect("it turns");
    let kept = ground
        .state
        .journal
        .keep_source(&line, &it, &before.expect("kept"));
    kept.await.expect("it keeps");
    ground.cron(&timed).turn().await.expect("it turns");
    assert_eq!(ground.line.submitted.load(SeqCst), 2);
    assert_eq!(ground.names().len(), 1);
}

#[tokio::test]
async fn runs_that_were_missed() {
    for (missed, runs) in [(Missed::Last, 1), (Missed::All, 3), (Missed::Skip, 0)] {
        let ground = Ground::new();
        let timed = nightly(missed, Overlap::Queue);
        ground.at("2026-06-01T12:00:00+02:00");
        ground.cron(&timed).turn().await.expect("it turns");
        ground.at("2026-06-04T12:00:00+02:00");
        ground.cron(&timed).turn().await.expect("it turns");
        assert_eq!(ground.names().len(), runs, "{missed:?}");
        // Another schedule was not there to miss anything.
        let other = Timed {
            schedule: Schedule::new("0 1 * * *", "Europe/Berlin").expect("a schedule"),
            ..timed
        };
        ground.cron(&other).turn().await.expect("it turns");
        assert_eq!(ground.names().len(), runs, "{missed:?}");
    }
}

#[tokio::test]
async fn a_run_that_is_not_through() {
    for (overlap, runs) in [(Overlap::Skip, 1), (Overlap::Queue, 2)] {
        let ground = Ground::new();
        let timed = nightly(Missed::Last, overlap);
        let mut cron = ground.cron(&timed);
        ground.at("2026-06-01T12:00:00+02:00");
        cron.turn().await.expect("it turns");
        ground.at("2026-06-02T02:00:00+02:00");
        cron.turn().await.expect("it turns");
        let item: ItemId = {
            let taken = ground.line.taken.lock().expect("whole");
            kept::id(&taken[0].key)
        };
        // Its item waits at its first station.
        let journal = &*ground.state.journal;
        kept::keep(journal, &item, vec![kept::taken(1, "line")]);
        ground.at("2026-06-03T02:00:00+02:00");
        cron.turn().await.expect("it turns");
        assert_eq!(ground.names().len(), runs, "{overlap:?}");
        assert_eq!(ground.said().len(), 2 - runs, "{overlap:?}");
        let cancelled = Record::Moved {
            at: 3,
            port: kept::name("pass"),
            to: Destination::Done,
            payload: kept::payload("x"),
            workspace: None,
            facts: Default::default(),
        };
        let started = Record::Started { at: 2, revision: 1 };
        kept::keep(journal, &item, vec![started, cancelled]);
        ground.at("2026-06-04T02:00:00+02:00");
        cron.turn().await.expect("it turns");
        assert_eq!(ground.names().len(), runs + 1, "{overlap:?}");
    }
}

#[tokio::test]
async fn files_are_taken_once_and_put_away() {
    let ground = Ground::new();
    let folder = ground.folder(ground.inbox());
    // The folder is made where it is not there.
    folder.turn().await;
    assert!(ground.path("in").is_dir());
    ground.write("in/a.patch", "one");
    ground.write("in/b.txt", "two");
    ground.write("in/.hidden", "no");
    ground.write("in/inner/c.txt", "no");
    ground.line.full.store(4, SeqCst);
    folder.turn().await;
    let taken = [("it/a.patch", "one"), ("it/b.txt", "two")];
    let as_taken = |all: &[(&str, &str)]| -> Vec<_> {
        all.iter()
            .map(|(name, body)| ((*name).to_owned(), (*body).to_owned(), String::new()))
            .collect()
    };
    assert_eq!(ground.taken(), as_taken(&taken));
    assert_eq!(below(&ground.path("in")), [".hidden", "inner/c.txt"]);
    // The same once more is known, another content of that name is another input.
    ground.write("in/a.patch", "one");
    folder.turn().await;
    assert_eq!(ground.taken().len(), 2);
    ground.write("in/a.patch", "three");
    folder.turn().await;
    assert_eq!(ground.taken().len(), 3);
    assert_eq!(ground.line.submitted.load(SeqCst), 4);
    assert_eq!(below(&ground.path("in")), [".hidden", "inner/c.txt"]);
    let large = "x".repeat(Body::INLINE + 1);
    ground.write("in/large", &large);
    folder.turn().await;
    assert_eq!(ground.taken()[3].1, format!("{} bytes", large.len()));
    let said = ground.said();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("`a.patch` was taken before as "),
        "{said:?}"
    );
}

#[tokio::test]
async fn files_that_were_taken_are_kept_where_the_line_says() {
    let ground = Ground::new();
    let folder = ground.folder(Inbox {
        done: Some(ground.path("in/.done")),
        pattern: Some("*.patch".into()),
        ..ground.inbox()
    });
    for content in ["one", "two", "two"] {
        ground.write("in/a.patch", content);
        ground.write("in/a.txt", "not this");
        folder.turn().await;
    }
    assert_eq!(ground.names(), ["it/a.patch", "it/a.patch"]);
    let left = below(&ground.path("in"));
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.contains(&".done/a.patch".into()) && left.contains(&"a.txt".into()));
}

#[tokio::test]
async fn what_is_no_plain_file_stays_where_it_is() {
    let ground = Ground::new();
    let folder = ground.folder(ground.inbox());
    ground.write("outside", "not to be read");
    fs::create_dir(ground.path("in")).expect("a folder");
    symlink(ground.path("outside"), ground.path("in/link")).expect("a link");
    symlink("/nowhere", ground.path("in/dangling")).expect("a link");
    let fifo = ground.path("in/fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    let huge = fs::File::create(ground.path("in/huge")).expect("a file");
    huge.set_len(MOST + 1).expect("it grows");
    folder.turn().await;
    folder.turn().await;
    assert!(ground.names().is_empty());
    let mut said = ground.said();
    said.sort();
    let expected = [
        "source `it` of `line`: `dangling` is not taken and stays where it is: it is a link, and links are not followed",
        "source `it` of `line`: `fifo` is not taken and stays where it is: it is no plain file",
        "source `it` of `line`: `huge` is not taken and stays where it is: it is larger than 64 MiB",
        "source `it` of `line`: `link` is not taken and stays where it is: it is a link, and links are not followed",
    ];
    assert_eq!(said, expected);
    assert_eq!(
        below(&ground.path("in")),
        ["dangling", "fifo", "huge", "link"]
    );
    // One that is mended is taken.
    huge.set_len(3).expect("it shrinks");
    folder.turn().await;
    assert_eq!(ground.names(), ["it/huge"]);
}

#[tokio::test]
async fn a_file_that_still_changes_is_left_alone() {
    let ground = Ground::new();
    let folder = ground.folder(Inbox {
        settle: Duration::from_secs(3600),
        ..ground.inbox()
    });
    ground.write("in/a", "half");
    let wait = folder.turn().await.expect("it comes back");
    assert!(wait > Duration::from_secs(3000), "{wait:?}");
    assert!(ground.names().is_empty());
}

#[tokio::test]
async fn what_a_crash_left_claimed_comes_first() {
    let ground = Ground::new();
    let factory: String = (ground.state.journal.factory().iter())
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let claims = format!("in/.andon-claimed/{factory}.line");
    ground.write(&format!("{claims}/a"), "claimed");
    let folder = ground.folder(ground.inbox());
    folder.turn().await;
    assert_eq!(ground.names(), ["it/a"]);
    // Submitted and not removed: it is known.
    ground.write(&format!("{claims}/a"), "claimed");
    ground.write("in/a", "another");
    ground.folder(ground.inbox()).turn().await;
    assert_eq!(ground.names(), ["it/a", "it/a"]);
    assert!(below(&ground.path("in")).is_empty());
    // What another factory claimed is not ours.
    ground.write("in/.andon-claimed/other.line/b", "theirs");
    ground.folder(ground.inbox()).turn().await;
    assert_eq!(ground.names().len(), 2);
}

#[tokio::test]
async fn claims_do_not_lead_out_of_the_folder() {
    let ground = Ground::new();
    ground.write("elsewhere/a", "not to be taken");
    fs::create_dir(ground.path("in")).expect("a folder");
    symlink(ground.path("elsewhere"), ground.path("in/.andon-claimed")).expect("a link");
    ground.write("in/b", "waits");
    let folder = ground.folder(ground.inbox());
    folder.turn().await;
    folder.turn().await;
    assert!(ground.names().is_empty());
    assert_eq!(ground.said().len(), 1);
    assert_eq!(below(&ground.path("elsewhere")), ["a"]);
    fs::remove_file(ground.path("in/.andon-claimed")).expect("it is removed");
    folder.turn().await;
    assert_eq!(ground.names(), ["it/b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_share_a_folder() {
    let (one, other) = (Ground::new(), Ground::new());
    for n in 0..300 {
        one.write(&format!("in/{n}"), &n.to_string());
    }
    let folders = [one.folder(one.inbox()), other.folder(one.inbox())];
    let [first, second] = folders.each_ref().map(|folder| async {
        // What the other had in its hands comes to its end there.
        for _ in 0..3 {
            folder.turn().await;
        }
    });
    tokio::join!(first, second);
    let mut all = [one.names(), other.names()].concat();
    assert_eq!(all.len(), 300);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 300);
    assert!(below(&one.path("in")).is_empty());
}
