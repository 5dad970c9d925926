//! `andon retool`: what another revision would change, asking for what has to be accepted, applying it.

mod history;
mod watch;

use super::{
    Done,
    control::{Acting, ByArg},
    print,
    replay::difference,
    state::StateArg,
    terminal,
};
use crate::{
    journal::Guard,
    lines::{Control, Fault},
    name::Name,
    retool::{
        ACCEPT_SHADOW, Aim, GrantPlan, Plan, PlanFor, Promote, Refusal, Retool as Wanted, Retooled,
    },
};
use anyhow::{Context as _, bail};
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf, absolute},
    str::FromStr,
    time::Duration,
};

/// Replace the revision by which a line runs, while it runs
///
/// Builds, compiles and checks the line's file, shows what would change, and applies it in one step:
/// attempts under way end as they began, the next ones take the new revision. Every grant that becomes
/// wider has to be accepted by its name. Without a daemon, the next start takes the new revision.
///
/// Exit codes: 0 retooled, 1 refused or wrong, 3 there was nothing to change.
#[derive(Debug, clap::Args)]
pub(super) struct Retool {
    /// The line's name.
    line: Name,
    /// The line's file, or its folder [default: the file that the line was started from]
    file: Option<PathBuf>,
    /// Go back to a revision that ran before; ends a ramp.
    #[arg(long, value_name = "REVISION", conflicts_with_all = ["file", "ramp"])]
    to: Option<u64>,
    /// Have only this share of the items take it, always the same ones: `10%`.
    #[arg(long, value_name = "SHARE")]
    ramp: Option<Share>,
    /// Roll the ramp back by itself when its jam rate passes the other's by more than so many percentage
    /// points [default: 10]
    #[arg(long, value_name = "POINTS", requires = "ramp", value_parser = clap::value_parser!(u8).range(1..=100))]
    margin: Option<u8>,
    /// Judge a ramp from so many visits that ended on [default: 20]
    #[arg(long, value_name = "VISITS", requires = "ramp")]
    least: Option<u64>,
    /// End a ramp: all items take its revision.
    #[arg(long, conflicts_with_all = ["file", "to", "ramp", "accept", "moves", "drain", "now"])]
    promote: bool,
    /// Accept that this grant becomes wider, by the name that is shown for it; once for each. `shadow`
    /// accepts that replayed visits come out differently.
    #[arg(long, value_name = "STATION:GRANT")]
    accept: Vec<String>,
    /// Send items of a station that goes to another; once for each.
    #[arg(long = "move", value_name = "OLD=NEW")]
    moves: Vec<Move>,
    /// Let stations that go work on until no item is there; new items take the new revision meanwhile.
    #[arg(long)]
    drain: bool,
    /// Where a grant becomes narrower, stop the attempts under way and make them again.
    #[arg(long)]
    now: bool,
    /// First replay the last N recorded visits of each station that changes against the new revision,
    /// offline, and show what differs; that has to be accepted, with `--accept shadow`.
    #[arg(long, value_name = "N", conflicts_with_all = ["promote", "history", "watch"], value_parser = clap::value_parser!(u32).range(1..=1000))]
    shadow: Option<u32>,
    /// Why, for whoever looks later.
    #[arg(long, visible_alias = "why", default_value = "")]
    reason: String,
    #[command(flatten)]
    by: ByArg,
    /// Apply what widens no grant without being asked.
    #[arg(long, short)]
    yes: bool,
    /// Show what would change, and change nothing.
    #[arg(long, conflicts_with_all = ["promote", "watch"])]
    dry_run: bool,
    /// Print the revisions by which the line ran, and change nothing.
    #[arg(long, conflicts_with_all = ["file", "to", "ramp", "promote", "accept", "moves", "drain", "now", "watch", "dry_run"])]
    history: bool,
    /// Retool at every saved change of the line's file or of a station, until Ctrl-C.
    #[arg(long, conflicts_with_all = ["to", "ramp", "promote"])]
    watch: bool,
    /// Print one JSON object, and ask nothing.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateArg,
}

/// A share of the items, in percent.
#[derive(Debug, Clone, Copy)]
struct Share(u8);

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix('%').unwrap_or(text).trim().parse();
        match number {
            Ok(percent @ 1..=99) => Ok(Self(percent)),
            _ => Err("a share is `1%` to `99%`"),
        }
    }
}

/// Where items of a station go.
#[derive(Debug, Clone)]
struct Move(Name, Name);

impl FromStr for Move {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (old, new) = text
            .split_once('=')
            .ok_or("`OLD=NEW` is meant, two stations")?;
        let name = |text: &str| text.parse::<Name>().map_err(|error| error.to_string());
        Ok(Self(name(old)?, name(new)?))
    }
}

/// How often it is looked how far stations are that are drained.
const LOOK: Duration = Duration::from_millis(200);

impl Retool {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let acting = Acting::on(&self.state)?;
        let control = acting.control();
        let done = acting.wait(async {
            if self.history {
                history::show(control, &self.line, self.json).await
            } else if self.watch {
                watch::watch(control, &self).await
            } else {
                self.apply(control).await
            }
        })?;
        acting.end()?;
        Ok(done)
    }

    /// What is aimed at; paths as another process finds them.
    fn aim(&self) -> anyhow::Result<Aim> {
        let file = self.file.as_deref().map(|file| -> anyhow::Result<String> {
            let file = absolute(file).with_context(|| format!("`{}`", file.display()))?;
            let text = file.to_str().map(Into::into);
            text.with_context(|| format!("`{}` is no UTF-8", file.display()))
        });
        Ok(Aim {
            file: file.transpose()?,
            revision: self.to,
        })
    }

    fn moves(&self) -> BTreeMap<Name, Name> {
        let pairs = self
            .moves
            .iter()
            .map(|Move(old, new)| (old.clone(), new.clone()));
        pairs.collect()
    }

    async fn apply(&self, control: &dyn Control) -> anyhow::Result<Done> {
        let by = self.by.name();
        if self.promote {
            let why = self.reason.clone();
            let promoted = control.promote(&by, &self.line, Promote { why }).await;
            return self.done(control, promoted.map_err(said)?).await;
        }
        let aim = self.aim()?;
        let moves = self.moves();
        let wanted = PlanFor {
            aim: aim.clone(),
            moves: moves.clone(),
            shadow: self.shadow,
        };
        let plan = control.plan(&self.line, wanted).await.map_err(said)?;
        if self.dry_run {
            match self.json {
                true => print::json(&json!(plan))?,
                false => {
                    print::text(&plan.to_string())?;
                    for text in different(&plan) {
                        print::text(&text)?;
                    }
                }
            }
            return Ok(Done::Well);
        }
        if !self.json {
            print::note(&plan.to_string());
            for text in different(&plan) {
                print::note(&text);
            }
        }
        if plan.is_empty() {
            return self.nothing(Retooled::nothing(plan));
        }
        let Some(accept) = self.accepted(&plan)? else {
            return Ok(Done::Wrong);
        };
        let wanted = Wanted {
            aim,
            why: self.reason.clone(),
            accept,
            looked_at: Some(plan.digest),
            ramp: self.ramp.map(|share| share.0),
            guard: self.ramp.map(|_| self.guard()),
            moves,
            drain: self.drain,
            now: self.now,
            shadow: self.shadow,
        };
        let retooled = control.retool(&by, &self.line, wanted).await;
        self.done(control, retooled.map_err(said)?).await
    }

    fn guard(&self) -> Guard {
        let default = Guard::default();
        Guard {
            margin: self.margin.unwrap_or(default.margin),
            least: self.least.unwrap_or(default.least),
        }
    }

    /// The names of what was accepted: those that were given, and those that somebody says yes to, one by
    /// one. None where somebody says no.
    fn accepted(&self, plan: &Plan) -> anyhow::Result<Option<Vec<String>>> {
        let mut accept = self.accept.clone();
        let open = |accept: &[String]| -> Vec<GrantPlan> {
            let named = |name: &String| accept.contains(name);
            let open = plan
                .widened
                .iter()
                .filter(|g| !g.accept.as_ref().is_some_and(named));
            open.cloned().collect()
        };
        for grant in open(&accept) {
            let Some(name) = grant.accept else { continue };
            let answer = match self.json {
                true => None,
                false => terminal::confirmed(&format!("accept {}?", print::line(&name)))?,
            };
            match answer {
                Some(true) => accept.push(name),
                Some(false) => {
                    print::note(&format!(
                        "`{}` was not accepted: nothing has changed",
                        print::line(&name)
                    ));
                    return Ok(None);
                }
                None => {
                    let names = open(&accept).into_iter().filter_map(|grant| grant.accept);
                    bail!(Refusal::Widens(names.collect()));
                }
            }
        }
        if let Err(refusal) = plan.alike(&accept) {
            let (replayed, different) = plan.replayed();
            let question = format!("accept that {different} of {replayed} visits differ?");
            let answer = match self.json {
                true => None,
                false => terminal::confirmed(&question)?,
            };
            match answer {
                Some(true) => accept.push(ACCEPT_SHADOW.into()),
                Some(false) => return Ok(None),
                None => bail!(refusal),
            }
        }
        if self.yes || self.json {
            return Ok(Some(accept));
        }
        let ends = match plan.questions_ended() {
            0 => String::new(),
            held => format!(
                ", which ends what {} asked",
                match held {
                    1 => "a held item is".into(),
                    held => format!("{held} held items are"),
                }
            ),
        };
        match terminal::confirmed(&format!("retool `{}`{ends}?", self.line))? {
            Some(true) => Ok(Some(accept)),
            Some(false) => Ok(None),
            None => bail!(
                "nobody is there to say yes\n  hint: `--yes` applies it without being asked, `--dry-run` only shows it"
            ),
        }
    }

    /// Says what came of it; where stations are drained, when that is done.
    async fn done(&self, control: &dyn Control, retooled: Retooled) -> anyhow::Result<Done> {
        if !retooled.changed {
            return self.nothing(retooled);
        }
        if self.json {
            print::json(&json!(retooled))?;
            return Ok(Done::Well);
        }
        print::note(&told(&self.line, self.ramp, &retooled));
        if !retooled.draining.is_empty() {
            self.drained(control, &retooled).await?;
        }
        Ok(Done::Well)
    }

    /// Says that nothing was to change, and that nothing of it is kept.
    fn nothing(&self, retooled: Retooled) -> anyhow::Result<Done> {
        if self.json {
            print::json(&json!(retooled))?;
        } else {
            let kept = match self.reason.is_empty() {
                true => "",
                false => "; the reason is kept nowhere",
            };
            print::note(&format!(
                "nothing to change: `{}` runs by revision {} already{kept}",
                self.line, retooled.revision
            ));
        }
        Ok(Done::Nothing)
    }

    /// Waits until the stations that go are empty, and says how far they are. Whoever breaks this off
    /// breaks nothing off: the line goes on with it.
    async fn drained(&self, control: &dyn Control, retooled: &Retooled) -> anyhow::Result<()> {
        let mut said_before = String::new();
        loop {
            let status = control.status(Some(&self.line)).await.map_err(said)?;
            let Some(line) = status.lines.first() else {
                return Ok(());
            };
            if line.revision == retooled.revision {
                print::note(&format!(
                    "`{}` runs by revision {}",
                    self.line, line.revision
                ));
                return Ok(());
            }
            let left: Vec<String> = (line.stations.iter())
                .filter(|station| retooled.draining.contains(&station.station))
                .map(|s| {
                    format!(
                        "{}: {} waiting, {} working, {} held, {} jammed",
                        s.station, s.waiting, s.working, s.held, s.jammed
                    )
                })
                .collect();
            if left.is_empty() {
                // It runs by something else by now.
                print::note(&format!(
                    "`{}` was retooled to revision {} meanwhile",
                    self.line, line.revision
                ));
                return Ok(());
            }
            let left = left.join("; ");
            if left != said_before {
                print::note(&format!("draining {left}"));
                said_before = left;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What differs in replayed visits, a text for each.
fn different(plan: &Plan) -> impl Iterator<Item = String> {
    let stations = plan.shadow.iter().flatten();
    let visits = stations.flat_map(|it| it.visits.iter().map(|visit| (&it.station, visit)));
    visits.flat_map(|(station, visit)| {
        visit.differences.iter().map(move |it| {
            let what = format!("{} {station} {}", visit.item, it.what);
            difference(&what, &it.recorded, &it.replayed)
        })
    })
}

/// What came of a retool, for people.
fn told(line: &Name, ramp: Option<Share>, retooled: &Retooled) -> String {
    let Retooled {
        revision,
        pause_us,
        moved,
        stopped,
        draining,
        ..
    } = retooled;
    let mut text = match ramp {
        Some(Share(percent)) => {
            format!("revision {revision} takes {percent} % of the items of `{line}`")
        }
        None if draining.is_empty() => format!("`{line}` runs by revision {revision}"),
        None => format!("`{line}` takes revision {revision}"),
    };
    text += &format!(" (pause {}.{:03} ms", pause_us / 1000, pause_us % 1000);
    if *moved > 0 {
        text += &format!(", {} moved", print::count(*moved, "item"));
    }
    let ended = retooled.plan.questions_ended();
    if ended > 0 {
        text += &format!(", {} ended", print::count(ended, "question"));
    }
    if *stopped > 0 {
        text += &format!(", {} to be made again", print::count(*stopped, "attempt"));
    }
    text + ")"
}

/// A fault as the command ends with it.
fn said(fault: Fault) -> anyhow::Error {
    anyhow::anyhow!(fault.message)
}

/// The folder that a path is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
