//! Measures the round trip to relays.
