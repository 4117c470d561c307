//! [`Announcement`]: the endpoint, capacity and other properties that a relay
//! publishes.

use std::fmt;

use super::{FULL_LOAD, RecordError};
use crate::limits::{
    MAX_CAPACITY, MAX_DOMAIN_LEN, MAX_FURTHER_ENDPOINTS, MAX_LABELS, MAX_PAYLOAD_LEN,
};
use crate::relay::{AddressPolicy, Endpoint, Label, NatType, further_endpoints};
use crate::sync::Arc;

/// The properties that a relay publishes while it serves: its endpoint, its
/// capacity, and optional ones.
///
/// All of them are *claims*. The signature proves which relay made them, not that
/// they are true. So admit a remote relay under [`AddressPolicy::PublicOnly`],
/// measure its round trip, and do not rank relays by the load that they claim.
/// Values that are never valid (port 0, a multicast address, capacity 0) are
/// rejected here.
///
/// ```
/// use relay_registry::dht::{Announcement, FailureDomain, Load};
/// use relay_registry::NatType;
///
/// let announcement = Announcement::new("relay.example:4433".parse()?, 250)?
///     .with_nat(NatType::FullCone)
///     .with_load(Load::of(40, 250))
///     .with_failure_domain(FailureDomain::new("eu-west/rack-7")?);
/// assert_eq!(announcement.capacity(), 250);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Announcement {
    pub(crate) endpoint: Endpoint,
    pub(crate) capacity: u32,
    pub(crate) nat: Option<NatType>,
    pub(crate) load: Option<Load>,
    pub(crate) failure_domain: Option<FailureDomain>,
    /// In the order of their names, each once; no list here is empty.
    pub(crate) labels: Option<Arc<[Label]>>,
    /// Without the main endpoint, each once.
    pub(crate) also_at: Option<Arc<[Endpoint]>>,
    pub(crate) payload: Option<Arc<[u8]>>,
}

impl Announcement {
    /// An announcement of an endpoint and a capacity in leases.
    ///
    /// # Errors
    ///
    /// - [`RecordError::InvalidEndpoint`] if no address policy allows the endpoint.
    /// - [`RecordError::InvalidCapacity`] unless the capacity is 1 to
    ///   [`MAX_CAPACITY`].
    pub fn new(endpoint: Endpoint, capacity: u32) -> Result<Self, RecordError> {
        let announcement = Self {
            endpoint,
            capacity,
            nat: None,
            load: None,
            failure_domain: None,
            labels: None,
            also_at: None,
            payload: None,
        };
        announcement.checked()
    }

    /// The same announcement, if its values are valid. (A load and a failure domain always
    /// are.)
    pub(crate) fn checked(self) -> Result<Self, RecordError> {
        let Self {
            endpoint,
            capacity,
            nat: _,
            load: _,
            failure_domain: _,
            labels,
            also_at,
            payload,
        } = &self;
        endpoint.check(AddressPolicy::Any)?;
        if !(1..=MAX_CAPACITY).contains(capacity) {
            return Err(RecordError::InvalidCapacity {
                capacity: (*capacity).into(),
            });
        }
        check_labels(labels.as_deref().unwrap_or_default())?;
        check_further(also_at.as_deref().unwrap_or_default())?;
        match payload.as_ref().map(|payload| payload.len()) {
            Some(len) if len > MAX_PAYLOAD_LEN => Err(RecordError::PayloadTooLong {
                len,
                max: MAX_PAYLOAD_LEN,
            }),
            _ => Ok(self),
        }
    }

    /// Sets the NAT type of the relay.
    #[must_use]
    pub fn with_nat(mut self, nat: impl Into<Option<NatType>>) -> Self {
        self.nat = nat.into();
        self
    }

    /// Sets the load of the relay.
    #[must_use]
    pub fn with_load(mut self, load: impl Into<Option<Load>>) -> Self {
        self.load = load.into();
        self
    }

    /// Sets the failure domain of the relay.
    #[must_use]
    pub fn with_failure_domain(mut self, domain: impl Into<Option<FailureDomain>>) -> Self {
        self.failure_domain = domain.into();
        self
    }

    /// Sets the labels of the relay: up to 8 of 1 to 32 bytes, without control characters. One
    /// that is given twice counts once.
    ///
    /// # Errors
    ///
    /// [`RecordError::InvalidLabel`] or [`RecordError::TooManyLabels`].
    ///
    /// ```
    /// use relay_registry::dht::Announcement;
    ///
    /// let announcement = Announcement::new("192.0.2.7:4433".parse()?, 100)?
    ///     .with_labels(["udp", "eu"])?
    ///     .with_also_at(["[2001:db8::7]:4433".parse()?])?
    ///     .with_payload(b"/dns4/relay.example/udp/4433/quic-v1")?;
    /// assert_eq!(announcement.labels().collect::<Vec<_>>(), ["eu", "udp"]);
    /// assert_eq!(announcement.also_at(), ["[2001:db8::7]:4433".parse()?]);
    /// assert_eq!(announcement.payload(), Some(&b"/dns4/relay.example/udp/4433/quic-v1"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_labels(
        mut self,
        labels: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, RecordError> {
        self.labels = Label::set(labels);
        self.checked()
    }

    /// Sets the further endpoints of the relay: up to 8. The main one is left out, and so is one
    /// that is given twice.
    ///
    /// # Errors
    ///
    /// [`RecordError::InvalidEndpoint`] or [`RecordError::TooManyEndpoints`].
    pub fn with_also_at(
        mut self,
        endpoints: impl IntoIterator<Item = Endpoint>,
    ) -> Result<Self, RecordError> {
        let endpoints: Vec<_> = endpoints.into_iter().collect();
        self.also_at = further_endpoints(&endpoints, &self.endpoint);
        self.checked()
    }

    /// Sets the payload of the relay: up to 512 bytes. No bytes are no payload.
    ///
    /// # Errors
    ///
    /// [`RecordError::PayloadTooLong`].
    pub fn with_payload(mut self, payload: impl AsRef<[u8]>) -> Result<Self, RecordError> {
        let payload = payload.as_ref();
        self.payload = (!payload.is_empty()).then(|| payload.into());
        self.checked()
    }

    /// Whether a probe of one announcement holds for the other: endpoints and payload are the
    /// same.
    pub(in crate::dht) fn has_same_contact(&self, other: &Self) -> bool {
        self.endpoint == other.endpoint
            && self.also_at == other.also_at
            && self.payload == other.payload
    }

    /// The address at which the relay accepts connections.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The number of leases that the relay serves at once: 1 to [`MAX_CAPACITY`].
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The NAT type of the relay, if it is announced.
    #[must_use]
    pub const fn nat(&self) -> Option<NatType> {
        self.nat
    }

    /// The load of the relay, if it is announced.
    #[must_use]
    pub const fn load(&self) -> Option<Load> {
        self.load
    }

    /// The failure domain of the relay, if it is announced.
    #[must_use]
    pub const fn failure_domain(&self) -> Option<&FailureDomain> {
        self.failure_domain.as_ref()
    }

    /// The labels of the relay, in the order of their bytes.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        let labels = self.labels.as_deref().unwrap_or_default();
        labels.iter().map(|label| &*label.name)
    }

    /// The further endpoints of the relay, without the main one.
    #[must_use]
    pub fn also_at(&self) -> &[Endpoint] {
        self.also_at.as_deref().unwrap_or_default()
    }

    /// The payload of the relay, if it is announced.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }
}

fn check_labels(labels: &[Label]) -> Result<(), RecordError> {
    if labels.iter().any(|label| !Label::is_valid(&label.name)) {
        return Err(RecordError::InvalidLabel);
    }
    match labels.len() {
        count if count > MAX_LABELS => Err(RecordError::TooManyLabels {
            count,
            max: MAX_LABELS,
        }),
        _ => Ok(()),
    }
}

fn check_further(endpoints: &[Endpoint]) -> Result<(), RecordError> {
    for endpoint in endpoints {
        endpoint.check(AddressPolicy::Any)?;
    }
    match endpoints.len() {
        count if count > MAX_FURTHER_ENDPOINTS => Err(RecordError::TooManyEndpoints {
            count,
            max: MAX_FURTHER_ENDPOINTS,
        }),
        _ => Ok(()),
    }
}

/// The load of a relay, in sixteenths of its capacity.
///
/// The unit is coarse on purpose. A finer value would be out of date when it is
/// read, would have to be published more often, and would disclose more of the
/// relay's traffic than readers need.
///
/// ```
/// use relay_registry::dht::Load;
///
/// assert_eq!(Load::of(0, 100), Load::IDLE);
/// assert_eq!(Load::of(1, 100).sixteenths(), 1); // rounded up
/// assert_eq!(Load::of(99, 100).sixteenths(), 15); // 16 only when full
/// assert_eq!(Load::of(100, 100), Load::FULL);
/// assert_eq!(Load::of(50, 100).units(100), 50);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Load(u8);

impl Load {
    /// No unit in use.
    pub const IDLE: Self = Self(0);

    /// All units in use.
    pub const FULL: Self = Self(FULL_LOAD);

    /// The load with `in_use` of `capacity` units in use. Rounds up, but to
    /// [`FULL`](Self::FULL) only if `in_use` is at least `capacity`.
    #[must_use]
    pub fn of(in_use: u32, capacity: u32) -> Self {
        if in_use >= capacity {
            return Self::FULL;
        }
        let steps = (u64::from(in_use) * 16).div_ceil(u64::from(capacity));
        Self(steps.min(15) as u8)
    }

    /// The load of 0 to 16 sixteenths of the capacity.
    ///
    /// # Errors
    ///
    /// [`RecordError::InvalidLoad`] above 16.
    pub fn from_sixteenths(sixteenths: u64) -> Result<Self, RecordError> {
        match u8::try_from(sixteenths) {
            Ok(steps) if steps <= Self::FULL.0 => Ok(Self(steps)),
            _ => Err(RecordError::InvalidLoad { sixteenths }),
        }
    }

    /// The sixteenths of the capacity that are in use: 0 to 16.
    #[must_use]
    pub const fn sixteenths(self) -> u8 {
        self.0
    }

    /// The load as a number of units of `capacity`, rounded down.
    #[must_use]
    pub const fn units(self, capacity: u32) -> u32 {
        (capacity as u64 * self.0 as u64 / 16) as u32
    }
}

/// The name that relays share if they are likely to fail together: a host, a rack,
/// an operator.
///
/// A backup for a relay is best taken from another domain. Operators choose the
/// names: 1 to 63 bytes, without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FailureDomain(Box<str>);

impl FailureDomain {
    /// The maximum length of a name in bytes, as in a registry.
    pub const MAX_LEN: usize = MAX_DOMAIN_LEN;

    /// The domain named `name`.
    ///
    /// # Errors
    ///
    /// [`RecordError::InvalidFailureDomain`] unless the name has 1 to 63
    /// bytes and no control character.
    pub fn new(name: &str) -> Result<Self, RecordError> {
        let is_printable = !name.contains(char::is_control);
        if is_printable && (1..=Self::MAX_LEN).contains(&name.len()) {
            Ok(Self(name.into()))
        } else {
            Err(RecordError::InvalidFailureDomain)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FailureDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for FailureDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FailureDomain({self})")
    }
}
