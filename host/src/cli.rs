//! The command line: one file a command, each its arguments and what it does.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 all is well, 1 the
//! command could not do what was asked, 2 some items jammed, 3 there was nothing to change, 130 interrupted
//! and to be gone on with.

mod answer;
mod audit;
mod backup;
mod build;
mod cancel;
mod check;
mod clear;
mod compile;
mod completions;
mod control;
mod diff;
mod doctor;
mod drain;
mod erase;
mod explain;
mod export;
mod gc;
mod inputs;
mod items;
mod lock;
mod logs;
mod new;
mod pause;
mod print;
mod progress;
mod replay;
mod rerun;
mod results;
mod retool;
mod run;
mod runner;
mod schema;
mod secret;
mod serve;
mod show;
mod state;
mod status;
mod submit;
mod terminal;
mod test;
mod token;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::{fmt::Write as _, process::ExitCode};

/// A sandboxed host for production lines of AI-agent work.
#[derive(Debug, Parser)]
#[command(
    name = "andon",
    version,
    about,
    max_term_width = 100,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::New),
    Build(build::Build),
    Schema(schema::Schema),
    Check(check::Check),
    Explain(explain::Explain),
    Lock(lock::Lock),
    Run(run::Run),
    Serve(serve::Serve),
    Submit(submit::Submit),
    Status(status::Status),
    Items(items::Items),
    Show(show::Show),
    Diff(diff::Diff),
    Replay(replay::Replay),
    Test(test::Test),
    Audit(audit::Audit),
    Logs(logs::Logs),
    Clear(clear::Clear),
    Retool(retool::Retool),
    Answer(answer::Answer),
    Cancel(cancel::Cancel),
    Rerun(rerun::Rerun),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Drain(drain::Drain),
    Token(token::Token),
    Secret(secret::Secret),
    Gc(gc::Gc),
    Erase(erase::Erase),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Doctor(doctor::Doctor),
    Export(export::Export),
    Completions(completions::Completions),
    #[command(hide = true)]
    Compile(compile::Compile),
    #[command(name = "inside-runner", hide = true)]
    Runner(runner::Runner),
}

/// The groups of the help text; a test holds them against the commands.
const GROUPS: &[(&str, &[&str])] = &[
    ("Author a station", &["new", "build", "schema", "test"]),
    (
        "Run a line",
        &[
            "check", "explain", "lock", "run", "serve", "submit", "status",
        ],
    ),
    (
        "Operate",
        &[
            "items",
            "show",
            "diff",
            "replay",
            "logs",
            "audit",
            "clear",
            "retool",
            "answer",
            "cancel",
            "rerun",
            "pause",
            "resume",
            "drain",
            "token",
            "secret",
            "completions",
        ],
    ),
    (
        "Look after the state folder",
        &["gc", "erase", "backup", "restore", "doctor", "export"],
    ),
];

/// What a command came to, where it is not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// All is well.
    Well,
    /// Done as far as possible; what was wrong has been printed.
    Wrong,
    /// Some items jammed.
    Jammed,
    /// What was asked for is so already: nothing was changed, and nothing kept of it.
    Nothing,
    /// Stopped on demand; running it again goes on.
    Interrupted,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .unwrap_or_else(|error| {
            if error.use_stderr() {
                print::note(error.render().to_string().trim_end());
            } else {
                let _ = error.print();
            }
            // clap's own code for wrong usage is 2, which here means jammed items.
            std::process::exit(i32::from(error.use_stderr()))
        });
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("ANDON_LOG"))
        .with_ansi(false)
        .with_writer(|| print::Log)
        // It would say so on standard error, and panic where that is closed.
        .log_internal_errors(false)
        .init();
    let done = match cli.command {
        Command::New(command) => command.execute(),
        Command::Build(command) => command.execute(),
        Command::Schema(command) => command.execute(),
        Command::Check(command) => command.execute(),
        Command::Explain(command) => command.execute(),
        Command::Lock(command) => command.execute(),
        Command::Run(command) => command.execute(),
        Command::Items(command) => command.execute(),
        Command::Show(command) => command.execute(),
        Command::Diff(command) => command.execute(),
        Command::Replay(command) => command.execute(),
        Command::Test(command) => command.execute(),
        Command::Audit(command) => command.execute(),
        Command::Clear(command) => command.execute(),
        Command::Retool(command) => command.execute(),
        Command::Serve(command) => command.execute(),
        Command::Submit(command) => command.execute(),
        Command::Status(command) => command.execute(),
        Command::Logs(command) => command.execute(),
        Command::Answer(command) => command.execute(),
        Command::Cancel(command) => command.execute(),
        Command::Rerun(command) => command.execute(),
        Command::Pause(command) => command.execute(),
        Command::Resume(command) => command.execute(),
        Command::Drain(command) => command.execute(),
        Command::Token(command) => command.execute(),
        Command::Secret(command) => command.execute(),
        Command::Gc(command) => command.execute(),
        Command::Erase(command) => command.execute(),
        Command::Backup(command) => command.execute(),
        Command::Restore(command) => command.execute(),
        Command::Doctor(command) => command.execute(),
        Command::Export(command) => command.execute(),
        Command::Completions(command) => command.execute(),
        Command::Compile(command) => command.execute().map(|()| Done::Well),
        Command::Runner(command) => command.execute().map(|()| Done::Well),
    };
    match done {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::Wrong) => ExitCode::from(1),
        Ok(Done::Jammed) => ExitCode::from(2),
        Ok(Done::Nothing) => ExitCode::from(3),
        Ok(Done::Interrupted) => ExitCode::from(130),
        // As for any other tool before a `| head`.
        Err(error) if print::closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            print::note(&format!("error: {}", print::error(&error)));
            ExitCode::from(1)
        }
    }
}

/// The whole command with its grouped help.
fn command() -> clap::Command {
    let command = Cli::command();
    let mut commands = String::new();
    for (group, names) in GROUPS {
        let _ = writeln!(commands, "{group}:");
        for name in *names {
            let about = command
                .find_subcommand(name)
                .and_then(clap::Command::get_about);
            let _ = writeln!(
                commands,
                "  {name:<12} {}",
                about.map(ToString::to_string).unwrap_or_default()
            );
        }
        commands.push('\n');
    }
    let template =
        format!("{{about}}\n\n{{usage-heading}} {{usage}}\n\n{commands}Options:\n{{options}}");
    command.help_template(template)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_command_is_in_one_group_and_the_definition_is_sound() {
        command().debug_assert();
        let commands: BTreeSet<String> = Cli::command()
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .map(|command| command.get_name().to_string())
            .collect();
        let grouped: Vec<String> = GROUPS
            .iter()
            .flat_map(|(_, names)| names.iter().map(ToString::to_string))
            .collect();
        assert_eq!(grouped.len(), commands.len());
        assert_eq!(grouped.into_iter().collect::<BTreeSet<_>>(), commands);
    }
}
