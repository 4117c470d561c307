//! Reads the configuration again, when it changes and on SIGHUP, and keeps its relays registered.

use crate::app::App;
use crate::config::{Config, Setting};
use metrics::counter;
use relay_registry::{NodeId, Registry};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::fs;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::{self, MissedTickBehavior};

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// The source of the registry's relays that come from the file.
const TAG: &str = "config";

/// Puts in force what the configuration says of relays, when the broker starts.
pub fn start(registry: &Registry, config: &Config) {
    settle(registry, &[], &config.settings);
    remove_revoked(registry, &HashSet::new(), &config.revoked);
    sync(registry, config);
}

/// Registers the relays of the configuration again before they expire, until the broker closes.
pub async fn keep_relays(app: Arc<App>) {
    let every = app.config().registry.ttl_seconds.get() / 3;
    loop {
        tokio::select! {
            () = time::sleep(every) => sync(&app.registry, &app.config()),
            () = app.closing.cancelled() => return,
        }
    }
}

/// Watches the file, until the broker closes.
pub async fn watch(app: Arc<App>, file: PathBuf) -> std::io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    let mut ticks = time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        let is_told = tokio::select! {
            _ = ticks.tick() => false,
            _ = hangups.recv() => true,
            () = app.closing.cancelled() => return Ok(()),
        };
        let text = fs::read_to_string(&file).await;
        let text = text.map_err(|error| error.to_string());
        if last.as_ref() == Some(&text) && !is_told {
            continue;
        }
        let read = parse(&file, text.clone()).await;
        // What the broker started with is in force.
        let is_known = last.is_none() && read.as_ref() == Ok(&*app.config());
        if !is_known || is_told {
            take(&app, &file, &read);
        }
        last = Some(text);
    }
}

async fn parse(file: &Path, text: Result<String, String>) -> Result<Config, String> {
    // The check builds a registry of its own.
    let parsed = spawn_blocking(move || Config::parse(&text?)).await;
    let parsed = parsed.unwrap_or_else(|error| Err(error.to_string()));
    parsed.map_err(|problem| format!("{}: {problem}", file.display()))
}

/// Puts what was read in force, or says why not.
fn take(app: &App, file: &Path, read: &Result<Config, String>) {
    let new = match read {
        Ok(new) => new,
        Err(problem) => {
            tracing::error!("{problem}; the configuration before stays in force");
            counter!("broker_reloads_total", "outcome" => "refused").increment(1);
            return;
        }
    };
    let old = app.config();
    for field in old.changed_at_restart(new) {
        tracing::warn!(
            "{}: {field} has changed: that takes a restart",
            file.display()
        );
    }
    settle(&app.registry, &old.settings, &new.settings);
    remove_revoked(&app.registry, &old.revoked, &new.revoked);
    sync(&app.registry, new);
    app.set_config(old.with_live_part_of(new));
    tracing::info!("{}: in force", file.display());
    counter!("broker_reloads_total", "outcome" => "taken").increment(1);
}

/// Lifts the settings that are gone or changed, and applies those that are new. What the operator set
/// by a call stays, but for these relays.
fn settle(registry: &Registry, old: &[Setting], new: &[Setting]) {
    for setting in old.iter().filter(|setting| !new.contains(setting)) {
        registry.lift(&setting.id);
    }
    for setting in new.iter().filter(|setting| !old.contains(setting)) {
        if let Err(error) = setting.apply(registry) {
            tracing::error!(relay = %setting.id, %error, "a setting was not applied");
        }
    }
}

/// A relay whose id is revoked cannot leave by itself any more, nor renew.
fn remove_revoked(registry: &Registry, old: &HashSet<NodeId>, new: &HashSet<NodeId>) {
    for id in new.difference(old) {
        registry.unregister(id);
    }
}

fn sync(registry: &Registry, config: &Config) {
    match registry.sync_source(TAG, config.relays.iter().cloned()) {
        Ok(report) => {
            for (relay, error) in report.refused {
                tracing::error!(%relay, %error, "a relay of the configuration was refused");
            }
        }
        Err(error) => tracing::error!(%error, "the relays of the configuration were refused"),
    }
}
