//! What counts how much. The parts add up and end at 100.

use crate::change::Change;
use crate::glob;

/// The lines of code that may be added without a test in sight.
const UNTESTED: u64 = 10;

/// The points from which a part is given as a reason; it counts in any case.
const WORTH_SAYING: u32 = 5;

/// The score, from 0 to 100, and the reasons for it, those that weigh most first.
pub(crate) fn score(change: &Change, sensitive: &[String], large: u64) -> (u32, Vec<String>) {
    let mut parts: Vec<(u32, String)> = Vec::new();
    let mut part = |points: u32, reason: String| {
        if points > 0 {
            parts.push((points, reason));
        }
    };
    let path = change.file.path.as_str();
    let (added, removed) = (change.count("+"), change.count("-"));

    let size = 30 * (added + removed).min(large) / large.max(1);
    part(size as u32, format!("{} changed", lines(added + removed)));
    let rewritten = added.min(removed);
    if rewritten >= (large / 4).max(1) {
        part(10, format!("{} rewritten", lines(rewritten)));
    }
    if let Some(glob) = sensitive.iter().find(|glob| glob::matches(glob, path)) {
        part(30, format!("sensitive path (`{glob}`)"));
    }
    if let Some(first) = change.findings.first() {
        let count = change.findings.len();
        let more = if count == 1 {
            String::new()
        } else {
            format!(" and {} more", count - 1)
        };
        part(
            60 + 10 * (count as u32 - 1).min(4),
            format!("leaked secret: {}{more}", first.rule),
        );
    }
    let tested = |kind| change.lines(kind).filter(|line| is_test_line(line)).count();
    if change.file.status == "deleted" && is_test(path) {
        part(25, "a test file is deleted".into());
    } else if tested("-") > tested("+") {
        part(25, "tests are removed".into());
    } else if added >= UNTESTED && is_code(path) && !is_test(path) && tested("+") == 0 {
        part(
            15,
            format!("{} of code added without a test beside them", lines(added)),
        );
    }
    if is_manifest(path) && change.file.status != "deleted" && added > 0 {
        part(10, "dependencies or the build may change".into());
    }
    if change.file.binary {
        part(20, "binary, so nobody can read the change".into());
    }
    let executable = |mode: &Option<String>| {
        mode.as_deref()
            .is_some_and(|mode| mode.starts_with("100") && mode.contains('7'))
    };
    if executable(&change.file.mode)
        && !executable(&change.file.old_mode)
        && (change.file.old_mode.is_some() || change.file.status == "added")
    {
        part(15, "becomes executable".into());
    }
    if change.file.mode.as_deref() == Some("120000") {
        part(15, "a symbolic link".into());
    }
    if change.lines("+").any(|line| line.contains(is_deceptive)) {
        part(
            50,
            "characters that change the direction of text: the code may not be what it looks like"
                .into(),
        );
    }

    let total: u32 = parts.iter().map(|(points, _)| points).sum();
    parts.retain(|(points, _)| *points >= WORTH_SAYING);
    parts.sort_by_key(|(points, _)| std::cmp::Reverse(*points));
    (
        total.min(100),
        parts.into_iter().map(|(_, reason)| reason).collect(),
    )
}

fn lines(count: u64) -> String {
    if count == 1 {
        "1 line".into()
    } else {
        format!("{count} lines")
    }
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn is_code(path: &str) -> bool {
    let ends = [
        "rs", "c", "h", "cc", "cpp", "hpp", "go", "py", "js", "mjs", "ts", "tsx", "jsx", "java",
        "kt", "swift", "rb", "php", "cs", "scala", "zig", "ex", "erl", "hs", "ml", "lua", "pl",
        "sh",
    ];
    name(path)
        .rsplit_once('.')
        .is_some_and(|(_, end)| ends.contains(&end))
}

fn is_test(path: &str) -> bool {
    let in_folder = path
        .split('/')
        .rev()
        .skip(1)
        .any(|folder| matches!(folder, "test" | "tests" | "__tests__" | "spec" | "benches"));
    let name = name(path).to_ascii_lowercase();
    let stem = name.split('.').next().unwrap_or_default();
    in_folder
        || name.contains(".test.")
        || name.contains(".spec.")
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || matches!(stem, "test" | "tests")
}

/// Whether a line begins a test in one of the usual languages.
fn is_test_line(line: &str) -> bool {
    let line = line.trim_start();
    [
        "#[test]",
        "mod tests",
        "#[tokio::test",
        "def test_",
        "func Test",
        "it(",
        "test(",
        "describe(",
        "@Test",
        "TEST(",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}

fn is_manifest(path: &str) -> bool {
    matches!(
        name(path),
        "Cargo.toml"
            | "build.rs"
            | "package.json"
            | "pyproject.toml"
            | "requirements.txt"
            | "setup.py"
            | "go.mod"
            | "Gemfile"
            | "pom.xml"
            | "build.gradle"
            | "build.gradle.kts"
            | "Makefile"
            | "CMakeLists.txt"
    )
}

/// Characters that reorder what is shown ("Trojan Source").
fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
