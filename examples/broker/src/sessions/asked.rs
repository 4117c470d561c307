//! What a session asks for.

use crate::errors::ApiError;
use relay_registry::{FindOptions, IpFamily, NodeId};
use serde::Deserialize;

/// The query of `/v1/sessions`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub requester: NodeId,
    pub target: NodeId,
    /// Labels that the relay must have, with commas between them.
    #[serde(default)]
    require: String,
    /// Labels that it must not have.
    #[serde(default)]
    avoid: String,
    family: Option<IpFamily>,
    /// The relay that the peers have in use.
    prefer: Option<NodeId>,
}

impl Query {
    /// The options of the find. Only `known` labels may be asked for: the registry keeps search trees
    /// for the first combinations that are.
    pub fn options(&self, known: &[String]) -> Result<FindOptions, ApiError> {
        if self.requester == self.target {
            let message = "requester and target are the same peer";
            return Err(ApiError::bad_request("same-peer", message));
        }
        let mut options = FindOptions::new()
            .max_results(1)
            .requester(self.requester)
            .require(labels(&self.require, known)?)
            .avoid(labels(&self.avoid, known)?);
        if let Some(family) = self.family {
            options = options.family(family);
        }
        if let Some(relay) = self.prefer {
            options = options.prefer(relay);
        }
        Ok(options)
    }
}

fn labels<'a>(list: &'a str, known: &[String]) -> Result<Vec<&'a str>, ApiError> {
    let labels: Vec<_> = list.split(',').filter(|label| !label.is_empty()).collect();
    match labels
        .iter()
        .find(|label| !known.iter().any(|it| it == *label))
    {
        None => Ok(labels),
        Some(label) => {
            let message =
                format!("{label:?} is not among the labels that sessions may ask for: {known:?}");
            Err(ApiError::bad_request("unknown-label", message))
        }
    }
}
