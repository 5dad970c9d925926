//! What is asked of a running line: submissions, pauses, answers, cancellations, other revisions.

use super::*;
use crate::item::Priority;
use std::future::Future;

fn revised(number: u64, text: &str) -> Arc<Revised> {
    Arc::new(Revised {
        number,
        line: line(text),
        components: BTreeMap::new(),
    })
}

const TWO: &str = "line = 'l'\nentry = 'a'\n[defaults]\nworkers = 1\nqueue = 8\n[stations.a]\nuse = 'x'\n\
     next = 'b'\n[stations.b]\nuse = 'x'\nnext = 'done'\n";
/// `b` is called `c` here.
const OTHER: &str = "line = 'l'\nentry = 'a'\n[defaults]\nworkers = 1\nqueue = 8\n[stations.a]\nuse = 'x'\n\
     next = 'c'\n[stations.c]\nuse = 'x'\nnext = 'done'\n";

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn input(key: &str, priority: Priority) -> Input {
    let mut taking = Taking::plain(key, payload(key));
    taking.ticket.priority = priority;
    Input {
        key: key.into(),
        taking,
        blobs: Vec::new(),
    }
}

/// Runs a line while `give` gives orders, and on until it is idle.
fn driven<F: Future<Output = ()>>(
    journal: &Arc<Memory>,
    change: Change,
    paused: &[&str],
    runner: Arc<dyn Runner>,
    give: impl FnOnce(Handle, Arc<Board>) -> F,
) -> Ending {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let board = Arc::new(Board::default());
    let conveyor = Conveyor {
        journal: journal.clone(),
        runner,
        change,
        paused: paused.iter().map(|station| name(station)).collect(),
        board: board.clone(),
        notify: Box::new(|_| {}),
        clock,
        stopped: false,
    };
    let (handle, orders) = Handle::new();
    let (_drain, drained) = watch::channel(false);
    runtime.block_on(async move {
        let running =
            tokio::spawn(conveyor.run_within(room(), mpsc::channel(1).1, orders, drained));
        give(handle, board).await;
        running.await.expect("no panics").expect("it runs")
    })
}

fn items(journal: &Memory) -> Vec<Item> {
    let all = journal.list(&Filter::default()).expect("it lists");
    let fold = |summary: crate::journal::Summary| {
        let records = journal.load(&summary.item).expect("it loads");
        Item::fold(summary.item, &records).expect("it folds")
    };
    all.into_iter().filter_map(fold).collect()
}

fn pass() -> Arc<Script> {
    Script::new(|visit| passed(visit, &["pass"]))
}

#[test]
fn the_same_submission_is_the_same_item_and_a_full_entry_says_so() {
    let journal = Arc::new(Memory::new());
    driven(
        &journal,
        Change::to(revised(1, TWO)),
        &["a"],
        pass(),
        async |line, board| {
            for n in 0..8 {
                let first = line.submit(input(&n.to_string(), Priority::Normal)).await;
                assert!(!first.expect("there is room").known);
            }
            let again = line.submit(input("3", Priority::Normal)).await;
            assert!(again.expect("it is known").known);
            let full = line.submit(input("9", Priority::Normal)).await;
            assert!(
                matches!(full, Err(Unable::Full { waiting: 8, .. })),
                "{full:?}"
            );
            let (_, counts) = board.counts().next().expect("a station");
            assert!(counts.paused && counts.waiting == 8, "{counts:?}");
            assert!(line.pause(name("z"), true).await.is_err());
            line.pause(name("a"), false).await.expect("it goes on");
        },
    );
    assert_eq!(items(&journal).len(), 8);
    assert!(items(&journal).iter().all(|item| item.kind().ended()));
}

#[test]
fn what_is_urgent_goes_first() {
    let journal = Arc::new(Memory::new());
    let order = Arc::new(Mutex::new(Vec::new()));
    let runner = Script::new({
        let order = order.clone();
        move |visit| {
            if visit.station == *"a" {
                order.lock().expect("no panics").push(visit.item.clone());
            }
            passed(visit, &["pass"])
        }
    });
    driven(
        &journal,
        Change::to(revised(1, TWO)),
        &["a"],
        runner,
        async |line, _| {
            for (key, priority) in [
                ("1", Priority::Low),
                ("2", Priority::Normal),
                ("3", Priority::High),
                ("4", Priority::Normal),
                ("5", Priority::High),
            ] {
                line.submit(input(key, priority))
                    .await
                    .expect("there is room");
            }
            line.pause(name("a"), false).await.expect("it goes on");
        },
    );
    let expected = ["3", "5", "2", "4", "1"].map(|key| ItemId::input(&journal.factory(), "l", key));
    assert_eq!(*order.lock().expect("no panics"), expected);
}

/// Items wait, work and come from a revision while it is replaced.
#[test]
fn a_retool_loses_nobody_and_each_attempt_ends_as_it_began() {
    for (percent, moved) in [(None, 1u64), (Some(50), 0)] {
        for seed in 0..40 {
            tight(seed);
            let journal = Arc::new(Memory::unruly(seed));
            let first = revised(1, TWO);
            let second = revised(2, OTHER);
            let mut moves = BTreeMap::from([(name("b"), name("c"))]);
            if percent.is_some() {
                moves.insert(name("c"), name("b"));
            }
            let change = Change {
                current: if percent.is_some() {
                    first.clone()
                } else {
                    second.clone()
                },
                ramp: percent.map(|percent| Ramp {
                    to: second.clone(),
                    percent,
                }),
                moves: moves.clone(),
                older: BTreeMap::new(),
            };
            let runner = Script::new(|visit| {
                let of = if visit.revision == 2 { "c" } else { "b" };
                assert!(visit.station == *"a" || visit.station == *of);
                passed(visit, &["pass"])
            });
            driven(
                &journal,
                Change::to(first.clone()),
                &["b"],
                runner,
                async |line, board| {
                    for n in 0..6 {
                        let taken = line.submit(input(&n.to_string(), Priority::Normal)).await;
                        taken.expect("there is room");
                    }
                    while !board
                        .counts()
                        .any(|(at, counts)| at == *"b" && counts.waiting > 0)
                    {
                        tokio::task::yield_now().await;
                    }
                    let refused = line.retool(Change::to(second.clone())).await;
                    assert!(
                        matches!(refused, Err(Unable::Waiting { .. })),
                        "{refused:?}"
                    );
                    let changed = line.retool(change).await.expect("it fits");
                    assert!(changed.moved >= moved, "{changed:?}");
                    if percent.is_some() {
                        line.pause(name("b"), false).await.expect("it goes on");
                    }
                },
            );
            for item in items(&journal) {
                assert!(item.kind().ended(), "{item:?}, seed {seed}");
                let records = journal.load(&item.id).expect("it loads");
                let started = |record: &&Record| matches!(record, Record::Started { .. });
                assert_eq!(records.iter().filter(started).count(), 2, "{records:#?}");
            }
        }
    }
}

/// Comes back from no station but the first.
struct Hangs;

impl Runner for Hangs {
    fn visit(&self, visit: Visit) -> BoxFuture<'static, Report> {
        async move {
            if visit.station != *"a" {
                std::future::pending::<()>().await;
            }
            passed(&visit, &["pass", "pass", "pass"])
        }
        .boxed()
    }

    fn parted(&self, _: &ItemId) {}
}

#[test]
fn a_cancellation_takes_the_whole_tree_also_what_is_under_way() {
    for seed in 0..40 {
        tight(seed / 2);
        let journal = Arc::new(Memory::unruly(seed));
        let ending = driven(
            &journal,
            Change::to(revised(1, TWO)),
            &[],
            Arc::new(Hangs),
            async |line, board| {
                let taken = line.submit(input("1", Priority::Normal)).await;
                let item = taken.expect("there is room").item;
                for _ in 0..seed {
                    tokio::task::yield_now().await;
                }
                while seed % 2 == 0
                    && !board
                        .counts()
                        .any(|(at, now)| at == *"b" && now.working > 0)
                {
                    tokio::task::yield_now().await;
                }
                let cancel = || Event::Cancelled {
                    by: "ann".into(),
                    why: "not wanted".into(),
                };
                let gone = line.act(item.clone(), cancel()).await.expect("it is there");
                assert!(gone.phase.ended());
                assert!(line.act(item.clone(), cancel()).await.is_err());
                let forged = line.act(item, Event::Interrupted { stopped: true }).await;
                assert!(matches!(forged, Err(Unable::Failed(_))), "{forged:?}");
            },
        );
        assert_eq!(ending, Ending::Idle);
        assert!(
            items(&journal).iter().all(|item| item.kind().ended()),
            "seed {seed}"
        );
    }
}
