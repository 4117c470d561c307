//! Registries that learn each other's relays through an engine, also through a hostile one.

mod admission;
mod announcing;
mod building;
mod closing;
mod endpoints;
mod engines;
mod freshness;
mod learning;
mod sources;
mod threads;
mod watching;
mod world;
