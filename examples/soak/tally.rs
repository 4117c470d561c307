//! What was done, counted.

use std::ops::AddAssign;

use relay_registry::{RegisterError, Registration};

macro_rules! tally {
    ($($field:ident: $meaning:literal,)*) => {
        /// What one thread, or all of them, did.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Tally {
            $(#[doc = $meaning] pub $field: u64,)*
        }

        impl Tally {
            /// Name, figure and meaning of each.
            pub fn figures(&self) -> Vec<(&'static str, u64, &'static str)> {
                vec![$((stringify!($field), self.$field, $meaning),)*]
            }
        }

        impl AddAssign for Tally {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

tally! {
    rounds: "registries built, used by all threads and dropped",
    threads: "threads born, and dead again",
    arrived: "new registrations",
    returned: "registrations of relays that were remembered",
    renewed: "renewals",
    restarted: "registrations of relays that had restarted",
    displaced: "relays that restarted and may have lost their place to others",
    transients: "transients-by",
    full: "registrations refused at the bound",
    backlogged: "registrations refused while a thread was held up",
    unregistered: "departures",
    lapsed: "relays no longer renewed",
    expired: "relays that the registries let go",
    impossible: "registrations of what cannot be",
    drainings: "relays drained, or drained no more",
    bans: "relays banned, or banned no more",
    lifted: "words of the operator lifted",
    reports: "loads reported",
    measurements: "round trips recorded",
    failures: "failures reported",
    successes: "successes reported",
    finds: "finds of one relay",
    found_none: "finds and reservations that found none",
    lists: "finds of several relays",
    reservations: "reservations",
    leases: "leases taken, also by reservations",
    lease_refused: "leases of a named relay that were refused",
    orphans: "leases given back when their registry was gone",
    teardowns: "leases given back by the end of a thread",
    lookups: "look-ups of one relay",
    listings: "listings and counts of all relays",
    explanations: "explanations",
    views: "views learned from",
    visibility: "finds that only one relay can answer",
    stalls: "threads held up inside a call",
    pinned_stalls: "threads held up inside an explanation",
    jumps: "times that the clock jumped",
    outages: "times that all relays of a site, or all relays, failed",
    exoduses: "times that all relays left, and came back",
    pauses: "times that housekeeping stopped",
    passes: "housekeeping passes",
    ephemeral: "small registries dropped while leases were out",
    inventories: "registries looked through at rest",
    checked: "answers held against what is certain",
}

impl Tally {
    pub fn registered(&mut self, outcome: &Result<Registration, RegisterError>) {
        match outcome {
            Ok(Registration::New) => self.arrived += 1,
            Ok(Registration::Returned) => self.returned += 1,
            Ok(Registration::Renewed) => self.renewed += 1,
            Ok(other) => panic!("a kind of registration that this does not know: {other}"),
            Err(RegisterError::Full { .. }) => self.full += 1,
            Err(RegisterError::Backlogged { .. }) => self.backlogged += 1,
            Err(_) => {}
        }
    }
}
