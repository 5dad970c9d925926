//! What the trait promises of effects.

use super::*;
use crate::{
    effect::{Answered, Effect, EffectKind, End, Ended, Failure, Intent, Rest, VisitKey},
    item::Body,
};

suite![
    an_effect_is_kept_and_its_end_with_it,
    visits_are_kept_apart,
    effects_are_listed_in_their_order,
    what_was_handed_over_is_seen,
    an_effect_of_no_item_is_refused,
    it_is_known_until_when_something_is_recorded,
    bodies_are_found_and_go_with_their_item,
];

fn visit(item: &ItemId, station: &str, nth: u32) -> VisitKey {
    VisitKey {
        item: item.clone(),
        station: name(station),
        nth,
    }
}

/// An effect of a run, under its number.
fn effect(run: u32, number: u32, at: u64) -> Effect {
    Effect {
        run,
        number,
        at,
        intent: Intent {
            kind: EffectKind::Http,
            safe: false,
            digest: Digest::of("x"),
            occurrence: 1,
            what: "POST http://a/\u{1b}[31m".into(),
            rule: "* http://a/**".into(),
            idempotent: true,
            resample: false,
        },
        end: None,
    }
}

fn ended(mut effect: Effect, at: u64) -> Effect {
    effect.end = Some(End {
        at,
        ended: Ended::Done,
        bytes_out: 1,
        bytes_in: u64::MAX >> 1,
        answer: Some(Answered {
            at,
            status: 200,
            headers: vec![("x-own".into(), serde_bytes::ByteBuf::from(vec![0xff, 0]))],
            body: Body::Stored {
                digest: Digest::of("y"),
                len: 70_000,
            },
            read: 5,
            rest: Rest::Failed(Failure::Broken),
        }),
        failure: None,
    });
    effect
}

/// The effects of a visit, or of all.
fn all(journal: &dyn Journal, item: &ItemId, visit: Option<(&str, u32)>) -> Vec<Effect> {
    let visit = visit.map(|(station, nth)| (name(station), nth));
    let all = block_on(journal.effects(item.clone(), visit)).unwrap();
    all.into_iter().map(|(_, effect)| effect).collect()
}

fn an_effect_is_kept_and_its_end_with_it(journal: &dyn Journal) {
    let item = id("a");
    keep(journal, &item, vec![taken(1, "line")]);
    let key = visit(&item, "s", 1);
    let one = effect(1, 1, 10);
    block_on(journal.intend(key.clone(), one.clone())).unwrap();
    assert_eq!(
        all(journal, &item, Some(("s", 1))),
        std::slice::from_ref(&one)
    );
    let one = ended(one, 20);
    block_on(journal.ended(key.clone(), one.clone())).unwrap();
    // What is safe was not intended before.
    let mut two = ended(effect(1, 2, 15), 16);
    two.intent.safe = true;
    block_on(journal.ended(key.clone(), two.clone())).unwrap();
    assert_eq!(all(journal, &item, Some(("s", 1))), [one, two]);
}

fn visits_are_kept_apart(journal: &dyn Journal) {
    let (a, b) = (id("a"), id("b"));
    keep(journal, &a, vec![taken(1, "line")]);
    keep(journal, &b, vec![taken(1, "line")]);
    let keys = [
        visit(&a, "s", 1),
        visit(&a, "s", 2),
        visit(&a, "t", 1),
        visit(&b, "s", 1),
    ];
    for (at, key) in (1..).zip(&keys) {
        drop(journal.intend(key.clone(), effect(1, 1, at)));
    }
    for (at, key) in (1..).zip(&keys) {
        let one = Some((key.station.as_str(), key.nth));
        assert_eq!(all(journal, &key.item, one), [effect(1, 1, at)]);
    }
    assert_eq!(all(journal, &a, Some(("s", 3))), []);
    assert_eq!(all(journal, &a, None).len(), 3);
}

fn effects_are_listed_in_their_order(journal: &dyn Journal) {
    let item = id("a");
    keep(journal, &item, vec![taken(1, "line")]);
    let key = visit(&item, "s", 1);
    for (run, number, at) in [(2, 1, 30), (1, 2, 20), (1, 1, 10), (1, 10, 15)] {
        drop(journal.intend(key.clone(), effect(run, number, at)));
    }
    let order = |effects: Vec<Effect>| -> Vec<_> {
        effects
            .iter()
            .map(|effect| (effect.run, effect.number))
            .collect()
    };
    let one = order(all(journal, &item, Some(("s", 1))));
    assert_eq!(one, [(1, 1), (1, 2), (1, 10), (2, 1)]);
    let by_time = order(all(journal, &item, None));
    assert_eq!(by_time, [(1, 1), (1, 10), (1, 2), (2, 1)]);
}

fn what_was_handed_over_is_seen(journal: &dyn Journal) {
    let item = id("a");
    drop(journal.append(append(journal, &item, vec![taken(1, "line")])));
    let key = visit(&item, "s", 1);
    for number in 1..=200 {
        drop(journal.intend(key.clone(), effect(1, number, 1)));
        drop(journal.ended(key.clone(), ended(effect(1, number, 1), 2)));
    }
    let seen = all(journal, &item, Some(("s", 1)));
    assert_eq!(seen.len(), 200);
    assert!(seen.iter().all(Effect::done));
}

fn an_effect_of_no_item_is_refused(journal: &dyn Journal) {
    let nobody = id("nobody");
    let key = visit(&nobody, "s", 1);
    assert!(block_on(journal.intend(key.clone(), effect(1, 1, 1))).is_err());
    assert!(block_on(journal.ended(key, effect(1, 1, 1))).is_err());
    assert_eq!(all(journal, &nobody, None), []);
    // Which is nobody else's trouble.
    keep(journal, &id("a"), vec![taken(1, "line")]);
}

fn it_is_known_until_when_something_is_recorded(journal: &dyn Journal) {
    let item = id("a");
    keep(journal, &item, vec![taken(1, "line")]);
    let key = visit(&item, "s", 1);
    assert_eq!(journal.recorded_until(&key, 1).unwrap(), 0);
    drop(journal.ended(key.clone(), ended(effect(1, 1, 1), 70)));
    drop(journal.ended(key.clone(), ended(effect(2, 1, 1), 50)));
    block_on(journal.intend(key.clone(), effect(2, 2, 90))).unwrap();
    let until = |first| journal.recorded_until(&key, first).unwrap();
    assert_eq!([until(1), until(2), until(3)], [70, 50, 0]);
    let other = visit(&item, "s", 2);
    assert_eq!(journal.recorded_until(&other, 1).unwrap(), 0);
}

fn bodies_are_found_and_go_with_their_item(journal: &dyn Journal) {
    let (a, b) = (
        finished(journal, "a", 1, "line", Destination::Scrap),
        finished(journal, "b", 1, "line", Destination::Scrap),
    );
    for item in [&a, &b] {
        let key = visit(item, "s", 1);
        block_on(journal.intend(key.clone(), effect(1, 1, 1))).unwrap();
        block_on(journal.ended(key, ended(effect(1, 2, 1), 2))).unwrap();
    }
    let bodies = |after, most| journal.effect_bodies(after, most).unwrap();
    let found = bodies(0, 9);
    let items: BTreeSet<_> = found.iter().map(|(_, item, _)| item).collect();
    assert_eq!(items, BTreeSet::from([&a, &b]));
    assert!(
        found
            .iter()
            .all(|(_, _, digest)| *digest == Digest::of("y"))
    );
    assert_eq!(bodies(0, 1), found[..1]);
    assert_eq!(bodies(found[0].0, 9), found[1..]);

    let which = crate::journal::Retired {
        ended: 9,
        unfetched: None,
    };
    assert_eq!(
        block_on(journal.forget(vec![a.clone()], which, 9, 9)).unwrap(),
        1
    );
    assert!(all(journal, &a, None).is_empty());
    assert_eq!(bodies(0, 9).len(), 1);
    let records = journal.load(&b).unwrap();
    let summary = journal.list(&Filter::default()).unwrap().remove(0);
    let rewritten = crate::journal::Rewritten {
        item: b.clone(),
        expected: records.len() as Seq,
        records,
        summary,
    };
    block_on(journal.rewrite(rewritten)).unwrap();
    assert!(all(journal, &b, None).is_empty() && bodies(0, 9).is_empty());
}
