//! Recorded visits, held against what a line is retooled to.

use super::running::{BOUND, Factory, LINE};
use andon::{
    journal::PhaseKind,
    lines::{Control as _, FaultKind},
    retool::{Plan, PlanFor, Retool},
};

/// A plan with the ids of items replaced.
fn told(plan: &Plan) -> String {
    let visits = plan.shadow.iter().flatten().flat_map(|it| &it.visits);
    visits.fold(plan.to_string(), |text, visit| {
        text.replace(visit.item.as_str(), "ITEM")
    })
}

#[test]
fn what_comes_out_differently_has_to_be_accepted() {
    let factory = Factory::run(LINE, None);
    factory.runtime.block_on(async {
        factory.feed(0..5).await;
        factory
            .until("all are done", || factory.count(PhaseKind::Done) == 5)
            .await;
        let shadowed = |text: &str, visits, accept: &[&str]| Retool {
            shadow: Some(visits),
            accept: accept.iter().map(ToString::to_string).collect(),
            ..factory.wanted(text)
        };
        let other = LINE.replacen("@stamp", "@pass-on", 1);
        let more = LINE.replacen("@stamp\"", "@stamp\"\nworkers = 3", 1);
        let traps = LINE.replacen("@stamp", "@traps", 1);

        let mut all = Vec::new();
        // Of a trap the texts are another with every tool chain.
        for (text, visits, whole) in [(&more, 9, true), (&other, 3, true), (&traps, 2, false)] {
            factory.ground.line(text);
            let wanted = PlanFor {
                shadow: Some(visits),
                ..PlanFor::default()
            };
            let plan = factory.lines.plan(&factory.line, wanted).await;
            let plan = plan.expect("there is one");
            let written = serde_json::to_string(&plan).expect("it is written");
            let read: Plan = serde_json::from_str(&written).expect("it is read");
            assert_eq!(read, plan);
            // The digests are another with every tool chain.
            let text = told(&plan);
            let lines = text.lines().filter(|line| !line.contains("component"));
            all.extend(lines.skip(1).map(ToOwned::to_owned));
            let visits = plan.shadow.iter().flatten().flat_map(|it| &it.visits);
            for visit in visits.take(usize::from(whole)) {
                for difference in &visit.differences {
                    all.push(format!(
                        "{}: {:?} -> {:?}",
                        difference.what, difference.recorded, difference.replayed
                    ));
                }
            }
        }
        insta::assert_snapshot!(all.join("\n"));

        let mut refused = Vec::new();
        for wanted in [
            shadowed(&other, 3, &[]),
            shadowed(&other, 3, &["first"]),
            Retool {
                shadow: None,
                ..shadowed(&other, 3, &["shadow"])
            },
            shadowed(&other, 0, &["shadow"]),
            shadowed(&other, 1001, &["shadow"]),
        ] {
            let fault = factory.retool(wanted).await.expect_err("it is refused");
            assert_ne!(fault.kind, FaultKind::Internal, "{fault}");
            refused.push(fault.message);
        }
        insta::assert_snapshot!(refused.join("\n"));
        assert!(factory.kinds().is_empty());

        // What comes out as it was needs no word.
        let retooled = factory.retool(shadowed(&more, 9, &[])).await;
        assert_eq!(retooled.expect("it is well").plan.replayed(), (5, 0));
        let retooled = factory.retool(shadowed(&other, 3, &["shadow"])).await;
        assert_eq!(retooled.expect("it is accepted").plan.replayed(), (3, 3));
        let history = factory.lines.history(&factory.line).await;
        let last = history.expect("there is one").retools.pop();
        let last = last.expect("there is one");
        assert_eq!(last.accepted, ["shadow"]);
        assert_eq!(last.notes["shadow"], "3 visits replayed, 3 different");
        // Nothing of it is an item's.
        factory.feed(5..6).await;
        factory
            .until("the next is done", || factory.count(PhaseKind::Done) == 6)
            .await;
        assert_eq!(factory.revisions(6), [1, 3].into());
        factory.lines.drain(BOUND).await;
    });
}
