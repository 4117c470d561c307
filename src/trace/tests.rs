//! A warning of what no public call brings about: a thread that is stalled inside a call.

#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
#[path = "../../tests/tracing/recorder.rs"]
mod recorder;

use crate::errors::RegisterError;
use crate::registry::{Maintenance, Registry};
use crate::relay::NodeId;
use crate::sync::epoch;
use recorder::Recorder;
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

fn churn(registry: &Registry, n: u32) -> Result<(), RegisterError> {
    let id = NodeId::from_bytes(&n.to_be_bytes()).unwrap();
    registry.register(id, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    assert!(registry.unregister(&id));
    Ok(())
}

#[test]
fn a_backlog_is_warned_of_with_what_awaits_reclamation() {
    let builder = Registry::builder()
        .maintenance(Maintenance::Manual)
        .return_grace(Duration::ZERO)
        .max_relays(1);
    let registry = builder.build().unwrap();
    let (stalled, is_stalled) = channel();
    let (go_on, goes_on) = channel::<()>();
    let error = thread::scope(|scope| {
        scope.spawn(move || {
            let _guard = epoch::pin();
            stalled.send(()).unwrap();
            goes_on.recv().unwrap();
        });
        is_stalled.recv().unwrap();
        let error = (0..100_000).find_map(|n| churn(&registry, n).err());
        go_on.send(()).unwrap();
        error
    });
    let Some(RegisterError::Backlogged {
        awaiting_reclamation,
    }) = error
    else {
        panic!("{error:?} is no backlog");
    };
    let recorder = Recorder::default();
    recorder.during(|| registry.maintain());
    let warnings = recorder.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].text.contains("backlogged"), "{warnings:?}");
    let told = warnings[0].field("awaiting_reclamation");
    assert_eq!(told, awaiting_reclamation.to_string());
    assert_eq!(warnings[0].field("suppressed"), "0");
}
