//! Which connections are used again: none on which a reply may yet come, or to a server that is
//! not there any more.

use relay_registry::dht::{Coverage, DhtError, RelayDht};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use super::hostile::{HELLO, answering, engine, rejection};
use super::{members_by, read_by, shortly, soon};
use crate::relays::announced;

const STORED: &[u8] = b"*1\r\n$6\r\nstored\r\n";

/// The server may have had the request, and a write may have taken effect.
#[test]
fn half_a_reply_is_none() {
    let half = |mut stream: TcpStream| {
        let mut request = [0; 4_096];
        let mut answer = HELLO;
        while stream.read(&mut request).is_ok_and(|read| read > 0) {
            let _ = stream.write_all(answer);
            if answer != HELLO {
                return;
            }
            answer = b"*2\r\n$6\r\nsto";
        }
    };
    let (dht, record) = (engine(half), announced(1, 1));
    assert_eq!(dht.put(&record, soon()), Err(DhtError::Unreachable));
    let unread = read_by(&dht, &record.node_id(), soon());
    assert_eq!(unread, (vec![], 0, Coverage::Unreachable));
    let unread = members_by(&dht, 0, soon());
    assert_eq!(unread, (vec![], Coverage::Unreachable));
}

/// Else all further replies would be taken for those of the requests before.
#[test]
fn a_second_reply_is_not_taken_for_that_of_the_next_request() {
    let dht = answering(b"*1\r\n$6\r\nstored\r\n*1\r\n$5\r\nended\r\n");
    for _ in 0..3 {
        assert!(rejection(&dht).contains("more than a reply"));
    }
}

#[test]
fn a_late_reply_is_not_taken_for_that_of_the_next_request() {
    let connections = Arc::new(AtomicUsize::new(0));
    let dht = engine(move |mut stream| {
        let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
        let mut request = [0; 4_096];
        let mut number = 0;
        while stream.read(&mut request).is_ok_and(|read| read > 0) {
            number += 1;
            let reply = match number {
                1 => HELLO,
                // Its reply comes when the next request does.
                2 if is_first => continue,
                _ if is_first => STORED,
                _ => b"*1\r\n$5\r\nended\r\n",
            };
            let _ = stream.write_all(reply);
        }
    });
    assert_eq!(dht.put(&announced(1, 1), shortly()), Err(DhtError::Timeout));
    assert!(rejection(&dht).contains("expired"));
}

/// As after a failover to another machine, when the old one does not even reset connections: each
/// that is kept would cost the deadline of a call.
#[test]
fn one_connection_that_leads_nowhere_is_enough_to_give_all_up() {
    const KEPT: usize = 4;
    let (connections, replies) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(KEPT)));
    let number_of = Arc::clone(&connections);
    let dht = engine(move |mut stream| {
        let is_old = number_of.fetch_add(1, Ordering::SeqCst) < KEPT;
        let mut request = [0; 4_096];
        let mut number = 0;
        while stream.read(&mut request).is_ok_and(|read| read > 0) {
            number += 1;
            let reply = match number {
                1 => HELLO,
                // Calls at the same time have a connection each.
                2 if is_old => {
                    replies.wait();
                    STORED
                }
                _ if is_old => continue,
                _ => STORED,
            };
            let _ = stream.write_all(reply);
        }
    });
    std::thread::scope(|scope| {
        for _ in 0..KEPT {
            scope.spawn(|| dht.put(&announced(1, 1), soon()).expect("it is stored"));
        }
    });
    assert_eq!(connections.load(Ordering::SeqCst), KEPT);
    assert_eq!(dht.put(&announced(1, 1), shortly()), Err(DhtError::Timeout));
    dht.put(&announced(1, 1), soon())
        .expect("it has a new connection");
    assert_eq!(connections.load(Ordering::SeqCst), KEPT + 1);
}
