//! Granted folders: what is granted, and nothing beside, above or below it.

use super::{STATIONS, Script, Trial};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener},
    sync::atomic::{AtomicBool, Ordering},
};

/// A line whose station sees `rules`, to be read, and `data`, to be written; beside them lies a secret.
fn trial(station: (&str, &'static str), more: &str) -> Trial {
    let trial = Trial::of(
        station,
        &format!(
            "grants.fs = [\n\
               {{ host = \"rules\", guest = \"/rules\", access = \"read\" }},\n\
               {{ host = \"data\", guest = \"/data\", access = \"write\"{more} }},\n\
               {{ host = \"other\", guest = \"/other\", access = \"write\" }},\n\
             ]"
        ),
    );
    trial
        .ground
        .write("rules/strict", "as it was")
        .write("rules/d/e", "")
        .write("data/old", "12345")
        .write("other/theirs", "theirs")
        .write("secret/key", "hunter2");
    trial
}

fn read(trial: &Trial, path: &str) -> String {
    fs::read_to_string(trial.ground.path(path)).expect("a file")
}

#[test]
fn what_may_be_read_is_not_changed() {
    let scripts: &[Script] = &[(
        "each call that changes something",
        "cat /rules strict => \"as it was\"
         open f /rules strict write => not-permitted
         open f /rules strict truncate => not-permitted
         open f /rules strict create => not-permitted
         open f /rules new create write => not-permitted
         open f /rules strict read => ok
         write f 0 x => not-permitted
         stream f 0 1 => not-permitted
         append f 1 => not-permitted
         size f 0 => not-permitted
         mkdir /rules x => not-permitted
         rmdir /rules d => not-permitted
         unlink /rules strict => not-permitted
         symlink /rules strict l => not-permitted
         touch /rules strict => not-permitted
         link /rules strict /rules x => not-permitted
         rename /rules strict /rules x => not-permitted
         open d /rules d folder read => ok
         open f d e write => not-permitted
         unlink d e => not-permitted
         list /rules => d:folder strict",
    )];
    for station in STATIONS {
        let trial = trial(station, "");
        trial.passes(scripts);
        assert_eq!(read(&trial, "rules/strict"), "as it was");
    }
}

#[test]
fn another_line_in_a_granted_folder_is_not_its() {
    let scripts: &[Script] = &[(
        "its state and what it may do",
        "open s /data one/.andon folder read => not-permitted
         cat /data one/.andon/journal.sqlite => not-permitted
         open d /data one folder read => ok
         open s d .andon folder read => not-permitted
         open f d line.toml read => ok
         open f d line.toml write => not-permitted
         open f d line.lock create write => not-permitted
         unlink d line.toml => not-permitted
         rename d line.toml d x => not-permitted
         rename /data old d andon.toml => not-permitted
         symlink /data one/.andon l => not-permitted
         mkdir d .ANDON => not-permitted",
    )];
    for station in STATIONS {
        let trial = trial(station, "");
        trial
            .ground
            .write("data/one/line.toml", "theirs")
            .write("data/one/.andon/journal.sqlite", "theirs");
        trial.passes(scripts);
        assert_eq!(read(&trial, "data/one/line.toml"), "theirs");
    }
}

#[test]
fn nothing_goes_from_one_folder_to_another() {
    let scripts: &[Script] = &[(
        "links and renames",
        "link /rules strict /data x => not-permitted
         link /rules strict /workspace x => not-permitted
         rename /rules strict /data x => not-permitted
         link /data old /rules x => not-permitted
         rename /data old /rules x => not-permitted
         rename /data old /rules strict => not-permitted
         link /data old /workspace x => cross-device
         rename /data old /workspace x => cross-device
         link /data old /other x => cross-device
         rename /other theirs /data x => cross-device
         list /workspace => 
         list /data => old
         list /other => theirs",
    )];
    for station in STATIONS {
        let trial = trial(station, "");
        trial.passes(scripts);
        assert_eq!(read(&trial, "rules/strict"), "as it was");
        assert_eq!(read(&trial, "data/old"), "12345");
    }
}

#[test]
fn nothing_leads_out_of_a_folder() {
    let scripts: &[Script] = &[(
        "ways out",
        "cat /data ../secret/key => not-permitted
         cat /data out/key => not-permitted
         cat /data key => not-permitted
         cat /data absolute => not-permitted
         open f /data out/new create write => not-permitted
         open f /data dangling create write => not-permitted
         unlink /data out/key => not-permitted
         rename /data out/key /data key2 => not-permitted
         link /data out/key /data key2 => not-permitted
         symlink /data ../secret l => not-permitted
         symlink /data d/../../secret l => not-permitted
         symlink /data /etc l => not-permitted
         mkdir /data d => ok
         symlink /data d/x l => ok
         open o /data d folder read => ok
         cat o ../../secret/key => not-permitted
         rename /data out /data d/out => ok
         cat o out/key => not-permitted
         cat /data ../.andon/journal.db => not-permitted
         cat /workspace ../../journal.db => not-permitted
         open f /workspace ../ folder read => not-permitted
         open f /workspace .. folder read => not-permitted
         cat /rules ../line.toml => not-permitted",
    )];
    for station in STATIONS {
        let trial = trial(station, "");
        let data = trial.ground.path("data");
        symlink("../secret", data.join("out")).expect("a link");
        symlink("../secret/key", data.join("key")).expect("a link");
        symlink(trial.ground.path("secret/key"), data.join("absolute")).expect("a link");
        symlink("../secret/new", data.join("dangling")).expect("a link");
        trial.passes(scripts);
        let secret = fs::read_dir(trial.ground.path("secret")).expect("the folder");
        assert_eq!(secret.count(), 1);
        assert_eq!(read(&trial, "secret/key"), "hunter2");
    }
}

#[test]
fn special_files_are_never_opened() {
    let scripts: &[Script] = &[(
        "pipes, sockets and devices",
        "open f /data pipe read => not-permitted
         open f /data pipe write => not-permitted
         open f /data pipe create write => not-permitted
         open f /data socket read => not-permitted
         open f /data link read => not-permitted
         open f /data null write => not-permitted
         stat /data pipe => pipe
         stat /data socket => socket
         list /data => link:link null:link old pipe:pipe socket:socket",
    )];
    for station in STATIONS {
        let trial = trial(station, "");
        let data = trial.ground.path("data");
        mknodat(CWD, data.join("pipe"), FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
        let _listener = UnixListener::bind(data.join("socket")).expect("a socket");
        symlink("pipe", data.join("link")).expect("a link");
        symlink("/dev/null", data.join("null")).expect("a link");
        trial.passes(scripts);
    }
}

/// What a path leads to is swapped all the time; what is outside is never seen.
#[test]
fn swapping_what_is_looked_at_does_not_help() {
    for station in STATIONS {
        let trial = trial(station, "");
        let data = trial.ground.path("data");
        fs::create_dir(data.join("inside")).expect("a folder");
        fs::write(data.join("inside/key"), "nothing").expect("a file");
        mknodat(CWD, data.join("pipe"), FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
        let (mut at, done) = (0, AtomicBool::new(false));
        let scripts: &[Script] = &[(
            "look-ups",
            "never hunter 1000 cat /data at/key => ok
             never hunter 1000 cat /data file => ok",
        )];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let aside = |name: &str| data.join(format!("{name}.new"));
                while !done.load(Ordering::Relaxed) {
                    let (folder, file) = [("inside", "inside/key"), ("../secret", "pipe")][at % 2];
                    at += 1;
                    for (name, target) in [("at", folder), ("file", file)] {
                        symlink(target, aside(name)).expect("a link");
                        fs::rename(aside(name), data.join(name)).expect("swapped");
                    }
                }
            });
            let came = trial.run(scripts);
            done.store(true, Ordering::Relaxed);
            assert_eq!(came.code, Some(0), "{}", came.whole());
        });
        trial.compare(scripts);
    }
}

#[test]
fn a_mounts_quota_is_what_all_in_it_have_together() {
    let scripts: &[Script] = &[(
        "filling it",
        "open f /data a create write => ok
         stream f 0 900 => ok
         write f 900 1234567890 => 10 bytes
         open g /data b create write => ok
         stream g 0 200 => insufficient-space
         poll g 0 200 => insufficient-space
         append g 200 => insufficient-space
         write g 5000000 x => insufficient-space
         size g 100000 => insufficient-space
         2: splice f g 0 1000 => bad-descriptor
         2: zeroes g 0 1000 => insufficient-space
         fstat g => file of 0 bytes, 1 links
         link /data a /data c => insufficient-space
         stream g 0 80 => ok
         many 9 mkdir /data d# => 2 ok, then insufficient-space
         symlink /data a l => insufficient-space
         open h /data n create write => insufficient-space
         open h /data n create new write => insufficient-space
         rmdir /data d0 => ok
         symlink /data a l => ok
         unlink /data a => ok
         stream g 0 200 => insufficient-space
         close f => ok
         stream g 0 900 => ok
         open h /data old truncate write => ok
         stream h 0 100 => ok
         write h 100 x => insufficient-space
         stream /workspace 0 1 => bad-descriptor
         open w /workspace a create write => ok
         stream w 0 5000 => ok
         open o /other a create write => ok
         stream o 0 5000 => ok",
    )];
    for station in STATIONS {
        trial(station, ", quota = \"1000B\", max-files = 5").passes(scripts);
    }
}

/// Visits that write to one folder at once have the quota together, not each.
#[test]
fn visits_share_a_quota() {
    for station in STATIONS {
        let trial = trial(station, ", quota = \"100KB\"");
        let line = trial.ground.path("line.toml");
        let text = fs::read_to_string(&line).expect("a line");
        fs::write(line, text.replace("next =", "workers = 8\nnext =")).expect("written");
        for n in 0..8 {
            let script = format!("open f /data {n} create write\nmany 50 append f 1000\n");
            trial.ground.write(&format!("in/{n}.txt"), script);
        }
        let out = trial.ground.andon(&["run", ".", "in", "-q"]).well();
        assert!(out.contains("ok, then insufficient-space"), "{out}");
        let data = fs::read_dir(trial.ground.path("data")).expect("the folder");
        let lens = data.map(|entry| entry.and_then(|e| e.metadata()).expect("a file").len());
        let sum: u64 = lens.sum();
        assert!((99_000..=100_000).contains(&sum), "{sum} bytes");
    }
}

#[test]
fn a_hundred_thousand_names_are_listed() {
    for station in STATIONS {
        let trial = trial(station, "");
        let data = trial.ground.path("data");
        for n in 0..100_000 {
            mknodat(
                CWD,
                data.join(format!("{n}")),
                FileType::RegularFile,
                Mode::RWXU,
                0,
            )
            .expect("a file");
        }
        let line = trial.ground.path("line.toml");
        let text = fs::read_to_string(&line).expect("a line");
        let limits = "limits = { cpu = \"60s\", wall = \"10m\", memory = \"64MiB\" }\nnext =";
        fs::write(line, text.replace("next =", limits)).expect("written");
        trial.passes(&[("names", "count /data => 100001")]);
    }
}

/// Names that are no UTF-8 cannot be told: 0.2 has an error in their place, 0.3 ends with one.
#[test]
fn names_that_are_no_utf8_are_errors() {
    for station in STATIONS {
        let trial = trial(station, "");
        let odd = std::ffi::OsStr::from_bytes(b"\xff");
        fs::write(trial.ground.path("rules/d").join(odd), "").expect("a file");
        fs::remove_file(trial.ground.path("rules/d/e")).expect("removed");
        trial.passes(&[(
            "odd",
            "open o /rules d folder read => ok
             list o => illegal-byte-sequence",
        )]);
    }
}
