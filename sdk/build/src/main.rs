//! `andon-build [DIR]`: builds the station in `DIR` and prints the path of its component.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use andon_build::{Options, Progress, build};

const USAGE: &str = "usage: andon-build [--force] [DIR]

Builds the station in DIR (default: this folder) and prints the path of its component.
  --force  build even when nothing has changed";

fn main() -> ExitCode {
    let mut dir = None;
    let mut force = false;
    for argument in std::env::args_os().skip(1) {
        match argument.to_str() {
            Some("--force") => force = true,
            Some("-h" | "--help") => {
                // A closed pipe is no error.
                let _ = writeln!(std::io::stdout(), "{USAGE}");
                return ExitCode::SUCCESS;
            }
            Some(text) if text.starts_with('-') => {
                return fail(&format!("unknown option `{text}`\n{USAGE}"));
            }
            _ if dir.is_some() => return fail(USAGE),
            _ => dir = Some(PathBuf::from(argument)),
        }
    }
    let options = Options {
        progress: Some(&report),
        force,
    };
    match build(&dir.unwrap_or_else(|| ".".into()), &options) {
        Ok(built) => {
            let _ = writeln!(std::io::stdout(), "{}", built.component.display());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error.to_string()),
    }
}

fn report(progress: Progress<'_>) {
    match progress {
        Progress::Building {
            station,
            language,
            with,
        } => {
            eprintln!("building {station} ({language}: {with})");
        }
        Progress::Waiting { station } => eprintln!("{station}: waiting for another build"),
        // Shown when the build fails; what succeeds is nobody's concern.
        Progress::Line(_) => {}
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::FAILURE
}
