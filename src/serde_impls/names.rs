//! Enumerations that are names.

use crate::errors::LabelScope;
use crate::registry::Registration;
use crate::relay::{CircuitState, IpFamily};
use crate::select::{LegSource, Verdict};
use crate::table::record::Failure;

/// Enumerations that are serialised as one of these names.
macro_rules! as_name {
    ($($enumeration:ident { $($variant:ident: $name:literal,)* })*) => {$(
        impl serde::Serialize for $enumeration {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(match self {
                    $(Self::$variant => $name,)*
                })
            }
        }

        impl<'de> serde::Deserialize<'de> for $enumeration {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                struct Name;

                impl serde::de::Visitor<'_> for Name {
                    type Value = $enumeration;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a name")
                    }

                    fn visit_str<E: serde::de::Error>(
                        self,
                        name: &str,
                    ) -> Result<$enumeration, E> {
                        match name {
                            $($name => Ok($enumeration::$variant),)*
                            _ => Err(E::unknown_variant(name, &[$($name),*])),
                        }
                    }
                }

                deserializer.deserialize_str(Name)
            }
        }
    )*};
}
#[cfg(feature = "dht")]
pub(super) use as_name;

as_name! {
    CircuitState { Closed: "closed", HalfOpen: "half-open", Open: "open", }
    Failure { Refused: "refused", TimedOut: "timed-out", }
    IpFamily { V4: "ipv4", V6: "ipv6", }
    LabelScope { Relay: "relay", Registry: "registry", }
    LegSource {
        Measured: "measured",
        Published: "published",
        Estimated: "estimated",
        Assumed: "assumed",
    }
    Registration { New: "new", Renewed: "renewed", Returned: "returned", }
    Verdict {
        Chosen: "chosen",
        Kept: "kept",
        LastResort: "last-resort",
        Worse: "worse",
        Tier: "tier",
        Departed: "departed",
        Excluded: "excluded",
        Banned: "banned",
        BackingOff: "backing-off",
        Draining: "draining",
        Full: "full",
        TooFar: "too-far",
        Unmeasured: "unmeasured",
        Labels: "labels",
        Family: "family",
    }
}
