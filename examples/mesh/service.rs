//! The service of a relay at its endpoint: it proves that it has the key of its node id.
//!
//! A joining node sends a datagram with a nonce. The relay signs the nonce, and the node verifies the
//! signature with the node id. (In production a probe would also have a packet relayed.)

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

/// How often the thread checks whether it has to stop.
const STOP_POLL: Duration = Duration::from_millis(200);

/// A thread that answers probes, until it is dropped.
pub struct Service {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    pub fn start(key: &SecretKey) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(STOP_POLL))?;
        let address = socket.local_addr()?;
        let key = SigningKey::from_bytes(key.expose_seed());
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let thread = thread::Builder::new()
            .name("mesh-relay".into())
            .spawn(move || answer(&socket, &key, &until))?;
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

fn answer(socket: &UdpSocket, key: &SigningKey, is_over: &AtomicBool) {
    let mut question = [0; NONCE_LEN + 1];
    while !is_over.load(Relaxed) {
        // Nothing arrived yet, or the receiver of an answer is gone.
        let Ok((len, from)) = socket.recv_from(&mut question) else {
            continue;
        };
        if len == NONCE_LEN {
            let signature = key.sign(&[PURPOSE, &question[..len]].concat());
            let _ = socket.send_to(&signature.to_bytes(), from);
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
    let begun = Instant::now();
    let signature = ask(address, &nonce, deadline).map_err(|_| ProbeError::Unreachable)?;
    let rtt = begun.elapsed();
    if is_of(relay, &nonce, &signature) {
        Ok(rtt)
    } else {
        Err(ProbeError::WrongIdentity)
    }
}

fn ask(address: SocketAddr, nonce: &[u8], deadline: Duration) -> io::Result<[u8; 64]> {
    let begun = Instant::now();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(address)?;
    socket.send(nonce)?;
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
    let Ok(bytes) = <&[u8; 32]>::try_from(relay.as_bytes()) else {
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
    fn only_the_holder_of_the_key_passes() {
        let [key, other] = [1, 2].map(|seed| SecretKey::from_seed([seed; 32]));
        let service = Service::start(&key).expect("a socket");
        let endpoint = Endpoint::from(service.address());
        let deadline = Duration::from_secs(10);
        assert!(probe(&key.node_id(), &endpoint, deadline).is_ok());
        assert_eq!(
            probe(&other.node_id(), &endpoint, deadline),
            Err(ProbeError::WrongIdentity)
        );
    }
}
