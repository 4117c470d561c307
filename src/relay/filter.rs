//! [`Filter`]: which relays a call asks for, by what they announce.

use super::{Endpoint, Host, Label};
use std::fmt;
use std::net::IpAddr;

/// A version of the Internet Protocol.
///
/// ```
/// use relay_registry::{FindOptions, IpFamily};
///
/// let options = FindOptions::new().family(IpFamily::V6);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Labels that a relay must have, labels that it must not have, and the family over which it
/// must be reachable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// In the order of their names, each once.
    require: Vec<Label>,
    avoid: Vec<Label>,
    family: Option<IpFamily>,
}

impl Filter {
    pub(crate) fn require(&mut self, names: impl IntoIterator<Item = impl AsRef<str>>) {
        add(&mut self.require, names);
    }

    pub(crate) fn avoid(&mut self, names: impl IntoIterator<Item = impl AsRef<str>>) {
        add(&mut self.avoid, names);
    }

    pub(crate) fn set_family(&mut self, family: IpFamily) {
        self.family = Some(family);
    }

    /// Labels that a relay must have, in the order of their names.
    pub(crate) fn required(&self) -> &[Label] {
        &self.require
    }

    /// Labels that a relay must not have, in the order of their names.
    pub(crate) fn avoided(&self) -> &[Label] {
        &self.avoid
    }

    pub(crate) fn family(&self) -> Option<IpFamily> {
        self.family
    }

    /// Whether a relay with these labels has those that it must have, and none of those that
    /// it must not have.
    pub(crate) fn admits_labels(&self, labels: &[Label]) -> bool {
        self.require.iter().all(|label| labels.contains(label))
            && !self.avoid.iter().any(|label| labels.contains(label))
    }

    /// Whether a relay at any of these endpoints is reachable over the family.
    pub(crate) fn admits_endpoints<'a>(
        &self,
        endpoints: impl IntoIterator<Item = &'a Endpoint>,
    ) -> bool {
        let Some(family) = self.family else {
            return true;
        };
        let is_reachable = |endpoint: &Endpoint| match endpoint.host() {
            Host::Ip(IpAddr::V4(_)) => family == IpFamily::V4,
            Host::Ip(IpAddr::V6(_)) => family == IpFamily::V6,
            // It may resolve to an address of either.
            Host::Name(_) => true,
        };
        endpoints.into_iter().any(is_reachable)
    }
}

fn add(labels: &mut Vec<Label>, names: impl IntoIterator<Item = impl AsRef<str>>) {
    labels.extend(names.into_iter().map(|name| Label::new(name.as_ref())));
    labels.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    labels.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str]) -> Vec<Label> {
        Label::set(names).map_or(Vec::new(), |labels| labels.to_vec())
    }

    #[test]
    fn all_required_labels_and_none_to_avoid() {
        let mut filter = Filter::default();
        filter.require(["udp", "eu"]);
        filter.avoid(["metered"]);
        for (has, admitted) in [
            (&["eu", "udp"][..], true),
            (&["eu", "udp", "tcp"], true),
            (&["eu"], false),
            (&[], false),
            (&["eu", "udp", "metered"], false),
        ] {
            assert_eq!(filter.admits_labels(&labels(has)), admitted, "{has:?}");
        }
        assert!(Filter::default().admits_labels(&[]));
    }

    #[test]
    fn what_is_added_twice_counts_once_in_any_order() {
        let [mut one, mut other] = [Filter::default(), Filter::default()];
        one.require(["a", "b"]);
        one.require(["a"]);
        other.require(["b", "a"]);
        assert_eq!(one, other);
    }

    #[test]
    fn an_endpoint_of_the_family_or_a_name_is_enough() {
        let endpoints =
            |all: &[&str]| -> Vec<Endpoint> { all.iter().map(|it| it.parse().unwrap()).collect() };
        for (at, v4, v6) in [
            (&["192.0.2.1:1"][..], true, false),
            (&["[2001:db8::1]:1"], false, true),
            (&["192.0.2.1:1", "[2001:db8::1]:1"], true, true),
            (&["relay.example:1"], true, true),
            (&["[::ffff:192.0.2.1]:1"], true, false),
        ] {
            for (family, admitted) in [(IpFamily::V4, v4), (IpFamily::V6, v6)] {
                let mut filter = Filter::default();
                filter.set_family(family);
                let admits = filter.admits_endpoints(&endpoints(at));
                assert_eq!(admits, admitted, "{at:?} over {family}");
            }
        }
    }
}
