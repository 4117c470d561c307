//! The open sessions of the simulation, and their leases.

use std::collections::BTreeMap;

use relay_registry::{Lease, Registration};

/// One session. Dropping it releases the lease.
pub struct Session {
    pub relay: usize,
    home: usize,
    /// The number of the record that the lease is on.
    record: u32,
    _lease: Lease,
}

/// How many leases one registry holds on its current record of one relay.
#[derive(Debug, Clone, Copy, Default)]
struct Own {
    record: u32,
    leases: u32,
}

/// All sessions, and the number of each registry's leases, counted without asking the registry.
pub struct Sessions {
    open: BTreeMap<u64, Session>,
    opened: u64,
    relays: usize,
    own: Vec<Own>,
}

impl Sessions {
    pub fn new(registries: usize, relays: usize) -> Self {
        Self {
            open: BTreeMap::new(),
            opened: 0,
            relays,
            own: vec![Own::default(); registries * relays],
        }
    }

    /// Notes a registration. A new record has no leases.
    pub fn registered(&mut self, home: usize, relay: usize, registration: Registration) {
        if registration == Registration::New {
            let own = self.own(home, relay);
            own.record += 1;
            own.leases = 0;
        }
    }

    /// How many leases a registry holds on its current record of a relay.
    pub fn own_leases(&mut self, home: usize, relay: usize) -> u32 {
        self.own(home, relay).leases
    }

    /// Begins a session, and returns its number.
    pub fn open(&mut self, home: usize, relay: usize, lease: Lease) -> u64 {
        let own = self.own(home, relay);
        own.leases += 1;
        let session = Session {
            relay,
            home,
            record: own.record,
            _lease: lease,
        };
        self.opened += 1;
        self.open.insert(self.opened, session);
        self.opened
    }

    /// Ends a session, if it is still open.
    pub fn close(&mut self, number: u64) -> Option<Session> {
        let session = self.open.remove(&number)?;
        let own = self.own(session.home, session.relay);
        if own.record == session.record {
            own.leases -= 1;
        }
        Some(session)
    }

    /// The numbers of all sessions on a relay.
    pub fn on(&self, relay: usize) -> Vec<u64> {
        let on_it = self
            .open
            .iter()
            .filter(|(_, session)| session.relay == relay);
        on_it.map(|(&number, _)| number).collect()
    }

    fn own(&mut self, home: usize, relay: usize) -> &mut Own {
        &mut self.own[home * self.relays + relay]
    }
}
