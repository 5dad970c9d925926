//! The command `andon`: parse, run, print the error, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    andon::cli::main()
}
