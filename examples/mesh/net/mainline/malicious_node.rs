//! A node of the attacker: it announces itself, claims to store values that it drops, and answers with
//! the attack records.

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
use crate::attack::AttackRecords;

/// How often it announces itself, so that other nodes keep it in their routing tables.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(1);

/// How often it checks whether it has to stop.
const STOP_POLL: Duration = Duration::from_millis(200);

/// Runs until it is dropped.
pub struct MaliciousNode {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Node {
    id: [u8; 20],
    socket: UdpSocket,
    bootstrap: SocketAddrV4,
    network: Network,
    attack_records: Arc<AttackRecords>,
}

impl MaliciousNode {
    pub fn start(
        bootstrap: SocketAddrV4,
        network: Network,
        attack_records: Arc<AttackRecords>,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(STOP_POLL))?;
        let mut id = [0; 20];
        fastrand::fill(&mut id);
        let node = Node {
            id,
            socket,
            bootstrap,
            network,
            attack_records,
        };
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let thread = thread::Builder::new()
            .name("mesh-malicious".into())
            .spawn(move || node.run(&until))?;
        Ok(Self {
            is_over,
            thread: Some(thread),
        })
    }
}

impl Drop for MaliciousNode {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Node {
    fn run(&self, is_over: &AtomicBool) {
        let mut announced: Option<Instant> = None;
        let mut datagram = [0; 2_048];
        while !is_over.load(Relaxed) {
            if announced.is_none_or(|announced| announced.elapsed() > ANNOUNCE_INTERVAL) {
                self.send(krpc::find_node(&self.id), self.bootstrap.into());
                announced = Some(Instant::now());
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
            b"get" => query.answer(match self.attack_item(query.target.as_deref()?) {
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
            // Answers to pings, and to puts as if the value were stored.
            _ => query.answer(dictionary([id()])),
        }
    }

    /// An attack record for this target.
    fn attack_item(&self, wanted: &[u8]) -> Option<Item> {
        let mut item = None;
        let is_there = |node: &_| target(node, &self.network).is_some_and(|it| it == wanted);
        let _ = self.attack_records.offer(is_there, |attack| {
            item = Item::of(&attack.under, &attack.bytes);
            ControlFlow::Break(())
        });
        item
    }
}
