"""Seeded bugs, each of which a named check must find.

Every entry changes one piece of the source in a scratch copy; the check that
guards it is then run and has to fail. A check is a loom model, by its name (with
`without steps` behind it where that finds the bug sooner, see loom.sh, or `at its
bound`, where one preemption finds it that two would take long for), or
a test of the ordinary build: `lib::PATH` or the name of a test program and of
a test in it, such as `semantics::expiry::NAME`. A mutant whose text is no longer in the source, or that
survives, is an error.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Dependencies are those that other scripts have built.
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
SCRATCH = TARGET / "mutants"
# A mutant is built once and runs until the first failure: the crate itself is not
# worth optimising.
QUICKLY = [f"--config=profile.release.package.relay-registry.{setting}"
           for setting in ("opt-level=1", "codegen-units=64")]

# name, file, text, replacement, check
MUTANTS = [
    ("lifecycle swapped without release", "src/record/mod.rs",
     "                current.bits(),\n                next.bits(),\n                Ordering::AcqRel,",
     "                current.bits(),\n                next.bits(),\n                Ordering::Relaxed,",
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
     "if other.is_some() {",
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
     "        departures.indices().for_each(help);\n", "",
     "nobody_is_refused_for_a_relay_that_is_gone"),
    ("departure decided by a store", "src/table/mod.rs",
     "let departs = record.transition(word, word.departing());",
     "record.set_lifecycle(word.departing());\n        let departs = true;",
     "of_two_departures_one_happens"),
    ("departed record keeps its generation", "src/table/mod.rs",
     "        record.end_generation();\n", "",
     "a_handle_names_one_life_of_a_record"),
    ("glance without a second look at the generation", "src/record/mod.rs",
     "(self.life.load(Ordering::Relaxed) == life).then_some(word)", "Some(word)",
     "a_glance_sees_one_life"),
    ("glance without a fence", "src/record/mod.rs",
     "        fence(Ordering::Acquire);\n        (self.life", "        (self.life",
     "a_glance_sees_one_life"),
    ("next life begun without a fence", "src/record/mod.rs",
     "        fence(Ordering::Release);\n", "",
     "a_glance_sees_one_life"),
    ("lease beyond the capacity", "src/record/load.rs",
     "self.total() >= capacity", "self.total() > capacity",
     "the_last_unit_of_a_record_is_taken_once"),
    ("lease taken by a store", "src/record/mod.rs",
     "self.update_load(|load| load.with_lease(capacity))",
     "{ let was = self.load(); was.with_lease(capacity).inspect(|load| self.load.store(load.bits(), Ordering::Release)).map(|load| (was, load)) }",
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
     "        self.circuit\n            .compare_exchange(\n                seen.bits(),\n                next.bits(),\n                Ordering::AcqRel,\n                Ordering::Acquire,\n            )\n",
     "        Ok::<u64, u64>(self.circuit.swap(next.bits(), Ordering::Relaxed))\n",
     "of_two_callers_one_gets_the_trial"),
    ("trial overwrites a success", "src/record/mod.rs",
     "        self.circuit\n            .compare_exchange(\n                seen.bits(),\n                next.bits(),\n                Ordering::AcqRel,\n                Ordering::Acquire,\n            )\n",
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
     "if enters_banned || self.bans.until(request.id, now.tick).is_some() {", "if enters_banned {",
     "a_ban_beside_a_registration_holds"),
    ("registration does not look for the end of a ban", "src/registry/registration.rs",
     "if enters_banned || self.bans.until(request.id, now.tick).is_some() {",
     "if self.bans.until(request.id, now.tick).is_some() {",
     "a_ban_lifted_beside_a_registration_is_lifted"),
    ("bans are not looked for", "src/registry/bans.rs",
     "        self.are_any.store(true, Ordering::Relaxed);\n", "",
     "a_ban_beside_a_registration_holds"),
    ("ban on a relay that has expired", "src/registry/standing.rs",
     "if word.is_live() && !word.is_live_at(now) {", "if false {",
     "regressions::a_ban_on_a_relay_that_expired_leaves_what_it_had_earned"),
    ("failures noted are not looked for", "src/registry/failures.rs",
     "        self.are_any.store(true, Ordering::Relaxed);\n", "",
     "semantics::failures::a_relay_that_leaves_and_comes_back_is_trusted_no_more_than_before"),
    ("published legs are estimated anew", "src/select/legs.rs",
     "self.published().any(|published| published == index)", "self.published().any(|_| false) && index > 0",
     "semantics::positions::a_far_relay_without_a_place_is_as_far_as_is_published"),
    ("ban enforced without looking again", "src/registry/standing.rs",
     "            enforced = Some(until);\n", "            enforced = Some(until);\n            if enforced.is_some() {\n                return;\n            }\n",
     "a_record_agrees_with_the_bans"),
    ("merge leaves claimed places open", "src/snapshot/run.rs",
     "            self.leaves.close(self.place(claim));",
     "            let _ = self.place(claim);",
     "a_merge_loses_no_arrival"),
    ("arrival overwrites a closed place", "src/snapshot/leaves.rs",
     "            .compare_exchange(EMPTY, pack(handle), Ordering::Release, Ordering::Relaxed)\n            .is_ok()",
     "            .swap(pack(handle), Ordering::Release) != 1",
     "a_merge_loses_no_arrival"),
    ("merge without sealing", "src/snapshot/publication.rs",
     "            run.seal();", "            let _ = run;",
     "a_merge_loses_no_arrival"),
    ("merge drops runs added meanwhile", "src/snapshot/publication.rs",
     "runs: snapshot.runs[old_runs..].to_vec(),", "runs: vec![snapshot.fresh_run()],",
     "a_merge_loses_no_arrival"),
    ("merge does not join what it put in", "src/snapshot/publication.rs",
     "        next.leaves.put_together();\n", "",
     "a_merge_beside_a_look_hides_nothing"),
    ("base to be is not published", "src/snapshot/publication.rs",
     "next: Some(Arc::clone(&next)),", "next: None,",
     "a_change_of_load_beside_a_merge_reaches_the_next_base"),
    ("merge does not touch the load", "src/snapshot/publication.rs",
     "            subject.record.touch_load();\n            next.leaves",
     "            next.leaves",
     "a_measurement_beside_a_merge_reaches_the_next_base"),
    ("change does not touch the load", "src/snapshot/publication.rs",
     "        subject.record.touch_load();\n        self.refresh_touched",
     "        self.refresh_touched",
     "a_measurement_beside_a_merge_reaches_the_next_base"),
    ("lease goes by an old snapshot", "src/snapshot/publication.rs",
     "snapshot.filter(|snapshot| self.is_latest(snapshot))", "snapshot",
     "a_lease_by_an_old_snapshot_reaches_the_next_base"),
    ("snapshot is published before its number", "src/snapshot/publication.rs",
     "        self.latest.fetch_max(next.number, Ordering::AcqRel);\n        self.current.replace(current, Arc::new(next))",
     "        let number = next.number;\n        let previous = self.current.replace(current, Arc::new(next));\n        self.latest.fetch_max(number, Ordering::AcqRel);\n        previous",
     "a_snapshot_in_force_is_up_to_date"),
    ("relay that is due is woken elsewhere", "src/snapshot/publication.rs",
     "        part.refresh(place, subject, &self.context, true);",
     "        let _ = (part, place);\n        self.refresh(subject, true);",
     "a_relay_that_is_due_is_woken_where_it_was_found"),
    ("word without a version", "src/snapshot/tree.rs",
     "(seen & !J::FIELDS).wrapping_add(J::FIELDS + 1) | after",
     "(seen & !J::FIELDS) | after",
     "a_leaf_says_what_its_record_says_after_two_updates"),
    ("word computed before it is read", "src/snapshot/tree.rs",
     "let mut seen = word.load(Ordering::Acquire);",
     "let mut seen = word.load(Ordering::Relaxed);",
     "a_leaf_says_what_its_record_says_after_two_updates"),
    ("word swapped in without release", "src/snapshot/tree.rs",
     "(seen, next, Ordering::AcqRel, Ordering::Acquire)",
     "(seen, next, Ordering::Acquire, Ordering::Acquire)",
     "a_leaf_says_what_its_record_says_after_two_updates"),
    ("word swapped in whatever it was", "src/snapshot/tree.rs",
     "match word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {",
     "match Ok::<u64, u64>(word.swap(next, Ordering::AcqRel)) {",
     "a_leaf_is_in_sight_beside_a_sibling_that_rises_and_falls"),
    ("full update ends where nothing changes", "src/snapshot/tree.rs",
     "if before == after && !fully {", "if before == after {",
     "a_leaf_is_in_sight_beside_a_sibling_that_rises"),
    ("full update ends at a leaf that is as it was", "src/snapshot/tree.rs",
     "if before != after || fully {", "if before != after {",
     "a_leaf_is_in_sight_that_another_thread_has_set"),
    ("update does not climb", "src/snapshot/tree.rs",
     "            self.climb(leaf, fully);", "            let _ = (leaf, fully);",
     "words_of_two_branches_are_joined_above"),
    ("note ends without release", "src/snapshot/noted.rs",
     "slots[slot].store(0, Ordering::Release)", "slots[slot].store(0, Ordering::Relaxed)",
     "a_change_that_is_seen_is_noted_or_over"),
    ("note without a slot ends without release", "src/snapshot/noted.rs",
     "more.fetch_sub(1, Ordering::Release)", "more.fetch_sub(1, Ordering::Relaxed)",
     "a_change_without_a_slot_that_is_seen_is_noted_or_over"),
    ("notes looked at without acquire", "src/snapshot/noted.rs",
     "slots[at].load(Ordering::Acquire)", "slots[at].load(Ordering::Relaxed)",
     "a_change_that_is_seen_is_noted_or_over"),
    ("release is not announced", "src/snapshot/publication.rs",
     "load.refusal().is_some() && next.refusal().is_none() {",
     "load.refusal().is_some() && next.refusal().is_some() {",
     "a_released_relay_is_found at its bound"),
    ("note of a release ends before the refresh", "src/snapshot/publication.rs",
     "        match note {\n            Some(_) =>",
     "        match note.map(drop) {\n            Some(()) =>",
     "a_released_relay_is_found at its bound"),
    ("note of a load ends before the refresh", "src/snapshot/publication.rs",
     "        match note {\n            Some(_) =>",
     "        match note.map(drop) {\n            Some(()) =>",
     "an_undrained_relay_is_found at its bound"),
    ("circuit is announced after it has changed", "src/table/found.rs",
     "        let _note = self.announce();\n        self.record.change_circuit(next);",
     "        self.record.change_circuit(next);\n        let _note = self.announce();",
     "a_relay_whose_ban_was_lifted_is_found at its bound"),
    ("round trip is not announced", "src/table/found.rs",
     "note.get_or_insert_with(|| self.announce());", "note.get_or_insert(());",
     "a_relay_that_came_within_reach_is_found at its bound"),
    ("registration is announced after it is admitted", "src/registry/registration.rs",
     "        let note = record.announce();\n        match self.table.admit(&staged, request.id, guard) {",
     "        let verdict = self.table.admit(&staged, request.id, guard);\n        let note = record.announce();\n        match verdict {",
     "a_registered_relay_is_found at its bound"),
    ("raised capacity is not announced", "src/registry/renewal.rs",
     "amended.is_some().then(|| record.announce())", "amended.is_some().then_some(())",
     "a_relay_of_a_raised_capacity_is_found at its bound"),
    ("search does not look at what is announced", "src/select/search.rs",
     "false => found.or_else(|| self.best_noted(&noted)),",
     "false => found,",
     "a_relay_that_reports_less_load_is_found at its bound"),
    ("trial handed out without a claim", "src/select/search.rs",
     "            Access::OnTrial => self.begin_trial(candidate),",
     "            Access::OnTrial => true,",
     "of_two_that_wake_a_relay_one_gets_the_trial at its bound"),
    ("expired relay taken out on an old reading", "src/record/mod.rs",
     "        let earlier = word.with_earlier_deadline();\n", "        let earlier = word;\n",
     "a_relay_that_is_renewed_after_it_was_left_out_is_found at its bound"),
    ("joint bound for a target that is nowhere", "src/select/legs.rs",
     "ways: [f32::NEG_INFINITY; Places::MANY],", "ways: [assumed; Places::MANY],",
     "semantics::positions::a_relay_behind_a_slow_link_is_as_near_as_assumed_to_a_target_without_a_place"),
    ("lease by the capacity beside the load", "src/table/found.rs",
     "take_lease(self.announcement(word).capacity)", "take_lease(self.record.load().capacity())",
     "a_raised_capacity_is_leased_as_soon_as_it_is_seen"),
    ("lease not checked against a new announcement", "src/table/found.rs",
     "!word.is_over() && total <= self.announcement(word).capacity",
     "!word.is_over() && total <= self.announcement(word).capacity + 9",
     "no_unit_is_leased_beyond_a_lowered_capacity"),
    ("lease on a relay that is gone", "src/table/found.rs",
     "!word.is_over() && total <=", "word.is_over() || total <=",
     "no_unit_is_leased_of_a_relay_that_is_gone"),
    ("refusal without a second look at the lifecycle", "src/table/found.rs",
     "Err(refusal) if self.record.is_still(word) =>", "Err(refusal) =>",
     "a_refusal_is_not_made_of_two_moments"),
    ("room without a second look at the lifecycle", "src/table/found.rs",
     "refusal_at(capacity).is_none() && self.record.is_still(word)", "refusal_at(capacity).is_none()",
     "room_is_not_made_of_two_moments"),
    ("load read without acquire before a second look at the lifecycle", "src/record/mod.rs",
     "Load::from_bits(self.load.load(Ordering::Acquire))", "Load::from_bits(self.load.load(Ordering::Relaxed))",
     "room_is_not_made_of_two_moments"),
    ("verdict made of two moments", "src/select/criteria.rs",
     "if record.is_still(word) {", "if record.is_still(word) || word.is_live() {",
     "a_relay_is_found_on_terms_on_which_it_had_room"),
    ("merge drops what may still be renewed", "src/registry/housekeeping.rs",
     "let stays = !record.lifecycle().is_over();",
     "let stays = record.lifecycle().is_live_at(self.timeline.tick());",
     "a_relay_that_is_renewed_beside_housekeeping_is_found"),
    ("nobody helps a sweep", "src/registry/housekeeping.rs",
     "            self.expire_any(tick);", "",
     "a_relay_that_is_due_makes_room_beside_a_sweep at its bound"),
    ("announcement of a queued record does not release", "src/wheel/inbox.rs",
     "if link.fetch_or(QUEUED, Ordering::AcqRel) & QUEUED != 0 {",
     "if link.load(Ordering::Relaxed) & QUEUED != 0 {\n            return;\n        }\n        if link.fetch_or(QUEUED, Ordering::AcqRel) & QUEUED != 0 {",
     "an_announcement_of_a_queued_record_is_not_lost"),
    ("keeper looks before it takes the flag down", "src/wheel/inbox.rs",
     "            top = link_of(index).swap(0, Ordering::AcqRel) & !QUEUED;\n            visit(index);",
     "            visit(index);\n            top = link_of(index).swap(0, Ordering::AcqRel) & !QUEUED;",
     "an_announcement_of_a_queued_record_is_not_lost"),
    ("keeper is not woken", "src/registry/keeper.rs",
     "        if !self.woken.swap(true, Ordering::Release) {\n            wake();",
     "        if !self.woken.swap(true, Ordering::Release) {\n            let _ = wake;",
     "a_pass_that_is_asked_for_is_made"),
    ("keeper forgets what was asked during a pass", "src/registry/keeper.rs",
     "            self.woken.swap(false, Ordering::Acquire);\n            pass();",
     "            pass();\n            self.woken.swap(false, Ordering::Acquire);",
     "a_pass_that_is_asked_for_is_made"),
    ("pass is made without what led to it", "src/registry/keeper.rs",
     "self.woken.swap(false, Ordering::Acquire)", "self.woken.swap(false, Ordering::Relaxed)",
     "a_pass_that_is_asked_for_is_made"),
    ("keeper ends without what the handles did", "src/registry/keeper.rs",
     "self.stop.store(true, Ordering::Release)", "self.stop.store(true, Ordering::Relaxed)",
     "the_maintenance_thread_ends_when_told"),
    ("last handle does not wake the keeper", "src/registry/keeper.rs",
     "self.stop.store(true, Ordering::Release);\n        wake();",
     "self.stop.store(true, Ordering::Release);\n        let _ = wake;",
     "the_maintenance_thread_ends_when_told"),
    ("ring wakes nobody", "src/dht/bell.rs",
     "                sleeper.unpark();", "                let _ = sleeper;",
     "a_change_during_a_publication_is_not_lost"),
    ("ring is answered after the look", "src/dht/bell.rs",
     "self.rings.fetch_and(Rings::STOP, Ordering::AcqRel)", "self.rings.fetch_and(Rings::STOP, Ordering::Relaxed)",
     "a_change_during_a_publication_is_not_lost"),
    ("end is forgotten with the other rings", "src/dht/bell.rs",
     "self.rings.fetch_and(Rings::STOP, Ordering::AcqRel)", "self.rings.fetch_and(0, Ordering::AcqRel)",
     "the_end_wakes_a_worker"),
    ("are back-offs over is asked after the summaries", "src/select/search.rs",
     "        let is_settled = self.wake(self.snapshot, WOKEN_AT_ONCE);\n        let found = self.best_in(self.snapshot);",
     "        let found = self.best_in(self.snapshot);\n        let is_settled = self.wake(self.snapshot, WOKEN_AT_ONCE);",
     "of_two_that_wake_a_relay_both_find_it_after_a_ban"),
    ("records given back without waiting for the epoch", "src/table/reclaim.rs",
     "        guard.defer(move || store.finish(retired));", "        store.finish(retired);",
     "a_look_up_sees_the_relay_it_asked_for"),
    ("round that does not say that it is over", "src/table/reclaim.rs",
     "        store.round.store(false, Ordering::Release);", "        let _ = store;",
     "memory::s11_churn_of_one_id_leaves_nothing_behind"),
    ("item of two pieces", "src/table/stack.rs",
     "            match self\n                .top\n                .compare_exchange_weak(top, next, Ordering::Acquire, Ordering::Acquire)\n            {",
     "            match Ok::<u64, u64>(self.top.swap(next, Ordering::Acquire)) {",
     "two_pieces_at_once_give_each_item_back_once"),
    ("piece of a stack without a tag", "src/table/stack.rs",
     "(top >> 32).wrapping_add(1) << 32", "(top >> 32) << 32",
     "an_item_that_comes_round_beside_a_piece_does_not_bring_others"),
    ("reclaimable without release", "src/table/stack.rs",
     ".compare_exchange_weak(top, next, Ordering::Release, Ordering::Relaxed)",
     ".compare_exchange_weak(top, next, Ordering::Relaxed, Ordering::Relaxed)",
     "a_round_ends_beside_a_piece_of_the_one_before"),
    ("chain that ends with its top", "src/table/stack.rs",
     "let bottom = if ends == 0 { name } else { ends >> 32 };", "let bottom = name;",
     "a_round_ends_beside_a_piece_of_the_one_before"),
    ("registration gives back no records", "src/table/store.rs",
     "            self.free_records(guard);\n            self.take_permit()?;", "            self.take_permit()?;",
     "memory::s11_leases_on_departed_relays_do_not_use_up_the_permits"),
    ("round that gives everything back at once", "src/table/reclaim.rs",
     "        store.make_reclaimable(retired);", "        store.make_reclaimable(retired);\n        store.free_all();",
     "memory::s11_a_call_reclaims_a_piece_at_most_and_a_find_nothing"),
    ("buried store forgets what is reclaimable", "src/table/reclaim.rs",
     "        done.iter().for_each(|buried| buried.store.free_all());\n", "",
     "memory::s11_a_registry_that_ends_reclaims_what_no_call_has"),
    ("retired record is lost", "src/table/store.rs",
     "        self.retired_records.push(record, link);\n", "        let _ = link;\n",
     "memory::s11_churn_by_expiry_leaves_nothing_behind"),
    ("superseded announcement is lost", "src/table/store.rs",
     "        self.retired_announcements.push(index, link);\n", "        let _ = link;\n",
     "memory::s11_renewals_leave_nothing_behind"),
    ("lease released twice", "src/table/unit.rs",
     "        if !store.release_lease(self.index) {",
     "        store.release_lease(self.index);\n        if !store.release_lease(self.index) {",
     "the_last_unit_is_leased_once"),
    ("report counts own leases once more", "src/record/load.rs",
     "total.saturating_sub(self.leases()).min(MAX_CAPACITY)", "total.min(MAX_CAPACITY)",
     "lib::record::load::tests::a_report_counts_what_others_put_there"),
    ("search stops at the first relay that will do", "src/select/search.rs",
     "            _ => self.score,\n        };", "            _ => 0.0,\n        };",
     "semantics::oracle::of_few_relays_the_best_is_found"),
    ("find hands out the target", "src/select/criteria.rs",
     "        record.is_of(self.target)\n            || ", "        ",
     "semantics::again::the_target_is_never_handed_out_as_a_relay"),
    ("relay lives for a tick beyond its deadline", "src/record/lifecycle.rs",
     "deadline > tick.0 as i64", "deadline >= tick.0 as i64",
     "semantics::expiry::s09_death_does_not_wait_for_the_sweep"),
    ("deadline rounded down", "src/time.rs",
     "Some(Tick(ticks + u64::from(rest > 0)))", "Some(Tick(ticks))",
     "semantics::expiry::s09_a_deadline_is_rounded_up_to_the_tick"),
    ("wheel a tick late", "src/wheel/mod.rs",
     "while let Some((at, level)) = self.next_event().filter(|&(at, _)| at <= to) {",
     "while let Some((at, level)) = self.next_event().filter(|&(at, _)| at < to) {",
     "lib::wheel::tests::like_a_sorted_map"),
    ("wheel without cascades", "src/wheel/mod.rs",
     "                if let Some(deadline) = visit(record) {\n                    self.schedule(record, deadline);\n                }",
     "                visit(record);",
     "lib::wheel::tests::like_a_sorted_map"),
    ("tick falls with the clock", "src/time.rs",
     "        if tick < read_tick {\n", "        if tick != read_tick {\n            self.current.store(0, Ordering::Release);\n",
     "lib::time::tests::readings_that_go_backwards_are_ignored"),
    ("stale sequence accepted", "src/dht/record/freshness.rs",
     "Some(heard) if sequence < heard.sequence => Verdict::Stale {", "Some(heard) if sequence + 1 < heard.sequence => Verdict::Stale {",
     "records::freshness::an_older_record_never_wins_and_a_withdrawn_one_never_returns"),
    ("stale sequence accepted once forgotten", "src/dht/record/freshness.rs",
     "None if sequence < self.floor => Verdict::Forgotten { floor: self.floor },\n", "",
     "records::freshness::an_older_record_never_wins_and_a_withdrawn_one_never_returns"),
    ("join counts where any version has it", "src/dht/engine/mainline/shard.rs",
     "let held = if anywhere { &self.merged } else { &self.newest };", "let held = &self.merged;",
     "lib::dht::engine::mainline::shard::tests::what_the_newest_version_leaves_out_has_not_come_to_stay"),
    ("join is never looked at again", "src/dht/publisher/statement.rs",
     "self.recheck_at = (at < self.refresh_at).then_some(at);", "self.recheck_at = None;",
     "lib::dht::publisher::tests::it_is_made_sure_that_a_shard_lists_it_soon_and_then_ever_more_seldom"),
    ("bound drawn on beyond its last mark", "src/select/pair.rs",
     "ways.if_below(two, mid, high)", "mid",
     "lib::select::pair::tests::bounds_are_at_or_below_the_least_score"),
    ("published round trips bound estimates by landmarks", "src/select/legs.rs",
     "Place::Near(vicinity) => vicinity.estimates(square, heights),",
     "Place::Near(vicinity) => (farthest.max(vicinity.estimates(square, heights).0), square),",
     "semantics::positions::a_far_relay_without_a_place_hides_no_near_one"),
    ("eight words in the order of halves", "src/simd/eight.rs",
     "_mm256_set_epi64x(word(5), word(4), word(1), word(0))",
     "_mm256_set_epi64x(word(3), word(2), word(1), word(0))",
     "lib::simd::tests::all_vectors_give_the_same_results"),
    ("outliers never evidence, however often they are repeated", "src/rtt/repeats.rs",
     "const ENOUGH: u8 = 3;", "const ENOUGH: u8 = 255;",
     "coordinates::persistence::a_round_trip_that_is_the_same_each_time_is_taken_in"),
    ("a burst of outliers counts as often as it says", "src/rtt/repeats.rs",
     "if now.wrapping_sub(known.counted_at) < SPREAD {",
     "if false {",
     "coordinates::persistence::a_burst_is_no_more_evidence_than_one_sample"),
    ("a repeated lie counts in full", "src/rtt/vivaldi.rs",
     "residual.clamp(*usual.start(), *usual.end()) * GENTLY", "residual",
     "coordinates::persistence::repeating_itself_gains_a_liar_less_than_the_farthest_lie_that_passes"),
    ("a capped leg bounded by the way that is not", "src/select/pair.rs",
     "bound.min((own + longest) * said.penalty)", "bound",
     "bad_day::coordinates::a_target_beyond_the_longest_round_trip_is_reached_by_the_nearest_relay"),
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
        loom = {"RUSTFLAGS": "--cfg relay_loom", "CARGO_TARGET_DIR": str(TARGET / "loom")}
        model, _, way = check.partition(" ")
        name = path_of(model)
        loom["RELAY_LOOM_STEPS"] = "0" if way == "without steps" else "1"
        if name.startswith("registry::models") and way != "at its bound":
            loom["RELAY_LOOM_PREEMPTIONS"] = "2"
        return ["cargo", "test", "--quiet", "--release", *QUICKLY, "--lib"], name, loom
    which = ["--lib"] if program == "lib" else ["--test", program]
    return ["cargo", "test", "--quiet", "--all-features", *which], name, {"CARGO_TARGET_DIR": str(TARGET)}


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
