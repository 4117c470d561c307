//! How to use the crate, page by page. Read them by `cargo doc --open`: the `.md` files lack some of
//! the links, and the alert rules.
//!
//! | page | read it when |
//! |---|---|
//! | [`quick_start`] | you embed the registry for the first time |
//! | [`tokio`] | your node runs in tokio or another runtime |
//! | [`choosing`] | you want to know which relay a call gets, and why |
//! | [`operating`] | your service runs: what to watch, how to drain a relay, what to do in an outage |
//! | [`distribution`] | relays are published and learned through a DHT, or you write an engine |
//! | [`tuning`] | the defaults do not fit |
//! | [`persistence`] | a restart should forget nothing |
//! | [`cookbook`] | you have a question that others had before you |
//! | [`errors`] | a call returned an error |
//! | [`serialised_form`] | you read or write the types by the feature `serde` |

#[doc = include_str!("quick_start.md")]
pub mod quick_start {}

#[doc = include_str!("serialised_form.md")]
pub mod serialised_form {}

#[doc = include_str!("tokio.md")]
// Where the links lead. The empty line ends the page above.
#[doc = ""]
#[cfg_attr(feature = "dht", doc = "[probe]: crate::dht::Probe")]
#[cfg_attr(not(feature = "dht"), doc = "[probe]: crate#features")]
#[cfg_attr(
    feature = "persistence",
    doc = "[`Registry::save`]: crate::Registry::save",
    doc = "[`Registry::save_to`]: crate::Registry::save_to",
    doc = "[`RegistryBuilder::restore_from`]: crate::RegistryBuilder::restore_from",
    doc = "[`RegistryBuilder::save_to`]: crate::RegistryBuilder::save_to"
)]
#[cfg_attr(
    not(feature = "persistence"),
    doc = "[`Registry::save`]: crate#features",
    doc = "[`Registry::save_to`]: crate#features",
    doc = "[`RegistryBuilder::restore_from`]: crate#features",
    doc = "[`RegistryBuilder::save_to`]: crate#features"
)]
pub mod tokio {}

#[doc = include_str!("choosing.md")]
pub mod choosing {}

#[doc = include_str!("operating.md")]
#[doc = "\n# Alert rules\n"]
#[doc = "For Prometheus; a file of the repository, `src/guide/alerts.yml`. The thresholds are those to"]
#[doc = "begin with."]
#[doc = "\n```yaml"]
#[doc = include_str!("alerts.yml")]
#[doc = "```"]
pub mod operating {
    #[cfg(all(test, feature = "dht", not(relay_loom)))]
    mod tests;
}

#[doc = include_str!("distribution.md")]
// Where the links lead. The empty line ends the page above.
#[doc = ""]
#[cfg_attr(
    feature = "dht",
    doc = "[`dht::Probe`]: crate::dht::Probe",
    doc = "[`dht::threats`]: mod@crate::dht::threats",
    doc = "[`dht::format`]: mod@crate::dht::format"
)]
#[cfg_attr(
    not(feature = "dht"),
    doc = "[`dht::Probe`]: crate#features",
    doc = "[`dht::threats`]: crate#features",
    doc = "[`dht::format`]: crate#features"
)]
pub mod distribution {}

#[doc = include_str!("tuning.md")]
pub mod tuning {
    #[cfg(all(test, feature = "dht", not(relay_loom)))]
    mod tests;
}

#[doc = include_str!("persistence.md")]
pub mod persistence {}

#[doc = include_str!("cookbook.md")]
pub mod cookbook {}

#[doc = include_str!("errors.md")]
// Where the links lead. The empty line ends the page above.
#[doc = ""]
#[cfg_attr(
    feature = "dht",
    doc = "[`DhtOptionsError`]: crate::dht::DhtOptionsError",
    doc = "[`DhtError`]: crate::dht::DhtError",
    doc = "[`ProbeError`]: crate::dht::ProbeError",
    doc = "[`CandidateError`]: crate::dht::CandidateError",
    doc = "[`ReconcileError`]: crate::dht::ReconcileError",
    doc = "[`RecordError`]: crate::dht::RecordError",
    doc = "[`KeyError`]: crate::dht::KeyError",
    doc = "[`RejectReason`]: crate::dht::RejectReason"
)]
#[cfg_attr(
    not(feature = "dht"),
    doc = "[`DhtOptionsError`]: crate#features",
    doc = "[`DhtError`]: crate#features",
    doc = "[`ProbeError`]: crate#features",
    doc = "[`CandidateError`]: crate#features",
    doc = "[`ReconcileError`]: crate#features",
    doc = "[`RecordError`]: crate#features",
    doc = "[`KeyError`]: crate#features",
    doc = "[`RejectReason`]: crate#features"
)]
#[cfg_attr(
    feature = "persistence",
    doc = "[`RestoreError`]: crate::RestoreError",
    doc = "[`CborError`]: crate::CborError",
    doc = "[`Registry::last_save_error`]: crate::Registry::last_save_error"
)]
#[cfg_attr(
    not(feature = "persistence"),
    doc = "[`RestoreError`]: crate#features",
    doc = "[`CborError`]: crate#features",
    doc = "[`Registry::last_save_error`]: crate#features"
)]
pub mod errors {
    #[cfg(all(test, feature = "dht", feature = "persistence", not(relay_loom)))]
    mod tests;
}
