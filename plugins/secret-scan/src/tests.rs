//! Whole inputs through the station. No secret here is one; they are put together from parts or
//! marked, so that this file passes a scan itself.

use andon_station::prelude::*;
use andon_station::testing::Host;
use serde_json::{Value, json};

use crate::SecretScan;

fn run(input: Payload) -> Result<Output> {
    SecretScan::run(&Visit::default(), input.into()).map(|outputs| outputs[0].clone())
}

/// One added line, which is line 7 of `path`.
fn change(path: &str, text: &str) -> Payload {
    let lines = json!([
        { "kind": "-", "old": 6, "new": null, "text": text },
        { "kind": " ", "old": 7, "new": 6, "text": text },
        { "kind": "+", "old": null, "new": 7, "text": text },
    ]);
    let change = json!({ "file": { "path": path }, "hunks": [{ "lines": lines }], "other": 1 });
    Payload::of("application/json", change.to_string())
}

/// The rules that find something in an added line.
fn rules(text: &str) -> Vec<String> {
    let output = run(change("src/x.rs", text)).unwrap();
    let body: Value = output.payload.json().unwrap();
    let findings = body["findings"].as_array().unwrap();
    assert_eq!(
        output.port,
        if findings.is_empty() { "pass" } else { "leak" }
    );
    assert_eq!(
        output.payload.labels.get("leaks"),
        Some(findings.len().to_string().as_str())
    );
    findings
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_formats_of_providers() {
    let random = |length: usize| {
        "q8Zr3VtX0bLw7KjYp2NfMd5HsGc9uAe4TiRk6oWlBhE1vJySxCzDgUnPmQaF".repeat(3)[..length] // andon:allow-secret
            .to_owned()
    };
    for (secret, rule) in [
        (format!("AKIA{}", "IOSFODNN7EXAMPLE"), "aws-access-key-id"),
        (
            format!("aws_secret_access_key = {}", random(40)),
            "aws-secret-access-key",
        ),
        (format!("ghp_{}", random(36)), "github-token"),
        (
            format!("github_pat_{}", random(82)),
            "github-fine-grained-token",
        ),
        (format!("glpat-{}", random(20)), "gitlab-token"),
        (format!("xoxb-{}", random(24)), "slack-token"),
        (
            format!("https://hooks.slack.com/services/T00/B00/{}", random(24)),
            "slack-webhook",
        ),
        (format!("sk_live_{}", random(24)), "stripe-key"),
        (format!("AIza{}", random(35)), "google-api-key"),
        (format!("AccountKey={}==", random(86)), "azure-storage-key"),
        (format!("abc8Q~{}", random(34)), "azure-client-secret"),
        (format!("npm_{}", random(36)), "npm-token"),
        (format!("pypi-AgEIcHlwaS5vcmc{}", random(60)), "pypi-token"),
        (format!("sk-proj-{}", random(48)), "openai-key"),
        (format!("sk-ant-api03-{}", random(90)), "anthropic-key"),
        (
            format!("-----BEGIN {} KEY-----", "RSA PRIVATE"),
            "private-key",
        ),
        (
            format!("eyJ{}.eyJ{}.{}", random(20), random(30), random(40)),
            "jwt",
        ),
        (
            format!("postgres://app:{}@db/x", random(9)),
            "basic-auth-url",
        ),
        (format!("password = \"{}\"", random(12)), "password"),
        (format!("DB_{}={}", "PASSWORD", random(12)), "password"),
        (format!("blob = \"{}\"", random(44)), "entropy"),
    ] {
        assert_eq!(rules(&format!("  {secret}")), [rule], "{secret}");
    }
}

#[test]
fn what_is_no_secret() {
    for text in [
        "",
        "let password = read_password()?;",
        "password = \"${DB_PASSWORD}\"",
        "password = \"abcd…[40]\"",
        "api_key: \"your-api-key-here\"",
        "https://user@example.com/",
        "https://example.com:8080/@x",
        "checksum = \"d5755c51863cdac711f1956baf8eb9588e060755f7d3c4c979e70ea1e1f32cd7\"",
        "sk-learn is a library; task-based-something-that-is-quite-long",
    ] {
        assert_eq!(rules(text), [""; 0], "{text}");
    }
    let key = format!("AKIA{}", "IOSFODNN7EXAMPLE");
    assert_eq!(rules(&format!("{key} // andon:allow-secret")), [""; 0]);
}

#[test]
fn a_finding_is_redacted_everywhere() {
    let secret = format!("AKIA{}", "IOSFODNN7EXAMPLE");
    let output = run(change("src/é.rs", &format!("é = {secret};"))).unwrap();
    let body: Value = output.payload.json().unwrap();
    assert_eq!(
        body["findings"],
        json!([{ "rule": "aws-access-key-id", "line": 7, "column": 5, "secret": "AKIA…[20]", "length": 20 }])
    );
    assert_eq!(body["hunks"][0]["lines"][2]["text"], "é = AKIA…[20];");
    assert_eq!(
        body["hunks"][0]["lines"][0]["text"],
        format!("é = {secret};"),
        "what is not added stays"
    );
    assert_eq!(body["other"], 1);
    let _host = Host::start().config("redact", "false");
    let body: Value = run(change("x", &secret)).unwrap().payload.json().unwrap();
    assert_eq!(body["findings"][0]["secret"], json!(secret));
}

#[test]
fn entropy_is_a_setting_and_no_guess_in_generated_files() {
    let line = "blob = \"q8Zr3VtX0bLw7KjYp2NfMd5HsGc9uAe4\""; // andon:allow-secret
    let found = |path| run(change(path, line)).unwrap().port;
    assert_eq!(found("x.rs"), "leak");
    assert_eq!(found("web/package-lock.json"), "pass");
    let _host = Host::start().config("entropy", "0");
    assert_eq!(found("x.rs"), "pass");
    let _host = Host::start().config("entropy", "high");
    assert!(matches!(run(change("x.rs", line)), Err(Stop::Reject(_))));
}

#[test]
fn what_leaks_is_refused_where_the_line_says_so() {
    let _host = Host::start().config("refuse", "true");
    let key = format!("AKIA{}", "IOSFODNN7EXAMPLE");
    let refused = run(change("src/x.rs", &format!("let id = \"{key}\";"))).unwrap_err();
    let place = "leaked secrets: aws-access-key-id at 7:11";
    assert_eq!(refused, Stop::reject(place));
    let four = format!("{key}\n").repeat(4);
    let refused = run(Payload::of("text/plain", four)).unwrap_err();
    assert!(
        format!("{refused:?}").contains("at 3:1, 1 more"),
        "{refused:?}"
    );
    assert_eq!(run(change("src/x.rs", "let id = 7;")).unwrap().port, "pass");
}

#[test]
fn a_text_is_scanned_as_a_whole() {
    let plain = Payload::text_of("nothing\n").label("a", "b");
    let output = run(plain.clone()).unwrap();
    assert_eq!(output.port, "pass");
    assert_eq!(output.payload.body, plain.body);
    let output = run(Payload::text_of(format!(
        "one\nAKIA{} two\n",
        "IOSFODNN7EXAMPLE"
    )))
    .unwrap();
    assert_eq!(output.port, "leak");
    let body: Value = output.payload.json().unwrap();
    assert_eq!(body["text"], "one\nAKIA…[20] two\n");
    assert_eq!(body["findings"][0]["line"], 2);
}

#[test]
fn own_rules_are_read_from_a_folder() {
    let folder = std::env::temp_dir().join(format!("andon-secret-scan-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("acme.toml"),
        "[[rules]]\nid = 'acme'\npattern = 'acme-[0-9]+'\n",
    )
    .unwrap();
    let _host = Host::start().config("rules", folder.to_str().unwrap());
    assert_eq!(rules("an acme-123456"), ["acme"]);
    std::fs::write(
        folder.join("bad.toml"),
        "[[rules]]\nid = 'bad'\npattern = '['\n",
    )
    .unwrap();
    let stop = run(change("x", "y")).unwrap_err();
    assert!(
        matches!(&stop, Stop::Reject(why) if why.contains("bad.toml") && why.contains("rule `bad`")),
        "{stop}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn hostile_input_is_rejected_or_scanned() {
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"hunks\":1}",
        "{\"hunks\":[{\"lines\":[{\"kind\":\"+\"}]}]}",
    ] {
        assert!(
            matches!(
                run(Payload::of("application/json", body)),
                Err(Stop::Reject(_))
            ),
            "{body}"
        );
    }
    let odd = json!({ "hunks": [1, {}, { "lines": [1, { "kind": "+", "new": -1, "text": "\u{0}é" }] }], "file": 3 });
    assert_eq!(
        run(Payload::of("application/json", odd.to_string()))
            .unwrap()
            .port,
        "pass"
    );
    let many = format!("AKIA{} ", "IOSFODNN7EXAMPLE").repeat(1200);
    let output = run(Payload::text_of(many)).unwrap();
    assert_eq!(output.payload.labels.get("leaks"), Some("1200"));
    let body: Value = output.payload.json().unwrap();
    assert_eq!(body["findings"].as_array().unwrap().len(), 1000);
    assert!(
        !body["text"].as_str().unwrap().contains("EXAMPLE"),
        "those that are not listed are redacted too"
    );
    assert_eq!(
        run(Payload::of("text/plain", vec![0xff; 1000]))
            .unwrap()
            .port,
        "pass"
    );
}
