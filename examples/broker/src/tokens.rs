//! Tokens: a relay and a peer have one each, made from its id and the secret of the broker, so that
//! no list of them is kept. The operator has the one of the configuration.

use crate::app::App;
use crate::config::Secret;
use crate::errors::ApiError;
use crate::requests::At;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use hmac::{Hmac, KeyInit, Mac};
use relay_registry::NodeId;
use sha2::Sha256;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Whose token it is. The same id may be that of a relay and of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Relay,
    Peer,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Peer => "peer",
        }
    }
}

/// The token of an id: HMAC-SHA256 of `ROLE:ID`, in hexadecimal digits.
pub fn token(secret: &Secret, role: Role, id: &NodeId) -> String {
    hex::encode(mac(secret, role, id).finalize().into_bytes())
}

fn mac(secret: &Secret, role: Role, id: &NodeId) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    let mut mac = mac.expect("a key may have any length");
    mac.update(format!("{}:{id}", role.name()).as_bytes());
    mac
}

/// Checks the token of an id, in a time that does not depend on what is wrong with it.
pub fn check(app: &App, headers: &HeaderMap, role: Role, id: &NodeId) -> Result<(), ApiError> {
    let token = hex::decode(bearer(headers)?).map_err(|_| ApiError::wrong_token())?;
    let config = app.config();
    let mac = mac(&config.secret, role, id);
    mac.verify_slice(&token)
        .map_err(|_| ApiError::wrong_token())?;
    if config.revoked.contains(id) {
        return Err(ApiError::revoked());
    }
    Ok(())
}

fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let header = headers.get(AUTHORIZATION);
    let value = header.and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer "));
    token.ok_or_else(ApiError::missing_token)
}

/// The relay of the path, if the request carries its token.
pub struct RelayId(pub NodeId);

/// The peer of the path, if the request carries its token.
pub struct PeerId(pub NodeId);

/// The request carries the operator's token.
pub struct Operator;

impl FromRequestParts<Arc<App>> for RelayId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let At(id) = At::from_request_parts(parts, app).await?;
        check(app, &parts.headers, Role::Relay, &id)?;
        Ok(Self(id))
    }
}

impl FromRequestParts<Arc<App>> for PeerId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let At(id) = At::from_request_parts(parts, app).await?;
        check(app, &parts.headers, Role::Peer, &id)?;
        Ok(Self(id))
    }
}

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers)?.as_bytes();
        let is_right = token.ct_eq(app.config().operator_token.as_bytes());
        match bool::from(is_right) {
            true => Ok(Self),
            false => Err(ApiError::wrong_token()),
        }
    }
}
