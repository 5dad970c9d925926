//! `andon schema`: JSON Schemas of the files that people write.

use super::{Done, print};
use crate::line;

/// Print the JSON Schema of a file, for editors that complete it
#[derive(Debug, clap::Args)]
pub(super) struct Schema {
    /// Of which file.
    #[arg(value_enum)]
    file: File,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum File {
    /// `line.toml`.
    Line,
    /// `station.toml`.
    Station,
    /// `andon.toml`.
    Factory,
}

impl Schema {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let schema = match self.file {
            File::Line => line::schema_line(),
            File::Station => line::schema_station(),
            File::Factory => line::schema_factory(),
        };
        print::text(&serde_json::to_string_pretty(&schema)?)?;
        Ok(Done::Well)
    }
}
