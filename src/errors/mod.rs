//! Why a call of the registry failed. The error of a value is beside the value, and that
//! of the builder beside the builder.

mod find;
mod operator;
mod register;
#[cfg(feature = "persistence")]
mod restore;
mod sync;

pub use find::{FindError, LeaseError, PeerViewError, Rejections};
pub use operator::{BanError, OperatorError};
pub(crate) use register::write_invalid_ttl;
pub use register::{LabelScope, RegisterError, RenewError};
#[cfg(feature = "persistence")]
pub use restore::RestoreError;
pub use sync::SyncError;
