//! Finds leaked secrets in the lines that a patch adds, or in a text.
//!
//! `rules` knows what a secret looks like, `scan` finds and redacts the secrets of a line. This
//! module walks the input and decides the port.

mod entropy;
mod rules;
mod scan;

use andon_station::prelude::*;
use scan::{Finding, Scanner};
use serde::Deserialize;
use serde_json::{Value, json};

/// The most findings that are listed of one item; more are counted and redacted.
const MAX_FINDINGS: usize = 1000;

/// What the line sets.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    entropy: f64,
    redact: bool,
    rules: Option<String>,
    refuse: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            entropy: 4.5,
            redact: true,
            rules: None,
            refuse: false,
        }
    }
}

/// The station.
#[derive(Debug)]
pub struct SecretScan;

impl Station for SecretScan {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let config: Config = config::load()?;
        let rules = rules::load(config.rules.as_deref())?;
        let scanner = Scanner::new(&rules, config.entropy, config.redact);
        let input = inputs.one()?;
        let scanned = if input.is("text/*") {
            text(&scanner, input)?
        } else {
            patch(&scanner, input)?
        };
        match scanned {
            Scanned::Leaks(_, findings) if config.refuse => Err(refused(&findings)),
            Scanned::Leaks(body, findings) => Ok(leak(body, findings)?.into()),
            Scanned::Clean(output) => Ok(output.into()),
        }
    }
}

/// What came of a scan.
enum Scanned {
    /// Nothing was found.
    Clean(Output),
    /// The redacted body, and what was found in it.
    Leaks(Value, Vec<Finding>),
}

/// Scans a whole text.
fn text(scanner: &Scanner<'_>, input: Payload) -> Result<Scanned> {
    let text = String::from_utf8_lossy(&input.bytes()?).into_owned();
    let mut findings = Vec::new();
    let mut clean = String::with_capacity(text.len());
    for (n, line) in text.split_inclusive('\n').enumerate() {
        match scanner.line(n as u64 + 1, line, true) {
            Some((found, redacted)) => {
                findings.extend(found);
                clean.push_str(&redacted);
            }
            None => clean.push_str(line),
        }
    }
    if findings.is_empty() {
        let output = Output::pass().forward(input).label("leaks", "0");
        return Ok(Scanned::Clean(output));
    }
    Ok(Scanned::Leaks(json!({ "text": clean }), findings))
}

/// Scans the added lines of one file of a patch, as `diff-parse` describes it.
fn patch(scanner: &Scanner<'_>, input: Payload) -> Result<Scanned> {
    let mut change: Value = input.json()?;
    let path = change
        .pointer("/file/path")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let guess = !entropy::is_generated(path);
    let hunks = change
        .get_mut("hunks")
        .and_then(Value::as_array_mut)
        .or_reject(
            "JSON without `hunks`; hint: this station scans what `diff-parse` gives, or `text/*`",
        )?;
    let mut findings = Vec::new();
    let lines = hunks
        .iter_mut()
        .filter_map(|hunk| hunk.get_mut("lines")?.as_array_mut())
        .flatten();
    for line in lines.filter(|line| line["kind"] == "+") {
        let number = line["new"].as_u64().unwrap_or_default();
        let Some(Value::String(text)) = line.get_mut("text") else {
            return Err(Stop::reject("a line of a hunk without `text`"));
        };
        if let Some((found, redacted)) = scanner.line(number, text, guess) {
            findings.extend(found);
            *text = redacted;
        }
    }
    if findings.is_empty() {
        change["findings"] = json!([]);
        let output = Output::pass().json(&change)?.label("leaks", "0");
        return Ok(Scanned::Clean(output));
    }
    Ok(Scanned::Leaks(change, findings))
}

/// Where the first few are, without what they are.
fn refused(findings: &[Finding]) -> Stop {
    let mut places: Vec<String> = findings
        .iter()
        .take(3)
        .map(|finding| {
            let Finding {
                rule, line, column, ..
            } = finding;
            format!("{rule} at {line}:{column}")
        })
        .collect();
    if findings.len() > places.len() {
        places.push(format!("{} more", findings.len() - places.len()));
    }
    Stop::reject(format!("leaked secrets: {}", places.join(", ")))
}

fn leak(mut body: Value, mut findings: Vec<Finding>) -> Result<Output> {
    let count = findings.len();
    if count > MAX_FINDINGS {
        log::warn!(findings = count; "only the first {MAX_FINDINGS} findings are listed");
        findings.truncate(MAX_FINDINGS);
    }
    for finding in findings.iter().take(20) {
        log::warn!(rule = finding.rule, line = finding.line, column = finding.column; "found a secret");
    }
    body["findings"] = json!(findings);
    Ok(Output::to("leak")
        .json(&body)?
        .label("leaks", count.to_string()))
}

andon_station::export!(SecretScan);

#[cfg(test)]
mod tests;
