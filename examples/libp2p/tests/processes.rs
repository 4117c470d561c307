//! The same over processes: a relay is killed by the system, so nothing of it can run on.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);

/// A process, which is killed when this is dropped.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(arguments: &[&str], bootstrap: &[String]) -> Self {
        let bootstrap = bootstrap
            .iter()
            .flat_map(|address| ["--bootstrap", address]);
        let mut child = Command::new(env!("CARGO_BIN_EXE_node"))
            .args(arguments)
            .args(bootstrap)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// What follows `prefix` in the next line that begins with it.
    fn next(&self, prefix: &str) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no line begins with {prefix:?}"));
            if let Some(rest) = line.strip_prefix(prefix) {
                return rest.to_owned();
            }
        }
    }

    fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Storage nodes, relays, a peer that has reservations, and a broker that reached it.
struct Network {
    relays: Vec<(String, Process)>,
    broker: Process,
    /// The relay that the broker uses.
    used: String,
    _others: Vec<Process>,
}

impl Network {
    fn start(reservations: &str) -> Self {
        let first = Process::start(&["--store"], &[]);
        let bootstrap = [first.next("listening ")];
        let mut others: Vec<_> = (0..2)
            .map(|_| Process::start(&["--store"], &bootstrap))
            .collect();
        let relay = |_| {
            let relay = Process::start(&["--relay"], &bootstrap);
            let address = relay.next("listening ");
            let peer = address.rsplit('/').next().expect("it ends with a peer id");
            (peer.to_owned(), relay)
        };
        let relays = (0..3).map(relay).collect();
        let peer = Process::start(&["--reserve", reservations], &bootstrap);
        let id = peer.next("peer ");
        peer.next("published to ");
        let broker = Process::start(&["--reach", &id], &bootstrap);
        let used = relay_of(&broker.next("reached through "));
        others.extend([first, peer]);
        Self {
            relays,
            broker,
            used,
            _others: others,
        }
    }

    fn used_relay(&mut self) -> &mut Process {
        let mut relays = self.relays.iter_mut();
        let (_, relay) = relays
            .find(|(peer, _)| *peer == self.used)
            .expect("it is one of them");
        relay
    }

    /// Waits until the broker has reached the peer through another relay.
    fn is_reached_again(&self, begun: Instant) {
        self.broker.next("the circuit through ");
        let other = relay_of(&self.broker.next("reached through "));
        println!("reached again after {:.3} s", begun.elapsed().as_secs_f64());
        assert_ne!(other, self.used);
    }
}

/// The first word of a line.
fn relay_of(line: &str) -> String {
    line.split(' ').next().expect("a peer id").to_owned()
}

#[test]
fn a_peer_is_reached_again_after_the_process_of_its_relay_was_killed() {
    let mut network = Network::start("1");
    let begun = Instant::now();
    network.used_relay().kill();
    network.is_reached_again(begun);
}

/// A relay that is stopped closes no connection: only pings show that it is gone.
#[test]
fn a_peer_is_reached_again_after_its_relay_was_stopped() {
    let mut network = Network::start("1");
    let begun = Instant::now();
    let relay = network.used_relay().child.id().to_string();
    let stopped = Command::new("kill").args(["-STOP", &relay]).status();
    assert!(stopped.expect("the program runs").success());
    network.is_reached_again(begun);
}
