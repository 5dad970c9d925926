//! Handler stations.

use super::bench::{BENCH, echoing_handler, handler, passed, run, station};
use crate::{
    limits::Limit,
    sandbox::{PrepareError, Runner},
    visit::Outcome,
};
use std::time::Duration;

#[tokio::test]
async fn a_response_is_an_output() {
    let headers = [
        ("andon-port", "leak"),
        ("andon-label-risk", "high"),
        ("content-type", "text/html"),
    ];
    let report = run(&handler(Some(201), &headers), station()).await;
    let Outcome::Passed(outputs) = &report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(outputs.len(), 1);
    assert_eq!(outputs[0].port, *"leak");
    assert_eq!(outputs[0].payload.content_type, "text/html");
    assert_eq!(outputs[0].payload.labels.get("risk"), Some("high"));
    let report = run(&handler(Some(204), &[]), station()).await;
    let Outcome::Passed(outputs) = &report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(outputs[0].port, *"pass");
    assert_eq!(outputs[0].payload.content_type, "application/octet-stream");
}

#[tokio::test]
async fn bodies_go_in_and_come_out() {
    let report = run(&echoing_handler(2), station()).await;
    assert_eq!(passed(&report), [("pass".into(), "hellohello".into())]);
    let report = run(&echoing_handler(1000), station()).await;
    assert!(
        matches!(
            report.outcome,
            Outcome::Overrun {
                limit: Limit::Output,
                ..
            }
        ),
        "{report:?}"
    );
}

#[tokio::test]
async fn the_status_says_how_it_went() {
    let retry = |reason: &str, after: Option<u64>| Outcome::Retry {
        reason: reason.into(),
        after: after.map(Duration::from_secs),
    };
    let invalid = |text: &str| Outcome::Invalid(text.into());
    let later = ("retry-after", "7");
    for (status, headers, outcome) in [
        (
            Some(503),
            &[later][..],
            retry("503 Service Unavailable", Some(7)),
        ),
        (
            Some(429),
            &[("retry-after", "soon")],
            retry("429 Too Many Requests", None),
        ),
        (Some(408), &[], retry("408 Request Timeout", None)),
        (
            Some(500),
            &[later],
            retry("500 Internal Server Error", None),
        ),
        (Some(404), &[], Outcome::Rejected("404 Not Found".into())),
        (
            Some(302),
            &[],
            invalid("the station answered with status 302 Found: 2xx, 4xx and 5xx are answers"),
        ),
        (
            Some(200),
            &[("andon-port", "exhausted")],
            invalid("output 1: `exhausted` is no port: `exhausted` is reserved for the host"),
        ),
        (None, &[], invalid("the station gave no response")),
    ] {
        assert_eq!(
            run(&handler(status, headers), station()).await.outcome,
            outcome
        );
    }
}

#[tokio::test]
async fn it_takes_one_payload() {
    let mut visit = BENCH.prepare(&handler(Some(200), &[]), &station()).unwrap();
    visit.inputs.push(visit.inputs[0].clone());
    let report = BENCH.runner.visit(visit).await;
    let Outcome::Invalid(text) = report.outcome else {
        panic!("{report:?}");
    };
    assert!(text.starts_with("a handler takes one payload at a time, and the join collected 2"));
}

#[tokio::test]
async fn what_is_no_station_is_refused() {
    let library = r#"(component (instance $i) (export "a:b/c" (instance $i)))"#;
    let error = BENCH.prepare(library, &station()).unwrap_err();
    assert!(matches!(error, PrepareError::World { .. }), "{error}");
    assert!(error.to_string().contains("it exports `a:b/c`"), "{error}");
    let unknown = r#"(component (import "a:b/c" (instance (export "f" (func)))))"#;
    let error = BENCH.prepare(unknown, &station()).unwrap_err();
    assert!(matches!(error, PrepareError::Import { .. }), "{error}");
    assert!(error.to_string().contains("a:b/c"), "{error}");
}
