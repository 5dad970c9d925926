//! Stations of WASI 0.3, which wait without holding a thread.

use super::Trial;

#[test]
fn each_kind_may_wait() {
    let trial = Trial::of("@waits", "next = \"program\"")
        .with(
            "program",
            "@waits-program",
            "args = [\"a\"]\nnext = \"handler\"",
        )
        .with(
            "handler",
            "@waits-handler",
            "next = [{ when = { waited = \"yes\" }, to = \"done\" }, { to = \"scrap\" }]",
        );
    assert_eq!(
        trial.passes("hello\n"),
        "hello\ns waited 300 ms\n[\"program\", \"a\"]\nMethod::Post Some(\"/\")\n"
    );
}

#[test]
fn large_bodies_stream_through() {
    let body = format!("{}\n", "0123456789abcdef".repeat(64 << 10));
    for station in ["@waits", "@waits-program", "@waits-handler"] {
        let out = Trial::of(station, "").passes(&body);
        assert!(out.starts_with(&body), "{station} gave {} bytes", out.len());
        let jam = Trial::of(station, "limits = { output = \"1MiB\" }").jams(&body);
        assert!(
            jam.contains("over the limit `output` of 1MiB"),
            "{station}: {jam}"
        );
    }
}

#[test]
fn a_failure_is_a_rejection() {
    let trial = Trial::of("@waits-program", "args = [\"fail\"]");
    assert_eq!(trial.jams("hello\n"), "rejected: exit code 1");
}

#[test]
fn waiting_is_bounded() {
    for station in ["@waits", "@waits-program", "@waits-handler"] {
        let trial = Trial::of(station, "limits = { wall = \"2ms\" }");
        let jam = trial.jams("hello\n");
        assert!(
            jam.contains("over the limit `wall` of 2ms"),
            "{station}: {jam}"
        );
    }
}
