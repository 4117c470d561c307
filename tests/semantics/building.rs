//! Building a registry, and what is printed of it.

use crate::assert_is;
use crate::common::*;
use relay_registry::{
    BuildError, Clock, FindOptions, MAX_RELAYS, Maintenance, ManualClock, Registry, Vivaldi,
};

/// Tells the process that it is the one with little memory.
#[cfg(target_os = "linux")]
const LIMITED: &str = "RELAY_REGISTRY_LIMITED";

/// Looked at in a process of its own, which may have less than the tables take.
#[cfg(target_os = "linux")]
#[test]
fn tables_that_there_is_no_memory_for_are_refused() {
    if std::env::var_os(LIMITED).is_some() {
        let build = |relays| Registry::builder().max_relays(relays).build();
        assert_is!(build(MAX_RELAYS), Err(BuildError::OutOfMemory));
        assert!(build(1_000).is_ok(), "room for less");
        return;
    }
    let test = std::env::current_exe().expect("the test's own path");
    let name = "building::tables_that_there_is_no_memory_for_are_refused";
    let limited = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 1000000 && exec \"$0\" \"$@\""])
        .arg(test)
        .args([name, "--exact", "--test-threads=1"])
        .env(LIMITED, "1")
        .output()
        .expect("a shell");
    let printed = String::from_utf8_lossy(&limited.stdout);
    assert!(limited.status.success(), "{printed}");
    assert!(printed.contains("1 passed"), "{printed}");
}

#[test]
fn what_is_printed_for_debugging_names_what_it_is() {
    let world = world();
    world.join(1);
    world.ban_for(2, secs(5));
    let (one, two) = (id(1).to_string(), id(2).to_string());
    let lease = world.lease(&id(1)).unwrap();
    let relay = format!("{:?}", world.info(1));
    assert!(
        relay.contains(&one) && relay.contains("capacity"),
        "{relay}"
    );
    assert!(format!("{lease:?}").contains(&one));
    let registry = format!("{:?}", world.registry);
    assert!(
        registry.contains("Registry") && !registry.contains(&two),
        "{registry}"
    );
    let builder = format!("{:?}", Registry::builder().maintenance(Maintenance::Manual));
    assert!(builder.contains("max_relays"), "{builder}");
    assert!(format!("{:?}", world.clock).contains("ManualClock"));
    let explained = format!("{:?}", world.explain(&stranger(), &FindOptions::new()));
    assert!(explained.contains(&one), "{explained}");
}

#[test]
fn defaults_are_what_new_makes() {
    assert_eq!(FindOptions::default(), FindOptions::new());
    assert_eq!(ManualClock::default().now(), ManualClock::new().now());
    let (one, other) = (Vivaldi::default(), Vivaldi::new());
    assert_eq!(one.coordinate(), other.coordinate());
}
