//! Which part of the configuration is in force as soon as it is read.

use super::Config;

impl Config {
    /// This configuration, with the live part of another one.
    pub fn with_live_part_of(&self, other: &Self) -> Self {
        let mut config = self.clone();
        config.decisions_per_second = other.decisions_per_second;
        config.revoked.clone_from(&other.revoked);
        config.relays.clone_from(&other.relays);
        config.settings.clone_from(&other.settings);
        config
    }

    /// What else is different there.
    pub fn changed_at_restart(&self, other: &Self) -> impl Iterator<Item = &'static str> + use<> {
        let fields = [
            ("listen", self.listen != other.listen),
            ("admin", self.admin != other.admin),
            ("secret", self.secret != other.secret),
            (
                "operator_token",
                self.operator_token != other.operator_token,
            ),
            ("state", self.state != other.state),
            ("registry", self.registry != other.registry),
            ("sessions", self.sessions != other.sessions),
            ("limits", self.limits != other.limits),
            ("probe", self.probe != other.probe),
        ];
        fields
            .into_iter()
            .filter_map(|(field, is_changed)| is_changed.then_some(field))
    }
}
