//! Registries that find each other's relays through an engine, and what a
//! hostile one can and cannot do to them.

mod admission;
mod building;
mod engines;
mod freshness;
mod learning;
mod threads;
mod world;
