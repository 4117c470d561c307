//! The report: every figure of both runs, and what it means.

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
        full_speed: &full_speed::Outcome,
    ) -> Self {
        Self {
            intro: intro(args, world, full_speed),
            sections: vec![
                Section {
                    title: "The setting",
                    figures: [roles(args, world), setting(args, world)].concat(),
                },
                promises(simulated.checks, full_speed.tally.checks),
                choices(simulated),
                simulated_churn(simulated),
                speed(full_speed),
                full_speed_churn(full_speed),
            ],
        }
    }

    pub fn sections(&self) -> &[Section] {
        &self.sections
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

fn intro(args: &Args, world: &World, full_speed: &full_speed::Outcome) -> String {
    format!(
        "{}\n\
         Simulated {} seconds, then {} threads at full speed for {:.1} seconds.",
        describe_world(args, world),
        args.seconds,
        full_speed.threads,
        full_speed.seconds,
    )
}

pub fn describe_world(args: &Args, world: &World) -> String {
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

/// The settings that all simulations of a comparison share.
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
            "what the registries know of the path from a relay to the target",
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

/// The settings of one simulation.
fn roles(args: &Args, world: &World) -> Vec<Figure> {
    vec![
        whole(
            "seed",
            args.seed,
            "the same seed gives the same relays and requests",
        ),
        word(
            "rule",
            args.rule.name(),
            "how relays are chosen in the simulation",
        ),
        whole(
            "capacity",
            world.capacity().into(),
            "sessions that all relays together can carry",
        ),
    ]
}

fn promises(simulated: Checks, full_speed: Checks) -> Section {
    let mut checks = simulated;
    checks += full_speed;
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
                "relays handed out after their TTL",
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
            "of these, found no relay that accepted",
        ),
        whole(
            "found_full",
            requests.found_full,
            "attempts that found the relay full, filled since its last report",
        ),
        whole(
            "found_down",
            requests.found_down,
            "attempts that found the relay down, before its TTL was over",
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

fn simulated_churn(simulated: &simulation::Outcome) -> Section {
    let churn = &simulated.churn;
    let up = simulated.meter.mean_up(simulated.measured_seconds);
    Section {
        title: "Churn (simulation, from its beginning)",
        figures: vec![
            whole("joined", churn.joined, "times a relay started"),
            whole(
                "left",
                churn.left,
                "times a relay unregistered; it then finishes its sessions",
            ),
            whole(
                "lapsed",
                churn.lapsed,
                "times a relay stopped without notice, which ended its sessions",
            ),
            whole(
                "expired",
                churn.expired,
                "of these, times it expired in a registry (others returned in time)",
            ),
            share(
                "relays_up_mean",
                up,
                "relays up at a time, after the warm-up",
            ),
        ],
    }
}

fn speed(full_speed: &full_speed::Outcome) -> Section {
    let tally = &full_speed.tally;
    let per_second = (tally.steady.finds as f64 / full_speed.steady_seconds).round() as u64;
    let ns = |quantile| tally.find_ns.value_at_quantile(quantile);
    Section {
        title: "How fast it was (full speed, on this machine)",
        figures: vec![
            whole(
                "threads",
                full_speed.threads as u64,
                "client threads, beside the one that generates churn",
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
            whole("find_ns_p99", ns(0.99), "the same, 99th percentile"),
            whole("find_ns_p999", ns(0.999), "the same, 99.9th percentile"),
            whole(
                "clock_ns",
                full_speed.clock_ns,
                "time to read the clock, which is part of each of these",
            ),
            whole(
                "reservations",
                tally.steady.reservations,
                "leases taken beside the finds, and released later",
            ),
            whole(
                "found_none",
                tally.steady.found_none,
                "finds and reservations that found no relay",
            ),
            whole(
                "overload_reservations",
                tally.overload.reservations,
                "leases taken in the overload phase, when threads take all they can",
            ),
            whole(
                "overload_found_none",
                tally.overload.found_none,
                "reservations that found all relays full then",
            ),
            whole(
                "full_speed_hand_outs",
                tally.checks.handed_out,
                "relays handed out, and checked",
            ),
        ],
    }
}

fn full_speed_churn(full_speed: &full_speed::Outcome) -> Section {
    let churn = full_speed.churn;
    Section {
        title: "Churn (full speed)",
        figures: vec![
            whole("churn_registered", churn.registered, "new registrations"),
            whole("churn_renewed", churn.renewed, "renewals"),
            whole("churn_unregistered", churn.unregistered, "departures"),
            whole("churn_lapsed", churn.lapsed, "relays no longer renewed"),
            whole(
                "churn_expired",
                full_speed.expired,
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
