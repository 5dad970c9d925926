//! One history a test: a line, what happens, and where that leaves the item.

use super::{
    lines::{name, passed, payload, report},
    world::World,
};
use crate::{
    item::{Clear, Event, FoldError, Given, Item, Message, Phase, Record, Refused, Wants},
    limits::Limit,
    visit::{Outcome, Question},
};
use std::time::Duration;

/// Plays a script of `path: event -> where it is then`. Events are the ports of a visit's outputs
/// (`-` for none), `!` and another outcome, `@` and a time that comes, `crash` or `stop` of the host, a
/// clearing with `+`, an answer with `=` (`=ship`, `=ship by bob`, `=: text`), `cancel`, `to` and the station
/// that a retool sends it to (`to nowhere`), or `?` to look only.
pub(super) fn check(line: &str, script: &str) {
    run(World::new(line), script);
}

pub(super) fn run(mut world: World, script: &str) {
    for text in script
        .lines()
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        let (path, rest) = text.split_once(':').unwrap();
        let (what, then) = rest.split_once("->").unwrap();
        let id = world.id(path);
        let answer = play(&mut world, &id, what.trim());
        world.deliver_all();
        let found = match answer {
            Ok(()) => world.tell(&id),
            Err(refused) => refused
                .to_string()
                .lines()
                .next()
                .unwrap()
                .replace(id.as_str(), "ITEM"),
        };
        assert_eq!(found, then.trim(), "after `{text}`");
    }
}

pub(super) fn play(world: &mut World, id: &crate::item::ItemId, what: &str) -> Result<(), Refused> {
    let event = match what.split_at(1) {
        ("?", _) => return Ok(()),
        ("@", time) => {
            world.now = time.parse().unwrap();
            Event::Due
        }
        ("+", how) => {
            let how = match how.split_once(' ') {
                Some(("edit", body)) => Clear::Edit(payload(body)),
                Some((_, port)) => Clear::Skip(name(port)),
                None if how == "retry" => Clear::Retry,
                None => Clear::Scrap,
            };
            Event::Cleared {
                by: "ann".into(),
                why: "so".into(),
                how,
            }
        }
        ("=", answer) => {
            let (answer, by) = answer.split_once(" by ").unwrap_or((answer, "ann"));
            let (choice, text) = answer.split_once(": ").unwrap_or((answer, ""));
            answered(by, choice, text)
        }
        _ if what == "cancel" => Event::Cancelled {
            by: "ann".into(),
            why: "so".into(),
        },
        _ if what.starts_with("to ") => Event::Relocated {
            to: Some(name(&what[3..])).filter(|to| *to != *"nowhere"),
        },
        _ => {
            world.event(id, Event::Start { revision: 1 })?;
            match what {
                "crash" => Event::Interrupted { stopped: false },
                "stop" => Event::Interrupted { stopped: true },
                "!ask" => Event::Reported(report(Outcome::Asked(question(&["yes", "no"], false)))),
                "!ask text" => Event::Reported(report(Outcome::Asked(question(&[], true)))),
                "start" => return Ok(()),
                "-" => Event::Reported(passed("")),
                "!retry" => Event::Reported(report(Outcome::Retry {
                    reason: "busy".into(),
                    after: None,
                })),
                "!trap" => Event::Reported(report(Outcome::Trapped("unreachable".into()))),
                "!reject" => Event::Reported(report(Outcome::Rejected("not mine".into()))),
                "!invalid" => Event::Reported(report(Outcome::Invalid("no such file".into()))),
                "!wall" | "!memory" => Event::Reported(report(Outcome::Overrun {
                    limit: if what == "!wall" {
                        Limit::Wall
                    } else {
                        Limit::Memory
                    },
                    value: "5s".into(),
                })),
                outputs => Event::Reported(passed(outputs)),
            }
        }
    };
    world.event(id, event).map(drop)
}

pub(super) fn answered(by: &str, choice: &str, text: &str) -> Event {
    Event::Answered {
        by: by.into(),
        why: "so".into(),
        given: Given {
            choice: choice.into(),
            text: text.into(),
            payload: None,
        },
    }
}

pub(super) fn question(choices: &[&str], free_text: bool) -> Question {
    Question {
        id: "q".into(),
        prompt: "Really?".into(),
        choices: choices.iter().map(|choice| choice.to_string()).collect(),
        free_text,
    }
}

#[test]
fn along_a_line() {
    check(
        "a = pass:b leak:scrap\nb = pass:done",
        ":?->ready a 1/1
         :start->working a 1/1
         :start->item `ITEM` cannot begin an attempt: it is working",
    );
    check(
        "a = pass:b\nb = pass:done",
        ":pass->ready b 1/1
         :pass->done with a result
         :pass->item `ITEM` cannot begin an attempt: it is done",
    );
    check("a = pass:b leak:scrap", ":leak->scrapped");
    check("a = pass:b", ":-->done");
}

#[test]
fn labels_choose_and_travel() {
    let line =
        "a = pass:b\nb = pass:c?risk=high&lang=c,d?risk=high,done\nc = pass:done\nd = pass:done";
    check(
        line,
        ":pass?risk=high&lang=c->ready b 1/1 lang=c risk=high
         :pass->ready c 1/1 lang=c risk=high",
    );
    check(
        line,
        ":pass?risk=high&lang=c->ready b 1/1 lang=c risk=high
         :pass?lang=->ready d 1/1 risk=high",
    );
    check(line, ":pass->ready b 1/1\n:pass->done with a result");
    check(
        "a = pass:done?risk=high",
        ":pass?risk=low->jammed at a: no rule of the port `pass` fits the labels
         :+retry->ready a 1/1
         :pass?risk=high->done with a result",
    );
}

#[test]
fn a_port_that_is_not_wired() {
    check(
        "a = leak:done",
        ":pass->jammed at a: invalid answer: the port `pass` of `a` is not wired (only `leak` is)
         :+skip pass->item `ITEM` cannot leave `a` by the port `pass`: only `leak` is wired
         :+skip leak->done with a result",
    );
    check(
        "a = pass:done leak:done reject:done",
        ":odd->jammed at a: invalid answer: the port `odd` of `a` is not wired (`leak`, `pass`, `reject` are)",
    );
    // one bad output of several spoils the visit: nothing is split
    check(
        "a = pass:done reject:done",
        ":pass odd->jammed at a: invalid answer: the port `odd` of `a` is not wired (`pass`, `reject` are)
         1:?->unknown",
    );
    check(
        "a = pass:done reject:done",
        ":reject->jammed at a: invalid answer: an output of `a` is on the port `reject`, which is reserved",
    );
}

#[test]
fn attempts_end() {
    let line = "a = pass:done attempts=3";
    check(
        line,
        ":!retry->ready a 1/2
         :!trap->ready a 1/3
         :!wall->jammed at a: every attempt failed, the last one: over the limit `wall` of 5s
         :+retry->ready a 1/1
         :pass->done with a result",
    );
    check(line, ":!memory->jammed at a: over the limit `memory` of 5s");
    check(line, ":!invalid->jammed at a: invalid answer: no such file");
    check(
        "a = pass:done attempts=0",
        ":!trap->jammed at a: every attempt failed, the last one: unreachable",
    );
}

#[test]
fn a_host_that_ends() {
    check(
        "a = pass:done attempts=9",
        ":crash->ready a 1/1
         :stop->ready a 1/1
         :stop->ready a 1/1
         :!retry->ready a 1/2
         :crash->ready a 1/2
         :crash->jammed at a: the host ended three times during this visit
         :+retry->ready a 1/1
         :crash->ready a 1/1
         :crash->ready a 1/1
         :stop->ready a 1/1
         :pass->done with a result",
    );
}

#[test]
fn what_is_rejected() {
    check(
        "a = pass:done",
        ":!reject->jammed at a: rejected: not mine\n:+scrap->scrapped",
    );
    check(
        "a = pass:done reject:b\nb = pass:done",
        ":!reject->ready b 1/1",
    );
    // several inputs leave a join as several
    check(
        "a = pass:j\nj = pass:done reject:b join=a\nb = pass:done",
        ":pass pass->ready j 1/1 x2
         :!reject->split 3,4 x2
         3:pass->done with a result
         4:?->ready b 1/1
         4:pass->done with a result
         :?->done x2",
    );
}

#[test]
fn loops_are_bounded() {
    let line = "a = pass:b\nb = pass:done again:a visits=2";
    check(
        line,
        ":pass->ready b 1/1
         :again->ready a 2/1
         :pass->ready b 2/1
         :again->ready a 3/1
         :pass->jammed at b: it may not come to `b` again, and the port `exhausted` does not lead on
         :+retry->ready b 3/1
         :pass->done with a result",
    );
    check(
        "a = again:a exhausted:b visits=1\nb = pass:done exhausted:a visits=1 again:b",
        ":again->ready b 1/1
         :again->jammed at a: it may not come to `a` again, and the port `exhausted` does not lead on",
    );
    // children go on counting where their parent was
    check(
        "a = pass:a visits=2",
        ":pass pass->split 1,2
         1:pass->jammed at a: it may not come to `a` again, and the port `exhausted` does not lead on",
    );
}

#[test]
fn a_split_and_its_join() {
    let line = "a = pass:b other:j\nb = pass:j drop:scrap\nj = pass:done join=a";
    check(
        line,
        ":pass?n=1 other?n=2 pass?n=3->split 1,3
         2:?->joined
         3:pass->joined
         1:pass->joined
         :?->ready j 1/1 x3 n=1 n=2 n=3
         :pass?sum=1->done with a result",
    );
    check(
        line,
        ":pass pass->split 1,2\n1:drop->scrapped\n2:pass->joined\n:?->ready j 1/1",
    );
    check(
        line,
        ":pass pass->split 1,2\n1:drop->scrapped\n2:-->done\n:?->done",
    );
    // never split: the join has one input
    check(
        line,
        ":pass->ready b 1/1\n:pass->ready j 1/1\n:pass->done with a result",
    );
    // no join: the children go on alone
    check(
        "a = pass:b\nb = pass:done",
        ":pass pass->split 1,2\n1:pass->done with a result\n:?->split 2\n2:pass->done with a result\n:?->done",
    );
}

#[test]
fn visits_are_counted_over_all_stations_and_ancestors() {
    check(
        "a = pass:b limit=4\nb = pass:a limit=4",
        ":pass->ready b 1/1
         :pass->ready a 2/1
         :!retry->ready a 2/2
         :pass->ready b 2/1
         :pass->ready a 3/1
         :start->jammed at a: over the limit `visits` of 4
         :+retry->ready a 3/1
         :start->jammed at a: over the limit `visits` of 4
         :+skip pass->ready b 3/1
         :start->jammed at b: over the limit `visits` of 4",
    );
    // children have their parent's behind them, and an item that joins has the most of any child's
    check(
        "a = pass:b limit=3\nb = pass:b out:j limit=3\nj = pass:done join=a limit=3",
        ":pass pass->split 1,2
         1:pass->ready b 2/1
         1:out->joined
         2:out->joined
         :start->jammed at j: over the limit `visits` of 3 x2",
    );
}

#[test]
fn children_are_counted_over_the_whole_tree() {
    let bomb = "a = pass:a children=7";
    check(
        bomb,
        ":pass pass->split 1,2
         1:pass pass pass->jammed at a: over the limit `children` of 7, of which 1 are left to this item
         1:+retry->ready a 2/1
         2:pass->ready a 3/1",
    );
    check(
        bomb,
        ":pass pass pass pass pass pass pass pass->jammed at a: over the limit `children` of 7",
    );
    // what children did not use comes back, and what they did does not
    check(
        "a = pass:j again:a children=9\nj = pass:a join=a",
        ":again again->split 1,2
         1:pass pass->ready j 1/1 x2
         1:pass->ready a 3/1
         1:-->done
         2:pass->joined
         :?->ready j 1/1
         :pass->ready a 3/1
         :pass pass pass pass pass pass->jammed at a: over the limit `children` of 9, of which 5 are left to this item
         :+retry->ready a 3/1
         :pass pass pass pass pass->ready j 2/1 x5",
    );
}

#[test]
fn labels_after_a_join_are_those_before_the_split() {
    let line = "z = pass:a\na = pass:j\nj = pass:e join=a\ne = pass:done";
    check(
        line,
        ":pass?base=1->ready a 1/1 base=1
         :pass?n=1 pass?n=2->ready j 1/1 x2 base=1 n=1 base=1 n=2
         :pass?own=1->ready e 1/1 base=1 own=1",
    );
}

#[test]
fn splits_within_splits() {
    // `b` splits again; all that it makes goes to the join of `a`
    check(
        "a = pass:b\nb = pass:j\nj = pass:done join=a",
        ":pass pass->split 1,2
         2:pass->joined
         1:pass?n=1 pass?n=2->done
         1.1:?->joined
         :?->ready j 1/1 x3 n=1 n=2",
    );
    // each has a join of its own
    check(
        "a = pass:b\nb = pass:k out:j\nk = pass:j join=b\nj = pass:done join=a",
        ":pass pass->split 1,2
         1:pass?n=1 out?n=2 pass?n=3->ready k 1/1 x2 n=1 n=3
         1:pass?k=1->joined
         2:pass->ready k 1/1
         2:pass->joined
         :?->ready j 1/1 x3 k=1 n=2",
    );
}

#[test]
fn a_join_that_waits_no_longer() {
    let jam = "a = pass:b quick:j\nb = pass:j\nj = pass:done join=a after=100";
    check(
        jam,
        ":pass quick->split 1
         :@99->split 1
         :@100->jammed at a: the time to wait is over, and 1 child is missing
         :+skip pass->item `ITEM` waits for 1 of its children
         1:pass->joined
         :?->ready j 1/1 x2",
    );
    check(
        jam,
        ":pass quick->split 1
         :@100->jammed at a: the time to wait is over, and 1 child is missing
         :+retry->ready j 1/1
         1:pass->joined
         :pass->done with a result",
    );
    check(
        jam,
        ":pass pass->split 1,2
         :@100->jammed at a: the time to wait is over, and 2 children are missing
         :+retry->nothing has arrived at the join that item `ITEM` waits for
         :+scrap->scrapped
         1:pass->joined",
    );
    let pass = &format!("{jam} missing=pass");
    check(
        pass,
        ":pass quick->split 1\n:@100->ready j 1/1\n1:pass->joined\n:?->ready j 1/1",
    );
    check(
        pass,
        ":pass pass->split 1,2\n:@100->jammed at a: the time to wait is over, and 2 children are missing",
    );
}

#[test]
fn a_join_that_was_visited_enough() {
    check(
        "a = pass:j\nj = again:a exhausted:e join=a visits=1\ne = pass:done",
        ":pass pass->ready j 1/1 x2
         :again->ready a 2/1
         :pass pass->split 5,6 x2
         5:pass->done with a result
         6:pass->done with a result
         :?->done x2",
    );
    check(
        "a = pass:j\nj = again:a join=a visits=1",
        ":pass pass->ready j 1/1 x2
         :again->ready a 2/1
         :pass pass->jammed at j: it may not come to `j` again, and the port `exhausted` does not lead on x2
         :+edit new->item `ITEM` carries 2 payloads, which one cannot replace
         :+retry->ready j 2/1 x2",
    );
}

#[test]
fn jams_are_cleared_by_people() {
    let line = "a = pass:b\nb = pass:done attempts=1";
    check(line, ":+retry->item `ITEM` is not jammed but waiting");
    check(
        line,
        ":pass->ready b 1/1\n:!trap->jammed at b: every attempt failed, the last one: unreachable\n:+edit new->ready b 1/1\n:pass->done with a result",
    );
    // a child scrapped by a person does not keep its parent waiting
    check(
        line,
        ":pass pass->split 1,2
         1:!trap->jammed at b: every attempt failed, the last one: unreachable
         2:pass->done with a result
         :?->split 1
         1:+scrap->scrapped
         :?->done",
    );
}

#[test]
fn waits_grow_and_differ() {
    let mut world = World::new("a = pass:done attempts=40");
    let id = world.root.clone();
    let mut waits = vec![];
    for asked in [None, None, None, Some(3), Some(1_000_000)] {
        world.event(&id, Event::Start { revision: 1 }).unwrap();
        let outcome = Outcome::Retry {
            reason: "busy".into(),
            after: asked.map(Duration::from_secs),
        };
        world.event(&id, Event::Reported(report(outcome))).unwrap();
        let Wants::Visit { not_before, .. } = world.item(&id).wants() else {
            panic!("it waits")
        };
        waits.push(not_before.unwrap());
    }
    assert!((100..=200).contains(&waits[0]), "{waits:?}");
    assert!((200..=400).contains(&waits[1]), "{waits:?}");
    assert!((400..=800).contains(&waits[2]), "{waits:?}");
    assert_eq!(waits[3..], [3000, 24 * 60 * 60 * 1000]);
}

#[test]
fn what_is_said_twice_is_heard_once() {
    let mut world = World::new("a = pass:b\nb = pass:j\nj = pass:done join=a");
    let root = world.root.clone();
    play(&mut world, &root, "pass pass").unwrap();
    let spawns = world.mail.clone();
    assert_eq!(world.item(&root).spawns(), spawns);
    world.mail.extend(spawns.clone());
    world.deliver_all();
    let first = world.id("1");
    play(&mut world, &first, "pass").unwrap();
    let end = world.mail.clone();
    world.deliver_all();
    for message in spawns.into_iter().take(1).chain(end) {
        // spawned again, a child that has ended says so again; its parent knows
        world.deliver(message);
        world.deliver_all();
        assert_eq!(world.tell(&root), "split 2");
    }
    for unknown in [0, 3, u32::MAX] {
        world.deliver(World::ended(root.clone(), unknown));
    }
    assert_eq!(world.items[&root].1.len(), 4);
}

#[test]
fn arrivals_of_strangers_are_not_taken() {
    let mut world = World::new("a = pass:b\nb = pass:j\nj = pass:done join=a");
    let root = world.root.clone();
    play(&mut world, &root, "pass pass").unwrap();
    world.deliver_all();
    let second = world.id("2");
    play(&mut world, &second, "pass").unwrap();
    let Some(Message::ChildEnded { parent, end, .. }) = world.mail.pop() else {
        panic!("it has a parent")
    };
    world.deliver(Message::ChildEnded {
        parent,
        child: 1,
        end,
    });
    assert!(world.item(&root).split().unwrap().arrivals.is_empty());
}

#[test]
fn histories_that_cannot_be() {
    let world = World::new("a = pass:done");
    let id = world.root.clone();
    let taken = world.items[&id].1[0].clone();
    let started = Record::Started { at: 1, revision: 0 };
    let gathered = Record::Gathered { at: 1, join: None };
    let ended = Record::Finished {
        at: 1,
        facts: Default::default(),
    };
    let split = |children| Record::Split {
        at: 1,
        children,
        workspace: None,
        join: None,
        until: None,
        shares: None,
        facts: Default::default(),
    };
    for (records, says) in [
        (vec![&started], "does not begin"),
        (vec![&taken, &taken], "it was taken before"),
        (
            vec![&taken, &started, &started],
            "an attempt begins, but the item is working",
        ),
        (
            vec![&taken, &gathered],
            "it gathers its children, but the item is waiting",
        ),
        (
            vec![&taken, &ended, &ended],
            "it leaves a station, but the item is done",
        ),
        (vec![&taken, &split(vec![])], "it is split into nothing"),
    ] {
        let records: Vec<_> = records.into_iter().cloned().collect();
        let error: FoldError = Item::fold(id.clone(), &records).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    for record in super::one_of_each_kind() {
        for next in super::one_of_each_kind() {
            // nonsense in any order is an error or an item, never a panic
            let _ = Item::fold(id.clone(), &[taken.clone(), record.clone(), next]);
        }
    }
    assert_eq!(Item::fold(id, &[]).unwrap(), None);
}

#[test]
fn workspaces_travel() {
    let mut world = World::new("a = pass:b\nb = pass:j\nj = pass:done join=a");
    let root = world.root.clone();
    let digest = |text: &str| Some(crate::digest::Digest::of(text));
    let visit = |world: &mut World, id: &crate::item::ItemId, words: &str, files| {
        world.event(id, Event::Start { revision: 1 }).unwrap();
        let mut report = passed(words);
        report.workspace = files;
        world.event(id, Event::Reported(report)).unwrap();
        world.deliver_all();
    };
    visit(&mut world, &root, "pass pass", digest("root"));
    let (one, two) = (world.id("1"), world.id("2"));
    assert_eq!(world.item(&one).workspace, digest("root"));
    visit(&mut world, &two, "pass", None);
    visit(&mut world, &one, "pass", digest("one"));
    let item = world.item(&root);
    assert_eq!(item.workspace, digest("root"));
    assert_eq!(item.joined, [digest("one"), digest("root")]);
    assert!(matches!(&item.phase, Phase::Ready { .. }));
}
