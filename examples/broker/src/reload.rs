//! Reads the configuration again.
