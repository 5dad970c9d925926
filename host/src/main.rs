//! The command `andon`: parse, run, print the error, exit code.

use std::process::ExitCode;

/// What one thread takes another gives back, all the time: items, reports, records. The C library's
/// allocator lets them wait for each other there; a line on SQLite makes four visits with this one where
/// it made three.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    andon::cli::main()
}
