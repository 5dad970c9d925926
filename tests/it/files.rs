//! What guests do with files, on real lines, through WASI 0.2 and 0.3: the same calls have to come to
//! the same things.

mod behaviours;
mod mounts;
mod quotas;

use crate::ground::{Came, Ground};
use std::fs;

/// The stations that make the calls, and the version of WASI that each one speaks.
const STATIONS: [(&str, &str); 2] = [("touches", "2"), ("touches-async", "3")];

/// Calls, one a line, and after ` => ` what each has to come to. A line that begins with `2: ` or `3: `
/// is for that version of WASI only.
type Script = (&'static str, &'static str);

/// What of a script is for one version: the calls, and what they come to.
fn parted(script: &str, version: &str) -> (String, String) {
    let (mut calls, mut comes_to) = (String::new(), String::new());
    let other = if version == "2" { "3: " } else { "2: " };
    for line in script.lines().map(str::trim_start) {
        if line.starts_with(other) {
            continue;
        }
        let line = line.strip_prefix(&format!("{version}: ")).unwrap_or(line);
        let comes = line.split_once(" => ");
        let (call, result) = comes.unwrap_or_else(|| panic!("what does `{line}` come to?"));
        calls += &format!("{}\n", call.replace("{long}", &"x".repeat(256)));
        comes_to += &format!("{result}\n");
    }
    (calls, comes_to)
}

/// A line with one station, and the inputs that it is given.
struct Trial {
    ground: Ground,
    version: &'static str,
}

impl Trial {
    fn of((station, version): (&str, &'static str), settings: &str) -> Self {
        let ground = Ground::new();
        ground.line(&format!(
            "line = \"l\"\nentry = \"s\"\n[defaults]\nretry = {{ attempts = 1 }}\n\
             [stations.s]\nuse = \"@{station}\"\nnext = \"done\"\n{settings}\n"
        ));
        Self { ground, version }
    }

    /// Gives each script to the line as an item of its own.
    fn run(&self, scripts: &[Script]) -> Came {
        let mut arguments = vec!["run".to_string(), ".".into(), "--out".into(), "out".into()];
        for (n, (_, script)) in scripts.iter().enumerate() {
            let (calls, _) = parted(script, self.version);
            let name = format!("in/{n}.txt");
            self.ground.write(&name, calls);
            arguments.push(name);
        }
        arguments.push("-q".into());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.ground.andon(&arguments)
    }

    /// All scripts come to what they say.
    fn passes(&self, scripts: &[Script]) {
        let came = self.run(scripts);
        assert_eq!(came.code, Some(0), "{}", came.whole());
        self.compare(scripts);
    }

    /// What came out of the line for the n-th input.
    fn result(&self, n: usize) -> Option<String> {
        let results = fs::read_dir(self.ground.path("out")).ok()?;
        let named = format!("{n}.");
        let mut results = results.map(|entry| entry.expect("a result"));
        let result = results.find(|it| it.file_name().to_string_lossy().starts_with(&named))?;
        fs::read_to_string(result.path()).ok()
    }

    /// What came out of the line is what these scripts say; other items gave nothing.
    fn compare(&self, scripts: &[Script]) {
        let mut wrong = String::new();
        for (n, (name, script)) in scripts.iter().enumerate() {
            let (calls, comes_to) = parted(script, self.version);
            let found = self.result(n).unwrap_or_else(|| "no result\n".into());
            if found == comes_to {
                continue;
            }
            wrong += &format!("\n{name} (WASI 0.{}):\n", self.version);
            for ((call, result), found) in calls.lines().zip(comes_to.lines()).zip(found.lines()) {
                let mark = if result == found { " " } else { "!" };
                wrong += &format!("{mark} {call} => {found}");
                wrong += &if result == found {
                    "\n".into()
                } else {
                    format!(", not {result}\n")
                };
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }
}

/// What is left in a failed attempt's workspace is not there for the next one.
#[test]
fn a_failed_attempt_leaves_nothing_to_read() {
    let ground = Ground::new();
    ground
        .line(
            r#"
line = "l"
entry = "s"
[stations.s]
use = "@does"
next = "done"
retry = { attempts = 2, backoff = "1ms..2ms" }
config = { do = '''
read /workspace/left
write /workspace/left secret
retry 2''' }
"#,
        )
        .write("a.txt", "x");
    let out = ground.andon(&["run", ".", "a.txt", "-q"]).well();
    assert_eq!(
        out,
        "read /workspace/left: No such file or directory (os error 44)\n\
         write /workspace/left secret: written\n"
    );
}
