//! Replacing revisions of lines while they run, with real stations.

mod daemon;
mod refused;
mod running;
mod shadow;

use crate::ground::Ground;
use andon::{
    assembly::{Assembled, Assembly, Revision, Stock},
    content::Content,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn assembly(say: &(dyn Fn(&str) + Sync)) -> Assembly<'_> {
    Assembly {
        factory: None,
        state: None,
        exe: env!("CARGO_BIN_EXE_andon").into(),
        say,
    }
}

/// The component of a test station.
fn built(station: &Path) -> PathBuf {
    let stations = crate::ground::root().join("tests/stations");
    let options = andon_build::Options::default();
    let built = andon_build::build(&stations.join(station), &options);
    built.expect("it builds").component
}

/// The only file below a folder that is larger than nothing and fits.
fn find(below: &Path, fits: &dyn Fn(&Path) -> bool) -> PathBuf {
    let mut folders = vec![below.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if fits(&path) => return path,
                _ => {}
            }
        }
    }
    panic!("nothing fits below {}", below.display());
}

#[test]
fn a_revision_comes_back_from_the_state_folder_alone() {
    let ground = Ground::new();
    let text = r#"
line = "l"
entry = "one"
[stations.one]
use = "one.wasm"
next = "two"
assets = [{ host = "rules", guest = "/rules" }, { host = "rules/a.txt", guest = "/etc/a.txt" }]
grants.fs = [{ host = "data", guest = "/data", access = "read" }]
[stations.two]
use = "two.wat"
next = "done"
"#;
    let stations = crate::ground::root().join("tests/stations");
    fs::copy(built(Path::new("stamp")), ground.path("one.wasm")).expect("copied");
    fs::copy(stations.join("spins.wat"), ground.path("two.wat")).expect("copied");
    ground
        .write("line.toml", text)
        .write("rules/a.txt", "a")
        .write("rules/b/c.txt", "c");
    ground.write("data/x", "x");
    let folder = ground.path(".andon");
    let content = Content::open(folder.join("blobs"));
    let stock = Stock {
        folder: &folder,
        content: &content,
    };
    let say = |_: &str| ();
    let assembly = assembly(&say);
    let assembled = assembly
        .assemble(&ground.path("line.toml"))
        .expect("it assembles");
    let (line, revision) = assembled.keep(stock).expect("it is kept");
    assert_eq!(
        (revision.folder.as_path(), revision.file.as_deref()),
        (Path::new(".."), Some(Path::new("line.toml")))
    );
    let text = revision.to_text().expect("text");
    let read = Revision::from_text(&text).expect("a revision");
    assert_eq!(read, revision);

    // The sources go, and what is granted stays.
    for gone in [
        "line.toml",
        "one.wasm",
        "two.wat",
        "rules/a.txt",
        "rules/b/c.txt",
    ] {
        fs::remove_file(ground.path(gone)).expect("removed");
    }
    let revive = || assembly.revive(&revision, 3, stock);
    let revived = revive().expect("it comes back");
    assert_eq!(
        revived.keep(stock).expect("it is kept"),
        (line.clone(), revision.clone())
    );
    let digests = |assembled: &Assembled| -> Vec<_> {
        assembled
            .parts
            .values()
            .map(|part| part.component.digest)
            .collect()
    };
    assert_eq!(digests(&revived), digests(&assembled));
    let granted = |assembled: &Assembled| -> Vec<String> {
        assembled
            .terms(&line)
            .into_iter()
            .map(|(_, terms)| terms.granted_at)
            .collect()
    };
    let file = fs::canonicalize(ground.path("."))
        .expect("there")
        .join("line.toml");
    assert_eq!(
        granted(&revived),
        [file.display().to_string(), file.display().to_string()]
    );
    // A factory moved as a whole.
    assert!(line.stations["one"].assets[0].host.starts_with(&folder));

    let told = |what: &str| {
        let error = revive().expect_err(what);
        error
            .to_string()
            .replace(&ground.path("").display().to_string(), "DIR/")
    };
    let mut wrong = Vec::new();
    fs::rename(ground.path("data"), ground.path("moved")).expect("renamed");
    wrong.push(told("a granted folder is gone"));
    fs::rename(ground.path("moved"), ground.path("data")).expect("renamed");
    let asset = find(&folder.join("assets"), &|path| path.ends_with("b/c.txt"));
    fs::write(&asset, "another").expect("written");
    wrong.push(told("an asset is another"));
    fs::write(&asset, "c").expect("written");
    let blob = |name: &str| {
        let digest = revision.components[name].to_string();
        folder.join("blobs").join(&digest[..2]).join(&digest[2..])
    };
    let whole = fs::read(blob("one")).expect("there");
    fs::write(blob("one"), &whole[..whole.len() - 1]).expect("written");
    wrong.push(told("a component is damaged"));
    fs::write(blob("one"), &whole).expect("written");
    fs::remove_file(blob("two")).expect("removed");
    wrong.push(told("a component is gone"));
    insta::assert_snapshot!(wrong.join("\n"));
}

#[test]
fn the_ceiling_of_today_holds_for_a_revision_of_yesterday() {
    let ground = Ground::new();
    ground.line(
        r#"
line = "l"
entry = "one"
[stations.one]
use = "@stamp"
next = "done"
limits = { memory = "64MiB" }
grants.fs = [{ host = "data", guest = "/data", access = "write" }]
"#,
    );
    ground.write("data/x", "x");
    let folder = ground.path(".andon");
    let content = Content::open(folder.join("blobs"));
    let stock = Stock {
        folder: &folder,
        content: &content,
    };
    let say = |_: &str| ();
    let assembly = assembly(&say);
    let assembled = assembly
        .assemble(&ground.path("line.toml"))
        .expect("it assembles");
    let (_, revision) = assembled.keep(stock).expect("it is kept");
    ground.write(
        "andon.toml",
        "[ceiling]\nlimits = { memory = \"32MiB\" }\n[ceiling.grants]\nfs = [{ host = \"data\", access = \"read\" }]\n",
    );
    let revived = assembly.revive(&revision, 1, stock).expect("it comes back");
    let (line, _) = revived.keep(stock).expect("it is kept");
    let station = &line.stations["one"];
    assert_eq!(station.limits.memory, 32 << 20);
    assert_eq!(station.grants.fs[0].access, andon::grant::Access::Read);
}
