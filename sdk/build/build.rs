//! Puts the Rust SDK and the WIT files into the crate, so that a station which asks for
//! `andon-station` builds on a machine without this repository.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let root = here
        .join("../..")
        .canonicalize()
        .expect("the repository's root");
    let mut files = Vec::new();
    for folder in ["sdk/rust", "wit"] {
        println!("cargo:rerun-if-changed={}", root.join(folder).display());
        collect(&root.join(folder), &mut files);
    }
    files.sort();

    let workspace = reduced(&read(&root.join("Cargo.toml")));
    println!(
        "cargo:rerun-if-changed={}",
        root.join("Cargo.toml").display()
    );
    let mut digest = blake3::Hasher::new();
    digest.update(workspace.as_bytes());
    let mut code = format!(
        "const FILES: &[(&str, &[u8])] = &[\n    (\"Cargo.toml\", {workspace:?}.as_bytes()),\n"
    );
    for file in &files {
        let name = file
            .strip_prefix(&root)
            .expect("below the root")
            .to_str()
            .expect("UTF-8");
        let bytes = fs::read(file).expect("a readable file");
        digest
            .update(name.as_bytes())
            .update(&(bytes.len() as u64).to_le_bytes())
            .update(&bytes);
        writeln!(
            code,
            "    ({name:?}, include_bytes!({:?})),",
            file.to_str().expect("UTF-8")
        )
        .expect("memory");
    }
    let sdk = digest.finalize();

    // What this crate does to a station is part of what the station was built from.
    let mut own = Vec::new();
    println!("cargo:rerun-if-changed={}", here.join("src").display());
    println!("cargo:rerun-if-changed={}", here.join("build.rs").display());
    collect(&here.join("src"), &mut own);
    own.sort();
    for file in own {
        digest.update(&fs::read(file).expect("a readable file"));
    }
    write!(
        code,
        "];\n/// Of the files above.\nconst SDK_DIGEST: &str = {:?};\n/// Of the files above and of this crate.\npub(crate) const BUILDER: &str = {:?};\n",
        &sdk.to_hex()[..16],
        &digest.finalize().to_hex()[..16],
    )
    .expect("memory");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    fs::write(out.join("sdk.rs"), code).expect("a writable OUT_DIR");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().and_then(|n| n.to_str()).expect("UTF-8");
        match path.is_dir() {
            _ if name.starts_with('.') || name == "target" => {}
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}

/// The repository's workspace with the SDK as its only member: what members inherit stays, profiles
/// and the other members go.
fn reduced(manifest: &str) -> String {
    let mut kept = String::from("[workspace]\nresolver = \"3\"\nmembers = [\"sdk/rust\"]\n");
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.starts_with("[workspace.");
        }
        if inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a readable file")
}
