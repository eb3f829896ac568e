//! The OpenAPI document: what the routes declare, completed with what all of them share.

mod complete;
mod links;
pub(crate) mod page;
mod refusals;

use std::sync::LazyLock;

use proximity_api::error::ErrorEnvelope;
use proximity_api::inside::ExecEvent;
use serde_json::Value;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::{cookies, router};

/// The whole document, completed. Made anew each time: as a tree it takes many times the memory of its text.
pub(crate) fn document() -> Value {
    complete::complete(router::declared())
}

/// The same, made once.
#[cfg(test)]
pub(crate) static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// The document as it is served and kept in git: JSON, indented, one line end at the end.
pub(crate) static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

/// The text of docs/reference/openapi.json, which `GET /api/openapi.json` serves.
#[must_use]
pub fn openapi_document() -> &'static str {
    &TEXT
}

/// What stands above the paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Proximity",
        description = include_str!("about.md"),
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        contact()
    ),
    components(schemas(ErrorEnvelope, ExecEvent)),
    security(("token" = []), ("session" = [])),
    tags(
        (name = "apps", description = "Deploying apps, looking at them, acting on them."),
        (name = "stacks", description = "Apps that documents put together: started and stopped in the order of what they need."),
        (name = "operations", description = "Durable units of work: following them, and deciding about those that need a person."),
        (name = "events", description = "What happened, in order: as pages, and as a stream."),
        (name = "catalog", description = "What can be deployed."),
        (name = "hosts", description = "Proxmox VE clusters and nodes that apps are deployed on."),
        (name = "accounts", description = "Who may sign in and who is signed in."),
        (name = "installation", description = "This server: health, and this document.")
    )
)]
struct Head;

/// An empty document with everything that stands above the paths.
pub(crate) fn head() -> utoipa::openapi::OpenApi {
    let mut head = Head::openapi();
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A token of this installation. The first one is in the file `admin.token` of the data directory.",
        ))
        .build();
    let cookie = ApiKeyValue::with_description(
        cookies::SECURE,
        "The cookie of somebody who signed in. Whatever is no GET needs the header `X-CSRF-Token` and the browser's own `Origin` besides.",
    );
    let components = head.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(scheme));
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    head
}

#[cfg(test)]
mod tests;
