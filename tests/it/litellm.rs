//! LiteLLM's proxy with mock answers: a real server of the protocol that models are asked by, without
//! a model.

use crate::ground::Ground;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// The version that the tests are written for.
const VERSION: &str = "1.106.2";
/// Starting Python with all that it loads takes seconds, on a busy machine many.
const START: Duration = Duration::from_secs(120);

/// A proxy that runs until it is dropped.
pub(crate) struct LiteLlm {
    child: Child,
    pub(crate) port: u16,
}

impl LiteLlm {
    /// The key that it asks for.
    pub(crate) const KEY: &str = "sk-0123456789abcdef-andon";

    /// Starts it with these models and what each of them answers.
    pub(crate) fn start(ground: &Ground, models: &[(&str, &str)]) -> Self {
        let mut config = String::from("model_list:\n");
        for (name, answer) in models {
            config.push_str(&format!(
                "  - model_name: {name}\n    litellm_params: {{ model: openai/any, api_key: none, mock_response: '{answer}' }}\n"
            ));
        }
        config.push_str(&format!(
            "general_settings: {{ master_key: {} }}\n",
            Self::KEY
        ));
        ground.write("litellm.yaml", config);
        let port = free_port();
        let log = fs::File::create(ground.path("litellm.log")).expect("a log");
        let mut child = Command::new(installed().join("bin/litellm"))
            .args([
                "--host",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--config",
            ])
            .arg(ground.path("litellm.yaml"))
            // It would ask the network for prices.
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the proxy starts");
        let since = Instant::now();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        while TcpStream::connect(address).is_err() {
            let said = || fs::read_to_string(ground.path("litellm.log")).unwrap_or_default();
            let ended = child.try_wait().expect("it can be asked");
            assert!(ended.is_none(), "the proxy ended:\n{}", said());
            assert!(
                since.elapsed() < START,
                "the proxy does not answer:\n{}",
                said()
            );
            thread::sleep(Duration::from_millis(50));
        }
        Self { child, port }
    }
}

impl Drop for LiteLlm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}

/// The folder of a Python environment with LiteLLM in it, made once for a machine: a minute.
fn installed() -> &'static Path {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    HOME.get_or_init(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache"),
            PathBuf::from,
        );
        let home = cache.join(format!("andon/test/litellm-{VERSION}"));
        let whole = home.join("whole");
        fs::create_dir_all(home.parent().expect("a folder")).expect("folders can be made");
        let lock = fs::File::create(home.with_extension("lock")).expect("a lock");
        lock.lock().expect("it can be locked");
        if !whole.exists() {
            let _ = fs::remove_dir_all(&home);
            run(Command::new("python3").args(["-m", "venv"]).arg(&home));
            let package = format!("litellm[proxy]=={VERSION}");
            run(Command::new(home.join("bin/pip"))
                .args(["install", "-q", "--disable-pip-version-check", "--no-input"])
                .arg(package));
            fs::write(whole, "").expect("files can be written");
        }
        home
    })
}

fn run(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{command:?} does not start: {e}; Python 3 is needed"));
    assert!(
        output.status.success(),
        "{command:?}:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
