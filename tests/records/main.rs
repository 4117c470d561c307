//! Signed records: their bytes, what is refused, and which of them count.

mod bytes;
mod freshness;
mod samples;
mod vectors;
