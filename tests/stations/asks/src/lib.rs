//! Asks a question, and tells what was answered; or asks as its setting `how` says, which no station may.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(visit: &Visit, _: Inputs) -> Result<Outputs> {
        let ship = Question::new("ship", "Ship it?").choices(["pass", "rework"]);
        let question = match config::get::<String>("how")?.unwrap_or_default().as_str() {
            "long" => Question::new("ship", "x".repeat(5000)),
            "no choices" => ship.choices([""; 0]),
            "control characters" => ship.choices(["pa\u{7}ss"]),
            "twice the same" => ship.choices(["pass", "pass"]),
            _ => {
                let answer = visit.ask(ship.free_text())?;
                let Answer {
                    choice, text, by, ..
                } = answer;
                let deadline = visit.deadline.is_some();
                let told = format!("{choice}, {text:?} by {by:?}, deadline: {deadline}\n");
                return Ok(Output::pass().text(told).into());
            }
        };
        Err(Stop::ask(question))
    }
}

andon_station::export!(It);
