//! Models of the table.
