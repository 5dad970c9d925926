//! What a line may be granted, what is left of it below a ceiling, and what is said of that.

use crate::ground::Ground;
use insta::assert_snapshot;
use std::{fs, os::unix::fs::symlink};

/// A program with a manifest that asks for a little of everything.
fn asking(requires: &str) -> String {
    let manifest = format!(
        r#"{{"name":"asks","version":"1.0.0","description":"asks for much","requires":{requires}}}"#
    );
    format!(
        r#"(component
  (@custom "andon:manifest" "{}")
  (core module $m (func (export "run") (result i32) i32.const 0))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#,
        manifest.replace('\n', "").replace('"', "\\\"")
    )
}

const REQUIRES: &str = r#"{
    "fs":[{"guest":"/data","access":"read","why":"samples"},{"guest":"/more","access":"write","why":"speed","optional":true}],
    "http":[{"rule":"GET https://api.example.com/v1/**","why":"advice"},{"rule":"GET https://more.example.com/**","why":"more advice","optional":true}],
    "tcp":[{"to":"cache.internal:6379","why":"speed","optional":true}],
    "secrets":[{"name":"OTHER","why":"more advice","optional":true}]}"#;

const LINE: &str = r#"
line = "l"
entry = "s"
[vars]
api = "api.example.com"
[stations.s]
use = "s.wat"
next = "done"
violation = "deny"
rate = { requests = "5/m" }
limits = { wall = "10s" }
assets = [{ host = "rules", guest = "/rules" }]
grants.fs = [
    { host = "data", guest = "/data", access = "read" },
    { host = "out", guest = "/out", access = "write", quota = "1MiB" },
]
grants.http = [
    "GET,HEAD https://${api}/v1/**",
    { rule = "POST https://${api}/v1/items", max-response = "1MiB", timeout = "5s", idempotent = true },
    { rule = "GET http://127.0.0.1:8080/**", private = true },
    { rule = "GET http://*.internal/**", private = true },
]
grants.tcp = ["db.internal:5432"]
grants.secrets = [{ name = "API_TOKEN", header = "authorization", for = "https://${api}/v1/**" }]
"#;

const CEILING: &str = r#"
[ceiling]
limits = { wall = "1m", cpu = "2s" }
[ceiling.grants]
fs = [{ host = ".", access = "read" }]
http = ["* https://api.example.com/v1/**", "GET http://a.internal/**"]
secrets = [{ name = "API_TOKEN", for = "https://api.example.com/v1/items" }]
"#;

fn ground() -> Ground {
    let ground = Ground::new();
    ground
        .line(LINE)
        .write("s.wat", asking(REQUIRES))
        .write("rules/r", "")
        .write("data/d", "")
        .write("out/o", "");
    ground
}

#[test]
fn rights_are_explained() {
    let ground = ground();
    assert_snapshot!(ground.andon(&["explain", ".", "s"]).whole());
}

#[test]
fn a_ceiling_takes_away() {
    let ground = ground();
    ground.write("andon.toml", CEILING);
    assert_snapshot!(ground.andon(&["explain", ".", "s"]).whole());
    let json = ground.andon(&["explain", ".", "s", "--json"]).well();
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let of = |key: &str| json[key].clone();
    assert_snapshot!(
        ["mounts", "http", "tcp", "secrets", "not-given"]
            .map(|key| format!("{key} = {:#}", of(key)))
            .join("\n")
    );
}

#[test]
fn a_call_is_judged_beforehand() {
    let calls = [
        "GET https://api.example.com/v1/x?q=1",
        "POST https://api.example.com/v1/items",
        "PUT https://api.example.com/v1/items",
        "GET https://api.example.com/v1/..%2fv2",
        "GET http://127.0.0.1:8080/x",
        "GET http://0x7f000001:8080/x",
        "GET http://169.254.169.254/latest",
        "GET http://b.internal/x",
        "connect db.internal:5432",
        "connect db.internal:5433",
        "read /workspace/x",
        "write /workspace/x",
        "read /rules/r",
        "write /rules/r",
        "read /data/d",
        "write /data/d",
        "write /out/o",
        "read /etc/passwd",
        "read /data/../etc",
        "GET example.com",
        "fetch https://api.example.com/",
        "nothing",
    ];
    let ground = ground();
    let asked = |ground: &Ground| {
        let mut said = String::new();
        for call in calls {
            let came = ground.andon(&["explain", ".", "s", "--would", call]);
            said.push_str(&format!("$ {call}\n{}\n", came.whole()));
        }
        said
    };
    assert_snapshot!("without_a_ceiling", asked(&ground));
    ground.write("andon.toml", CEILING);
    assert_snapshot!("below_a_ceiling", asked(&ground));
    let call = "GET https://api.example.com/v1/items";
    assert_snapshot!(
        "would_in_json",
        ground
            .andon(&["explain", ".", "s", "--json", "--would", call])
            .whole()
    );
}

#[test]
fn what_is_required_has_to_be_given() {
    let ground = ground();
    let requires = REQUIRES.replace(",\"optional\":true", "");
    ground.write("s.wat", asking(&requires));
    assert_snapshot!(
        "less_granted_than_required",
        ground.andon(&["check"]).whole()
    );
    ground
        .write("s.wat", asking(REQUIRES))
        .write("andon.toml", "[ceiling]\nlimits = { wall = \"5s\" }\n");
    assert_snapshot!(
        "a_limit_above_the_ceiling",
        ground.andon(&["check"]).whole()
    );
}

#[test]
fn assets_are_no_way_around_a_ceiling() {
    let ground = Ground::new();
    let line = "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"s.wat\"\nnext = \"done\"\n\
        assets = [{ host = \"rules\", guest = \"/rules\" }, { host = \"../shared\", guest = \"/shared\" }]\n";
    ground
        .write("line/line.toml", line)
        .write("line/s.wat", asking("{}"))
        .write("line/rules/r", "")
        .write("shared/s", "");
    let check = || ground.andon(&["check", "line"]).whole();
    let free = check();
    ground.write("andon.toml", "[ceiling]\n");
    let closed = check();
    ground.write(
        "andon.toml",
        "[ceiling.grants]\nfs = [{ host = \"shared\", access = \"read\" }]\n",
    );
    assert_snapshot!([free, closed, check()].join("\n"));
}

/// What of the host's no line may be granted, each by its place.
#[test]
fn what_is_andons_own_is_not_granted() {
    let ground = Ground::new();
    for folder in [
        ".andon",
        "data/sub",
        "state",
        "cache/andon/compiled",
        "other/.andon/blobs",
    ] {
        fs::create_dir_all(ground.path(folder)).expect("folders can be made");
    }
    ground
        .write("kept/journal.sqlite", "")
        .write("around/kept/journal.sqlite", "")
        .write("deep/a/b/.andon/journal.sqlite", "");
    for (link, to) in [
        ("to-state", ".andon"),
        ("data/link", "../.."),
        ("data/inner", "sub"),
    ] {
        symlink(to, ground.path(link)).expect("a link");
    }
    let says = |entry: &str| {
        let line = format!(
            "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"s.wat\"\nnext = \"done\"\n{entry}\n"
        );
        ground.line(&line).write("s.wat", asking("{}"));
        let mut command = ground.command(&["check"]);
        let output = command
            .env("XDG_CACHE_HOME", ground.path("cache"))
            .output()
            .expect("it runs");
        format!("$ {entry}\n{}\n", ground.came(output).whole())
    };
    let mount = |host: &str, access: &str| {
        format!("grants.fs = [{{ host = \"{host}\", guest = \"/x\", access = \"{access}\" }}]")
    };
    let both = |host: &str| {
        format!(
            "grants.fs = [{{ host = \"data\", guest = \"/data\", access = \"write\" }}, {{ host = \"{host}\", guest = \"/x\", access = \"read\" }}]"
        )
    };
    let asset = |host: &str| format!("assets = [{{ host = \"{host}\", guest = \"/x\" }}]");
    let entries = [
        // the state folder: itself, within, around, by a link, and another line's
        mount(".andon", "read"),
        mount(".andon/blobs", "read"),
        mount(".", "read"),
        mount("/", "read"),
        mount("to-state", "read"),
        mount("other/.andon/blobs", "read"),
        // compiled code
        mount("cache", "read"),
        mount("cache/andon/compiled", "write"),
        // assets
        asset("."),
        asset(".andon"),
        asset("to-state"),
        // a link that a station may have put there, and one that nobody could
        both("data/link"),
        both("data/inner"),
        mount("data/inner", "read"),
        mount("data", "write"),
        mount("state", "write"),
        // another line's state under a name of its own, and what is the system's
        mount("kept", "read"),
        mount("around", "read"),
        mount("/proc/self", "read"),
        mount("/dev/shm", "write"),
        // a state deep inside
        asset("deep"),
        // one folder with two bounds
        "grants.fs = [{ host = \"data\", guest = \"/a\", access = \"write\", quota = \"1KiB\" }, { host = \"data/sub\", guest = \"/b\", access = \"write\" }]".into(),
    ];
    let said: String = entries.iter().map(|entry| says(entry)).collect();
    assert_snapshot!(said);
}

#[test]
fn what_says_what_a_line_may_do_is_not_granted_for_writing() {
    let ground = Ground::new();
    // beside the line's folder, so that its state folder is not in the way
    fs::create_dir_all(ground.path("line")).expect("a folder");
    fs::create_dir_all(ground.path("up/part")).expect("a folder");
    let says = |host: &str, access: &str, arguments: &[&str]| {
        let line = format!(
            "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"../up/part/s.wat\"\nnext = \"done\"\n\
             grants.fs = [{{ host = \"{host}\", guest = \"/x\", access = \"{access}\" }}]\n"
        );
        ground
            .write("line/line.toml", line)
            .write("up/part/s.wat", asking("{}"))
            .write("up/andon.toml", "");
        let came = ground.andon(arguments);
        format!(
            "$ {host} {access} {}\n{}\n",
            arguments.join(" "),
            came.whole()
        )
    };
    let run = ["run", "line", "in.txt", "--state", "state", "-q"];
    let factory = ["check", "line", "--factory", "up/andon.toml"];
    ground.write("in.txt", "a");
    let said = [
        says(".", "write", &run),
        says(".", "read", &run),
        says("../up", "write", &factory),
        says("../up", "read", &factory),
        says("../up/part", "write", &["check", "line"]),
        says("../state", "read", &run),
        says("..", "read", &run),
    ]
    .concat();
    assert_snapshot!(said);
}

/// What the ceiling takes away is not there for the guest either.
#[test]
fn a_folder_that_the_ceiling_closes_is_not_mounted() {
    let ground = Ground::new();
    ground
        .line(
            r#"
line = "l"
entry = "s"
[stations.s]
use = "@keeps-files"
next = { pass = "done" }
grants.fs = [{ host = "data", guest = "/data", access = "write" }]
"#,
        )
        .write("data/d", "");
    assert_snapshot!(
        "a_folder_that_is_open",
        ground
            .andon(&["explain", ".", "s", "--would", "write /data/x"])
            .whole()
    );
    ground.write(
        "andon.toml",
        "[ceiling.grants]\nfs = [{ host = \"data\", access = \"read\" }]\n",
    );
    assert_snapshot!(
        "a_folder_that_the_ceiling_closes",
        ground
            .andon(&["explain", ".", "s", "--would", "write /data/x"])
            .whole()
    );
}
