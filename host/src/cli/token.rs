//! `andon token`: who may call the daemon over TCP.

use super::{Done, print, state::StateArg};
use crate::{
    conveyor::wall_clock,
    role::Role,
    serve::tokens::{self, Tokens},
};
use serde_json::json;
use std::time::Duration;

/// Keep tokens for people and programs that call the daemon over TCP
///
/// A viewer looks, an operator works with items and stations, an admin also retools and drains. A daemon
/// that runs knows of a change at once.
#[derive(Debug, clap::Args)]
#[command(disable_help_subcommand = true)]
pub(super) struct Token {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Add(Add),
    List(List),
    Revoke(Revoke),
}

/// Make a token: it is printed once, and only its hash is kept
#[derive(Debug, clap::Args)]
struct Add {
    /// Whose it is: 1 to 64 of letters, digits, `.`, `_`, `@` and `-`.
    name: String,
    /// What they may do.
    #[arg(long, value_enum)]
    role: Kind,
    /// How long it lasts, such as `30d` [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires: Option<Duration>,
    #[command(flatten)]
    state: StateArg,
}

/// List tokens: whose they are, what for, until when
#[derive(Debug, clap::Args)]
struct List {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArg,
}

/// End a token
#[derive(Debug, clap::Args)]
struct Revoke {
    /// Whose it is.
    name: String,
    #[command(flatten)]
    state: StateArg,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Looks.
    Viewer,
    /// Works with items and stations.
    Operator,
    /// Also retools and drains.
    Admin,
}

impl From<Kind> for Role {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Viewer => Self::Viewer,
            Kind::Operator => Self::Operator,
            Kind::Admin => Self::Admin,
        }
    }
}

impl Token {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        match self.what {
            What::Add(add) => add.execute(),
            What::List(list) => list.execute(),
            What::Revoke(revoke) => revoke.execute(),
        }
    }
}

impl Add {
    fn execute(self) -> anyhow::Result<Done> {
        let now = wall_clock();
        let later = |time: Duration| now.saturating_add(time.as_millis() as u64);
        let expires = self.expires.map(later);
        let tokens = Tokens::of(&self.state.nearest()?);
        let token = tokens.add(&self.name, self.role.into(), now, expires)?;
        print::text(&token)?;
        print::note("keep it: it is not shown again");
        Ok(Done::Well)
    }
}

impl List {
    fn execute(self) -> anyhow::Result<Done> {
        let now = wall_clock();
        let tokens = Tokens::of(&self.state.nearest()?).list()?;
        if self.json {
            let tokens: Vec<_> = tokens
                .iter()
                .map(|token| {
                    json!({
                        "name": token.name, "role": token.role, "made": token.made,
                        "expires": token.expires, "expired": tokens::expired(token, now),
                    })
                })
                .collect();
            print::json(&json!({ "tokens": tokens }))?;
            return Ok(Done::Well);
        }
        if tokens.is_empty() {
            print::note("no tokens\n  hint: `andon token add NAME --role viewer` makes one");
        }
        let width = tokens.iter().map(|token| token.name.len()).max();
        let width = width.unwrap_or(0);
        for token in &tokens {
            let until = match token.expires {
                Some(at) if tokens::expired(token, now) => format!("expired {}", print::time(at)),
                Some(at) => format!("until {}", print::time(at)),
                None => "until it is revoked".into(),
            };
            print::text(&format!("{:width$}  {:8}  {until}", token.name, token.role))?;
        }
        Ok(Done::Well)
    }
}

impl Revoke {
    fn execute(self) -> anyhow::Result<Done> {
        Tokens::of(&self.state.nearest()?).revoke(&self.name)?;
        print::note(&format!(
            "the token of `{}` is revoked",
            print::line(&self.name)
        ));
        Ok(Done::Well)
    }
}
