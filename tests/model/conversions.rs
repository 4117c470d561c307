//! Conversions from the model's types to the registry's.

use super::{
    Address, AddressFault, Change, Family, Fault, Filter, Nat, Query, Refusal, Trust, View,
};
use relay_registry::{
    CircuitState, Endpoint, EndpointError, Failure, FindOptions, IpFamily, NatType, NodeId,
    PeerView, RegisterError, RegisterOptions,
};
use std::net::IpAddr;

impl Address for Endpoint {
    fn ip(&self) -> Option<IpAddr> {
        self.socket_addr().map(|address| address.ip())
    }

    fn port(&self) -> u16 {
        Endpoint::port(self)
    }
}

pub fn register_options(change: &Change<Endpoint>) -> RegisterOptions {
    let mut options = RegisterOptions::new();
    if let Some(capacity) = change.capacity {
        options = options.capacity(capacity);
    }
    if let Some(latency) = change.latency {
        options = options.latency(latency);
    }
    if let Some(nat) = change.nat {
        options = options.nat(nat_type(nat));
    }
    if let Some(ttl) = change.ttl {
        options = options.ttl(ttl);
    }
    if let Some(tier) = change.rank.tier {
        options = options.tier(tier);
    }
    if let Some(cost) = change.rank.cost {
        options = options.cost(cost);
    }
    if let Some(labels) = &change.details.labels {
        options = options.labels(labels);
    }
    if let Some(also_at) = &change.details.also_at {
        options = options.also_at(also_at.iter().cloned());
    }
    if let Some(name) = &change.details.domain {
        options = options.failure_domain(name.as_str());
    }
    options.restarted(change.restarted)
}

pub fn find_options(query: &Query<NodeId>) -> FindOptions {
    let options = FindOptions::new()
        .max_spread_cost(0.0)
        .max_results(query.max_results)
        .exclude(query.excluded.iter().copied())
        .allow_unmeasured(query.allow_unmeasured)
        .units(query.units);
    let options = filtered(options, &query.filter);
    let options = match query.max_latency {
        Some(max) => options.max_latency(max),
        None => options,
    };
    let options = match query.preferred {
        Some(preferred) => options.prefer(preferred),
        None => options,
    };
    let options = match query.requester {
        Some(peer) => options.requester(peer),
        None => options,
    };
    let options = match &query.requester_view {
        Some(view) => options.requester_view(peer_view(view)),
        None => options,
    };
    match &query.target_view {
        Some(view) => options.target_view(peer_view(view)),
        None => options,
    }
}

fn filtered(mut options: FindOptions, filter: &Filter) -> FindOptions {
    if !filter.require.is_empty() {
        options = options.require(&filter.require);
    }
    if !filter.avoid.is_empty() {
        options = options.avoid(&filter.avoid);
    }
    if !filter.exclude_domains.is_empty() {
        options = options.exclude_domains(&filter.exclude_domains);
    }
    match filter.family {
        Some(Family::V4) => options.family(IpFamily::V4),
        Some(Family::V6) => options.family(IpFamily::V6),
        None => options,
    }
}

pub fn peer_view(measured: &View<NodeId>) -> PeerView {
    measured.iter().fold(PeerView::new(), |view, (&id, &rtt)| {
        view.measured(id, rtt).expect("a sane round trip")
    })
}

pub fn failure(fault: Fault) -> Failure {
    match fault {
        Fault::Refused => Failure::Refused,
        Fault::TimedOut => Failure::TimedOut,
    }
}

pub fn circuit_state(trust: Trust) -> CircuitState {
    match trust {
        Trust::Closed => CircuitState::Closed,
        Trust::Open => CircuitState::Open,
        Trust::HalfOpen => CircuitState::HalfOpen,
    }
}

pub fn nat_type(nat: Nat) -> NatType {
    match nat {
        Nat::PublicIp => NatType::PublicIp,
        Nat::FullCone => NatType::FullCone,
        Nat::RestrictedCone => NatType::RestrictedCone,
        Nat::PortRestrictedCone => NatType::PortRestrictedCone,
        Nat::Symmetric => NatType::Symmetric,
    }
}

pub fn refusal(error: &RegisterError) -> Refusal {
    match error {
        RegisterError::NotReachable { nat, .. } => {
            let nats = [
                Nat::PublicIp,
                Nat::FullCone,
                Nat::RestrictedCone,
                Nat::PortRestrictedCone,
                Nat::Symmetric,
            ];
            let named = nats.into_iter().find(|&known| nat_type(known) == *nat);
            Refusal::NotReachable(named.expect("a known NAT type"))
        }
        RegisterError::InvalidCapacity { capacity, .. } => Refusal::Capacity(*capacity),
        RegisterError::InvalidTtl { ttl, .. } => Refusal::Ttl(*ttl),
        RegisterError::InvalidLatency { latency, .. } => Refusal::Latency(*latency),
        RegisterError::InvalidCost { cost, .. } => Refusal::Cost(cost.to_bits()),
        RegisterError::InvalidFailureDomain { len, .. } => Refusal::Domain(*len),
        RegisterError::InvalidLabel { label, .. } => Refusal::Label(label.to_string()),
        RegisterError::TooManyLabels { count, .. } => Refusal::TooManyLabels(*count),
        RegisterError::TooManyEndpoints { count, .. } => Refusal::TooManyEndpoints(*count),
        RegisterError::InvalidFurtherEndpoint { reason, .. } => {
            Refusal::FurtherAddress(address_fault(reason))
        }
        RegisterError::ClockExhausted => Refusal::ClockExhausted,
        RegisterError::InvalidEndpoint(fault) => Refusal::Address(address_fault(fault)),
        other => panic!("an unexpected refusal: {other:?}"),
    }
}

fn address_fault(fault: &EndpointError) -> AddressFault {
    match fault {
        EndpointError::ZeroPort => AddressFault::ZeroPort,
        EndpointError::Unspecified => AddressFault::Unspecified,
        EndpointError::Multicast => AddressFault::Multicast,
        EndpointError::Broadcast => AddressFault::Broadcast,
        EndpointError::LinkLocal => AddressFault::LinkLocal,
        EndpointError::NotPublic => AddressFault::NotPublic,
        other => panic!("an unexpected fault of an address: {other:?}"),
    }
}
