//! The floors of `host/ARCHITECTURE.md`: who may import whom, and who may name wasmtime.

use std::{collections::BTreeMap, fs, path::Path};

const FLOORS: &[(u8, &[&str])] = &[
    (
        0,
        &[
            "audit", "digest", "effect", "escape", "factory", "grant", "item", "limits", "line",
            "lock", "manifest", "name", "problem", "role", "visit",
        ],
    ),
    (
        1,
        &[
            "catalogue",
            "content",
            "disk",
            "failpoint",
            "journal",
            "secrets",
            "workspace",
        ],
    ),
    (2, &["sandbox"]),
    (
        3,
        &[
            "assembly",
            "conveyor",
            "housekeeping",
            "lines",
            "notify",
            "replay",
            "retool",
            "sinks",
            "sources",
        ],
    ),
    (4, &["cli", "serve"]),
];

/// Names that may not stand on floor 0: it does no IO and waits for nothing.
const NO_IO: &[&str] = &[
    "std::fs",
    "std::net",
    "std::io::",
    "std::process",
    "tokio::",
    "SystemTime",
    "Instant::now",
];

#[test]
fn imports_point_down_and_only_the_sandbox_names_wasmtime() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let floors: BTreeMap<&str, u8> = FLOORS
        .iter()
        .flat_map(|(floor, modules)| modules.iter().map(|m| (*m, *floor)))
        .collect();
    let mut wrong = Vec::new();
    let mut modules = Vec::new();
    files(&source, &mut modules);
    assert!(modules.len() > 20, "the sources were not found");
    for path in modules {
        let inside = path.strip_prefix(&source).expect("below src");
        let module = inside
            .iter()
            .next()
            .and_then(|part| part.to_str())
            .expect("a name")
            .trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        let Some(&floor) = floors.get(module) else {
            wrong.push(format!("`{}` stands on no floor", inside.display()));
            continue;
        };
        let text = fs::read_to_string(&path).expect("readable");
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let place = format!("{}:{}", inside.display(), number + 1);
            for (other, &theirs) in &floors {
                let names =
                    code.contains(&format!("crate::{other}")) || imported(&text, number, other);
                if names && theirs > floor {
                    wrong.push(format!(
                        "{place}: floor {floor} imports `{other}` of floor {theirs}"
                    ));
                }
            }
            if code.contains("wasmtime") && module != "sandbox" && !code.contains('"') {
                wrong.push(format!("{place}: names wasmtime outside the sandbox"));
            }
            let tests = text[..]
                .find("#[cfg(test)]")
                .is_some_and(|at| at < offset(&text, number));
            if floor == 0 && !tests && NO_IO.iter().any(|name| code.contains(name)) {
                wrong.push(format!("{place}: floor 0 does no IO"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a line names `module` at the first level of a `use crate::{…}` block.
fn imported(text: &str, number: usize, module: &str) -> bool {
    let line = text.lines().nth(number).unwrap_or_default();
    let first = line
        .trim_start()
        .split([':', ',', ' '])
        .next()
        .unwrap_or_default();
    let first_level = line.starts_with("    ") && !line.starts_with("     ");
    let opened = text[..offset(text, number)].rfind("use crate::{");
    first == module
        && first_level
        && opened.is_some_and(|at| !text[at..offset(text, number)].contains("};"))
}

fn offset(text: &str, number: usize) -> usize {
    text.split_inclusive('\n').take(number).map(str::len).sum()
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}
