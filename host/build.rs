//! Lists the stations of the tests, so that one without a test does not compile: see
//! `tests/it/stations.rs`.

use std::{env, fs, path::Path};

fn main() {
    let stations = Path::new("../tests/stations");
    println!("cargo::rerun-if-changed={}", stations.display());
    // Where the host is built without its tests there are none.
    let entries = fs::read_dir(stations).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut text = format!("const STATIONS: &[&str] = &{names:?};\n");
    for name in &names {
        text += &format!(
            "const _: () = assert!(is_tested({name:?}), \"tests/stations/{name} has no test: add an attack with it to ATTACKS in tests/it/hostile.rs, or name the test that runs it in tests/it/stations.rs\");\n"
        );
    }
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("stations.rs"), text).expect("it can be written");
}
