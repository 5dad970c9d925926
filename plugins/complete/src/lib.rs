//! Asks a language model about an item, and holds its answer to a schema.
//!
//! `template` fills the prompt, `chat` speaks the protocol, `verdict` judges the answer. This module
//! asks again while the answer is malformed, and then leaves it to the line's `retry`: under a grant
//! with `resample = true` a new attempt is a new answer.

mod chat;
mod schema;
mod template;
mod verdict;

use andon_station::prelude::*;
use chat::{Chat, Message};
use schema::Schema;
use serde::Deserialize;

/// What the line sets.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    #[serde(default = "openai")]
    endpoint: String,
    model: String,
    prompt: String,
    system: Option<String>,
    schema: Option<String>,
    #[serde(default = "two")]
    tries: u32,
    temperature: Option<f64>,
    #[serde(default = "thousand")]
    max_tokens: u32,
}

fn openai() -> String {
    "https://api.openai.com/v1".into()
}

fn two() -> u32 {
    2
}

fn thousand() -> u32 {
    1024
}

/// The station.
#[derive(Debug)]
pub struct Complete;

impl Station for Complete {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let config: Config = config::load()?;
        let input = inputs.one()?;
        let item = template::Item::of(&input)?;
        let mut messages = Vec::new();
        if let Some(file) = &config.system {
            messages.push(Message::system(template::fill(&asset(file)?, &item)?));
        }
        messages.push(Message::user(template::fill(
            &asset(&config.prompt)?,
            &item,
        )?));
        let schema = match &config.schema {
            Some(file) => {
                let read = Schema::parse(&asset(file)?);
                Some(read.or_reject(format!("the schema `{file}`"))?)
            }
            None => None,
        };
        let chat = Chat {
            endpoint: config.endpoint.trim_end_matches('/'),
            model: &config.model,
            temperature: config.temperature,
            max_tokens: config.max_tokens,
            schema: schema.as_ref().map(Schema::value),
        };
        let (mut asked, mut tokens_in, mut tokens_out) = (0, 0, 0);
        loop {
            asked += 1;
            let answer = chat.complete(&messages)?;
            tokens_in += answer.usage.prompt_tokens;
            tokens_out += answer.usage.completion_tokens;
            log::info!(
                asked = asked,
                tokens_in = answer.usage.prompt_tokens,
                tokens_out = answer.usage.completion_tokens;
                "asked {}", config.model
            );
            if answer.finish == "content_filter" {
                return Err(Stop::reject("the model's provider filtered the answer out"));
            }
            let wrong = match verdict::judge(&answer, schema.as_ref()) {
                Ok(body) => {
                    let output = match body {
                        verdict::Body::Json(value) => Output::pass().json(&value)?,
                        verdict::Body::Text(text) => Output::pass().text(text),
                    };
                    return Ok(output
                        .label("model", label(&answer.model))
                        .label("tokens-in", tokens_in.to_string())
                        .label("tokens-out", tokens_out.to_string())
                        .into());
                }
                Err(wrong) => wrong,
            };
            log::warn!(asked = asked; "the answer is malformed: {wrong}");
            if asked >= config.tries {
                return Err(Stop::retry(format!(
                    "the answer of `{}` is malformed: {wrong}",
                    config.model
                )));
            }
            messages.push(Message::assistant(answer.text));
            messages.push(Message::user(format!(
                "That answer cannot be used: {wrong}. Answer again, with nothing but the JSON that was asked for."
            )));
        }
    }
}

/// As much of a server's text as a label may hold.
fn label(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(200).collect()
}

/// A file that the line has mounted.
fn asset(path: &str) -> Result<String> {
    std::fs::read_to_string(path).or_reject(format!(
        "cannot read `{path}`; hint: name it in this station's `assets`"
    ))
}

andon_station::export!(Complete);

#[cfg(test)]
mod tests {
    use super::*;
    use andon_station::{http::Response, testing::Host};
    use serde_json::{Value, json};

    /// The whole path of a file that every test reads and none writes.
    macro_rules! testdata {
        ($name:literal) => {
            concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/", $name)
        };
    }

    /// A host with a prompt, a schema and these answers of the model.
    fn host(answers: &[(&str, &str)]) -> Host {
        let mut host = Host::start()
            .config("model", "m")
            .config("endpoint", "https://models.example/v1/")
            .config("prompt", testdata!("prompt.md"))
            .config("schema", testdata!("schema.json"));
        for (text, finish) in answers {
            let body = json!({
                "model": "m-1",
                "choices": [{ "message": { "content": text }, "finish_reason": finish }],
                "usage": { "prompt_tokens": 7, "completion_tokens": 3 },
            });
            host = host.answer(Ok(Response {
                status: 200,
                body: body.to_string().into_bytes(),
                ..Response::default()
            }));
        }
        host
    }

    fn run() -> Result<Outputs> {
        let input = Payload::of("application/json", r#"{"file":"a.rs"}"#).label("team", "core");
        Complete::run(&Visit::default(), input.into())
    }

    #[test]
    fn a_good_answer_passes_with_what_it_cost() {
        let host = host(&[("{\"risk\":\"low\"}", "stop")]);
        let outputs = run().unwrap();
        assert_eq!(
            outputs[0].payload.json::<Value>(),
            Ok(json!({ "risk": "low" }))
        );
        assert_eq!(outputs[0].payload.labels.get("tokens-in"), Some("7"));
        let request = &host.requests()[0];
        assert_eq!(request.url, "https://models.example/v1/chat/completions");
        let sent: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(sent["messages"][0]["content"], "Judge a.rs (core)\n");
        assert_eq!(sent["response_format"]["type"], "json_schema");
        assert!(
            !request
                .headers
                .iter()
                .any(|(name, _)| name == "authorization")
        );
    }

    #[test]
    fn a_malformed_answer_is_shown_to_the_model() {
        let host = host(&[
            ("{\"risk\":\"medium\"}", "stop"),
            ("```json\n{\"risk\":\"high\"}\n```", "stop"),
        ]);
        let outputs = run().unwrap();
        assert_eq!(
            outputs[0].payload.json::<Value>(),
            Ok(json!({ "risk": "high" }))
        );
        assert_eq!(outputs[0].payload.labels.get("tokens-out"), Some("6"));
        let sent: Value = serde_json::from_slice(&host.requests()[1].body).unwrap();
        let told = sent["messages"][2]["content"].as_str().unwrap();
        assert!(told.contains("is \"medium\", not one of"), "{told}");
    }

    #[test]
    fn what_stays_malformed_is_left_to_the_line() {
        for (text, finish, reason) in [
            ("no JSON", "stop", "it is not JSON"),
            ("{\"risk\":", "length", "it was cut off at `max-tokens`"),
        ] {
            let _host = host(&[(text, finish), (text, finish)]);
            let Err(Stop::Retry { reason: said, .. }) = run() else {
                panic!("{text} passed");
            };
            assert!(said.contains(reason), "{said}");
        }
        let _host = host(&[("", "content_filter")]);
        assert!(matches!(run(), Err(Stop::Reject(_))));
    }
}
