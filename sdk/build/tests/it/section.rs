//! The manifest inside a component, where nothing is to be trusted.

use std::path::Path;

use andon_build::manifest::{LIMIT, Manifest, ManifestError, SECTION, embed, extract};

/// Header of an empty component, and of an empty core module.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn manifest() -> Manifest {
    let text = "name = \"x\"\nversion = \"0.1.0\"\ndescription = \"d\"\n";
    Manifest::from_toml(text, Path::new(".")).unwrap()
}

fn section(id: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![id];
    leb128(&mut bytes, body.len());
    bytes.extend_from_slice(body);
    bytes
}

fn custom(name: &str, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    leb128(&mut body, name.len());
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(data);
    section(0, &body)
}

fn leb128(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[test]
fn embedded_is_extracted() {
    assert_eq!(extract(COMPONENT).unwrap(), None);
    let one = embed(COMPONENT, &manifest()).unwrap();
    assert_eq!(extract(&one).unwrap(), Some(manifest()));
    let mut other = manifest();
    other.version = "0.2.0".into();
    let again = embed(&[&one[..], &custom("more", b"1")].concat(), &other).unwrap();
    assert_eq!(extract(&again).unwrap(), Some(other));
}

#[test]
fn only_the_top_level_speaks() {
    let inner = embed(COMPONENT, &manifest()).unwrap();
    let nested = [COMPONENT, &section(4, &inner)].concat();
    assert_eq!(extract(&nested).unwrap(), None);
    let module = [MODULE, &custom(SECTION, b"{")].concat();
    let with_module = [COMPONENT, &section(1, &module)].concat();
    assert_eq!(extract(&with_module).unwrap(), None);
    let mut outer = manifest();
    outer.name = "outer".into();
    let both = embed(&nested, &outer).unwrap();
    assert_eq!(extract(&both).unwrap(), Some(outer));
    wasmparser::Validator::new().validate_all(&both).unwrap();
}

#[test]
fn twice_is_an_error() {
    let one = embed(COMPONENT, &manifest()).unwrap();
    let twice = [&one[..], &one[COMPONENT.len()..]].concat();
    assert!(matches!(extract(&twice), Err(ManifestError::Twice)));
}

#[test]
fn too_large_is_an_error() {
    let large = [COMPONENT, &custom(SECTION, &vec![b' '; 1 << 20])].concat();
    assert!(matches!(extract(&large), Err(ManifestError::TooLarge(n)) if n == 1 << 20));
    let mut manifest = manifest();
    manifest.inputs.schema = Some(serde_json::json!({ "title": "x".repeat(LIMIT) }));
    assert!(matches!(
        embed(COMPONENT, &manifest),
        Err(ManifestError::TooLarge(_))
    ));
}

#[test]
fn a_core_module_carries_none() {
    let module = [MODULE, &custom(SECTION, manifest().to_json().as_bytes())].concat();
    assert_eq!(extract(&module).unwrap(), None);
    assert!(matches!(
        embed(MODULE, &manifest()),
        Err(ManifestError::CoreModule)
    ));
}

#[test]
fn what_is_inside_keeps_the_rules() {
    let carrying = |json: &str| extract(&[COMPONENT, &custom(SECTION, json.as_bytes())].concat());
    let ok = manifest().to_json();
    assert!(carrying(&ok).unwrap().is_some());
    for json in [
        "",
        "[]",
        "\u{0}",
        &"[".repeat(100_000),
        &ok.replace("\"name\"", "\"nom\""),
        &ok.replace('}', ",\"more\":1}"),
        &ok.replace('}', ",\"name\":\"y\"}"),
    ] {
        assert!(
            matches!(carrying(json), Err(ManifestError::NotAManifest(_))),
            "{json:.40}"
        );
    }
    let error = carrying(
        &ok.replace("\"x\"", "\"../\u{1b}[2J\"")
            .replace('\u{1b}', "\\u001b"),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the manifest inside the component breaks a rule: `name`: `../?[2J` is no station name"
    );
}

#[test]
fn broken_bytes_are_an_error_and_never_a_panic() {
    let whole = embed(&[COMPONENT, &section(1, MODULE)].concat(), &manifest()).unwrap();
    for end in 0..whole.len() {
        // Cutting at the end of a section leaves a smaller component; anything else is an error.
        if let Ok(found) = extract(&whole[..end]) {
            assert_eq!(found, None, "cut at {end}");
        }
        let mut flipped = whole.clone();
        for bit in 0..8 {
            flipped[end] ^= 1 << bit;
            let _ = extract(&flipped);
            let _ = embed(&flipped, &manifest());
            flipped[end] ^= 1 << bit;
        }
    }
    for bytes in [&b""[..], b"\0asm", b"hello, world", &[0xff; 64]] {
        assert!(matches!(extract(bytes), Err(ManifestError::Malformed(_))));
        assert!(matches!(
            embed(bytes, &manifest()),
            Err(ManifestError::Malformed(_))
        ));
    }
}
