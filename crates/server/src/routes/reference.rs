//! `/api/openapi.json`: the API's own description.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use crate::document;

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
