//! [`Probes`]: checks that a learned relay is there, holds its key, and relays.

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use libp2p::StreamProtocol;
use libp2p::relay::HOP_PROTOCOL_NAME;
use libp2p::swarm::{ConnectionId, DialError};
use relay_registry::dht::ProbeError;

/// The probes under way. Each has a connection of its own, so a connection that is dead and
/// not yet closed proves nothing. libp2p closes it when it is idle; if a reservation uses it
/// meanwhile, it stays.
#[derive(Debug, Default)]
pub(super) struct Probes {
    running: HashMap<ConnectionId, Running>,
}

pub(crate) type ProbeReply = SyncSender<Result<Duration, ProbeError>>;

#[derive(Debug)]
struct Running {
    reply: ProbeReply,
    deadline: Instant,
    is_relay: bool,
    rtt: Option<Duration>,
}

impl Probes {
    pub(super) fn start(&mut self, id: ConnectionId, reply: ProbeReply, deadline: Instant) {
        let running = Running {
            reply,
            deadline,
            is_relay: false,
            rtt: None,
        };
        self.running.insert(id, running);
    }

    /// libp2p verified the key of the peer when it connected: the dial named the peer id.
    pub(super) fn on_failed(&mut self, id: ConnectionId, error: &DialError) {
        if let Some(probe) = self.running.remove(&id) {
            let _ = probe.reply.try_send(Err(probe_error(error)));
        }
    }

    pub(super) fn on_closed(&mut self, id: ConnectionId) {
        if let Some(probe) = self.running.remove(&id) {
            let _ = probe.reply.try_send(Err(ProbeError::Unreachable));
        }
    }

    /// The peer told which protocols it speaks.
    pub(super) fn on_identified(&mut self, id: ConnectionId, protocols: &[StreamProtocol]) {
        let Some(probe) = self.running.get_mut(&id) else {
            return;
        };
        if !protocols.contains(&HOP_PROTOCOL_NAME) {
            let _ = probe.reply.try_send(Err(ProbeError::Refused));
            self.running.remove(&id);
            return;
        }
        probe.is_relay = true;
        self.finish(id);
    }

    pub(super) fn on_ping(&mut self, id: ConnectionId, rtt: Duration) {
        if let Some(probe) = self.running.get_mut(&id) {
            probe.rtt = Some(rtt);
            self.finish(id);
        }
    }

    fn finish(&mut self, id: ConnectionId) {
        let done = self.running.get(&id).filter(|probe| probe.is_relay);
        if let Some(rtt) = done.and_then(|probe| probe.rtt)
            && let Some(probe) = self.running.remove(&id)
        {
            let _ = probe.reply.try_send(Ok(rtt));
        }
    }

    /// Forgets probes whose caller has gone.
    pub(super) fn expire(&mut self, now: Instant) {
        self.running.retain(|_, probe| probe.deadline > now);
    }
}

pub(super) fn probe_error(error: &DialError) -> ProbeError {
    match error {
        DialError::WrongPeerId { .. } | DialError::LocalPeerId { .. } => ProbeError::WrongIdentity,
        _ => ProbeError::Unreachable,
    }
}
