//! Tests of each numbered rule of the registry, named after it, and of the ranking.
//!
//! Rule 11 is in `tests/memory.rs`. All tests use a manual clock, without a maintenance thread.

#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod again;
mod announcing;
mod bans;
mod bound;
mod brokering;
mod building;
mod closing;
mod completeness;
mod eligibility;
mod endpoints;
mod events;
mod expiry;
mod explaining;
mod explaining_options;
mod failures;
mod home;
mod hostile_reports;
mod labels;
mod last_resort;
mod latency;
mod leases;
mod listing;
mod load;
mod machines;
mod membership;
mod oracle;
mod outage;
mod pairs;
mod positions;
mod reference_behaviours;
mod regressions;
mod renewal;
mod slow_start;
mod sources;
mod sources_model;
mod standbys;
mod stickiness;
mod tiers;
mod units;
mod values;
mod view_bytes;
mod views;
mod visibility;
