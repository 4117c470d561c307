//! The broker, by its HTTP calls and WebSockets: each test starts one on ports of its own.

mod operator;
mod peers;
mod probe;
mod prometheus;
mod relays;
mod reload;
mod restart;
mod sessions;
mod support;
