//! Compilers as child processes: where they are, and what they say.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{BuildError, Doing};
use crate::{Job, Progress};

/// The first `name` on the user's PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// What a short question to a tool prints, trimmed; none where it cannot be run or fails.
pub(crate) fn ask(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Runs a compiler to its end, passes on what it says, and returns its stdout.
pub(crate) fn run(job: &Job<'_>, command: &mut Command) -> Result<String, BuildError> {
    let tool = Path::new(command.get_program()).to_owned();
    let name = tool
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    // Into a file, so that only one stream has to be read while the tool runs.
    let mut stdout = tempfile::tempfile().doing("create a file in", &env::temp_dir())?;
    let to = stdout.try_clone().doing("open", &tool)?;
    // What a build runs is the station author's: a secret of the operator's is none of its business.
    for (name, _) in env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"ANDON_SECRET_") {
            command.env_remove(name);
        }
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(to)
        .stderr(Stdio::piped())
        .spawn()
        .doing("run", &tool)?;
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n') {
            let line = line.doing("listen to", &tool)?;
            let line = String::from_utf8_lossy(&line);
            job.options.tell(Progress::Line(&line));
            said.push_str(&line);
            said.push('\n');
        }
    }
    let status = child.wait().doing("wait for", &tool)?;
    let mut printed = Vec::new();
    stdout.rewind().doing("listen to", &tool)?;
    stdout.read_to_end(&mut printed).doing("listen to", &tool)?;
    if !status.success() {
        let output = match said.trim_end() {
            "" => format!("{status}, without a word"),
            said => said.to_owned(),
        };
        return Err(BuildError::Failed {
            station: job.station.into(),
            tool: name,
            output,
        });
    }
    Ok(String::from_utf8_lossy(&printed).into_owned())
}

/// The prerequisites in a dependency file as compilers write them for `make`.
pub(crate) fn prerequisites(text: &str) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    for rule in text.replace("\\\r\n", " ").replace("\\\n", " ").lines() {
        let Some((_, list)) = rule.split_once(": ") else {
            continue;
        };
        let mut file = String::new();
        let mut chars = list.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if chars.peek() == Some(&' ') => file.extend(chars.next()),
                '\\' if chars.peek() == Some(&'#') => file.extend(chars.next()),
                '$' if chars.peek() == Some(&'$') => file.extend(chars.next()),
                ' ' | '\t' => {
                    files.insert(PathBuf::from(std::mem::take(&mut file)));
                }
                c => file.push(c),
            }
        }
        files.insert(PathBuf::from(file));
    }
    files.remove(Path::new(""));
    files
}
