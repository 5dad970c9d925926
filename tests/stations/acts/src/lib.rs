//! Does the steps that its input says, one a line, and tells what came of each.
//!
//! `POST url [body]` and other calls, in a body `ATTEMPT` standing for the attempt's number; `clock`;
//! `random`; `sleep MILLISECONDS`; `again N`, which stops for another try in attempts before the Nth;
//! `again-at STATUS`, which does so where the last call was answered with that status or not at all.

use andon_station::{http, prelude::*};
use std::{
    hash::{BuildHasher as _, RandomState},
    thread,
    time::{Duration, SystemTime},
};

struct It;

impl Station for It {
    fn run(visit: &Visit, inputs: Inputs) -> Result<Outputs> {
        let script = inputs.one()?.text()?.to_string();
        let mut told = String::new();
        let mut status = 0;
        for line in script.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let came = match word {
                "clock" => {
                    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                    now.expect("after 1970").as_nanos().to_string()
                }
                // The seed of a map is the only randomness that the standard library shows.
                "random" => format!("{:x}", RandomState::new().hash_one(0)),
                "sleep" => {
                    thread::sleep(Duration::from_millis(rest.parse().expect("a number")));
                    "slept".into()
                }
                "again" if visit.attempt < rest.parse().expect("a number") => {
                    return Err(Stop::retry(told));
                }
                "again" => continue,
                "again-at" if status == 0 || rest == status.to_string() => {
                    return Err(Stop::retry(told));
                }
                "again-at" => continue,
                method => {
                    let (url, body) = rest.split_once(' ').unwrap_or((rest, ""));
                    let body = body.replace("ATTEMPT", &visit.attempt.to_string());
                    match http::Request::new(method, url).body(body.as_str()).send() {
                        Ok(answer) => {
                            status = answer.status;
                            let text = String::from_utf8_lossy(&answer.body);
                            let text = text.lines().next().unwrap_or_default();
                            match text.len() {
                                0..100 => format!("{status} {text}"),
                                long => format!("{status} and {long} bytes"),
                            }
                        }
                        Err(error) => {
                            status = 0;
                            error.to_string()
                        }
                    }
                }
            };
            told.push_str(&format!("{word}: {came}\n"));
        }
        Ok(Output::pass().text(told).into())
    }
}

andon_station::export!(It);
