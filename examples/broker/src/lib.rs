//! A broker of relays: relays announce themselves over HTTP, and peers ask for one over a WebSocket.
//!
//! The order of reading: [`broker`] starts and ends everything, [`relays`] is what relays call,
//! [`sessions`] what peers call, [`admin`] what the operator calls. The rest serves these.

pub mod admin;
pub mod app;
pub mod broker;
pub mod client;
pub mod config;
pub mod errors;
pub mod feed;
pub mod metrics;
pub mod page;
pub mod peers;
pub mod probe;
pub mod relays;
pub mod reload;
pub mod requests;
pub mod serve;
pub mod sessions;
pub mod tokens;
