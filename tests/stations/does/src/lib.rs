//! Does what the lines of its setting `do` say, and tells what came of it in its body.

use andon_station::prelude::*;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::{fs, io, time};

struct It;

impl Station for It {
    fn run(visit: &Visit, inputs: Inputs) -> Result<Outputs> {
        let count = inputs.len();
        let mut inputs = inputs.into_iter();
        let Some(input) = inputs.next() else {
            return Err(Stop::reject("no input"));
        };
        let script: String = config::get("do")?.unwrap_or_default();
        let (mut port, mut told, mut labels) = ("pass".to_string(), String::new(), Vec::new());
        let mut forward = false;
        let mut file = None;
        for line in script.lines() {
            let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            let came = match word {
                "" => continue,
                "forward" => {
                    forward = true;
                    continue;
                }
                "port" => {
                    port = rest.into();
                    continue;
                }
                "label" => {
                    let (name, value) = rest.split_once('=').expect("a value");
                    labels.push((name.to_string(), value.to_string()));
                    continue;
                }
                "file" => {
                    file = Some(rest.to_string());
                    continue;
                }
                "retry" if visit.attempt < rest.parse().expect("a number") => {
                    return Err(Stop::retry(told));
                }
                "retry" => continue,
                "config" => shown(config::get::<String>(rest)?),
                "inputs" => count.to_string(),
                "labels" => format!("{:?}", input.labels.iter().collect::<Vec<_>>()),
                "type" => input.content_type.clone(),
                "body" => format!("{:?}", kind(&input.body)),
                "text" => format!("{:?}", input.text()?),
                "length" => input.bytes()?.len().to_string(),
                "read" => came(fs::read_to_string(rest)),
                "write" => {
                    let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
                    came(fs::write(path, text).map(|()| "written"))
                }
                "keep" => came(
                    input
                        .bytes()
                        .map(|bytes| fs::write(rest, bytes))?
                        .map(|()| "kept"),
                ),
                // To be found by a later attempt, also when this one is cut off.
                "tell" => {
                    let now = format!("{} {}\n", nanoseconds(), random());
                    let told = fs::OpenOptions::new().create(true).append(true).open(rest);
                    came(
                        told.and_then(|mut file| file.write_all(now.as_bytes()))
                            .map(|()| "told"),
                    )
                }
                "sleep-once" => {
                    if fs::metadata(rest).is_err() {
                        fs::write(rest, "")?;
                        std::thread::sleep(time::Duration::from_secs(60));
                    }
                    "woke".into()
                }
                "folder" => came(fs::create_dir_all(rest).map(|()| "made")),
                "remove" => came(fs::remove_file(rest).map(|()| "removed")),
                "rename" => {
                    let (from, to) = rest.split_once(' ').expect("two paths");
                    came(fs::rename(from, to).map(|()| "renamed"))
                }
                "list" => came(fs::read_dir(rest).map(|entries| {
                    let name = |entry: io::Result<fs::DirEntry>| {
                        entry.map_or_else(
                            |e| e.to_string(),
                            |e| e.file_name().to_string_lossy().into(),
                        )
                    };
                    let mut names: Vec<String> = entries.map(name).collect();
                    names.sort();
                    names.join(" ")
                })),
                "clock" => nanoseconds().to_string(),
                "random" => random(),
                "visit" => format!(
                    "{} {} {} {} {}",
                    visit.line, visit.revision, visit.station, visit.nth, visit.attempt
                ),
                other => return Err(Stop::reject(format!("`{other}` is unknown"))),
            };
            told.push_str(&format!("{line}: {came}\n", line = line.trim()));
        }
        let mut output = Output::to(port);
        output = match (forward, file) {
            (true, _) => output.forward(input),
            (false, Some(path)) => output.file("text/plain", path),
            (false, None) => output.text(told),
        };
        for (name, value) in labels {
            output = output.label(name, value);
        }
        Ok(output.into())
    }
}

fn nanoseconds() -> u128 {
    let now = time::SystemTime::now().duration_since(time::UNIX_EPOCH);
    now.expect("after 1970").as_nanos()
}

/// The seed of a map is the only randomness that the standard library shows.
fn random() -> String {
    format!("{:x}", RandomState::new().hash_one(0))
}

fn kind(body: &Body) -> &'static str {
    match body {
        Body::Bytes(_) => "bytes",
        Body::File(_) => "file",
    }
}

fn shown(value: Option<String>) -> String {
    value.unwrap_or_else(|| "not set".into())
}

fn came<T: ToString>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    }
}

andon_station::export!(It);
