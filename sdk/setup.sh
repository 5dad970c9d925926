#!/bin/sh
# Sets up what a fresh machine lacks to build stations in Rust and C. May be run again at any time;
# takes seconds when there is nothing to do. Exits 0 only if both can be built.
set -u

zig_version=0.15.2   # must be the version that sdk/build/src/c.rs looks for
cache=${ANDON_BUILD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/andon/build}
debian_libc=/usr/lib/wasm32-wasi/libc.a
failed=0

say() { printf 'setup: %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }

# A command as root: at once for root, by sudo where it asks for no password or a person can answer.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif has sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        sudo "$@"
    else
        say "this needs root: $*"
        return 1
    fi
}

# Ends a command after so many seconds. macOS has no `timeout`.
bounded() {
    seconds=$1; shift
    if has timeout; then
        timeout "$seconds" "$@" >/dev/null 2>&1
        return
    fi
    "$@" >/dev/null 2>&1 &
    job=$!
    (sleep "$seconds"; kill "$job") >/dev/null 2>&1 &
    watch=$!
    wait "$job"
    status=$?
    kill "$watch" 2>/dev/null
    return $status
}

rust_ordinary() { [ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/wasm32-wasip2/lib" ]; }

rust_debian() {
    [ -x /usr/bin/rustc ] && [ -f "$debian_libc" ] &&
        [ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std/src/lib.rs" ] &&
        linker
}

# What andon-build takes: the linker that comes with the user's Rust, else LLVM's.
linker() {
    for lld in "$(rustc --print sysroot 2>/dev/null)"/lib/rustlib/*/bin/rust-lld; do
        [ -f "$lld" ] && return 0
    done
    for version in '' -14 -15 -16 -17 -18 -19 -20 -21 -22 -23 -24 -25 -26 -27 -28 -29 -30; do
        has "wasm-ld$version" && return 0
    done
    return 1
}

rust() {
    if ! has cargo; then
        say "rust: no cargo; install Rust from https://rustup.rs"
        return 1
    fi
    if rust_ordinary; then say "rust: the target wasm32-wasip2 is there"; return 0; fi
    if rust_debian; then say "rust: Debian's rustc-web and wasi-libc are there"; return 0; fi
    if has rustup; then
        say "rust: adding the target wasm32-wasip2 by rustup (a minute at most)"
        bounded 60 rustup target add wasm32-wasip2
        if rust_ordinary; then say "rust: added"; return 0; fi
        say "rust: rustup could not"
    fi
    if has apt-get; then
        packages="rustc-web rust-web-src wasi-libc"
        linker || packages="$packages lld"
        say "rust: installing $packages by apt-get"
        as_root apt-get update -qq &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
                --no-install-recommends $packages >/dev/null
        if rust_debian; then say "rust: installed"; return 0; fi
        say "rust: apt-get could not"
    fi
    say "rust: not set up; run \`rustup target add wasm32-wasip2\` where rustup can download"
    return 1
}

c() {
    python=$cache/tools/ziglang-$zig_version/bin/python
    if has zig && zig version >/dev/null 2>&1; then say "c: zig $(zig version) is there"; return 0; fi
    for candidate in python3 "$python"; do
        if has "$candidate" && "$candidate" -m ziglang version >/dev/null 2>&1; then
            say "c: zig $("$candidate" -m ziglang version) is there, as a package of $candidate"
            return 0
        fi
    done
    if ! has python3; then
        say "c: neither zig nor python3; install Zig from https://ziglang.org/download"
        return 1
    fi
    home=${python%/bin/python}
    say "c: installing zig $zig_version by pip into $home"
    mkdir -p "$cache/tools"
    # Debian's python3 may come without venv; virtualenv is the same for this purpose.
    if ! python3 -m venv "$home" >/dev/null 2>&1 && ! python3 -m virtualenv -q "$home" 2>/dev/null; then
        has apt-get && as_root apt-get update -qq &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
                --no-install-recommends python3-venv >/dev/null &&
            rm -rf "$home" && python3 -m venv "$home"
    fi
    if "$python" -m pip install -q --disable-pip-version-check "ziglang==$zig_version" &&
        "$python" -m ziglang version >/dev/null 2>&1
    then
        say "c: installed"
        return 0
    fi
    # Half an environment would look like a whole one to the next run.
    rm -rf "$home"
    say "c: not set up; run \`pip install ziglang==$zig_version\` where PyPI can be reached"
    return 1
}

rust || failed=1
c || failed=1
exit $failed
