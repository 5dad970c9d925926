//! Handlers of HTTP requests: an item is a POST, the status says how it went.

use super::{Trial, does, labels};
use insta::assert_snapshot;

#[test]
fn an_item_is_a_post() {
    let trial = Trial::of("@answers", "").with(
        "label",
        "@does",
        &format!("{}\nnext = \"s\"", labels("lang=en\na.b=ü")),
    );
    let out = trial.run_from("label", "hello\n").well();
    assert_snapshot!(out, @r##"
    Method::Post Some(Scheme::Http) Some("andon") Some("/"), 6 bytes
    andon-attempt: 1
    andon-item: ITEM
    andon-label-a.b: ü
    andon-label-lang: en
    andon-line: l
    andon-nth: 1
    andon-revision: 1
    andon-root: ITEM
    andon-station: s
    content-type: text/plain
    "##);
}

#[test]
fn a_response_names_port_and_labels() {
    let trial = Trial::of("@answers", "next = { pass = \"scrap\", odd = \"tell\" }").with(
        "tell",
        "@does",
        &does("labels\ntype\ntext"),
    );
    let response = "201\nandon-port: odd\nandon-label-n: 1\nandon-label-a.b: ü\ncontent-type: text/markdown\nx-other: no\n\n# hello\n";
    assert_snapshot!(trial.passes(response), @r##"
    labels: [("a.b", "ü"), ("n", "1")]
    type: text/markdown
    text: "# hello\n"
    "##);
}

#[test]
fn a_status_says_how_it_went() {
    let answers = |settings: &str| Trial::of("@answers", settings);
    assert_eq!(answers("").passes("204\n\n"), "\n");
    assert_eq!(
        answers("").jams("404\n\n\n  no such thing\nat all"),
        "rejected: 404 Not Found: no such thing"
    );
    let wired = "next = { pass = \"scrap\", reject = \"done\" }";
    assert_eq!(answers(wired).passes("400\n\n"), "400\n\n");
    for again in [
        "408 Request Timeout",
        "429 Too Many Requests",
        "500 Internal Server Error",
        "503 Service Unavailable",
    ] {
        let status = &again[..3];
        assert_eq!(
            answers("").jams(format!("{status}\nretry-after: 0\n\nlater")),
            format!("every attempt failed, the last one: {again}: later")
        );
    }
    for (response, reason) in [
        ("302\nlocation: /\n\n", "status 302"),
        ("200\nandon-port: reject\n\n", "`reject` is reserved"),
        ("200\nandon-port: elsewhere\n\n", "elsewhere"),
        ("200\nandon-label-n: \x01\n\n", "n"),
    ] {
        let jam = answers("").jams(response);
        assert!(jam.contains(reason), "{response}: {jam}");
    }
}

#[test]
fn retry_after_is_waited_for() {
    let trial = Trial::of("@answers", "");
    let began = std::time::Instant::now();
    trial.jams("429\nretry-after: 1\n\n");
    assert!(
        began.elapsed().as_millis() >= 1000,
        "it came back after {:?}",
        began.elapsed()
    );
}

#[test]
fn a_body_of_a_mebibyte_comes_and_goes() {
    let body = format!("{}\n", "x".repeat(1 << 20));
    let out = Trial::of("@answers", "").passes(format!("200\n\n{body}"));
    assert!(out == body, "{} bytes", out.len());
    let told = Trial::of("@answers", "").passes(&body);
    assert!(told.contains(" 1048577 bytes\n"), "{told}");
    let jam =
        Trial::of("@answers", "limits = { output = \"1MiB\" }").jams(format!("200\n\n{body}"));
    assert!(jam.contains("over the limit `output` of 1MiB"), "{jam}");
}
