//! The `andon` command: parses, runs, prints the error.

use andon::cli::compile::Compile;
use clap::Parser;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "andon", version)]
enum Command {
    #[command(hide = true)]
    Compile(Compile),
}

fn main() -> ExitCode {
    let Command::Compile(compile) = Command::parse();
    match compile.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
