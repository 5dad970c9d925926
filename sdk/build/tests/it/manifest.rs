//! `station.toml`: what is read, and every complaint with its place.

use std::fs;
use std::path::Path;

use andon_build::manifest::{Access, ConfigType, Language, Manifest, StationFile};

const HEAD: &str = "name = \"x\"\nversion = \"0.1.0\"\ndescription = \"d\"\n";

/// The problems of a file that begins with [`HEAD`], so that its first own line is the fourth.
#[track_caller]
fn check(rest: &str, expected: &str) {
    whole(&format!("{HEAD}{rest}"), expected);
}

#[track_caller]
fn whole(text: &str, expected: &str) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("broken.json"), "{").unwrap();
    fs::write(dir.path().join("list.json"), "[]").unwrap();
    let problems = match Manifest::from_toml(text, dir.path()) {
        Ok(manifest) => panic!("accepted: {manifest:?}"),
        Err(problems) => problems,
    };
    let found: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(found.join("\n"), expected.trim_matches('\n'));
}

#[test]
fn a_full_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("input.json"), r#"{"type":"object"}"#).unwrap();
    let text = r#"
name = "secret-scan"
version = "0.1.0-rc.1+7"
description = "finds leaked keys and tokens"
[build]
language = "rust"
[inputs]
types = ["application/json", "text/*", "*/*"]
schema = "input.json"
[ports.pass]
description = "nothing found"
types = ["application/json"]
schema = { type = "object", properties = { n = { minimum = 1, multipleOf = 0.5 } } }
[[requires.fs]]
guest = "/rules"
access = "write"
why = "house rules"
optional = true
[[requires.http]]
rule = "GET https://api.example.com/v1/**"
why = "asks"
[[requires.secrets]]
name = "API_TOKEN"
why = "to be let in"
[config.entropy]
type = "number"
description = "bits per character"
default = 4
[config.rules]
type = "json"
required = true
"#;
    let file = StationFile::from_toml(text, dir.path()).unwrap();
    assert_eq!(file.language, Some(Language::Rust));
    assert_eq!(file.files, [dir.path().join("input.json")]);
    let manifest = file.manifest;
    assert_eq!(manifest.requires.fs[0].access, Access::Write);
    assert_eq!(manifest.config["entropy"].kind, ConfigType::Number);
    assert_eq!(
        manifest.to_json(),
        concat!(
            r#"{"config":{"entropy":{"default":4,"description":"bits per character","type":"number"},"#,
            r#""rules":{"required":true,"type":"json"}},"description":"finds leaked keys and tokens","#,
            r#""inputs":{"schema":{"type":"object"},"types":["application/json","text/*","*/*"]},"#,
            r#""name":"secret-scan","ports":{"pass":{"description":"nothing found","schema":{"#,
            r#""properties":{"n":{"minimum":1,"multipleOf":0.5}},"type":"object"},"types":["application/json"]}},"#,
            r#""requires":{"fs":[{"access":"write","guest":"/rules","optional":true,"why":"house rules"}],"#,
            r#""http":[{"rule":"GET https://api.example.com/v1/**","why":"asks"}],"#,
            r#""secrets":[{"name":"API_TOKEN","why":"to be let in"}]},"version":"0.1.0-rc.1+7"}"#,
        )
    );
    assert_eq!(
        Manifest::from_json(manifest.to_json().as_bytes()).unwrap(),
        manifest
    );
}

#[test]
fn the_least_that_has_to_be_there() {
    let manifest = Manifest::from_toml(HEAD, Path::new(".")).unwrap();
    assert_eq!(
        manifest.to_json(),
        r#"{"description":"d","name":"x","version":"0.1.0"}"#
    );
}

#[test]
fn what_is_missing() {
    whole(
        "",
        "
1:1: `description` is missing
1:1: `name` is missing
1:1: `version` is missing",
    );
    check(
        "[[requires.fs]]\n[[requires.http]]\n[[requires.secrets]]\n[config.a]\n",
        "
4:1: `access` is missing in `requires.fs.0`
4:1: `guest` is missing in `requires.fs.0`
4:1: `why` is missing in `requires.fs.0`
5:1: `rule` is missing in `requires.http.0`
5:1: `why` is missing in `requires.http.0`
6:1: `name` is missing in `requires.secrets.0`
6:1: `why` is missing in `requires.secrets.0`
7:9: `type` is missing in `config.a`",
    );
}

#[test]
fn no_toml_at_all() {
    whole(
        "name = \nversion 1",
        "
1:8: string values must be quoted, expected literal string
2:9: key with no value, expected `=`",
    );
    // The trap: an inline table is closed.
    check(
        "inputs = { types = [\"*/*\"] }\n[inputs.more]\nx = 1\n",
        "
5:2: cannot extend value of type inline table with a dotted key",
    );
    check("inputs = 1\n[inputs]\n", "5:2: duplicate key");
}

#[test]
fn unknown_keys_name_the_nearest() {
    check(
        "[input]\n[build]\nlang = \"go\"\nlanguage = \"go\"\n[[requires.fs]]\nguest = \"/r\"\nacces = \"read\"\naccess = \"all\"\nwhy = \"w\"\n",
        "
4:2: unknown key `input`
  hint: did you mean `inputs`?
6:1: unknown key `lang` in `build`
  hint: known here: `language`
7:12: unknown `language`: `go`
  hint: one of `rust`, `c`
10:1: unknown key `acces` in `requires.fs.0`
  hint: did you mean `access`?
11:10: unknown `access`: `all`
  hint: one of `read`, `write`",
    );
}

#[test]
fn wrong_shapes() {
    check(
        "ports = 1\nconfig.a = 2\nrequires.fs = [3]\n[inputs]\ntypes = [4, \"a/b\", \"nonsense\"]\nschema = 1979-05-27\n",
        "
4:9: expected a table, found an integer
5:12: expected a table, found an integer
6:16: expected a table, as in `[[requires.fs]]`, found an integer
8:10: expected a media type as a string, found an integer
8:20: `nonsense` is no media type
  hint: lower case without parameters, as in `application/json`, `text/*` or `*/*`
9:10: expected something that JSON has, as a string, found a datetime",
    );
    check(
        "[inputs]\ntypes = []\n[config.a]\ntype = \"integer\"\ndefault = inf\n[config.b]\ntype = \"integer\"\ndefault = 99999999999999999999\n",
        "
5:9: `types` is empty
  hint: leave it out to take any
8:11: expected a finite number, found a float
11:11: expected a whole number of 64 bits, found an integer",
    );
}

#[test]
fn rules_of_values() {
    whole(
        "name = \"Ümlaut\"\nversion = \"1.0\"\ndescription = \"\"\n",
        "
1:8: `Ümlaut` is no station name
  hint: 1 to 64 of `a-z`, `0-9` and `-`
2:11: `1.0` is no version
  hint: three numbers, as in `0.1.0`; `-rc.1` may follow
3:15: the description is not one line of 1 to 300 bytes
  hint: say in half a sentence what the station does",
    );
    check(
        "[ports.reject]\n[ports.\"a b\"]\n",
        "
4:8: the port `reject` is the host's own
  hint: remove it; a station leaves by `reject` by stopping with a reason
5:8: `a b` is no port name
  hint: 1 to 64 of `a-z`, `0-9` and `-`",
    );
    let fs = |guest: &str| {
        format!("[[requires.fs]]\nguest = \"{guest}\"\naccess = \"read\"\nwhy = \"w\"\n")
    };
    for bad in [
        "rules",
        "/",
        "/a/../b",
        "/a//b",
        "/a/",
        "/workspace",
        "/workspace/x",
        "/item/parse",
        "",
    ] {
        check(
            &fs(bad),
            &format!(
                "5:9: `{bad}` is no folder that can be granted\n  hint: an absolute path such as `/rules`, without `.` and `..`; `/workspace` and `/item` are always there"
            ),
        );
    }
    check(
        &(fs("/workspaces") + &fs("/workspaces")),
        "9:9: `/workspaces` is required twice\n  hint: remove one of them",
    );
    check(
        "[[requires.http]]\nrule = \"https://x\"\nwhy = \"w\"\n[[requires.secrets]]\nname = \"token\"\nwhy = \" \"\n",
        "
5:8: `https://x` is no rule for a request
  hint: a method and an address, as in `GET https://api.example.com/v1/**`
8:8: `token` is no name of a secret
  hint: 1 to 64 of `A-Z`, `0-9` and `_`, beginning with a letter
9:7: `why` is not one line of 1 to 300 bytes
  hint: say in half a sentence what it is for: whoever grants it reads this",
    );
    check(
        "[config.a]\ntype = \"integer\"\ndefault = 1.5\nrequired = true\n[config.b]\ntype = \"float\"\n",
        "
6:11: the default of `a` is not of its type, integer
  hint: change `default` or `type`
7:12: `a` is required and has a default
  hint: remove one of the two
9:8: unknown `type`: `float`
  hint: one of `string`, `number`, `integer`, `boolean`, `json`",
    );
}

#[test]
fn schemas() {
    check(
        "[inputs]\nschema = \"../x.json\"\n[ports.a]\nschema = \"none.json\"\n[ports.b]\nschema = \"broken.json\"\n[ports.c]\nschema = \"list.json\"\n[ports.d]\nschema = 1\n",
        "
5:10: `../x.json` is not beside `station.toml`
  hint: a relative path without `..`, or an inline table
7:10: cannot read the schema `none.json`: No such file or directory (os error 2)
9:10: cannot read the schema `broken.json`: not JSON: EOF while parsing an object at line 1 column 1
11:10: a JSON Schema is an object or a boolean
  hint: as in `{ type = \"object\" }`, or the path of a JSON file that has one
13:10: a JSON Schema is an object or a boolean
  hint: as in `{ type = \"object\" }`, or the path of a JSON file that has one",
    );
}
