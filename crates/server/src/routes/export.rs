//! `/api/export`.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use proximity_api::export::{Export, ExportQuery};
use proximity_domain::manifest::Manifest;
use proximity_engine::commands;
use proximity_manifest::{WriteError, write, write_json};

use super::lookup;
use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Query, invalid};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::hosts::on_its_own_thread;

/// Export what is on record
///
/// A document of desired state for each app, adopted ones too: with its host and not its node, and with secrets named and never written. A
/// plan of them is empty, as long as no cluster differs from the record. No cluster is asked. An app that is not there yet or about to go
/// has no document, and is named in `left_out`.
#[utoipa::path(get, path = "/api/export", tag = "apps", operation_id = "export",
    params(ExportQuery),
    responses((status = 200, description = "The documents.", body = Export)),
    extensions(("x-codes" = json!(["app_not_found", "host_not_found", "invalid_value"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ExportQuery>,
) -> Result<Json<Export>, Refusal> {
    caller.require(Scope::Read)?;
    let written = format(query.format.as_deref())?;
    let reader = state.reader();
    let host = match &query.host {
        Some(name) => Some(lookup::host(&reader, name).await?.id),
        None => None,
    };
    let apps = match &query.app {
        Some(names) => {
            let mut ids = BTreeSet::new();
            for name in names.split(',') {
                ids.insert(lookup::app(&reader, &caller, name).await?.id);
            }
            Some(ids)
        }
        None => None,
    };
    let request = commands::Export {
        owner: caller.sees_only().map(str::to_owned),
        apps,
        host,
        power: query.power.unwrap_or(false),
    };
    let engine = state.engine().clone();
    // Thousands of documents take their time to be written.
    let export = async move || {
        let exports = engine.export(request).await;
        exports.map(|exports| convert::export(exports, written))
    };
    Ok(Json(on_its_own_thread(export).await??))
}

type Writer = fn(&Manifest) -> Result<String, WriteError>;

fn format(asked: Option<&str>) -> Result<Writer, Refusal> {
    match asked {
        None | Some("yaml") => Ok(write_yaml),
        Some("json") => Ok(write_json),
        Some(other) => Err(invalid(
            "format",
            format!("{other:?} is neither yaml nor json"),
        )),
    }
}

fn write_yaml(document: &Manifest) -> Result<String, WriteError> {
    write(std::slice::from_ref(document))
}
