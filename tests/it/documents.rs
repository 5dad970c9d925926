//! Every command that a document shows is run, and what it prints is what the document shows.
//!
//! A block that begins with ` ```console ` has commands after `$ ` and below them what they print,
//! standard error included; `…` at the end of a line stands for the rest of it, a line `…` for any
//! lines. The commands of one document run one after the other in a copy of nothing but what they
//! make themselves, with the repository's root in `$ANDON` and `andon` on the path. A block of
//! another kind after `<!-- file: NAME -->` is written to that file first.
//!
//! An item's id stands for whichever the item has, and for the same wherever it stands, in commands as
//! well; so does an address of this machine with its port. `cd` holds for the commands after it. A command that ends with ` &` has shown when it has
//! printed what is below it, and goes on until its document ends. A command that only looks is given
//! until it shows it, as a reader would look again.

use crate::ground::{self, Ground, root};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// How a command begins that changes nothing.
const LOOKS: [&str; 4] = ["andon items", "andon status", "andon show", "ls "];
/// For how long it is looked again.
const LONGEST: Duration = Duration::from_secs(120);

#[test]
fn documents_show_what_happens() {
    let documents = [
        "README.md",
        "examples/hostile/README.md",
        "examples/review/README.md",
        "host/SERVE.md",
    ];
    for document in documents {
        let text = fs::read_to_string(root().join(document)).expect(document);
        let mut shell = Shell::new();
        let mut ran = 0;
        for block in blocks(&text) {
            match block {
                Block::File { name, content } => {
                    shell.ground.write(&name, content);
                }
                Block::Console(content) => {
                    for (command, shown) in commands(&content) {
                        ran += 1;
                        if let Err(printed) = shell.shows(&command, &shown) {
                            panic!(
                                "{document} shows for `{command}`:\n{shown}\nbut it prints:\n{printed}"
                            );
                        }
                    }
                }
            }
        }
        assert!(ran > 0, "{document} shows no command");
    }
}

enum Block {
    Console(String),
    File { name: String, content: String },
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    let mut file = None;
    while let Some(line) = lines.next() {
        if let Some(name) = line
            .strip_prefix("<!-- file: ")
            .and_then(|rest| rest.strip_suffix(" -->"))
        {
            file = Some(name.to_string());
        } else if let Some(kind) = line.strip_prefix("```") {
            let content: String = lines
                .by_ref()
                .take_while(|line| *line != "```")
                .map(|line| format!("{line}\n"))
                .collect();
            match (file.take(), kind) {
                (Some(name), _) => found.push(Block::File { name, content }),
                (None, "console") => found.push(Block::Console(content)),
                (None, _) => {}
            }
        }
    }
    found
}

fn commands(block: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => found.push((command.into(), String::new())),
            (None, Some((_, shown))) => {
                shown.push_str(line);
                shown.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// Where the commands of a document run.
struct Shell {
    ground: Ground,
    folder: PathBuf,
    /// Which item each id of the document stands for, and which address each address.
    ids: Ids,
    /// What goes on; each leads a process group.
    beside: Vec<Child>,
}

type Ids = BTreeMap<String, String>;

impl Shell {
    fn new() -> Self {
        let ground = Ground::new();
        Self {
            folder: ground.path(""),
            ground,
            ids: Ids::new(),
            beside: Vec::new(),
        }
    }

    /// Runs a command; what it printed where that is not what is shown.
    fn shows(&mut self, command: &str, shown: &str) -> Result<(), String> {
        if let Some(folder) = command.strip_prefix("cd ") {
            self.folder = self.folder.join(folder);
            return Ok(());
        }
        let known = self.named(command);
        if let Some(command) = known.strip_suffix(" &") {
            return self.begins(command, shown);
        }
        let looks = LOOKS.iter().any(|look| command.starts_with(look));
        let began = Instant::now();
        loop {
            let printed = self.run(&known);
            match fits(shown, &printed, &self.ids) {
                Some(ids) => {
                    self.ids = ids;
                    return Ok(());
                }
                None if looks && began.elapsed() < LONGEST => std::thread::yield_now(),
                None => return Err(printed),
            }
        }
    }

    /// The command with the items' own ids.
    fn named(&self, command: &str) -> String {
        let mut named = command.to_string();
        for (shown, id) in &self.ids {
            named = named.replace(shown, id);
        }
        named
    }

    fn command(&self, command: &str) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_andon"))
            .parent()
            .expect("a folder");
        let path = format!(
            "{}:{}",
            binary.display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("exec 2>&1; {command}")])
            .current_dir(&self.folder)
            .env("PATH", path)
            .env("ANDON", root())
            .env("USER", "you");
        bash
    }

    fn run(&self, command: &str) -> String {
        let output = self.command(command).output().expect("bash runs");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter(|line| !ground::on_the_way(line))
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }

    /// Starts a command that goes on.
    fn begins(&mut self, command: &str, shown: &str) -> Result<(), String> {
        let mut child = self
            .command(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("bash runs");
        let said = BufReader::new(child.stdout.take().expect("piped"));
        self.beside.push(child);
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            // What it says when nobody listens any more is read all the same: a full pipe would stop it.
            said.lines().map_while(Result::ok).for_each(|line| {
                let _ = tell.send(line);
            });
        });
        let mut printed = String::new();
        while let Ok(line) = told.recv_timeout(LONGEST) {
            if !ground::on_the_way(&line) {
                printed += line.trim_end();
                printed.push('\n');
            }
            if let Some(ids) = fits(shown, &printed, &self.ids) {
                self.ids = ids;
                return Ok(());
            }
        }
        Err(printed)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for child in &mut self.beside {
            if let Ok(None) = child.try_wait()
                && let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
            {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = child.wait();
        }
    }
}

/// The text without what is another each time, and that.
fn without_names(text: &str) -> (String, Vec<String>) {
    const HERE: &str = "127.0.0.1:";
    let (text, mut names) = ground::without_ids(text);
    let mut parts = text.split(HERE);
    let mut plain = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        names.push(format!("{HERE}{}", &part[..part.len() - rest.len()]));
        plain += HERE;
        plain += rest;
    }
    (plain, names)
}

/// Whether what is printed is what is shown: then which item each id stands for.
fn fits(shown: &str, printed: &str, ids: &Ids) -> Option<Ids> {
    fn lines(shown: &[&str], printed: &[&str], ids: &Ids) -> Option<Ids> {
        match shown {
            [] => printed.is_empty().then(|| ids.clone()),
            ["…", rest @ ..] => {
                (0..=printed.len()).find_map(|skip| lines(rest, &printed[skip..], ids))
            }
            [first, rest @ ..] => {
                let (line, others) = printed.split_first()?;
                let (shown, named) = without_names(first);
                let (printed, items) = without_names(line);
                if !one(&shown, &printed) {
                    return None;
                }
                let mut ids = ids.clone();
                for (name, item) in named.into_iter().zip(items) {
                    if *ids.entry(name).or_insert_with(|| item.clone()) != item {
                        return None;
                    }
                }
                lines(rest, others, &ids)
            }
        }
    }
    fn one(shown: &str, printed: &str) -> bool {
        // `…` inside a line stands for any text.
        let mut parts = shown.split('…');
        let Some(mut rest) = parts.next().and_then(|first| printed.strip_prefix(first)) else {
            return false;
        };
        let mut ended = !shown.contains('…');
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
            ended = part.is_empty();
            if ended {
                rest = "";
            }
        }
        ended || rest.is_empty()
    }
    lines(
        &shown.lines().collect::<Vec<_>>(),
        &printed.lines().collect::<Vec<_>>(),
        ids,
    )
}

#[test]
fn shown_text_fits_what_is_printed() {
    let cases = [
        ("a\n", "a\n", true),
        ("a\n", "b\n", false),
        ("a\n", "a\nb\n", false),
        ("a …\n", "a b c\n", true),
        ("… c\n", "a b c\n", true),
        ("a … c\n", "a b c\n", true),
        ("a … d\n", "a b c\n", false),
        ("…\n", "a\nb\n", true),
        ("a\n…\nd\n", "a\nb\nc\nd\n", true),
        ("a\n…\nd\n", "a\nb\n", false),
        ("aaaaaaaaaaaaaaaa.1 b\n", "ccccccccccccccc2.1 b\n", true),
        ("aaaaaaaaaaaaaaaa b\n", "c b\n", false),
        (
            "aaaaaaaaaaaaaaaa\naaaaaaaaaaaaaaaa\n",
            "ccccccccccccccc2\nccccccccccccccc3\n",
            false,
        ),
    ];
    for (shown, printed, fit) in cases {
        let fitted = fits(shown, printed, &Ids::new());
        assert_eq!(fitted.is_some(), fit, "{shown:?} {printed:?}");
    }
}

/// `LINE.md` and `sdk/README.md` name every key there is, and what they show is read without a problem.
#[test]
fn references_are_complete_and_their_examples_are_sound() {
    let references = [
        ("host/LINE.md", andon::line::schema_line()),
        ("host/LINE.md", andon::line::schema_factory()),
        ("sdk/README.md", andon::line::schema_station()),
    ];
    for (document, schema) in references {
        let text = fs::read_to_string(root().join(document)).expect(document);
        let mut keys = Vec::new();
        properties(&schema, &mut keys);
        assert!(keys.len() > 10, "the schema has no keys");
        for key in keys {
            let shown = [
                format!("`{key}`"),
                format!("{key} "),
                format!("[{key}"),
                format!(".{key}]"),
                format!(".{key}`"),
            ];
            assert!(
                shown.iter().any(|s| text.contains(s.as_str())),
                "{document} does not name `{key}`"
            );
        }
        for block in blocks(&text) {
            let Block::File { name, content } = block else {
                continue;
            };
            let problems = match name.as_str() {
                "line.toml" => format!(
                    "{:?}",
                    andon::line::parse(&name, &content, &andon::line::Vars::default()).err()
                ),
                "andon.toml" => format!(
                    "{:?}",
                    andon::factory::Factory::parse(&name, content.as_bytes()).err()
                ),
                _ => format!(
                    "{:?}",
                    andon_build::manifest::Manifest::from_toml(&content, &root()).err()
                ),
            };
            assert_eq!(problems, "None", "{document}");
        }
    }
}

/// What systemd would run is a command line that `andon` takes, and is given the time that it asks for.
#[test]
fn the_unit_in_the_document_starts_a_daemon() {
    let text = fs::read_to_string(root().join("host/SERVE.md")).expect("SERVE.md");
    let unit = blocks(&text).into_iter().find_map(|block| match block {
        Block::File { name, content } if name == "andon.service" => Some(content),
        _ => None,
    });
    let unit = unit.expect("a unit");
    let value = |key: &str| {
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no `{key}`"))
    };
    let mut words = value("ExecStart").split(' ');
    assert_eq!(words.next(), Some("/usr/local/bin/andon"));
    let words: Vec<&str> = words.collect();
    // With `--help` it says what it would take, unless it takes something of this not.
    let ground = Ground::new();
    ground.andon(&[&*words, &["--help"]].concat()).well();
    let drain = words.iter().skip_while(|word| **word != "--drain").nth(1);
    let seconds = |text: &str| text.strip_suffix('s').and_then(|n| n.parse::<u64>().ok());
    assert!(seconds(value("TimeoutStopSec")) > drain.and_then(|drain| seconds(drain)));
}

/// The names of all properties in a schema.
fn properties(schema: &serde_json::Value, keys: &mut Vec<String>) {
    match schema {
        serde_json::Value::Object(fields) => {
            if let Some(serde_json::Value::Object(properties)) = fields.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            fields.values().for_each(|value| properties(value, keys));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| properties(value, keys)),
        _ => {}
    }
}
