//! One look at a source: what is new, what would have to be done, and what becomes of that.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::apply::{ApplyState, Consent};
use proximity_domain::desired::{DesiredSpec, Documents};
use proximity_domain::failure::Failure;
use proximity_domain::ids::{AppId, PlanId};
use proximity_domain::names::{CommitId, Hostname, SecretName};
use proximity_domain::plan::Plan;
use proximity_domain::source::{
    Due, Sight, SourcePolicy, SourceState, Verdict, held_back, judge, said_anew,
};
use proximity_store::error::StoreError;
use proximity_store::plans::PlanRecord;
use proximity_store::sources::SourceRecord;

use super::checkout::Checkout;
use super::trouble::Halt;
use crate::commands::{MakePlan, StartApply, by_name};
use crate::engine::Engine;
use crate::error::EngineError;

/// Looks at a source, and gives what is known of it from now on.
///
/// Flow: an apply under way is followed → the newest commit of the branch → its documents, unless that commit is done with → a plan that
/// is not kept → the policy → where something is to be done or told, a plan that is kept → its apply.
///
/// # Errors
/// The store's: then it is as if nobody had looked.
pub(super) async fn look(engine: &Engine, source: &SourceRecord) -> Result<Sight, StoreError> {
    let due = Due {
        now: engine.now(),
        every_s: source.every_s,
    };
    if let Some(sight) = followed(engine, source, due).await? {
        return Ok(sight);
    }
    match Box::pin(looked(engine, source, due)).await {
        Ok(sight) => Ok(sight),
        Err(Halt::Store(error)) => Err(error),
        Err(Halt::Trouble(trouble)) => {
            let sight = &source.sight;
            let sight = sight.troubled(trouble.state, trouble.commit, trouble.why, due);
            Ok(sight.with(trouble.problems))
        }
    }
}

/// Documents of the newest commit and what they would change. Nothing is kept.
pub(super) async fn preview(
    engine: &Engine,
    source: &SourceRecord,
) -> Result<PlanRecord, EngineError> {
    let checkout = Checkout::open(engine, source).await?;
    let (_, read) = checkout.documents().await?;
    drop(checkout);
    let request = MakePlan {
        documents: read.documents,
        order: read.order,
        prune: source.prune,
        owner: source.owner.clone(),
        passing: true,
        ..MakePlan::default()
    };
    Box::pin(engine.make_plan(&source.actor(), request)).await
}

/// What became of the apply under way; what failed of it is rejected. `None`: there is none, or nobody knows of it any more.
async fn followed(
    engine: &Engine,
    source: &SourceRecord,
    due: Due,
) -> Result<Option<Sight>, StoreError> {
    let sight = &source.sight;
    let (SourceState::Applying, Some(id), Some(commit)) = (sight.state, sight.apply, &sight.commit)
    else {
        return Ok(None);
    };
    let apply = engine.store().apply(id).await?;
    if let Some(apply) = apply.as_ref().filter(|one| one.state == ApplyState::Failed) {
        let by = format!("source {}", source.name);
        engine.reject_failed(&source.actor(), &by, apply).await?;
    }
    Ok(apply.map(|apply| {
        let sight = match apply.state {
            ApplyState::Running | ApplyState::Stopping => sight.still(due),
            ApplyState::Done => sight.as_wanted(commit.clone(), due),
            ApplyState::Failed => sight.failed(apply.why.unwrap_or_else(stopped), due),
            ApplyState::Stopped => sight.failed(stopped(), due),
        };
        // There may be another commit by now.
        sight.soon(due.now)
    }))
}

/// What failed or was stopped before the repository was away for a while is not begun again by itself.
async fn failed_before(
    engine: &Engine,
    source: &SourceRecord,
    due: Due,
) -> Result<Option<Sight>, StoreError> {
    let sight = &source.sight;
    let was_applied = sight.applied == sight.commit;
    let (SourceState::Unreachable, Some(id), false) = (sight.state, sight.apply, was_applied)
    else {
        return Ok(None);
    };
    let apply = engine.store().apply(id).await?;
    Ok(apply.and_then(|apply| match apply.state {
        ApplyState::Failed => Some(sight.failed(apply.why.unwrap_or_else(stopped), due)),
        ApplyState::Stopped => Some(sight.failed(stopped(), due)),
        ApplyState::Running | ApplyState::Stopping | ApplyState::Done => None,
    }))
}

fn stopped() -> Failure {
    Failure::new(
        "apply_stopped",
        "the apply was stopped before all of its changes were begun",
        "let it be done anew with: proximity sources sync NAME; or push another commit",
    )
}

async fn looked(engine: &Engine, source: &SourceRecord, due: Due) -> Result<Sight, Halt> {
    let sight = &source.sight;
    let checkout = Checkout::open(engine, source).await?;
    let newest = checkout.newest().await?;
    let is_known = sight.commit.as_ref() == Some(&newest);
    let is_done = matches!(sight.state, SourceState::AsWanted | SourceState::Failed);
    if is_known && is_done {
        return Ok(sight.still(due));
    }
    if is_known && let Some(failed) = failed_before(engine, source, due).await? {
        return Ok(failed);
    }
    if is_known && sight.state == SourceState::Wrong && !sight.reads_again() {
        return Ok(sight.still_wrong(due));
    }
    let kept = match (is_known, sight.state, sight.plan) {
        (true, SourceState::Waiting, Some(plan)) => kept(engine, plan).await?,
        _ => None,
    };
    let (commit, request) = match &kept {
        // What a person has not looked at yet need not be fetched again.
        Some((_, request)) => (newest, request.clone()),
        None => {
            let (commit, read) = checkout.documents().await?;
            let request = MakePlan {
                documents: read.documents,
                order: read.order,
                ..MakePlan::default()
            };
            (commit, request)
        }
    };
    drop(checkout);
    let request = MakePlan {
        prune: source.prune,
        owner: source.owner.clone(),
        passing: true,
        ..request
    };
    let before = kept.as_ref().map(|(record, _)| record);
    let decided = decided(engine, source, commit.clone(), request, before, due);
    Box::pin(decided).await.map_err(|halt| halt.at(&commit))
}

/// A plan that waits, with what its documents want.
async fn kept(engine: &Engine, id: PlanId) -> Result<Option<(PlanRecord, MakePlan)>, StoreError> {
    let Some(record) = engine.store().plan(id).await? else {
        return Ok(None);
    };
    let documents = engine.store().plan_documents(id).await?;
    Ok(documents.map(|documents| {
        let request = MakePlan {
            documents: documents.manifests(),
            order: documents.order(),
            ..MakePlan::default()
        };
        (record, request)
    }))
}

/// Plans, and does by the source's policy what is to be done.
async fn decided(
    engine: &Engine,
    source: &SourceRecord,
    commit: CommitId,
    request: MakePlan,
    before: Option<&PlanRecord>,
    due: Due,
) -> Result<Sight, Halt> {
    let (sight, actor) = (&source.sight, source.actor());
    let planned = Box::pin(engine.make_plan(&actor, request.clone())).await?;
    let documents = Documents::of(&request.documents);
    let verdict = judged(engine, source, &planned.plan, &documents).await?;
    if let Some(before) = before
        && let Verdict::Waits(why) = &verdict
        && before.applied_at.is_none()
        && before.plan.is_still(&planned.plan)
    {
        return Ok(sight.waits(commit, before.id, why.clone(), due));
    }
    if verdict == Verdict::Quiet {
        return Ok(sight.as_wanted(commit, due));
    }
    let request = MakePlan {
        passing: false,
        ..request
    };
    let kept = Box::pin(engine.make_plan(&actor, request)).await?;
    // What is kept was read later than what was judged.
    match judged(engine, source, &kept.plan, &documents).await? {
        Verdict::Quiet => Ok(sight.as_wanted(commit, due)),
        Verdict::Waits(why) => Ok(sight.waits(commit, kept.id, why, due)),
        Verdict::Apply(consent) => applied(engine, source, commit, kept.id, consent, due).await,
    }
}

/// What was applied last of each app, for a source that applies by itself.
async fn applied_last(
    engine: &Engine,
    source: &SourceRecord,
    documents: &Documents,
) -> Result<BTreeMap<Hostname, DesiredSpec>, StoreError> {
    let mut applied = BTreeMap::new();
    if source.policy != SourcePolicy::Apply {
        return Ok(applied);
    }
    for newest in engine.store().all_desired().await? {
        let (Some(app), Some(spec)) = (newest.app, newest.spec) else {
            continue;
        };
        let said = documents.get(&newest.name);
        // Another app may have the name by now, of which nothing was applied.
        if said.is_some_and(|said| *said != spec) && engine.store().app(app).await?.is_none() {
            continue;
        }
        applied.insert(newest.name, spec);
    }
    Ok(applied)
}

/// What becomes of a plan of these documents: by the source's policy, by the secrets that its apps have already, by what was rejected, and by
/// what is said anew of apps that it does not change.
async fn judged(
    engine: &Engine,
    source: &SourceRecord,
    plan: &Plan,
    documents: &Documents,
) -> Result<Verdict, StoreError> {
    let verdict = judge(source.policy, source.prune, plan);
    let ties = engine.store().desired_ties().await?.into_iter();
    let had: BTreeMap<AppId, BTreeSet<SecretName>> = ties
        .map(|ties| (ties.app, ties.secrets.into_keys().collect()))
        .collect();
    let applied = applied_last(engine, source, documents).await?;
    let anew = said_anew(documents, &applied);
    let rejected = engine.rejected_of(plan, documents, &anew).await?;
    let verdict = verdict.unless_given_secrets(plan, documents, &had);
    let verdict = verdict.unless_rejected(plan, &rejected);
    let verdict = verdict.and_records((source.policy, plan), documents, &applied, &rejected);
    Ok(verdict)
}

async fn applied(
    engine: &Engine,
    source: &SourceRecord,
    commit: CommitId,
    plan: PlanId,
    consent: Consent,
    due: Due,
) -> Result<Sight, Halt> {
    // Whoever removes a source means that nothing is begun for it any more, also by a look that takes minutes.
    let is_there = engine.store().source(&source.name).await?;
    if is_there.is_none_or(|one| one.id != source.id) {
        let (what, id) = ("source", source.name.to_string());
        return Err(StoreError::NotFound { what, id }.into());
    }
    let request = StartApply {
        plan,
        consent,
        parallel: None,
        owner: source.owner.clone(),
        key: None,
    };
    let sight = &source.sight;
    let actor = source.actor();
    match Box::pin(engine.start_apply_unless_rejected(&actor, request)).await {
        Ok(apply) => Ok(sight.applies(commit, plan, apply.id, due)),
        Err(error) => match waits(&error) {
            Some(why) => Ok(sight.waits(commit, plan, why, due)),
            None => Err(error.into()),
        },
    }
}

/// What is refused now may be taken later, or from a person.
fn waits(error: &EngineError) -> Option<Failure> {
    let is_passing = match error {
        EngineError::NotApplied(_) => true,
        // It was rejected after the look at it.
        EngineError::Store(StoreError::Rejected { rejected }) => {
            return held_back(&by_name(rejected));
        }
        EngineError::Store(error) => matches!(
            error,
            StoreError::ApplyOverlaps { .. } | StoreError::PlanApplied { .. }
        ),
        _ => false,
    };
    is_passing.then(|| Failure::new(error.code(), error.to_string(), error.hint()))
}
