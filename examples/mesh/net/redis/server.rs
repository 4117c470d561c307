//! A `redis-server` that keeps nothing on disk, for one run.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Failure;

const PROGRAM: &str = "redis-server";

/// How long it may take until the server accepts clients.
const START: Duration = Duration::from_secs(30);

/// How often that is tried.
const POLL: Duration = Duration::from_millis(5);

/// It listens on a socket in a temporary directory, and is killed when it is dropped.
pub struct Server {
    process: Child,
    directory: PathBuf,
}

impl Server {
    pub fn start() -> Result<Self, Failure> {
        let name = format!("mesh-redis-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).map_err(Failure::system("a directory for Redis"))?;
        let process = spawn(PROGRAM, &directory).inspect_err(|_| {
            let _ = fs::remove_dir(&directory);
        })?;
        let mut server = Self { process, directory };
        server.wait_until_ready()?;
        Ok(server)
    }

    pub fn socket(&self) -> PathBuf {
        socket_in(&self.directory)
    }

    /// Kills the server, and starts it again with nothing in it.
    pub fn restart(&mut self) -> Result<(), Failure> {
        self.kill();
        let _ = fs::remove_file(self.socket());
        self.process = spawn(PROGRAM, &self.directory)?;
        self.wait_until_ready()
    }

    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            let is_running = matches!(self.process.try_wait(), Ok(None));
            if !is_running || begun.elapsed() > START {
                let said = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                let last = said.lines().last().unwrap_or("it said nothing").to_owned();
                return Err(Failure::System {
                    what: "redis-server did not start",
                    error: last,
                });
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn socket_in(directory: &Path) -> PathBuf {
    directory.join("socket")
}

fn spawn(program: &str, directory: &Path) -> Result<Child, Failure> {
    let server = Command::new(program)
        .args(["--port", "0", "--save", "", "--appendonly", "no"])
        .args(["--daemonize", "no", "--logfile", "log"])
        .arg("--dir")
        .arg(directory)
        .arg("--unixsocket")
        .arg(socket_in(directory))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    server.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::System {
            what: "there is no redis-server",
            error: "install it (Debian and Ubuntu: apt-get install redis-server)".into(),
        },
        _ => Failure::system("redis-server")(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_server_the_error_says_what_to_install() {
        let error =
            spawn("no-such-redis-server", &std::env::temp_dir()).expect_err("it is not there");
        let line = error.to_string();
        assert!(line.contains("apt-get install redis-server"), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}
