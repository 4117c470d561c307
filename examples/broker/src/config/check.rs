//! What makes a configuration one that the broker can work by.

use super::{Config, Secret};
use relay_registry::{Maintenance, ManualClock, Registry, RegistryBuilder};
use std::collections::HashSet;
use std::path::Path;
use std::{fs, io};
use thiserror::Error;
use tokio::sync::Semaphore;
use tracing::subscriber::{self, NoSubscriber};

/// The secrets of the example: fine to try the broker on one machine.
const EXAMPLE_SECRET: &str = "not a secret: replace me by 32 characters or more";

/// Why a configuration is refused, as a whole.
#[derive(Debug, Error)]
pub enum Invalid {
    #[error("{path}: {source}")]
    Unreadable { path: String, source: io::Error },
    #[error("{path}: {problem}")]
    Wrong { path: String, problem: String },
}

impl Config {
    /// Reads a configuration, and checks it. Waits for the disk.
    pub fn read(path: &Path) -> Result<Self, Invalid> {
        let text = fs::read_to_string(path).map_err(|source| Invalid::Unreadable {
            path: path.display().to_string(),
            source,
        })?;
        Self::parse(&text).map_err(|problem| Invalid::Wrong {
            path: path.display().to_string(),
            problem,
        })
    }

    /// Checks the text of a configuration.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| one_line(text, &error))?;
        config.check()?;
        Ok(config)
    }

    /// The settings of the registry.
    pub fn registry_builder(&self) -> RegistryBuilder {
        Registry::builder()
            .name(self.registry.name.as_str())
            .max_relays(self.registry.max_relays)
            .ttl(self.registry.ttl_seconds.get())
            .address_policy(self.registry.address_policy)
            .max_peers(self.registry.max_peers)
    }

    fn check(&self) -> Result<(), String> {
        self.secret
            .check("secret", self.listen.ip().is_loopback())?;
        let is_local = self.admin.ip().is_loopback();
        self.operator_token.check("operator_token", is_local)?;
        for (name, is_zero) in [
            (
                "registry.ttl_seconds",
                self.registry.ttl_seconds.get().is_zero(),
            ),
            (
                "registry.save_every_seconds",
                self.registry.save_every_seconds.get().is_zero(),
            ),
            (
                "sessions.ping_seconds",
                self.sessions.ping_seconds.get().is_zero(),
            ),
            (
                "limits.request_seconds",
                self.limits.request_seconds.get().is_zero(),
            ),
            ("sessions.per_peer", self.sessions.per_peer == 0),
            ("sessions.max_tries", self.sessions.max_tries == 0),
            ("limits.connections", self.limits.connections == 0),
            (
                "limits.admin_connections",
                self.limits.admin_connections == 0,
            ),
            ("probe.at_a_time", self.probe.at_a_time == 0),
        ] {
            if is_zero {
                return Err(format!("{name} is 0; it must be above"));
            }
        }
        for (name, connections) in [
            ("limits.connections", self.limits.connections),
            ("limits.admin_connections", self.limits.admin_connections),
        ] {
            if connections > Semaphore::MAX_PERMITS {
                let most = Semaphore::MAX_PERMITS;
                return Err(format!("{name} is {connections}; it must be up to {most}"));
            }
        }
        // Its log is of no use.
        subscriber::with_default(NoSubscriber::new(), || self.rehearse())
    }

    /// Gives relays and settings to a registry of their own, which has no threads: what it refuses
    /// is refused here, before the one that serves has seen any of it.
    fn rehearse(&self) -> Result<(), String> {
        let registry = self
            .registry_builder()
            .maintenance(Maintenance::Manual)
            .clock(ManualClock::new())
            .build()
            .map_err(|error| format!("registry: {error}"))?;
        let report = registry
            .sync_source("config", self.relays.iter().cloned())
            .map_err(|error| format!("relays: {error}"))?;
        if let Some((id, error)) = report.refused.first() {
            return Err(format!("relays: {id}: {error}"));
        }
        if let Some(id) = report.duplicates.first() {
            return Err(format!("relays: {id} is there twice"));
        }
        let mut ids = HashSet::new();
        for setting in &self.settings {
            if !ids.insert(setting.id) {
                return Err(format!("settings: {} is there twice", setting.id));
            }
            setting
                .apply(&registry)
                .map_err(|error| format!("settings: {}: {error}", setting.id))?;
        }
        Ok(())
    }
}

impl Secret {
    fn check(&self, name: &str, is_local: bool) -> Result<(), String> {
        if self.0.len() < 32 {
            return Err(format!("{name} has fewer than 32 characters"));
        }
        if self.0 == EXAMPLE_SECRET && !is_local {
            return Err(format!(
                "{name} is that of the example, and the listener is not on loopback"
            ));
        }
        Ok(())
    }
}

/// The message of the parser, with the line that it is about, in one line.
fn one_line(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', " ");
    match error.span() {
        Some(span) => {
            let line = 1 + text[..span.start].matches('\n').count();
            format!("line {line}: {message}")
        }
        None => message,
    }
}
