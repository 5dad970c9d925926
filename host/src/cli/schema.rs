//! `andon schema`: JSON Schemas of the files that people write, and the description of the API.

use super::{Done, print};
use crate::{line, serve};

/// Print the JSON Schema of a file, for editors that complete it, or the OpenAPI description of the API
#[derive(Debug, clap::Args)]
pub(super) struct Schema {
    /// Of which file.
    #[arg(value_enum, required_unless_present = "openapi")]
    file: Option<File>,
    /// Print the description of what `andon serve` answers over HTTP.
    #[arg(long, conflicts_with = "file")]
    openapi: bool,
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
            Some(File::Line) => line::schema_line(),
            Some(File::Station) => line::schema_station(),
            Some(File::Factory) => line::schema_factory(),
            None => serde_json::to_value(serve::openapi())?,
        };
        print::text(&serde_json::to_string_pretty(&schema)?)?;
        Ok(Done::Well)
    }
}
