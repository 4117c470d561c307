//! Building a registry, and what is printed of it.

use crate::assert_is;
use crate::common::*;
use relay_registry::{
    BuildError, Clock, FindOptions, MAX_RELAYS, Maintenance, ManualClock, Registry, Vivaldi,
};

/// Set in the process that has little memory.
#[cfg(target_os = "linux")]
const LIMITED: &str = "RELAY_REGISTRY_LIMITED";

/// Whether this is the separate process for `test`. If not, runs one, which must pass.
#[cfg(target_os = "linux")]
fn is_limited(test: &str, limits: &str) -> bool {
    if std::env::var_os(LIMITED).is_some() {
        return true;
    }
    let limited = std::process::Command::new("sh")
        .args(["-c", &format!("{limits} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().expect("the test's own path"))
        .args([test, "--exact", "--test-threads=1"])
        .env(LIMITED, "1")
        .output()
        .expect("a shell");
    let printed = String::from_utf8_lossy(&limited.stdout);
    assert!(limited.status.success(), "{printed}");
    assert!(printed.contains("1 passed"), "{printed}");
    false
}

#[cfg(target_os = "linux")]
#[test]
fn tables_that_there_is_no_memory_for_are_refused() {
    let test = "building::tables_that_there_is_no_memory_for_are_refused";
    if is_limited(test, "ulimit -v 1000000 &&") {
        let build = |relays| Registry::builder().max_relays(relays).build();
        assert_is!(build(MAX_RELAYS), Err(BuildError::OutOfMemory));
        assert!(build(1_000).is_ok(), "room for less");
    }
}

#[test]
fn a_name_has_1_to_64_bytes() {
    let named = |name: &str| {
        let manual = Registry::builder().maintenance(Maintenance::Manual);
        manual.name(name).build()
    };
    for len in [1, 64] {
        assert!(named(&"x".repeat(len)).is_ok(), "{len}");
    }
    for len in [0, 65] {
        let refused = named(&"x".repeat(len));
        assert_is!(refused, Err(BuildError::InvalidName { len: refused, .. }) if refused == len);
    }
}

/// No thread can have a stack of a million gigabytes.
#[cfg(target_os = "linux")]
#[test]
fn a_maintenance_thread_that_does_not_start_is_an_error() {
    let test = "building::a_maintenance_thread_that_does_not_start_is_an_error";
    if is_limited(test, "export RUST_MIN_STACK=1000000000000000 &&") {
        assert_is!(Registry::builder().build(), Err(BuildError::Thread { .. }));
        let manual = Registry::builder().maintenance(Maintenance::Manual);
        assert!(manual.build().is_ok(), "without one");
    }
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
    let explained = format!("{:?}", world.explain(&non_relay(), &FindOptions::new()));
    assert!(explained.contains(&one), "{explained}");
}

#[test]
fn defaults_are_what_new_makes() {
    assert_eq!(FindOptions::default(), FindOptions::new());
    assert_eq!(ManualClock::default().now(), ManualClock::new().now());
    let (one, other) = (Vivaldi::default(), Vivaldi::new());
    assert_eq!(one.coordinate(), other.coordinate());
}
