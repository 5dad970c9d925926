//! `andon secret`: the operator's secrets, kept for the lines of a factory.

use super::{Done, print, state::FactoryArg, terminal};
use crate::{
    assembly::{self, Assembled},
    grant::SecretGrant,
    lines::grants_secrets,
    secrets::{self, LONGEST, Place, Secrets, VARIABLE},
};
use anyhow::{Context as _, bail};
use serde_json::json;
use std::path::Path;

/// Keep secrets for the lines of a factory
///
/// A line grants them by name, each for one destination; the host puts them into calls, and no station
/// ever has them. The environment variable `ANDON_SECRET_NAME` comes before what is kept.
#[derive(Debug, clap::Args)]
#[command(disable_help_subcommand = true)]
pub(super) struct Secret {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Set(Set),
    List(List),
    Rm(Remove),
}

/// Keep a secret: its value comes from standard input, or is asked for on a terminal
#[derive(Debug, clap::Args)]
struct Set {
    /// Its name: 1 to 64 of `A-Z`, `0-9` and `_`, beginning with a letter.
    #[arg(value_parser = name)]
    name: String,
    /// Where to keep it [default: the system's keyring where one answers, else a file]
    #[arg(long = "in", value_enum, value_name = "PLACE")]
    place: Option<Where>,
    #[command(flatten)]
    factory: FactoryArg,
}

/// List the names of secrets, and where each is kept
#[derive(Debug, clap::Args)]
struct List {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    factory: FactoryArg,
}

/// Remove a secret
#[derive(Debug, clap::Args)]
struct Remove {
    /// Its name.
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    factory: FactoryArg,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Where {
    /// The system's keyring.
    Keyring,
    /// A file that only you may read.
    File,
}

impl Secret {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        match self.what {
            What::Set(set) => set.execute(),
            What::List(list) => list.execute(),
            What::Rm(remove) => remove.execute(),
        }
    }
}

impl Set {
    fn execute(self) -> anyhow::Result<Done> {
        let name = &self.name;
        let secrets = here(&self.factory)?;
        // With room for the line break at its end.
        let bytes = terminal::hidden(&format!("value of {name} (not shown): "), LONGEST + 2)
            .context("standard input cannot be read")?;
        let value = secrets::value(bytes)
            .map_err(|reason| anyhow::anyhow!("this is no secret: {reason}"))?;
        let place = self.place.map(|place| match place {
            Where::Keyring => Place::Keyring,
            Where::File => Place::File,
        });
        let place = secrets.set(name, &value, place)?;
        print::note(&format!("`{name}` is kept in {}", told(place, &secrets)));
        if std::env::var_os(format!("{VARIABLE}{name}")).is_some() {
            print::note(&format!(
                "but `{VARIABLE}{name}` is set, and comes before it\n  hint: `unset {VARIABLE}{name}`"
            ));
        }
        Ok(Done::Well)
    }
}

impl List {
    fn execute(self) -> anyhow::Result<Done> {
        let kept = here(&self.factory)?.kept()?;
        if self.json {
            let secrets: Vec<_> = kept
                .iter()
                .map(|kept| json!({ "name": kept.name, "kept": kept.place.as_str(), "used": kept.used }))
                .collect();
            print::json(&json!({ "secrets": secrets }))?;
            return Ok(Done::Well);
        }
        if kept.is_empty() {
            print::note("no secrets\n  hint: `andon secret set NAME` keeps one");
        }
        let width = kept.iter().map(|kept| kept.name.len()).max().unwrap_or(0);
        for kept in kept {
            let unused = if kept.used {
                ""
            } else {
                " (not used: the environment has it)"
            };
            print::text(&format!(
                "{:width$}  {}{unused}",
                kept.name,
                kept.place.as_str()
            ))?;
        }
        Ok(Done::Well)
    }
}

impl Remove {
    fn execute(self) -> anyhow::Result<Done> {
        let name = &self.name;
        let secrets = here(&self.factory)?;
        let variable = format!("{VARIABLE}{name}");
        let set = std::env::var_os(&variable).is_some();
        match secrets.remove(name)? {
            Some(place) => print::note(&format!(
                "`{name}` is removed from {}",
                told(place, &secrets)
            )),
            None if set => bail!("`{name}` is in the environment only\n  hint: `unset {variable}`"),
            None => bail!("there is no secret `{name}`\n  hint: `andon secret list` lists them"),
        }
        if set {
            print::note(&format!(
                "`{variable}` is still set\n  hint: `unset {variable}`"
            ));
        }
        Ok(Done::Well)
    }
}

/// Says which granted secrets of a line are not set. That is no fault of the line: secrets are the
/// operator's, and a line may well be checked where nobody has them.
pub(super) fn note_missing(assembled: &Assembled, factory: &FactoryArg) {
    let line = &assembled.draft.line;
    if !grants_secrets(line) {
        return;
    }
    let missing = of(
        assembled.factory.file.as_deref().map(Path::new),
        &assembled.folder,
    )
    .and_then(|secrets| Ok(secrets.missing(line)?));
    match missing {
        Ok(missing) => {
            for (name, stations) in missing {
                let stations: Vec<String> = stations.iter().map(|s| format!("`{s}`")).collect();
                let factory = match factory.path() {
                    Some(file) => format!(" --factory {}", file.display()),
                    None => String::new(),
                };
                print::note(&format!(
                    "note: the secret `{name}` of {} is not set: its calls are denied\n  hint: `andon secret set {name}{factory}`",
                    stations.join(", ")
                ));
            }
        }
        Err(error) => print::note(&format!("note: {}", print::error(&error))),
    }
}

/// The secrets of the factory that a line belongs to.
fn of(factory: Option<&Path>, folder: &Path) -> anyhow::Result<Secrets> {
    let factory = secrets::factory(factory, folder)
        .with_context(|| format!("`{}` cannot be found", factory.unwrap_or(folder).display()))?;
    Ok(Secrets::of(&factory)?)
}

/// The secrets of the factory that is named, or that this folder belongs to.
fn here(factory: &FactoryArg) -> anyhow::Result<Secrets> {
    let here = Path::new(".");
    if let Some(file) = assembly::factory_file(factory.path(), here) {
        return of(Some(&file), here);
    }
    if !here.join("line.toml").is_file() {
        bail!(
            "there is no `andon.toml` here or above, and no `line.toml` here: whose secrets are meant?\n  hint: go to the line's folder, or name a factory with `--factory FILE`"
        );
    }
    of(None, here)
}

fn told(place: Place, secrets: &Secrets) -> String {
    match place {
        Place::Keyring => "the system's keyring".into(),
        Place::File => format!("the file `{}`", secrets.path().display()),
        Place::Environment => "the environment".into(),
    }
}

fn name(text: &str) -> Result<String, &'static str> {
    if SecretGrant::is_name(text) {
        Ok(text.into())
    } else {
        Err("a name is 1 to 64 of `A-Z`, `0-9` and `_`, and begins with a letter")
    }
}
