//! How the report looks.

use std::fmt::Write;

use crate::change::{Change, Commit};
use crate::escape::{code, sentence, text};

/// The most rows or points of one list; what is more is counted.
const MAX_ROWS: usize = 500;

/// The report on `commits` with their files.
pub(crate) fn page(commits: &[(&Commit, Vec<&Change>)]) -> String {
    let mut page = String::new();
    match commits {
        [(commit, files)] => {
            head(&mut page, "#", commit);
            section(&mut page, "##", files);
        }
        commits => {
            let all: Vec<&Change> = commits
                .iter()
                .flat_map(|(_, files)| files.iter().copied())
                .collect();
            line(
                &mut page,
                format_args!("# Review of {} patches\n", commits.len()),
            );
            line(&mut page, format_args!("{}\n", summary(&all)));
            for (commit, files) in commits {
                head(&mut page, "##", commit);
                section(&mut page, "###", files);
            }
        }
    }
    page
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // a string never fails to be written to
    let _ = writeln!(page, "{text}");
}

fn head(page: &mut String, level: &str, commit: &Commit) {
    let subject = if commit.subject.trim().is_empty() {
        "A patch without a subject".into()
    } else {
        text(commit.subject.trim())
    };
    line(page, format_args!("{level} {subject}\n"));
    let mut facts = Vec::new();
    if !commit.author.is_empty() {
        facts.push(format!("by {}", text(&commit.author)));
    }
    if !commit.date.is_empty() {
        facts.push(text(&commit.date));
    }
    if !commit.id.is_empty() {
        facts.push(code(&commit.id.chars().take(12).collect::<String>()));
    }
    if !facts.is_empty() {
        line(page, format_args!("{}\n", facts.join(", ")));
    }
}

fn section(page: &mut String, level: &str, files: &[&Change]) {
    line(page, format_args!("{}\n", summary(files)));
    line(
        page,
        format_args!("| file | status | added | removed | risk | secrets |"),
    );
    line(page, format_args!("|---|---|---:|---:|---|---:|"));
    for change in files.iter().take(MAX_ROWS) {
        line(page, format_args!("{}", row(change)));
    }
    more(page, files.len(), "files");

    let findings: Vec<_> = files
        .iter()
        .flat_map(|change| {
            change
                .findings
                .iter()
                .map(|finding| (&change.file.path, finding))
        })
        .collect();
    if !findings.is_empty() {
        line(page, format_args!("\n{level} Secrets\n"));
        for (path, finding) in findings.iter().take(MAX_ROWS) {
            let place = code(&format!("{path}:{}:{}", finding.line, finding.column));
            line(
                page,
                format_args!(
                    "- {place}: {}, {}",
                    text(&finding.rule),
                    code(&finding.secret)
                ),
            );
        }
        more(page, findings.len(), "secrets");
    }

    let risky: Vec<_> = files
        .iter()
        .filter_map(|change| {
            Some((
                &change.file.path,
                change
                    .risk
                    .as_ref()
                    .filter(|risk| !risk.reasons.is_empty())?,
            ))
        })
        .collect();
    if !risky.is_empty() {
        line(page, format_args!("\n{level} Risks\n"));
        for (path, risk) in risky.iter().take(MAX_ROWS) {
            let reasons: Vec<String> = risk
                .reasons
                .iter()
                .take(20)
                .map(|reason| sentence(reason))
                .collect();
            line(
                page,
                format_args!("- {} ({}): {}", code(path), risk.score, reasons.join("; ")),
            );
        }
        more(page, risky.len(), "files");
    }
    page.push('\n');
}

fn more(page: &mut String, count: usize, what: &str) {
    if count > MAX_ROWS {
        line(
            page,
            format_args!("\n… and {} more {what}", count - MAX_ROWS),
        );
    }
}

fn summary(files: &[&Change]) -> String {
    let sum = |kind: &str| files.iter().map(|change| change.count(kind)).sum::<usize>();
    let secrets = files
        .iter()
        .map(|change| change.findings.len())
        .sum::<usize>();
    let high = files
        .iter()
        .filter(|change| {
            change
                .risk
                .as_ref()
                .is_some_and(|risk| risk.level == "high")
        })
        .count();
    let mut parts = vec![
        format!("{} changed", count(files.len(), "file", "files")),
        format!("{} added", count(sum("+"), "line", "lines")),
        format!("{} removed", sum("-")),
    ];
    if high > 0 {
        parts.push(format!("**{high} of high risk**"));
    }
    if secrets > 0 {
        parts.push(format!(
            "**{}**",
            count(secrets, "leaked secret", "leaked secrets")
        ));
    }
    parts.join(", ")
}

fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn row(change: &Change) -> String {
    let mut status = if change.file.status.is_empty() {
        "?".into()
    } else {
        text(&change.file.status)
    };
    if let Some(old) = change
        .file
        .old_path
        .as_ref()
        .filter(|old| **old != change.file.path)
    {
        status.push_str(&format!(" from {}", code(old)));
    }
    if change.file.binary {
        status.push_str(", binary");
    }
    let risk = match &change.risk {
        Some(risk) if risk.level == "high" => format!("**high** ({})", risk.score),
        Some(risk) => format!("{} ({})", text(&risk.level), risk.score),
        None => "not scored".into(),
    };
    let (added, removed) = (change.count("+"), change.count("-"));
    format!(
        "| {} | {status} | {added} | {removed} | {risk} | {} |",
        code(&change.file.path),
        change.findings.len()
    )
}
