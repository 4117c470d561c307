//! Encodes and decodes the signed value of a record, a map with integer keys: see
//! `format.md`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use cbor4ii::core::dec::Decode;
use cbor4ii::core::types::Bytes;

use super::contents::Unknown;
use super::{
    Announcement, FailureDomain, Load, MAX_TTL, MAX_VALUE_LEN, RecordError, RelayRecord, micros,
};
use crate::cbor::{MapEntry, MapWriter, array, decode, elements, entries, item};
use crate::relay::{Endpoint, Host, Label, NatType, further_endpoints};
use crate::sync::Arc;

const VERSION: u64 = 0;
const KIND: u64 = 1;
const ISSUED_AT: u64 = 2;
const TTL: u64 = 3;
const HOST: u64 = 4;
const PORT: u64 = 5;
const CAPACITY: u64 = 6;
const NAT: u64 = 7;
const LOAD: u64 = 8;
const FAILURE_DOMAIN: u64 = 9;
const LABELS: u64 = 10;
const ALSO_AT: u64 = 11;
const PAYLOAD: u64 = 12;

/// The last key that this module knows.
const LAST: u64 = PAYLOAD;

/// The version of the format that this module reads and writes.
const FORMAT_VERSION: u64 = 1;

const KIND_ANNOUNCEMENT: u64 = 0;
const KIND_WITHDRAWAL: u64 = 1;

/// The index of each type is its code.
const NAT_TYPES: [NatType; 5] = [
    NatType::PublicIp,
    NatType::FullCone,
    NatType::RestrictedCone,
    NatType::PortRestrictedCone,
    NatType::Symmetric,
];

pub(super) fn encode_value(record: &RelayRecord) -> Vec<u8> {
    let mut map = MapWriter::default();
    map.entry(VERSION, FORMAT_VERSION);
    map.entry(
        KIND,
        match record.announcement() {
            Some(_) => KIND_ANNOUNCEMENT,
            None => KIND_WITHDRAWAL,
        },
    );
    map.entry(ISSUED_AT, micros(record.issued_at()));
    map.entry(TTL, record.ttl().as_millis() as u64);
    if let Some(announcement) = record.announcement() {
        encode_announcement(&mut map, announcement);
    }
    for (key, value) in record.unknown() {
        map.encoded_entry(key, value);
    }
    map.finish()
}

fn encode_announcement(map: &mut MapWriter, announcement: &Announcement) {
    let &Announcement {
        ref endpoint,
        capacity,
        nat,
        load,
        ref failure_domain,
        ref labels,
        ref also_at,
        ref payload,
    } = announcement;
    map.encoded_entry(HOST, &encode_host(endpoint));
    map.entry(PORT, endpoint.port());
    map.entry(CAPACITY, capacity);
    if let Some(nat) = nat {
        let code = NAT_TYPES.iter().position(|known| *known == nat);
        map.entry(NAT, code.unwrap_or_default() as u64);
    }
    if let Some(load) = load {
        map.entry(LOAD, load.sixteenths());
    }
    if let Some(domain) = failure_domain {
        map.entry(FAILURE_DOMAIN, domain.as_str());
    }
    if let Some(labels) = labels {
        let names = labels.iter().map(|label| item(&*label.name));
        map.encoded_entry(LABELS, &array(names));
    }
    if let Some(also_at) = also_at {
        map.encoded_entry(ALSO_AT, &array(also_at.iter().map(encode_endpoint)));
    }
    if let Some(payload) = payload {
        map.entry(PAYLOAD, Bytes(&payload[..]));
    }
}

fn encode_host(endpoint: &Endpoint) -> Vec<u8> {
    match endpoint.host() {
        Host::Ip(IpAddr::V4(ip)) => item(Bytes(&ip.octets()[..])),
        Host::Ip(IpAddr::V6(ip)) => item(Bytes(&ip.octets()[..])),
        Host::Name(name) => item(name),
    }
}

fn encode_endpoint(endpoint: &Endpoint) -> Vec<u8> {
    array([encode_host(endpoint), item(endpoint.port())].into_iter())
}

/// The length of the value of a record of this announcement, whatever its load, its times and
/// its TTL are.
pub(super) fn longest_value(announcement: &Announcement) -> usize {
    let mut map = MapWriter::default();
    map.entry(VERSION, FORMAT_VERSION);
    map.entry(KIND, KIND_ANNOUNCEMENT);
    map.entry(ISSUED_AT, u64::MAX);
    map.entry(TTL, MAX_TTL.as_millis() as u64);
    encode_announcement(&mut map, &announcement.clone().with_load(Load::FULL));
    map.finish().len()
}

/// Decodes the value of a record, if it is in canonical encoding.
pub(super) fn decode_value(value: &[u8], sequence: u64) -> Result<RelayRecord, RecordError> {
    if value.len() > MAX_VALUE_LEN {
        return Err(RecordError::TooLarge {
            len: value.len(),
            max: MAX_VALUE_LEN,
        });
    }
    let mut fields = Fields(entries(value)?);
    let record = decode_fields(&mut fields, sequence)?;
    let record = record.with_unknown(fields.into_unknown()?);
    // Deterministic CBOR has one encoding of each value, but some fields have
    // several values with one meaning: for example, hosts in other letter case.
    if encode_value(&record) != value {
        return Err(RecordError::NonCanonicalField);
    }
    Ok(record)
}

fn decode_fields(fields: &mut Fields<'_>, sequence: u64) -> Result<RelayRecord, RecordError> {
    let version = fields.required(VERSION)?;
    if version != FORMAT_VERSION {
        return Err(RecordError::UnsupportedVersion { version });
    }
    let kind = fields.required(KIND)?;
    let issued_at = Duration::from_micros(fields.required(ISSUED_AT)?);
    let ttl = Duration::from_millis(fields.required(TTL)?);
    let announcement = match kind {
        KIND_ANNOUNCEMENT => Some(decode_announcement(fields)?),
        KIND_WITHDRAWAL => None,
        kind => return Err(RecordError::UnsupportedKind { kind }),
    };
    RelayRecord::new(announcement, sequence, issued_at, ttl)
}

fn decode_announcement(fields: &mut Fields<'_>) -> Result<Announcement, RecordError> {
    let host = fields
        .take(HOST)
        .ok_or(RecordError::Missing { key: HOST })?;
    let port: u64 = fields.required(PORT)?;
    let endpoint = decode_endpoint(host, port, HOST, PORT)?;
    let also_at = fields.take(ALSO_AT);
    let also_at = also_at
        .map(|value| decode_further(value, &endpoint))
        .transpose()?;
    let capacity: u64 = fields.required(CAPACITY)?;
    let capacity =
        u32::try_from(capacity).map_err(|_| RecordError::InvalidCapacity { capacity })?;
    let nat = fields.optional(NAT)?.map(decode_nat).transpose()?;
    let load = fields.optional(LOAD)?.map(Load::from_sixteenths);
    let domain = fields.optional(FAILURE_DOMAIN)?.map(FailureDomain::new);
    let announcement = Announcement {
        endpoint,
        capacity,
        nat,
        load: load.transpose()?,
        failure_domain: domain.transpose()?,
        labels: fields
            .take(LABELS)
            .map(decode_labels)
            .transpose()?
            .flatten(),
        also_at: also_at.flatten(),
        payload: fields
            .optional(PAYLOAD)?
            .and_then(|Bytes(payload): Bytes<&[u8]>| (!payload.is_empty()).then(|| payload.into())),
    };
    announcement.checked()
}

/// The keys are those of the fields that are named if host or port have the wrong type.
fn decode_endpoint(
    host: &[u8],
    port: u64,
    host_key: u64,
    port_key: u64,
) -> Result<Endpoint, RecordError> {
    let port = u16::try_from(port).map_err(|_| RecordError::WrongType { key: port_key })?;
    if let Some(name) = decode::<&str>(host) {
        return Ok(Endpoint::from_name(name, port)?);
    }
    let Some(Bytes(ip)) = decode::<Bytes<&[u8]>>(host) else {
        return Err(RecordError::WrongType { key: host_key });
    };
    if let Ok(v4) = <[u8; 4]>::try_from(ip) {
        Ok(SocketAddr::from((Ipv4Addr::from(v4), port)).into())
    } else if let Ok(v6) = <[u8; 16]>::try_from(ip) {
        Ok(SocketAddr::from((Ipv6Addr::from(v6), port)).into())
    } else {
        Err(RecordError::WrongType { key: host_key })
    }
}

/// In whatever order; a record with another order than the canonical one is refused later.
fn decode_labels(value: &[u8]) -> Result<Option<Arc<[Label]>>, RecordError> {
    let wrong_type = RecordError::WrongType { key: LABELS };
    let names = elements(value).ok_or(wrong_type.clone())?;
    let names: Option<Vec<&str>> = names.into_iter().map(decode).collect();
    Ok(Label::set(names.ok_or(wrong_type)?))
}

fn decode_further(value: &[u8], main: &Endpoint) -> Result<Option<Arc<[Endpoint]>>, RecordError> {
    let pairs = elements(value).ok_or(RecordError::WrongType { key: ALSO_AT })?;
    let endpoints: Result<Vec<_>, _> = pairs.into_iter().map(decode_pair).collect();
    Ok(further_endpoints(&endpoints?, main))
}

fn decode_pair(value: &[u8]) -> Result<Endpoint, RecordError> {
    let wrong_type = RecordError::WrongType { key: ALSO_AT };
    let pair = elements(value).ok_or(wrong_type.clone())?;
    let &[host, port] = &pair[..] else {
        return Err(wrong_type);
    };
    let port = decode(port).ok_or(wrong_type)?;
    decode_endpoint(host, port, ALSO_AT, ALSO_AT)
}

fn decode_nat(code: u64) -> Result<NatType, RecordError> {
    usize::try_from(code)
        .ok()
        .and_then(|code| NAT_TYPES.get(code))
        .copied()
        .ok_or(RecordError::InvalidNat { code })
}

/// The fields that were not decoded yet, sorted by key.
struct Fields<'a>(Vec<MapEntry<'a>>);

impl<'a> Fields<'a> {
    fn take(&mut self, key: u64) -> Option<&'a [u8]> {
        let index = self.0.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some(self.0.remove(index).1)
    }

    fn optional<T: Decode<'a>>(&mut self, key: u64) -> Result<Option<T>, RecordError> {
        self.take(key)
            .map(|value| decode(value).ok_or(RecordError::WrongType { key }))
            .transpose()
    }

    fn required<T: Decode<'a>>(&mut self, key: u64) -> Result<T, RecordError> {
        self.optional(key)?.ok_or(RecordError::Missing { key })
    }

    /// The remaining fields. Fails if one of them belongs to another kind of
    /// record.
    fn into_unknown(self) -> Result<Vec<Unknown>, RecordError> {
        match self.0.first() {
            Some(&(key, _)) if key <= LAST => Err(RecordError::Unexpected { key }),
            _ => Ok(self
                .0
                .into_iter()
                .map(|(key, value)| (key, value.into()))
                .collect()),
        }
    }
}
