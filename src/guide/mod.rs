//! How to use the crate, page by page.
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
pub mod operating {}

#[doc = include_str!("distribution.md")]
pub mod distribution {}

#[doc = include_str!("tuning.md")]
pub mod tuning {}

#[doc = include_str!("persistence.md")]
pub mod persistence {}

#[doc = include_str!("cookbook.md")]
pub mod cookbook {}

#[doc = include_str!("errors.md")]
pub mod errors {}
