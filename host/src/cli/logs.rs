//! `andon logs`: what stations wrote to the log.

use super::{
    Done,
    control::daemon,
    print,
    state::{State, StateArg, choose},
};
use crate::{
    item::ItemId,
    journal::Filter,
    name::Name,
    serve::{Logged, logged, recent},
};
use futures::StreamExt as _;
use std::pin::pin;
use url::form_urlencoded::Serializer;

/// Show what stations wrote to the log
///
/// A station's lines are there once its attempt has ended, not while it runs; how far it is meanwhile,
/// `andon show` and `andon status` say. With `-f` all lines of an item that are new come when it jams, is
/// held, or ends.
#[derive(Debug, clap::Args)]
pub(super) struct Logs {
    /// Only of this item: its id, or a beginning of it.
    item: Option<String>,
    /// Go on with what comes, until Ctrl-C; a daemon has to run.
    #[arg(long, short)]
    follow: bool,
    /// Only of this line.
    #[arg(long)]
    line: Option<Name>,
    /// Only of this station.
    #[arg(long)]
    station: Option<Name>,
    /// At most so many, the last ones.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    most: usize,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArg,
}

impl Logs {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let folder = self.state.nearest()?;
        if self.follow {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            return runtime.block_on(self.followed(&folder));
        }
        let state = State::view(&folder)?;
        let journal = &*state.journal;
        let lines = match &self.item {
            None => recent(
                journal,
                self.line.as_ref(),
                self.station.as_ref(),
                self.most,
            )?,
            Some(item) => {
                let all = journal.list(&Filter::default())?;
                let all: Vec<ItemId> = all.into_iter().map(|summary| summary.item).collect();
                let id = choose(item, &all)?;
                let mut lines = logged(&id, &journal.load(&id)?, 0)?;
                lines.retain(|line| {
                    self.station
                        .as_ref()
                        .is_none_or(|only| line.station == *only)
                });
                lines.split_off(lines.len().saturating_sub(self.most))
            }
        };
        for line in &lines {
            self.print(line)?;
        }
        Ok(Done::Well)
    }

    async fn followed(&self, folder: &std::path::Path) -> anyhow::Result<Done> {
        let Some(client) = daemon(folder).await? else {
            anyhow::bail!(
                "no daemon runs here, so nothing is logged\n  hint: `andon serve`, or leave `-f` out"
            );
        };
        let mut query = Serializer::new(String::from("/v1/logs?"));
        query.append_pair("follow", "true");
        query.append_pair("most", &self.most.to_string());
        let pairs = [
            ("item", self.item.as_deref()),
            ("line", self.line.as_deref()),
            ("station", self.station.as_deref()),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let path = query.finish();
        let mut events = pin!(client.events(&path).await?);
        while let Some(event) = events.next().await {
            self.print(&serde_json::from_str(&event?)?)?;
        }
        print::note("the daemon has ended");
        Ok(Done::Well)
    }

    fn print(&self, logged: &Logged) -> anyhow::Result<()> {
        if self.json {
            print::json(&serde_json::to_value(logged)?)?;
            return Ok(());
        }
        let mut text = format!(
            "{}  {}  {}  {}: {}",
            print::time(logged.at),
            logged.item,
            logged.station,
            print::line(&logged.level),
            print::line(&logged.message),
        );
        for (name, value) in &logged.fields {
            text.push_str(&format!(" {}={}", print::line(name), print::line(value)));
        }
        print::text(&text)?;
        Ok(())
    }
}
