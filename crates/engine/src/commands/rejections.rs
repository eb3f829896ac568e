//! Content of apps that nothing applies by itself: `POST /api/plans/{plan}/reject`, `/api/rejected`.
//!
//! A rejection is of what is wanted of one app and of nothing else: as soon as something else is wanted it holds nothing back. Whoever
//! applies by itself asks before it does; a person may apply it all the same, and a plan says that it was rejected.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::apply::ChangeState;
use proximity_domain::desired::{DesiredSpec, Documents};
use proximity_domain::ids::PlanId;
use proximity_domain::names::Hostname;
use proximity_domain::plan::{Change, Plan};
use proximity_domain::source::rejects;
use proximity_store::applies::ApplyRecord;
use proximity_store::error::StoreError;
use proximity_store::records::Actor;
use proximity_store::rejections::{NewRejection, RejectedRevision, rejected_of};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::notify::moment;

/// Longest reason, characters.
pub const MOST_REASON_CHARS: usize = 1_000;

/// What a plan wants is rejected.
#[derive(Debug, Clone)]
pub struct RejectPlan {
    /// A plan that is kept.
    pub plan: PlanId,
    /// The one app of it; `None` = each that it changes.
    pub app: Option<Hostname>,
    /// Why, a sentence.
    pub why: Option<String>,
}

impl Engine {
    /// Rejects what a plan wants of its apps, or of one of them: no source and no policy applies that by itself from now on. That an app is
    /// to go may be rejected as well. Gives what is rejected of these apps, also where it was before.
    ///
    /// # Errors
    /// No such plan, or one without documents; a reason that is too long; a plan that does not change the app, or nothing.
    pub async fn reject_plan(
        &self,
        actor: &Actor,
        request: RejectPlan,
    ) -> Result<Vec<RejectedRevision>, EngineError> {
        let gone = |what| EngineError::NotFound {
            what,
            name: request.plan.to_string(),
        };
        let why = reason(request.why)?;
        let kept = self.store().plan(request.plan).await?;
        let kept = kept.ok_or_else(|| gone("plan"))?;
        let documents = self.store().plan_documents(request.plan).await?;
        let documents = documents.ok_or_else(|| gone("plan with documents"))?;
        let changes = kept.plan.changes.iter().filter(|one| !one.is_quiet());
        let meant = changes.filter(|one| request.app.as_ref().is_none_or(|app| *app == one.name));
        let meant: Vec<&Change> = meant.collect();
        if meant.is_empty() {
            let what = request.app.as_ref().map_or("anything", Hostname::as_str);
            return Err(EngineError::Invalid {
                field: "app".to_owned(),
                message: format!("the plan does not change {what}"),
            });
        }
        let mut new = Vec::new();
        for one in meant {
            new.push(NewRejection {
                name: one.name.clone(),
                spec_hash: self.store().spec_hash(documents.get(&one.name))?,
                why: why.clone(),
            });
        }
        let (store, by) = (self.store(), actor.account.as_str());
        store.reject_revisions(&new, by, actor, self.now()).await?;
        let mut rejected = store.rejected_revisions().await?;
        rejected.retain(|row| {
            let mut new = new.iter();
            new.any(|one| one.name == row.name && row.holds_back(&one.spec_hash))
        });
        Ok(rejected)
    }

    /// Forgets all that was rejected of this name; gives what was last.
    ///
    /// # Errors
    /// Nothing was.
    pub async fn unreject(
        &self,
        actor: &Actor,
        name: &Hostname,
    ) -> Result<RejectedRevision, EngineError> {
        let (store, now) = (self.store(), self.now());
        let forgotten = store.unreject_revision(name, None, actor, now);
        forgotten.await.map_err(|error| match error {
            StoreError::NotFound { what, id: name } => EngineError::NotFound { what, name },
            other => other.into(),
        })
    }

    /// Those of a plan's apps, and of the others of which documents say something `anew`, of which just what these want was rejected, with by
    /// whom, when and why.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn rejected_of(
        &self,
        plan: &Plan,
        documents: &Documents,
        anew: &BTreeSet<Hostname>,
    ) -> Result<BTreeMap<Hostname, String>, StoreError> {
        let store = self.store();
        let rows = store.rejected_revisions().await?;
        let spec_hash = |spec: Option<&DesiredSpec>| store.spec_hash(spec);
        let rejected = rejected_of(rows, (plan, documents, anew), spec_hash)?;
        Ok(by_name(&rejected))
    }

    /// Says of each change whether what it wants was rejected.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn note_rejected(
        &self,
        plan: &mut Plan,
        documents: &Documents,
    ) -> Result<(), StoreError> {
        let rejected = self.rejected_of(plan, documents, &BTreeSet::new()).await?;
        for change in &mut plan.changes {
            if let Some(why) = rejected.get(&change.name) {
                change.notes.push(format!("this was {why}"));
            }
        }
        Ok(())
    }

    /// What of an apply that nobody asked for has failed is not applied by itself again.
    ///
    /// # Errors
    /// The store's; then it is as if nothing had been rejected.
    pub(crate) async fn reject_failed(
        &self,
        actor: &Actor,
        by: &str,
        apply: &ApplyRecord,
    ) -> Result<(), StoreError> {
        let store = self.store();
        let Some(documents) = store.plan_documents(apply.plan).await? else {
            return Ok(());
        };
        let mut new = Vec::new();
        for change in store.apply_changes(apply.id).await? {
            let Some(why) = change.why.filter(|why| rejects(&why.code)) else {
                continue;
            };
            // What was held up by another one was not tried.
            if change.state != ChangeState::Failed {
                continue;
            }
            new.push(NewRejection {
                spec_hash: store.spec_hash(documents.get(&change.name))?,
                name: change.name,
                why: Some(why.message),
            });
        }
        if new.is_empty() {
            return Ok(());
        }
        let rejected = store.reject_revisions(&new, by, actor, self.now()).await?;
        for row in rejected {
            tracing::warn!(app = %row.name, by, "what failed is not applied by itself again: {}", row.why.as_deref().unwrap_or_default());
        }
        Ok(())
    }
}

/// Of each app by whom, when and why, as it follows "was".
pub(crate) fn by_name(rejected: &[RejectedRevision]) -> BTreeMap<Hostname, String> {
    let each = rejected.iter();
    each.map(|row| (row.name.clone(), told(row))).collect()
}

/// By whom, when and why, as it follows "was".
fn told(row: &RejectedRevision) -> String {
    let why = row.why.as_ref().map(|why| format!(": {why}"));
    format!(
        "rejected by {} on {}{}",
        row.by,
        moment(row.at),
        why.unwrap_or_default()
    )
}

/// A reason as it is kept; none where it says nothing.
fn reason(why: Option<String>) -> Result<Option<String>, EngineError> {
    let why = why.map(|why| why.trim().to_owned());
    let why = why.filter(|why| !why.is_empty());
    let is_wrong = why.as_ref().is_some_and(|why| {
        why.chars().count() > MOST_REASON_CHARS || why.chars().any(char::is_control)
    });
    match is_wrong {
        false => Ok(why),
        true => Err(EngineError::Invalid {
            field: "why".to_owned(),
            message: format!("a reason is one line of {MOST_REASON_CHARS} characters at most"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proximity_domain::time::Timestamp;

    use super::*;

    #[test]
    fn a_reason_is_one_line_or_none() {
        let of = |why: &str| reason(Some(why.to_owned())).ok();
        assert_eq!(of(" too large "), Some(Some("too large".to_owned())));
        assert_eq!(of("  "), Some(None));
        assert_eq!(of("two\nlines"), None);
        assert_eq!(of(&"x".repeat(MOST_REASON_CHARS + 1)), None);
        assert!(of(&"ä".repeat(MOST_REASON_CHARS)).is_some());
    }

    #[test]
    fn it_is_said_by_whom_when_and_why_it_was_rejected() {
        let mut row = RejectedRevision {
            name: "web".parse().unwrap(),
            spec_hash: "hash".to_owned(),
            at: Timestamp(0),
            by: "source home".to_owned(),
            why: Some("it is too large".to_owned()),
            forgotten_at: None,
        };
        let expected = "rejected by source home on 1970-01-01 00:00:00Z: it is too large";
        assert_eq!(told(&row), expected);
        row.why = None;
        assert_eq!(
            told(&row),
            "rejected by source home on 1970-01-01 00:00:00Z"
        );
    }
}
