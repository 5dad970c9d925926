//! The command line: one file a command, its arguments and what it does.

pub mod compile;
