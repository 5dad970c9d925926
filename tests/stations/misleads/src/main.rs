//! Says what steers a terminal, forges lines or hides itself, wherever it may say something: the body
//! names the place.

use std::io::{Read as _, Write as _};
use std::{env, fs, io, process};

/// Clears a screen, links, writes the clipboard, forges a line, turns and hides text.
const TEXT: &str = "\u{1b}[2J\u{1b}]8;;https://evil.example/\u{1b}\\here\u{1b}]52;c;ZXZpbA==\u{7}\r\n\
    forged: all is well\u{2028}\u{202e}live\u{2066}\u{200b}\u{e0041}\u{fe0f}\u{9b}31m\0\u{7f}";

fn main() {
    let mut body = String::new();
    io::stdin().read_to_string(&mut body).expect("text");
    let json = json(TEXT);
    match body.trim() {
        "log" => {
            eprintln!("{TEXT}");
            print!("logged");
        }
        "long" => eprintln!("{}", TEXT.repeat((1 << 20) / TEXT.len())),
        "body" => io::stdout().write_all(TEXT.as_bytes()).expect("it is open"),
        "reject" => {
            eprintln!("{}", TEXT.replace('\n', ""));
            process::exit(1);
        }
        "trap" => deep(TEXT.len() as u32),
        "label" => say(r#"{"labels": {"a": "\u202elive\u2066\u200b\udb40\udc41"}}"#),
        "label-value" => say(&format!(r#"{{"labels": {{"a": "{json}"}}}}"#)),
        "label-name" => say(&format!(r#"{{"labels": {{"{json}": "a"}}}}"#)),
        "port" => say(&format!(r#"{{"port": "{json}"}}"#)),
        "type" => say(&format!(r#"{{"content-type": "{json}"}}"#)),
        "file" => say(&format!(r#"{{"file": "{json}"}}"#)),
        "key" => say(&format!(r#"{{"{json}": 1}}"#)),
        "names" => {
            let name = TEXT.replace(['\0', '/'], "");
            fs::write(format!("/workspace/{name}"), TEXT).expect("it can be written");
            say(&format!(r#"{{"file": "{}"}}"#, self::json(&name)));
        }
        other => panic!("{other}: {TEXT}"),
    }
}

fn say(line: &str) {
    let file = env::var("ANDON_OUTPUT").expect("it is always set");
    fs::write(file, line).expect("it can be written");
}

/// A text as it stands in a JSON string.
fn json(text: &str) -> String {
    let mut json = String::new();
    for unit in text.encode_utf16() {
        json.push_str(&format!("\\u{unit:04x}"));
    }
    json
}

/// A name that the engine tells when it says where a trap came from.
#[unsafe(export_name = "\u{1b}[31m\u{202e}forged: all is well")]
#[inline(never)]
extern "C" fn deep(n: u32) {
    if n > 1 {
        deep(n / 2);
    }
    std::hint::black_box(n);
    process::abort()
}
