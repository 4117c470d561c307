//! Events.

use super::units::UnixSeconds;
use crate::errors::RegisterError;
use crate::events::Event;
use crate::relay::{NodeId, RelayInfo};
use serde::{Serialize, Serializer};

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename = "Event")]
enum Parts<'a> {
    Joined {
        id: NodeId,
        tick: u64,
        relay: &'a RelayInfo,
        returned: bool,
        learned: bool,
    },
    Updated {
        id: NodeId,
        tick: u64,
        relay: &'a RelayInfo,
    },
    Left {
        id: NodeId,
        tick: u64,
    },
    Expired {
        id: NodeId,
        tick: u64,
    },
    Draining {
        id: NodeId,
        tick: u64,
        draining: bool,
        relay: Option<&'a RelayInfo>,
    },
    Banned {
        id: NodeId,
        tick: u64,
        until_unix_seconds: Option<UnixSeconds>,
        relay: Option<&'a RelayInfo>,
    },
    CircuitOpened {
        id: NodeId,
        tick: u64,
        relay: Option<&'a RelayInfo>,
    },
    CircuitClosed {
        id: NodeId,
        tick: u64,
        relay: Option<&'a RelayInfo>,
    },
    Refused {
        id: NodeId,
        tick: u64,
        error: &'a RegisterError,
    },
    #[cfg(feature = "dht")]
    RecordRejected {
        id: NodeId,
        tick: u64,
        reason: crate::dht::RejectReason,
    },
    Missed {
        events: u64,
    },
}

impl<'a> From<&'a Event> for Parts<'a> {
    fn from(event: &'a Event) -> Self {
        match event {
            &Event::Joined {
                id,
                tick,
                ref relay,
                returned,
                learned,
            } => Self::Joined {
                id,
                tick,
                relay,
                returned,
                learned,
            },
            &Event::Updated {
                id,
                tick,
                ref relay,
            } => Self::Updated { id, tick, relay },
            &Event::Left { id, tick } => Self::Left { id, tick },
            &Event::Expired { id, tick } => Self::Expired { id, tick },
            &Event::Draining {
                id,
                tick,
                draining,
                ref relay,
            } => Self::Draining {
                id,
                tick,
                draining,
                relay: relay.as_ref(),
            },
            &Event::Banned {
                id,
                tick,
                until,
                ref relay,
            } => Self::Banned {
                id,
                tick,
                until_unix_seconds: until.map(UnixSeconds),
                relay: relay.as_ref(),
            },
            &Event::CircuitOpened {
                id,
                tick,
                ref relay,
            } => Self::CircuitOpened {
                id,
                tick,
                relay: relay.as_ref(),
            },
            &Event::CircuitClosed {
                id,
                tick,
                ref relay,
            } => Self::CircuitClosed {
                id,
                tick,
                relay: relay.as_ref(),
            },
            &Event::Refused {
                id,
                tick,
                ref error,
            } => Self::Refused { id, tick, error },
            #[cfg(feature = "dht")]
            &Event::RecordRejected { id, tick, reason } => {
                Self::RecordRejected { id, tick, reason }
            }
            &Event::Missed(events) => Self::Missed { events },
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Parts::from(self).serialize(serializer)
    }
}
