//! Servers that are no Redis servers, or do not behave as one.

use relay_registry::NodeId;
use relay_registry::dht::{
    Coverage, DhtError, Network, Redis, RedisBuilder, RedisUrlError, RelayDht,
};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use super::{members_by, read_by, shortly, soon};
use crate::relays::{announced, withdrawn};

/// How a Redis server greets.
pub(super) const HELLO: &[u8] =
    b"*4\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n";

/// An engine whose server does this with each connection.
pub(super) fn engine(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Redis {
    engine_of(|builder| builder, serve)
}

pub(super) fn engine_of(
    configure: impl Fn(RedisBuilder) -> RedisBuilder,
    serve: impl Fn(TcpStream) + Clone + Send + 'static,
) -> Redis {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    let builder = Redis::builder(Network::default())
        .server("127.0.0.1", port)
        .password("secret");
    configure(builder).build()
}

/// A server that greets, and then answers each request so.
pub(super) fn answering(reply: &[u8]) -> Redis {
    let reply = reply.to_vec();
    engine(move |mut stream| {
        let mut request = [0; 4_096];
        let mut answer = HELLO;
        while stream.read(&mut request).is_ok_and(|read| read > 0) {
            if stream.write_all(answer).is_err() {
                return;
            }
            answer = &reply;
        }
    })
}

pub(super) fn rejection(dht: &Redis) -> String {
    let refused = dht.put(&announced(1, 1), soon());
    let Err(DhtError::Rejected { reason }) = &refused else {
        panic!("not rejected: {refused:?}");
    };
    assert!(!reason.contains("secret"), "{reason}");
    reason.to_string()
}

#[test]
fn a_port_that_never_answers_holds_no_call_beyond_its_deadline() {
    let dht = engine(|mut stream| {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
    });
    assert_eq!(dht.put(&announced(1, 1), shortly()), Err(DhtError::Timeout));
    assert_eq!(
        dht.join(0, &announced(1, 1), shortly()),
        Err(DhtError::Timeout)
    );
    let node = announced(1, 1).node_id();
    let unread = read_by(&dht, &node, shortly());
    assert_eq!(unread, (vec![], 0, Coverage::Unreachable));
    let unread = members_by(&dht, 0, shortly());
    assert_eq!(unread, (vec![], Coverage::Unreachable));
}

/// A server that accepts nobody, and whose queue is full: without a deadline, a connection to its
/// socket would wait for as long as that lasts.
#[test]
fn a_socket_whose_queue_is_full_holds_no_call_beyond_its_deadline() {
    use socket2::{Domain, SockAddr, Socket, Type};

    let name = format!("relay-redis-full-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let _ = std::fs::remove_file(&path);
    let address = SockAddr::unix(&path).expect("a short path");
    let socket = || Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    let listener = socket();
    listener.bind(&address).expect("a free path");
    listener.listen(0).expect("it listens");
    let mut queued = Vec::new();
    loop {
        let client = socket();
        client.set_nonblocking(true).expect("a flag");
        if client.connect(&address).is_err() {
            break;
        }
        queued.push(client);
    }
    let dht = Redis::builder(Network::default())
        .unix_socket(&path)
        .build();
    assert_eq!(
        dht.put(&announced(1, 1), shortly()),
        Err(DhtError::Unreachable)
    );
    let _ = std::fs::remove_file(&path);
}

/// A timeout of each read would begin anew with each byte.
#[test]
fn a_server_that_sends_a_byte_at_a_time_holds_no_call_beyond_its_deadline() {
    let drip = |mut stream: TcpStream| {
        let _ = stream.write_all(b"$16000\r\n");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    };
    let dht = engine(drip);
    assert_eq!(dht.put(&announced(1, 1), shortly()), Err(DhtError::Timeout));
}

#[test]
fn a_reply_without_end_is_not_kept() {
    for start in ["$2000000000\r\n", "*2000000000\r\n", "+"] {
        let dht = engine(move |mut stream| {
            let _ = stream.write_all(start.as_bytes());
            while stream.write_all(&b":1\r\n".repeat(1_000)).is_ok() {}
        });
        let refused = dht.put(&announced(1, 1), soon());
        assert!(
            matches!(refused, Err(DhtError::Rejected { .. })),
            "{start}: {refused:?}"
        );
    }
    // Nor is one to a read.
    let endless = [&b"$2000000000\r\n"[..], &[b'x'; 100_000]].concat();
    let dht = answering(&endless);
    let refused = dht.get(&announced(1, 1).node_id(), None, soon(), &mut |_| {
        ControlFlow::Continue(())
    });
    assert!(
        matches!(&refused, Err(DhtError::Rejected { reason }) if reason.contains("longer")),
        "{refused:?}"
    );
}

#[test]
fn another_protocol_is_named() {
    let dht = engine(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    assert!(rejection(&dht).contains("RESP2"));
}

/// Redis before version 6 does.
#[test]
fn a_server_that_repeats_the_password_in_an_error_does_not_make_it_known() {
    for line in [
        "ERR unknown command `HELLO`, with args beginning with: `2`, `AUTH`, `secret`",
        "secret",
        "ERR secret",
        "OOM secret",
    ] {
        let line = format!("-{line}\r\n");
        let dht = engine(move |mut stream| {
            let _ = stream.read(&mut [0; 4_096]);
            let _ = stream.write_all(line.as_bytes());
        });
        let refused = dht
            .put(&announced(1, 1), soon())
            .expect_err("it is an error");
        assert!(
            !format!("{dht:?} {refused:?}").contains("secret"),
            "{refused:?}"
        );
    }
}

#[test]
fn a_server_that_closes_connections_or_is_not_there_is_unreachable() {
    let closing = engine(drop);
    // Nothing listens on a port after its listener is dropped.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let builder = || Redis::builder(Network::default());
    for dht in [
        closing,
        builder().server("127.0.0.1", port).build(),
        builder().unix_socket("/nonexistent/socket").build(),
    ] {
        assert_eq!(
            dht.put(&announced(1, 1), soon()),
            Err(DhtError::Unreachable)
        );
        let node = announced(1, 1).node_id();
        let unread = read_by(&dht, &node, soon());
        assert_eq!(unread, (vec![], 0, Coverage::Unreachable));
    }
}

#[test]
fn replies_of_another_kind_are_errors() {
    let nested = "*1\r\n".repeat(90) + "+OK\r\n";
    for reply in [
        "+OK\r\n",
        ":5\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*1\r\n$5\r\nodd-1\r\n",
        "*2\r\n:1\r\n:2\r\n",
        "*2\r\n$1\r\nx\r\n*0\r\n",
        "*2\r\n$20\r\n99999999999999999999\r\n*0\r\n",
        "*3\r\n$1\r\n0\r\n*0\r\n*0\r\n",
        "%1\r\n+a\r\n+b\r\n",
        "|1\r\n+a\r\n+b\r\n+c\r\n",
        "=3\r\ntxt\r\n",
        &nested,
    ] {
        let dht = answering(reply.as_bytes());
        let record = announced(1, 1);
        for refused in [dht.put(&record, soon()), dht.join(0, &record, soon())] {
            let is_rejected = matches!(refused, Err(DhtError::Rejected { .. }));
            assert!(is_rejected, "{reply:?}: {refused:?}");
        }
        let mut listed = 0;
        let answer = dht.members(0, soon(), &mut |_| {
            listed += 1;
            ControlFlow::Continue(())
        });
        assert!(
            matches!(answer, Err(DhtError::Rejected { .. })),
            "{reply:?}: {answer:?}"
        );
        assert_eq!(listed, 0);
    }
}

#[test]
fn a_list_of_members_is_bounded_and_what_is_no_member_is_skipped() {
    let node = NodeId::from([7; 32]);
    let listed = format!("$64\r\n{node}\r\n$0\r\n\r\n");
    let some = format!("*2\r\n$4\r\nsome\r\n*4\r\n{listed}$4\r\njunk\r\n:7\r\n");
    let found = members_by(&answering(some.as_bytes()), 0, soon());
    assert_eq!(found, (vec![(node, None)], Coverage::Partial));
    let all = some
        .replace("some", "all")
        .replace("$4\r\nall", "$3\r\nall");
    let found = members_by(&answering(all.as_bytes()), 0, soon());
    assert_eq!(found, (vec![(node, None)], Coverage::Complete));
    let many = format!("*2\r\n$3\r\nall\r\n*100000\r\n{}", listed.repeat(50_000));
    let refused = answering(many.as_bytes()).members(0, soon(), &mut |_| panic!("it is listed"));
    assert!(
        matches!(&refused, Err(DhtError::Rejected { reason }) if reason.contains("longer")),
        "{refused:?}"
    );
}

#[test]
fn errors_of_a_server_are_those_of_every_call() {
    for (line, is_transient) in [
        ("LOADING Redis is loading the dataset in memory", true),
        (
            "READONLY You can't write against a read only replica.",
            true,
        ),
        (
            "OOM command not allowed when used memory > 'maxmemory'.",
            true,
        ),
        ("MISCONF Redis is configured to save RDB snapshots", true),
        ("BUSY Redis is busy running a script.", true),
        ("NOAUTH Authentication required.", false),
        ("MOVED 3999 127.0.0.1:6381", false),
        ("ERR unknown command 'EVALSHA'", false),
        ("\u{1b}[31m", false),
    ] {
        let (dht, record) = (
            answering(format!("-{line}\r\n").as_bytes()),
            announced(1, 1),
        );
        let gone = withdrawn(1, 2);
        let get = dht.get(&record.node_id(), None, soon(), &mut |_| panic!("a value"));
        let members = dht.members(0, soon(), &mut |_| panic!("a member"));
        for error in [
            dht.put(&record, soon()).expect_err(line),
            dht.join(0, &record, soon()).expect_err(line),
            dht.leave(0, &gone, soon()).expect_err(line),
            get.expect_err(line),
            members.expect_err(line),
        ] {
            assert_eq!(error.is_transient(), is_transient, "{line}: {error:?}");
            let (DhtError::Unavailable { reason } | DhtError::Rejected { reason }) = &error else {
                panic!("{line}: {error:?}");
            };
            assert!(!reason.contains('\u{1b}'), "{reason}");
        }
    }
}

#[test]
fn what_an_engine_is_built_with_is_what_it_says() {
    let builder = Redis::builder(Network::default())
        .user("relay", "secret")
        .database(2)
        .prefix("relays")
        .shards(u16::MAX)
        .max_members(9)
        .max_in_flight(usize::MAX)
        .refresh(Duration::from_secs(77));
    let dht = builder.build();
    let limits = dht.limits();
    assert_eq!(limits, limits.clamped());
    assert_eq!((limits.shards, limits.max_in_flight), (1_024, 256));
    assert_eq!(limits.refresh, Duration::from_secs(77));
    let shown = format!("{dht:?}");
    for part in ["127.0.0.1:6379", "relay", "relays", "77s"] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(!shown.contains("secret"), "{shown}");
    let builder = Redis::builder(Network::default()).url("redis://:secret@host:7000/4");
    let shown = format!("{:?}", builder.expect("a URL"));
    assert!(
        shown.contains("host") && !shown.contains("secret"),
        "{shown}"
    );
}

/// Without its feature, TLS is never replaced by plain text.
#[test]
fn a_url_that_asks_for_tls_gets_it_or_an_error() {
    for url in ["rediss://host", "valkeys://:secret@host:7000/4"] {
        let builder = Redis::builder(Network::default()).url(url);
        if cfg!(feature = "redis-tls") {
            let builder = builder.and_then(|builder| builder.url("redis://other"));
            let shown = format!("{:?}", builder.expect("a URL").build());
            assert!(shown.contains("Tls(other:6379"), "{shown}");
        } else {
            let error = builder.map(drop).unwrap_err();
            assert!(matches!(error, RedisUrlError::Tls { .. }), "{error:?}");
            assert!(error.to_string().contains("redis-tls"), "{error}");
        }
    }
}
