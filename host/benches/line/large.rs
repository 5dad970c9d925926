//! A component as large as CPython's: some 30 MiB compiled, a third of it data. Never run.

use anyhow::Context as _;
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// Functions, and conversions in each: what makes much machine code out of little text.
const FUNCTIONS: usize = 3_000;
const CONVERSIONS: usize = 70;
/// Bytes of data.
const DATA: usize = 10 << 20;

/// The component's file; made once.
pub(super) fn component() -> anyhow::Result<PathBuf> {
    let name = format!("large-{FUNCTIONS}-{CONVERSIONS}-{DATA}.wasm");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !path.exists() {
        let mut module = wat::parse_str(text()).context("a module")?;
        let mut resolve = wit_parser::Resolve::default();
        let (package, _) = resolve.push_dir("../wit")?;
        let world = resolve.select_world(&[package], Some("station"))?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        let component = ComponentEncoder::default().module(&module)?.encode()?;
        fs::write(&path, component)?;
    }
    Ok(path)
}

fn text() -> String {
    let mut text = String::from(
        r#"(module (memory (export "memory") 200)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "andon:station/process@0.1.0#run") (param i32) (result i32) unreachable)
"#,
    );
    for n in 0..FUNCTIONS {
        let _ = write!(text, "(func (param f64) (result f64) local.get 0");
        for _ in 0..CONVERSIONS {
            text += " i64.trunc_f64_s f64.convert_i64_u";
        }
        let _ = writeln!(text, " f64.const {n} f64.add)");
    }
    let _ = write!(text, "(data (i32.const 1024) \"");
    // A generator's numbers: data that no file system packs.
    let mut state = 0x2026_u32;
    for _ in 0..DATA {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let _ = write!(text, "\\{:02x}", state >> 24);
    }
    text + "\"))"
}
