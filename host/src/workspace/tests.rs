use super::*;
use crate::journal::Memory;
use std::{
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
};

struct Bench {
    dir: tempfile::TempDir,
    journal: Arc<Memory>,
    all: Workspaces,
    most: Held,
}

/// More than any test makes.
const ROOM: Held = Held {
    bytes: 1 << 30,
    entries: 100_000,
};

impl Bench {
    fn new() -> Self {
        Self::bounded(Bounds::default(), ROOM)
    }

    fn bounded(bounds: Bounds, most: Held) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal = Arc::new(Memory::new());
        let content = Content::open(dir.path().join("blobs"));
        let work = dir.path().join("work");
        let all = Workspaces::with_bounds(work, content, journal.clone(), bounds);
        Self {
            dir,
            journal,
            all,
            most,
        }
    }

    /// The same state folder after a restart.
    fn again(&mut self) {
        let content = Content::open(self.dir.path().join("blobs"));
        self.all = Workspaces::open(self.dir.path().join("work"), content, self.journal.clone());
    }

    fn attempt(
        &self,
        base: Option<Digest>,
        passed: bool,
        work: impl FnOnce(&Path),
    ) -> Result<Option<Digest>, WorkspaceError> {
        let mut workspace = self.all.of(&item(1), base, &[]);
        work(&workspace.enter()?.workspace);
        Ok(workspace
            .leave(passed.then_some(self.most))?
            .map(|snapshot| {
                self.journal.keep_blobs(snapshot.blobs);
                snapshot.digest
            }))
    }

    /// A visit that passes and changes something.
    fn visit(&self, base: Option<Digest>, work: impl FnOnce(&Path)) -> Digest {
        self.attempt(base, true, work).unwrap().unwrap()
    }

    /// One that looks: what is there.
    fn look(&self, base: Option<Digest>) -> String {
        let mut seen = String::new();
        let left = self.attempt(base, true, |root| seen = listing(root));
        assert_eq!(left.unwrap(), None, "looking changes nothing");
        seen
    }

    fn refusal(&self, work: impl FnOnce(&Path)) -> String {
        let error = self.attempt(None, true, work).unwrap_err();
        assert!(error.is_stations(), "{error}");
        assert_eq!(
            self.look(None),
            "",
            "the next attempt starts as this one did"
        );
        error.to_string()
    }
}

fn item(n: u32) -> ItemId {
    ItemId::input(&[0; 16], "line", &n.to_string())
}

fn listing(root: &Path) -> String {
    let mut lines = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display();
            if kind.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                lines.push(format!("{name} -> {}", target.display()));
            } else if kind.is_dir() {
                lines.push(format!("{name}/"));
                folders.push(path);
            } else {
                let exec = if kind.permissions().mode() & 0o100 != 0 {
                    "*"
                } else {
                    ""
                };
                let text = fs::read(&path).unwrap();
                let text = match text.len() {
                    0..40 => String::from_utf8_lossy(&text).into_owned(),
                    len => format!("{len} bytes"),
                };
                lines.push(format!("{name}{exec}: {text}"));
            }
        }
    }
    lines.sort();
    lines.join("\n")
}

#[test]
fn what_is_not_entered_touches_no_disk() {
    let bench = Bench::new();
    let workspace = bench.all.of(&item(1), Some(Digest::of(b"x")), &[None]);
    assert_eq!(workspace.leave(Some(ROOM)).unwrap(), None);
    bench.all.forget(&item(1)).unwrap();
    assert_eq!(listing(bench.dir.path()), "");
}

#[test]
fn what_cannot_be_kept_is_refused_by_name() {
    let bench = Bench::new();
    type Work = fn(&Path);
    let cases: [(&str, Work); 4] = [
        ("`/workspace/d/s` is a socket", |root| {
            fs::create_dir(root.join("d")).unwrap();
            UnixListener::bind(root.join("d/s")).unwrap();
        }),
        ("`/workspace/p` is a pipe", |root| {
            let path = root.join("p");
            rustix::fs::mknodat(
                rustix::fs::CWD,
                &path,
                rustix::fs::FileType::Fifo,
                Mode::RWXU,
                0,
            )
            .unwrap();
        }),
        ("is no UTF-8", |root| {
            fs::write(root.join(std::ffi::OsStr::from_bytes(b"a\xff")), "").unwrap();
        }),
        ("is a link to what is not UTF-8", |root| {
            symlink(std::ffi::OsStr::from_bytes(b"\xff"), root.join("l")).unwrap();
        }),
    ];
    for (says, work) in cases {
        let error = bench.refusal(work);
        assert!(error.contains(says) && error.contains("hint: "), "{error}");
    }
}

#[test]
fn bounds_hold() {
    let bounds = Bounds {
        depth: 3,
        names: 1000,
        riding: 100,
    };
    let most = Held {
        bytes: 1000,
        entries: 10,
    };
    let bench = Bench::bounded(bounds, most);
    let error = bench.refusal(|root| {
        for n in 0..11 {
            fs::write(root.join(n.to_string()), "").unwrap();
        }
    });
    assert!(error.contains("over 10 entries"), "{error}");
    let error = bench.refusal(|root| fs::create_dir_all(root.join("a/b/c/d")).unwrap());
    assert!(
        error.contains("`/workspace/a/b/c/d` lies deeper than 3 folders"),
        "{error}"
    );
    let error = bench.refusal(|root| {
        for n in 0..6 {
            symlink("x".repeat(200), root.join(n.to_string())).unwrap();
        }
    });
    assert!(error.contains("over 1000 bytes"), "{error}");
    // A hole of a terabyte takes no room; it must take no time either.
    let error = bench.refusal(|root| {
        let file = fs::File::create(root.join("hole")).unwrap();
        file.set_len(1 << 40).unwrap();
    });
    assert!(error.contains("over 1000 bytes"), "{error}");
}

#[test]
fn a_tree_too_deep_for_a_path_is_refused_and_removed() {
    let bench = Bench::new();
    let error = bench.refusal(|root| {
        let mut at = folder::open_one(rustix::fs::CWD, root).unwrap();
        for _ in 0..1500 {
            at = make_one(&at, "deep").unwrap();
        }
    });
    assert!(error.contains("deeper than 64"), "{error}");
    assert!(error.len() < 500, "{error}");
    bench.all.forget(&item(1)).unwrap();
    assert_eq!(listing(bench.dir.path()), "work/\nwork/.trash/");
}

#[test]
fn links_are_kept_and_never_followed() {
    let bench = Bench::new();
    let secret = bench.dir.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("key"), "hunter2").unwrap();
    let target = secret.clone();
    let first = bench.visit(None, |root| {
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/f"), "mine").unwrap();
        symlink(&target, root.join("out")).unwrap();
        symlink("../../..", root.join("d/up")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
    });
    let tree = bench.all.snapshots().tree(Some(first)).unwrap();
    assert_eq!(tree.len(), 5, "nothing behind a link is in the snapshot");
    // A folder becomes a link to where the host should not go.
    let target = secret.clone();
    let second = bench.visit(Some(first), |root| {
        fs::remove_dir_all(root.join("d")).unwrap();
        symlink(&target, root.join("d")).unwrap();
    });
    // Going back removes the link, not what it leads to, and writes nothing through it.
    let seen = bench.look(Some(first));
    assert!(seen.contains("d/\nd/f: mine\nd/up -> ../../.."), "{seen}");
    assert!(bench.look(Some(second)).contains("d -> /"));
    assert_eq!(listing(&secret), "key: hunter2");
}

#[test]
fn no_step_of_a_path_goes_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("real/inner")).unwrap();
    symlink("real", dir.path().join("link")).unwrap();
    let root = folder::open_one(rustix::fs::CWD, dir.path()).unwrap();
    assert!(folder::open(&root, "real/inner").is_ok());
    for path in ["link", "link/inner", "real/../link/inner"] {
        assert!(folder::open(&root, path).is_err(), "{path}");
    }
    // Nor does what is restored: a folder that was swapped for a link in the middle of it.
    let bench = Bench::new();
    let first = bench.visit(None, |root| {
        fs::create_dir(root.join("link")).unwrap();
        fs::write(root.join("link/f"), "x").unwrap();
    });
    let mut tree = bench.all.snapshots().tree(Some(first)).unwrap();
    tree.insert(
        "link".into(),
        Entry::Link {
            target: "real".into(),
        },
    );
    fs::remove_file(dir.path().join("link")).unwrap();
    assert!(restore::restore(&root, &tree, bench.all.snapshots()).is_err());
    assert!(!dir.path().join("real/f").exists());
}

#[test]
fn a_failed_attempt_leaves_no_trace() {
    let bench = Bench::new();
    let first = bench.visit(None, |root| fs::write(root.join("a"), "one").unwrap());
    for passed in [false, true] {
        let spoil = |root: &Path| {
            fs::write(root.join("a"), "spoilt").unwrap();
            fs::write(root.join("b"), "more").unwrap();
        };
        let left = bench.attempt(Some(first), passed, spoil).unwrap();
        assert_eq!(left.is_some(), passed);
        // Passed or not: the item is run again from where it was.
        assert_eq!(bench.look(Some(first)), "a: one");
    }
    // Neither does one that was dropped, as a crash or a panic does.
    let mut workspace = bench.all.of(&item(1), Some(first), &[]);
    fs::write(workspace.enter().unwrap().workspace.join("a"), "spoilt").unwrap();
    drop(workspace);
    assert_eq!(bench.look(Some(first)), "a: one");
}

#[test]
fn a_restart_trusts_no_directory() {
    let mut bench = Bench::new();
    let first = bench.visit(None, |root| {
        fs::write(root.join("a"), "one").unwrap();
        fs::write(root.join("big"), vec![1; 100_000]).unwrap();
    });
    fs::write(
        bench
            .dir
            .path()
            .join("work")
            .join(item(1).as_str())
            .join("a"),
        "two",
    )
    .unwrap();
    fs::create_dir_all(bench.dir.path().join("work/.trash/7/x")).unwrap();
    fs::create_dir_all(bench.dir.path().join("work/other/x")).unwrap();
    bench.again();
    assert_eq!(bench.look(Some(first)), "a: one\nbig: 100000 bytes");
    let left = fs::read_dir(bench.dir.path().join("work")).unwrap().count();
    assert_eq!(left, 2, "the item's and the trash");
}

#[test]
fn a_change_of_the_same_length_in_the_same_instant_is_seen() {
    let bench = Bench::new();
    let mut at = bench.visit(None, |root| fs::write(root.join("a"), "0000").unwrap());
    for n in 1..200 {
        let text = format!("{n:04}");
        at = bench.visit(Some(at), |root| fs::write(root.join("a"), &text).unwrap());
        let read = bench.all.snapshots().read(Some(at), "a", 10).unwrap();
        assert_eq!(read, text);
    }
}

#[test]
fn only_what_changed_is_handed_over() {
    let bench = Bench::new();
    let first = bench.visit(None, |root| {
        for n in 0..10 {
            fs::write(root.join(n.to_string()), n.to_string()).unwrap();
        }
        fs::write(root.join("big"), vec![1; 100_000]).unwrap();
    });
    let mut workspace = bench.all.of(&item(1), Some(first), &[]);
    fs::write(workspace.enter().unwrap().workspace.join("3"), "three").unwrap();
    let snapshot = workspace.leave(Some(ROOM)).unwrap().unwrap();
    let kept: Vec<_> = snapshot.blobs.iter().map(|(digest, _)| *digest).collect();
    assert_eq!(kept, [Digest::of("three"), snapshot.digest]);
}

#[test]
fn two_names_of_one_file_become_two_files() {
    let bench = Bench::new();
    let first = bench.visit(None, |root| {
        fs::write(root.join("a"), "one").unwrap();
        fs::hard_link(root.join("a"), root.join("b")).unwrap();
    });
    let second = bench.visit(Some(first), |root| {
        fs::write(root.join("a"), "two").unwrap()
    });
    assert_eq!(bench.look(Some(second)), "a: two\nb: one");
}

#[test]
fn odd_names_modes_and_empty_folders_come_back() {
    let mut bench = Bench::new();
    let first = bench.visit(None, |root| {
        fs::write(root.join("new\nline \u{1b}[31m"), "x").unwrap();
        fs::create_dir_all(root.join("a/empty")).unwrap();
        fs::write(root.join("a.b"), "between `a` and `a/`").unwrap();
        fs::write(root.join("run"), "#!").unwrap();
        fs::set_permissions(root.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    });
    let before = bench.look(Some(first));
    bench.again();
    assert_eq!(bench.look(Some(first)), before);
    assert!(
        before.contains("a/empty/") && before.contains("run*: #!"),
        "{before}"
    );
}

#[test]
fn an_emptied_workspace_is_a_change() {
    let bench = Bench::new();
    let first = bench.visit(None, |root| fs::write(root.join("a"), "one").unwrap());
    let second = bench.visit(Some(first), |root| fs::remove_file(root.join("a")).unwrap());
    assert_eq!(bench.look(Some(second)), "");
    assert_eq!(bench.attempt(None, true, |_| {}).unwrap(), None);
}

#[test]
fn a_join_sees_what_its_inputs_had() {
    let bench = Bench::new();
    let first = bench.visit(None, |root| fs::write(root.join("a"), "one").unwrap());
    let second = bench.visit(Some(first), |root| {
        fs::write(root.join("a"), "two").unwrap()
    });
    let joined = [Some(first), None, Some(second)];
    for _ in 0..2 {
        let mut workspace = bench.all.of(&item(2), None, &joined);
        let mounts = workspace.enter().unwrap();
        let seen: Vec<_> = mounts.joined.iter().map(|path| listing(path)).collect();
        assert_eq!(seen, ["a: one", "", "a: two"]);
        assert_eq!(
            listing(&mounts.workspace),
            "",
            "mounts are none of its entries"
        );
        assert_eq!(workspace.leave(Some(ROOM)).unwrap(), None);
    }
    bench.all.forget(&item(1)).unwrap();
    bench.all.forget(&item(2)).unwrap();
    assert_eq!(listing(&bench.dir.path().join("work")), ".trash/");
}

#[test]
fn one_attempt_at_a_time() {
    let bench = Bench::new();
    let mut one = bench.all.of(&item(1), None, &[]);
    one.enter().unwrap();
    let mut two = bench.all.of(&item(1), None, &[]);
    let error = two.enter().unwrap_err();
    assert!(matches!(error, WorkspaceError::InUse(_)), "{error}");
    drop(two);
    assert!(bench.all.forget(&item(1)).is_err());
    one.leave(Some(ROOM)).unwrap();
    bench.all.forget(&item(1)).unwrap();
}

#[test]
fn damage_is_named() {
    let bench = Bench::new();
    let error = bench
        .attempt(Some(Digest::of("gone")), true, |_| {})
        .unwrap_err();
    assert!(matches!(error, WorkspaceError::Missing(_)), "{error}");
    let mut tree = Tree::default();
    tree.insert("../up".into(), Entry::Folder);
    let mut orphan = Tree::default();
    orphan.insert("l".into(), Entry::Link { target: "/".into() });
    orphan.insert("l/x".into(), Entry::Folder);
    for bytes in [
        tree.encode(),
        orphan.encode(),
        b"\x92\x07".to_vec(),
        vec![],
        vec![0xff; 9],
    ] {
        let digest = Digest::of(&bytes);
        bench.journal.keep_blobs([(digest, bytes.into())]);
        let error = bench.attempt(Some(digest), true, |_| {}).unwrap_err();
        assert!(matches!(error, WorkspaceError::Damaged { .. }), "{error}");
    }
}

#[test]
fn differences_by_path() {
    let bench = Bench::new();
    let first = bench.visit(None, |root| {
        fs::write(root.join("gone"), "").unwrap();
        fs::write(root.join("kept"), "").unwrap();
        fs::write(root.join("turned"), "").unwrap();
    });
    let second = bench.visit(Some(first), |root| {
        fs::remove_file(root.join("gone")).unwrap();
        fs::remove_file(root.join("turned")).unwrap();
        fs::create_dir(root.join("turned")).unwrap();
        fs::write(root.join("new"), "n").unwrap();
    });
    let snapshots = bench.all.snapshots();
    let seen: Vec<_> = snapshots
        .diff(Some(first), Some(second))
        .unwrap()
        .into_iter()
        .map(|c| (c.path, c.before.is_some(), c.after.is_some()))
        .collect();
    let expected = [
        ("gone", true, false),
        ("new", false, true),
        ("turned", true, true),
    ];
    assert_eq!(seen, expected.map(|(path, b, a)| (path.to_string(), b, a)));
    assert_eq!(snapshots.diff(None, Some(first)).unwrap().len(), 3);
    let error = snapshots.read(Some(second), "turned", 9).unwrap_err();
    assert!(matches!(error, WorkspaceError::NoFile { .. }), "{error}");
    let error = snapshots.read(Some(second), "new", 0).unwrap_err();
    assert!(matches!(error, WorkspaceError::TooLarge { .. }), "{error}");
}

#[test]
fn ten_thousand_files_ride_or_stay() {
    // One commit holds so much and no more; the rest goes to the content store.
    let bench = Bench::bounded(
        Bounds {
            riding: 50,
            ..Bounds::default()
        },
        ROOM,
    );
    let first = bench.visit(None, |root| {
        for n in 0..100 {
            fs::write(root.join(n.to_string()), n.to_string()).unwrap();
        }
    });
    assert!(bench.journal.number_of_blobs() < 60);
    let read = bench.all.snapshots().read(Some(first), "99", 10).unwrap();
    assert_eq!(read, "99");
    // Wide trees are looked at and removed in reasonable time.
    let bench = Bench::new();
    bench.visit(None, |root| {
        for n in 0..10_000 {
            fs::write(root.join(n.to_string()), "").unwrap();
        }
    });
    bench.all.forget(&item(1)).unwrap();
    assert_eq!(listing(&bench.dir.path().join("work")), ".trash/");
}
