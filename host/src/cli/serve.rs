//! `andon serve`: the daemon that runs lines until it is told to stop.

use super::{
    Done, print,
    run::{Where, held_line, jam_line, raise_descriptors},
    state::{FactoryArg, StateArg},
    submit::time,
};
use crate::{
    assembly::{self, AssemblyError},
    conveyor::Notice,
    journal::Summary,
    lines::{Condition, LineNotice, Lines, LinesError, LinesSettings, Started},
    serve::{Served, Server, loopback, socket},
};
use anyhow::bail;
use serde_json::json;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{broadcast, watch},
};

/// Run lines until told to stop
///
/// Other commands act on them over a socket in the state folder, programs also over HTTP. A line that
/// the state folder does not know begins with what its file says; a known one goes on by the revision that
/// it ran by, until `andon retool` changes that. After a crash, the same command takes up everything again.
///
/// Exit codes: 0 stopped as it was told to, 1 it could not start or a line is wrong, 130 stopped at once by
/// a second signal.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// Lines (their folders or files `line.toml`) [default: all that the state folder knows]
    lines: Vec<PathBuf>,
    /// Also listen on this address of loopback, for callers with a token (`andon token add`).
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// How long visits under way may take to end when it is told to stop.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    drain: Duration,
    /// Write its log as JSON, one object a line.
    #[arg(long)]
    json: bool,
    /// Run visits in the host's own process, or in processes of their own behind a second wall,
    /// whatever the lines say.
    #[arg(long, value_name = "WHERE")]
    worker: Option<Where>,
    #[command(flatten)]
    state: StateArg,
    #[command(flatten)]
    factory: FactoryArg,
}

/// The daemon's log, on standard error.
#[derive(Debug, Clone, Copy)]
struct Log {
    json: bool,
}

impl Log {
    /// Says what happened: for people the text, for programs an event with its fields.
    fn say(self, event: &str, text: &str, fields: serde_json::Value) {
        if !self.json {
            print::note(text);
            return;
        }
        let mut value = json!({ "at": crate::conveyor::wall_clock(), "event": event });
        if let (Some(value), serde_json::Value::Object(fields)) = (value.as_object_mut(), fields) {
            value.extend(fields);
        }
        print::note(&crate::escape::json(&value.to_string()));
    }

    fn tell(self, text: &str) {
        self.say("note", text, json!({ "text": text }));
    }
}

impl Serve {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let log = Log { json: self.json };
        // Before anything is built or made that would not be served.
        self.listen.map_or(Ok(()), loopback)?;
        for line in &self.lines {
            assembly::look(line)?;
        }
        let folder = self.folder()?;
        raise_descriptors();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let inside = runtime.enter();
        let (tell, told) = watch::channel(false);
        let signals = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        tokio::spawn(listen(signals, tell));
        let lines = Lines::open(LinesSettings {
            state: folder.clone(),
            factory: self.factory.path().map(Into::into),
            exe: std::env::current_exe()?,
            say: Arc::new(move |text| log.tell(text)),
            worker: self.worker.map(Into::into),
            patient: true,
            told: None,
        })
        .map_err(|error| match error {
            LinesError::Journal(error @ crate::journal::JournalError::InUse(_)) => {
                anyhow::Error::from(error).context("no second daemon can have this state folder")
            }
            error => error.into(),
        })?;
        let notices = lines.notices();
        let served = Served {
            control: lines.clone(),
            state: lines.state().clone(),
            notices: lines.notices(),
            condition: lines.condition(),
        };
        let started = match self.start(&lines, log) {
            Err(error) => {
                // Those that were started before have to end in order.
                runtime.block_on(lines.drain(self.drain));
                match error.downcast::<LinesError>() {
                    Ok(LinesError::Assembly(AssemblyError::Problems(problems))) => {
                        return Ok(super::check::wrong(&problems));
                    }
                    Ok(error) => return Err(error.into()),
                    Err(error) => return Err(error),
                }
            }
            Ok(started) => started,
        };
        drop(inside);
        let done = runtime.block_on(async {
            let server = Server::open(served, self.listen).await?;
            say_where(log, &folder, &server, started);
            tokio::spawn(say_notices(log, notices));
            tokio::spawn(say_condition(log, lines.condition()));
            Ok(self.until_told(log, told, server, &lines).await)
        });
        if done.is_err() {
            runtime.block_on(lines.drain(self.drain));
        }
        // The journal is closed before the process ends.
        drop(lines);
        runtime.shutdown_timeout(Duration::from_secs(1));
        done
    }

    /// The state folder that is meant.
    fn folder(&self) -> anyhow::Result<PathBuf> {
        match &*self.lines {
            [] => self.state.nearest().map_err(|_| {
                anyhow::anyhow!(
                    "no line is named, and there is no state folder `.andon` here or above that knows some\n  hint: `andon serve LINE` starts one, `--state DIR` names a state folder"
                )
            }),
            [line] => Ok(self.state.of_line(beside(line))),
            _ => match self.state.path() {
                Some(folder) => Ok(folder.into()),
                None => bail!(
                    "it is not clear which state folder these lines share\n  hint: `--state DIR` names one"
                ),
            },
        }
    }

    /// Starts what is to be served: how many lines that are.
    fn start(&self, lines: &Lines, log: Log) -> anyhow::Result<usize> {
        if !self.lines.is_empty() {
            for file in &self.lines {
                say_started(log, &lines.start(file)?);
            }
            return Ok(self.lines.len());
        }
        let mut count = 0;
        for (line, started) in lines.start_known()? {
            match started {
                Ok(started) => {
                    count += 1;
                    say_started(log, &started);
                }
                // The others run all the same.
                Err(error) => {
                    let text = format!("line `{line}` is not served: {error}");
                    log.say("failed", &text, json!({ "line": line, "text": text }));
                }
            }
        }
        if count == 0 {
            bail!("there is no line to serve\n  hint: `andon serve LINE` starts one");
        }
        Ok(count)
    }

    /// Serves until a signal or a caller says stop, then ends in order.
    async fn until_told(
        &self,
        log: Log,
        mut told: watch::Receiver<bool>,
        mut server: Server,
        lines: &Lines,
    ) -> Done {
        let within = tokio::select! {
            _ = told.wait_for(|told| *told) => self.drain,
            within = server.asked_to_drain() => within,
        };
        let text = format!(
            "stopping: visits under way may end within {}, a second signal stops at once",
            humantime::format_duration(within)
        );
        log.say("draining", &text, json!({ "within": within.as_secs_f64() }));
        lines.drain(within).await;
        server.close().await;
        log.say("stopped", "stopped", json!({}));
        Done::Well
    }
}

/// The first signal tells it to stop, the second ends the process at once.
async fn listen((mut interrupt, mut terminate): (Signal, Signal), tell: watch::Sender<bool>) {
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if tell.send_replace(true) {
            std::process::exit(130);
        }
    }
}

/// The folder that a line is in.
fn beside(line: &Path) -> &Path {
    if line.is_dir() {
        return line;
    }
    match line.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn say_started(log: Log, started: &Started) {
    let Started {
        line,
        revision,
        differs,
        runners,
    } = started;
    let mut text = format!("line `{line}` runs by revision {revision}");
    if let Some(runners) = runners {
        text.push_str(&format!("; {runners}"));
    }
    if *differs {
        text.push_str(&format!(
            "\n  its file says something else\n  hint: `andon retool {line}` shows what, and applies it"
        ));
    }
    let fields = json!({ "line": line, "revision": revision, "differs": differs });
    log.say("line", &text, fields);
}

fn say_where(log: Log, folder: &Path, server: &Server, lines: usize) {
    let socket = socket::path(folder);
    let mut text = format!(
        "serving {} on `{}`",
        print::count(lines as u64, "line"),
        print::line(&socket.display().to_string())
    );
    let address = server.address.map(|address| address.to_string());
    if let Some(address) = &address {
        text.push_str(&format!(" and on http://{address}"));
    }
    let socket = socket.display().to_string();
    log.say(
        "serving",
        &text,
        json!({ "socket": socket, "address": address }),
    );
}

async fn say_notices(log: Log, mut notices: broadcast::Receiver<Arc<LineNotice>>) {
    loop {
        match notices.recv().await {
            Ok(notice) => match &notice.notice {
                Notice::Jammed { summary } => say_stuck(log, "jammed", jam_line(summary), summary),
                Notice::Held { summary } => say_stuck(log, "held", held_line(summary), summary),
                Notice::Taken { .. } | Notice::Known { .. } | Notice::Ended { .. } => {}
            },
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

fn say_stuck(log: Log, event: &str, text: String, summary: &Summary) {
    let fields = json!({
        "line": summary.line, "item": summary.item, "station": summary.station,
        "reason": summary.reason,
    });
    log.say(event, &text, fields);
}

async fn say_condition(log: Log, mut condition: watch::Receiver<Condition>) {
    while condition.changed().await.is_ok() {
        let now = condition.borrow_and_update().clone();
        match &now {
            Condition::Waiting { reason } => {
                let text = format!("the lines wait: {}", print::below(reason, "  "));
                log.say("waiting", &text, json!({ "reason": reason }));
            }
            Condition::Running => log.say("running", "the lines go on", json!({})),
            Condition::Draining | Condition::Resting => {}
        }
    }
}
