//! Makes the call that its input says, and tells what came of it.

use andon_station::{http, prelude::*};
use serde::Deserialize;

struct It;

/// A call.
#[derive(Deserialize)]
struct Call {
    /// `GET http://host/path`.
    call: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    /// How many redirects are followed, with all headers.
    #[serde(default)]
    follow: u32,
    /// Whether all of the answer is told, and not only how its body begins.
    #[serde(default)]
    whole: bool,
    /// Stops after the call, and asks for another try.
    #[serde(default)]
    stop: bool,
}

impl Station for It {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let call: Call = inputs.one()?.json()?;
        let told = format!("{}: {}\n", call.call, came(&call));
        if call.stop {
            return Err(Stop::retry("it stops"));
        }
        Ok(Output::pass().text(told).into())
    }
}

fn came(call: &Call) -> String {
    let (method, url) = call.call.split_once(' ').expect("a method and a URL");
    let mut url = url.to_string();
    for _ in 0..=call.follow {
        let mut request = http::Request::new(method, &url).body(call.body.as_str());
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        match request.send() {
            Ok(answer) if answer.status / 100 == 3 => {
                url = answer.header("location").expect("a place").to_string();
            }
            Ok(answer) => {
                let text = String::from_utf8_lossy(&answer.body);
                if call.whole {
                    return format!("{} {:?} {text}", answer.status, answer.headers);
                }
                let first = text.lines().next().unwrap_or_default();
                return format!("{} {first}", answer.status);
            }
            Err(error) => return error.to_string(),
        }
    }
    format!("redirected to {url}")
}

andon_station::export!(It);
