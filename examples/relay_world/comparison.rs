//! The comparison of all rules in the same worlds.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{self, Builder};

use crate::args::Args;
use crate::conclusion::conclusion;
use crate::error::Failure;
use crate::figures::{self, Figure, whole, word};
use crate::matrix::Matrix;
use crate::measures::{MEASURES, Measured};
use crate::progress::Progress;
use crate::report;
use crate::simulation::{self, Meter, Outcome, Rule};
use crate::world::World;

/// Simulates every rule with every seed, and shows medians over the seeds.
pub fn run(matrix: &Matrix, args: &Args) -> Result<String, Failure> {
    // One world describes all of them: they differ only in the roles of the nodes.
    let world = World::new(matrix.clone(), args)?;
    let measured = simulate_all(matrix, &plans(args), args.threads, measure)?;
    let of_seeds = measured.chunks(args.seeds as usize).map(medians);
    let of_rules: Vec<_> = Rule::ALL.into_iter().zip(of_seeds).collect();
    let lines = of_rules.iter().map(|(rule, medians)| line(*rule, medians));
    let conclusion = conclusion(&of_rules);
    if args.json {
        let shared = shared(args, &world, &conclusion);
        let objects: Vec<_> = lines.map(|line| [line, shared.clone()].concat()).collect();
        return Ok(figures::array(&objects));
    }
    let lines: Vec<_> = lines.collect();
    let table = figures::side_by_side(&lines);
    let intro = intro(args, &world);
    Ok(format!("{intro}\n\n{table}\n\n{conclusion}"))
}

/// Simulates rules, each with the settings given, and returns in order the measures, and those of each relay.
pub fn beside_each_other(
    matrix: &Matrix,
    plans: &[Args],
) -> Result<Vec<(Measured, Vec<Meter>)>, Failure> {
    let threads = plans.first().map_or(1, |plan| plan.threads);
    simulate_all(matrix, plans, threads, |outcome| {
        (measure(outcome), outcome.trace.meters.clone())
    })
}

/// The simulations to run, ordered by rule.
fn plans(args: &Args) -> Vec<Args> {
    let of_rule = |rule| {
        (1..=args.seeds).map(move |seed| Args {
            rule,
            seed,
            ..args.clone()
        })
    };
    Rule::ALL.into_iter().flat_map(of_rule).collect()
}

/// Runs all simulations, several at a time, and returns the results in order.
fn simulate_all<T: Send + Sync>(
    matrix: &Matrix,
    plans: &[Args],
    threads: usize,
    read: impl Fn(&Outcome) -> T + Sync,
) -> Result<Vec<T>, Failure> {
    let progress = Progress::of_simulations(plans.len());
    let outcomes: Vec<_> = plans.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let plans = plans.iter().zip(&outcomes);
        let claim = || plans.clone().nth(next.fetch_add(1, Relaxed));
        for (plan, outcome) in std::iter::from_fn(claim) {
            // Each index is claimed once.
            let _ = outcome.set(simulate(matrix, plan).map(|it| read(&it)));
            progress.one_ended();
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // If a thread cannot start, the others do its work.
            let _ = Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    progress.finish();
    outcomes
        .into_iter()
        .filter_map(OnceLock::into_inner)
        .collect()
}

fn simulate(matrix: &Matrix, args: &Args) -> Result<Outcome, Failure> {
    let world = World::new(matrix.clone(), args)?;
    simulation::run(&world, args, &Progress::silent())
}

fn measure(outcome: &Outcome) -> Measured {
    MEASURES.map(|measure| (measure.of)(outcome))
}

fn medians(of_seeds: &[Measured]) -> Measured {
    let of_measure = |place| median(of_seeds.iter().map(|measured| measured[place]).collect());
    std::array::from_fn(of_measure)
}

fn line(rule: Rule, medians: &Measured) -> Vec<Figure> {
    let rule = word("rule", rule.name(), "by which relays were chosen");
    let medians = MEASURES.iter().zip(medians);
    let medians = medians.map(|(measure, &value)| measure.figure(value));
    std::iter::once(rule).chain(medians).collect()
}

/// The median; the mean of the two in the middle if their number is even.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

fn intro(args: &Args, world: &World) -> String {
    format!(
        "{}\n\
         Load {}, a report every {} s, {} seconds simulated: medians of seeds 1 to {}.",
        report::describe_world(args, world),
        args.load,
        args.report_interval,
        args.seconds,
        args.seeds,
    )
}

/// What all objects of the JSON array have in common: the settings, and what follows.
fn shared(args: &Args, world: &World, conclusion: &str) -> Vec<Figure> {
    let mut shared = vec![
        word("conclusion", conclusion, "what follows from all lines"),
        whole("seeds", args.seeds, "seeds 1 to this were taken"),
    ];
    shared.extend(report::setting(args, world));
    shared
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cities;

    fn args(threads: usize) -> Args {
        Args {
            seconds: 60,
            seeds: 2,
            threads,
            json: true,
            ..Args::default()
        }
    }

    #[test]
    fn a_line_per_rule_and_the_same_by_any_number_of_threads() {
        let alone = run(&cities::matrix(), &args(1)).unwrap();
        assert_eq!(alone, run(&cities::matrix(), &args(3)).unwrap());
        for rule in Rule::ALL {
            let name = format!("\"rule\":\"{}\"", rule.name());
            assert_eq!(alone.matches(&name).count(), 1, "{alone}");
        }
        assert_eq!(alone.matches("\"conclusion\":\"The").count(), 5, "{alone}");
    }

    #[test]
    fn a_world_that_cannot_be_is_refused_before_it_is_simulated() {
        let too_many = Args {
            relays: Some(360),
            ..args(1)
        };
        let refused = run(&cities::matrix(), &too_many).unwrap_err();
        assert!(matches!(refused, Failure::Usage(_)), "{refused}");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![5.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
    }
}
