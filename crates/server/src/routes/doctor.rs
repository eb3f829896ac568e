//! `/api/doctor`.

use axum::Json;
use axum::extract::State;
use proximity_api::doctor::{DoctorQuery, DoctorReport};

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::Query;
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::hosts::on_its_own_thread;

/// Look at everything this installation stands on
///
/// Endpoints, certificates, clocks, versions, quorum, the rights of each token, storages, bridges, the way into containers and the
/// pool of each host, or of the one that is named; and gateway and database. Nothing is changed anywhere. What is wrong is a
/// finding, and no error: also a host that does not answer. There is one look at a time.
#[utoipa::path(get, path = "/api/doctor", tag = "hosts", operation_id = "doctor",
    params(DoctorQuery),
    responses((status = 200, description = "What was found.", body = DoctorReport)),
    extensions(("x-codes" = json!(["host_not_found", "no_host", "doctor_at_work"]))))]
pub(crate) async fn doctor(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<DoctorQuery>,
) -> Result<Json<DoctorReport>, Refusal> {
    caller.require(Scope::Read)?;
    let engine = state.engine().clone();
    let look = async move || engine.doctor(query.host.as_deref()).await;
    let findings = on_its_own_thread(look).await??;
    Ok(Json(convert::doctor_report(findings)))
}
