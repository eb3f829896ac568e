//! `/api/openapi.json` and `/api/docs`: the API's own description, for programs and for people.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};

use crate::document::{self, page};

/// This document
#[utoipa::path(get, path = "/api/openapi.json", tag = "installation", operation_id = "openapi",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json")))]
pub(crate) async fn openapi() -> Response {
    (
        [(CONTENT_TYPE, "application/json")],
        document::TEXT.as_str(),
    )
        .into_response()
}

/// The page you are looking at
///
/// All operations, schemas and error codes; it needs no script and nothing from elsewhere.
#[utoipa::path(get, path = "/api/docs", tag = "installation", operation_id = "docs",
    security(()),
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")))]
pub(crate) async fn docs() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, page::POLICY.as_str()),
    ];
    (headers, page::PAGE.as_str()).into_response()
}
