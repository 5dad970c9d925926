//! The keyring of a Linux desktop (GNOME Keyring, KWallet, KeePassXC), through libsecret's
//! `secret-tool`. The values go through pipes, never through arguments.

use super::{Keyring, KeyringError, LONGEST, Value, value};
use crate::problem::shown;
use std::{
    io::{self, Read as _, Write as _},
    process::{Child, Command, Stdio},
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};
use zeroize::Zeroizing;

/// How long a keyring may take to answer at all.
const ANSWER: Duration = Duration::from_secs(3);
/// How long a person may take to unlock it.
const UNLOCK: Duration = Duration::from_secs(60);
/// What messages have in them when there is no keyring to speak to, rather than one that says no.
const NOBODY: [&str; 6] = [
    "D-Bus",
    "DBus",
    "dbus",
    "not provided by any .service",
    "Could not connect",
    "StartServiceByName",
];

/// Whatever `secret-tool` speaks to.
pub(super) struct SecretTool;

/// What it said.
struct Said {
    well: bool,
    out: Zeroizing<Vec<u8>>,
    err: String,
}

impl Keyring for SecretTool {
    fn get(&self, factory: &str, name: &str) -> Result<Option<Value>, KeyringError> {
        reach()?;
        let said = ask("lookup", None, factory, name, None, UNLOCK)?;
        if !said.well {
            return said.nothing().map(|()| None);
        }
        let kept = value(said.out).map_err(|reason| {
            KeyringError::Refused(format!("what it has is no secret: {reason}"))
        })?;
        Ok(Some(kept))
    }

    fn set(&self, factory: &str, name: &str, value: &Value) -> Result<(), KeyringError> {
        reach()?;
        let label = format!("--label=andon: {name} of {factory}");
        let said = ask("store", Some(&label), factory, name, Some(value), UNLOCK)?;
        if said.well {
            Ok(())
        } else {
            said.nothing()?;
            Err(KeyringError::Refused("it does not say why".into()))
        }
    }

    fn remove(&self, factory: &str, name: &str) -> Result<(), KeyringError> {
        reach()?;
        let said = ask("clear", None, factory, name, None, UNLOCK)?;
        if said.well { Ok(()) } else { said.nothing() }
    }
}

/// Whether anybody is there: what nobody has is looked up without a person being asked.
fn reach() -> Result<(), KeyringError> {
    ask("lookup", None, "", "", None, ANSWER)?.nothing()
}

fn ask(
    verb: &str,
    label: Option<&str>,
    factory: &str,
    name: &str,
    value: Option<&Value>,
    patience: Duration,
) -> Result<Said, KeyringError> {
    let child = Command::new("secret-tool")
        .arg(verb)
        .args(label)
        .args(["application", "andon", "factory", factory, "name", name])
        // Its messages are told apart by their words.
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.map_err(|error| {
        KeyringError::Absent(match error.kind() {
            io::ErrorKind::NotFound => "there is no `secret-tool`".into(),
            _ => format!("`secret-tool` does not start: {error}"),
        })
    })?;
    ended(child, value, patience)
}

/// Hands over what the tool is to keep, and takes what it says until it ends.
fn ended(
    mut child: Child,
    value: Option<&Value>,
    patience: Duration,
) -> Result<Said, KeyringError> {
    let broken = |error: io::Error| KeyringError::Refused(format!("`secret-tool`: {error}"));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let value = value.cloned();
    let (send, receive) = sync_channel(1);
    thread::spawn(move || {
        if let (Some(mut stdin), Some(value)) = (stdin, value) {
            // One that ends early says why.
            let _ = stdin.write_all(value.as_bytes());
        }
        let mut out = Zeroizing::new(Vec::with_capacity(LONGEST + 2));
        let mut err = Vec::new();
        let read = stdout
            .map_or(Ok(0), |out_of| {
                out_of.take(LONGEST as u64 + 2).read_to_end(&mut out)
            })
            .and_then(|_| stderr.map_or(Ok(0), |err_of| err_of.take(4096).read_to_end(&mut err)));
        // Nobody listens any more when it took too long.
        let _ = send.send(read.map(|_| (out, err)));
    });
    match receive.recv_timeout(patience) {
        Ok(read) => {
            let (out, err) = read.map_err(broken)?;
            let status = child.wait().map_err(broken)?;
            Ok(Said {
                well: status.success(),
                out,
                err: String::from_utf8_lossy(&err).trim().to_owned(),
            })
        }
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            let _ = child.kill();
            let _ = child.wait();
            let late = format!("it does not answer within {} s", patience.as_secs());
            Err(if patience == ANSWER {
                KeyringError::Absent(late)
            } else {
                KeyringError::Refused(late)
            })
        }
    }
}

impl Said {
    /// It has nothing under the name: then it says nothing.
    fn nothing(&self) -> Result<(), KeyringError> {
        if self.err.is_empty() {
            return Ok(());
        }
        let err = shown(&self.err);
        Err(if NOBODY.iter().any(|words| self.err.contains(words)) {
            KeyringError::Absent(err)
        } else {
            KeyringError::Refused(err)
        })
    }
}
