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

#[doc = include_str!("quick_start.md")]
pub mod quick_start {}

#[doc = include_str!("tokio.md")]
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
