//! What each peer has had lately, so that no peer takes more than its part.

#[derive(Default)]
pub struct Accounts {}
