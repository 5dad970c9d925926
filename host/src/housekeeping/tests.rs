//! A state folder made by hand: what may go and what must not, what is erased, what is found.

use super::*;
use crate::{
    content::Content,
    digest::Digest,
    factory::Retention,
    item::{Body, Destination, Item, Labels, Payload, Record, Ticket},
    journal::{Append, Filter, Sqlite},
    lines::State,
    name::Name,
    workspace::Held,
};
use bytes::Bytes;
use futures::executor::block_on;
use std::{
    collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration,
};
use tempfile::TempDir;

const DAY: u64 = 24 * 60 * 60 * 1000;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn folder() -> (TempDir, State) {
    let dir = TempDir::new().unwrap();
    let state = State::open(&dir.path().join("state")).unwrap();
    (dir, state)
}

fn id(key: &str) -> ItemId {
    ItemId::input(b"0123456789abcdef", "line", key)
}

fn order<'a>(item: &'a ItemId, at: u64, why: &'a str) -> Erase<'a> {
    Erase {
        item,
        reruns: false,
        at,
        by: "ann",
        why,
    }
}

/// What an item is made of.
struct Made<'a> {
    key: &'a str,
    at: u64,
    /// Its body: in the content store where it is large.
    body: &'a [u8],
    /// Files of its workspace.
    files: &'a [(&'a str, Vec<u8>)],
    ends: bool,
}

fn make(state: &State, made: &Made<'_>) -> ItemId {
    let item = id(made.key);
    let mut blobs = Vec::new();
    let mut workspace = None;
    if !made.files.is_empty() {
        let mut entered = state.workspaces.of(&item, None, &[]);
        let root = entered.enter().unwrap().workspace.clone();
        for (path, bytes) in made.files {
            fs::write(root.join(path), bytes).unwrap();
        }
        let most = Held {
            bytes: 1 << 30,
            entries: 1 << 20,
        };
        let snapshot = entered.leave(Some(most)).unwrap().unwrap();
        workspace = Some(snapshot.digest);
        blobs = snapshot.blobs;
        state.workspaces.forget(&item).unwrap();
    }
    let body = match made.body.len() > Body::INLINE {
        true => Body::Stored {
            digest: state.content.put(made.body).unwrap(),
            len: made.body.len() as u64,
        },
        false => Body::Inline(Bytes::copy_from_slice(made.body)),
    };
    let mut labels = Labels::default();
    labels.set("who", "SECRET-label").unwrap();
    let payload = Payload {
        content_type: "text/plain".into(),
        body,
        labels,
    };
    let at = made.at;
    let mut records = vec![
        Record::Taken {
            at,
            line: name("line"),
            revision: 1,
            source: format!("{}.txt", made.key),
            to: Destination::Station(name("a")),
            payload: payload.clone(),
            workspace: None,
            lineage: vec![],
            visits: BTreeMap::new(),
            budget: None,
            ticket: Ticket::default(),
        },
        Record::Started { at, revision: 1 },
        Record::Moved {
            at,
            port: name("pass"),
            to: match made.ends {
                true => Destination::Done,
                false => Destination::Station(name("b")),
            },
            payload,
            workspace,
            facts: Default::default(),
        },
    ];
    if !made.ends {
        records.push(Record::Started { at, revision: 1 });
    }
    let after = Item::fold(item.clone(), &records).unwrap().unwrap();
    let append = state.journal.append(Append {
        item: item.clone(),
        expected: 0,
        records,
        messages: vec![],
        blobs,
        summary: after.summary(),
    });
    block_on(append).unwrap();
    item
}

fn deliver(state: &State, items: &[&ItemId]) {
    let items = items.iter().map(|item| (*item).clone()).collect();
    block_on(state.journal.delivered(items)).unwrap();
}

fn most(number: u32) -> Retention {
    Retention {
        most: Some(number),
        ..Retention::default()
    }
}

fn large(text: &str) -> Vec<u8> {
    text.repeat(1 + Content::SMALL / text.len()).into_bytes()
}

fn files(state: &State) -> usize {
    let mut number = 0;
    state.content.each(|_, _| number += 1).unwrap();
    number
}

fn wrong(state: &State) -> Vec<String> {
    let found = examine(state).unwrap();
    let wrong = found
        .all
        .into_iter()
        .filter(|f| f.hint.is_some() && f.about != "disk");
    wrong.map(|f| format!("{}: {}", f.about, f.what)).collect()
}

/// Whatever is kept, erased and collected in whatever order: what is left is whole.
#[test]
fn what_a_remaining_item_needs_is_never_removed() {
    for seed in 0..24_u64 {
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut roll = |below: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % below
        };
        let (_dir, state) = folder();
        let mut collector = Collector::new();
        let mut now = 1_000 * DAY;
        for n in 0..30 {
            // Contents are few, so that items share them.
            let content = |n: u64| match n % 2 {
                0 => large(&format!("content {n}")),
                _ => format!("content {n}").into_bytes(),
            };
            let files: Vec<_> = (0..roll(4))
                .map(|f| (["a", "b", "c", "d"][f as usize], content(roll(8))))
                .collect();
            let item = make(
                &state,
                &Made {
                    key: &n.to_string(),
                    at: now,
                    body: &content(roll(8)),
                    files: &files,
                    ends: roll(3) > 0,
                },
            );
            if roll(2) == 0 {
                deliver(&state, &[&item]);
            }
            now += roll(DAY);
            match roll(8) {
                0 => drop(Collector::at_rest(&state, now, &most(5)).unwrap()),
                1 => drop(erase(&state, order(&item, now, "asked to"))),
                2 | 3 => {
                    collector.collect(&state, now, &most(5), &|| true).unwrap();
                }
                _ => {}
            }
            assert_eq!(
                wrong(&state)
                    .iter()
                    .filter(|w| !w.starts_with("orphans"))
                    .count(),
                0,
                "seed {seed}, step {n}: {:?}",
                wrong(&state)
            );
        }
        Collector::at_rest(&state, now, &most(1)).unwrap();
        assert_eq!(wrong(&state), Vec::<String>::new(), "seed {seed}");
        let done = Collector::at_rest(&state, now, &most(1)).unwrap();
        assert_eq!(done, Collected::default(), "seed {seed}: once is enough");
    }
}

#[test]
fn what_nothing_names_goes_after_a_while_unless_it_is_kept_again() {
    let (_dir, state) = folder();
    let now = crate::conveyor::wall_clock();
    let (again, gone) = (large("again"), large("gone"));
    for bytes in [&again, &gone] {
        state.content.put(bytes).unwrap();
    }
    let mut collector = Collector::new();
    let mut collect = |at| {
        collector
            .collect(&state, at, &Retention::default(), &|| true)
            .unwrap()
    };
    assert_eq!(collect(now + 1_000), Collected::default());
    assert_eq!(collect(now + DAY), Collected::default());
    // As the input that is about to be taken does.
    let file = state.content.file(&Digest::of(&again)).unwrap().unwrap();
    let later = std::time::SystemTime::now() + Duration::from_secs(60);
    file.set_modified(later).unwrap();
    let done = collect(now + DAY + 1_000);
    assert_eq!((done.files, done.bytes), (1, gone.len() as u64));
    assert!(state.content.get(&Digest::of(&again)).unwrap().is_some());
    assert_eq!(collect(now + DAY + 2_000).files, 0, "it begins anew");
    assert_eq!(collect(now + 3 * DAY).files, 1);
}

#[test]
fn nobody_collects_while_somebody_makes_a_backup() {
    let (dir, state) = folder();
    state.content.put(&large("unneeded")).unwrap();
    let held = backup::collecting(&state.folder).unwrap().unwrap();
    let done = Collector::at_rest(&state, DAY, &Retention::default()).unwrap();
    assert_eq!((done.files, files(&state)), (0, 1));
    drop(held);
    assert_eq!(
        Collector::at_rest(&state, DAY, &Retention::default())
            .unwrap()
            .files,
        1
    );
    back_up(&state, &dir.path().join("backup"), DAY).unwrap();
}

#[test]
fn a_snapshot_that_cannot_be_read_keeps_everything() {
    let (_dir, state) = folder();
    let made = Made {
        key: "a",
        at: 1,
        body: b"x",
        files: &[("f", large("file"))],
        ends: true,
    };
    let item = make(&state, &made);
    state.content.put(&large("unneeded")).unwrap();
    let journal = state.folder.join("journal.sqlite");
    drop(state);
    let broken = rusqlite::Connection::open(&journal).unwrap();
    broken.execute("DELETE FROM blobs", []).unwrap();
    drop(broken);
    let state = State::open(journal.parent().unwrap()).unwrap();
    let error = Collector::at_rest(&state, DAY, &Retention::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(item.as_str()) && error.contains("missing"),
        "{error}"
    );
    assert_eq!(files(&state), 2);
}

#[test]
fn retention_goes_by_age_by_count_and_by_what_was_fetched() {
    let (_dir, state) = folder();
    let now = 100 * DAY;
    let items: Vec<_> = (0..10)
        .map(|n| {
            make(
                &state,
                &Made {
                    key: &n.to_string(),
                    at: n * 10 * DAY,
                    body: b"x",
                    files: &[],
                    ends: n != 3,
                },
            )
        })
        .collect();
    let left = || -> Vec<usize> {
        let all = state.journal.list(&Filter::default()).unwrap();
        let at = |s: crate::item::Summary| items.iter().position(|i| *i == s.item).unwrap();
        all.into_iter().map(at).collect()
    };
    let days = |n: u64| Duration::from_secs(n * DAY / 1000);
    let finished = |n| Retention {
        finished: Some(days(n)),
        ..Retention::default()
    };
    let collect = |policy: Retention| Collector::at_rest(&state, now, &policy).unwrap().trees;
    // Nobody fetched any of them.
    assert_eq!(collect(finished(1)), 0);
    let old = Retention {
        unfetched: Some(days(85)),
        ..finished(1)
    };
    assert_eq!(survey(&state, now, &old).unwrap().trees, 2);
    assert_eq!(collect(old), 2);
    deliver(&state, &items.iter().collect::<Vec<_>>());
    assert_eq!(collect(finished(75)), 1);
    assert_eq!(left(), [3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(collect(most(4)), 2);
    assert_eq!(left(), [3, 6, 7, 8, 9]);
    assert_eq!(collect(finished(1)), 4);
    assert_eq!(left(), [3], "what has not ended stays");
    // Known for as long as that is wanted.
    assert!(items.iter().all(|item| state.journal.knows(item).unwrap()));
    let known = Retention {
        known: days(5),
        ..Retention::default()
    };
    assert_eq!(
        Collector::at_rest(&state, now + 6 * DAY, &known)
            .unwrap()
            .lapsed,
        9
    );
    assert!(!state.journal.knows(&items[9]).unwrap());
    assert!(state.journal.knows(&items[3]).unwrap());
}

#[test]
fn what_is_erased_is_nowhere_any_more() {
    let (dir, state) = folder();
    let body = large("SECRET-body");
    let files = [
        ("small", b"SECRET-small".to_vec()),
        ("large", b"SECRET-large".repeat(9000)),
    ];
    let made = |key, ends| Made {
        key,
        at: 5,
        body: &body,
        files: &files,
        ends,
    };
    let item = make(&state, &made("a", true));
    let entry = crate::journal::conformance_entry(&item, "GET https://example.com/SECRET-call");
    block_on(state.journal.audit(vec![entry])).unwrap();
    let child = item.child(1).unwrap();
    let error = erase(&state, order(&id("nobody"), 9, "x"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("there is no item"), "{error}");
    let unfinished = make(&state, &made("b", false));
    let error = erase(&state, order(&unfinished, 9, "x"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("has not ended") && error.contains("andon cancel"),
        "{error}"
    );
    state.journal.verify(None).unwrap().unwrap();

    // A child's name stands for its tree.
    let erased = erase(&state, order(&child, 9, "asked to")).unwrap();
    assert_eq!((erased.roots, erased.items), (vec![item.clone()], 1));
    assert_eq!(erased.left, []);
    let records = state.journal.load(&item).unwrap();
    let last = records.last().unwrap();
    assert!(
        matches!(last, Record::Erased { at: 9, by, why } if by == "ann" && why == "asked to"),
        "{last:?}"
    );
    let again = erase(&state, order(&item, 9, "x")).unwrap_err().to_string();
    assert!(again.contains("was erased before"), "{again}");
    let verified = state.journal.verify(None).unwrap().unwrap();
    assert_eq!((verified.chain.entries, verified.erased), (1, 1));
    assert!(state.journal.undelivered(&name("line")).unwrap().is_empty());
    assert_eq!(wrong(&state), Vec::<String>::new());

    // The other item has the same contents; with it the last of them goes.
    let mut ends = state.journal.load(&unfinished).unwrap();
    let expected = ends.len() as u64;
    let finished = Record::Finished {
        at: 6,
        facts: Default::default(),
    };
    ends.push(finished.clone());
    let after = Item::fold(unfinished.clone(), &ends).unwrap().unwrap();
    block_on(state.journal.append(Append {
        item: unfinished.clone(),
        expected,
        records: vec![finished],
        messages: vec![],
        blobs: vec![],
        summary: after.summary(),
    }))
    .unwrap();
    erase(&state, order(&unfinished, 9, "asked to")).unwrap();
    Collector::at_rest(&state, 10, &Retention::default()).unwrap();
    drop(state);
    let mut folders = vec![dir.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(7).any(|window| window == b"SECRET-");
            assert!(!found, "{}", path.display());
        }
    }
}

/// Something done to a state folder behind its back, and what is found.
#[test]
fn a_doctor_finds_and_mends() {
    let sql = |sql: &'static str| {
        move |folder: &Path| {
            let file = rusqlite::Connection::open(folder.join("journal.sqlite")).unwrap();
            file.execute_batch(sql).unwrap();
        }
    };
    let first_blob = |folder: &Path| {
        let mut first = None;
        Content::open(folder.join("blobs"))
            .each(|digest, _| first = Some(digest))
            .unwrap();
        let text = first.unwrap().to_string();
        folder.join("blobs").join(&text[..2]).join(&text[2..])
    };
    type Harm<'a> = Box<dyn Fn(&Path) + 'a>;
    let cases: Vec<(Harm<'_>, &str, bool)> = vec![
        (
            Box::new(sql("UPDATE items SET phase = 'jammed', reason = 'x'")),
            "listing: item",
            true,
        ),
        (
            Box::new(sql("UPDATE items SET phase = 'lost'")),
            "is listed as nothing",
            true,
        ),
        (
            Box::new(sql("UPDATE items SET source = 'y', taken = 77")),
            "listing: item",
            true,
        ),
        (
            Box::new(sql("DELETE FROM records WHERE seq = 2")),
            "records: ",
            false,
        ),
        (
            Box::new(sql("UPDATE records SET facts = x'c0' WHERE seq = 3")),
            "records: ",
            false,
        ),
        (
            Box::new(sql(
                "INSERT INTO records SELECT 999, 77, seq, kind, version, at, facts FROM records WHERE seq = 1",
            )),
            "are of no item",
            false,
        ),
        (Box::new(sql("DELETE FROM blobs")), "is missing", false),
        (
            Box::new(sql("UPDATE audit SET deed = 'tcp'")),
            "audit: entry 1",
            false,
        ),
        (
            Box::new(|folder| fs::remove_file(first_blob(folder)).unwrap()),
            "blobs: the blob",
            false,
        ),
        (
            Box::new(|folder| fs::write(first_blob(folder), "other").unwrap()),
            "does not have its digest",
            false,
        ),
        (
            Box::new(|folder| {
                Content::open(folder.join("blobs"))
                    .put(&large("orphan"))
                    .unwrap();
            }),
            "orphans: 1 large blobs",
            true,
        ),
        (
            Box::new(sql("INSERT INTO blobs VALUES (zeroblob(32), x'00')")),
            "orphans: 1 small blobs",
            true,
        ),
        (
            Box::new(|folder| fs::create_dir_all(folder.join("assets/old")).unwrap()),
            "orphans: 1 assets",
            true,
        ),
        (
            Box::new(|folder| {
                let open = fs::Permissions::from_mode(0o750);
                fs::set_permissions(folder, open).unwrap();
            }),
            "is open to others (mode 750)",
            false,
        ),
    ];
    for (harm, says, mends) in cases {
        let (dir, state) = folder();
        let made = Made {
            key: "a",
            at: 5,
            body: &large("body"),
            files: &[("f", b"small".to_vec())],
            ends: true,
        };
        let item = make(&state, &made);
        let entry = crate::journal::conformance_entry(&item, "GET https://example.com/");
        block_on(state.journal.audit(vec![entry])).unwrap();
        drop(state);
        let path = dir.path().join("state");
        assert_eq!(wrong(&State::view(&path).unwrap()), Vec::<String>::new());
        harm(&path);
        let mut found = examine(&State::view(&path).unwrap()).unwrap();
        let texts: Vec<_> = found
            .all
            .iter()
            .map(|f| format!("{}: {}", f.about, f.what))
            .collect();
        assert!(
            texts.iter().any(|text| text.contains(says)),
            "{says}: {texts:#?}"
        );
        assert!(!found.are_well(), "{says}");
        let state = State::open(&path).unwrap();
        let repaired = repair(&state, &mut found, DAY);
        assert!(repaired.is_ok() || !mends, "{says}: {repaired:?}");
        assert_eq!(
            wrong(&state).is_empty(),
            mends,
            "{says}: {:#?}",
            wrong(&state)
        );
    }
    let (_dir, state) = folder();
    let found = examine(&state).unwrap();
    assert!(
        found
            .all
            .iter()
            .any(|f| f.about == "lock" && f.what.contains("another andon"))
    );
    assert!(Sqlite::is_in_use(&state.folder));
}

#[test]
fn an_export_has_everything_once() {
    let (_dir, state) = folder();
    let made = Made {
        key: "a",
        at: 5,
        body: b"\xff\x00 no text",
        files: &[],
        ends: true,
    };
    let item = make(&state, &made);
    make(
        &state,
        &Made {
            key: "b",
            at: 50,
            body: b"text",
            ..made
        },
    );
    let entry = crate::journal::conformance_entry(&item, "GET https://example.com/");
    block_on(state.journal.audit(vec![entry])).unwrap();
    state
        .journal
        .keep_revision(&name("line"), "no definition")
        .unwrap();
    let all = |which: &Export| {
        let mut all = Vec::new();
        export::<HousekeepingError>(&state, which, 7, &mut |value| {
            all.push(value.clone());
            Ok(())
        })
        .unwrap();
        all
    };
    let types = |values: &[serde_json::Value]| -> Vec<String> {
        values
            .iter()
            .map(|value| value["type"].as_str().unwrap().into())
            .collect()
    };
    let whole = all(&Export::default());
    assert_eq!(
        types(&whole),
        [
            "export", "revision", "item", "record", "record", "record", "item", "record", "record",
            "record", "audit"
        ]
    );
    assert_eq!(
        whole[3]["facts"]["payload"]["body"]["Base64"],
        "/wAgbm8gdGV4dA=="
    );
    assert_eq!(whole[7]["facts"]["payload"]["body"]["Text"], "text");
    assert_eq!(whole[3]["kind"], "taken");
    let since = Export {
        since: Some(50),
        line: None,
    };
    assert_eq!(
        types(&all(&since)),
        ["export", "revision", "item", "record", "record", "record"]
    );
    let other = Export {
        line: Some(name("other")),
        since: None,
    };
    assert_eq!(types(&all(&other)), ["export"]);
}

#[test]
fn revisions_go_that_nothing_runs_by() {
    let (_dir, state) = folder();
    let line = "line = 'line'\nentry = 'a'\n[stations.a]\nuse = 'x'\nassets = [{ host = 'HOST', guest = '/x' }]\nnext = 'done'\n";
    let digests: Vec<Digest> = (1..=20)
        .map(|n: u64| {
            let digest = state
                .content
                .put(&large(&format!("component {n} ")))
                .unwrap();
            let shelf = state.folder.join("assets").join(format!("asset{n}"));
            fs::create_dir_all(shelf).unwrap();
            let text = line.replace("HOST", &format!("asset{n}"));
            let line = crate::line::parse("line.toml", &text, &Default::default())
                .unwrap()
                .line;
            let revision = crate::assembly::Revision {
                components: [(name("a"), digest)].into(),
                line,
                folder: "..".into(),
                file: None,
            };
            let kept = state
                .journal
                .keep_revision(&name("line"), &revision.to_text().unwrap());
            assert_eq!(kept.unwrap(), n);
            digest
        })
        .collect();
    // One is under way on the first, and it runs by the third again.
    make(
        &state,
        &Made {
            key: "a",
            at: DAY,
            body: b"x",
            files: &[],
            ends: false,
        },
    );
    let stands = crate::journal::LineState::new(name("line"), None, 3);
    block_on(state.journal.keep_line(stands, None)).unwrap();
    let stays = |n: u64| [1, 3].contains(&n) || n > 10;
    let kept = |of: &dyn Fn(u64) -> bool| (1..=20).filter(|n| of(*n)).collect::<Vec<u64>>();
    let there = |n: u64| {
        let asset = state
            .folder
            .join("assets")
            .join(format!("asset{n}"))
            .exists();
        assert_eq!(
            state
                .content
                .get(&digests[n as usize - 1])
                .unwrap()
                .is_some(),
            asset
        );
        asset
    };
    let survey = survey(&state, DAY, &Retention::default()).unwrap();
    assert_eq!((survey.files, survey.assets), (8, 8));
    let done = Collector::at_rest(&state, DAY, &Retention::default()).unwrap();
    assert_eq!((done.files, done.assets), (8, 8));
    assert_eq!(kept(&there), kept(&stays));
    // What they were is still known, and nothing is missing.
    assert!(state.journal.revision(&name("line"), 2).unwrap().is_some());
    let found = examine(&state).unwrap();
    let again = Collector::at_rest(&state, DAY, &Retention::default()).unwrap();
    assert_eq!((again.files, again.assets), (0, 0), "{found:?}");
}
