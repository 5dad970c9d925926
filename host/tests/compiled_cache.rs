//! The compiled cache with its real compiler: the `andon` that this test was built with.

use andon::{
    catalogue::{Allowance, Cache, CatalogueError, Compiler, Component, resolve},
    sandbox::compile::engine_key,
};
use std::{
    cell::Cell,
    fs,
    io::Read,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

const COMMAND: &str = r#"(module (func (export "_start")) (memory (export "memory") 1))"#;

struct Bench {
    dir: tempfile::TempDir,
    component: Component,
}

impl Bench {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("station.wat");
        fs::write(&path, text).unwrap();
        let component = resolve(&path, &Default::default()).unwrap();
        Self { dir, component }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn cache(&self) -> Cache {
        Cache::open(&self.folder(), &engine_key().unwrap(), compiler()).unwrap()
    }

    /// Whether it had to be compiled.
    fn compiles(&self) -> bool {
        let compiled = Cell::new(false);
        let code = self.cache().get(&self.component, &|| compiled.set(true));
        let code = code.unwrap();
        assert!(code.facts().kind().is_ok(), "{:?}", code.facts());
        assert!(read(&code.path()).starts_with(b"\x7fELF"));
        compiled.get()
    }

    fn entry(&self) -> PathBuf {
        let names = fs::read_dir(self.folder()).unwrap();
        names
            .map(|entry| entry.unwrap().path())
            .find(|path| path.file_name().unwrap().len() == 64)
            .unwrap()
    }

    /// Replaces the entry by what `spoil` makes of its bytes.
    fn spoil(&self, spoil: impl FnOnce(&mut Vec<u8>)) {
        let entry = self.entry();
        let mut bytes = read(&entry);
        spoil(&mut bytes);
        fs::remove_file(&entry).unwrap();
        fs::write(&entry, bytes).unwrap();
        chmod(&entry, 0o400);
    }
}

fn compiler() -> Compiler {
    Compiler {
        exe: env!("CARGO_BIN_EXE_andon").into(),
        allowance: Allowance::default(),
    }
}

fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = fs::File::open(path).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_does_not_pass_is_compiled_again() {
    let bench = Bench::new(COMMAND);
    assert!(bench.compiles());
    assert!(!bench.compiles());
    type Spoil = fn(&mut Vec<u8>);
    let cases: [(&str, Spoil); 6] = [
        ("emptied", |bytes| bytes.clear()),
        ("cut short", |bytes| bytes.truncate(bytes.len() / 2)),
        ("its proof cut off", |bytes| {
            bytes.truncate(bytes.len() - 44)
        }),
        ("one bit of code changed", |bytes| bytes[5000] ^= 1),
        ("its length of facts changed", |bytes| {
            let at = bytes.len() - 44;
            bytes[at] ^= 1;
        }),
        ("something added", |bytes| bytes.push(0)),
    ];
    for (what, spoil) in cases {
        bench.spoil(spoil);
        assert!(bench.compiles(), "{what}");
        assert!(!bench.compiles(), "{what}");
    }
    let entry = bench.entry();
    chmod(&entry, 0o444);
    assert!(bench.compiles(), "readable by others");
    fs::hard_link(bench.entry(), bench.dir.path().join("second name")).unwrap();
    assert!(bench.compiles(), "somebody holds another name of it");
    let away = bench.dir.path().join("away");
    fs::rename(&entry, &away).unwrap();
    symlink(&away, &entry).unwrap();
    assert!(bench.compiles(), "a link");
    fs::write(bench.folder().join("key"), [7; 32]).unwrap();
    assert!(bench.compiles(), "another key");
    fs::write(bench.folder().join("key"), "short").unwrap();
    assert!(bench.compiles(), "no key");
    assert!(!bench.compiles());
}

#[test]
fn an_entry_of_another_component_or_engine_is_foreign() {
    let one = Bench::new(COMMAND);
    assert!(one.compiles());
    let other = resolve(
        &{
            let path = one.dir.path().join("other.wat");
            fs::write(&path, COMMAND.replace(" 1)", " 2)")).unwrap();
            path
        },
        &Default::default(),
    )
    .unwrap();
    let stolen = one.entry();
    one.cache().get(&other, &|| {}).unwrap();
    let names: Vec<_> = fs::read_dir(one.folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().len() == 64 && *path != stolen)
        .collect();
    fs::remove_file(&names[0]).unwrap();
    fs::copy(&stolen, &names[0]).unwrap();
    let compiled = Cell::new(false);
    one.cache().get(&other, &|| compiled.set(true)).unwrap();
    assert!(compiled.get());

    let compiled = Cell::new(false);
    let newer = Cache::open(&one.folder(), "a newer engine", compiler()).unwrap();
    newer.get(&one.component, &|| compiled.set(true)).unwrap();
    assert!(compiled.get());
}

#[test]
fn the_open_entry_is_what_is_handed_over() {
    let bench = Bench::new(COMMAND);
    let code = bench.cache().get(&bench.component, &|| {}).unwrap();
    let before = read(&bench.entry());
    fs::remove_file(bench.entry()).ok();
    fs::write(bench.folder().join("x"), "evil").unwrap();
    assert_eq!(read(&code.path()), before);
}

#[test]
fn the_oldest_go_when_there_are_too_many() {
    let bench = Bench::new(COMMAND);
    let cache = bench.cache().with_most(1000);
    let old = cache.get(&bench.component, &|| {}).unwrap();
    let name = bench.entry();
    let newer = Cache::open(&bench.folder(), "a newer engine", compiler()).unwrap();
    let newer = newer.with_most(1000);
    newer.get(&bench.component, &|| {}).unwrap();
    assert!(!name.exists());
    assert!(
        old.bytes().unwrap().starts_with(b"\x7fELF"),
        "who has it keeps it"
    );
    let compiled = Cell::new(false);
    newer.get(&bench.component, &|| compiled.set(true)).unwrap();
    assert!(!compiled.get(), "the newest always stays");
}

#[test]
fn the_folder_is_private() {
    let bench = Bench::new(COMMAND);
    fs::create_dir(bench.folder()).unwrap();
    chmod(&bench.folder(), 0o777);
    assert!(bench.compiles());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bench.folder()), 0o700);
    assert_eq!(mode(&bench.folder().join("key")), 0o600);
    assert_eq!(mode(&bench.entry()), 0o400);
}

#[test]
fn many_at_once_compile_once() {
    let bench = Bench::new(COMMAND);
    let compiled = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let tell = || {
                    compiled.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                };
                bench.cache().get(&bench.component, &tell).unwrap();
            });
        }
    });
    assert_eq!(compiled.into_inner(), 1);
}

#[test]
fn what_does_not_compile_is_said_why_and_leaves_nothing() {
    let cases = [
        (
            r#"(module (import "env" "evil" (func)) (func (export "_start")))"#,
            "env",
        ),
        (
            r#"(module (func (export "_start") (result i32)))"#,
            "not valid",
        ),
    ];
    for (text, says) in cases {
        let bench = Bench::new(text);
        let error = bench.cache().get(&bench.component, &|| {}).unwrap_err();
        let CatalogueError::Compile { reason, .. } = &error else {
            panic!("{error}");
        };
        assert!(reason.contains(says), "{reason}");
        let left = fs::read_dir(bench.folder()).unwrap().count();
        assert_eq!(left, 2, "the key and a lock");
    }
}

#[test]
fn a_compiler_that_is_not_there_hangs_or_eats_is_an_error() {
    let bench = Bench::new(COMMAND);
    let script = |text: &str| {
        let path = bench.dir.path().join("compiler");
        fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
        chmod(&path, 0o755);
        path
    };
    let with = |exe: PathBuf, allowance| {
        let compiler = Compiler { exe, allowance };
        let cache = Cache::open(&bench.folder(), "x", compiler).unwrap();
        cache.get(&bench.component, &|| {}).unwrap_err().to_string()
    };
    let short = Allowance {
        wall: Duration::from_millis(300),
        ..Allowance::default()
    };
    let error = with("/nowhere/andon".into(), short);
    assert!(error.contains("cannot be started"), "{error}");
    // It closed its mouth and goes on.
    let error = with(script("exec 2>&-; exec sleep 600"), short);
    assert!(error.contains("took longer than 300ms"), "{error}");
    let error = with(script("exec sleep 600"), short);
    assert!(error.contains("took longer than 300ms"), "{error}");
    let error = with(
        script("printf '\\033[31mred' >&2; exit 1"),
        Allowance::default(),
    );
    assert!(error.contains("\\u{1b}[31mred"), "{error}");
    let error = with(
        script("yes no | head -c 10000000 >&2; exit 1"),
        Allowance::default(),
    );
    assert!(error.len() < 70_000, "{}", error.len());
    let error = with(script("echo nonsense"), Allowance::default());
    assert!(error.contains("is not what it should write"), "{error}");
    let little = Allowance {
        memory: 1 << 20,
        ..Allowance::default()
    };
    let error = with(env!("CARGO_BIN_EXE_andon").into(), little);
    assert!(error.contains("does not compile"), "{error}");
    if cfg!(target_os = "linux") {
        assert!(error.contains("memory"), "{error}");
    }
}
