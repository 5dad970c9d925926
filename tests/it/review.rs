//! `examples/review`: real patches in, the reports that are checked in out.

use crate::ground::{Ground, root};
use std::{collections::BTreeMap, fs, path::Path};

#[test]
fn the_example_gives_the_reports_that_are_checked_in() {
    gives_the_expected_reports(&["--worker", "shared"]);
}

/// Runs the example with some more arguments.
pub(crate) fn gives_the_expected_reports(more: &[&str]) {
    let ground = Ground::new();
    let example = root().join("examples/review");
    let line = example.display().to_string();
    let inputs = example.join("inputs").display().to_string();
    let arguments = [
        "run", &line, &inputs, "--state", "state", "--out", "out", "-q",
    ];
    let out = ground.andon(&[&arguments, more].concat());
    assert_eq!(out.code, Some(0), "{}", out.whole());
    let came = reports(&ground.path("out"));
    let expected = example.join("expected");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        let _ = fs::remove_dir_all(&expected);
        for (name, text) in &came {
            fs::create_dir_all(&expected).expect("a folder");
            fs::write(expected.join(name), text).expect("a report");
        }
    }
    let expected = reports(&expected);
    assert_eq!(
        came.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    for (name, text) in expected {
        assert_eq!(
            came[&name], text,
            "{name}\n  hint: UPDATE_EXPECTED=1 writes the reports anew"
        );
    }
}

/// Reports by the name of their input: item ids differ from state folder to state folder.
fn reports(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder of reports").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let stem = name
            .split_once(".patch")
            .map_or(name.as_str(), |(stem, _)| stem);
        let stem = stem.split('.').next().unwrap_or(stem).to_string();
        let text = fs::read_to_string(entry.path()).expect("text");
        assert!(
            found.insert(format!("{stem}.md"), text).is_none(),
            "two reports of {stem}"
        );
    }
    found
}
