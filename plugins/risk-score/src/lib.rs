//! Scores how risky the change of a file is, and says why.
//!
//! `score` holds what counts how much, `change` how the change looks, `glob` matches paths. This
//! module reads the settings and decides the port.

mod change;
mod glob;
mod score;

use andon_station::prelude::*;
use change::Change;
use serde::Deserialize;
use serde_json::{Value, json};

/// What the line sets.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    sensitive: Vec<String>,
    high: u32,
    large: u64,
}

impl Default for Config {
    fn default() -> Self {
        let sensitive = [
            "**/auth/**",
            "**/security/**",
            "**/crypto/**",
            "**/migrations/**",
            "**/*.sql",
            "**/*.tf",
            "**/Dockerfile",
            ".github/workflows/**",
            ".gitlab-ci.yml",
        ];
        Self {
            sensitive: sensitive.map(String::from).into(),
            high: 50,
            large: 200,
        }
    }
}

/// The station.
#[derive(Debug)]
pub struct RiskScore;

impl Station for RiskScore {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let config: Config = config::load()?;
        if !(1..=100).contains(&config.high) {
            return Err(Stop::reject(format!(
                "config `high`: {} is not between 1 and 100",
                config.high
            )));
        }
        let mut body: Value = inputs.one()?.json()?;
        let hint = "hint: this station scores what `diff-parse` or `secret-scan` gives";
        if !body.is_object() {
            // serde would take an array for a struct
            return Err(Stop::reject(format!("not a JSON object; {hint}")));
        }
        let change = Change::deserialize(&body).or_reject(format!("not a changed file; {hint}"))?;
        let (score, reasons) = score::score(&change, &config.sensitive, config.large);
        let level = if score >= config.high { "high" } else { "low" };
        body["risk"] = json!({ "score": score, "level": level, "reasons": reasons });
        log::info!(score = score, reasons = reasons.len(); "{level}");
        Ok(Output::to(level).json(&body)?.label("risk", level).into())
    }
}

andon_station::export!(RiskScore);

#[cfg(test)]
mod tests;
