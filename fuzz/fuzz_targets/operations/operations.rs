//! What a fuzzing input says: how a registry is set up, and what is done to it.

use arbitrary::Arbitrary;
use relay_registry::{
    AddressPolicy, Endpoint, EndpointError, FindOptions, NatType, NodeId, PeerView, RegisterOptions,
};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

#[derive(Arbitrary, Debug)]
pub struct Case {
    pub setup: Setup,
    pub operations: Vec<Operation>,
}

#[derive(Arbitrary, Debug)]
pub struct Setup {
    pub return_grace: Option<Span>,
    pub max_relays: u8,
    pub ttl: Span,
    pub tick: Span,
    pub clock_starts_at: Span,
    pub local: Option<Peer>,
    pub public_only: bool,
    pub assumed_rtt: Option<Span>,
    pub crowd: Crowd,
    pub is_crowd_merged: bool,
}

/// Relays beside the few that operations are about, so that there are several levels to
/// search: in each case either none or many, idle or not.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Crowd {
    size: u8,
    latency: u8,
    capacity: u8,
    load: u8,
}

impl Crowd {
    const MOST: u16 = 300;

    fn size(self) -> u16 {
        match self.size {
            0..128 => 0,
            _ => (u16::from(self.size) - 128) * Self::MOST / 127,
        }
    }

    /// Ids, what each declares, and the load from elsewhere that is reported of it.
    pub fn relays(self) -> impl Iterator<Item = (NodeId, Declared, u32)> {
        (0..self.size()).map(move |number| {
            // Any numbers that differ from relay to relay.
            let mixed = u32::from(number).wrapping_mul(0x9e37_79b9) >> 24;
            let capacity = 1 + mixed * u32::from(self.capacity) / 255;
            let declared = Declared {
                capacity: Capacity::Any(capacity),
                latency: (self.latency > 0)
                    .then(|| Span::Millis((mixed * u32::from(self.latency) / 255) as u8 | 1)),
                nat: None,
                ttl: None,
                restarted: false,
            };
            (
                in_crowd(number),
                declared,
                capacity * u32::from(self.load) / 255,
            )
        })
    }
}

fn in_crowd(number: u16) -> NodeId {
    let mut bytes = [0x5a; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    NodeId::from(bytes)
}

#[derive(Arbitrary, Debug)]
pub enum Operation {
    Register(Peer, Address, Declared),
    Unregister(Peer),
    Lease(Peer),
    /// Drops one of the leases held.
    Release(u8),
    Reserve(Peer, Asked),
    Find(Peer, Asked),
    FindSome(Peer, Asked),
    RecordRtt(Peer, Span),
    ForgetRtt(Peer),
    ForgetRtts,
    DueForProbe(u8),
    ReportLoad(Peer, u8),
    ReportAnyLoad(Peer, u32),
    ReportLoadOfOthers(Peer, u8),
    Renew(Peer),
    Lift(Peer),
    SetDraining(Peer, bool),
    Maintain,
    Advance(Span),
}

/// A few peers, some of them more often than others, so that operations meet;
/// ids of all lengths, most of which differ in their last byte only.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Peer(u8);

impl Peer {
    const COUNT: u8 = 20;

    /// Some of them are in the crowd.
    pub fn all() -> impl Iterator<Item = NodeId> {
        let few = (0..Self::COUNT).map(id);
        few.chain((0..Self::COUNT).map(Self::in_crowd))
    }

    fn in_crowd(number: u8) -> NodeId {
        in_crowd(u16::from(number) * (Crowd::MOST / u16::from(Self::COUNT)))
    }

    pub fn id(self) -> NodeId {
        match self.0 {
            0..140 => id(self.0 % 4),
            140..236 => id(self.0 % Self::COUNT),
            _ => Self::in_crowd(self.0 - 236),
        }
    }
}

fn id(peer: u8) -> NodeId {
    let mut bytes = [0xa5; NodeId::MAX_LEN];
    let len = [1, 31, 32, 33, NodeId::MAX_LEN][usize::from(peer) % 5];
    bytes[len - 1] = peer;
    NodeId::from_bytes(&bytes[..len]).expect("of a valid length")
}

/// A length of time, from a nanosecond to beyond what a clock can tell.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Span {
    /// One tick and so many more.
    Ticks(u8),
    Nanos(u16),
    Millis(u8),
    Seconds(u8),
    Years(u16),
    Any(u64, u32),
    Longest,
}

impl Span {
    pub fn duration(self, tick: Duration) -> Duration {
        const YEAR: u64 = 365 * 24 * 60 * 60;
        match self {
            Self::Ticks(more) => tick.saturating_mul(u32::from(more) + 1),
            Self::Nanos(nanos) => Duration::from_nanos(nanos.into()),
            Self::Millis(millis) => Duration::from_millis(millis.into()),
            Self::Seconds(seconds) => Duration::from_secs(seconds.into()),
            Self::Years(years) => Duration::from_secs(YEAR * u64::from(years)),
            Self::Any(seconds, nanos) => Duration::new(seconds, nanos % 1_000_000_000),
            Self::Longest => Duration::MAX,
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Address {
    Public(u8),
    PublicV6(u8),
    Name(u8),
    Private(u8),
    Loopback(u8),
    Documentation(u8),
    Unfit(Unfit),
}

/// What cannot be dialled.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Unfit {
    PortZero,
    Unspecified,
    Multicast,
    Broadcast,
    LinkLocal,
}

impl Address {
    pub fn endpoint(self) -> Endpoint {
        let at = |ip: [u8; 4], port| SocketAddr::from((ip, port)).into();
        match self {
            Self::Public(n) => at([9, 8, 7, n], 4433),
            Self::PublicV6(n) => {
                let ip = Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, 0, n.into());
                SocketAddr::from((ip, 443)).into()
            }
            Self::Name(n) => {
                Endpoint::from_name(&format!("relay-{n}.peers.io"), 443).expect("a hostname")
            }
            Self::Private(n) => at([10, 0, 0, n], 4433),
            Self::Loopback(n) => at([127, 0, 0, n], 4433),
            Self::Documentation(n) => at([192, 0, 2, n], 4433),
            Self::Unfit(Unfit::PortZero) => at([9, 8, 7, 6], 0),
            Self::Unfit(Unfit::Unspecified) => at([0, 0, 0, 0], 1),
            Self::Unfit(Unfit::Multicast) => at([224, 0, 0, 1], 1),
            Self::Unfit(Unfit::Broadcast) => at([255, 255, 255, 255], 1),
            Self::Unfit(Unfit::LinkLocal) => {
                let ip = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
                SocketAddr::from((ip, 443)).into()
            }
        }
    }

    /// Why a relay cannot be registered here, if it cannot.
    pub fn error(self, policy: AddressPolicy) -> Option<EndpointError> {
        match self {
            Self::Unfit(Unfit::PortZero) => Some(EndpointError::ZeroPort),
            Self::Unfit(Unfit::Unspecified) => Some(EndpointError::Unspecified),
            Self::Unfit(Unfit::Multicast) => Some(EndpointError::Multicast),
            Self::Unfit(Unfit::Broadcast) => Some(EndpointError::Broadcast),
            Self::Unfit(Unfit::LinkLocal) => Some(EndpointError::LinkLocal),
            _ if self.is_private() && policy == AddressPolicy::PublicOnly => {
                Some(EndpointError::NotPublic)
            }
            _ => None,
        }
    }

    /// Whether it means nothing to strangers.
    pub fn is_private(self) -> bool {
        matches!(
            self,
            Self::Private(_) | Self::Loopback(_) | Self::Documentation(_)
        )
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Nat {
    PublicIp,
    FullCone,
    Symmetric,
}

/// Mostly small ones, so that relays fill up.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Capacity {
    Unset,
    Small(u8),
    Smaller(bool),
    Any(u32),
}

/// What a relay declares.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Declared {
    capacity: Capacity,
    latency: Option<Span>,
    nat: Option<Nat>,
    ttl: Option<Span>,
    pub restarted: bool,
}

impl Declared {
    pub fn capacity(&self) -> Option<u32> {
        match self.capacity {
            Capacity::Unset => None,
            Capacity::Small(leases) => Some(leases.into()),
            Capacity::Smaller(is_larger) => Some(1 + u32::from(is_larger)),
            Capacity::Any(leases) => Some(leases),
        }
    }

    pub fn latency(&self, tick: Duration) -> Option<Duration> {
        self.latency.map(|latency| latency.duration(tick))
    }

    pub fn ttl(&self, tick: Duration) -> Option<Duration> {
        self.ttl.map(|ttl| ttl.duration(tick))
    }

    pub fn nat(&self) -> Option<NatType> {
        self.nat.map(|nat| match nat {
            Nat::PublicIp => NatType::PublicIp,
            Nat::FullCone => NatType::FullCone,
            Nat::Symmetric => NatType::Symmetric,
        })
    }

    pub fn options(&self, tick: Duration) -> RegisterOptions {
        let mut options = RegisterOptions::new();
        if let Some(capacity) = self.capacity() {
            options = options.capacity(capacity);
        }
        if let Some(latency) = self.latency(tick) {
            options = options.latency(latency);
        }
        if let Some(nat) = self.nat() {
            options = options.nat(nat);
        }
        if let Some(ttl) = self.ttl(tick) {
            options = options.ttl(ttl);
        }
        options.restarted(self.restarted)
    }
}

/// What a requester asks.
#[derive(Arbitrary, Clone, Debug)]
pub struct Asked {
    pub max_results: u8,
    excluded: [Option<Peer>; 3],
    max_latency: Option<Span>,
    pub allow_unmeasured: bool,
    requester: Option<Published>,
    target: Option<Published>,
}

/// What a peer tells of itself: relays, and its round trips to them in some unit.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Published([Option<(Peer, u16)>; PeerView::MAX_MEASURED]);

impl Published {
    /// The later counts of what is told twice of one relay.
    pub fn rtt_to(self, relay: &NodeId) -> Option<Duration> {
        let told = self.0.into_iter().flatten().rev();
        let mut told = told.filter(|(peer, _)| peer.id() == *relay);
        told.next().map(|(_, rtt)| Self::rtt(rtt))
    }

    fn rtt(units: u16) -> Duration {
        Duration::from_micros(1 + 16 * u64::from(units))
    }

    fn view(self) -> PeerView {
        let told = self.0.into_iter().flatten();
        told.fold(PeerView::new(), |view, (peer, units)| {
            let view = view.measured(peer.id(), Self::rtt(units));
            view.expect("a sane time, and room for it")
        })
    }
}

impl Asked {
    pub fn excluded(&self) -> impl Iterator<Item = NodeId> {
        self.excluded.iter().flatten().map(|peer| peer.id())
    }

    /// What is known of the peers, if anything is.
    pub fn pair(&self) -> Option<(Option<Published>, Option<Published>)> {
        let pair = (self.requester, self.target);
        (pair.0.is_some() || pair.1.is_some()).then_some(pair)
    }

    pub fn max_latency(&self, tick: Duration) -> Option<Duration> {
        self.max_latency.map(|rtt| rtt.duration(tick))
    }

    pub fn options(&self, tick: Duration) -> FindOptions {
        let mut options = FindOptions::new()
            .max_results(self.max_results.into())
            // By score alone: the model knows nothing of failure domains.
            .max_spread_cost(0.0)
            .exclude(self.excluded())
            .allow_unmeasured(self.allow_unmeasured);
        if let Some(requester) = self.requester {
            options = options.requester_view(requester.view());
        }
        if let Some(target) = self.target {
            options = options.target_view(target.view());
        }
        match self.max_latency(tick) {
            Some(rtt) => options.max_latency(rtt),
            None => options,
        }
    }
}
