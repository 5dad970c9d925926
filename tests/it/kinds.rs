//! Each way to be a station, on a real line.

mod command;
mod handler;
mod outputs;
mod typed;
mod waiting;

use crate::ground::{Came, Ground};

/// A line whose station `s` is the one that is tried.
struct Trial {
    ground: Ground,
    stations: String,
}

impl Trial {
    /// `settings` are lines of the station's table; its ports lead to `done` unless they say otherwise.
    fn of(station: &str, settings: &str) -> Self {
        let trial = Self {
            ground: Ground::new(),
            stations: String::new(),
        };
        trial.with("s", station, settings)
    }

    /// One more station.
    fn with(mut self, name: &str, station: &str, settings: &str) -> Self {
        let next = match settings.lines().any(|line| line.starts_with("next")) {
            true => "",
            false => "next = \"done\"\n",
        };
        self.stations += &format!("[stations.{name}]\nuse = \"{station}\"\n{settings}\n{next}");
        self
    }

    /// Runs one input from the station `entry` on.
    fn run_from(&self, entry: &str, input: impl AsRef<[u8]>) -> Came {
        let retry = "retry = { attempts = 2, backoff = \"1ms..2ms\" }";
        self.ground.line(&format!(
            "line = \"l\"\nentry = \"{entry}\"\n[defaults]\n{retry}\n{}",
            self.stations
        ));
        self.ground.write("in.txt", input);
        let run = ["run", ".", "in.txt", "-q"];
        let shared = self
            .ground
            .andon(&[&run[..], &["--worker", "shared"]].concat());
        // Where visits run makes no difference to what comes of them.
        let own = ["--worker", "own", "--state", "own"];
        let own = self.ground.andon(&[&run[..], &own].concat());
        let plain = |came: &Came| steady(&came.whole()).replace(" --state own", "");
        assert_eq!(plain(&own), plain(&shared), "in processes of their own");
        shared
    }

    fn run(&self, input: impl AsRef<[u8]>) -> Came {
        self.run_from("s", input)
    }

    /// What comes out of the line.
    #[track_caller]
    fn passes(&self, input: impl AsRef<[u8]>) -> String {
        self.run(input).well()
    }

    /// Why the item jams at `s`.
    #[track_caller]
    fn jams(&self, input: impl AsRef<[u8]>) -> String {
        let came = self.run(input);
        assert_eq!(came.code, Some(2), "{}", came.whole());
        let reason = came.stderr.split_once("at `s`: ");
        let reason = reason.unwrap_or_else(|| panic!("no jam at `s` in:\n{}", came.whole()));
        let lines = reason.1.lines();
        let lines = lines.take_while(|line| !line.trim_start().starts_with("hint: `andon show"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A station that gives its input labels first, one a line, `name=value`.
fn labels(labels: &str) -> String {
    let lines: String = labels.lines().map(|l| format!("label {l}\n")).collect();
    does(&format!("{lines}forward"))
}

/// The settings of a `does` station.
fn does(script: &str) -> String {
    format!("config = {{ do = '''\n{script}''' }}")
}

/// A text without what differs from run to run: times and random numbers.
fn steady(text: &str) -> String {
    let word = |word: &str| {
        let number = word.len() >= 8 && word.bytes().all(|b| b.is_ascii_hexdigit());
        if number { "N" } else { word }.to_string()
    };
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let words = words.map(|part| match part.char_indices().next_back() {
        Some((at, c)) if !c.is_ascii_alphanumeric() => word(&part[..at]) + &part[at..],
        _ => word(part),
    });
    words.collect()
}
