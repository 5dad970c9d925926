//! What the tests stand on: a runner, hand-written components, stores in memory.

use crate::{
    digest::Digest,
    grant::Grants,
    item::{Body, ItemId, Labels, Payload},
    limits::Limits,
    line::{Retry, Station},
    name::Name,
    sandbox::{
        Contents, Folder, Folders, InProcess, LeaveError, Left, PrepareError, Runner, Settings,
        egress,
    },
    visit::{Outcome, Report, Visit},
    workspace::Held,
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use wasi_preview1_component_adapter_provider as adapter;
use wasmtime::component::Component;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A module of a typed station: `imports`, and the body of `run`, whose parameter `$in` points to
/// what the guest is told. `$output` answers with one output, `$pass` with one on `pass`.
pub(super) fn typed(imports: &str, body: &str) -> String {
    module("andon:station/process@0.1.0#run", imports, body)
}

/// A module of a typed station that may wait: it answers with `ptr` and `len`, after the wait that
/// `body` asks for.
pub(super) fn typed_async(imports: &str, body: &str) -> String {
    let task_return = r#"(import "[export]andon:station/process-async@0.1.0" "[task-return]run"
        (func $return (param i32 i32 i32 i32 i32 i64 i32 i32 i32)))
      (func $done (param $ptr i32) (param $len i32)
        (drop (call $pass (local.get $ptr) (local.get $len)))
        (call $return (i32.const 0) (i32.const 1056) (i32.const 1) (i32.const 0) (i32.const 0)
          (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
      (func (export "[callback][async-lift]andon:station/process-async@0.1.0#run")
        (param i32 i32 i32) (result i32) unreachable)"#;
    let run = "[async-lift]andon:station/process-async@0.1.0#run";
    module(run, &format!("{imports} {task_return}"), body)
}

fn module(run: &str, imports: &str, body: &str) -> String {
    format!(
        r#"(module {imports}
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 8192))
  (data (i32.const 16) "pass")
  (func $alloc (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32) (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))) (then
      (if (i32.eq (i32.const -1) (memory.grow (i32.add (i32.const 1)
            (i32.div_u (local.get $size) (i32.const 65536))))) (then unreachable))))
    (local.get $at))
  (func $output (param $port i32) (param $port_len i32) (param $ptr i32) (param $len i32) (result i32)
    (i32.store8 (i32.const 1024) (i32.const 0))
    (i32.store (i32.const 1032) (i32.const 1056))
    (i32.store (i32.const 1036) (i32.const 1))
    (i32.store (i32.const 1056) (local.get $port))
    (i32.store (i32.const 1060) (local.get $port_len))
    (i32.store (i32.const 1076) (local.get $ptr))
    (i32.store (i32.const 1080) (local.get $len))
    (i32.const 1024))
  (func $pass (param $ptr i32) (param $len i32) (result i32)
    (call $output (i32.const 16) (i32.const 4) (local.get $ptr) (local.get $len)))
  ;; the body of the first input
  (func $body (param $in i32) (result i32) (i32.load offset=12 (i32.load offset=72 (local.get $in))))
  (func $body_len (param $in i32) (result i32) (i32.load offset=16 (i32.load offset=72 (local.get $in))))
  (func (export "{run}") (param $in i32) (result i32) {body}))"#
    )
}

/// A typed station that answers with its input's body.
pub(super) const ECHO: &str =
    "(call $pass (call $body (local.get $in)) (call $body_len (local.get $in)))";

/// What the adapter lacks: its `proc_exit` knows success and failure only, so programs call this one.
const EXIT: &str = "package wasi:cli@0.2.12;
interface exit { exit: func(status: result); exit-with-code: func(status-code: u8); }
world exits { import exit; import wasi:sockets/udp-create-socket@0.2.0; }";

/// What the tests use of `wasi:sockets`.
const SOCKETS: &str = "package wasi:sockets@0.2.0;
interface network {
  enum ip-address-family { ipv4, ipv6 }
  enum error-code { unknown, access-denied, not-supported, invalid-argument, out-of-memory, timeout,
    concurrency-conflict, not-in-progress, would-block, invalid-state, new-socket-limit,
    address-not-bindable, address-in-use, remote-unreachable, connection-refused, connection-reset,
    connection-aborted, datagram-too-large, name-unresolvable, temporary-resolver-failure,
    permanent-resolver-failure }
}
interface udp { resource udp-socket; }
interface udp-create-socket {
  use network.{ip-address-family, error-code};
  use udp.{udp-socket};
  create-udp-socket: func(address-family: ip-address-family) -> result<udp-socket, error-code>;
}";

/// A program of WASI 0.1: what it imports beside reading, writing and exiting, and the body of
/// `_start`. `$say` writes to a descriptor, `$hear` reads standard input to 4096.
pub(super) fn command(imports: &str, body: &str) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi:cli/exit@0.2.12" "exit-with-code" (func $exit (param i32)))
  {imports}
  (memory (export "memory") 1)
  (func $say (param $fd i32) (param $ptr i32) (param $len i32)
    (i32.store (i32.const 0) (local.get $ptr)) (i32.store (i32.const 4) (local.get $len))
    (if (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
  (func $hear (result i32)
    (i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 8192))
    (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
    (i32.load (i32.const 8)))
  (func (export "_start") {body}))"#
    )
}

/// A handler of WASI 0.2 that answers with a status and headers. Without a status it gives no
/// response.
pub(super) fn handler(status: Option<u16>, headers: &[(&str, &str)]) -> String {
    let (mut data, mut append) = (String::new(), String::new());
    for (n, (name, value)) in headers.iter().enumerate() {
        let (name_at, value_at) = (1024 + 256 * n, 1024 + 256 * n + 128);
        data += &format!(
            "(data (i32.const {name_at}) {name:?}) (data (i32.const {value_at}) {value:?})"
        );
        append += &format!(
            "(call $append (local.get $fields) (i32.const {name_at}) (i32.const {})
               (i32.const {value_at}) (i32.const {}) (i32.const 0))",
            name.len(),
            value.len()
        );
    }
    let answer = status.map_or(String::new(), |status| {
        format!(
            "(local.set $response (call $response (local.get $fields)))
             (drop (call $status (local.get $response) (i32.const {status})))
             (call $set (local.get $out) (i32.const 0) (local.get $response) (i32.const 0) (i64.const 0)
               (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))"
        )
    });
    format!(
        r#"(module
  (import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@0.2.0" "[method]fields.append" (func $append (param i32 i32 i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-response" (func $response (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-response.set-status-code"
    (func $status (param i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[static]response-outparam.set"
    (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
  (memory (export "memory") 1)
  {data}
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16384))
  (func (export "wasi:http/incoming-handler@0.2.0#handle") (param $request i32) (param $out i32)
    (local $fields i32) (local $response i32)
    (local.set $fields (call $fields))
    {append} {answer}))"#
    )
}

/// A handler of WASI 0.2 that answers with its request's body, written after the response's head as
/// often as `times` says.
pub(super) fn echoing_handler(times: u32) -> String {
    format!(
        r#"(module
  (import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-response" (func $response (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-request.consume" (func $consume (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-body.stream" (func $stream (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-response.body" (func $body (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-body.write" (func $out_stream (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]outgoing-body.finish" (func $finish (param i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]response-outparam.set"
    (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
    (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop_stream (param i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16384))
  (func (export "wasi:http/incoming-handler@0.2.0#handle") (param $request i32) (param $out i32)
    (local $response i32) (local $to i32) (local $body i32) (local $n i32)
    (call $consume (local.get $request) (i32.const 0))
    (call $stream (i32.load (i32.const 4)) (i32.const 0))
    (call $read (i32.load (i32.const 4)) (i64.const 4096) (i32.const 64))
    (local.set $response (call $response (call $fields)))
    (call $body (local.get $response) (i32.const 0))
    (local.set $body (i32.load (i32.const 4)))
    (call $out_stream (local.get $body) (i32.const 0))
    (local.set $to (i32.load (i32.const 4)))
    (call $set (local.get $out) (i32.const 0) (local.get $response) (i32.const 0) (i64.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
    (local.set $n (i32.const {times}))
    (loop
      (call $write (local.get $to) (i32.load (i32.const 68)) (i32.load (i32.const 72)) (i32.const 0))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if 0 (local.get $n)))
    (call $drop_stream (local.get $to))
    (call $finish (local.get $body) (i32.const 0) (i32.const 0) (i32.const 0))))"#
    )
}

/// A program of WASI 0.3: the body of `run`, in which `$return` says whether it went well and
/// `$exit` ends it.
pub(super) fn command_async(imports: &str, body: &str) -> String {
    format!(
        r#"(module
  (import "[export]wasi:cli/run@0.3.0" "[task-return]run" (func $return (param i32)))
  (import "wasi:cli/exit@0.3.0" "exit-with-code" (func $exit (param i32)))
  {imports}
  (func (export "[callback][async-lift]wasi:cli/run@0.3.0#run") (param i32 i32 i32) (result i32) unreachable)
  (func (export "[async-lift]wasi:cli/run@0.3.0#run") (result i32) {body} (i32.const 0)))"#
    )
}

/// What the tests use of WASI 0.3.
const NEW: &str = "package wasi:cli@0.3.0;
interface exit { exit-with-code: func(status-code: u8); }
interface run { run: async func() -> result; }
world new { import exit; import wasi:clocks/monotonic-clock@0.3.0; import wasi:random/random@0.3.0; export run; }";

/// More of it.
const NEW_CLOCKS: &str = "package wasi:clocks@0.3.0;
interface types { type duration = u64; }
interface monotonic-clock {
  use types.{duration};
  type mark = u64;
  now: func() -> mark;
  wait-for: async func(how-long: duration);
}";
const NEW_RANDOM: &str = "package wasi:random@0.3.0;
interface random { get-random-u64: func() -> u64; }";

/// What the tests use of `wasi:io`.
const STREAMS: &str = "package wasi:io@0.2.0;
interface error { resource error; }
interface streams {
  use error.{error};
  variant stream-error { last-operation-failed(error), closed }
  resource input-stream { blocking-read: func(len: u64) -> result<list<u8>, stream-error>; }
  resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
}";

/// The component of a hand-written text: a component, a typed station, or a command of WASI 0.1.
pub(super) fn component(text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("a module");
    if text.trim_start().starts_with("(component") {
        return module;
    }
    let command = text.contains("\"_start\"");
    let mut resolve = Resolve::default();
    let (package, world) = if command {
        resolve
            .push_str("sockets.wit", SOCKETS)
            .expect("an interface");
        let package = resolve.push_str("exit.wit", EXIT);
        (package.expect("an interface"), "exits")
    } else if text.contains("wasi:cli/run@0.3.0") {
        resolve
            .push_str("clocks.wit", NEW_CLOCKS)
            .expect("an interface");
        resolve
            .push_str("random.wit", NEW_RANDOM)
            .expect("an interface");
        let package = resolve.push_str("new.wit", NEW);
        (package.expect("an interface"), "new")
    } else if text.contains("wasi:http/incoming-handler") {
        resolve
            .push_str("streams.wit", STREAMS)
            .expect("an interface");
        let package = resolve.push_str("handler.wit", include_str!("handler.wit"));
        (package.expect("an interface"), "proxy")
    } else {
        let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");
        let (package, _) = resolve.push_dir(wit).expect("the interface");
        let is_async = text.contains("process-async");
        (package, if is_async { "station-async" } else { "station" })
    };
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("a world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    let adapter = if command {
        adapter::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER
    } else {
        adapter::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER
    };
    ComponentEncoder::default()
        .module(&module)
        .expect("a module")
        .adapter(adapter::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter)
        .expect("the adapter")
        .encode()
        .expect("a component")
}

/// Bodies and workspaces of the tests.
#[derive(Default)]
pub(super) struct Stores {
    pub(super) bodies: Mutex<HashMap<Digest, Bytes>>,
    /// The workspaces that were entered.
    pub(super) entered: AtomicUsize,
    /// The steps done that stations reported.
    pub(super) done: Mutex<Vec<u64>>,
    /// The files of the last workspace that was left, with what is in them.
    pub(super) left: Mutex<BTreeMap<PathBuf, Vec<u8>>>,
}

impl Contents for Stores {
    fn put(&self, bytes: &[u8]) -> io::Result<Digest> {
        let digest = Digest::of(bytes);
        let bytes = Bytes::copy_from_slice(bytes);
        self.bodies.lock().unwrap().insert(digest, bytes);
        Ok(digest)
    }

    fn open(&self, digest: &Digest) -> io::Result<File> {
        let found = self.bodies.lock().unwrap().get(digest).cloned();
        let mut file = tempfile::tempfile()?;
        file.write_all(&found.ok_or(io::ErrorKind::NotFound)?)?;
        file.rewind()?;
        Ok(file)
    }
}

struct Shared(Arc<Stores>);

impl Folders for Shared {
    fn enter(&self, visit: &Visit) -> io::Result<Box<dyn Folder>> {
        self.0.entered.fetch_add(1, Ordering::SeqCst);
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("before.txt"), "before")?;
        let mut joined = Vec::new();
        for n in 0..visit.joined.len() {
            let dir = tempfile::tempdir()?;
            std::fs::write(dir.path().join("own.txt"), format!("input {n}\n"))?;
            joined.push(dir);
        }
        Ok(Box::new(Entered(folder, joined, self.0.clone())))
    }
}

struct Entered(TempDir, Vec<TempDir>, Arc<Stores>);

impl Folder for Entered {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn joined(&self) -> Vec<Option<&Path>> {
        self.1.iter().map(|dir| Some(dir.path())).collect()
    }

    fn leave(self: Box<Self>, _: Held) -> Result<Left, LeaveError> {
        let mut left = self.2.left.lock().unwrap();
        left.clear();
        for entry in std::fs::read_dir(self.0.path())? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                left.insert(entry.file_name().into(), std::fs::read(entry.path())?);
            }
        }
        Ok(Left::default())
    }
}

/// A runner with its stores.
pub(super) struct Bench {
    pub(super) runner: InProcess,
    pub(super) stores: Arc<Stores>,
}

/// One runner for all tests: its address space is what takes time to set up.
pub(super) static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let stores = Arc::new(Stores::default());
    Bench::with(128, stores)
});

static STATIONS: AtomicU64 = AtomicU64::new(0);

impl Bench {
    pub(super) fn with(visits: usize, stores: Arc<Stores>) -> Self {
        let heard = stores.clone();
        let runner = InProcess::new(Settings {
            visits,
            folders: Arc::new(Shared(stores.clone())),
            contents: stores.clone(),
            egress: Arc::new(egress::Closed),
            progress: Some(Arc::new(move |_, report| {
                heard.done.lock().unwrap().push(report.done);
            })),
        });
        Self {
            runner: runner.expect("an engine"),
            stores,
        }
    }

    /// A bench whose workspaces nobody else looks at.
    pub(super) fn own() -> Self {
        Self::with(4, Arc::default())
    }

    /// Makes a station ready: a visit to it.
    pub(super) fn prepare(&self, text: &str, station: &Station) -> Result<Visit, PrepareError> {
        let line: Name = "line".parse().unwrap();
        let n = STATIONS.fetch_add(1, Ordering::SeqCst);
        let name: Name = format!("station-{n}").parse().unwrap();
        let component =
            Component::new(self.runner.engine().wasmtime(), component(text)).expect("compiles");
        self.runner.prepare(&line, 1, &name, station, &component)?;
        Ok(Visit {
            item: ItemId::input(&[0; 16], "line", "input"),
            line,
            revision: 1,
            station: name,
            nth: 1,
            attempt: 1,
            started: 1_700_000_000_000,
            seed: [7; 32],
            inputs: vec![payload("hello")],
            workspace: None,
            joined: Vec::new(),
            deadline: None,
            answers: Vec::new(),
            run: crate::visit::Run::default(),
        })
    }

    /// Runs a station once on the input `hello`.
    pub(super) async fn run(&self, text: &str, station: Station) -> Report {
        let visit = self.prepare(text, &station).expect("a station");
        self.runner.visit(visit).await
    }
}

/// Runs a station once on the input `hello`.
pub(super) async fn run(text: &str, station: Station) -> Report {
    BENCH.run(text, station).await
}

/// A payload of text.
pub(super) fn payload(text: &'static str) -> Payload {
    Payload {
        content_type: "text/plain".into(),
        body: Body::Inline(Bytes::from_static(text.as_bytes())),
        labels: Labels::default(),
    }
}

/// A station with limits that make tests quick.
pub(super) fn station() -> Station {
    Station {
        r#use: PathBuf::new(),
        next: BTreeMap::new(),
        config: BTreeMap::new(),
        assets: Vec::new(),
        args: Vec::new(),
        env: BTreeMap::new(),
        exits: BTreeMap::new(),
        workers: 1,
        queue: 1,
        ask: None,
        hold: Default::default(),
        visits: None,
        join: None,
        retry: Retry::default(),
        limits: Limits {
            wall: Duration::from_secs(20),
            cpu: Duration::from_secs(10),
            memory: 1 << 20,
            output: 4 << 10,
            log: 1 << 10,
            outputs: 4,
            ..Limits::default()
        },
        grants: Grants::default(),
        rate: Default::default(),
        violation: Default::default(),
        clock: Default::default(),
    }
}

/// Ports and bodies of a visit that passed.
pub(super) fn passed(report: &Report) -> Vec<(String, String)> {
    let Outcome::Passed(outputs) = &report.outcome else {
        panic!("{report:#?}");
    };
    outputs
        .iter()
        .map(|output| {
            let body = match &output.payload.body {
                Body::Inline(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                other => format!("{other:?}"),
            };
            (output.port.to_string(), body)
        })
        .collect()
}
