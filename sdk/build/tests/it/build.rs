//! Whole builds of small stations, with the toolchains of this machine (`sdk/setup.sh`).

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use andon_build::manifest::extract;
use andon_build::{BuildError, Built, Options, Progress, build};
use tempfile::TempDir;
use wit_component::DecodedWasm;

use crate::adapt::is_command;

const STATION: &str = "name = \"tiny\"\nversion = \"0.1.0\"\ndescription = \"a test\"\n";

fn station(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("station.toml"), STATION).unwrap();
    for (name, text) in files {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    dir
}

/// Builds, and also says whether a compiler was started.
fn builds(dir: &Path) -> (Result<Built, BuildError>, bool) {
    let started = Cell::new(false);
    let tell = |progress: Progress<'_>| {
        if matches!(progress, Progress::Building { .. }) {
            started.set(true);
        }
    };
    let built = build(
        dir,
        &Options {
            progress: Some(&tell),
            force: false,
        },
    );
    (built, started.get())
}

#[track_caller]
fn rebuilt(dir: &Path) -> bool {
    let (built, started) = builds(dir);
    let built = built.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(built.rebuilt, started);
    started
}

#[track_caller]
fn exports(built: &Built) -> Vec<String> {
    let component = fs::read(&built.component).unwrap();
    assert_eq!(extract(&component).unwrap().as_ref(), Some(&built.manifest));
    let DecodedWasm::Component(resolve, world) = wit_component::decode(&component).unwrap() else {
        panic!("not a component");
    };
    let world = &resolve.worlds[world];
    world
        .exports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect()
}

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../wit")
        .canonicalize()
        .unwrap()
}

#[test]
fn a_typed_station_outside_the_repository() {
    let lib = format!(
        r#"
wit_bindgen::generate!({{ path: {:?}, world: "andon:station/station", generate_all }});
use exports::andon::station::process::{{Guest, Output, Payload, Stop, Visit}};
use andon_station as _;
struct Tiny;
impl Guest for Tiny {{
    fn run(_: Visit, inputs: Vec<Payload>) -> Result<Vec<Output>, Stop> {{
        Ok(inputs.into_iter().map(|payload| Output {{ port: tiny_words::port(), payload }}).collect())
    }}
}}
export!(Tiny);
"#,
        wit()
    );
    let manifest = r#"
[package]
name = "tiny"
version = "0.1.0"
edition = "2024"
[lib]
crate-type = ["cdylib", "rlib"]
[dependencies]
andon-station = "0.1"
tiny-words = { path = "words" }
wit-bindgen = "0.61"
[workspace]
"#;
    let words = "[package]\nname = \"tiny-words\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    let dir = station(&[
        ("Cargo.toml", manifest),
        ("src/lib.rs", &lib),
        ("words/Cargo.toml", words),
        (
            "words/src/lib.rs",
            "pub fn port() -> String { \"pass\".into() }",
        ),
    ]);
    let (built, started) = builds(dir.path());
    assert!(started);
    let built = built.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(exports(&built), ["andon:station/process@0.1.0"]);

    assert!(!rebuilt(dir.path()), "nothing has changed");
    // With an empty PATH there is neither cargo nor rustc: an unchanged station needs none.
    let output = Command::new(env!("CARGO_BIN_EXE_andon-build"))
        .arg(dir.path())
        .env("PATH", "")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim(),
        built.component.to_str().unwrap()
    );

    let words = dir.path().join("words/src/lib.rs");
    fs::write(&words, fs::read(&words).unwrap()).unwrap();
    assert!(!rebuilt(dir.path()), "touched is not changed");
    fs::write(&words, "pub fn port() -> String { \"other\".into() }").unwrap();
    assert!(rebuilt(dir.path()), "a path dependency has changed");

    fs::write(&words, "pub fn port() -> String { 1 }").unwrap();
    let before = fs::read(&built.component).unwrap();
    let (failed, _) = builds(dir.path());
    let error = failed.unwrap_err().to_string();
    assert!(
        error.starts_with("`tiny` does not build: `cargo` failed\n"),
        "{error}"
    );
    assert!(error.contains("mismatched types"), "{error}");
    assert_eq!(
        fs::read(&built.component).unwrap(),
        before,
        "the last good one stays"
    );
    assert!(builds(dir.path()).0.is_err(), "and is not taken for fresh");
}

#[test]
fn a_rust_program_in_a_workspace() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("Cargo.toml"),
        "[workspace]\nmembers = [\"a\"]\nresolver = \"3\"\n",
    )
    .unwrap();
    let a = dir.path().join("a");
    fs::create_dir_all(a.join("src")).unwrap();
    fs::write(a.join("station.toml"), STATION).unwrap();
    fs::write(a.join("src/main.rs"), "fn main() { println!(\"hello\") }").unwrap();
    fs::write(
        a.join("Cargo.toml"),
        "[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    )
    .unwrap();
    let (built, _) = builds(&a);
    let built = built.unwrap_or_else(|error| panic!("{error}"));
    assert!(
        exports(&built)
            .iter()
            .any(|name| name.starts_with("wasi:cli/run@0.2."))
    );
    assert!(!rebuilt(&a));
    // A second binary makes it unclear which one is meant.
    fs::create_dir_all(a.join("src/bin")).unwrap();
    fs::write(a.join("src/bin/b.rs"), "fn main() {}").unwrap();
    let error = builds(&a).0.unwrap_err().to_string();
    assert!(
        error.contains("the package `a` has several binaries\n  hint: "),
        "{error}"
    );
}

#[test]
fn packages_of_the_same_names_are_kept_asunder() {
    let packages = |word: &str, table: &str| {
        let package = |name: &str, more: &str| {
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}")
        };
        let depends = format!("[dependencies]\nsame-word = {{ path = \"word\" }}\n{table}");
        station(&[
            ("Cargo.toml", &package("same", &depends)),
            (
                "src/main.rs",
                "fn main() { println!(\"{}\", same_word::WORD) }",
            ),
            ("word/Cargo.toml", &package("same-word", "")),
            (
                "word/src/lib.rs",
                &format!("pub const WORD: &str = \"{word}\";"),
            ),
        ])
    };
    let has = |dir: &TempDir, word: &str| {
        let (built, _) = builds(dir.path());
        let component =
            fs::read(built.unwrap_or_else(|error| panic!("{error}")).component).unwrap();
        component
            .windows(word.len())
            .any(|it| it == word.as_bytes())
    };
    // Both are there before either is built: whichever comes second is older than what was built last.
    // What is in a workspace is its member, what a package alone depends on is none.
    for table in ["[workspace]\n", ""] {
        let (one, two) = (
            packages("first-word", table),
            packages("second-word", table),
        );
        assert!(has(&one, "first-word"));
        assert!(has(&two, "second-word"));
        fs::remove_dir_all(one.path().join(".andon")).unwrap();
        assert!(has(&one, "first-word"));
    }
    // Another folder comes to be in its place, with files as old as they were.
    let (two, three) = (packages("second-word", ""), packages("third-word", ""));
    assert!(has(&two, "second-word"));
    let (path, aside) = (two.path(), two.path().with_extension("aside"));
    fs::rename(path, &aside).unwrap();
    fs::rename(three.path(), path).unwrap();
    let came = has(&two, "third-word");
    fs::rename(&aside, three.path()).unwrap();
    assert!(came);
}

#[test]
fn a_c_program() {
    let main =
        "#include <stdio.h>\n#include \"word.h\"\nint main(void) { puts(WORD); return other(); }\n";
    let dir = station(&[
        ("main.c", main),
        ("word.h", "#define WORD \"a\"\nint other(void);\n"),
        (
            "src/other.c",
            "#include \"word.h\"\nint other(void) { return 0; }\n",
        ),
    ]);
    let (built, _) = builds(dir.path());
    let built = built.unwrap_or_else(|error| panic!("{error}"));
    assert!(is_command(&exports(&built)));
    assert!(!rebuilt(dir.path()));

    fs::write(
        dir.path().join("word.h"),
        "#define WORD \"b\"\nint other(void);\n",
    )
    .unwrap();
    assert!(rebuilt(dir.path()), "a header has changed");
    fs::write(dir.path().join("src/more.c"), "int more;\n").unwrap();
    assert!(rebuilt(dir.path()), "a source has come");
    fs::write(&built.component, b"other").unwrap();
    assert!(rebuilt(dir.path()), "somebody else wrote the component");
    fs::write(
        dir.path().join("station.toml"),
        STATION.replace("0.1.0", "0.2.0"),
    )
    .unwrap();
    assert!(rebuilt(dir.path()), "the manifest has changed");

    fs::write(
        dir.path().join("main.c"),
        "int main(void) { return nothing; }\n",
    )
    .unwrap();
    let error = builds(dir.path()).0.unwrap_err().to_string();
    assert!(error.contains("main.c:1:"), "{error}");
}

#[test]
fn what_is_no_station() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        builds(dir.path()).0,
        Err(BuildError::NotAStation(_))
    ));

    let dir = station(&[]);
    let error = builds(dir.path()).0.unwrap_err();
    assert!(matches!(&error, BuildError::Unclear { .. }), "{error}");

    fs::write(dir.path().join("station.toml"), "nme = 1\n").unwrap();
    let BuildError::Manifest { problems, .. } = builds(dir.path()).0.unwrap_err() else {
        panic!()
    };
    assert_eq!(problems.len(), 4);

    fs::write(dir.path().join("station.toml"), b"name = \"\xff\"\n").unwrap();
    let error = builds(dir.path()).0.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot read `") && error.contains("UTF-8"),
        "{error}"
    );

    let dir = station(&[("Cargo.toml", "[workspace]\n")]);
    let error = builds(dir.path()).0.unwrap_err().to_string();
    assert!(
        error.contains("has no package, only a workspace"),
        "{error}"
    );
}

#[test]
fn what_is_missing_on_the_machine_is_named() {
    for (file, expected) in [
        (
            "Cargo.toml",
            "Rust's `cargo` is not installed, which `tiny` needs to be built\n  hint: ",
        ),
        (
            "main.c",
            "Zig, the C compiler for WebAssembly, is not installed, which `tiny` needs",
        ),
    ] {
        let dir = station(&[(file, "")]);
        let cache = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_andon-build"))
            .arg(dir.path())
            .env("PATH", "")
            .env("ANDON_BUILD_CACHE", cache.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with(&format!("error: {expected}")), "{said}");
        assert_eq!(output.status.code(), Some(1));
    }
}

/// A Rust that has `wasm32-wasip2`, played by two scripts, so that the ordinary way is tested where
/// only the other one is installed. What `cargo` was told stands in `told`.
fn ordinary_rust(package: &Path) -> TempDir {
    let tools = tempfile::tempdir().unwrap();
    let at = tools.path();
    fs::create_dir_all(at.join("lib/rustlib/wasm32-wasip2/lib")).unwrap();
    fs::write(at.join("tiny.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    fs::write(
        at.join("tiny.d"),
        format!("tiny.wasm: {}/src/lib.rs\n", package.display()),
    )
    .unwrap();
    let target =
        serde_json::json!({ "name": "tiny", "kind": ["cdylib"], "crate_types": ["cdylib"] });
    let sdk = serde_json::json!({
        "name": "andon-station",
        "source": "registry+https://github.com/rust-lang/crates.io-index",
    });
    let metadata = serde_json::json!({
        "workspace_root": package,
        "packages": [{
            "id": "tiny-id", "name": "tiny", "manifest_path": package.join("Cargo.toml"),
            "targets": [target], "dependencies": [sdk], "default_run": null,
        }],
    });
    let artifact = serde_json::json!({
        "reason": "compiler-artifact", "target": target, "filenames": [at.join("tiny.wasm")],
    });
    let cargo = format!(
        "#!/bin/sh\necho \"$@\" >>{0}/told\necho \"${{RUSTFLAGS-}} ${{RUSTC-}} ${{CARGO_PROFILE_RELEASE_LTO-}}\" >>{0}/told\ncase $1 in\nmetadata) echo '{metadata}' ;;\n*) echo '{artifact}' ;;\nesac\n",
        at.display()
    );
    fs::write(at.join("cargo.sh"), cargo).unwrap();
    fs::write(
        at.join("rustc.sh"),
        format!("#!/bin/sh\necho {}\n", at.display()),
    )
    .unwrap();
    // Written by a process of its own: what this one has written, a child that another test starts at
    // the same time may still hold open, and then it cannot be executed.
    let made = Command::new("/bin/sh")
        .args([
            "-c",
            "for t in cargo rustc; do cp $t.sh $t && chmod +x $t || exit 1; done",
        ])
        .current_dir(at)
        .status()
        .unwrap();
    assert!(made.success());
    tools
}

#[test]
fn the_ordinary_way_where_the_target_is_installed() {
    let dir = station(&[("Cargo.toml", ""), ("src/lib.rs", "")]);
    let package = dir.path().canonicalize().unwrap();
    let tools = ordinary_rust(&package);
    let cache = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_andon-build"))
        .arg(&package)
        .env("PATH", tools.path())
        .env("ANDON_BUILD_CACHE", cache.path())
        .env("RUSTFLAGS", "-Ctarget-cpu=native")
        .env("RUSTC", "/nowhere")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "building tiny (rust: rustc for wasm32-wasip2)\n");
    let component = fs::read(package.join(".andon/tiny.wasm")).unwrap();
    assert_eq!(extract(&component).unwrap().unwrap().name, "tiny");

    let told = fs::read_to_string(tools.path().join("told")).unwrap();
    let lines: Vec<_> = told.lines().collect();
    let [metadata, env, clean, _, rustc, _] = lines.as_slice() else {
        panic!("{told}")
    };
    let manifest = package.join("Cargo.toml");
    assert_eq!(
        *metadata,
        format!(
            "metadata --no-deps --format-version=1 --manifest-path {}",
            manifest.display()
        )
    );
    assert_eq!(
        *env, "  fat",
        "what is meant for the host's build does not reach a guest's"
    );
    let (before, rest) = rustc
        .split_once(" --config patch.crates-io.andon-station.path=")
        .unwrap();
    assert_eq!(before, "rustc --release --target=wasm32-wasip2");
    let (sdk, rest) = rest.split_once(' ').unwrap();
    assert_eq!(
        rest,
        "--message-format=json-render-diagnostics --package tiny-id --lib --crate-type=cdylib"
    );
    assert_eq!(
        *clean,
        format!(
            "{before} --config patch.crates-io.andon-station.path={sdk} --quiet --package tiny"
        )
        .replace("rustc", "clean")
    );
    let sdk: String = serde_json::from_str(sdk).unwrap();
    assert!(Path::new(&sdk).join("Cargo.toml").is_file());
    assert!(Path::new(&sdk).join("../../wit/work.wit").is_file());
}

#[test]
fn many_at_once_build_once() {
    let dir = station(&[("main.c", "int main(void) { return 0; }\n")]);
    let spawn = || {
        Command::new(env!("CARGO_BIN_EXE_andon-build"))
            .arg(dir.path())
            .stderr(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let running: Vec<_> = (0..4).map(|_| spawn()).collect();
    let said: Vec<_> = running
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{said}");
            said
        })
        .collect();
    assert_eq!(
        said.iter()
            .filter(|said| said.contains("building tiny"))
            .count(),
        1,
        "{said:?}"
    );
}
