//! [`SourceRelay`]: one entry of a list of relays.

use crate::relay::{Endpoint, NodeId, RegisterOptions};

/// One relay in the list of a source: what [`Registry::sync_source`](crate::Registry::sync_source)
/// registers.
///
/// It is made of a pair of id and endpoint, or of a triple with the options. With the feature
/// `serde` it is [read](crate::guide::serialised_form) from `{"id": "c0ffee", "endpoint":
/// "relay.example:4433"}`, with the [options](RegisterOptions) under `"options"` if there are any.
///
/// ```
/// use relay_registry::{Endpoint, NodeId, RegisterOptions, SourceRelay};
///
/// let id = NodeId::from([1; 32]);
/// let endpoint = Endpoint::new("relay.example", 4433)?;
/// let plain: SourceRelay = (id, endpoint.clone()).into();
/// assert_eq!(plain, SourceRelay::new(id, endpoint.clone()));
///
/// let large: SourceRelay = (id, endpoint, RegisterOptions::new().capacity(500)).into();
/// assert_eq!(large, plain.with_options(RegisterOptions::new().capacity(500)));
/// # Ok::<(), relay_registry::EndpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct SourceRelay {
    /// The relay.
    pub id: NodeId,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What it declares besides. What is not set here has its default.
    pub options: RegisterOptions,
}

impl SourceRelay {
    /// A relay with default options.
    pub fn new(id: NodeId, endpoint: impl Into<Endpoint>) -> Self {
        Self {
            id,
            endpoint: endpoint.into(),
            options: RegisterOptions::new(),
        }
    }

    /// The same relay with other options.
    pub fn with_options(mut self, options: RegisterOptions) -> Self {
        self.options = options;
        self
    }
}

impl<E: Into<Endpoint>> From<(NodeId, E)> for SourceRelay {
    fn from((id, endpoint): (NodeId, E)) -> Self {
        Self::new(id, endpoint)
    }
}

impl<E: Into<Endpoint>> From<(NodeId, E, RegisterOptions)> for SourceRelay {
    fn from((id, endpoint, options): (NodeId, E, RegisterOptions)) -> Self {
        Self::new(id, endpoint).with_options(options)
    }
}
