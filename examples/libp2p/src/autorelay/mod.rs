//! AutoRelay for rust-libp2p: [`Behaviour`] keeps reservations at the best relays that a
//! [`Registry`] knows.
//!
//! A peer behind a NAT is reached through a relay at which it has a *reservation*. libp2p's
//! relay client makes one reservation where it is told to, and renews it. It does not choose the
//! relay, and if the relay dies, nothing replaces it. This behaviour does both:
//!
//! - It keeps [`reservations`](Config::reservations) at once. The first is the *home relay*, by
//!   [`Registry::find_home_relay`]: nearest to this peer, with hysteresis. The others are
//!   standbys, in other failure domains if there are any.
//! - A relay that dies, denies or takes too long is reported to the registry, which does not hand
//!   it out until its back-off is over. Another relay is asked at once.
//! - If another relay is clearly better, then the reservation there is made before the old one is
//!   given up.
//!
//! It stands beside libp2p's own [`relay::client::Behaviour`](libp2p::relay::client::Behaviour)
//! and replaces nothing of it. The relay client confirms the external address of each
//! reservation, and expires it with the reservation, so this behaviour does neither.
//!
//! [`poll`](NetworkBehaviour::poll) does not block: the registry's finds are lock-free.
//!
//! ```
//! use libp2p::{identify, ping, relay, swarm::NetworkBehaviour};
//! use relay_libp2p::autorelay;
//! use relay_registry::Registry;
//!
//! #[derive(NetworkBehaviour)]
//! struct Protocols {
//!     relay_client: relay::client::Behaviour,
//!     autorelay: autorelay::Behaviour,
//!     ping: ping::Behaviour,
//! }
//!
//! let registry = Registry::new();
//! let autorelay = autorelay::Behaviour::new(registry, autorelay::Config::default())?;
//! assert_eq!(autorelay.home(), None);
//! # Ok::<(), autorelay::ConfigError>(())
//! ```

mod config;
mod event;
mod reservations;

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::FutureExt;
use futures_timer::Delay;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::behaviour::{ListenerClosed, ListenerError, NewListenAddr};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{PeerId, ping};
use relay_registry::Registry;

use crate::ids::node_of;
pub use config::{Config, ConfigError};
pub use event::{Event, Lost};
use reservations::{Action, Reservations};

/// See the [module's description](self).
#[derive(Debug)]
pub struct Behaviour {
    reservations: Reservations,
    timer: Delay,
    /// When the timer fires.
    timer_at: Instant,
}

impl Behaviour {
    /// A behaviour that chooses among the relays of `registry`. It asks the first relays when
    /// it is polled.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for a value out of range.
    pub fn new(registry: Registry, config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let now = Instant::now();
        Ok(Self {
            reservations: Reservations::new(registry, config, now),
            timer: Delay::new(Default::default()),
            timer_at: now,
        })
    }

    /// The home relay, if there is a reservation.
    #[must_use]
    pub fn home(&self) -> Option<PeerId> {
        self.reservations.home()
    }

    /// The relays that hold a reservation for this peer, the home first.
    #[must_use]
    pub fn reservations(&self) -> Vec<PeerId> {
        self.reservations.held()
    }

    /// Passes on an event of [`ping::Behaviour`]: the round trip is recorded in the registry. A
    /// relay that answers none for [`max_silence`](Config::max_silence) is disconnected, which
    /// replaces the reservation, unless it does not speak the ping protocol.
    ///
    /// Without pings, a relay that vanishes without closing its connections (power loss, a
    /// broken network) is noticed only when the reservation is renewed. Failures that the event
    /// reports do not count: libp2p does not report the first one, and the next one only some 10 s
    /// later.
    pub fn on_ping(&mut self, event: &ping::Event) {
        match &event.result {
            Ok(rtt) => {
                if let Some(node) = node_of(&event.peer) {
                    self.reservations.registry().record_rtt(&node, *rtt);
                }
                self.reservations.on_answer(&event.peer, Instant::now());
            }
            Err(ping::Failure::Unsupported) => self.reservations.on_no_pings(&event.peer),
            Err(_) => {}
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        let now = Instant::now();
        match event {
            FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr }) => {
                self.reservations.on_accepted(listener_id, addr, now);
            }
            FromSwarm::ListenerClosed(ListenerClosed {
                listener_id,
                reason,
            }) => {
                let reason = Lost::of_closed_listener(reason);
                self.reservations.on_closed(listener_id, reason, now);
            }
            FromSwarm::ListenerError(ListenerError { listener_id, err }) => {
                let reason = Lost::Address(err.to_string());
                self.reservations.on_closed(listener_id, reason, now);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let never: Infallible = event;
        match never {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        loop {
            if let Some(action) = self.reservations.next_action() {
                return Poll::Ready(to_swarm(action));
            }
            let (now, deadline) = (Instant::now(), self.reservations.deadline());
            if deadline <= now {
                self.reservations.advance(now);
                continue;
            }
            if self.timer_at != deadline {
                self.timer.reset(deadline - now);
                self.timer_at = deadline;
            }
            if self.timer.poll_unpin(cx).is_pending() {
                return Poll::Pending;
            }
            // It fired: arm it again, also if it was a little early.
            self.timer_at = now;
        }
    }
}

fn to_swarm(action: Action) -> ToSwarm<Event, Infallible> {
    match action {
        Action::Listen(opts) => ToSwarm::ListenOn { opts },
        Action::Remove(id) => ToSwarm::RemoveListener { id },
        Action::Disconnect(peer_id) => ToSwarm::CloseConnection {
            peer_id,
            connection: CloseConnection::All,
        },
        Action::Report(event) => ToSwarm::GenerateEvent(event),
    }
}
