//! A relay, or what the operator said of one, as an entry of a save.
//!
//! | key | field |
//! |---|---|
//! | 1 | id |
//! | 2 | deadline, if it is live |
//! | 3 | until when it is remembered, if it is gone |
//! | 10 to 20 | what it announced; not of one that was learned |
//! | 30 | round trips: second, microseconds, and 1 for one that was reported, for each |
//! | 31, 32 | circuit: its bits, and its tick |
//! | 33 to 35 | what the operator said: draining, tier, cost |
//!
//! Times are nanoseconds of the saved registry's time.

use super::fields::{EntryWriter, FieldError, Fields, Kind};
use crate::limits::MAX_RTT;
use crate::registry::relays::Relays;
use crate::relay::{
    Cost, DetailOptions, Details, Endpoint, Label, NatType, NodeId, RegisterOptions,
};
use crate::table::ObservedRecord;
use crate::table::record::{Announcement, Circuit, Origin, PolicyWord};
use crate::time::Tick;
use std::time::Duration;

const ID: u64 = 1;
const DEADLINE: u64 = 2;
const REMEMBERED_UNTIL: u64 = 3;
const ENDPOINT: u64 = 10;
const CAPACITY: u64 = 11;
const NAT: u64 = 12;
const TTL: u64 = 13;
const REGISTERED_AT: u64 = 14;
const TIER: u64 = 15;
const COST: u64 = 16;
const FAILURE_DOMAIN: u64 = 17;
const LABELS: u64 = 18;
const ALSO_AT: u64 = 19;
const PAYLOAD: u64 = 20;
const ROUND_TRIPS: u64 = 30;
const CIRCUIT: u64 = 31;
const CIRCUIT_UNTIL: u64 = 32;
const IS_DRAINING: u64 = 33;
const OPERATOR_TIER: u64 = 34;
const OPERATOR_COST: u64 = 35;

/// An entry that was read. Times are as they were saved.
#[derive(Debug)]
pub(super) struct RelayEntry {
    pub(super) id: NodeId,
    pub(super) standing: Standing,
    /// What it announced, if that is known.
    pub(super) announced: Option<Announced>,
    pub(super) round_trips: Vec<RoundTrip>,
    pub(super) circuit: Option<SavedCircuit>,
    pub(super) said: Said,
}

/// What a relay was when it was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Live {
        deadline: u64,
    },
    Gone {
        until: u64,
    },
    /// Not remembered but for its circuit, and what the operator said; or learned.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Announced {
    pub(super) endpoint: Endpoint,
    pub(super) options: RegisterOptions,
    pub(super) ttl: Duration,
    pub(super) registered_at: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct RoundTrip {
    pub(super) second: u64,
    pub(super) micros: u32,
    pub(super) is_seed: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SavedCircuit {
    pub(super) bits: u16,
    pub(super) until: u64,
}

/// What the operator said, but for a ban, which is in the circuit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) is_draining: bool,
    pub(super) tier: Option<u8>,
    pub(super) cost: Option<Cost>,
}

impl Said {
    /// The same as part of a policy.
    pub(super) fn applied_to(self, word: PolicyWord) -> PolicyWord {
        let word = match self.tier {
            Some(tier) => word.with_tier(Some(tier)),
            None => word,
        };
        match self.cost {
            Some(cost) => word.with_cost(Some(cost)),
            None => word,
        }
    }

    pub(super) fn is_anything(self) -> bool {
        self != Self::default()
    }
}

/// The entry of a record; `None` if nothing of it is worth an entry. The caller is pinned.
pub(super) fn encode(relays: &Relays, record: &ObservedRecord<'_>, now: Tick) -> Option<Vec<u8>> {
    let word = record.word();
    if !word.is_known() {
        return None;
    }
    let announcement = record.announcement();
    let is_learned = announcement.is_some_and(|it| it.origin == Origin::Learned);
    // One that is past its deadline, and not removed yet, is late when it is restored.
    let is_live = word.is_live();
    let is_in_grace = !is_live && word.is_gone() && word.is_remembered_at(now);
    let (tier, cost) = record.policy_word().said_by_operator();
    let said = Said {
        is_draining: record.load().is_draining(),
        tier,
        cost,
    };
    let circuit = record.circuit();
    let has_circuit = circuit.is_penalised() || circuit.is_banned(now);
    let has_relay = (is_live || is_in_grace) && !is_learned;
    if !(has_relay || said.is_anything() || has_circuit) {
        return None;
    }

    let nanos = |tick: Tick| relays.timeline.nanos_of(tick);
    let mut entry = EntryWriter::new(Kind::Relay);
    entry.put_bytes(ID, record.identity().as_bytes());
    if has_relay {
        let until = nanos(word.deadline());
        entry.put(if is_live { DEADLINE } else { REMEMBERED_UNTIL }, until);
        if let Some(announcement) = announcement {
            put_announcement(&mut entry, announcement);
        }
        let numbers = record.rtt_samples().flat_map(|sample| {
            let second = sample.second.number();
            [second, sample.micros.into(), sample.is_seed.into()]
        });
        entry.put_list(ROUND_TRIPS, numbers);
    }
    if has_circuit {
        entry.put(CIRCUIT, circuit.saved_bits());
        entry.put(CIRCUIT_UNTIL, nanos(circuit.until()));
    }
    entry.put_flag(IS_DRAINING, said.is_draining);
    entry.put_some(OPERATOR_TIER, said.tier);
    entry.put_some(OPERATOR_COST, said.cost.map(Cost::thousandths));
    Some(entry.finish())
}

fn put_announcement(entry: &mut EntryWriter, announcement: &Announcement) {
    let &Announcement {
        ref endpoint,
        capacity,
        nat,
        origin: _, // `Local`: others are not saved
        ttl_nanos,
        registered_at,
        tier,
        cost,
        ref details,
    } = announcement;
    let none = Details::NONE;
    let Details {
        failure_domain,
        labels,
        also_at,
        payload,
    } = details.as_deref().unwrap_or(&none);
    entry.put(ENDPOINT, endpoint.to_string().as_str());
    entry.put(CAPACITY, capacity);
    entry.put_some(NAT, nat.map(|nat| nat.to_string()).as_deref());
    entry.put(TTL, ttl_nanos);
    entry.put(REGISTERED_AT, registered_at);
    entry.put_some(TIER, Some(tier).filter(|&tier| tier != 0));
    let cost = Some(cost).filter(|&cost| cost != Cost::ONE);
    entry.put_some(COST, cost.map(Cost::thousandths));
    entry.put_some(FAILURE_DOMAIN, failure_domain.as_deref());
    let labels = labels.iter().flat_map(|labels| labels.iter());
    entry.put_list(LABELS, labels.map(|label| &*label.name));
    let also_at = also_at.iter().flat_map(|others| others.iter());
    let also_at: Vec<String> = also_at.map(Endpoint::to_string).collect();
    entry.put_list(ALSO_AT, also_at.iter().map(String::as_str));
    if let Some(payload) = payload {
        entry.put_bytes(PAYLOAD, payload);
    }
}

impl RelayEntry {
    pub(super) fn decode(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let deadline = fields.optional(DEADLINE)?;
        let remembered_until = fields.optional(REMEMBERED_UNTIL)?;
        let standing = match (deadline, remembered_until) {
            (Some(deadline), _) => Standing::Live { deadline },
            (None, Some(until)) => Standing::Gone { until },
            (None, None) => Standing::Unknown,
        };
        let announced = announced(fields)?;
        if matches!(standing, Standing::Live { .. }) && announced.is_none() {
            return Err(FieldError::Field(ENDPOINT));
        }
        Ok(Self {
            id: id(fields, ID)?,
            standing,
            announced,
            round_trips: round_trips(fields)?,
            circuit: circuit(fields)?,
            said: Said {
                is_draining: fields.flag(IS_DRAINING)?,
                tier: fields.optional(OPERATOR_TIER)?,
                cost: cost(fields, OPERATOR_COST)?,
            },
        })
    }
}

/// The id in a field.
pub(super) fn id(fields: &Fields<'_>, key: u64) -> Result<NodeId, FieldError> {
    let id = NodeId::from_bytes(fields.bytes(key)?);
    id.map_err(|_| FieldError::Field(key))
}

/// What a relay announced, as a registration that would announce the same. Its values are
/// checked when it is registered.
fn announced(fields: &Fields<'_>) -> Result<Option<Announced>, FieldError> {
    let Some(endpoint) = fields.optional::<&str>(ENDPOINT)? else {
        return Ok(None);
    };
    let parsed = |key, text: &str| text.parse().map_err(|_| FieldError::Field(key));
    let endpoint: Endpoint = parsed(ENDPOINT, endpoint)?;
    let nat: Option<&str> = fields.optional(NAT)?;
    let nat = nat.map(|nat| nat.parse::<NatType>());
    let nat = nat.transpose().map_err(|_| FieldError::Field(NAT))?;
    let ttl = Duration::from_nanos(fields.required(TTL)?);
    Ok(Some(Announced {
        endpoint,
        options: RegisterOptions {
            capacity: Some(fields.required(CAPACITY)?),
            latency: None,
            nat,
            ttl: Some(ttl),
            restarted: false,
            details: details(fields)?.map(Box::new),
        },
        ttl,
        registered_at: fields.required(REGISTERED_AT)?,
    }))
}

fn details(fields: &Fields<'_>) -> Result<Option<DetailOptions>, FieldError> {
    let failure_domain: Option<&str> = fields.optional(FAILURE_DOMAIN)?;
    let labels: Vec<&str> = fields.list(LABELS)?;
    let further: Vec<&str> = fields.list(ALSO_AT)?;
    let further: Result<Vec<Endpoint>, _> = further.into_iter().map(str::parse).collect();
    let further = further.map_err(|_| FieldError::Field(ALSO_AT))?;
    let details = DetailOptions {
        failure_domain: failure_domain.map(Into::into),
        tier: fields.optional(TIER)?,
        cost: cost(fields, COST)?.map(Cost::factor),
        labels: (!labels.is_empty()).then(|| Label::set(labels)),
        also_at: (!further.is_empty()).then_some(further),
        payload: fields.optional_bytes(PAYLOAD)?.map(Into::into),
    };
    Ok((details != DetailOptions::default()).then_some(details))
}

fn cost(fields: &Fields<'_>, key: u64) -> Result<Option<Cost>, FieldError> {
    let thousandths: Option<u16> = fields.optional(key)?;
    let cost = |thousandths: u16| Cost::new(f64::from(thousandths) / 1000.0);
    let checked = |thousandths| cost(thousandths).ok_or(FieldError::Field(key));
    thousandths.map(checked).transpose()
}

fn round_trips(fields: &Fields<'_>) -> Result<Vec<RoundTrip>, FieldError> {
    let numbers: Vec<u64> = fields.list(ROUND_TRIPS)?;
    let round_trip = |numbers: &[u64]| match *numbers {
        [second, micros, is_seed @ (0 | 1)] => Some(RoundTrip {
            second,
            micros: u32::try_from(micros)
                .ok()
                .filter(|&micros| micros > 0 && Duration::from_micros(micros.into()) <= MAX_RTT)?,
            is_seed: is_seed == 1,
        }),
        _ => None,
    };
    let round_trips = numbers.chunks(3).map(round_trip).collect();
    Fields::checked(ROUND_TRIPS, round_trips)
}

fn circuit(fields: &Fields<'_>) -> Result<Option<SavedCircuit>, FieldError> {
    let Some(bits) = fields.optional(CIRCUIT)? else {
        return Ok(None);
    };
    if bits > Circuit::MAX_SAVED {
        return Err(FieldError::Field(CIRCUIT));
    }
    let until = fields.required(CIRCUIT_UNTIL)?;
    Ok(Some(SavedCircuit { bits, until }))
}
