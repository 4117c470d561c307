//! Models of merging.
