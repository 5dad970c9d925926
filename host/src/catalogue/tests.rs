use super::*;

fn station(name: &str, bytes: impl AsRef<[u8]>) -> Result<Component, CatalogueError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    resolve(&path, &Options::default())
}

/// The error's text without the folder's path.
fn says(name: &str, bytes: impl AsRef<[u8]>) -> String {
    let error = station(name, bytes).unwrap_err().to_string();
    let at = error.find(name).unwrap();
    format!("`{}", &error[at..])
}

fn component(imports: &[&str], exports: &[&str]) -> Facts {
    let imports: String = imports
        .iter()
        .map(|name| format!("(import \"{name}\" (instance))"))
        .collect();
    let exports: String = exports
        .iter()
        .map(|name| format!("(instance $x) (export \"{name}\" (instance $x))"))
        .collect();
    let text = format!("(component {imports} {exports})");
    Facts::of(&wat::parse_str(&text).unwrap()).unwrap()
}

#[test]
fn what_is_no_station_is_said_to_be_none() {
    let nowhere = Path::new("/nowhere/at/all.wasm");
    let error = resolve(nowhere, &Options::default()).unwrap_err();
    assert!(matches!(error, CatalogueError::Missing(_)), "{error}");
    let error = resolve(Path::new("/dev/null"), &Options::default()).unwrap_err();
    assert!(matches!(error, CatalogueError::Special(_)), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = resolve(empty.path(), &Options::default()).unwrap_err();
    assert!(
        error.to_string().contains("has no `station.toml`"),
        "{error}"
    );

    let cases: &[(&str, &[u8], &str)] = &[
        (
            "a.wasm",
            b"",
            "is neither WebAssembly nor its text format: there is nothing in it",
        ),
        (
            "a.wasm",
            b"\x7fELF\xff\xff",
            "no WebAssembly header, and no UTF-8",
        ),
        (
            "a.wat",
            b"(component",
            "is neither WebAssembly nor its text format",
        ),
        (
            "a.wat",
            b"hello \x1b[31m",
            "is neither WebAssembly nor its text format",
        ),
        ("a.wasm", b"\0asm", "is damaged or cut short"),
        (
            "a.wasm",
            b"\0asm\x09\x00\x07\x00",
            "is damaged or cut short",
        ),
        (
            "a.wasm",
            b"\0asm\x0d\x00\x01\x00\x01\xff\xff\xff\x0f",
            "is damaged or cut short",
        ),
    ];
    for (name, bytes, expected) in cases {
        let error = says(name, bytes);
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}

#[test]
fn a_gigabyte_is_refused_unread() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.wasm");
    File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let error = resolve(&path, &Options::default()).unwrap_err();
    assert!(matches!(error, CatalogueError::TooLarge { .. }), "{error}");
}

#[test]
fn every_prefix_of_a_component_is_an_error_and_no_panic() {
    let wasm = andon_build::adapt(
        &wat::parse_str("(module (func (export \"_start\")) (memory (export \"memory\") 1))")
            .unwrap(),
    )
    .unwrap();
    assert!(Facts::of(&wasm).is_ok());
    for len in 0..wasm.len().min(4000) {
        // Between two sections it could have ended; what is missing then is the world.
        if let Ok(facts) = Facts::of(&wasm[..len]) {
            assert!(facts.kind().is_err(), "at {len}");
        }
    }
    for at in 8..wasm.len().min(4000) {
        let mut spoilt = wasm.clone();
        spoilt[at] ^= 0xff;
        let _ = Facts::of(&spoilt);
    }
}

#[test]
fn text_is_taken_and_named_by_its_own_digest() {
    let text = "(component (import \"wasi:cli/exit@0.2.3\" (instance)))";
    let found = station("a.wat", text).unwrap();
    assert_eq!(found.digest, Digest::of(text));
    assert_eq!(found.size, text.len() as u64);
    assert!(found.wasm.starts_with(b"\0asm"));
    assert_eq!(
        found.facts.imports.iter().collect::<Vec<_>>(),
        ["wasi:cli/exit@0.2.3"]
    );
    assert_eq!(found.manifest, None);
}

#[test]
fn two_manifests_are_an_error() {
    let section = |name: &str| format!("(@custom \"{name}\" \"{{}}\")");
    let twice = format!(
        "(component {0} {0})",
        section(andon_build::manifest::SECTION)
    );
    let error = says("a.wat", twice);
    assert!(error.contains("more than one manifest"), "{error}");
}

#[test]
fn kinds_by_their_exports() {
    use Wasi::{V0_2, V0_3};
    let cases = [
        ("andon:station/process@0.1.0", Some(Kind::Typed)),
        ("andon:station/process@0.1.7", Some(Kind::Typed)),
        ("andon:station/process-async@0.1.0", Some(Kind::TypedAsync)),
        ("wasi:cli/run@0.2.6", Some(Kind::Command(V0_2))),
        ("wasi:cli/run@0.3.0", Some(Kind::Command(V0_3))),
        (
            "wasi:http/incoming-handler@0.2.0",
            Some(Kind::Handler(V0_2)),
        ),
        ("wasi:http/handler@0.3.0", Some(Kind::Handler(V0_3))),
        ("andon:station/process@0.2.0", None),
        ("andon:station/process@0.10.0", None),
        ("andon:station/process", None),
        ("wasi:cli/run@0.2.0-rc.1", None),
        ("wasi:http/handler@0.2.0", None),
        ("evil:station/process@0.1.0", None),
    ];
    for (export, expected) in cases {
        assert_eq!(component(&[], &[export]).kind().ok(), expected, "{export}");
    }
    let error = component(&[], &["acme:x/y@1.0.0"]).kind().unwrap_err();
    assert!(
        error.to_string().contains("exports `acme:x/y@1.0.0`"),
        "{error}"
    );
    let error = component(&[], &[]).kind().unwrap_err();
    assert!(error.to_string().contains("exports nothing"), "{error}");
    for (export, expected) in [
        ("_start", Some(Kind::Command(V0_2))),
        ("andon:station/process@0.1.0#run", Some(Kind::Typed)),
        (
            "[async-lift]andon:station/process-async@0.1.0#run",
            Some(Kind::TypedAsync),
        ),
        ("run", None),
        ("[", None),
    ] {
        let text = format!("(module (func (export \"{export}\")))");
        let module = Facts::of(&wat::parse_str(&text).unwrap()).unwrap();
        assert_eq!(module.kind().ok(), expected, "{export}");
    }
}

#[test]
fn imports_that_nobody_knows_are_listed() {
    let known = [
        "andon:station/log@0.1.0",
        "andon:station/work@0.1.0",
        "wasi:cli/stdin@0.2.12",
        "wasi:clocks/system-clock@0.3.0",
        "wasi:config/store@0.2.0-rc.1",
        "wasi:http/outgoing-handler@0.2.3",
        "wasi:io/streams@0.2.0",
    ];
    let unknown = [
        "acme:gpu/fast@1.0.0",
        "andon:station/secrets@0.1.0",
        "wasi:clocks/timezone@0.2.0",
        "wasi:config/store@0.2.0-draft",
        "wasi:io/streams@0.3.0",
        "wasi:nn/tensor@0.2.0",
    ];
    let all = [&known[..], &unknown[..]].concat();
    assert_eq!(component(&all, &[]).unknown_imports(), unknown);
}

#[test]
fn what_the_adapter_imports_is_known() {
    // Each of them pulls in other interfaces of WASI 0.2.
    let imports: String = [
        ("args_get", "i32 i32"),
        ("clock_time_get", "i32 i64 i32"),
        ("environ_get", "i32 i32"),
        ("fd_prestat_get", "i32 i32"),
        ("fd_readdir", "i32 i32 i32 i64 i32"),
        ("fd_write", "i32 i32 i32 i32"),
        ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
        ("poll_oneoff", "i32 i32 i32 i32"),
        ("random_get", "i32 i32"),
    ]
    .map(|(name, params)| {
        let from = "wasi_snapshot_preview1";
        format!("(import \"{from}\" \"{name}\" (func (param {params}) (result i32)))")
    })
    .concat();
    let text =
        format!("(module {imports} (func (export \"_start\")) (memory (export \"memory\") 1))");
    let wasm = andon_build::adapt(&wat::parse_str(&text).unwrap()).unwrap();
    let facts = Facts::of(&wasm).unwrap();
    assert_eq!(facts.kind(), Ok(Kind::Command(Wasi::V0_2)));
    assert!(facts.imports.len() > 10, "{:?}", facts.imports);
    assert_eq!(facts.unknown_imports(), Vec::<&str>::new());
}
