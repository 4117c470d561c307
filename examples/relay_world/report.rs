//! What is said at the end: every figure of both runs, and what it means.

use crate::args::Args;
use crate::checks::Checks;
use crate::figures::{self, Figure, Section, share, whole, word};
use crate::measures::MEASURES;
use crate::world::World;
use crate::{full_speed, simulation};

pub struct Report {
    intro: String,
    sections: Vec<Section>,
}

impl Report {
    pub fn new(
        args: &Args,
        world: &World,
        simulated: &simulation::Outcome,
        raced: &full_speed::Outcome,
    ) -> Self {
        Self {
            intro: intro(args, world, raced),
            sections: vec![
                Section {
                    title: "The setting",
                    figures: [dealt(args, world), setting(args, world)].concat(),
                },
                promises(simulated.checks, raced.tally.checks),
                choices(simulated),
                comings(simulated),
                speed(raced),
                churn(raced),
            ],
        }
    }

    pub fn json(&self) -> String {
        figures::object(&self.sections)
    }

    pub fn table(&self) -> String {
        let sections = self.sections.iter().map(Section::table);
        let parts: Vec<String> = std::iter::once(self.intro.clone())
            .chain(sections)
            .collect();
        parts.join("\n\n")
    }
}

fn intro(args: &Args, world: &World, raced: &full_speed::Outcome) -> String {
    format!(
        "{}\n\
         Simulated {} seconds, then {} threads at full speed for {:.1} seconds.",
        whereabouts(args, world),
        args.seconds,
        raced.threads,
        raced.seconds,
    )
}

/// Where the figures come from.
pub fn whereabouts(args: &Args, world: &World) -> String {
    let source = match &args.rtt {
        Some(path) => format!("measured round trips from {}", path.display()),
        None => "the built-in cities, round trips from their distances".to_owned(),
    };
    format!(
        "A world of {} nodes: {source}.\n\
         {} relays, shared by {} registries at nodes elsewhere.",
        world.nodes(),
        world.relays.len(),
        world.homes.len(),
    )
}

/// What every simulation in a world like this has in common.
pub fn setting(args: &Args, world: &World) -> Vec<Figure> {
    let warm_up = args.seconds as f64 * simulation::WARM_UP_SHARE;
    vec![
        whole("nodes", world.nodes() as u64, "places in the world"),
        whole("relays", world.relays.len() as u64, "nodes that are relays"),
        whole(
            "registries",
            world.homes.len() as u64,
            "embedding nodes, each with a registry of its own",
        ),
        share(
            "load",
            args.load,
            "offered load, as a share of the capacity that is up",
        ),
        word(
            "views",
            args.views.name(),
            "what the registries know of the way from a relay to the target",
        ),
        share(
            "report_interval",
            args.report_interval,
            "seconds between a relay's reports of its total load",
        ),
        whole(
            "simulated_seconds",
            args.seconds,
            "length of the simulation",
        ),
        share(
            "warm_up_seconds",
            warm_up,
            "of these, not measured: the load was still growing",
        ),
    ]
}

/// What is this simulation's own.
fn dealt(args: &Args, world: &World) -> Vec<Figure> {
    vec![
        whole(
            "seed",
            args.seed,
            "the same seed gives the same relays and requests",
        ),
        word(
            "rule",
            args.rule.name(),
            "by which relays are chosen in the simulation",
        ),
        whole(
            "capacity",
            world.capacity().into(),
            "sessions that all relays together can carry",
        ),
    ]
}

fn promises(simulated: Checks, raced: Checks) -> Section {
    let mut checks = simulated;
    checks += raced;
    Section {
        title: "What the registry promises (both runs, every hand-out checked: must be 0)",
        figures: vec![
            whole(
                "capacity_exceeded",
                checks.capacity_exceeded,
                "leases that its registry gave beyond a relay's capacity",
            ),
            whole(
                "expired_handed_out",
                checks.expired,
                "relays handed out after their time to live",
            ),
            whole(
                "target_handed_out",
                checks.target,
                "relays handed out to reach themselves",
            ),
            whole(
                "departed_handed_out",
                checks.departed,
                "relays handed out after they were unregistered",
            ),
        ],
    }
}

fn choices(simulated: &simulation::Outcome) -> Section {
    let requests = &simulated.requests;
    let mut figures = vec![
        whole(
            "hand_outs",
            simulated.checks.handed_out,
            "relays handed out and checked, warm-up included",
        ),
        whole("requests", requests.made, "sessions that asked for a relay"),
        whole(
            "refused",
            requests.refused,
            "of these, found none that would take them",
        ),
        whole(
            "found_full",
            requests.found_full,
            "tries that found the relay full, filled since its last report",
        ),
        whole(
            "found_down",
            requests.found_down,
            "tries that found the relay down, before its time to live ran out",
        ),
    ];
    let measured = MEASURES.map(|measure| measure.figure((measure.of)(simulated)));
    figures.extend(measured);
    figures.push(share(
        "utilisation_mean",
        simulated.meter.utilisation(),
        "load over capacity of the relays that were up",
    ));
    Section {
        title: "How well it chose (simulation, after the warm-up)",
        figures,
    }
}

fn comings(simulated: &simulation::Outcome) -> Section {
    let comings = &simulated.comings;
    let up = simulated.meter.mean_up(simulated.measured_seconds);
    Section {
        title: "Relays coming and going (simulation, from its beginning)",
        figures: vec![
            whole(
                "joined",
                comings.joined,
                "times a relay came up, first times included",
            ),
            whole(
                "left",
                comings.left,
                "times a relay unregistered; it then finishes its sessions",
            ),
            whole(
                "lapsed",
                comings.lapsed,
                "times a relay stopped without a word, and its sessions with it",
            ),
            whole(
                "expired",
                comings.expired,
                "of these, times the registry let it go (some came back in time)",
            ),
            share(
                "relays_up_mean",
                up,
                "relays up at a time, after the warm-up",
            ),
        ],
    }
}

fn speed(raced: &full_speed::Outcome) -> Section {
    let tally = &raced.tally;
    let per_second = (tally.steady.finds as f64 / raced.steady_seconds).round() as u64;
    let ns = |quantile| tally.find_ns.value_at_quantile(quantile);
    Section {
        title: "How fast it was (full speed, on this machine)",
        figures: vec![
            whole(
                "threads",
                raced.threads as u64,
                "threads asking, beside the one that churns the relays",
            ),
            whole(
                "finds_per_second",
                per_second,
                "finds by all threads, each checked, beside their reservations",
            ),
            whole(
                "find_ns_p50",
                ns(0.5),
                "time of one find_relay in ns: median",
            ),
            whole(
                "find_ns_p99",
                ns(0.99),
                "the same, for all but the slowest in 100",
            ),
            whole(
                "find_ns_p999",
                ns(0.999),
                "the same, for all but the slowest in 1,000",
            ),
            whole(
                "clock_ns",
                raced.clock_ns,
                "of each of these, what reading the clock takes",
            ),
            whole(
                "reservations",
                tally.steady.reservations,
                "leases taken beside the finds, and given back later",
            ),
            whole(
                "found_none",
                tally.steady.found_none,
                "finds and reservations that found no relay",
            ),
            whole(
                "rush_reservations",
                tally.rush.reservations,
                "leases taken in the final rush, when threads take all they can",
            ),
            whole(
                "rush_found_none",
                tally.rush.found_none,
                "reservations that found all relays full then",
            ),
            whole(
                "raced_hand_outs",
                tally.checks.handed_out,
                "relays handed out, and checked",
            ),
        ],
    }
}

fn churn(raced: &full_speed::Outcome) -> Section {
    let churn = raced.churn;
    Section {
        title: "Relays coming and going (full speed)",
        figures: vec![
            whole("churn_registered", churn.registered, "new registrations"),
            whole("churn_renewed", churn.renewed, "renewals"),
            whole("churn_unregistered", churn.unregistered, "departures"),
            whole("churn_lapsed", churn.lapsed, "relays no longer renewed"),
            whole(
                "churn_expired",
                raced.expired,
                "relays that the registry let go",
            ),
            whole(
                "churn_refused",
                churn.refused,
                "registrations refused, and tried again",
            ),
        ],
    }
}
