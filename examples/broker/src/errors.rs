//! Errors as callers see them: a status, and JSON with a kind for programs and a message for people.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use relay_registry::{BanError, FindError, OperatorError, RegisterError};
use serde::Serialize;
use serde_json::{Value, json};

/// After which time a caller may try again, if the cause may pass by itself.
const RETRY_AFTER_SECONDS: u16 = 2;

#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    /// With the fields `kind` and `message`.
    error: Value,
    retry_after_seconds: Option<u16>,
}

impl ApiError {
    pub fn new(status: StatusCode, kind: &str, message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self {
            status,
            error: json!({ "kind": kind, "message": message }),
            retry_after_seconds: None,
        }
    }

    /// An error of the registry, which serialises as its kind and message.
    fn of(status: StatusCode, error: &impl Serialize) -> Self {
        let error = serde_json::to_value(error).unwrap_or_else(|_| json!({ "kind": "internal" }));
        Self {
            status,
            error,
            retry_after_seconds: None,
        }
    }

    pub fn retry_after(mut self, seconds: u16) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// What the caller is told.
    pub fn body(&self) -> &Value {
        &self.error
    }

    pub fn missing_token() -> Self {
        let message = "send the header `Authorization: Bearer TOKEN`";
        Self::new(StatusCode::UNAUTHORIZED, "missing-token", message)
    }

    pub fn wrong_token() -> Self {
        let message = "the token is not the one of this id";
        Self::new(StatusCode::UNAUTHORIZED, "wrong-token", message)
    }

    pub fn revoked() -> Self {
        Self::new(StatusCode::FORBIDDEN, "revoked", "this id is revoked")
    }

    pub fn unknown_relay() -> Self {
        let message = "the relay is not registered: it left, expired, or never came";
        Self::new(StatusCode::NOT_FOUND, "unknown-relay", message)
    }

    pub fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown-path", "nothing is here")
    }

    pub fn wrong_method() -> Self {
        let message = "this path has other methods: see the header `Allow`";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", message)
    }

    pub fn bad_request(kind: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, message)
    }

    pub fn too_many_requests(kind: &str, message: impl Into<String>, seconds: u16) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, kind, message).retry_after(seconds)
    }

    pub fn closing() -> Self {
        let message = "this broker is ending; ask another one, or this one after its restart";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "closing", message)
            .retry_after(RETRY_AFTER_SECONDS)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = axum::Json(json!({ "error": self.error }));
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<RegisterError> for ApiError {
    fn from(error: RegisterError) -> Self {
        use relay_registry::LabelScope;
        match error {
            RegisterError::Full { .. } | RegisterError::Backlogged { .. } => {
                Self::of(StatusCode::SERVICE_UNAVAILABLE, &error).retry_after(RETRY_AFTER_SECONDS)
            }
            RegisterError::EndpointTaken { .. }
            | RegisterError::TooManyLabels {
                scope: LabelScope::Registry,
                ..
            } => Self::of(StatusCode::CONFLICT, &error),
            RegisterError::ClockExhausted => Self::of(StatusCode::INTERNAL_SERVER_ERROR, &error),
            _ => Self::of(StatusCode::BAD_REQUEST, &error),
        }
    }
}

impl From<FindError> for ApiError {
    fn from(error: FindError) -> Self {
        Self::of(StatusCode::SERVICE_UNAVAILABLE, &error).retry_after(RETRY_AFTER_SECONDS)
    }
}

impl From<OperatorError> for ApiError {
    fn from(error: OperatorError) -> Self {
        let status = match error {
            OperatorError::InvalidCost { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::of(status, &error)
    }
}

impl From<BanError> for ApiError {
    fn from(error: BanError) -> Self {
        let status = match error {
            BanError::TooLong { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::of(status, &error)
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let kind = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "body-too-large",
            _ => "invalid-body",
        };
        Self::new(rejection.status(), kind, rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request("invalid-id", rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request("invalid-query", rejection.body_text())
    }
}
