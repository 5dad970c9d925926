//! `plugins/complete` against a real server of its protocol.

use crate::{
    ground::{Came, Ground, in_both_workers},
    litellm::LiteLlm,
};

in_both_workers! {
    a_model_is_asked_over_the_egress_with_a_secret
}

/// A line that asks `model`; `more` are further keys of its station.
fn line(ground: &Ground, port: u16, model: &str, more: &str) {
    ground.line(&format!(
        r#"
line = "judge"
entry = "ask"
[stations.ask]
use = "%complete"
next = "done"
retry = {{ attempts = 2, backoff = "1ms..2ms" }}
assets = [{{ host = "prompts", guest = "/prompts" }}]
{more}
[stations.ask.config]
endpoint = "http://127.0.0.1:{port}/v1"
model = "{model}"
prompt = "/prompts/judge.md"
schema = "/prompts/judge.json"
"#
    ));
}

fn run(ground: &Ground, key: &str) -> Came {
    let mut command = ground.command(&["run", ".", "a.txt", "-q", "--state", "state", "--again"]);
    let output = command
        .env("ANDON_SECRET_MODEL_KEY", key)
        .output()
        .expect("the command ends");
    ground.came(output)
}

fn a_model_is_asked_over_the_egress_with_a_secret(worker: &'static str) {
    let ground = Ground::with_worker(worker);
    let server = LiteLlm::start(
        &ground,
        &[
            (
                "verdict",
                r#"{"risk": "high", "why": "it deletes a check"}"#,
            ),
            ("chatter", "I would say it is fine."),
        ],
    );
    let port = server.port;
    let grants = format!(
        r#"grants.http = [{{ rule = "POST http://127.0.0.1:{port}/v1/chat/completions", resample = true }}]
grants.secrets = [{{ name = "MODEL_KEY", header = "authorization", for = "http://127.0.0.1:{port}/v1/**" }}]"#
    );
    ground
        .write("prompts/judge.md", "How risky is this?\n\n{{body}}")
        .write(
            "prompts/judge.json",
            r#"{"type":"object","required":["risk"],"properties":{"risk":{"enum":["low","high"]}}}"#,
        )
        .write("a.txt", "rm -rf checks/\n");

    line(&ground, port, "verdict", &grants);
    let out = run(&ground, LiteLlm::KEY);
    assert_eq!(
        out.well(),
        "{\"risk\":\"high\",\"why\":\"it deletes a check\"}\n"
    );

    // The prose of a model that does not keep the schema jams, and says why.
    line(&ground, port, "chatter", &grants);
    let out = run(&ground, LiteLlm::KEY);
    assert_eq!(out.code, Some(2), "{}", out.whole());
    let reason = "the answer of `chatter` is malformed: it is not JSON";
    assert!(out.stderr.contains(reason), "{}", out.whole());

    // The server tells a wrong key from the right one, so the right one did arrive above.
    line(&ground, port, "verdict", &grants);
    let out = run(&ground, "sk-0123456789abcdef-other");
    assert_eq!(out.code, Some(2), "{}", out.whole());
    assert!(
        out.stderr.contains("the server answered "),
        "{}",
        out.whole()
    );

    // Without the grant nothing leaves.
    line(&ground, port, "verdict", "");
    let out = run(&ground, LiteLlm::KEY);
    assert_eq!(out.code, Some(2), "{}", out.whole());
    let reason = format!("not granted: `POST http://127.0.0.1:{port}/v1/chat/completions`");
    assert!(out.stderr.contains(&reason), "{}", out.whole());

    ground.holds_nothing_of("state", LiteLlm::KEY);
}
