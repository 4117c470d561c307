//! The limit on open files, of which each session takes one on either side.

use rlimit::Resource;
use std::io;

/// Files that are open beside sessions: listeners, libraries, and connections that are just closing.
const OTHERS: u64 = 1_000;

/// Raises the limit of this process, which the broker that it starts inherits, as far as sessions need.
pub fn allow(sessions: u32) -> Result<(), String> {
    let needed = u64::from(sessions) + OTHERS;
    let (soft, hard) = Resource::NOFILE.get().map_err(cannot)?;
    if hard < needed {
        return Err(format!(
            "{sessions} peers need {needed} open files in each process, and the limit is {hard}: raise it by \
             `ulimit -Hn {needed}` as root, or give fewer --peers"
        ));
    }
    match soft < needed {
        true => Resource::NOFILE.set(needed, hard).map_err(cannot),
        false => Ok(()),
    }
}

fn cannot(error: io::Error) -> String {
    format!("the limit on open files: {error}")
}
