//! `--would`: whether one call would pass.

use crate::{
    cli::{Done, print},
    line::would::{Answer, Call, Decides},
};
use serde_json::json;

/// Prints the answer; it is wrong where the call would not pass.
pub(super) fn print(call: &Call, answer: &Answer, json: bool) -> anyhow::Result<Done> {
    if json {
        let mut facts = json!({ "call": call.to_string() });
        if let (Some(facts), serde_json::Value::Object(answer)) =
            (facts.as_object_mut(), serde_json::to_value(answer)?)
        {
            facts.extend(answer);
        }
        print::json(&facts)?;
    } else {
        text(call, answer)?;
    }
    Ok(if answer.passes {
        Done::Well
    } else {
        Done::Wrong
    })
}

fn text(call: &Call, answer: &Answer) -> anyhow::Result<()> {
    let word = if answer.passes { "yes" } else { "no" };
    let why = match &answer.why {
        Some(why) => format!(": {}", print::line(why)),
        None => String::new(),
    };
    print::text(&format!("{word}, {}{why}", print::line(&call.to_string())))?;
    let decides = |what: &str, decides: &Decides| {
        print::text(&format!(
            "  {what:<8} {} ({})",
            print::line(&decides.rule),
            print::line(&decides.from)
        ))
    };
    for (what, by) in [("grant", &answer.grant), ("ceiling", &answer.ceiling)] {
        if let Some(by) = by {
            decides(what, by)?;
        }
    }
    for secret in &answer.secrets {
        decides("secret", secret)?;
    }
    for (what, text) in [("note", &answer.note), ("hint", &answer.hint)] {
        if let Some(text) = text {
            print::text(&format!("  {what}: {}", print::line(text)))?;
        }
    }
    Ok(())
}
