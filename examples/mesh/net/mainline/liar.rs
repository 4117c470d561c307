//! A node of the DHT that is the attacker's: it makes itself known, says that it
//! stores what it does not, and answers from the arsenal.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use relay_registry::dht::Network;
use serde_bencode::value::Value;

use super::item::{Item, target};
use super::krpc::{self, Query, bytes, dictionary};
use crate::attack::Arsenal;

/// How often it makes itself known, lest it be forgotten.
const CALL: Duration = Duration::from_secs(1);

/// How often it looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(200);

/// Lies until it is dropped.
pub struct Liar {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Node {
    id: [u8; 20],
    socket: UdpSocket,
    bootstrap: SocketAddrV4,
    network: Network,
    arsenal: Arc<Arsenal>,
}

impl Liar {
    pub fn start(
        bootstrap: SocketAddrV4,
        network: Network,
        arsenal: Arc<Arsenal>,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(LOOK_UP))?;
        let mut id = [0; 20];
        fastrand::fill(&mut id);
        let node = Node {
            id,
            socket,
            bootstrap,
            network,
            arsenal,
        };
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let thread = thread::Builder::new()
            .name("mesh-liar".into())
            .spawn(move || node.lie(&until))?;
        Ok(Self {
            is_over,
            thread: Some(thread),
        })
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Node {
    fn lie(&self, is_over: &AtomicBool) {
        let mut called: Option<Instant> = None;
        let mut datagram = [0; 2_048];
        while !is_over.load(Relaxed) {
            if called.is_none_or(|called| called.elapsed() > CALL) {
                self.send(krpc::find_node(&self.id), self.bootstrap.into());
                called = Some(Instant::now());
            }
            // Nothing arrived yet, or the receiver of an answer is gone.
            let Ok((len, from)) = self.socket.recv_from(&mut datagram) else {
                continue;
            };
            if let Some(query) = Query::read(&datagram[..len]) {
                self.send(self.answer(&query), from);
            }
        }
    }

    fn send(&self, datagram: Option<Vec<u8>>, to: SocketAddr) {
        if let Some(datagram) = datagram {
            let _ = self.socket.send_to(&datagram, to);
        }
    }

    fn answer(&self, query: &Query) -> Option<Vec<u8>> {
        let id = || ("id", bytes(self.id));
        let token = || ("token", bytes(*b"lies"));
        // It knows no other node.
        let nodes = || ("nodes", bytes([]));
        match &query.method[..] {
            b"find_node" => query.answer(dictionary([id(), nodes()])),
            b"get_peers" => query.answer(dictionary([id(), token(), nodes()])),
            b"get" => query.answer(match self.shot(query.target.as_deref()?) {
                Some(item) => dictionary([
                    id(),
                    token(),
                    nodes(),
                    ("k", bytes(item.key)),
                    ("seq", Value::Int(item.sequence)),
                    ("sig", bytes(item.signature)),
                    ("v", bytes(item.value)),
                ]),
                None => dictionary([id(), token(), nodes()]),
            }),
            // Of pings, and of puts as if they were done.
            _ => query.answer(dictionary([id()])),
        }
    }

    /// Something to answer with to who looks there.
    fn shot(&self, wanted: &[u8]) -> Option<Item> {
        let mut item = None;
        let is_there = |node: &_| target(node, &self.network).is_some_and(|it| it == wanted);
        let _ = self.arsenal.fire(is_there, |shot| {
            item = Item::of(&shot.under, &shot.bytes);
            ControlFlow::Break(())
        });
        item
    }
}
