//! Every command that a document shows is run, and what it prints is what the document shows.
//!
//! A block that begins with ` ```console ` has commands after `$ ` and below them what they print,
//! standard error included; `…` at the end of a line stands for the rest of it, a line `…` for any
//! lines. The commands of one document run one after the other in a copy of nothing but what they
//! make themselves, with the repository's root in `$ANDON` and `andon` on the path. A block of
//! another kind after `<!-- file: NAME -->` is written to that file first.

use crate::ground::{self, Ground, root};
use std::{fs, path::Path, process::Command};

#[test]
fn documents_show_what_happens() {
    let documents = [
        "README.md",
        "examples/hostile/README.md",
        "examples/review/README.md",
    ];
    for document in documents {
        let text = fs::read_to_string(root().join(document)).expect(document);
        let ground = Ground::new();
        let mut ran = 0;
        for block in blocks(&text) {
            match block {
                Block::File { name, content } => {
                    ground.write(&name, content);
                }
                Block::Console(content) => {
                    for (command, shown) in commands(&content) {
                        ran += 1;
                        let printed = run(&ground, &command);
                        assert!(
                            fits(&shown, &printed),
                            "{document} shows for `{command}`:\n{shown}\nbut it prints:\n{printed}"
                        );
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

fn run(ground: &Ground, command: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_andon"))
        .parent()
        .expect("a folder");
    let path = format!(
        "{}:{}",
        binary.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1; {command}")])
        .current_dir(ground.path(""))
        .env("PATH", path)
        .env("ANDON", root())
        .env("USER", "you")
        .output()
        .expect("bash runs");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| !ground::on_the_way(line))
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

fn fits(shown: &str, printed: &str) -> bool {
    fn lines(shown: &[&str], printed: &[&str]) -> bool {
        match shown {
            [] => printed.is_empty(),
            ["…", rest @ ..] => (0..=printed.len()).any(|skip| lines(rest, &printed[skip..])),
            [first, rest @ ..] => match printed {
                [line, others @ ..] => one(first, line) && lines(rest, others),
                [] => false,
            },
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
    ];
    for (shown, printed, fit) in cases {
        assert_eq!(fits(shown, printed), fit, "{shown:?} {printed:?}");
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
