//! [`Announcement`]: what a relay says of itself while it serves.

use std::fmt;

use super::RecordError;
use crate::limits::MAX_CAPACITY;
use crate::relay::{AddressPolicy, Endpoint, NatType};

/// What a relay says of itself while it serves: where it is dialled and how
/// many leases it serves, and perhaps more.
///
/// All of it is a *claim*. The signature proves whose, and nothing proves that
/// it is true: admit a stranger's relay under
/// [`AddressPolicy::PublicOnly`], measure it, and let its claimed load rank
/// nothing. What no relay could mean (port 0, a multicast address, capacity 0)
/// is refused here.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    pub(crate) endpoint: Endpoint,
    pub(crate) capacity: u32,
    pub(crate) nat: Option<NatType>,
    pub(crate) load: Option<Load>,
    pub(crate) failure_domain: Option<FailureDomain>,
}

impl Announcement {
    /// An announcement that says only where the relay is dialled and how many
    /// leases it serves.
    ///
    /// # Errors
    ///
    /// [`RecordError::InvalidEndpoint`] if the endpoint can be dialled under no
    /// address policy, [`RecordError::InvalidCapacity`] unless the capacity is 1
    /// to [`MAX_CAPACITY`].
    pub fn new(endpoint: Endpoint, capacity: u32) -> Result<Self, RecordError> {
        endpoint.check(AddressPolicy::Any)?;
        if !(1..=MAX_CAPACITY).contains(&capacity) {
            return Err(RecordError::InvalidCapacity {
                capacity: capacity.into(),
            });
        }
        Ok(Self {
            endpoint,
            capacity,
            nat: None,
            load: None,
            failure_domain: None,
        })
    }

    /// Says what kind of address translation the relay sits behind.
    #[must_use]
    pub fn with_nat(mut self, nat: impl Into<Option<NatType>>) -> Self {
        self.nat = nat.into();
        self
    }

    /// Says how loaded the relay is.
    #[must_use]
    pub fn with_load(mut self, load: impl Into<Option<Load>>) -> Self {
        self.load = load.into();
        self
    }

    /// Says what the relay fails together with.
    #[must_use]
    pub fn with_failure_domain(mut self, domain: impl Into<Option<FailureDomain>>) -> Self {
        self.failure_domain = domain.into();
        self
    }

    /// Where the relay is dialled.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How many leases the relay serves at a time: 1 to [`MAX_CAPACITY`].
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// What kind of address translation the relay sits behind, if it says so.
    #[must_use]
    pub const fn nat(&self) -> Option<NatType> {
        self.nat
    }

    /// How loaded the relay is, if it says so.
    #[must_use]
    pub const fn load(&self) -> Option<Load> {
        self.load
    }

    /// What the relay fails together with, if it says so.
    #[must_use]
    pub const fn failure_domain(&self) -> Option<&FailureDomain> {
        self.failure_domain.as_ref()
    }
}

/// How loaded a relay is, in sixteenths of its capacity.
///
/// Coarse on purpose: a finer figure would be out of date by the time it is
/// read, would have to be published more often, and would tell strangers more
/// of what the relay does than they need.
///
/// ```
/// use relay_registry::dht::Load;
///
/// assert_eq!(Load::of(0, 100), Load::IDLE);
/// assert_eq!(Load::of(1, 100).sixteenths(), 1); // busy, if only a little
/// assert_eq!(Load::of(99, 100).sixteenths(), 15); // not yet full
/// assert_eq!(Load::of(100, 100), Load::FULL);
/// assert_eq!(Load::of(50, 100).units(100), 50);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Load(u8);

impl Load {
    /// Nothing in use.
    pub const IDLE: Self = Self(0);

    /// All in use.
    pub const FULL: Self = Self(16);

    /// The load of a relay with `in_use` of `capacity` units in use, rounded up,
    /// but full only if it is.
    #[must_use]
    pub fn of(in_use: u32, capacity: u32) -> Self {
        if in_use >= capacity {
            return Self::FULL;
        }
        let steps = (u64::from(in_use) * 16).div_ceil(u64::from(capacity));
        Self(steps.min(15) as u8)
    }

    /// So many sixteenths of the capacity: 0 to 16.
    ///
    /// # Errors
    ///
    /// [`RecordError::InvalidLoad`] for more.
    pub fn from_sixteenths(sixteenths: u64) -> Result<Self, RecordError> {
        match u8::try_from(sixteenths) {
            Ok(steps) if steps <= Self::FULL.0 => Ok(Self(steps)),
            _ => Err(RecordError::InvalidLoad { sixteenths }),
        }
    }

    /// How many sixteenths of the capacity are in use: 0 to 16.
    #[must_use]
    pub const fn sixteenths(self) -> u8 {
        self.0
    }

    /// About how many of `capacity` units are in use: none to all of them.
    #[must_use]
    pub const fn units(self, capacity: u32) -> u32 {
        (capacity as u64 * self.0 as u64 / 16) as u32
    }
}

/// What a relay fails together with: a host, a rack, an operator.
///
/// Relays that name the same domain are likely to be gone at the same time, so
/// a second choice is better taken from another. The name is whatever operators
/// agree on: 1 to 63 visible ASCII characters, without spaces.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FailureDomain(Box<str>);

impl FailureDomain {
    /// The greatest length of a name, as that of a label in a registry.
    pub const MAX_LEN: usize = 63;

    /// The domain with this name.
    ///
    /// # Errors
    ///
    /// [`RecordError::InvalidFailureDomain`] unless the name has 1 to 63
    /// visible ASCII characters.
    pub fn new(name: &str) -> Result<Self, RecordError> {
        let is_visible = name.bytes().all(|byte| byte.is_ascii_graphic());
        if is_visible && (1..=Self::MAX_LEN).contains(&name.len()) {
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
