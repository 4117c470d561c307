//! Who may connect, and to what.

use relay_registry::dht::{Change, DhtError, Network, Redis, RelayDht, conformance};

use std::ops::ControlFlow;

use super::server::Server;
use super::soon;
use crate::relays::{announced, withdrawn};

const PASSWORD: &str = "correct-horse";

/// What the documentation tells an operator to allow.
fn documented_user() -> Vec<String> {
    let page = include_str!("../../../src/dht/engine/redis/layout.md");
    let line = page.lines().find(|line| line.starts_with("ACL SETUSER"));
    let words = line.expect("the page has it").split(' ');
    words.map(ToOwned::to_owned).collect()
}

fn reason_of(dht: &Redis) -> String {
    let refused = dht.put(&announced(1, 1), soon());
    let Err(DhtError::Rejected { reason }) = &refused else {
        panic!("not rejected: {refused:?}");
    };
    let read = dht.get(&announced(1, 1).node_id(), None, soon(), &mut |_| {
        panic!("it may not read");
    });
    assert!(matches!(read, Err(DhtError::Rejected { .. })), "{read:?}");
    reason.to_string()
}

#[test]
#[ignore = "needs redis-server"]
fn redis_conforms() {
    let server = Server::start();
    let network = Network::new(b"conformance").expect("a short tag");
    conformance::check(|| server.builder_of(network).build(), &network);
    // Everything ends by itself.
    let keys: Vec<String> = server.run(&["KEYS", "*"]);
    assert!(!keys.is_empty());
    for key in keys {
        assert!(key.starts_with("relay-registry:conformance:"), "{key}");
        assert!(server.run::<i64>(&["PTTL", &key]) > 0, "{key} does not end");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn redis_with_tight_limits_over_tcp_conforms() {
    let server = Server::with_args(&["--requirepass", PASSWORD]);
    let make = || {
        Redis::builder(Network::default())
            .server("localhost", server.port())
            .password(PASSWORD)
            .database(3)
            .prefix("tight")
            .max_in_flight(1)
            .shards(1)
            .max_members(10_000)
            .build()
    };
    conformance::check(make, &Network::default());
}

#[test]
#[ignore = "needs redis-server"]
fn redis_without_a_directory_conforms() {
    let server = Server::start();
    conformance::check(|| server.builder().shards(0).build(), &Network::default());
}

/// Everything that the engine may have to ask of a server; all errors that it met.
fn use_everything(server: &Server, dht: &Redis) -> Vec<DhtError> {
    let (record, gone) = (announced(9, 1), withdrawn(9, 2));
    let key = format!("relay-registry:main:record:{}", record.node_id());
    server.run::<()>(&["SCRIPT", "FLUSH"]);
    server.run::<()>(&["FLUSHALL"]);
    server.run::<()>(&["RPUSH", &key, "of another type"]);
    server.run::<()>(&["ZADD", "relay-registry:main:shard:0", "1", "ended"]);
    let mut many = vec!["ZADD".to_owned(), "relay-registry:main:shard:1".to_owned()];
    many.extend((0..300).flat_map(|number| ["inf".to_owned(), format!("{number:064}")]));
    server.run::<()>(&many.iter().map(String::as_str).collect::<Vec<_>>());
    [
        dht.put(&record, soon()).err(),
        dht.join(0, &record, soon()).err(),
        dht.get(&record.node_id(), None, soon(), &mut |_| {
            ControlFlow::Continue(())
        })
        .err(),
        dht.members(0, soon(), &mut |_| ControlFlow::Continue(()))
            .err(),
        dht.members(1, soon(), &mut |_| ControlFlow::Continue(()))
            .err(),
        dht.leave(0, &gone, soon()).err(),
        dht.changed(soon(), &mut |_| ControlFlow::Continue(()))
            .err(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
#[ignore = "needs redis-server"]
fn a_user_with_the_documented_rights_is_enough_and_no_right_is_spare() {
    let server = Server::with_args(&["--requirepass", PASSWORD]);
    let rights = documented_user();
    let set_user = |words: &[&String]| {
        let words: Vec<&str> = words.iter().map(|word| word.as_str()).collect();
        server.run::<()>(&words);
    };
    let make = || {
        let builder = server.builder().user("relay", "secret");
        builder.database(1).max_members(10_000).build()
    };
    set_user(&rights.iter().collect::<Vec<_>>());
    conformance::check(make, &Network::default());
    let same_database = || {
        server
            .builder()
            .user("relay", "secret")
            .max_members(9)
            .build()
    };
    assert_eq!(use_everything(&server, &same_database()), []);
    // Another network's keys are not this user's.
    let other = Network::new(b"other").expect("a short tag");
    let elsewhere = server.builder_of(other).user("relay", "secret").build();
    let denied = elsewhere.get(&announced(1, 1).node_id(), None, soon(), &mut |_| {
        panic!("it may not read");
    });
    assert!(is_denied(&denied.expect_err("it may not read")));
    // Without these, what is missing are hints: see the next test. A ping is sent after half a minute.
    let is_of_hints = |word: &&String| ["+publish", "+ping"].contains(&word.as_str());
    let needed = rights.iter().filter(|word| word.starts_with('+'));
    for right in needed.filter(|word| !is_of_hints(word)) {
        set_user(
            &rights
                .iter()
                .filter(|word| *word != right)
                .collect::<Vec<_>>(),
        );
        let dht = if right == "+select" {
            make()
        } else {
            same_database()
        };
        let errors = use_everything(&server, &dht);
        assert!(errors.iter().any(is_denied), "without {right}: {errors:?}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_user_who_may_not_publish_changes_writes_without_saying_so() {
    let server = Server::start();
    let (admin, reader) = (server.engine(), server.engine());
    let heard = |by| {
        let mut heard = Vec::new();
        let heard_in = |change| {
            heard.push(change);
            ControlFlow::Continue(())
        };
        reader.changed(by, &mut { heard_in }).expect("it watches");
        heard
    };
    assert_eq!(heard(soon()), [Change::Missed]);
    let rights = documented_user();
    let allowed = rights.iter().map(String::as_str);
    let allowed: Vec<&str> = allowed.filter(|word| *word != "+publish").collect();
    server.run::<()>(&allowed);
    let writer = server.builder().user("relay", "secret").build();
    writer.put(&announced(1, 1), soon()).expect("it is stored");
    admin.put(&announced(2, 1), soon()).expect("it is stored");
    let second = Change::Relay(announced(2, 1).node_id());
    assert_eq!(heard(soon()), [second]);
}

fn is_denied(error: &DhtError) -> bool {
    matches!(error, DhtError::Rejected { reason } if reason.starts_with("NOPERM"))
}

#[test]
#[ignore = "needs redis-server"]
fn a_wrong_password_is_rejected_without_showing_it() {
    let server = Server::with_args(&["--requirepass", PASSWORD]);
    let none = reason_of(&server.engine());
    assert!(none.starts_with("NOAUTH"), "{none}");
    for dht in [
        server.builder().password("battery-staple").build(),
        server.builder().user("stranger", "battery-staple").build(),
    ] {
        let wrong = reason_of(&dht);
        assert!(wrong.starts_with("WRONGPASS"), "{wrong}");
        let shown = format!("{dht:?} {wrong}");
        assert!(!shown.contains("battery-staple"), "{shown}");
    }
    let dht = server.builder().password(PASSWORD).build();
    dht.put(&announced(1, 1), soon()).expect("it may");
}

#[test]
#[ignore = "needs redis-server"]
fn a_database_that_is_not_there_is_named() {
    let server = Server::start();
    let reason = reason_of(&server.builder().database(9_999).build());
    assert!(reason.contains("9999"), "{reason}");
}

#[test]
#[ignore = "needs redis-server"]
fn a_node_of_a_cluster_is_rejected() {
    let server = Server::with_args(&["--cluster-enabled", "yes"]);
    let reason = reason_of(&server.engine());
    assert!(reason.contains("Cluster"), "{reason}");
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_with_too_many_clients_is_unavailable() {
    let server = Server::start();
    server.run::<()>(&["CONFIG", "SET", "maxclients", "2"]);
    let _clients = (server.control(), server.control());
    let refused = server.engine().put(&announced(1, 1), soon());
    assert!(
        matches!(&refused, Err(DhtError::Unavailable { reason }) if reason.contains("clients")),
        "{refused:?}"
    );
}
