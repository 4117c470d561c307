use super::*;
use Failure::{Refused, TimedOut};
use std::time::Duration;

const LATEST: Source = Source::Lease { sequence: 1 };

fn at(tick: u64) -> BackOff {
    BackOff {
        now: Tick(tick),
        tick_nanos: 100_000_000,
        jitter: 128,
        back_off_range: BackOffRange::DEFAULT,
    }
}

fn reported(failure: Failure) -> Fault {
    Fault::reported(failure)
}

fn by(source: Source) -> Fault {
    Fault {
        source,
        ..reported(TimedOut)
    }
}

fn circuit(state: State, level: u64, until: u64) -> Circuit {
    Circuit::CLOSED.moved(state, level, Tick(until))
}

/// Since tick 0, for ten ticks or twenty.
fn opened(failure: Failure) -> Circuit {
    Circuit::CLOSED.with_failure(reported(failure), at(0))
}

fn open_until(circuit: Circuit) -> u64 {
    assert_eq!(circuit.state(), State::Open);
    circuit.until().0
}

/// Fails each trial as soon as it may be made; how long each back-off was.
fn back_offs(failure: Failure, back_off_range: BackOffRange, count: usize) -> Vec<u64> {
    let mut circuit = Circuit::CLOSED;
    let mut now = 100;
    let mut lengths = Vec::new();
    for _ in 0..count {
        let at = |now| BackOff {
            back_off_range,
            ..at(now)
        };
        circuit = circuit.with_failure(reported(failure), at(now));
        lengths.push(open_until(circuit) - now);
        now = open_until(circuit);
        assert_eq!(circuit.access(Tick(now - 1)), Err(Rejection::BackingOff));
        assert_eq!(circuit.access(Tick(now)), Ok(Access::OnTrial));
        circuit = circuit.with_trial(at(now));
    }
    lengths
}

#[test]
fn back_off_grows_from_a_second_to_ten_minutes() {
    assert_eq!(
        back_offs(TimedOut, BackOffRange::DEFAULT, 7),
        [20, 80, 320, 1280, 5120, 6000, 6000]
    );
    assert_eq!(
        back_offs(Refused, BackOffRange::DEFAULT, 8),
        [10, 20, 40, 80, 160, 320, 320, 320]
    );
}

#[test]
fn back_off_grows_within_any_two_spans() {
    let spans = |min, max| {
        let [min, max] = [min, max].map(Duration::from_secs);
        BackOffRange::new(min, max).unwrap()
    };
    assert_eq!(back_offs(TimedOut, spans(5, 5), 3), [50, 50, 50]);
    assert_eq!(back_offs(Refused, spans(5, 5), 3), [50, 50, 50]);
    assert_eq!(
        back_offs(TimedOut, spans(1, 12), 4),
        [20, 80, 120, 120],
        "levels of 1, 2, 4, 8 and 12 s"
    );
    assert_eq!(back_offs(Refused, spans(1, 12), 4), [10, 20, 40, 40]);
    // More doublings than there are levels.
    let far = back_offs(TimedOut, spans(1, 1 << 20), 9);
    assert!(far.is_sorted(), "{far:?}");
    assert_eq!(far[8], 10 << 20);
}

#[test]
fn a_refusal_does_not_shorten_what_silence_earned() {
    let silent = circuit(State::Open, 9, 5);
    assert_eq!(silent.with_failure(reported(Refused), at(5)).level(), 9);
}

#[test]
fn failures_of_one_fault_count_once() {
    let once = opened(TimedOut);
    assert_eq!(once.with_failure(reported(TimedOut), at(3)), once);
}

#[test]
fn a_failure_of_an_attempt_from_before_is_part_of_the_same_fault() {
    let tried = opened(TimedOut).with_trial(at(20));
    let before = by(Source::Lease { sequence: 0 });
    assert_eq!(tried.with_failure(before, at(21)), tried);
    assert_ne!(tried.with_failure(by(LATEST), at(21)), tried);
    let closed = circuit(State::Closed, 0, 5);
    assert!(closed.with_failure(by(LATEST), at(9)).is_failing());
}

#[test]
fn a_trial_is_made_once_per_back_off() {
    let tried = opened(Refused).with_trial(at(10));
    assert_eq!(tried.access(Tick(19)), Err(Rejection::BackingOff));
    assert_eq!(tried.access(Tick(20)), Ok(Access::OnTrial));
}

#[test]
fn only_sustained_success_closes() {
    let mut circuit = opened(TimedOut);
    for now in [20, 21, 22] {
        assert_eq!(circuit.access(Tick(now)), Ok(Access::OnTrial));
        circuit = circuit.with_trial(at(now));
        assert_eq!(circuit.access(Tick(now)), Err(Rejection::BackingOff));
        circuit = circuit.with_success(Source::Id, at(now));
    }
    assert!(!circuit.is_failing());
    assert_eq!(circuit.access(Tick(22)), Ok(Access::Free));
    let relapsed = circuit.with_success(LATEST, at(23));
    assert_eq!(relapsed, circuit, "a closed circuit is not written");
}

#[test]
fn a_failure_among_successes_starts_over() {
    let nearly = opened(Refused)
        .with_success(LATEST, at(10))
        .with_success(LATEST, at(11));
    let again = nearly
        .with_trial(at(11))
        .with_failure(reported(Refused), at(12));
    assert_eq!((again.passed(), again.level()), (0, 2));
}

#[test]
fn a_success_counts_only_as_fresh_proof() {
    let open = opened(TimedOut);
    let before = Source::Lease { sequence: 0 };
    for now in [0, 1, 20, 99] {
        for stale in [Source::Id, before] {
            assert_eq!(open.with_success(stale, at(now)), open, "{stale:?}");
        }
    }
    assert_eq!(
        open.with_success(LATEST, at(1)).access(Tick(1)),
        Ok(Access::OnTrial)
    );
    let tried = open.with_trial(at(20));
    let passed = tried.with_success(Source::Id, at(25));
    assert_eq!(passed.passed(), 1);
    let twice = passed.with_success(Source::Id, at(25));
    assert_eq!(twice, passed, "of one trial");
}

#[test]
fn a_probe_counts_once_and_ends_no_back_off_after_failures_of_callers() {
    let open = opened(TimedOut);
    assert_eq!(open.with_success(Source::Probe, at(19)), open);
    let probed = open.with_success(Source::Probe, at(20));
    assert_eq!((probed.passed(), probed.state()), (1, State::HalfOpen));
    assert_eq!(probed.with_success(Source::Probe, at(21)), probed);
    let tried = probed.with_trial(at(21));
    assert_eq!(tried.with_success(Source::Probe, at(22)), tried);
    let twice = tried.with_success(Source::Id, at(22));
    assert_eq!(twice.with_success(Source::Probe, at(22)), twice);
    let closed = twice.with_success(LATEST, at(23));
    assert!(!closed.is_failing());
}

#[test]
fn a_probe_ends_what_probes_began() {
    let open = Circuit::CLOSED.with_failure(by(Source::Probe), at(0));
    let probed = open.with_success(Source::Probe, at(1));
    assert_eq!(probed.access(Tick(1)), Ok(Access::OnTrial));
    let failed = probed
        .with_trial(at(1))
        .with_failure(reported(TimedOut), at(2));
    assert_eq!(failed.with_success(Source::Probe, at(3)), failed);
}

#[test]
fn levels_fall_with_the_time_since_the_last_failure() {
    // A back-off of level 5 takes up to twenty seconds.
    for (state, spare) in [
        (State::Closed, 0),
        (State::HalfOpen, 0),
        (State::Open, 40),
        (State::Trial, 40),
    ] {
        let before = circuit(state, 5, 1_000);
        for (minutes, level) in [(0, 7), (1, 6), (4, 3), (5, 2), (99, 2)] {
            let now = 1_000 + minutes * 600 + if minutes > 0 { spare } else { 0 };
            let failed = before.with_failure(reported(TimedOut), at(now));
            assert_eq!(failed.level(), level, "{state:?} for {minutes} minutes");
        }
    }
}

#[test]
fn levels_are_halved_by_sustained_success() {
    let tried = circuit(State::Trial, 11, 6_000);
    let first = Source::Lease { sequence: 0 };
    let passed = |circuit: Circuit, _| circuit.with_success(first, at(10));
    let closed = (0..3).fold(tried, passed);
    assert_eq!((closed.state(), closed.level()), (State::Closed, 5));
}

#[test]
fn failures_in_an_outage_raise_no_level_and_end_with_it() {
    let fault = Fault {
        is_outage: true,
        ..reported(TimedOut)
    };
    let fresh = Circuit::CLOSED.with_failure(fault, at(0));
    assert_eq!((fresh.level(), open_until(fresh)), (0, 10));
    let old = circuit(State::Trial, 6, 50).with_failure(fault, at(50));
    assert_eq!((old.level(), open_until(old)), (6, 370));
    let over = old.with_outage_over(at(60));
    assert_eq!(over.access(Tick(60)), Ok(Access::OnTrial));
    assert_eq!(over.with_outage_over(at(61)), over);
    let tried = old.with_trial(at(55)).with_outage_over(at(60));
    assert_eq!(tried.access(Tick(60)), Ok(Access::OnTrial));
    assert_eq!(tried.with_success(Source::Id, at(61)).passed(), 1);
    let own = opened(TimedOut);
    assert_eq!(own.with_outage_over(at(1)), own);
}

#[test]
fn a_reset_leaves_a_ban_and_the_sequence() {
    let reset = opened(TimedOut).with_reset();
    assert!(!reset.is_penalised());
    assert_eq!(reset.sequence(), 1);
    let banned = opened(TimedOut).with_ban(Tick(50)).with_reset();
    assert_eq!(banned.access(Tick(49)), Err(Rejection::Banned));
    assert_eq!(banned.access(Tick(50)), Ok(Access::Free));
}

#[test]
fn a_ban_holds_whatever_happens_and_ends_at_its_tick() {
    let banned = Circuit::CLOSED.with_ban(Tick(50));
    assert_eq!(banned.with_failure(reported(TimedOut), at(10)), banned);
    assert_eq!(banned.with_success(LATEST, at(10)), banned);
    assert_eq!(banned.access(Tick(49)), Err(Rejection::Banned));
    assert_eq!(banned.access(Tick(50)), Ok(Access::Free));
    assert_eq!(
        banned.without_ban(Tick(20)).access(Tick(20)),
        Ok(Access::Free)
    );
    let banned = opened(TimedOut).with_ban(Tick(50));
    assert_eq!(banned.access(Tick(50)), Ok(Access::OnTrial));
    let failed = banned.with_failure(reported(TimedOut), at(60));
    assert_eq!(failed.access(Tick(61)), Err(Rejection::BackingOff));
}

#[test]
fn jitter_stays_within_a_quarter_and_the_bounds() {
    for jitter in [0, 1, 128, 255] {
        let back_off = BackOff { jitter, ..at(0) };
        assert!((10..=13).contains(&back_off.ticks(1)));
        assert!((60..=100).contains(&back_off.ticks(4)));
        assert!((4500..=6000).contains(&back_off.ticks(11)));
        assert!((0..=11).all(|level| back_off.ticks(level) <= back_off.most_ticks(level)));
        let failed = Circuit::CLOSED.with_failure(reported(TimedOut), back_off);
        assert_eq!(failed.ejected_at(back_off), Tick(0));
    }
    let shortest = BackOff { jitter: 0, ..at(0) };
    assert_eq!(shortest.ticks(11), 4500, "also of the longest");
}

#[test]
fn fields_do_not_touch_each_other_at_their_limits() {
    let last = Circuit::from_bits(u64::MAX).moved(State::Trial, LEVEL_MASK, Tick(u64::MAX));
    assert_eq!(last.state(), State::Trial);
    assert_eq!((last.passed(), last.level()), (PASSED_MASK, LEVEL_MASK));
    assert_eq!(u64::from(last.sequence()), SEQUENCE_MASK);
    assert_eq!(last.until(), Tick(UNTIL_MASK));
    assert!(!last.is_banned(Tick(0)));
    assert_eq!(last.with_ban(Tick(u64::MAX)).until(), Tick(UNTIL_MASK));
    let next = last.with_next_sequence();
    assert_eq!(next.sequence(), 0);
    assert_eq!((next.state(), next.level()), (State::Trial, LEVEL_MASK));
    let marked = Circuit::from_marked(last.marked(0x5a5a));
    assert_eq!(Circuit::mark_of(last.marked(0x5a5a)), 0x5a5a);
    assert_eq!((marked.state(), marked.level()), (State::Trial, LEVEL_MASK));
    assert_eq!(
        (marked.until(), marked.passed()),
        (last.until(), PASSED_MASK)
    );
}
