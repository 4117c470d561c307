//! A real Redis server for one test.

use redis::{Client, Connection, FromRedisValue, cmd};
use relay_registry::dht::{Network, Redis, RedisBuilder};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const INSTALL: &str = "there is no redis-server: install it (Debian and Ubuntu: apt-get install \
                       redis-server), or run ci/redis.sh, which does";

/// A server that keeps nothing on disk and is killed at the end of the test.
pub(crate) struct Server {
    process: Child,
    folder: PathBuf,
    /// The option that sets the port: that of TLS if the server has no other.
    port_option: &'static str,
    args: Vec<String>,
    password: Option<String>,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with_args(&[])
    }

    /// A server with further arguments. It listens on a socket of its own and on a free port.
    pub(crate) fn with_args(args: &[&str]) -> Self {
        Self::on_port("--port", args)
    }

    /// A server whose port is for TLS alone.
    #[cfg(feature = "redis-tls")]
    pub(crate) fn with_tls(args: &[&str]) -> Self {
        Self::on_port("--tls-port", &[&["--port", "0"], args].concat())
    }

    fn on_port(port_option: &'static str, args: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("relay-redis-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a temporary directory");
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let password = args.iter().position(|arg| arg == "--requirepass");
        let password = password.map(|at| args[at + 1].clone());
        let port = free_port();
        let mut server = Self {
            process: spawn(&folder, port_option, port, &args),
            folder,
            port_option,
            args,
            password,
            port,
        };
        server.wait_until_ready();
        server
    }

    pub(crate) fn socket(&self) -> PathBuf {
        socket_in(&self.folder)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn builder(&self) -> RedisBuilder {
        self.builder_of(Network::default())
    }

    pub(crate) fn builder_of(&self, network: Network) -> RedisBuilder {
        Redis::builder(network).unix_socket(self.socket())
    }

    pub(crate) fn engine(&self) -> Redis {
        self.builder().build()
    }

    /// Another client, that may do everything.
    pub(crate) fn control(&self) -> Connection {
        self.try_control().expect("the server accepts clients")
    }

    fn try_control(&self) -> redis::RedisResult<Connection> {
        let pass = self.password.as_deref().unwrap_or_default();
        let query = if pass.is_empty() { "" } else { "?pass=" };
        let url = format!("unix://{}{query}{pass}", self.socket().display());
        Client::open(url)?.get_connection()
    }

    /// Runs a command given as words, and returns its result.
    pub(crate) fn run<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        let result = command.query(&mut self.control());
        result.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Kills the server.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// Starts the server again after [`kill`](Self::kill), with nothing in it.
    pub(crate) fn start_again(&mut self) {
        let _ = fs::remove_file(self.socket());
        self.spawn();
        self.wait_until_ready();
    }

    fn spawn(&mut self) {
        self.process = spawn(&self.folder, self.port_option, self.port, &self.args);
    }

    /// Stops all of the server's threads: clients can connect, and get no answer.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
        self.wait_for_state(|state| state == "T");
    }

    pub(crate) fn resume(&self) {
        self.signal("-CONT");
        self.wait_for_state(|state| state != "T");
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {signal}");
    }

    fn wait_for_state(&self, is_reached: impl Fn(&str) -> bool) {
        let path = format!("/proc/{}/stat", self.process.id());
        until("the server changes its state", || {
            let text = fs::read_to_string(&path).expect("it runs");
            let after_name = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
            is_reached(after_name.split(' ').next().unwrap_or_default())
        });
    }

    fn wait_until_ready(&mut self) {
        for _ in 0..MAX_STARTS {
            let mut has_ended = false;
            until("the server answers", || {
                has_ended = !matches!(self.process.try_wait(), Ok(None));
                let answers = |mut control| cmd("PING").query::<String>(&mut control).is_ok();
                has_ended || self.try_control().is_ok_and(answers)
            });
            if !has_ended {
                return;
            }
            // Another process has taken the port.
            self.port = free_port();
            self.spawn();
        }
        panic!(
            "the server ends: {:?}",
            fs::read_to_string(self.folder.join("log"))
        );
    }
}

const MAX_STARTS: u32 = 5;

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn socket_in(folder: &Path) -> PathBuf {
    folder.join("socket")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

fn spawn(folder: &Path, port_option: &str, port: u16, args: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--daemonize", "no", "--logfile", "log"])
        .args([port_option, &port.to_string()])
        .arg("--dir")
        .arg(folder)
        .arg("--unixsocket")
        .arg(socket_in(folder))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{INSTALL} ({error})"))
}

/// Waits until a condition holds; a minute without it is a failure.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < give_up, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
