//! Saves to files: at intervals, at the end, and when that fails.

use crate::common::{id, secs};
use crate::{Machine, said};
use relay_registry::{BuildError, Clock, Maintenance, ManualClock, Registry};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A folder of its own, removed in the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let name = format!("relay-registry-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("relays.save")
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn live_in(path: &Path) -> usize {
    let restored = Registry::builder()
        .maintenance(Maintenance::Manual)
        .restore_from(path)
        .expect("a whole save")
        .build()
        .unwrap();
    restored.restored().map_or(0, |report| report.live)
}

#[test]
fn a_file_is_replaced_and_nothing_is_left_beside_it() {
    let folder = Folder::new("replaced");
    let (machine, path) = (Machine::new(), folder.file());
    let first = machine.start(|builder| builder.restore_from(&path).expect("a first start"));
    assert_eq!(first.restored(), None);
    first.join(1);
    first.save_to(&path).unwrap();
    first.join(2);
    first.save_to(&path).unwrap();
    assert_eq!(folder.names(), ["relays.save"]);
    let second = machine.start(|builder| builder.restore_from(&path).unwrap());
    assert_eq!(said(&second), said(&first));
}

#[cfg(unix)]
#[test]
fn others_cannot_read_the_file_and_no_link_is_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = Folder::new("private");
    let (path, victim) = (folder.file(), folder.0.join("victim"));
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, folder.0.join("relays.save.new")).unwrap();
    let first = Machine::new().start(|builder| builder);
    first.save_to(&path).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_save_that_fails_leaves_the_file_as_it_was() {
    let folder = Folder::new("failing");
    let (machine, path) = (Machine::new(), folder.file());
    let first = machine.start(|builder| builder);
    first.join(1);
    first.save_to(&path).unwrap();
    // A folder is where the file beside would be.
    fs::create_dir_all(folder.0.join("relays.save.new/x")).unwrap();
    first.join(2);
    assert!(first.save_to(&path).is_err());
    assert_eq!(live_in(&path), 1);
    for nowhere in [
        Path::new("/"),
        Path::new(""),
        &folder.0.join("missing/file"),
    ] {
        assert!(first.save_to(nowhere).is_err(), "{nowhere:?}");
    }
}

#[test]
fn passes_save_when_it_is_time() {
    let folder = Folder::new("intervals");
    let (machine, path) = (Machine::new(), folder.file());
    let process = machine.start(|builder| builder.save_to(&path, secs(60)));
    process.join(1);
    process.pass(secs(59));
    assert!(!path.exists() && process.stats().saves == 0);
    process.pass(secs(1));
    assert_eq!((live_in(&path), process.stats().saves), (1, 1));
    process.join(2);
    process.pass(secs(59));
    assert_eq!(process.stats().saves, 1);
    // Late passes make one save.
    process.pass(secs(300));
    assert_eq!((live_in(&path), process.stats().saves), (2, 2));
    process.maintain();
    assert_eq!(process.stats().saves, 2);
}

#[test]
fn a_thread_saves_at_intervals() {
    let folder = Folder::new("thread");
    let (path, clock) = (folder.file(), ManualClock::new());
    let registry = Registry::builder()
        .tick(Duration::from_millis(1))
        .clock(clock.clone())
        .save_to(&path, secs(60))
        .build()
        .unwrap();
    registry
        .register(id(1), crate::common::endpoint(1))
        .unwrap();
    for saves in 1..=3 {
        assert!(registry.stats().saves < saves);
        clock.advance(secs(60));
        while registry.stats().saves < saves {
            std::thread::yield_now();
        }
        registry.renew(&id(1)).unwrap();
    }
    assert_eq!((live_in(&path), registry.stats().failed_saves), (1, 0));
}

#[test]
fn closing_saves_and_nothing_is_saved_afterwards() {
    for maintenance in [Maintenance::Thread, Maintenance::Manual] {
        let folder = Folder::new(&format!("closing-{maintenance:?}"));
        let path = folder.file();
        let registry = Registry::builder()
            .maintenance(maintenance)
            .save_to(&path, secs(3_600))
            .build()
            .unwrap();
        registry
            .register(id(1), crate::common::endpoint(1))
            .unwrap();
        registry.close();
        assert_eq!((live_in(&path), registry.stats().saves), (1, 1));
        fs::remove_file(&path).unwrap();
        registry.close();
        registry.maintain();
        drop(registry);
        assert!(!path.exists(), "another process may have it by now");
    }
}

#[test]
fn the_drop_of_the_last_handle_saves() {
    for maintenance in [Maintenance::Thread, Maintenance::Manual] {
        let folder = Folder::new(&format!("drop-{maintenance:?}"));
        let path = folder.file();
        let registry = Registry::builder()
            .maintenance(maintenance)
            .save_to(&path, secs(3_600))
            .build()
            .unwrap();
        let other = registry.clone();
        registry
            .register(id(1), crate::common::endpoint(1))
            .unwrap();
        drop(registry);
        assert!(!path.exists());
        other.register(id(2), crate::common::endpoint(2)).unwrap();
        drop(other);
        // With threads, the drop waits for none of them.
        let deadline = Instant::now() + secs(60);
        while !path.exists() {
            assert!(Instant::now() < deadline, "no save");
            std::thread::yield_now();
        }
        assert_eq!(live_in(&path), 2);
    }
}

#[test]
fn a_task_that_waits_for_the_end_finds_the_last_save() {
    for maintenance in [Maintenance::Thread, Maintenance::Manual] {
        let folder = Folder::new(&format!("closed-{maintenance:?}"));
        let path = folder.file();
        let registry = Registry::builder()
            .maintenance(maintenance)
            .save_to(&path, secs(3_600))
            .build()
            .unwrap();
        registry
            .register(id(1), crate::common::endpoint(1))
            .unwrap();
        pollster::block_on(registry.closed());
        assert_eq!(live_in(&path), 1);
        registry
            .register(id(2), crate::common::endpoint(2))
            .unwrap();
        registry.close();
        drop(registry);
        assert_eq!(live_in(&path), 1, "nothing is saved by itself any more");
    }
}

#[test]
fn saves_that_fail_are_counted_and_the_error_can_be_seen() {
    let folder = Folder::new("counted");
    let path = folder.0.join("missing").join("relays.save");
    let process = Machine::new().start(|builder| builder.save_to(&path, secs(60)));
    assert!(process.last_save_error().is_none());
    process.pass(secs(60));
    assert_eq!(
        (process.stats().saves, process.stats().failed_saves),
        (0, 1)
    );
    let error = process.last_save_error().expect("it failed");
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("relays.save"), "{error}");
    process.pass(secs(59));
    assert_eq!(process.stats().failed_saves, 1, "not before an interval");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    process.pass(secs(1));
    assert_eq!(
        (process.stats().saves, process.stats().failed_saves),
        (1, 1)
    );
    assert!(process.last_save_error().is_none());
}

#[test]
fn a_calendar_that_panics_fails_a_save_and_nothing_else() {
    struct Breaking(Arc<AtomicBool>);
    impl Clock for Breaking {
        fn now(&self) -> Duration {
            assert!(!self.0.load(Ordering::Relaxed), "a broken calendar");
            crate::EPOCH
        }
    }
    let folder = Folder::new("panic");
    let is_broken = Arc::new(AtomicBool::new(false));
    let calendar = Breaking(Arc::clone(&is_broken));
    let process = Machine::new().start(|builder| {
        builder
            .wall_clock(calendar)
            .save_to(folder.file(), secs(60))
    });
    is_broken.store(true, Ordering::Relaxed);
    process.pass(secs(60));
    assert_eq!(process.stats().failed_saves, 1);
    assert!(process.last_save_error().is_some());
    is_broken.store(false, Ordering::Relaxed);
    process.pass(secs(60));
    assert_eq!(process.stats().saves, 1);
}

/// The last handle is dropped by the clock, on a thread of the registry.
#[test]
fn a_clock_may_close_the_registry_that_saves() {
    #[derive(Default)]
    struct Closing(std::sync::Mutex<Option<Registry>>);
    struct Calling(Arc<Closing>);
    impl Clock for Calling {
        fn now(&self) -> Duration {
            let registry = self.0.0.lock().unwrap().take();
            if let Some(registry) = registry {
                registry.close();
            }
            Duration::ZERO
        }
    }
    let folder = Folder::new("clock");
    let path = folder.file();
    let closing = Arc::new(Closing::default());
    let registry = Registry::builder()
        .tick(Duration::from_millis(1))
        .clock(Calling(Arc::clone(&closing)))
        .save_to(&path, secs(60))
        .build()
        .unwrap();
    *closing.0.lock().unwrap() = Some(registry);
    while !path.exists() {
        std::thread::yield_now();
    }
    assert_eq!(live_in(&path), 0);
}

#[test]
fn an_interval_of_zero_is_refused() {
    let folder = Folder::new("zero");
    let built = Registry::builder()
        .save_to(folder.file(), Duration::ZERO)
        .build();
    let error = built.unwrap_err();
    assert!(matches!(error, BuildError::InvalidSaveInterval { every, .. } if every.is_zero()));
    assert!(error.to_string().contains("above zero"));
}

#[test]
fn a_folder_is_no_save() {
    let folder = Folder::new("folder");
    assert!(Registry::builder().restore_from(&folder.0).is_err());
}
