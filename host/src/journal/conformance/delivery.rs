//! What the trait promises of deliveries to sinks.

use super::*;
use crate::journal::{Delivery, DeliveryState};

suite![
    a_sink_is_owed_each_result_until_it_has_it,
    deliveries_are_tried_when_they_are_due,
    reasons_are_bounded,
];

const LATER: u64 = 1 << 40;

fn owed(journal: &dyn Journal, sink: &str, until: u64) -> Vec<Delivery> {
    journal
        .owed(&name("line"), &name(sink), until, 100)
        .unwrap()
}

fn items(deliveries: &[Delivery]) -> Vec<ItemId> {
    deliveries.iter().map(|d| d.item.clone()).collect()
}

fn with(delivery: &Delivery, state: DeliveryState, next: u64) -> Delivery {
    Delivery {
        attempts: delivery.attempts + 1,
        next,
        state,
        reason: (state != DeliveryState::Done).then(|| "HTTP 503".into()),
        ..delivery.clone()
    }
}

fn keep_all(journal: &dyn Journal, deliveries: Vec<Delivery>) {
    block_on(journal.keep_deliveries(deliveries)).unwrap();
}

fn a_sink_is_owed_each_result_until_it_has_it(journal: &dyn Journal) {
    assert!(owed(journal, "hook", LATER).is_empty());
    let b = finished(journal, "b", 5, "line", Destination::Done);
    let a = finished(journal, "a", 1, "line", Destination::Done);
    finished(journal, "c", 2, "line", Destination::Scrap);
    finished(journal, "d", 2, "other", Destination::Done);

    let all = owed(journal, "hook", LATER);
    assert_eq!(items(&all), [a.clone(), b.clone()]);
    assert_eq!(all[0], Delivery::first(a.clone(), name("hook"), 3));
    assert_eq!(items(&owed(journal, "hook", 3)), std::slice::from_ref(&a));
    assert!(owed(journal, "hook", 2).is_empty());
    let one = journal.owed(&name("line"), &name("hook"), LATER, 1);
    assert_eq!(items(&one.unwrap()), std::slice::from_ref(&a));
    assert!(journal.deliveries(&a).unwrap().is_empty());

    keep_all(
        journal,
        vec![
            with(&all[0], DeliveryState::Done, 9),
            with(&all[1], DeliveryState::GivenUp, 9),
            Delivery::first(id("unknown"), name("hook"), 1),
        ],
    );
    assert!(owed(journal, "hook", LATER).is_empty());
    assert!(journal.deliveries(&id("unknown")).unwrap().is_empty());
    // another sink is owed all of them still, until they are said to be delivered
    assert_eq!(
        items(&owed(journal, "folder", LATER)),
        [a.clone(), b.clone()]
    );
    block_on(journal.delivered(vec![a.clone()])).unwrap();
    assert_eq!(items(&owed(journal, "folder", LATER)), [b]);
    let kept = journal.deliveries(&a).unwrap();
    assert_eq!(kept, [with(&all[0], DeliveryState::Done, 9)]);
}

fn deliveries_are_tried_when_they_are_due(journal: &dyn Journal) {
    let a = finished(journal, "a", 1, "line", Destination::Done);
    let b = finished(journal, "b", 2, "line", Destination::Done);
    let first = owed(journal, "hook", LATER).remove(0);
    let again = with(&first, DeliveryState::Owed, 500);
    keep_all(journal, vec![again.clone()]);
    assert_eq!(items(&owed(journal, "hook", 499)), std::slice::from_ref(&b));
    let all = owed(journal, "hook", 500);
    assert_eq!(items(&all), [b, a.clone()]);
    assert_eq!(all[1], again);
    // what is kept replaces what was
    keep_all(journal, vec![with(&again, DeliveryState::Owed, 900)]);
    assert_eq!(owed(journal, "hook", 500).len(), 1);
    assert_eq!(journal.deliveries(&a).unwrap()[0].attempts, 2);
}

fn reasons_are_bounded(journal: &dyn Journal) {
    finished(journal, "a", 1, "line", Destination::Done);
    let mut delivery = owed(journal, "hook", LATER).remove(0);
    delivery.reason = Some("ü".repeat(Delivery::REASON));
    keep_all(journal, vec![delivery]);
    let kept = owed(journal, "hook", LATER).remove(0).reason.unwrap();
    assert!(
        kept.len() <= Delivery::REASON && kept.ends_with("ü…"),
        "{kept}"
    );
}
