"""Seeded bugs, each of which a named check must find.

Every entry changes one piece of the source in a scratch copy. Then the check that
guards it runs, and has to fail. A check is a loom model, by its name, or a test of the
ordinary build: `lib::PATH`, or the name of a test program and of a test in it, such as
`semantics::expiry::NAME`. Behind the name of a model, `without steps` means that this
run finds the bug sooner (see loom.sh), and `at its bound` that one preemption finds it,
where two take long. A mutant whose text is not in the source, or that survives, is an
error.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
# With what is built there: cargo would take it for what it builds of the crate itself.
SCRATCH = TARGET / "mutants"
# A mutant is built once and runs until the first failure: the crate itself is not
# worth optimising.
QUICKLY = [f"--config=profile.release.package.relay-registry.{setting}"
           for setting in ("opt-level=1", "codegen-units=64")]

# name, file, text, replacement, check
MUTANTS = [
    ("lifecycle swapped without release", "src/table/record/mod.rs",
     "                current.bits(),\n                next.bits(),\n                Ordering::AcqRel,",
     "                current.bits(),\n                next.bits(),\n                Ordering::Relaxed,",
     "a_renewal_is_seen_whole"),
    ("lifecycle loaded without acquire", "src/table/record/mod.rs",
     "Lifecycle::from_bits(self.lifecycle.load(Ordering::Acquire))",
     "Lifecycle::from_bits(self.lifecycle.load(Ordering::Relaxed))",
     "a_renewal_is_seen_whole"),
    ("identity published without release", "src/table/record/mod.rs",
     "self.lifecycle.store(word.bits(), Ordering::Release);",
     "self.lifecycle.store(word.bits(), Ordering::Relaxed);",
     "a_visit_to_all_records_sees_them_whole"),
    ("admission without looking for the id", "src/table/admission.rs",
     "if table.index.find_further(self.hash, other, table).is_some() {",
     "if false && table.index.find_further(self.hash, other, table).is_some() {",
     "of_two_registrations_of_one_id_one_is_new"),
    ("operator's setting admitted without looking for the id", "src/table/admission.rs",
     "if table.index.find_further(self.hash, other, table).is_some() {",
     "if !matches!(entry, Entry::AddPlaceholder) && table.index.find_further(self.hash, other, table).is_some() {",
     "two_settings_of_an_unknown_relay_both_hold"),
    ("helping thread admits on an outdated read of the admission word", "src/table/admission.rs",
     "if next != word && self.admission.read() == seen {", "if next != word {",
     "a_preempted_helper_admits_no_relay_that_comes_back"),
    ("release refreshes the leaf of the handle from before", "src/table/snapshot/publication.rs",
     """        let mut pending = None;
        let change = record.update_load(|load| {
            let next = next(load)?;
            if pending.is_none() && load.rejection().is_some() && next.rejection().is_none() {
                pending = Some(self.begin_pending(index));
            }
            Ok(next)
        })?;
        let handle = record.handle(index);
""",
     """        let handle = record.handle(index);
        let mut pending = None;
        let change = record.update_load(|load| {
            let next = next(load)?;
            if pending.is_none() && load.rejection().is_some() && next.rejection().is_none() {
                pending = Some(self.begin_pending(index));
            }
            Ok(next)
        })?;
""",
     "a_release_beside_a_return_reaches_the_new_leaf"),
    ("leaf is refreshed without touching the load", "src/table/record_ref.rs",
     "        self.touch_load();\n        let publication", "        let publication",
     "a_lifted_ban_beside_a_return_reaches_the_new_leaf"),
    ("handle is read before the load is touched", "src/table/record_ref.rs",
     """        self.touch_load();
        let publication = &self.store.publication;
        publication.refresh_touched(&self.subject(), fully);
""",
     """        let subject = self.subject();
        self.touch_load();
        let publication = &self.store.publication;
        publication.refresh_touched(&subject, fully);
""",
     "a_lifted_ban_beside_a_return_reaches_the_new_leaf"),
    ("relay admitted beyond the bound", "src/table/admission.rs",
     "        if seen.count() < self.max_relays {", "        if seen.count() <= self.max_relays {",
     "a_return_and_a_registration_exclude_each_other_at_the_bound"),
    ("return decided by a store", "src/table/returning.rs",
     "        if !gone.record.transition(last, word) {",
     "        gone.record.set_lifecycle(word);\n        if word == last {",
     "a_return_and_a_forgetting_exclude_each_other"),
    ("record forgotten without a second check for reasons to keep it", "src/registry/forgetting.rs",
     "        if reasons_to_keep(&record, tick).are_any {\n            closing.keep();",
     "        if false {\n            closing.keep();",
     "a_setting_beside_forgetting_holds"),
    ("operator's setting on a closing record is not repeated", "src/registry/operator.rs",
     "Some(((), State::Closing | State::Vacant)) => {", "Some(((), State::Staged)) => {",
     "a_setting_beside_forgetting_holds"),
    ("reasons to keep a record read by a plain load", "src/registry/forgetting.rs",
     "let load = record.touch_load();", "let load = record.load();",
     "a_ban_beside_forgetting_holds"),
    ("repeated ban does not touch the load word", "src/registry/relays.rs",
     "        record.touch_load();\n", "",
     "a_ban_that_is_there_already_beside_forgetting_holds"),
    ("setting lifted during a restart is lost", "src/registry/relays.rs",
     "            if !matches!(state, State::Closing | State::Vacant) {\n                break;",
     "            if state != State::Staged {\n                break;",
     "a_setting_lifted_beside_a_restart_is_lifted"),
    ("reset of one circuit during a restart is lost", "src/registry/relays.rs",
     "            if !matches!(state, State::Closing | State::Vacant) {\n                break;",
     "            if state != State::Staged {\n                break;",
     "a_reset_beside_a_restart_holds"),
    ("reset of all circuits during a restart is lost", "src/registry/admit.rs",
     "if after.circuits != before.circuits {", "if false {",
     "a_reset_of_all_beside_a_restart_holds without steps"),
    ("resets are counted only when they end", "src/registry/reputation.rs",
     "self.begun.fetch_add(0, Ordering::AcqRel)", "self.ended.fetch_add(0, Ordering::AcqRel)",
     "a_reset_of_all_beside_a_restart_holds without steps"),
    ("round trips forgotten during a restart come back", "src/registry/admit.rs",
     "if after.rtts != before.rtts {", "if false {",
     "round_trips_forgotten_beside_a_restart_are_forgotten without steps"),
    ("returning relay does not check again whether the outage is over", "src/registry/returning.rs",
     "        recheck_outage_end(&record);\n        drop((pending, in_flight));", "        drop((pending, in_flight));",
     "a_relay_that_comes_back_beside_the_end_of_an_outage_is_on_trial"),
    ("find waits for the thread that hides an expired relay", "src/table/snapshot/leaves.rs",
     " && !self.is_suspended(slot);", ";",
     "no_find_waits_for_one_that_takes_a_relay_out_of_sight"),
    ("restart counts the relay twice", "src/table/admission.rs",
     "Some(before) if before.is_counted() => Entry::Replace,", "Some(before) if before.is_counted() => Entry::Admit,",
     "faults::restarts::a_restart_keeps_its_place_in_a_full_registry"),
    ("last release on a gone relay is not reported", "src/table/lease.rs",
     "is_idle.set(after.is_closed() && after.leases() == 0);", "is_idle.set(false);",
     "a_record_is_not_kept_for_a_lease_that_is_over"),
    ("lifted setting is not reported", "src/registry/relays.rs",
     "        if state == State::Gone {\n", "        if state == State::Vacant {\n",
     "a_record_is_not_kept_for_a_setting_that_is_lifted"),
    ("return loses the leases", "src/table/returning.rs",
     "match load.reopened(capacity) {", "match Load::idle(capacity) {",
     "faults::returning::leases_count_however_late_the_relay_comes_back"),
    ("restart keeps the leases", "src/registry/renew.rs",
     "if request.options.restarted && record.load().leases() > 0 {", "if false {",
     "faults::restarts::a_live_relay_may_say_that_it_restarted"),
    ("latest departures are forgotten first", "src/registry/expiry.rs",
     "queued.into_iter().rev()", "queued.into_iter()",
     "faults::retention::of_departures_in_one_maintenance_pass_the_first_is_forgotten_first"),
    ("look-ups stop at the first index", "src/table/index.rs",
     "!look.was_passed() && self.further.get().is_none()", "!look.was_passed()",
     "lib::table::index::tests::a_full_index_goes_on_in_a_further_one"),
    ("admission word swapped without comparison", "src/table/admission_word.rs",
     "            .compare_exchange(seen.0, next, Ordering::AcqRel, Ordering::Relaxed)\n            .is_ok()",
     "            .swap(next, Ordering::AcqRel) == seen.0",
     "the_last_place_is_given_once"),
    ("unfinished admission is not helped", "src/table/admission.rs",
     "(Step::Admit, State::Staged | State::Returning) => word.admitted(),",
     "(Step::Admit, State::Staged | State::Returning) if record.index > u32::MAX / 2 => word.admitted(),",
     "of_two_registrations_of_one_id_one_is_new"),
    ("departure counted out twice", "src/table/departure.rs",
     "if !record.lifecycle().is_departing() {\n                // Another",
     "if record.lifecycle() == Lifecycle::from_bits(1) {\n                // Another",
     "no_registration_is_refused_for_a_relay_that_is_gone"),
    ("pending departures are not helped", "src/table/departure.rs",
     "        departures.indices().for_each(help);\n", "",
     "no_registration_is_refused_for_a_relay_that_is_gone"),
    ("departure decided by a store", "src/table/departure.rs",
     "let departs = record.record.transition(word, word.departing());",
     "record.record.set_lifecycle(word.departing());\n        let departs = true;",
     "of_two_departures_one_happens"),
    ("departed record keeps its generation", "src/table/departure.rs",
     "        record.record.set_flags(Load::CLOSED);\n        record.record.end_generation();\n        self.store.publication",
     "        record.record.set_flags(Load::CLOSED);\n        self.store.publication",
     "a_handle_names_one_generation_of_a_record"),
    ("unpinned read does not check the generation again", "src/table/record/identity.rs",
     "(self.generation_and_len.load(Ordering::Relaxed) == before).then_some(word)", "Some(word)",
     "a_look_without_a_pin_sees_one_generation"),
    ("unpinned read without an acquire fence", "src/table/record/identity.rs",
     "        fence(Ordering::Acquire);\n        (self.generation_and_len", "        (self.generation_and_len",
     "a_look_without_a_pin_sees_one_generation"),
    ("next identity written without a release fence", "src/table/record/mod.rs",
     "        fence(Ordering::Release);\n", "",
     "a_look_without_a_pin_sees_one_generation"),
    ("lease beyond the capacity", "src/table/record/load.rs",
     "self.total() >= capacity", "self.total() > capacity",
     "the_last_unit_of_a_record_is_taken_once"),
    ("lease taken by a store", "src/table/record/mod.rs",
     "self.update_load(|load| load.with_lease(capacity))",
     "{ let was = self.load(); was.with_lease(capacity).inspect(|load| self.load.store(load.bits(), Ordering::Release)).map(|load| (was, load)) }",
     "the_last_unit_of_a_record_is_taken_once"),
    ("lease on a closed record", "src/table/record/load.rs",
     "        if self.is_closed() {\n            Some(Rejection::Departed)\n        } else if",
     "        if",
     "a_departure_beside_a_lease_lets_no_lease_follow"),
    ("lease while draining", "src/table/record/load.rs",
     "} else if self.is_draining() {\n            Some(Rejection::Draining)\n        } else",
     "} else",
     "draining_begins_for_all_leases_not_yet_taken"),
    ("last lease does not give the record back", "src/table/record/load.rs",
     "if self.has(Self::UNREACHABLE | Self::DETACHED) {", "if self.has(Self::DETACHED) {",
     "a_release_and_a_departure_give_the_record_back_once"),
    ("record given back while leased", "src/table/store.rs",
     "        if before.leases() == 0 {\n            self.free_record(index);",
     "        if before.leases() < 9 {\n            self.free_record(index);",
     "a_release_and_a_departure_give_the_record_back_once"),
    ("detached record without a reference to its store", "src/table/store.rs",
     "                std::mem::forget(reference);", "                drop(reference);",
     "a_release_and_the_end_of_the_registry_agree_on_who_frees_the_store"),
    ("detached record is marked before it holds a reference", "src/table/store.rs",
     "            let reference = Arc::clone(self);\n            if record.set_flags(Load::CLOSED | Load::DETACHED).leases() > 0 {\n                // The record's last lease drops it.\n                std::mem::forget(reference);",
     "            if record.set_flags(Load::CLOSED | Load::DETACHED).leases() > 0 {\n                self.high_water(); // std's Arc gives loom no place to switch\n                std::mem::forget(Arc::clone(self));",
     "a_release_and_the_end_of_the_registry_agree_on_who_frees_the_store"),
    ("last lease does not free the store", "src/table/lease.rs",
     "unsafe { Arc::decrement_strong_count(self.store) };", "unsafe { let _ = &*self.store; };",
     "a_release_and_the_end_of_the_registry_agree_on_who_frees_the_store"),
    ("round trip stored without checking the window again", "src/table/record/rtt.rs",
     "                    seen = next;", "                    return update;",
     "a_round_trip_that_is_measured_beside_forgetting_counts_or_is_forgotten"),
    ("round trip overwrites a concurrent one", "src/table/record/rtt.rs",
     "                .compare_exchange(seen.0, next.0, Ordering::AcqRel, Ordering::Acquire)\n            {",
     "                .compare_exchange(self.rtt.load(Ordering::Relaxed), next.0, Ordering::AcqRel, Ordering::Acquire)\n            {",
     "a_first_measurement_beside_forgetting_counts_or_is_forgotten"),
    ("no fence between storing the round trip and checking the window", "src/table/record/rtt.rs",
     "                    // SeqCst: see above.\n                    fence(Ordering::SeqCst);\n", "",
     "a_round_trip_that_is_measured_beside_forgetting_counts_or_is_forgotten"),
    ("no fence between recording a sample and reading the round trip", "src/table/record/rtt.rs",
     "if extra.window.record(elapsed_nanos, micros, oldest) {", "if extra.window.record(elapsed_nanos, micros, oldest) && elapsed_nanos > 0 {",
     "a_round_trip_that_is_measured_beside_forgetting_counts_or_is_forgotten"),
    ("forgetting does not change the round-trip word", "src/table/record/rtt.rs",
     "        self.rtt.fetch_add(RttWord::CHANGE, Ordering::AcqRel);\n", "",
     "a_first_measurement_beside_forgetting_counts_or_is_forgotten"),
    ("forgetting clears the oldest samples first", "src/table/record/rtt_window.rs",
     "(slice + 1 + WORDS - back)", "(slice + back)",
     "what_is_measured_after_a_measurement_that_counts_counts"),
    ("no fence between reading the deadline and the samples", "src/table/record/rtt.rs",
     "        // SeqCst: pairs with the one after a sample.\n        fence(Ordering::SeqCst);\n", "",
     "a_first_sample_is_seen_by_the_wheel_or_sees_the_deadline"),
    ("no fence between clearing the reorder flag and reading round trips", "src/table/snapshot/publication.rs",
     "        // SeqCst: see `mark_unsorted`.\n        fence(Ordering::SeqCst);\n", "",
     "a_measurement_beside_a_merge_is_not_forgotten_for_the_order"),
    ("no fence between changing a round trip and reading the reorder flag", "src/table/snapshot/publication.rs",
     "        // SeqCst: see above.\n        fence(Ordering::SeqCst);\n", "",
     "a_measurement_beside_a_merge_is_not_forgotten_for_the_order"),
    ("trial taken by a store", "src/table/record/mod.rs",
     "        self.circuit\n            .compare_exchange(\n                seen.bits(),\n                next.bits(),\n                Ordering::AcqRel,\n                Ordering::Acquire,\n            )\n",
     "        Ok::<u64, u64>(self.circuit.swap(next.bits(), Ordering::Relaxed))\n",
     "of_two_callers_one_gets_the_trial"),
    ("trial overwrites a success", "src/table/record/mod.rs",
     "        self.circuit\n            .compare_exchange(\n                seen.bits(),\n                next.bits(),\n                Ordering::AcqRel,\n                Ordering::Acquire,\n            )\n",
     "        Ok::<u64, u64>(self.circuit.swap(next.bits(), Ordering::Relaxed))\n",
     "a_success_beside_a_trial_counts"),
    ("failure counts while the circuit is open", "src/table/record/circuit/mod.rs",
     "(Err(Rejection::Banned), ..) | (Err(Rejection::BackingOff), State::Open, _) => false,",
     "(Err(Rejection::Banned), ..) => false,",
     "of_two_failures_one_counts"),
    ("failed circuit update is not retried", "src/table/record/mod.rs",
     "        while next(seen) != seen {\n            match self.try_change_circuit(seen, next(seen)) {\n                Ok(()) => return true,\n                Err(current) => seen = current,",
     "        while next(seen) != seen {\n            match self.try_change_circuit(seen, next(seen)) {\n                Ok(()) => return true,\n                Err(current) => { seen = current; let _ = seen; return false; }",
     "a_ban_beside_a_failure_holds"),
    ("failure ends a ban", "src/table/record/circuit/mod.rs",
     "(Err(Rejection::Banned), ..) | (Err(Rejection::BackingOff), State::Open, _) => false,",
     "(Err(Rejection::BackingOff), State::Open, _) => false,",
     "a_ban_beside_a_failure_holds"),
    ("success of an old session counts", "src/table/record/circuit/mod.rs",
     "            Source::Lease { sequence } if sequence != self.sequence() => self,\n", "",
     "a_success_from_before_a_failure_beside_it_ends_no_back_off"),
    ("success reported by id ends a back-off", "src/table/record/circuit/mod.rs",
     "            Source::Id if state != State::Trial => self,\n", "",
     "faults::outages::a_keep_alive_of_an_old_session_ends_no_back_off"),
    ("probes close a circuit", "src/table/record/circuit/mod.rs",
     "if callers_wait || self.0 & PROBED != 0 {", "if callers_wait {",
     "lib::table::record::circuit::tests::a_probe_counts_once_and_ends_no_back_off_after_failures_of_callers"),
    ("failure checks for the end of an outage by a plain load", "src/table/snapshot/outage.rs",
     "self.last.fetch_add(0, Ordering::AcqRel) == 0", "self.last.load(Ordering::Acquire) == 0",
     "a_failure_in_an_outage_is_seen_by_its_end_or_sees_the_end"),
    ("failure does not check for the end of an outage", "src/registry/reputation.rs",
     "if counts && fault.is_outage && record", "if counts && !fault.is_outage && record",
     "a_failure_beside_the_end_of_an_outage_is_on_trial"),
    ("remaining relays of an outage are not put on trial", "src/registry/reputation.rs",
     "        outage.defer_rest();\n", "        let _ = outage;\n",
     "faults::outages::of_very_many_the_next_pass_puts_the_rest_on_trial"),
    ("failure in an outage raises the level", "src/table/record/circuit/mod.rs",
     "            _ if fault.is_outage => level,\n", "",
     "faults::outages::failures_in_an_outage_raise_no_level"),
    ("draining relays count in the failing share", "src/table/snapshot/leaf.rs",
     "reason == Rejection::BackingOff && load.rejection().is_none();", "reason == Rejection::BackingOff;",
     "faults::outages::relays_that_drain_or_fill_up_while_they_back_off_leave_the_share"),
    ("preference is ignored among last resorts", "src/select/last_resort.rs",
     "let preferred = preferred(scope);", "let preferred = preferred(scope).filter(|_| false);",
     "faults::outages::a_preferred_relay_comes_first_among_last_resorts"),
    ("search for a last resort does not refresh stale leaves", "src/select/last_resort.rs",
     "Err(reason) => return self.scope.refresh_rejected(&record, reason),", "Err(_) => return,",
     "faults::outages::a_search_for_a_last_resort_mends_what_it_meets"),
    ("circuit history keeps the failures of a recovered relay", "src/registry/circuit_history.rs",
     "                self.remove(relay);\n", "",
     "semantics::failures::a_relay_that_proved_itself_before_it_was_forgotten_comes_back_as_it_left"),
    ("lifted settings make no room before the next pass", "src/registry/operator.rs",
     "                    self.expiry.forget_excess(&self.relays);\n", "",
     "faults::operators::settings_of_unknown_relays_are_bounded_and_lifted_ones_make_room"),
    ("circuit history is not consulted", "src/registry/circuit_history.rs",
     "        self.is_used.store(true, Ordering::Relaxed);\n", "",
     "semantics::failures::a_relay_that_leaves_and_comes_back_is_trusted_no_more_than_before"),
    ("published legs are replaced by estimates", "src/select/path.rs",
     "self.published().any(|published| published == index)", "self.published().any(|_| false) && index > 0",
     "semantics::positions::a_far_relay_without_a_position_is_as_far_as_is_published"),
    ("merge leaves claimed slots open", "src/table/snapshot/run.rs",
     "            self.leaves.close(self.slot(claim));",
     "            let _ = self.slot(claim);",
     "a_merge_loses_no_arrival"),
    ("arrival overwrites a closed slot", "src/table/snapshot/leaves.rs",
     "            .compare_exchange(EMPTY, pack(handle), Ordering::Release, Ordering::Relaxed)\n            .is_ok()",
     "            .swap(pack(handle), Ordering::Release) != 1",
     "a_merge_loses_no_arrival"),
    ("merge does not seal the old runs", "src/table/snapshot/publication.rs",
     "            run.seal();", "            let _ = run;",
     "a_merge_loses_no_arrival"),
    ("merge drops runs added meanwhile", "src/table/snapshot/publication.rs",
     "runs: snapshot.runs[old_runs..].to_vec(),", "runs: vec![snapshot.fresh_run()],",
     "a_merge_loses_no_arrival"),
    ("merge does not fill the upper levels of the next base", "src/table/snapshot/publication.rs",
     "        next.leaves.join_all();\n", "",
     "a_merge_beside_a_search_hides_nothing"),
    ("next base is not published", "src/table/snapshot/publication.rs",
     "next: Some(Arc::clone(&next)),", "next: None,",
     "a_change_of_load_beside_a_merge_reaches_the_next_base"),
    ("merge does not touch the load word", "src/table/snapshot/publication.rs",
     "            subject.record.touch_load();\n            next.leaves",
     "            next.leaves",
     "a_measurement_beside_a_merge_reaches_the_next_base"),
    ("change does not touch the load word", "src/table/snapshot/publication.rs",
     "        subject.record.touch_load();\n        self.refresh_touched",
     "        self.refresh_touched",
     "a_measurement_beside_a_merge_reaches_the_next_base"),
    ("lease refreshes an outdated snapshot", "src/table/snapshot/publication.rs",
     "snapshot.filter(|snapshot| self.is_latest(snapshot))", "snapshot",
     "a_lease_by_an_old_snapshot_reaches_the_next_base"),
    ("snapshot is published before its number", "src/table/snapshot/publication.rs",
     "        self.latest.fetch_max(next.number, Ordering::AcqRel);\n        self.current.replace(current, Arc::new(next))",
     "        let number = next.number;\n        let previous = self.current.replace(current, Arc::new(next));\n        self.latest.fetch_max(number, Ordering::AcqRel);\n        previous",
     "a_snapshot_in_force_is_up_to_date"),
    ("due relay is refreshed in another snapshot", "src/table/snapshot/publication.rs",
     "        part.refresh(slot, subject, &self.context, true);",
     "        let _ = (part, slot);\n        self.refresh(subject, true);",
     "a_relay_that_is_due_is_woken_where_it_was_found"),
    ("tree word without a version", "src/table/snapshot/tree.rs",
     "(seen & !J::FIELDS).wrapping_add(J::FIELDS + 1) | after",
     "(seen & !J::FIELDS) | after",
     "a_leaf_says_what_its_record_says_after_two_updates"),
    ("tree word read without acquire", "src/table/snapshot/tree.rs",
     "let mut seen = word.load(Ordering::Acquire);",
     "let mut seen = word.load(Ordering::Relaxed);",
     "a_leaf_says_what_its_record_says_after_two_updates"),
    ("tree word swapped without release", "src/table/snapshot/tree.rs",
     "(seen, next, Ordering::AcqRel, Ordering::Acquire)",
     "(seen, next, Ordering::Acquire, Ordering::Acquire)",
     "a_leaf_says_what_its_record_says_after_two_updates"),
    ("tree word swapped without comparison", "src/table/snapshot/tree.rs",
     "match word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {",
     "match Ok::<u64, u64>(word.swap(next, Ordering::AcqRel)) {",
     "a_leaf_is_in_the_root_beside_a_sibling_that_rises_and_falls"),
    ("full update stops at an unchanged word", "src/table/snapshot/tree.rs",
     "if before == after && !to_root {", "if before == after {",
     "a_leaf_is_in_the_root_beside_a_sibling_that_rises"),
    ("full update stops at an unchanged leaf", "src/table/snapshot/tree.rs",
     "if before != after || to_root {", "if before != after {",
     "a_leaf_that_another_thread_has_set_is_in_the_root"),
    ("update does not climb", "src/table/snapshot/tree.rs",
     "            self.propagate(leaf, to_root);", "            let _ = (leaf, to_root);",
     "words_of_two_branches_are_joined_above"),
    ("pending change ends without release", "src/table/snapshot/pending.rs",
     "slots[slot].store(0, Ordering::Release)", "slots[slot].store(0, Ordering::Relaxed)",
     "a_change_that_is_seen_is_pending_or_over"),
    ("pending change without a slot ends without release", "src/table/snapshot/pending.rs",
     "more.fetch_sub(1, Ordering::Release)", "more.fetch_sub(1, Ordering::Relaxed)",
     "a_change_without_a_slot_that_is_seen_is_pending_or_over"),
    ("pending changes read without acquire", "src/table/snapshot/pending.rs",
     "slots[at].load(Ordering::Acquire)", "slots[at].load(Ordering::Relaxed)",
     "a_change_that_is_seen_is_pending_or_over"),
    ("release is not marked as pending", "src/table/snapshot/publication.rs",
     "load.rejection().is_some() && next.rejection().is_none() {",
     "load.rejection().is_some() && next.rejection().is_some() {",
     "a_released_relay_is_found at its bound"),
    ("pending release ends before the refresh", "src/table/snapshot/publication.rs",
     "        match pending {\n            Some(_) =>",
     "        match pending.map(drop) {\n            Some(()) =>",
     "a_released_relay_is_found at its bound"),
    ("pending load change ends before the refresh", "src/table/snapshot/publication.rs",
     "        match pending {\n            Some(_) =>",
     "        match pending.map(drop) {\n            Some(()) =>",
     "an_undrained_relay_is_found at its bound"),
    ("circuit change is marked as pending too late", "src/table/circuit_updates.rs",
     "        let _pending = self.begin_pending();\n        let has_changed = self.record.change_circuit(next);",
     "        let has_changed = self.record.change_circuit(next);\n        let _pending = self.begin_pending();",
     "a_relay_whose_ban_was_lifted_is_found at its bound"),
    ("round-trip change is not marked as pending", "src/table/record_ref.rs",
     "pending.get_or_insert_with(|| self.begin_pending());", "pending.get_or_insert(());",
     "a_relay_that_came_within_reach_is_found at its bound"),
    ("registration is marked as pending too late", "src/registry/admit.rs",
     "        let pending = record.begin_pending();\n        match staged.admit(replaced) {",
     "        let outcome = staged.admit(replaced);\n        let pending = record.begin_pending();\n        match outcome {",
     "a_registered_relay_is_found at its bound"),
    ("raised capacity is not marked as pending", "src/registry/renew.rs",
     "amended.is_some().then(|| record.begin_pending())", "amended.is_some().then_some(())",
     "a_relay_of_a_raised_capacity_is_found at its bound"),
    ("search ignores pending changes", "src/select/search.rs",
     "false => found.or_else(|| self.best_pending(&pending)),",
     "false => found,",
     "a_relay_that_reports_less_load_is_found at its bound"),
    ("trial handed out without claiming it", "src/select/search.rs",
     "            Ok(Access::OnTrial) => self.begin_trial(candidate),",
     "            Ok(Access::OnTrial) => true,",
     "of_two_that_wake_a_relay_one_gets_the_trial at its bound"),
    ("expired relay hidden without moving its deadline", "src/table/record/mod.rs",
     "        let earlier = word.with_earlier_deadline();\n", "        let earlier = word;\n",
     "a_relay_that_is_renewed_after_it_was_left_out_is_found at its bound"),
    ("joint bound for a target without a position", "src/select/path.rs",
     "distances: [f32::NEG_INFINITY; CoordinateBatch::MANY],", "distances: [assumed; CoordinateBatch::MANY],",
     "semantics::positions::a_relay_behind_a_slow_link_is_as_near_as_assumed_to_a_target_without_a_position"),
    ("lease checked against the copied capacity", "src/table/lease.rs",
     "let capacity = live.announcement().capacity;", "let capacity = live.load().capacity();",
     "a_raised_capacity_is_leased_as_soon_as_it_is_seen"),
    ("lease not checked against a new announcement", "src/table/lease.rs",
     "|live| total <= live.announcement().capacity",
     "|live| total <= live.announcement().capacity + 9",
     "no_unit_is_leased_beyond_a_lowered_capacity"),
    ("lease on a departed relay", "src/table/lease.rs",
     "if let Some(live) = self.allowing(change.1.total()) {",
     "let seen = self.lifecycle().is_live().then(|| self.allowing(change.1.total()));\n"
     "                    if let Some(live) = seen.unwrap_or(Some(live)) {",
     "no_unit_is_leased_of_a_relay_that_is_gone"),
    ("refusal without a second check of the lifecycle", "src/table/lease.rs",
     "Err(reason) if live.is_current() =>", "Err(reason) =>",
     "a_refusal_is_not_made_of_two_moments"),
    ("free capacity reported without a second check of the lifecycle", "src/table/record_ref.rs",
     "rejection_at(capacity).is_none() && self.is_current()", "rejection_at(capacity).is_none()",
     "room_is_not_made_of_two_moments"),
    ("load read without acquire before the second check of the lifecycle", "src/table/record/mod.rs",
     "Load::from_bits(self.load.load(Ordering::Acquire))", "Load::from_bits(self.load.load(Ordering::Relaxed))",
     "room_is_not_made_of_two_moments"),
    ("eligibility combines two moments", "src/select/criteria.rs",
     "if live.is_current() {", "if live.is_current() || live.word().is_live() {",
     "a_relay_is_found_on_terms_on_which_it_had_room"),
    ("merge drops relays that may still be renewed", "src/registry/sorter.rs",
     "                    State::Staged | State::Live | State::Returning\n                );",
     "                    State::Staged | State::Live | State::Returning\n                ) && record.lifecycle().is_live_at(relays.timeline.tick());",
     "a_relay_that_is_renewed_beside_maintenance_is_found"),
    ("registration at the bound does not help the sweep", "src/registry/expiry.rs",
     "            self.expire_any(relays, tick);", "",
     "a_relay_that_is_due_makes_room_beside_a_sweep at its bound"),
    ("push of a queued record does not release", "src/wheel/inbox.rs",
     "if link.fetch_or(QUEUED, Ordering::AcqRel) & QUEUED != 0 {",
     "if link.load(Ordering::Relaxed) & QUEUED != 0 {\n            return;\n        }\n        if link.fetch_or(QUEUED, Ordering::AcqRel) & QUEUED != 0 {",
     "a_push_of_a_queued_record_is_not_lost"),
    ("wheel reads the deadline before it clears the queued flag", "src/wheel/inbox.rs",
     "            top = link_of(index).swap(0, Ordering::AcqRel) & !QUEUED;\n            visit(index);",
     "            visit(index);\n            top = link_of(index).swap(0, Ordering::AcqRel) & !QUEUED;",
     "a_push_of_a_queued_record_is_not_lost"),
    ("maintenance thread is not woken", "src/registry/maintenance_thread.rs",
     "        if !self.woken.swap(true, Ordering::Release) {\n            wake();",
     "        if !self.woken.swap(true, Ordering::Release) {\n            let _ = wake;",
     "a_requested_pass_is_made"),
    ("request made during a pass is lost", "src/registry/maintenance_thread.rs",
     "            self.woken.swap(false, Ordering::Acquire);\n            pass();",
     "            pass();\n            self.woken.swap(false, Ordering::Acquire);",
     "a_requested_pass_is_made"),
    ("pass begins without acquire", "src/registry/maintenance_thread.rs",
     "self.woken.swap(false, Ordering::Acquire)", "self.woken.swap(false, Ordering::Relaxed)",
     "a_requested_pass_is_made"),
    ("stop flag set without release", "src/registry/maintenance_thread.rs",
     "self.stop.store(true, Ordering::Release)", "self.stop.store(true, Ordering::Relaxed)",
     "the_maintenance_thread_ends_when_stopped"),
    ("last handle does not wake the maintenance thread", "src/registry/maintenance_thread.rs",
     "self.stop.store(true, Ordering::Release);\n        wake();",
     "self.stop.store(true, Ordering::Release);\n        let _ = wake;",
     "the_maintenance_thread_ends_when_stopped"),
    ("tick is not raised during maintenance", "src/registry/maintenance_thread.rs",
     "        inner.relays.timeline.advance();",
     "        inner.run_maintenance(inner.relays.timeline.advance().tick, Pace::Paced);",
     "lib::registry::tests::the_tick_is_raised_while_relays_are_sorted"),
    ("value installed without release", "src/sync/once_box.rs",
     "made, Ordering::Release, Ordering::Acquire)", "made, Ordering::Relaxed, Ordering::Acquire)",
     "one_value_is_installed_and_seen_whole"),
    ("value installed by another thread read without acquire", "src/sync/once_box.rs",
     "made, Ordering::Release, Ordering::Acquire)", "made, Ordering::Release, Ordering::Relaxed)",
     "one_value_is_installed_and_seen_whole"),
    ("installed value read without acquire", "src/sync/once_box.rs",
     "self.pointer.load(Ordering::Acquire)", "self.pointer.load(Ordering::Relaxed)",
     "one_value_is_installed_and_seen_whole"),
    ("each thread keeps its own value", "src/sync/once_box.rs",
     "        if swapped.is_err() {", "        if swapped.is_err() {\n            return Box::leak(unsafe { Box::from_raw(made) });\n        }\n        if swapped.is_err() {",
     "one_value_is_installed_and_seen_whole"),
    ("flag wakes no thread", "src/dht/wake_flags.rs",
     "                worker.unpark();", "                let _ = worker;",
     "a_change_during_a_publication_is_not_lost"),
    ("wake flags taken without acquire", "src/dht/wake_flags.rs",
     "self.flags.fetch_and(Flags::STOP, Ordering::AcqRel)", "self.flags.fetch_and(Flags::STOP, Ordering::Relaxed)",
     "a_change_during_a_publication_is_not_lost"),
    ("stop flag is cleared with the other flags", "src/dht/wake_flags.rs",
     "self.flags.fetch_and(Flags::STOP, Ordering::AcqRel)", "self.flags.fetch_and(0, Ordering::AcqRel)",
     "a_stop_wakes_a_worker"),
    ("ended back-offs are checked after the summaries are read", "src/select/search.rs",
     "        let are_all_refreshed = self.refresh_ended_suspensions(self.snapshot, REFRESHED_AT_ONCE);\n        let found = self.best_in(self.snapshot);",
     "        let found = self.best_in(self.snapshot);\n        let are_all_refreshed = self.refresh_ended_suspensions(self.snapshot, REFRESHED_AT_ONCE);",
     "of_two_that_wake_a_relay_both_find_it_after_a_ban"),
    ("records released before the grace period ends", "src/table/reclaim.rs",
     "        guard.defer(move || store.finish(retired));", "        store.finish(retired);",
     "a_lookup_sees_the_relay_it_asked_for"),
    ("reclamation round never ends", "src/table/reclaim.rs",
     "        store.round.store(false, Ordering::Release);", "        let _ = store;",
     "memory::s11_churn_of_one_id_leaves_nothing_behind"),
    ("two batches share an item", "src/table/stack.rs",
     "            match self\n                .top\n                .compare_exchange_weak(top, next, Ordering::Acquire, Ordering::Acquire)\n            {",
     "            match Ok::<u64, u64>(self.top.swap(next, Ordering::Acquire)) {",
     "two_batches_at_once_free_each_item_once"),
    ("stack popped without an ABA tag", "src/table/stack.rs",
     "(top >> 32).wrapping_add(1) << 32", "(top >> 32) << 32",
     "an_item_that_comes_round_beside_a_batch_does_not_bring_others"),
    ("push to the reclaimable stack without release", "src/table/stack.rs",
     ".compare_exchange_weak(top, next, Ordering::Release, Ordering::Relaxed)",
     ".compare_exchange_weak(top, next, Ordering::Relaxed, Ordering::Relaxed)",
     "a_round_ends_beside_a_batch_of_the_one_before"),
    ("chain linked in by its top", "src/table/stack.rs",
     "let bottom = if ends == 0 { name } else { ends >> 32 };", "let bottom = name;",
     "a_round_ends_beside_a_batch_of_the_one_before"),
    ("registration reclaims no records", "src/table/store.rs",
     "            self.free_records(guard);\n            if !self", "            if !self",
     "memory::s11_leases_on_departed_relays_do_not_use_up_the_permits"),
    ("round reclaims everything at once", "src/table/reclaim.rs",
     "        store.make_reclaimable(retired);", "        store.make_reclaimable(retired);\n        store.free_all();",
     "memory::s11_a_call_reclaims_a_batch_at_most_and_a_find_nothing"),
    ("deferred store does not free what is reclaimable", "src/table/reclaim.rs",
     "        done.iter().for_each(|deferred| deferred.store.free_all());\n", "",
     "memory::s11_a_registry_that_ends_reclaims_what_no_call_has"),
    ("store in limbo is freed before its last round is over", "src/table/reclaim.rs",
     "deferred.last_round.is_some() && deferred.store.is_at_rest()", "deferred.last_round.is_some()",
     "lib::table::reclaim::tests::a_store_in_limbo_outlives_each_thread_that_was_pinned_at_the_end_of_its_registry"),
    ("store in limbo is freed without a round of its own", "src/table/reclaim.rs",
     "deferred.last_round.is_some() && deferred.store.is_at_rest()", "deferred.store.is_at_rest()",
     "lib::table::reclaim::tests::a_store_in_limbo_outlives_each_thread_that_was_pinned_at_the_end_of_its_registry"),
    ("what was announced is dropped with its registry", "src/table/store.rs",
     "                self.push_retired_announcement(announcement);", "                self.return_announcement(announcement);",
     "lib::table::reclaim::tests::what_was_announced_outlives_its_registry_for_a_call_through_a_lease"),
    ("zeroed items are not aligned", "src/sync/zeroed.rs",
     "memory.add(to_boundary)", "memory.add(to_boundary * 0)",
     "lib::sync::zeroed::tests::items_are_vacant_and_aligned"),
    ("zeroed items are not dropped", "src/sync/zeroed.rs",
     "        unsafe { items.drop_in_place() };", "        let _ = items;",
     "lib::sync::zeroed::tests::what_items_own_is_dropped_once_with_the_slice"),
    ("retired record is lost", "src/table/store.rs",
     "        self.retired_records.push(record, link);\n", "        let _ = link;\n",
     "memory::s11_churn_by_expiry_leaves_nothing_behind"),
    ("superseded announcement is lost", "src/table/store.rs",
     "        self.retired_announcements.push(index, link);\n", "        let _ = link;\n",
     "memory::s11_renewals_leave_nothing_behind"),
    ("lease released twice", "src/table/lease.rs",
     "        if !store.release_lease(self.index) {",
     "        store.release_lease(self.index);\n        if !store.release_lease(self.index) {",
     "the_last_unit_is_leased_once"),
    ("report counts own leases once more", "src/table/record/load.rs",
     "total.saturating_sub(self.leases())", "total",
     "lib::table::record::load::tests::a_report_counts_what_others_put_there"),
    ("search stops at the first relay that will do", "src/select/best_so_far.rs",
     "            _ => self.score,\n        };", "            _ => 0.0,\n        };",
     "semantics::oracle::of_few_relays_the_best_is_found"),
    ("find hands out the target", "src/select/criteria.rs",
     "        record.is_of(self.target)\n            || ", "        ",
     "semantics::again::the_target_is_never_handed_out_as_a_relay"),
    ("relay lives for a tick beyond its deadline", "src/table/record/lifecycle.rs",
     "(deadline > tick.0) &", "(deadline >= tick.0) &",
     "semantics::expiry::s09_death_does_not_wait_for_the_sweep"),
    ("calls use an old tick without a maintenance thread", "src/time.rs",
     "self.has_thread.then(|| self.tick())", "Some(self.tick())",
     "faults::lateness::without_a_thread_no_call_hands_out_expired_relays"),
    ("calls read the clock although a thread raises the tick", "src/time.rs",
     "self.has_thread.then(|| self.tick())", "None",
     "faults::lateness::with_a_thread_no_call_but_a_registration_or_ban_reads_the_clock"),
    ("clock read while pinned", "src/registry/describe.rs",
     "        let now = self.relays.present();\n        let guard = epoch::pin();",
     "        let guard = epoch::pin();\n        let now = self.relays.present();",
     "faults::lateness::a_clock_that_hangs_in_one_registry_holds_up_no_other"),
    ("deadline rounded down", "src/time.rs",
     "Some(Tick(ticks + u64::from(rest > 0)))", "Some(Tick(ticks))",
     "semantics::expiry::s09_a_deadline_is_rounded_up_to_the_tick"),
    ("wheel advances a tick late", "src/wheel/mod.rs",
     "while let Some((at, level)) = self.next_event().filter(|&(at, _)| at <= to) {",
     "while let Some((at, level)) = self.next_event().filter(|&(at, _)| at < to) {",
     "lib::wheel::tests::like_a_sorted_map"),
    ("wheel does not cascade", "src/wheel/mod.rs",
     "                if let Some(deadline) = visit(record) {\n                    self.schedule(record, deadline);\n                }",
     "                visit(record);",
     "lib::wheel::tests::like_a_sorted_map"),
    ("tick decreases with the clock", "src/time.rs",
     "        if tick < read_tick {\n", "        if tick != read_tick {\n            self.current.store(0, Ordering::Release);\n",
     "lib::time::tests::readings_that_go_backwards_are_ignored"),
    ("stale sequence accepted", "src/dht/record/freshness.rs",
     "Some(latest) if sequence < latest.sequence => Freshness::Stale {", "Some(latest) if sequence + 1 < latest.sequence => Freshness::Stale {",
     "records::freshness::an_older_record_never_wins_and_a_withdrawn_one_never_returns"),
    ("stale sequence accepted once forgotten", "src/dht/record/freshness.rs",
     "None if sequence < self.floor => Freshness::Forgotten { floor: self.floor },\n", "",
     "records::freshness::an_older_record_never_wins_and_a_withdrawn_one_never_returns"),
    ("withdrawal during a probe does not limit the rate of its prefix", "src/dht/admission/probing.rs",
     "            self.remote.drain_tokens(endpoint, now.at);\n", "",
     "lib::dht::admission::tests::sybil::a_withdrawal_during_a_probe_does_not_allow_another_probe"),
    ("rate limit of a prefix never blocks", "src/dht/admission/limiter.rs",
     "        if next > now {\n            return Err(next);\n        }\n", "        let _ = next;\n",
     "faults::probe_limits::a_key_that_passed_withdraws_and_names_a_victim_without_having_it_probed_on_and_on"),
    ("rate limiter evicts a prefix that is still limited", "src/dht/admission/limiter.rs",
     "        self.full_at.len() >= MAX_PREFIXES\n", "        self.full_at.len() > MAX_PREFIXES\n",
     "lib::dht::admission::limiter::tests::no_number_of_prefixes_evicts_a_bucket_that_is_not_full"),
    ("track record forgotten on withdrawal", "src/dht/admission/mod.rs",
     "        self.departed_track_records\n            .insert(*id, relay.track_record, lapses_at);\n", "        let _ = lapses_at;\n",
     "faults::probe_limits::what_was_counted_against_a_key_outlives_its_withdrawals"),
    ("returning relay keeps its priority", "src/dht/admission/mod.rs",
     "        self.priorities.remove(&id);\n", "",
     "lib::dht::admission::tests::sybil::a_verified_relay_has_priority_once"),
    ("rate-limited candidate is overtaken by later ones", "src/dht/admission/remote_relay.rs",
     "(self.probe_at, self.due_since, self.arrival, *id)", "(self.probe_at, self.probe_at, self.arrival, *id)",
     "lib::dht::admission::tests::sybil::candidates_that_wait_for_a_token_keep_their_order"),
    ("shard of a newly learned relay is unknown", "src/dht/distribution/state.rs",
     "let shard = shard.or_else(listed_in);", "let _ = listed_in;",
     "faults::remote_relays::a_relay_that_leaves_before_the_directory_is_read_again_is_gone_by_then"),
    ("record that ends within a tick is accepted", "src/dht/admission/policy.rs",
     "(left >= self.tick).then_some(left)", "Some(left)",
     "faults::remote_relays::a_record_that_ends_within_a_tick_is_too_late_and_counts_as_no_offence"),
    ("record that ends during a probe counts as a failure", "src/dht/admission/probing.rs",
     "            self.remove(id, backend, now);\n        } else {", "            self.block(id, backend, now);\n        } else {",
     "faults::remote_relays::a_record_that_ends_during_a_probe_counts_as_no_offence"),
    ("learned relay ends a tick early", "src/registry/dht_bridge/learned.rs",
     "nanos: nanos(read_at),", "nanos: self.relays.timeline.elapsed_nanos(),",
     "faults::remote_relays::a_learned_relay_stays_for_as_long_as_its_record_counts"),
    ("worthless values end a read", "src/dht/distribution/query.rs",
     "const MAX_WORTHLESS: u32 = 4_096;", "const MAX_WORTHLESS: u32 = 64;",
     "faults::hostile_storage::a_storage_node_that_sends_worthless_values_first_hides_no_relay"),
    ("worthless values end a read of a raw store", "src/dht/engine/kad/mod.rs",
     "const MAX_VALUES: usize = 1_024;", "const MAX_VALUES: usize = 64;",
     "faults::hostile_storage::a_storage_node_that_sends_worthless_values_first_hides_no_relay_over_a_raw_store"),
    ("old items end a lookup", "src/dht/engine/mainline/request.rs",
     "(!is_newer && self.older >= MAX_OLD_ITEMS)", "self.older >= MAX_OLD_ITEMS",
     "lib::dht::engine::mainline::request::tests::old_items_do_not_displace_the_newest"),
    ("first answer ends the query", "src/dht/distribution/state.rs",
     "            discovery.complete_lookup(query, outcome, now.at);\n", "",
     "faults::hostile_storage::an_old_record_that_arrives_first_does_not_end_the_read"),
    ("relay that closes is not published promptly", "src/dht/publisher/mod.rs",
     "if is_same && !opens_or_closes {", "if is_same {",
     "lib::dht::publisher::tests::a_relay_that_closes_or_opens_is_published_after_the_debounce"),
    ("draining relay published as available", "src/registry/dht_bridge/backend.rs",
     "let is_open = !record.load().is_draining() && !is_banned;", "let is_open = !is_banned;",
     "faults::remote_relays::an_own_relay_that_drains_or_is_banned_here_is_published_as_full"),
    ("join confirmed by an old version", "src/dht/engine/mainline/shard.rs",
     "let read = if anywhere { &self.merged } else { &self.newest };", "let read = &self.merged;",
     "lib::dht::engine::mainline::shard::tests::an_entry_is_confirmed_by_the_newest_version_only"),
    ("join is never checked again", "src/dht/publisher/publish_progress.rs",
     "self.recheck_at = (at < self.refresh_at).then_some(at);", "self.recheck_at = None;",
     "lib::dht::publisher::tests::the_listing_is_rechecked_at_growing_intervals"),
    ("bound extrapolated beyond its last point", "src/select/pair.rs",
     "distances.if_below(two, mid, high)", "mid",
     "lib::select::pair::tests::bounds_are_at_or_below_the_least_score"),
    ("published round trips bound estimates by landmarks", "src/select/path.rs",
     "PeerPosition::Near(landmarks) => landmarks.estimates(square, heights),",
     "PeerPosition::Near(landmarks) => (farthest.max(landmarks.estimates(square, heights).0), square),",
     "semantics::positions::a_far_relay_without_a_position_hides_no_near_one"),
    ("eight-word vector in the order of halves", "src/simd/eight.rs",
     "_mm256_set_epi64x(word(5), word(4), word(1), word(0))",
     "_mm256_set_epi64x(word(3), word(2), word(1), word(0))",
     "lib::simd::tests::all_vectors_give_the_same_results"),
    ("repeated outliers never count as evidence", "src/coordinates/repeated_outliers.rs",
     "const MIN_REPEATS: u8 = 3;", "const MIN_REPEATS: u8 = 255;",
     "coordinates::persistence::a_round_trip_that_is_the_same_each_time_is_taken_in"),
    ("burst of outliers counts more than once", "src/coordinates/repeated_outliers.rs",
     "if now.wrapping_sub(known.counted_at) < MIN_GAP {",
     "if false {",
     "coordinates::persistence::a_burst_is_no_more_evidence_than_one_sample"),
    ("repeated outlier counts in full", "src/coordinates/vivaldi.rs",
     "residual.clamp(*usual.start(), *usual.end()) * REPEATED_SHARE", "residual",
     "coordinates::persistence::repeating_itself_gains_a_liar_less_than_the_farthest_lie_that_passes"),
    ("bound of a capped leg ignores the cap", "src/select/pair.rs",
     "bound.min((own + longest) * least.penalty)", "bound",
     "faults::coordinates::a_target_beyond_the_longest_round_trip_is_reached_by_the_nearest_relay"),
]


def build_copy():
    # What cargo finds unchanged it does not build again, so files that are alike
    # are left alone.
    for part in ["src", "tests", "examples", "benches", "README.md", "ARCHITECTURE.md",
                 "Cargo.toml", "Cargo.lock"]:
        here, there = ROOT / part, SCRATCH / "crate" / part
        files = [here] if here.is_file() else [file for file in here.rglob("*") if file.is_file()]
        wanted = {there / file.relative_to(here) if here.is_dir() else there for file in files}
        if there.is_dir():
            for file in there.rglob("*"):
                if file.is_file() and file not in wanted:
                    file.unlink()
        for file in files:
            copy = there / file.relative_to(here) if here.is_dir() else there
            if not copy.exists() or copy.read_bytes() != file.read_bytes():
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.read_bytes())


def command_of(check):
    """The command that builds what holds the check, its name there, and its environment."""
    program, _, name = check.partition("::")
    if not name:
        loom = {"RUSTFLAGS": "--cfg relay_loom", "CARGO_TARGET_DIR": str(SCRATCH / "loom")}
        model, _, way = check.partition(" ")
        name = path_of(model)
        loom["RELAY_LOOM_STEPS"] = "0" if way == "without steps" else "1"
        if name.startswith("registry::models") and way != "at its bound":
            loom["RELAY_LOOM_PREEMPTIONS"] = "2"
        return ["cargo", "test", "--quiet", "--release", *QUICKLY, "--lib"], name, loom
    which = ["--lib"] if program == "lib" else ["--test", program]
    return ["cargo", "test", "--quiet", "--all-features", *which], name, {"CARGO_TARGET_DIR": str(SCRATCH / "tests")}


def run(check, seconds=None):
    """Whether the check passes, if it is a model in so many seconds; None if it does
    not build or end, or if there is none."""
    command, name, extra = command_of(check)
    env = dict(os.environ, CARGO_INCREMENTAL="1", **extra)
    if seconds:
        env["RELAY_LOOM_SECONDS"] = str(seconds)
    where = SCRATCH / "crate"
    built = subprocess.run(command + ["--no-run"], cwd=where, env=env, capture_output=True)
    if built.returncode != 0:
        print(built.stderr.decode())
        return None
    # In a session of its own, so that what cargo has begun ends with it.
    ran = subprocess.Popen(command + ["--", "--exact", name], cwd=where, env=env,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        printed, _ = ran.communicate(timeout=500)
    except subprocess.TimeoutExpired:
        os.killpg(ran.pid, signal.SIGKILL)
        print("timed out, which proves nothing")
        return None
    if b"running 1 test\n" not in printed:
        print(f"there is no test {name}")
        return None
    return b"1 passed" in printed


def path_of(model):
    """The path of a loom model; its file may be `models.rs`, in a folder `models`, or any
    with a module `models`."""
    for place in sorted((ROOT / "src").rglob("*.rs")):
        text = place.read_text()
        if f"fn {model}(" in text and "check(" in text:
            parts = list(place.relative_to(ROOT / "src").with_suffix("").parts)
            parts = parts if "models" in parts else parts + ["models"]
            return "::".join(parts + [model])
    sys.exit(f"there is no model {model}")


def main():
    wanted = sys.argv[1:]
    chosen = [mutant for mutant in MUTANTS
              if not wanted or any(word in mutant[0] for word in wanted)]
    build_copy()
    verdicts = []
    for name, file, text, replacement, check in chosen:
        begun = time.monotonic()
        place = SCRATCH / "crate" / file
        source = place.read_text()
        if source.count(text) != 1:
            print(f"its text is {source.count(text)} times in {file}")
            verdict = "STALE"
        else:
            place.write_text(source.replace(text, replacement))
            verdict = {True: "SURVIVES", False: "killed", None: "UNPROVEN"}[run(check)]
            place.write_text(source)
        verdicts.append(verdict)
        print(f"{verdict:9} {name} ({check}, {time.monotonic() - begun:.0f} s)", flush=True)
    # A check that fails without any bug has killed nothing.
    for check in sorted({check for *_, check in chosen}):
        if run(check, seconds=2) is not True:
            verdicts.append("BROKEN")
            print(f"BROKEN    {check} fails without a bug", flush=True)
    killed = verdicts.count("killed")
    print(f"{killed} of {len(chosen)} killed")
    sys.exit(0 if killed == len(verdicts) else 1)


main()
