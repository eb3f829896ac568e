//! `/api/proxmox/hosts/{host}/certificate`.

use axum::Json;
use axum::extract::State;
use proximity_api::hosts::{CertificateReport, TrustCertificate};
use proximity_engine::commands;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::hosts::on_its_own_thread;

/// Trust another certificate of a host
///
/// For one that was renewed while no other endpoint of the cluster answers. Without a fingerprint it says what is shown. With
/// one, that certificate is pinned for the endpoints that show it, once the entry's own cluster was seen behind it.
#[utoipa::path(put, path = "/api/proxmox/hosts/{host}/certificate", tag = "hosts", operation_id = "trust_certificate",
    params(("host" = String, Path, description = "Id or label.", example = "home")),
    request_body = TrustCertificate,
    responses((status = 200, description = "The endpoints, and the entry as it is then.", body = CertificateReport)),
    extensions(("x-codes" = json!(["host_not_found", "invalid_value", "fingerprint_mismatch", "host_unreachable", "host_unusable", "token_invalid", "no_quorum", "view_incomplete", "@cluster"]))))]
pub(crate) async fn trust(
    State(state): State<AppState>,
    caller: Caller,
    Name(host): Name,
    Body(body): Body<TrustCertificate>,
) -> Result<Json<CertificateReport>, Refusal> {
    caller.require(Scope::Hosts)?;
    let request = commands::TrustCertificate {
        fingerprint: body.fingerprint,
    };
    let (engine, actor) = (state.engine().clone(), caller.actor().clone());
    let work = async move || engine.trust_certificate(&actor, &host, request).await;
    let report = on_its_own_thread(work).await?.map_err(Refusal::from)?;
    Ok(Json(convert::certificates(report)))
}
