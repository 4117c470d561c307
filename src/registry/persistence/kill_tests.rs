//! A process is killed at each step of a save, one after another: the file is the old one or the
//! new one, and restores whole.
//!
//! The process that is killed is this test binary, started again with a path and a step in
//! environment variables. It says that it is there, and waits to be killed.

use super::file::{self, Step};
use crate::registry::{Maintenance, Registry};
use crate::relay::NodeId;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

const PATH: &str = "RELAY_REGISTRY_SAVE_PATH";
const STOP_AT: &str = "RELAY_REGISTRY_STOP_AT";

const OLD: u32 = 10;
/// Enough for several writes.
const NEW: u32 = 1_000;

fn registry(relays: u32) -> Registry {
    let registry = Registry::builder()
        .maintenance(Maintenance::Manual)
        .build()
        .unwrap();
    for n in 0..relays {
        let id = NodeId::from_bytes(&n.to_be_bytes()).unwrap();
        let endpoint = SocketAddr::from(([9, 0, 0, 1], 1 + n as u16));
        registry.register(id, endpoint).unwrap();
    }
    registry
}

fn restored(path: &Path) -> usize {
    let registry = Registry::builder()
        .maintenance(Maintenance::Manual)
        .restore_from(path)
        .expect("a whole save")
        .build()
        .unwrap();
    registry.relay_count()
}

/// Only in a process that the test below starts.
#[test]
fn saves_up_to_a_step_and_waits_to_be_killed() {
    let Some(path) = env::var_os(PATH).map(PathBuf::from) else {
        return;
    };
    let stop_at: usize = env::var(STOP_AT).unwrap().parse().unwrap();
    let registry = registry(NEW);
    let mut steps = 0;
    let stop = |step: Step| {
        steps += 1;
        if steps == stop_at || step == Step::End {
            let mut out = io::stdout().lock();
            writeln!(out, "step {step:?}").unwrap();
            out.flush().unwrap();
            loop {
                std::thread::park();
            }
        }
    };
    file::replace(&path, stop, |out| registry.save(out)).unwrap();
}

/// Starts the process, and kills it at that step; what the step was.
fn killed_at(path: &Path, stop_at: usize) -> String {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["saves_up_to_a_step_and_waits_to_be_killed", "--nocapture"])
        .env(PATH, path)
        .env(STOP_AT, stop_at.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let step = |line: String| Some(line.split("step ").nth(1)?.to_owned());
    let step = lines.map_while(Result::ok).find_map(step);
    // On Unix by SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    step.expect("it gets there")
}

#[test]
fn a_save_that_is_killed_at_any_step_leaves_the_old_file_or_the_new_one() {
    let folder = env::temp_dir().join(format!("relay-registry-steps-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("relays.save");
    let mut steps = Vec::new();
    while steps.last().is_none_or(|last| last != "End") {
        // What the one before left is still there.
        registry(OLD).save_to(&path).unwrap();
        steps.push(killed_at(&path, steps.len() + 1));
        let is_new = matches!(&**steps.last().unwrap(), "SyncFolder" | "End");
        let relays = if is_new { NEW } else { OLD };
        assert_eq!(restored(&path), relays as usize, "{steps:?}");
        assert!(fs::read_dir(&folder).unwrap().count() <= 2, "{steps:?}");
        if steps.len() % 2 == 0 {
            // The next process also goes on where a file was left beside.
            continue;
        }
        registry(OLD).save_to(&path).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{steps:?}");
    }
    fs::remove_dir_all(&folder).unwrap();
    let writes = steps.iter().filter(|step| *step == "Write").count();
    assert!(writes >= 3, "{steps:?}");
    steps.dedup();
    let each = [
        "Remove",
        "Create",
        "Write",
        "SyncFile",
        "Rename",
        "SyncFolder",
        "End",
    ];
    assert_eq!(steps, each);
}
