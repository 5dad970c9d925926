//! The store with a keyring of the tests' own, an environment of the tests' own, and real files.

use super::*;
use std::{
    collections::HashMap,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};
use tempfile::TempDir;

/// A keyring in memory.
#[derive(Default)]
struct Double {
    kept: Mutex<HashMap<(String, String), Value>>,
    absent: AtomicBool,
    refuses: AtomicBool,
    asked: AtomicUsize,
}

impl Double {
    fn state(&self) -> Result<(), KeyringError> {
        self.asked.fetch_add(1, SeqCst);
        if self.absent.load(SeqCst) {
            Err(KeyringError::Absent("nobody".into()))
        } else if self.refuses.load(SeqCst) {
            Err(KeyringError::Refused("it is locked".into()))
        } else {
            Ok(())
        }
    }

    fn key(factory: &str, name: &str) -> (String, String) {
        (factory.into(), name.into())
    }
}

impl Keyring for Double {
    fn get(&self, factory: &str, name: &str) -> Result<Option<Value>, KeyringError> {
        self.state()?;
        let kept = self.kept.lock().expect("no panic");
        Ok(kept.get(&Self::key(factory, name)).cloned())
    }

    fn set(&self, factory: &str, name: &str, value: &Value) -> Result<(), KeyringError> {
        self.state()?;
        let mut kept = self.kept.lock().expect("no panic");
        kept.insert(Self::key(factory, name), value.clone());
        Ok(())
    }

    fn remove(&self, factory: &str, name: &str) -> Result<(), KeyringError> {
        self.state()?;
        let mut kept = self.kept.lock().expect("no panic");
        kept.remove(&Self::key(factory, name));
        Ok(())
    }
}

struct Bench {
    home: TempDir,
    keyring: Arc<Double>,
    secrets: Secrets,
}

fn bench() -> Bench {
    let home = TempDir::new().expect("a folder");
    let keyring = Arc::new(Double::default());
    let secrets = open(&home, &keyring, "/factory", &[]);
    Bench {
        home,
        keyring,
        secrets,
    }
}

fn open(home: &TempDir, keyring: &Arc<Double>, factory: &str, set: &[(&str, &str)]) -> Secrets {
    let variables: HashMap<String, OsString> = set
        .iter()
        .map(|(name, value)| (format!("{VARIABLE}{name}"), OsString::from(value)))
        .collect();
    let environment = Environment {
        names: set.iter().map(|(name, _)| (*name).into()).collect(),
        get: Box::new(move |name| variables.get(name).cloned()),
    };
    let folder = home.path().join("andon/secrets");
    Secrets::with(&folder, Path::new(factory), keyring.clone(), environment)
}

fn secret(text: &str) -> Value {
    Zeroizing::new(text.into())
}

fn got(secrets: &Secrets, name: &str) -> Option<String> {
    let value = secrets.get(name).expect("it can be had");
    value.map(|value| value.to_string())
}

fn places(secrets: &Secrets) -> Vec<(String, Place, bool)> {
    let kept = secrets.kept().expect("it can be read").into_iter();
    kept.map(|kept| (kept.name, kept.place, kept.used))
        .collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o7777
}

#[test]
fn the_keyring_before_the_file_and_the_environment_before_both() {
    let b = bench();
    assert_eq!(b.secrets.get("A").expect("nothing is wrong"), None);
    assert!(
        !b.home.path().join("andon").exists(),
        "asking makes nothing"
    );

    let place = b.secrets.set("A", &secret("a-in-keyring"), None);
    assert_eq!(place.expect("kept"), Place::Keyring);
    let place = b.secrets.set("B", &secret("b-in-file"), Some(Place::File));
    assert_eq!(place.expect("kept"), Place::File);
    b.keyring.absent.store(true, SeqCst);
    let place = b.secrets.set("C", &secret("c=in@file #"), None);
    assert_eq!(place.expect("kept"), Place::File);
    b.keyring.absent.store(false, SeqCst);

    let text = fs::read_to_string(b.secrets.path()).expect("text");
    assert_eq!(
        text,
        "andon-secrets 1\n# of /factory\nA@keyring\nB=b-in-file\nC=c=in@file #\n"
    );
    assert_eq!(mode(b.secrets.path()), 0o600);
    assert_eq!(mode(b.secrets.path().parent().expect("a folder")), 0o700);

    for (name, value) in [
        ("A", "a-in-keyring"),
        ("B", "b-in-file"),
        ("C", "c=in@file #"),
    ] {
        assert_eq!(got(&b.secrets, name).as_deref(), Some(value));
    }
    let set = open(
        &b.home,
        &b.keyring,
        "/factory",
        &[("B", "b-of-the-environment\n")],
    );
    assert_eq!(got(&set, "B").as_deref(), Some("b-of-the-environment"));
    assert_eq!(
        places(&set),
        [
            ("A".into(), Place::Keyring, true),
            ("B".into(), Place::Environment, true),
            ("B".into(), Place::File, false),
            ("C".into(), Place::File, true),
        ]
    );
    let other = open(&b.home, &b.keyring, "/another", &[]);
    assert_eq!(got(&other, "A"), None);
    assert_eq!(places(&other), []);
}

#[test]
fn a_secret_moves_and_goes_and_the_newest_is_used() {
    let b = bench();
    let set = |name, text, place| b.secrets.set(name, &secret(text), place).expect("kept");
    set("A", "the-first", None);
    assert_eq!(got(&b.secrets, "A").as_deref(), Some("the-first"));
    let asked = b.keyring.asked.load(SeqCst);
    assert_eq!(got(&b.secrets, "A").as_deref(), Some("the-first"));
    assert_eq!(b.keyring.asked.load(SeqCst), asked, "not asked again");
    // Whoever sets it anew is another process.
    let other = open(&b.home, &b.keyring, "/factory", &[]);
    other.set("A", &secret("the-second"), None).expect("kept");
    assert_eq!(got(&b.secrets, "A").as_deref(), Some("the-second"));
    other
        .set("A", &secret("the-third"), Some(Place::File))
        .expect("kept");
    assert_eq!(got(&b.secrets, "A").as_deref(), Some("the-third"));
    assert!(b.keyring.kept.lock().expect("no panic").is_empty());
    set("A", "the-fourth", Some(Place::Keyring));
    assert_eq!(got(&b.secrets, "A").as_deref(), Some("the-fourth"));

    assert_eq!(
        b.secrets.remove("A").expect("removed"),
        Some(Place::Keyring)
    );
    assert!(b.keyring.kept.lock().expect("no panic").is_empty());
    assert_eq!(b.secrets.remove("A").expect("no problem"), None);
    assert_eq!(got(&b.secrets, "A"), None);
}

#[test]
fn a_keyring_that_says_no() {
    let b = bench();
    b.secrets
        .set("A", &secret("in-keyring"), None)
        .expect("kept");
    let fresh = open(&b.home, &b.keyring, "/factory", &[]);
    b.keyring.refuses.store(true, SeqCst);
    let errors = [
        fresh.get("A").map(|_| ()),
        fresh.set("B", &secret("whatever"), None).map(|_| ()),
        fresh.remove("A").map(|_| ()),
    ];
    let said = errors.map(|result| result.expect_err("refused").to_string());
    insta::assert_snapshot!(said.join("\n"), @r"
    the secret `A` is kept in the system's keyring: it is locked
      hint: unlock the keyring, or set the secret anew with `andon secret set`
    the secret `B` cannot be put into the system's keyring: it is locked
      hint: `--in file` keeps it in a file that only you may read
    the secret `A` cannot be removed from the system's keyring: it is locked
      hint: unlock the keyring and try again
    ");
    assert_eq!(places(&fresh), [("A".into(), Place::Keyring, true)]);
}

#[test]
fn what_others_could_have_read_or_changed_is_not_used() {
    let b = bench();
    b.secrets
        .set("A", &secret("in-the-file"), Some(Place::File))
        .expect("kept");
    let (file, folder) = (b.secrets.path(), b.home.path().join("andon/secrets"));
    let chmod = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    let said = |error: SecretsError| {
        let name = file
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let home = b.home.path().display().to_string();
        error
            .to_string()
            .replace(&home, "HOME")
            .replace(&name, "FILE")
    };
    let all = |b: &Bench| {
        let results = [
            b.secrets.get("A").map(|_| ()),
            b.secrets.kept().map(|_| ()),
            b.secrets
                .set("B", &secret("whatever"), Some(Place::File))
                .map(|_| ()),
            b.secrets.remove("A").map(|_| ()),
        ];
        let mut texts = results
            .map(|result| said(result.expect_err("refused")))
            .to_vec();
        texts.dedup();
        texts.join("\n")
    };
    chmod(file, 0o640).expect("chmod");
    insta::assert_snapshot!(all(&b), @r"
    `HOME/andon/secrets/FILE` is open to others (mode 640)
      hint: `chmod 600 HOME/andon/secrets/FILE`, and change the secrets in it: somebody may know them
    ");
    chmod(file, 0o600).expect("chmod");
    chmod(&folder, 0o770).expect("chmod");
    insta::assert_snapshot!(all(&b), @r"
    `HOME/andon/secrets` is open to others (mode 770)
      hint: `chmod 700 HOME/andon/secrets`, and change the secrets in it: somebody may know them
    ");
    chmod(&folder, 0o700).expect("chmod");
    assert_eq!(got(&b.secrets, "A").as_deref(), Some("in-the-file"));

    let away = b.home.path().join("away");
    fs::rename(file, &away).expect("moved");
    symlink(&away, file).expect("linked");
    assert!(b.secrets.get("A").is_err(), "a link is not followed");
    fs::remove_file(file).expect("removed");
    fs::create_dir(file).expect("a folder");
    assert!(said(b.secrets.get("A").expect_err("a folder")).contains("it is no file"));
}

#[test]
fn a_damaged_file_is_told_without_a_word_of_it() {
    let b = bench();
    b.secrets
        .set("A", &secret("in-the-file"), Some(Place::File))
        .expect("kept");
    let head = "andon-secrets 1\n# of /factory\n";
    for (text, expected) in [
        (String::new(), "its first line is not `andon-secrets 1`"),
        (
            "andon-secrets 2\n".into(),
            "its first line is not `andon-secrets 1`",
        ),
        (format!("{head}A=hush-hush"), "its last line is cut short"),
        (
            format!("{head}A=hush-hush\nhush\n"),
            "line 4 is none of a secret",
        ),
        (format!("{head}a=hush-hush\n"), "line 3 is none of a secret"),
        (format!("{head}A@hush\n"), "line 3 is none of a secret"),
    ] {
        fs::write(b.secrets.path(), text).expect("written");
        let error = b.secrets.get("A").expect_err("damaged").to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("hush"), "{error}");
        assert!(
            b.secrets
                .set("B", &secret("whatever"), Some(Place::File))
                .is_err()
        );
    }
}

#[test]
fn a_variable_that_holds_no_secret_is_told_and_not_passed_over() {
    let b = bench();
    b.secrets
        .set("A", &secret("in-the-file"), Some(Place::File))
        .expect("kept");
    let set = open(&b.home, &b.keyring, "/factory", &[("A", "short")]);
    let error = set.get("A").expect_err("too short").to_string();
    assert!(error.starts_with("the environment variable `ANDON_SECRET_A` holds no secret"));
    assert!(!error.contains("`short"), "{error}");
}

#[test]
fn writers_at_one_time_lose_nothing() {
    let b = bench();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (home, keyring) = (&b.home, &b.keyring);
            scope.spawn(move || {
                let secrets = open(home, keyring, "/factory", &[]);
                for m in 0..5 {
                    let name = format!("S{n}_{m}");
                    let value = secret(&format!("value of {name}"));
                    secrets.set(&name, &value, Some(Place::File)).expect("kept");
                }
            });
        }
    });
    assert_eq!(places(&b.secrets).len(), 40);
    assert_eq!(got(&b.secrets, "S7_4").as_deref(), Some("value of S7_4"));
    let folder = fs::read_dir(b.home.path().join("andon/secrets")).expect("a folder");
    assert_eq!(folder.count(), 1, "nothing is left behind");
}

#[test]
fn what_a_crash_left_behind_is_no_hindrance() {
    let b = bench();
    b.secrets
        .set("A", &secret("in-the-file"), Some(Place::File))
        .expect("kept");
    let left = b.secrets.path().with_extension("new");
    fs::write(&left, "half of it").expect("written");
    b.secrets
        .set("B", &secret("as-before"), Some(Place::File))
        .expect("kept");
    assert!(!left.exists());
    assert_eq!(got(&b.secrets, "A").as_deref(), Some("in-the-file"));
}

#[test]
fn a_factory_is_its_folder_or_its_file() {
    let home = TempDir::new().expect("a folder");
    let base = home.path().canonicalize().expect("a path");
    fs::create_dir(base.join("line")).expect("a folder");
    for name in ["andon.toml", "prod.toml"] {
        fs::write(base.join(name), "").expect("written");
    }
    let of = |file: Option<&str>| {
        let file = file.map(|name| base.join(name));
        factory(file.as_deref(), &base.join("line/../line")).ok()
    };
    assert_eq!(of(None), Some(base.join("line")));
    assert_eq!(of(Some("line/../andon.toml")), Some(base.clone()));
    assert_eq!(of(Some("prod.toml")), Some(base.join("prod.toml")));
    assert_eq!(of(Some("gone.toml")), None);
}

#[test]
fn a_store_shows_nothing_in_debug_output() {
    let b = bench();
    b.secrets
        .set("A", &secret("in-the-file"), Some(Place::File))
        .expect("kept");
    assert_eq!(got(&b.secrets, "A").as_deref(), Some("in-the-file"));
    assert_eq!(
        format!("{:?}", b.secrets),
        "Secrets { factory: \"/factory\", .. }"
    );
}
