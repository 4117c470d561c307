//! Serialisation by [`serde`], with the feature of that name.
//!
//! One form for each kind of value, in every type and every format:
//!
//! | value | form | module |
//! |---|---|---|
//! | id, endpoint, NAT type, address policy | their text | [`text`] |
//! | enumeration | a name in lower case with hyphens | [`names`] |
//! | duration | a number of seconds, and the field's name ends in `_seconds` | [`units`] |
//! | time | a number of seconds since the Unix epoch, and the name ends in `_unix_seconds` | [`units`] |
//! | bytes | hexadecimal digits | [`units`] |
//! | error | `kind`, a name that stays as it is, and `message`, which is for people | [`errors`] |
//! | anything else | a map of its parts, named as its methods are | the others |
//!
//! All fields are always written, so that formats without names can read them back: what is not
//! there is null. What is read is checked as the constructors check it, and may leave out what has
//! a default. Options and entries of lists are written by people: a field that is not known is
//! refused. Views and coordinates come from peers, which may be newer: such a field is ignored.

#[cfg(feature = "dht")]
mod dht;
mod errors;
mod find;
mod names;
mod peers;
mod relay;
mod text;
mod units;

#[cfg(feature = "dht")]
pub(crate) use dht::by_reason;
pub(crate) use errors::refusals;
pub(crate) use units::seconds;
