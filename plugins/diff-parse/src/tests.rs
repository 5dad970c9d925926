//! Whole inputs through the station.

use andon_station::prelude::*;
use serde_json::{Value, json};

use crate::DiffParse;

fn run(input: impl Into<Vec<u8>>) -> Result<Outputs> {
    DiffParse::run(
        &Visit::default(),
        Payload::of("text/x-patch", input.into()).into(),
    )
}

fn files(input: impl Into<Vec<u8>>) -> Vec<Value> {
    run(input)
        .unwrap()
        .iter()
        .map(|output| output.payload.json().unwrap())
        .collect()
}

fn reason(input: impl Into<Vec<u8>>) -> String {
    match run(input) {
        Err(Stop::Reject(reason)) => reason,
        other => panic!("not rejected: {other:?}"),
    }
}

const MAIL: &str = "\
From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001
From: =?UTF-8?q?Ren=C3=A9?= <rene@example.com>
Date: Tue, 3 Nov 2026 10:00:00 +0100
Subject: [PATCH 1/2] Count the
 lines
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 8bit

The why.
---
 src/a b.rs | 3 ++-
 1 file changed, 2 insertions(+), 1 deletion(-)

diff --git a/src/a b.rs b/src/a b.rs
index 1111111..2222222 100644
--- a/src/a b.rs\t
+++ b/src/a b.rs\t
@@ -1,3 +1,4 @@ fn main() {
 one
-two
+--- two
+three

--\x20
2.39.2

";

#[test]
fn a_mail_of_format_patch() {
    let outputs = run(MAIL).unwrap();
    assert_eq!(outputs.len(), 1);
    let labels: Vec<_> = outputs[0].payload.labels.iter().collect();
    assert_eq!(
        labels,
        [
            ("path", "src/a b.rs"),
            ("status", "modified"),
            ("subject", "Count the lines")
        ]
    );
    assert_eq!(
        outputs[0].payload.json::<Value>().unwrap(),
        json!({
            "commit": {
                "id": "0123456789abcdef0123456789abcdef01234567",
                "author": "René <rene@example.com>",
                "subject": "Count the lines",
                "date": "Tue, 3 Nov 2026 10:00:00 +0100",
            },
            "file": {
                "path": "src/a b.rs", "old_path": "src/a b.rs", "status": "modified",
                "mode": "100644", "old_mode": null, "binary": false,
            },
            "hunks": [{
                "old_start": 1, "old_lines": 3, "new_start": 1, "new_lines": 4, "section": "fn main() {",
                "lines": [
                    { "kind": " ", "old": 1, "new": 1, "text": "one" },
                    { "kind": "-", "old": 2, "new": null, "text": "two" },
                    { "kind": "+", "old": null, "new": 2, "text": "--- two" },
                    { "kind": "+", "old": null, "new": 3, "text": "three" },
                    { "kind": " ", "old": 3, "new": 4, "text": "" },
                ],
            }],
        })
    );
}

#[test]
fn line_ends_of_the_transport_change_nothing() {
    assert_eq!(files(MAIL.replace('\n', "\r\n")), files(MAIL));
    let dos = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\r\n+b\r\n";
    assert_eq!(
        files(dos)[0]["hunks"][0]["lines"][1]["text"],
        "b\r",
        "those of the file stay"
    );
}

#[test]
fn an_mbox_of_several_mails_with_a_cover_letter() {
    let cover = "From 00000000 Mon Sep 17 00:00:00 2001\nSubject: [PATCH 0/2] Cover\n\nFrom here on it is better.\n\n";
    let files = files(format!(
        "{cover}{MAIL}{}",
        MAIL.replace("Count the\n lines", "Again")
            .replace("a b.rs", "c.rs")
    ));
    let of: Vec<_> = files
        .iter()
        .map(|f| (f["file"]["path"].as_str(), f["commit"]["subject"].as_str()))
        .collect();
    assert_eq!(
        of,
        [
            (Some("src/a b.rs"), Some("Count the lines")),
            (Some("src/c.rs"), Some("Again"))
        ]
    );
}

#[test]
fn encoded_mail_bodies() {
    let body = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a=1\n+ä=2\n";
    let quoted = body.replace('=', "=3D").replace("ä", "=C3=\n=A4");
    let plain = format!("Subject: s\nContent-Transfer-Encoding: quoted-printable\n\n{quoted}");
    assert_eq!(files(plain)[0]["hunks"][0]["lines"][1]["text"], "ä=2");
    let base64 = "ZGlmZiAtLWdpdCBhL3ggYi94Ci0tLSBhL3gKKysrIGIveApAQCAtMSArMSBAQAotYQorw6Q9Mgo="; // andon:allow-secret
    let multipart = format!(
        "Subject: s\nContent-Type: multipart/mixed; boundary=\"B\"\n\n--B\nContent-Type: text/html\n\n<p>\n\
         --B\nContent-Type: application/octet-stream; name=\"x.patch\"\nContent-Transfer-Encoding: base64\n\n{base64}\n--B--\n"
    );
    let parsed = files(multipart);
    assert_eq!(parsed[0]["hunks"][0]["lines"][1]["text"], "ä=2");
    assert_eq!(parsed[0]["commit"]["subject"], "s");
}

#[test]
fn what_can_become_of_a_file() {
    let head = |headers: &str| format!("diff --git a/old b/new\n{headers}");
    for (patch, path, old_path, status, binary) in [
        (head("similarity index 100%\nrename from old\nrename to new\n"), "new", Some("old"), "renamed", false),
        (head("similarity index 100%\ncopy from \"o\\303\\244\"\ncopy to new\n"), "new", Some("oä"), "copied", false),
        ("diff --git a/e b/e\nnew file mode 100644\nindex 0000000..e69de29\n".into(), "e", None, "added", false),
        ("diff --git a/e b/e\ndeleted file mode 100644\nindex e69de29..0000000\n".into(), "e", Some("e"), "deleted", false),
        ("diff --git a/e b/e\nold mode 100644\nnew mode 100755\n".into(), "e", Some("e"), "modified", false),
        (
            "diff --git a/p b/p\nnew file mode 100644\nindex 0..1\nBinary files /dev/null and b/p differ\n".into(),
            "p", None, "added", true,
        ),
        (
            "diff --git a/p b/p\nindex 0..1 100644\nGIT binary patch\nliteral 3\nKcmZQzWMF_\n\nliteral 0\nHcmV?d00001\n\n".into(),
            "p", Some("p"), "modified", true,
        ),
        ("--- /dev/null\n+++ n.c\t2026-01-01\n@@ -0,0 +1 @@\n+x\n".into(), "n.c", None, "added", false),
        ("--- n.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\\ No newline at end of file\n".into(), "n.c", Some("n.c"), "deleted", false),
    ] {
        let files = files(patch.clone());
        assert_eq!(files.len(), 1, "{patch}");
        let file = &files[0]["file"];
        assert_eq!((file["path"].as_str(), file["old_path"].as_str()), (Some(path), old_path), "{patch}");
        assert_eq!((file["status"].as_str(), file["binary"].as_bool()), (Some(status), Some(binary)), "{patch}");
    }
}

#[test]
fn marks_of_lines() {
    let patch = b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+\xff\xfeb\n\\ No newline at end of file\n";
    let lines = &files(patch.to_vec())[0]["hunks"][0]["lines"];
    assert_eq!(
        lines[0],
        json!({ "kind": "-", "old": 1, "new": null, "text": "a", "no_newline": true })
    );
    assert_eq!(
        lines[1],
        json!({ "kind": "+", "old": null, "new": 1, "text": "\u{fffd}\u{fffd}b", "lossy": true, "no_newline": true })
    );
}

#[test]
fn a_log_names_its_commits() {
    let entry = |id: &str, subject: &str| {
        format!(
            "commit {id} (HEAD)\nAuthor: A <a@b>\nDate:   Tue Nov 3\n\n    {subject}\n\n    commit deadbeef is meant\n\n\
             diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n\n"
        )
    };
    let files = files(entry("1234567", "One") + &entry("abcdef0", "Two"));
    let of: Vec<_> = files
        .iter()
        .map(|f| (f["commit"]["id"].as_str(), f["commit"]["subject"].as_str()))
        .collect();
    assert_eq!(
        of,
        [
            (Some("1234567"), Some("One")),
            (Some("abcdef0"), Some("Two"))
        ]
    );
}

#[test]
fn damage_is_rejected_with_the_line() {
    let hunk = |rest: &str| format!("--- a/x\n+++ b/x\n{rest}");
    for (patch, part) in [
        (String::new(), "no changed file"),
        (
            "Subject: hello\n\nno patch here\n".into(),
            "no changed file",
        ),
        (
            hunk("@@ -1,2 +1,2 @@\n a\n"),
            "line 5 of the patch: the patch ends within a hunk",
        ),
        (
            hunk("@@ -1,2 +1,2 @@\n a\n?b\n"),
            "line 5 of the patch: neither context nor change",
        ),
        (
            hunk("@@ -1,2 +1 @@\n-a\n+b\n+c\n"),
            "line 6 of the patch: the hunk has other lines",
        ),
        (
            hunk("@@ -1,99999999999 +1 @@\n"),
            "line 3 of the patch: `@@ -1,99999999999 +1 @@` is no hunk header",
        ),
        (
            "diff --git x\n".into(),
            "line 1 of the patch: cannot tell the two paths",
        ),
        (
            "diff --cc a/x\nindex 1,2..3\n".into(),
            "`a/x` is a combined diff of a merge",
        ),
        (
            "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@@ -1 -1 +1 @@@\n".into(),
            "line 4 of the patch: a combined diff",
        ),
        (
            "diff --git a/x b/x\n--- a/x\n+++ b/x\n".into(),
            "line 4 of the patch: no hunk",
        ),
    ] {
        assert!(
            reason(patch.clone()).contains(part),
            "{patch}: {}",
            reason(patch.clone())
        );
    }
    let second = format!("{MAIL}{}", MAIL.replace(" one\n", "*one\n"));
    assert!(reason(second).ends_with("(mail 2 of 2, `Count the lines`)"));
}

#[test]
fn hostile_input_never_panics() {
    let seeds = [
        MAIL.to_owned(),
        format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n{MAIL}\n--b--"),
        "diff --git \"a/\\303\" \"b/x\"\nrename from \"\\\nGIT binary patch\nliteral\n@@ -4294967295,4294967295 +1 @@".into(),
    ];
    let mut state = 0x9e37_79b9_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for seed in &seeds {
        let seed = seed.as_bytes();
        for cut in 0..seed.len() {
            let _ = run(&seed[..cut]);
            let _ = run(&seed[cut..]);
        }
        for _ in 0..2000 {
            let mut bytes = seed.to_vec();
            for _ in 0..1 + random() % 4 {
                let at = random() % bytes.len();
                match random() % 4 {
                    0 => bytes[at] = random() as u8,
                    1 => bytes[at] = b"\n-+ @\\\"=:\r"[random() % 10],
                    2 => drop(bytes.drain(at..(at + random() % 20).min(bytes.len()))),
                    _ => bytes.insert(at, b'\n'),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            let _ = run(bytes);
        }
    }
}
