//! The service of relays at their endpoint: each proves that it has the key of its node id.
//!
//! A joining node sends a datagram with a nonce and the id of a relay. The relay signs the nonce, and the
//! node verifies the signature with the id. (In production a probe would also have a packet relayed.)

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use relay_registry::dht::{ProbeError, SecretKey};
use relay_registry::{Endpoint, NodeId};

/// What is signed: this, then the nonce.
const PURPOSE: &[u8] = b"relay-registry mesh probe ";
const NONCE_LEN: usize = 32;
const ID_LEN: usize = 32;

/// A nonce and the id of a relay.
const QUESTION_LEN: usize = NONCE_LEN + ID_LEN;

/// How often the thread checks whether it has to stop.
const STOP_POLL: Duration = Duration::from_millis(200);

/// A thread that answers probes of a few relays on one socket, until it is dropped.
pub struct Service {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The keys of the relays on one socket.
struct Keys {
    /// It answers for ids that are not here, so that the probe of an impostor fails.
    first: SigningKey,
    by_id: HashMap<[u8; ID_LEN], SigningKey>,
}

impl Service {
    /// Answers for the relays with these keys, at least one.
    pub fn start(keys: &[Arc<SecretKey>]) -> io::Result<Self> {
        let keys = Keys::of(keys).ok_or(io::ErrorKind::InvalidInput)?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(STOP_POLL))?;
        let address = socket.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let thread = thread::Builder::new()
            .name("mesh-relays".into())
            .spawn(move || keys.answer(&socket, &until))?;
        Ok(Self {
            address,
            is_over,
            thread: Some(thread),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Keys {
    fn of(keys: &[Arc<SecretKey>]) -> Option<Self> {
        let signing = |key: &Arc<SecretKey>| SigningKey::from_bytes(key.expose_seed());
        let by_id = |key: SigningKey| (key.verifying_key().to_bytes(), key);
        Some(Self {
            first: signing(keys.first()?),
            by_id: keys.iter().map(signing).map(by_id).collect(),
        })
    }

    fn key(&self, id: &[u8]) -> &SigningKey {
        self.by_id.get(id).unwrap_or(&self.first)
    }

    fn answer(&self, socket: &UdpSocket, is_over: &AtomicBool) {
        let mut question = [0; QUESTION_LEN + 1];
        while !is_over.load(Relaxed) {
            // Nothing arrived yet, or the receiver of an answer is gone.
            let Ok((len, from)) = socket.recv_from(&mut question) else {
                continue;
            };
            if len == QUESTION_LEN {
                let (nonce, id) = question[..len].split_at(NONCE_LEN);
                let signature = self.key(id).sign(&[PURPOSE, nonce].concat());
                let _ = socket.send_to(&signature.to_bytes(), from);
            }
        }
    }
}

/// Checks that the relay at `endpoint` has the key of `relay`, and returns the round trip.
pub fn probe(
    relay: &NodeId,
    endpoint: &Endpoint,
    deadline: Duration,
) -> Result<Duration, ProbeError> {
    let address = endpoint.socket_addr().ok_or(ProbeError::Unreachable)?;
    let mut nonce = [0; NONCE_LEN];
    fastrand::fill(&mut nonce);
    let question = [&nonce, relay.as_bytes()].concat();
    let begun = Instant::now();
    let signature = ask(address, &question, deadline).map_err(|_| ProbeError::Unreachable)?;
    let rtt = begun.elapsed();
    if is_of(relay, &nonce, &signature) {
        Ok(rtt)
    } else {
        Err(ProbeError::WrongIdentity)
    }
}

fn ask(address: SocketAddr, question: &[u8], deadline: Duration) -> io::Result<[u8; 64]> {
    let begun = Instant::now();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(address)?;
    socket.send(question)?;
    let mut answer = [0; 64 + 1];
    loop {
        let left = deadline.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let len = socket.recv(&mut answer)?;
        // Anything else was meant for the previous owner of this port.
        if let Ok(signature) = answer[..len].try_into() {
            return Ok(signature);
        }
    }
}

fn is_of(relay: &NodeId, nonce: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(bytes) = <&[u8; ID_LEN]>::try_from(relay.as_bytes()) else {
        return false;
    };
    let message = [PURPOSE, nonce].concat();
    VerifyingKey::from_bytes(bytes).is_ok_and(|key| {
        key.verify_strict(&message, &Signature::from_bytes(signature))
            .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_holders_of_the_keys_pass() {
        let [first, second, stranger] =
            [1, 2, 3].map(|seed| Arc::new(SecretKey::from_seed([seed; 32])));
        let service = Service::start(&[Arc::clone(&first), Arc::clone(&second)]).expect("a socket");
        let endpoint = Endpoint::from(service.address());
        let deadline = Duration::from_secs(10);
        assert!(probe(&first.node_id(), &endpoint, deadline).is_ok());
        assert!(probe(&second.node_id(), &endpoint, deadline).is_ok());
        assert_eq!(
            probe(&stranger.node_id(), &endpoint, deadline),
            Err(ProbeError::WrongIdentity)
        );
    }
}
