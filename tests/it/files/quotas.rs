//! How much a workspace may hold: whatever way a guest adds to it, it ends where the limit says, while
//! others on the line get through.

use super::{STATIONS, Script, Trial, parted};

/// Runs `ways` on a line with `limits`: each jams for `reason`, and an honest item gets through.
fn check(limits: &str, ways: &[Script], reason: &str) {
    for station in STATIONS {
        let trial = Trial::of(station, &format!("limits = {{ {limits} }}"));
        let honest = ("an honest item", "mkdir /workspace d => ok");
        let ways = (ways.iter()).filter(|(_, script)| !parted(script, station.1).0.is_empty());
        let mut scripts = vec![honest];
        scripts.extend(ways);
        let came = trial.run(&scripts);
        assert_eq!(came.code, Some(2), "{}", came.whole());
        trial.compare(&scripts[..1]);
        let jams = came.stderr.matches(reason).count();
        let out = std::fs::read_dir(trial.ground.path("out")).expect("results");
        assert_eq!(
            (jams, out.count()),
            (scripts.len() - 1, 1),
            "{}",
            came.whole()
        );
    }
}

#[test]
fn no_way_leads_past_the_limit_of_bytes() {
    let ways: &[Script] = &[
        (
            "at once",
            "open f /workspace a create write => ok
             many 100 write f #0000 x => ",
        ),
        (
            "a stream",
            "open f /workspace a create write => ok
             stream f 0 70000 => ",
        ),
        (
            "a polled stream",
            "open f /workspace a create write => ok
             poll f 0 70000 => ",
        ),
        (
            "the end",
            "open f /workspace a create write => ok
             many 100 append f 1000 => ",
        ),
        (
            "a hole",
            "open f /workspace a create write => ok
             write f 1000000000000 x => ",
        ),
        (
            "a size",
            "open f /workspace a create write => ok
             size f 1000000000000 => ",
        ),
        (
            "zeroes",
            "2: open f /workspace a create write => ok
             2: zeroes f 0 70000 => ",
        ),
        (
            "a splice",
            "open f /workspace a create write read => ok
             stream f 0 40000 => ok
             open g /workspace b create write => ok
             many 9 splice f g 0 40000 => ",
        ),
        (
            "many files",
            "many 30 mkdir /workspace d# => 30 ok
             many 30 open f# /workspace d#/a create write => 30 ok
             many 30 stream f# 0 3000 => ",
        ),
        (
            "two names: a snapshot has two files",
            "open f /workspace a create write => ok
             stream f 0 40000 => ok
             link /workspace a /workspace b => ",
        ),
        (
            "a file of two names",
            "open f /workspace a create write => ok
             link /workspace a /workspace b => ok
             stream f 0 40000 => ",
        ),
        (
            "files that nobody can name",
            "open f0 /workspace a create new write => ok
             stream f0 0 30000 => ok
             unlink /workspace a => ok
             open f1 /workspace a create new write => ok
             stream f1 0 30000 => ok
             unlink /workspace a => ok
             open f2 /workspace a create new write => ok
             stream f2 0 30000 => ",
        ),
        (
            "a file that nobody can name",
            "open f /workspace a create new write => ok
             unlink /workspace a => ok
             stream f 0 70000 => ",
        ),
        (
            "a file that was renamed over",
            "open f /workspace a create write => ok
             stream f 0 40000 => ok
             open g /workspace b create write => ok
             rename /workspace b /workspace a => ok
             stream g 0 40000 => ",
        ),
    ];
    check("disk = \"64KiB\"", ways, "over the limit `disk` of 64KiB");
}

#[test]
fn no_way_leads_past_the_limit_of_files() {
    let ways: &[Script] = &[
        ("files", "many 30 open f /workspace a# create write => "),
        (
            "new files",
            "many 30 open f /workspace a# create new write => ",
        ),
        ("folders", "many 30 mkdir /workspace d# => "),
        ("folders in folders", "deep /workspace 30 => "),
        ("links", "many 30 symlink /workspace a l# => "),
        (
            "names",
            "open f /workspace a create write => ok
             many 30 link /workspace a /workspace b# => ",
        ),
        (
            "files through links",
            "mkdir /workspace d => ok
             many 9 symlink /workspace d/a# l# => 9 ok
             many 30 open f /workspace l# create write => ",
        ),
    ];
    check("files = 15", ways, "over the limit `files` of 15");
}

#[test]
fn a_hundred_thousand_files_are_too_many() {
    let ways: &[Script] = &[("folders", "many 100000 mkdir /workspace d# => ")];
    check(
        "cpu = \"60s\", wall = \"10m\"",
        ways,
        "over the limit `files` of 10000",
    );
}

#[test]
fn deep_trees_are_refused() {
    let ways: &[Script] = &[("deep", "deep /workspace 300 => ok")];
    check("", ways, "lies deeper than 64 folders");
}

#[test]
fn what_is_removed_makes_room() {
    let scripts: &[Script] = &[
        (
            "bytes",
            "open f /workspace a create write => ok
             stream f 0 60000 => ok
             size f 0 => ok
             stream f 0 60000 => ok
             open g /workspace a truncate write => ok
             stream f 0 60000 => ok
             close f => ok
             close g => ok
             unlink /workspace a => ok
             open f /workspace a create write => ok
             stream f 0 60000 => ok
             open g /workspace b create write => ok
             rename /workspace b /workspace a => ok
             close f => ok
             stream g 0 60000 => ok
             unlink /workspace a => ok
             close g => ok
             open h /workspace c create write => ok
             stream h 0 60000 => ok
             stream h 0 60000 => ok",
        ),
        (
            "entries",
            "many 14 mkdir /workspace d# => 14 ok
             many 14 rmdir /workspace d# => 14 ok
             many 14 open f /workspace a# create write => 14 ok
             many 14 open f /workspace a# create write => 14 ok
             many 13 rename /workspace a# /workspace a13 => 13 ok
             many 13 symlink /workspace a l# => 13 ok
             many 13 unlink /workspace l# => 13 ok
             many 13 link /workspace a13 /workspace b# => 13 ok
             many 99 mkdir /workspace b1 => 0 ok, then exist",
        ),
    ];
    for station in STATIONS {
        Trial::of(station, "limits = { disk = \"64KiB\", files = 15 }").passes(scripts);
    }
}

/// What an earlier station left counts, and may stay as it is.
#[test]
fn a_workspace_counts_from_where_it_was_left() {
    for (limits, reason) in [
        ("disk = \"64KiB\"", Some("over the limit `disk` of 64KiB")),
        ("files = 4", Some("over the limit `files` of 4")),
        ("disk = \"1MiB\", files = 5", None),
    ] {
        let trial = Trial::of(
            STATIONS[0],
            &format!(
                "[stations.t]\nuse = \"@does\"\nnext = \"done\"\nlimits = {{ {limits} }}\n\
                 config = {{ do = '''\nread /workspace/b\nwrite /workspace/c 12345\nlist /workspace''' }}"
            ),
        );
        let line = trial.ground.path("line.toml");
        let text = std::fs::read_to_string(&line).expect("a line");
        std::fs::write(line, text.replacen("\"done\"", "\"t\"", 1)).expect("written");
        let before: Script = (
            "before",
            "open f /workspace a create write => ok
             stream f 0 65534 => ok
             open g /workspace b create write => ok
             write g 0 b => 1 bytes
             mkdir /workspace d => ok
             mkdir /workspace e => ok",
        );
        let came = trial.run(&[before]);
        match reason {
            Some(reason) => {
                assert_eq!(came.code, Some(2), "{}", came.whole());
                assert!(came.stderr.contains(reason), "{}", came.whole());
            }
            None => {
                assert_eq!(came.code, Some(0), "{}", came.whole());
                assert_eq!(
                    trial.result(0).expect("a result"),
                    "read /workspace/b: b\nwrite /workspace/c 12345: written\n\
                     list /workspace: a b c d e\n"
                );
            }
        }
    }
}

/// The folder that a command says more in is bounded too.
#[test]
fn what_a_command_says_is_bounded() {
    for station in STATIONS {
        let trial = Trial::of(station, "limits = { output = \"64KiB\" }");
        let scripts: &[Script] = &[(
            "outputs",
            "open f /andon output.jsonl create write => ok
             stream f 0 70000 => ok",
        )];
        let came = trial.run(scripts);
        let said = came.stderr.contains("over the limit `output` of 64KiB");
        assert!(said, "{}", came.whole());
        let entries: &[Script] = &[(
            "entries",
            "many 100 mkdir /andon d# => 64 ok, then insufficient-space",
        )];
        Trial::of(station, "").passes(entries);
    }
}
