//! `/api/plans`.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use proximity_api::plans::{MakePlan, Plan, PlanText};
use proximity_domain::ids::PlanId;
use proximity_engine::commands;
use proximity_engine::error::EngineError;
use proximity_manifest::{Given, Manifests, Problems, Source};
use proximity_store::plans::PlanRecord;

use crate::auth::{Caller, Scope};
use crate::convert;
use crate::extract::{Body, Name, invalid};
use crate::refusal::Refusal;
use crate::router::AppState;
use crate::routes::hosts::on_its_own_thread;

/// Plan
///
/// What would have to be done so that all is as the documents want it: in order, with what differs, how long people do without, which data
/// goes, what the tokens lack in Proxmox VE, and what keeps it from being done as things are. Clusters are read, and nothing is changed.
/// What cannot be read is no error, and nothing that was not read is told to be as wanted. A container that no app has is everybody's:
/// who sees the apps of one account alone needs the right on hosts besides, if a document names one.
#[utoipa::path(post, path = "/api/plans", tag = "apps", operation_id = "make_plan",
    request_body = MakePlan,
    responses((status = 201, description = "The plan; it is kept.", body = Plan),
        (status = 200, description = "The plan; it is a passing one, and not kept.", body = Plan)),
    extensions(("x-codes" = json!(["manifest_invalid", "invalid_value", "no_host"]))))]
pub(crate) async fn make(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<MakePlan>,
) -> Result<(StatusCode, Json<Plan>), Refusal> {
    caller.require(Scope::Read)?;
    if body.documents.is_empty() {
        return Err(invalid("documents", "there is none".to_owned()));
    }
    let (engine, actor) = (state.engine().clone(), caller.actor().clone());
    let owner = caller.changes_only().map(str::to_owned);
    let may_take = caller.may(Scope::Hosts);
    let passing = body.passing;
    let make = async move || {
        let prune = body.prune;
        let Manifests {
            documents, order, ..
        } = proximity_manifest::read(&given(body)).map_err(wrong)?;
        let request = commands::MakePlan {
            documents,
            order,
            prune,
            owner,
            passing,
            ..commands::MakePlan::default()
        };
        if !may_take && engine.plan_names_strangers(&request).await? {
            return Ok(None);
        }
        engine.make_plan(&actor, request).await.map(Some)
    };
    let made = on_its_own_thread(make).await??;
    let record = made.ok_or_else(|| caller.lacks(Scope::Hosts))?;
    let status = match passing {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    Ok((status, Json(convert::plan(record, !passing))))
}

/// Show a plan
///
/// As it was made. The newest hundred of each account are kept.
#[utoipa::path(get, path = "/api/plans/{plan}", tag = "apps", operation_id = "show_plan",
    params(("plan" = String, Path, description = "Id.", example = "018f0000-0000-7000-8000-000000000001")),
    responses((status = 200, description = "The plan.", body = Plan)),
    extensions(("x-codes" = json!(["not_found"]))))]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<Plan>, Refusal> {
    caller.require(Scope::Read)?;
    let found = match name.parse::<PlanId>() {
        Ok(id) => state.reader().plan(id).await?,
        Err(_) => None,
    };
    let is_seen = |record: &PlanRecord| {
        caller
            .sees_only()
            .is_none_or(|account| account == record.made_by)
    };
    let record = found
        .filter(is_seen)
        .ok_or(EngineError::NotFound { what: "plan", name })?;
    Ok(Json(convert::plan(record, true)))
}

fn given(body: MakePlan) -> Given {
    let sources = |texts: Vec<PlanText>| {
        let texts = texts.into_iter().map(|one| Source {
            name: one.name,
            bytes: one.text.into_bytes(),
        });
        texts.collect()
    };
    let set = body.set.into_iter().map(|one| (one.name, one.value));
    Given {
        documents: sources(body.documents),
        values: sources(body.values),
        set: set.collect(),
    }
}

/// Each problem by its place.
fn wrong(problems: Problems) -> EngineError {
    let problems = problems.problems.into_iter().map(|one| {
        let place = format!("{}:{}:{}", one.file, one.line, one.column);
        (place, format!("{}; {}", one.message, one.hint))
    });
    EngineError::Manifests {
        fields: problems.collect(),
    }
}
