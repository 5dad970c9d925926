//! A program of the operator's that is told something: no shell, a bounded time, and of our environment
//! only what programs need to run, so that no secret of `ANDON_SECRET_…` is in it.

use std::{process::Stdio, time::Duration};
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

/// How long it may run; then it and what it started is killed.
const LONGEST: Duration = Duration::from_secs(30);
/// What it gets of our environment.
const ENVIRONMENT: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// Runs it with `input` on its standard input.
///
/// # Errors
/// Why it did not run, or did not say that all is well.
pub(super) async fn run(words: &[String], input: Vec<u8>) -> Result<(), String> {
    run_for(words, input, LONGEST).await
}

async fn run_for(words: &[String], input: Vec<u8>, longest: Duration) -> Result<(), String> {
    let Some((program, arguments)) = words.split_first() else {
        return Err("no program is named".into());
    };
    let kept = ENVIRONMENT
        .iter()
        .filter_map(|name| Some((*name, std::env::var_os(name)?)));
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(kept)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A group of its own: what it starts ends with it, and our Ctrl-C is not its.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("`{program}` does not start: {error}"))?;
    let id = child.id();
    let stdin = child.stdin.take();
    let run = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read it need not.
            let _ = stdin.write_all(&input).await;
        }
        child.wait().await
    };
    let ended = timeout(longest, run).await;
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("`{program}` ended with {status}")),
        Ok(Err(error)) => Err(format!("`{program}` cannot be waited for: {error}")),
        Err(_) => {
            let group = id.and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
            if let Some(group) = group {
                // It may have ended by itself just now.
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            Err(format!("`{program}` ran longer than {longest:?}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(Into::into).into()
    }

    #[tokio::test]
    async fn a_program_gets_json_and_nothing_of_ours() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("out");
        let script = format!("cat > '{0}'; env >> '{0}'", file.display());
        run(&words(&script), b"{}\n".to_vec())
            .await
            .expect("it runs");
        let text = std::fs::read_to_string(&file).expect("it wrote");
        assert!(text.starts_with("{}\n"), "{text}");
        let strange = |line: &&str| {
            let name = line.split('=').next().unwrap_or_default();
            // The shell's own.
            !ENVIRONMENT.contains(&name) && !["PWD", "_", "SHLVL", "OLDPWD"].contains(&name)
        };
        let others: Vec<_> = text.lines().skip(1).filter(strange).collect();
        assert!(others.is_empty(), "{others:?}");
    }

    #[tokio::test]
    async fn a_program_that_fails_or_does_not_end() {
        let of = |result: Result<(), String>| result.expect_err("it fails");
        let failed = of(run(&words("exit 3"), Vec::new()).await);
        assert!(failed.contains("exit status: 3"), "{failed}");
        let none = vec!["/nowhere/at-all".to_owned()];
        assert!(of(run(&none, Vec::new()).await).contains("does not start"));
        // It reads nothing of what is longer than a pipe, starts another, and does not end.
        let script = words("sleep 1000 & sleep 1000");
        let long = run_for(&script, vec![0; 1 << 20], Duration::from_millis(100)).await;
        assert!(of(long).contains("longer"));
    }
}
