//! Processes that are killed while they save: the file is the one of before, or the next one.
//!
//! The process that is killed is this test, started again with a folder in an environment
//! variable. (`kill_tests.rs` in the crate kills one at each single step of a save.)

use crate::common::{endpoint, id, number, secs};
use crate::files::Folder;
use relay_registry::{Maintenance, Registry};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const FOLDER: &str = "RELAY_REGISTRY_SAVES_TO";

/// How many relays each save has, of consecutive numbers.
const EACH: u32 = 300;

/// Only in a process that the test below starts: saves over and over. Save `k` has the relays from
/// `k` on.
#[test]
fn saves_until_it_is_killed() {
    let Some(path) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let registry = Registry::builder()
        .maintenance(Maintenance::Manual)
        .ttl(secs(100_000))
        .build()
        .unwrap();
    (0..EACH).for_each(|n| _ = registry.register(id(n), endpoint(n)).unwrap());
    for first in 0.. {
        registry.save_to(&path).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "saved {first}").unwrap();
        out.flush().unwrap();
        let next = first + EACH;
        registry.register(id(next), endpoint(next)).unwrap();
        assert!(registry.unregister(&id(first)));
    }
}

fn start(path: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "kill::saves_until_it_is_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills the process some steps after it has said that a save is complete; which save that was.
fn killed_after(mut child: Child, wanted: u32, spins: u32) -> u32 {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let saved = |line: String| line.split("saved ").nth(1)?.parse().ok();
    let mut numbers = lines.map_while(Result::ok).filter_map(saved);
    let last = numbers.find(|&number: &u32| number >= wanted);
    // Any moment will do: what is asserted holds at all of them.
    (0..spins).for_each(|_| std::hint::spin_loop());
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said before it was killed is read to the end.
    numbers.last().or(last).expect("it saved")
}

#[test]
fn a_killed_process_leaves_a_whole_save() {
    let folder = Folder::new("killed");
    let path = folder.file();
    for round in 0..12 {
        let last = killed_after(start(&path), round % 4, round * 150_000);
        let restored = Registry::builder()
            .maintenance(Maintenance::Manual)
            .restore_from(&path)
            .expect("a whole save")
            .build()
            .unwrap();
        let relays = restored.relays();
        let first = relays.iter().map(|it| number(it.node_id())).min().unwrap();
        assert_eq!(relays.len() as u32, EACH);
        assert!(relays.iter().all(|it| number(it.node_id()) < first + EACH));
        assert!(first == last || first == last + 1, "{first} after {last}");
        // At most one file is left beside it, which the next save removes.
        let names = folder.names();
        assert!(names.len() <= 2, "{names:?}");
        restored.save_to(&path).unwrap();
        assert_eq!(folder.names(), ["relays.save"]);
    }
}
