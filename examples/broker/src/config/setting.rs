//! What the operator says of a relay, in the file.

use super::Setting;
use relay_registry::{OperatorError, Registry};

impl Setting {
    /// Applies it, in addition to what is set already.
    pub fn apply(&self, registry: &Registry) -> Result<(), OperatorError> {
        if let Some(tier) = self.tier {
            registry.set_tier(&self.id, tier)?;
        }
        if let Some(cost) = self.cost {
            registry.set_cost(&self.id, cost)?;
        }
        if let Some(draining) = self.draining {
            registry.set_draining(&self.id, draining)?;
        }
        Ok(())
    }
}
