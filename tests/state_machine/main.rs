//! Random histories of all operations and of time, compared with a sequential model of the rules.

#[path = "../common/mod.rs"]
mod common;
#[path = "../model/mod.rs"]
#[allow(dead_code, reason = "the model offers more than is asked here")]
mod model;

mod copy;
mod operations;
mod queries;

use copy::Copy;
use model::{Operation, System};
use operations::{History, history};
use proptest::test_runner::FileFailurePersistence;
use proptest::{prelude::*, test_runner::Config};

/// Twice as many histories as other properties have cases: 512, unless `PROPTEST_CASES` says otherwise.
fn config() -> Config {
    let asked = Config::default();
    Config {
        cases: 2 * asked.cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/state_machine/regressions.txt",
        ))),
        ..asked
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_history_goes_as_the_model_says(history in history()) {
        let History { settings, operations } = history;
        let mut system = System::new(settings).expect("valid settings");
        let mut copy = Copy::of(system.registry());
        for operation in operations {
            let (has_time_passed, is_pass) = match operation {
                Operation::Advance(_) => (true, false),
                Operation::Maintain => (false, true),
                _ => (false, false),
            };
            system.perform(operation);
            copy.check(system.registry(), has_time_passed);
            if is_pass {
                copy.check_at_rest(system.registry());
            }
            system.check_every_view();
        }
        system.perform(Operation::Maintain);
        copy.check_at_rest(system.registry());
    }
}
