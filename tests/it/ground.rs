//! A folder to run lines in, and the command to run them with.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};
use tempfile::TempDir;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the host is a folder of the repository")
        .into()
}

/// A folder that goes away with the test.
pub(crate) struct Ground {
    folder: TempDir,
    /// Where the visits of runs are; as the line says, where it is none.
    worker: Option<&'static str>,
}

/// Makes two tests of each case: its visits in the host's own process, and in runner processes. What
/// comes of them is the same.
macro_rules! in_both_workers {
    ($($case:ident)*) => {
        mod shared {
            $(#[test] fn $case() { super::$case("shared"); })*
        }
        mod own {
            $(#[test] fn $case() { super::$case("own"); })*
        }
    };
}
pub(crate) use in_both_workers;

/// What a command came to; paths of the folder and item ids are replaced, so that texts compare.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ground {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().expect("a temporary folder"),
            worker: None,
        }
    }

    /// One whose runs have their visits there.
    pub(crate) fn with_worker(worker: &'static str) -> Self {
        Self {
            worker: Some(worker),
            ..Self::new()
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, making its folders.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders can be made");
        fs::write(path, content).expect("files can be written");
        self
    }

    /// Writes `line.toml`; `@name` stands for the test station of that name, `%name` for the plugin.
    pub(crate) fn line(&self, text: &str) -> &Self {
        let stations = root().join("tests/stations").display().to_string();
        let plugins = root().join("plugins").display().to_string();
        let text = text
            .replace("\"@", &format!("\"{stations}/"))
            .replace("\"%", &format!("\"{plugins}/"));
        self.write("line.toml", text)
    }

    /// The command, in this folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_andon"));
        command
            .current_dir(self.folder.path())
            .args(arguments)
            .env("USER", "tester")
            // What the user of this machine keeps is none of a test's.
            .env("XDG_DATA_HOME", self.path("data-home"));
        if let Some(worker) = self.worker.filter(|_| arguments.first() == Some(&"run")) {
            command.args(["--worker", worker]);
        }
        command
    }

    /// Runs the command to its end.
    pub(crate) fn andon(&self, arguments: &[&str]) -> Came {
        self.andon_with(arguments, "")
    }

    /// The same with standard input.
    pub(crate) fn andon_with(&self, arguments: &[&str], input: &str) -> Came {
        let mut child = self.spawn(arguments);
        let mut stdin = child.stdin.take().expect("piped");
        let input = input.to_owned();
        let writer = std::thread::spawn(move || {
            // A command that does not read its input closes it.
            let _ = stdin.write_all(input.as_bytes());
        });
        let output = child.wait_with_output().expect("the command ends");
        writer.join().expect("the writer ends");
        self.came(output)
    }

    /// What a command of this folder came to.
    pub(crate) fn came(&self, output: Output) -> Came {
        Came {
            code: output.status.code(),
            stdout: self.plain(&String::from_utf8_lossy(&output.stdout)),
            stderr: self.plain(&String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Starts the command with everything piped.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts")
    }

    /// No file below holds the secret.
    pub(crate) fn holds_nothing_of(&self, below: &str, secret: &str) {
        let mut folders = vec![self.path(below)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() {
                    let bytes = fs::read(&path).expect("readable");
                    let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
                    assert!(!found, "`{}` holds the secret", path.display());
                }
            }
        }
    }

    fn plain(&self, text: &str) -> String {
        let folder = self.folder.path().display().to_string();
        let root = root().display().to_string();
        let text = text.replace(&folder, "DIR").replace(&root, "ROOT");
        without_ids(&text).0
    }
}

/// The text with `ITEM` for the ids of items, and these.
pub(crate) fn without_ids(text: &str) -> (String, Vec<String>) {
    let mut plain = String::with_capacity(text.len());
    let mut ids = Vec::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        let id = word.len() == 16 && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
        if id {
            plain.push_str("ITEM");
            ids.push(std::mem::take(&mut word));
        } else {
            plain.push_str(&word);
            word.clear();
        }
        plain.push(c);
    }
    plain.pop();
    (plain, ids)
}

impl Came {
    /// All of it as one text, for snapshots. What was built or compiled on the way is left out: it
    /// depends on what ran before.
    pub(crate) fn whole(&self) -> String {
        let said: Vec<&str> = self
            .stderr
            .lines()
            .filter(|line| !on_the_way(line))
            .collect();
        format!(
            "exit {}\n{}-- stderr\n{}",
            self.code.map_or("by signal".into(), |c| c.to_string()),
            self.stdout,
            said.join("\n")
        )
    }

    /// Standard output, when all went well.
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.whole());
        self.stdout
    }
}

/// Whether a line only says that something was built or compiled: it depends on what ran before.
pub(crate) fn on_the_way(line: &str) -> bool {
    ["building ", "compiling ", "waiting for another build "]
        .iter()
        .any(|beginning| line.starts_with(beginning))
}
