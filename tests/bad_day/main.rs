//! Bad days: one scenario for each, named after the promise that holds through it.

mod strangers;
