//! `andon secret`: secrets of a factory, in the environment, a keyring or a file.

use crate::ground::{Came, Ground};
use insta::assert_snapshot;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

const VALUE: &str = "hush-hush-0123456789";

/// What stands in for libsecret's tool: it keeps values as files, by name.
const TOOL: &str = r#"#!/bin/sh
verb=$1; shift
case $1 in --label=*) shift;; esac
name=$6
[ -e "$KEYRING/refuses" ] && { echo 'secret-tool: the prompt was dismissed' >&2; exit 1; }
[ -e "$KEYRING" ] || { echo 'secret-tool: Cannot autolaunch D-Bus without X11 $DISPLAY' >&2; exit 1; }
case $verb in
  store) cat > "$KEYRING/$name" ;;
  lookup) [ -n "$name" ] && [ -e "$KEYRING/$name" ] && cat "$KEYRING/$name" ;;
  clear) rm "$KEYRING/$name" ;;
esac
"#;

/// A ground with a line and such a tool first on the path.
fn ground() -> Ground {
    let ground = Ground::new();
    ground
        .line("line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"s.wat\"\nnext = \"done\"\ngrants.http = [\"GET https://a.example/**\"]\ngrants.secrets = [{ name = \"TOKEN\", header = \"authorization\", for = \"https://a.example/**\" }]\n")
        .write("s.wat", r#"(component
  (core module $m (func (export "run") (result i32) i32.const 0))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#)
        .write("in.txt", "a\n")
        .write("bin/secret-tool", TOOL);
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(ground.path("bin/secret-tool"), mode).expect("its own file");
    ground
}

fn command(ground: &Ground, arguments: &[&str]) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = ground.command(arguments);
    command
        .env("PATH", format!("{}:{path}", ground.path("bin").display()))
        .env("KEYRING", ground.path("keyring"))
        .stdin(Stdio::null());
    command
}

fn andon(ground: &Ground, arguments: &[&str]) -> Came {
    ground.came(command(ground, arguments).output().expect("it runs"))
}

fn set(ground: &Ground, arguments: &[&str], value: &str) -> Came {
    ground.write("value", value);
    let value = fs::File::open(ground.path("value")).expect("there");
    let mut command = command(ground, &[&["secret", "set"], arguments].concat());
    let output = command.stdin(value).output().expect("it runs");
    fs::remove_file(ground.path("value")).expect("removed");
    ground.came(output)
}

/// All files of the ground that have the value in them.
fn with_value(ground: &Ground) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![ground.path("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).expect("a file");
                if bytes
                    .windows(VALUE.len())
                    .any(|part| part == VALUE.as_bytes())
                {
                    found.push(path);
                }
            }
        }
    }
    found
}

/// The text without what is different on each machine.
fn plain(came: &Came) -> String {
    let text = came.whole();
    let words = text.split('/').map(|word| {
        let digest = word.len() >= 64 && word.bytes().take(64).all(|b| b.is_ascii_hexdigit());
        if digest {
            format!("FILE{}", &word[64..])
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join("/")
}

#[test]
fn a_secret_is_kept_in_a_file_where_no_keyring_answers() {
    let ground = ground();
    assert_snapshot!(plain(&andon(&ground, &["check"])), @r"
    exit 0
    line `l` is fine: 1 station
    -- stderr
    note: the secret `TOKEN` of `s` is not set: its calls are denied
      hint: `andon secret set TOKEN`
    ");
    let came = set(&ground, &["TOKEN"], &format!("{VALUE}\n"));
    assert_snapshot!(plain(&came), @r"
    exit 0
    -- stderr
    `TOKEN` is kept in the file `DIR/data-home/andon/secrets/FILE`
    ");
    let files = with_value(&ground);
    assert_eq!(files.len(), 1);
    let mode = fs::metadata(&files[0]).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_snapshot!(plain(&andon(&ground, &["secret", "list"])), @r"
    exit 0
    TOKEN  file
    -- stderr
    ");
    assert_snapshot!(andon(&ground, &["secret", "list", "--json"]).well(), @r#"{"secrets":[{"name":"TOKEN","kept":"file","used":true}]}"#);
    assert_snapshot!(plain(&andon(&ground, &["check"])), @r"
    exit 0
    line `l` is fine: 1 station
    -- stderr
    ");
    // Neither a run nor a lock writes anything of it down.
    andon(&ground, &["run", ".", "in.txt", "-q"]).well();
    let accept = [
        "http GET https://a.example/**",
        "secret TOKEN header=authorization prefix=\"Bearer \" for * https://a.example/**",
    ]
    .map(|name| format!("s:{name}"));
    andon(
        &ground,
        &["lock", "--accept", &accept[0], "--accept", &accept[1]],
    )
    .well();
    assert_eq!(with_value(&ground), files);

    assert_snapshot!(plain(&andon(&ground, &["secret", "rm", "TOKEN"])), @r"
    exit 0
    -- stderr
    `TOKEN` is removed from the file `DIR/data-home/andon/secrets/FILE`
    ");
    assert_eq!(with_value(&ground), Vec::<PathBuf>::new());
    assert_snapshot!(plain(&andon(&ground, &["secret", "rm", "TOKEN"])), @r"
    exit 1
    -- stderr
    error: there is no secret `TOKEN`
      hint: `andon secret list` lists them
    ");
}

#[test]
fn a_keyring_is_used_where_one_answers() {
    let ground = ground();
    ground.write("keyring/.keep", "");
    assert_snapshot!(plain(&set(&ground, &["TOKEN"], VALUE)), @r"
    exit 0
    -- stderr
    `TOKEN` is kept in the system's keyring
    ");
    assert_eq!(with_value(&ground), [ground.path("keyring/TOKEN")]);
    ground.write("keyring/refuses", "");
    assert_snapshot!(plain(&set(&ground, &["OTHER"], VALUE)), @r"
    exit 1
    -- stderr
    error: the secret `OTHER` cannot be put into the system's keyring: secret-tool: the prompt was dismissed
      hint: `--in file` keeps it in a file that only you may read
    ");
    // The list asks no keyring.
    assert_snapshot!(andon(&ground, &["secret", "list"]).well(), @"TOKEN  keyring");
    fs::remove_file(ground.path("keyring/refuses")).expect("removed");
    set(&ground, &["TOKEN", "--in", "file"], VALUE).well();
    assert!(!ground.path("keyring/TOKEN").exists());
    set(&ground, &["TOKEN", "--in", "keyring"], VALUE).well();
    assert_eq!(with_value(&ground), [ground.path("keyring/TOKEN")]);
    andon(&ground, &["secret", "rm", "TOKEN"]).well();
    assert_eq!(with_value(&ground), Vec::<PathBuf>::new());
}

#[test]
fn the_environment_comes_first() {
    let ground = ground();
    set(&ground, &["TOKEN"], VALUE).well();
    let mut list = command(&ground, &["secret", "list"]);
    let output = list
        .env("ANDON_SECRET_TOKEN", "of-the-environment")
        .output();
    assert_snapshot!(ground.came(output.expect("it runs")).well(), @r"
    TOKEN  environment
    TOKEN  file (not used: the environment has it)
    ");
    andon(&ground, &["secret", "rm", "TOKEN"]).well();
    let mut check = command(&ground, &["check"]);
    let output = check
        .env("ANDON_SECRET_TOKEN", "of-the-environment")
        .output();
    assert_eq!(ground.came(output.expect("it runs")).stderr, "");
}

#[test]
fn what_is_no_secret_and_whose_it_would_be() {
    let ground = ground();
    let mut all = String::new();
    for (arguments, value) in [
        (&["TOKEN"][..], "short"),
        (&["TOKEN"], "two\nlines of it"),
        (&["token"], VALUE),
        (&["TOKEN", VALUE], ""),
        (&["TOKEN", "--factory", "gone.toml"], VALUE),
    ] {
        let came = set(&ground, arguments, value);
        assert_eq!(came.code, Some(1), "{arguments:?}");
        all += &format!("{arguments:?}\n{}\n", plain(&came));
    }
    fs::remove_file(ground.path("line.toml")).expect("removed");
    all += &plain(&set(&ground, &["TOKEN"], VALUE));
    assert_snapshot!(all);
    assert!(!ground.path("data-home").exists());
}

#[test]
fn each_factory_has_its_own() {
    let ground = ground();
    ground
        .write("andon.toml", "")
        .write("prod.toml", "")
        .write("below/line.toml", "line = \"m\"\n");
    set(&ground, &["A"], VALUE).well();
    set(&ground, &["B", "--factory", "prod.toml"], VALUE).well();
    let list =
        |arguments: &[&str]| andon(&ground, &[&["secret", "list"], arguments].concat()).well();
    assert_eq!(list(&[]), "A  file\n");
    assert_eq!(list(&["--factory", "prod.toml"]), "B  file\n");
    let mut below = command(&ground, &["secret", "list"]);
    let output = below.current_dir(ground.path("below")).output();
    assert_eq!(ground.came(output.expect("it runs")).well(), "A  file\n");
}
