//! Retools that are refused because of what goes on at the same time.

use super::running::{BOUND, Factory, LINE, name};
use andon::{
    journal::{PhaseKind, RetoolKind},
    lines::{Because, Control as _, FaultKind},
    retool::Retool,
};
use std::collections::BTreeMap;

#[test]
fn one_retool_of_a_line_runs_at_a_time() {
    let factory = Factory::run(LINE, None);
    factory.runtime.block_on(async {
        let wanted = factory.wanted(&LINE.replacen("@stamp", "@pass-on", 1));
        // The first has its turn before the second asks.
        let (first, second) = tokio::join!(
            factory.retool(wanted.clone()),
            factory.retool(wanted.clone())
        );
        assert_eq!(first.expect("it is retooled").revision, 2);
        let refused = second.expect_err("it is not its turn");
        assert_eq!(refused.kind, FaultKind::Conflict);
        insta::assert_snapshot!(refused);
        assert_eq!(factory.kinds(), [RetoolKind::Apply]);
        // The turn is given back.
        let back = factory.wanted(LINE);
        assert_eq!(factory.retool(back).await.expect("it is back").revision, 3);
        factory.lines.drain(BOUND).await;
    });
}

#[test]
fn a_station_where_items_wait_does_not_go() {
    let factory = Factory::run(LINE, None);
    factory.runtime.block_on(async {
        let (line, slow) = (&factory.line, name("slow"));
        let paused = factory.lines.pause("anna", line, &slow, Because::default());
        paused.await.expect("it is paused");
        factory.feed(0..3).await;
        let waits = || {
            let counts = factory.lines.state().journal.counts(line);
            let at = (PhaseKind::Waiting, Some(slow.clone()), 3);
            counts.expect("it counts").contains(&at)
        };
        factory.until("all wait there", waits).await;
        let without = LINE
            .replace("next = \"slow\"", "next = \"last\"")
            .replace("[stations.slow]\nuse = \"@waits\"\nnext = \"last\"\n", "");
        let moved = |to: &str| Retool {
            moves: BTreeMap::from([(slow.clone(), name(to))]),
            ..factory.wanted(&without)
        };
        let mut refused = Vec::new();
        for wanted in [
            factory.wanted(&without),
            moved("nowhere"),
            moved("slow"),
            Retool {
                ramp: Some(10),
                ..factory.wanted(&without)
            },
        ] {
            let fault = factory.retool(wanted).await.expect_err("it is refused");
            refused.push(format!("{:?} {fault}", fault.kind));
        }
        insta::assert_snapshot!(refused.join("\n"));
        assert!(factory.kinds().is_empty());
        let retooled = factory.retool(moved("last")).await.expect("it is moved");
        assert_eq!(retooled.moved, 3);
        factory
            .until("all are done", || factory.count(PhaseKind::Done) == 3)
            .await;
        factory.lines.drain(BOUND).await;
    });
}
