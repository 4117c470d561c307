//! Counters of what was done.

use std::ops::AddAssign;

use relay_registry::{RegisterError, Registration};

macro_rules! tally {
    ($($field:ident: $meaning:literal,)*) => {
        /// The counters of one thread, or of all threads.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Tally {
            $(#[doc = $meaning] pub $field: u64,)*
        }

        impl Tally {
            /// The name, value and meaning of each counter.
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
    threads: "threads started and ended",
    arrived: "new registrations",
    returned: "registrations of relays that were remembered",
    renewed: "renewals",
    restarted: "registrations of relays that had restarted",
    displaced: "restarts that may have lost their place to another relay",
    transients: "registrations of transient relays",
    full: "registrations refused at the bound",
    backlogged: "registrations refused while a stalled thread prevented reclamation",
    unregistered: "departures",
    lapsed: "relays that stopped renewing",
    expired: "relays that expired",
    invalid: "invalid registrations",
    drainings: "times that draining was set or ended",
    bans: "bans set or ended",
    policies: "tiers and costs set by the operator",
    lifted: "times that all operator settings of a relay were lifted",
    settings_backlogged: "operator settings refused while a stalled thread prevented reclamation",
    reports: "loads reported",
    measurements: "round trips recorded",
    failures: "failures reported",
    successes: "successes reported",
    finds: "finds of one relay",
    homes: "finds of a home relay",
    found_none: "finds and reservations that found no relay",
    lists: "finds of several relays",
    reservations: "reservations",
    leases: "leases taken, also by reservations",
    lease_refused: "leases of a named relay that were refused",
    released_after_drop: "leases released after their registry was dropped",
    released_at_thread_exit: "leases released at the exit of a thread",
    lookups: "look-ups of one relay",
    listings: "listings and counts of all relays",
    explanations: "explanations",
    views: "peer views applied",
    forgotten_peers: "peers forgotten",
    visibility: "finds that exclude all relays but one",
    stalls: "threads stalled inside a call",
    pinned_stalls: "threads stalled inside an explanation",
    jumps: "times that the clock jumped",
    outages: "times that all relays, or all of a site, failed",
    mass_departures: "times that all relays left and returned",
    pauses: "pauses of maintenance",
    passes: "maintenance passes",
    small_registries: "small registries dropped while leases were out",
    checked_at_rest: "registries checked at rest",
    checked: "answers checked",
}

impl Tally {
    pub fn registered(&mut self, outcome: &Result<Registration, RegisterError>) {
        match outcome {
            Ok(Registration::New) => self.arrived += 1,
            Ok(Registration::Returned) => self.returned += 1,
            Ok(Registration::Renewed) => self.renewed += 1,
            Ok(other) => panic!("an unknown kind of registration: {other}"),
            Err(RegisterError::Full { .. }) => self.full += 1,
            Err(RegisterError::Backlogged { .. }) => self.backlogged += 1,
            Err(_) => {}
        }
    }
}
