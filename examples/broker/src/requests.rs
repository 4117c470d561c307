//! The parts of a request, with errors in JSON.

use crate::errors::ApiError;
use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query};

#[derive(FromRequest)]
#[from_request(via(Json), rejection(ApiError))]
pub struct Body<T>(pub T);

#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(ApiError))]
pub struct Asked<T>(pub T);

#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(ApiError))]
pub struct At<T>(pub T);
