//! Chat completions, as OpenAI's API has them and many servers speak them. The key of the endpoint is
//! put in behind the sandbox; this code never has it.

use andon_station::{http, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is asked the same way every time.
pub(crate) struct Chat<'c> {
    pub(crate) endpoint: &'c str,
    pub(crate) model: &'c str,
    pub(crate) temperature: Option<f64>,
    pub(crate) max_tokens: u32,
    pub(crate) schema: Option<&'c Value>,
}

/// One turn of the conversation.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Message {
    role: &'static str,
    content: String,
}

impl Message {
    pub(crate) fn system(content: String) -> Self {
        Self {
            role: "system",
            content,
        }
    }

    pub(crate) fn user(content: String) -> Self {
        Self {
            role: "user",
            content,
        }
    }

    pub(crate) fn assistant(content: String) -> Self {
        Self {
            role: "assistant",
            content,
        }
    }
}

/// What the model answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) model: String,
    pub(crate) text: String,
    /// Why it ended: `stop`, `length`, `content_filter`, or what else a server says.
    pub(crate) finish: String,
    pub(crate) usage: Usage,
}

/// What it cost.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    model: String,
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<String>,
}

impl Chat<'_> {
    /// Asks once. A server that is busy or broken is tried again by the line.
    pub(crate) fn complete(&self, messages: &[Message]) -> Result<Answer> {
        let mut body = json!({
            "model": self.model,
            "messages": messages,
            "max_tokens": self.max_tokens,
        });
        if let Some(temperature) = self.temperature {
            body["temperature"] = temperature.into();
        }
        if let Some(schema) = self.schema {
            body["response_format"] = json!({
                "type": "json_schema",
                "json_schema": { "name": "answer", "schema": schema },
            });
        }
        let url = format!("{}/chat/completions", self.endpoint);
        let response = http::post(url).json(&body)?.send()?.ok()?;
        // A server that answers 200 with something else is no reason to give the item up.
        let completion: Completion = serde_json::from_slice(&response.body)
            .or_retry("the server's answer is no chat completion")?;
        let choice = completion
            .choices
            .into_iter()
            .next()
            .or_retry("the server's answer has no choice")?;
        Ok(Answer {
            model: completion.model,
            text: choice.message.content.unwrap_or_default(),
            finish: choice.finish_reason.unwrap_or_default(),
            usage: completion.usage.unwrap_or_default(),
        })
    }
}
