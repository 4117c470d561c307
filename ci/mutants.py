"""Seeded bugs, each of which a named model must find.

Every entry changes one piece of the source in a scratch copy; the model that
guards it is then run and has to fail. A mutant whose text is no longer in the
source, or that survives, is an error.
"""

import pathlib
import shutil
import subprocess
import sys
import os

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRATCH = ROOT / "target" / "mutants"

# name, file, text, replacement, model
MUTANTS = [
    ("lifecycle swapped without release", "src/record/mod.rs",
     "                next.bits(),\n                Ordering::AcqRel,",
     "                next.bits(),\n                Ordering::Relaxed,",
     "a_renewal_is_seen_whole"),
    ("lifecycle loaded without acquire", "src/record/mod.rs",
     "Lifecycle::from_bits(self.lifecycle.load(Ordering::Acquire))",
     "Lifecycle::from_bits(self.lifecycle.load(Ordering::Relaxed))",
     "a_renewal_is_seen_whole"),
    ("identity published without release", "src/record/mod.rs",
     "self.lifecycle.store(word.bits(), Ordering::Release);",
     "self.lifecycle.store(word.bits(), Ordering::Relaxed);",
     "a_visit_to_all_records_sees_them_whole"),
    ("admission without looking for the id", "src/table/mod.rs",
     "if self.find_hashed(staged.hash, id, guard).is_some() {",
     "if false {",
     "of_two_registrations_of_one_id_one_is_new"),
    ("admission on an old reading", "src/table/admission.rs",
     "            .compare_exchange(seen.0, next, Ordering::AcqRel, Ordering::Relaxed)\n            .is_ok()",
     "            .swap(next, Ordering::AcqRel) == seen.0",
     "the_last_place_is_given_once"),
    ("admission not helped by who finds it pending", "src/table/mod.rs",
     "                if word.is_pending() {\n                    record.transition(word, word.admitted());\n                }",
     "                if word.is_pending() && !Arc::ptr_eq(record.store, &self.store) {\n                    record.transition(word, word.admitted());\n                }",
     "of_two_registrations_of_one_id_one_is_new"),
    ("departure counted out twice", "src/table/mod.rs",
     "if !record.lifecycle().is_departing() {\n                // Somebody",
     "if record.lifecycle() == Lifecycle::from_bits(1) {\n                // Somebody",
     "nobody_is_refused_for_a_relay_that_is_gone"),
    ("departures not helped", "src/table/mod.rs",
     "        self.departures.noted().for_each(help);\n        if self.departures.are_more() {",
     "        if self.departures.are_more() {",
     "nobody_is_refused_for_a_relay_that_is_gone"),
    ("departure decided by a store", "src/table/mod.rs",
     "let departs = record.transition(word, word.departing());",
     "record.set_lifecycle(word.departing());\n        let departs = true;",
     "of_two_departures_one_happens"),
    ("departed record keeps its generation", "src/table/mod.rs",
     "        record.end_generation();\n", "",
     "a_handle_names_one_life_of_a_record"),
    ("lease beyond the capacity", "src/record/load.rs",
     "self.total() >= self.capacity()", "self.total() > self.capacity()",
     "the_last_unit_of_a_record_is_taken_once"),
    ("lease taken by a store", "src/record/mod.rs",
     "self.update_load(Load::with_lease)",
     "self.load().with_lease().inspect(|load| self.load.store(load.bits(), Ordering::Release))",
     "the_last_unit_of_a_record_is_taken_once"),
    ("lease on a closed record", "src/record/load.rs",
     "        if self.is_closed() {\n            Some(Refusal::Closed)\n        } else if",
     "        if",
     "a_departure_beside_a_lease_lets_no_lease_follow"),
    ("lease while draining", "src/record/load.rs",
     "} else if self.is_draining() {\n            Some(Refusal::Draining)\n        } else",
     "} else",
     "draining_begins_for_all_leases_not_yet_taken"),
    ("last lease does not give the record back", "src/record/load.rs",
     "if self.has(Self::UNREACHABLE | Self::ORPHANED) {", "if self.has(Self::ORPHANED) {",
     "a_release_and_a_departure_give_the_record_back_once"),
    ("record given back while leased", "src/table/store.rs",
     "        if before.leases() == 0 {\n            self.records.give(index);",
     "        if before.leases() < 9 {\n            self.records.give(index);",
     "a_release_and_a_departure_give_the_record_back_once"),
    ("orphaned record without a reference to its store", "src/table/store.rs",
     "                std::mem::forget(reference);", "                drop(reference);",
     "a_release_and_the_end_of_the_registry_agree_on_who_frees_the_store"),
    ("orphaned record is marked before it has a reference", "src/table/store.rs",
     "            let reference = Arc::clone(self);\n            if record.raise(Load::CLOSED | Load::ORPHANED).leases() > 0 {\n                // The record's last lease drops it.\n                std::mem::forget(reference);",
     "            if record.raise(Load::CLOSED | Load::ORPHANED).leases() > 0 {\n                self.reach(); // std's Arc gives loom no place to switch\n                std::mem::forget(Arc::clone(self));",
     "a_release_and_the_end_of_the_registry_agree_on_who_frees_the_store"),
    ("last lease keeps the store", "src/table/unit.rs",
     "unsafe { Arc::decrement_strong_count(self.store) };", "unsafe { let _ = &*self.store; };",
     "a_release_and_the_end_of_the_registry_agree_on_who_frees_the_store"),
    ("round trip stored without looking again", "src/record/mod.rs",
     "            self.rtt.swap(wanted, Ordering::AcqRel);\n            changed = true;",
     "            self.rtt.swap(wanted, Ordering::AcqRel);\n            return true;",
     "the_round_trip_in_force_is_that_of_the_window"),
    ("round trip stored without order", "src/record/mod.rs",
     "self.rtt.swap(wanted, Ordering::AcqRel);", "self.rtt.store(wanted, Ordering::Relaxed);",
     "the_round_trip_in_force_is_that_of_the_window"),
    ("trial taken by a store", "src/record/mod.rs",
     "        self.circuit\n            .compare_exchange(\n                seen.bits(),\n                next.bits(),\n                Ordering::Relaxed,\n                Ordering::Relaxed,\n            )\n",
     "        Ok::<u64, u64>(self.circuit.swap(next.bits(), Ordering::Relaxed))\n",
     "of_two_callers_one_gets_the_trial"),
    ("trial overwrites a success", "src/record/mod.rs",
     "        self.circuit\n            .compare_exchange(\n                seen.bits(),\n                next.bits(),\n                Ordering::Relaxed,\n                Ordering::Relaxed,\n            )\n",
     "        Ok::<u64, u64>(self.circuit.swap(next.bits(), Ordering::Relaxed))\n",
     "a_success_beside_a_trial_counts"),
    ("failure counts while the circuit is open", "src/record/circuit.rs",
     "            Access::BackingOff if self.state() == State::Open => return self,\n", "",
     "of_two_failures_one_counts"),
    ("change of a circuit not tried again", "src/record/mod.rs",
     "        while next(seen) != seen {\n            match self.try_change_circuit(seen, next(seen)) {\n                Ok(()) => return,\n                Err(current) => seen = current,",
     "        while next(seen) != seen {\n            match self.try_change_circuit(seen, next(seen)) {\n                Ok(()) => return,\n                Err(current) => { seen = current; let _ = seen; return; }",
     "a_ban_beside_a_failure_holds"),
    ("failure ends a ban", "src/record/circuit.rs",
     "            Access::Banned => return self,\n", "            Access::Banned => {}\n",
     "a_ban_beside_a_failure_holds"),
    ("registration does not look for a ban again", "src/registry/registration.rs",
     "if enters_banned || self.bans.until(&request.id, now.tick).is_some() {", "if enters_banned {",
     "a_ban_beside_a_registration_holds"),
    ("registration does not look for the end of a ban", "src/registry/registration.rs",
     "if enters_banned || self.bans.until(&request.id, now.tick).is_some() {",
     "if self.bans.until(&request.id, now.tick).is_some() {",
     "a_ban_lifted_beside_a_registration_is_lifted"),
    ("ban enforced without looking again", "src/registry/standing.rs",
     "            enforced = Some(until);\n", "            enforced = Some(until);\n            if enforced.is_some() {\n                return;\n            }\n",
     "a_record_agrees_with_the_bans"),
    ("merge leaves claimed places open", "src/select/run.rs",
     "            let _ = place.compare_exchange(EMPTY, CLOSED, Ordering::AcqRel, Ordering::Acquire);",
     "            let _ = place;",
     "a_merge_loses_no_arrival"),
    ("arrival overwrites a closed place", "src/select/run.rs",
     "            .compare_exchange(EMPTY, pack(arrival), Ordering::Release, Ordering::Relaxed)\n            .is_ok()",
     "            .swap(pack(arrival), Ordering::Release) != 1",
     "a_merge_loses_no_arrival"),
    ("merge without sealing", "src/select/snapshot.rs",
     "            run.seal();", "            let _ = run;",
     "a_merge_loses_no_arrival"),
    ("merge drops runs added meanwhile", "src/select/snapshot.rs",
     "runs: snapshot.runs[old_runs..].to_vec(),", "runs: vec![snapshot.fresh_run()],",
     "a_merge_loses_no_arrival"),
    ("lease not checked against the announcement", "src/table/mod.rs",
     "Some(capacity) if load.total() > capacity =>", "Some(capacity) if load.total() > capacity + 9 =>",
     "a_capacity_that_lags_behind_lets_no_lease_through"),
    ("merge drops what may still be renewed", "src/registry/housekeeping.rs",
     "let stays = !record.lifecycle().is_over();",
     "let stays = record.lifecycle().is_live_at(self.timeline.tick());",
     "a_relay_that_is_renewed_beside_housekeeping_is_found"),
    ("nobody helps a sweep", "src/registry/housekeeping.rs",
     "            self.expire_any(tick);", "",
     "a_relay_that_is_due_makes_room_beside_a_sweep"),
    ("announcement of a queued record does not release", "src/wheel/inbox.rs",
     "if link.fetch_or(QUEUED, Ordering::AcqRel) & QUEUED != 0 {",
     "if link.load(Ordering::Relaxed) & QUEUED != 0 {\n            return;\n        }\n        if link.fetch_or(QUEUED, Ordering::AcqRel) & QUEUED != 0 {",
     "an_announcement_of_a_queued_record_is_not_lost"),
    ("keeper looks before it takes the flag down", "src/wheel/inbox.rs",
     "            top = link_of(index).swap(0, Ordering::AcqRel) & !QUEUED;\n            visit(index);",
     "            visit(index);\n            top = link_of(index).swap(0, Ordering::AcqRel) & !QUEUED;",
     "an_announcement_of_a_queued_record_is_not_lost"),
]


def build_copy():
    shutil.rmtree(SCRATCH / "crate", ignore_errors=True)
    for part in ["src", "tests", "examples", "benches"]:
        if (ROOT / part).exists():
            shutil.copytree(ROOT / part, SCRATCH / "crate" / part,
                            ignore=shutil.ignore_patterns("target"))
    for part in ["Cargo.toml", "Cargo.lock", "README.md"]:
        shutil.copy(ROOT / part, SCRATCH / "crate" / part)


def run(model):
    """Whether the model passes; None if it does not build or end."""
    env = dict(os.environ, RUSTFLAGS="--cfg relay_loom",
               CARGO_TARGET_DIR=str(SCRATCH / "target"))
    command = ["cargo", "test", "--quiet", "--release", "--lib"]
    where = SCRATCH / "crate"
    built = subprocess.run(command + ["--no-run"], cwd=where, env=env, capture_output=True)
    if built.returncode != 0:
        print(built.stderr.decode())
        return None
    try:
        bound = {"RELAY_LOOM_PREEMPTIONS": "2"} if "registry::" in model else {}
        ran = subprocess.run(command + ["--", "--exact", model], cwd=where,
                             env=env | bound, capture_output=True, timeout=500)
    except subprocess.TimeoutExpired:
        print("timed out, which proves nothing")
        return None
    if b"1 passed" in ran.stdout:
        return True
    return False


def path_of(model):
    for place in (ROOT / "src").rglob("models.rs"):
        if f"fn {model}(" in place.read_text():
            return f"{place.parent.name}::models::{model}"
    sys.exit(f"there is no model {model}")


def main():
    wanted = sys.argv[1:]
    build_copy()
    survivors = 0
    for name, file, text, replacement, model in MUTANTS:
        if wanted and not any(word in name for word in wanted):
            continue
        source = (ROOT / file).read_text()
        if source.count(text) != 1:
            print(f"STALE     {name}: its text is {source.count(text)} times in {file}")
            survivors += 1
            continue
        place = SCRATCH / "crate" / file
        place.write_text(source.replace(text, replacement))
        passed = run(path_of(model))
        place.write_text(source)
        verdict = {True: "SURVIVES", False: "killed", None: "UNPROVEN"}[passed]
        survivors += passed is not False
        print(f"{verdict:9} {name} ({model})", flush=True)
    sys.exit(1 if survivors else 0)


main()
