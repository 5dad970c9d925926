//! Greets whoever the item names.

use andon_station::prelude::*;

struct Greet;

impl Station for Greet {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let name = inputs.one()?.text()?;
        let name = name.trim();
        if name.is_empty() {
            return Err(Stop::reject("there is no name to greet"));
        }
        let greeting = config::get("greeting")?.unwrap_or_else(|| "hello".to_string());
        log::info!(bytes = name.len(); "greeting one more");
        Ok(Output::pass().text(format!("{greeting} {name}\n")).into())
    }
}

andon_station::export!(Greet);

#[cfg(test)]
mod tests {
    use super::*;
    use andon_station::testing::Host;

    fn greet(name: &str) -> Result<String> {
        let outputs = Greet::run(&Visit::default(), Payload::text_of(name).into())?;
        outputs[0].payload.text()
    }

    #[test]
    fn greets() {
        assert_eq!(greet("ada\n"), Ok("hello ada\n".into()));
    }

    #[test]
    fn greets_as_configured() {
        let _host = Host::start().config("greeting", "good day");
        assert_eq!(greet("ada"), Ok("good day ada\n".into()));
    }

    #[test]
    fn nobody_is_rejected() {
        assert!(matches!(greet(" \n"), Err(Stop::Reject(_))));
    }
}
