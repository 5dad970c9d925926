//! `andon new`: a station or a line to begin with, that builds and runs as it is.

use super::{Done, print};
use crate::name::Name;
use anyhow::{Context as _, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Make a new station or line to begin with
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// What to make.
    #[arg(value_enum)]
    what: What,
    /// Its name, and the folder's: 1 to 64 of `a-z`, `0-9` and `-`.
    name: Name,
    /// Where to make the folder [default: here]
    #[arg(long, value_name = "DIR")]
    r#in: Option<PathBuf>,
    /// The language of a station.
    #[arg(long, value_enum, default_value = "rust")]
    language: Language,
    /// Stations of a new line, in their order: folders, `.wasm` or `.wat` files. Without any, the
    /// line begins with a new station of its own.
    #[arg(long = "use", value_name = "STATION")]
    stations: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Station,
    Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    /// A typed station with the SDK.
    Rust,
    /// A plain program: body on standard input, new body on standard output.
    C,
}

type Template = &'static [(&'static str, &'static str)];

const RUST: Template = &[
    (
        "station.toml",
        include_str!("../../../sdk/rust/template/station.toml"),
    ),
    (
        "Cargo.toml",
        include_str!("../../../sdk/rust/template/Cargo.toml"),
    ),
    (
        "src/lib.rs",
        include_str!("../../../sdk/rust/template/src/lib.rs"),
    ),
    (".gitignore", "/target\n/.andon\n"),
];

const C: Template = &[
    ("station.toml", include_str!("new/station.toml")),
    ("main.c", include_str!("new/main.c")),
    (".gitignore", "/.andon\n"),
];

impl New {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let folder = self
            .r#in
            .clone()
            .unwrap_or_default()
            .join(self.name.as_str());
        if folder.exists() {
            bail!(
                "`{}` is there already\n  hint: take another name, or remove it first",
                folder.display()
            );
        }
        let shown = print::line(&folder.display().to_string());
        match self.what {
            What::Station => {
                if !self.stations.is_empty() {
                    bail!("`--use` goes with `andon new line`");
                }
                station(&folder, &self.name, self.language)?;
                print::text(&format!("made {shown}"))?;
                print::note(&format!("next: `echo world | andon run {shown} -`"));
            }
            What::Line => {
                self.line(&folder)?;
                print::text(&format!("made {shown}"))?;
                print::note(&format!(
                    "next: `andon check {shown}`, then `echo world | andon run {shown} -`"
                ));
            }
        }
        Ok(Done::Well)
    }

    fn line(&self, folder: &Path) -> anyhow::Result<()> {
        let mut stations: Vec<(Name, String)> = Vec::new();
        for path in &self.stations {
            let stem = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default();
            let name: Name = stem
                .parse()
                .with_context(|| format!("`{}` gives no station name", path.display()))?;
            if stations.iter().any(|(taken, _)| *taken == name) {
                bail!(
                    "two stations would be named `{name}`\n  hint: use one, and add the other to the line file by hand"
                );
            }
            let absolute = fs::canonicalize(path)
                .with_context(|| format!("station `{}` cannot be found", path.display()))?;
            stations.push((name, absolute.display().to_string()));
        }
        if stations.is_empty() {
            let hello: Name = "hello".parse()?;
            station(&folder.join("hello"), &hello, self.language)?;
            stations.push((hello, "hello".into()));
        }
        let mut text = format!("line  = \"{}\"\nentry = \"{}\"\n", self.name, stations[0].0);
        for (i, (name, path)) in stations.iter().enumerate() {
            let next = stations
                .get(i + 1)
                .map_or("done", |(next, _)| next.as_str());
            let path = toml::Value::String(path.clone());
            text.push_str(&format!(
                "\n[stations.{name}]\nuse  = {path}\nnext = \"{next}\"\n"
            ));
        }
        write(&folder.join("line.toml"), &text)?;
        write(&folder.join(".gitignore"), "/.andon\n")
    }
}

fn station(folder: &Path, name: &Name, language: Language) -> anyhow::Result<()> {
    let template = match language {
        Language::Rust => RUST,
        Language::C => C,
    };
    for (file, text) in template {
        write(&folder.join(file), &text.replace("{{name}}", name))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("folder `{}` cannot be made", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("`{}` cannot be written", path.display()))
}
