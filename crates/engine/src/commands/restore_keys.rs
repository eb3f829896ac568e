//! `/api/apps/{app}/drift/restore`: keys of an adopted container's configuration, back to the day of its adoption. First what
//! would be done is shown; then a person asks for just that.

use std::collections::BTreeSet;

use proximity_domain::app::StatusLabel;
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::operation::OperationKind;
use proximity_domain::restore::{NotRestored, RestorePlan, Wanted, plan};
use proximity_pve::cluster::GuestStatus;
use proximity_store::records::{Actor, NewOperation, OperationRecord, RequestKey};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::create_app::upstream;
use super::drift::AdoptedNow;
use crate::engine::Engine;
use crate::error::EngineError;

/// What a restore would do.
#[derive(Debug, Clone, PartialEq)]
pub struct RestorePreview {
    /// The app.
    pub app: AppId,
    /// Its host name.
    pub hostname: String,
    /// Names the state of the configuration that was looked at; the act takes no other one.
    pub digest: String,
    /// The container runs now.
    pub running: bool,
    /// Keys that would be restored, and those that would not, with the reason.
    pub plan: RestorePlan,
    /// The one call that would be sent; `None` if there is nothing to do.
    pub call: Option<String>,
}

/// A request to restore keys as they were previewed.
#[derive(Debug, Clone)]
pub struct RestoreKeys {
    /// The keys that the preview showed, each by its name: the digest alone does not say which were looked at.
    pub keys: BTreeSet<String>,
    /// The digest that the preview showed.
    pub digest: String,
    /// The same key gives the same operation.
    pub key: Option<RequestKey>,
}

/// What the operation is given.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RestoreInput {
    /// The keys, all of which can be restored.
    pub(crate) keys: Vec<String>,
    /// The state of the configuration that the person saw.
    pub(crate) digest: String,
    /// Why it is done, where no person asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) because: Option<String>,
}

impl Engine {
    /// Says what a restore of these keys would do. Nothing is changed.
    ///
    /// # Errors
    /// Those of [`Engine::drift`].
    pub async fn preview_restore(
        &self,
        app: &str,
        wanted: &Wanted,
    ) -> Result<RestorePreview, EngineError> {
        let now = self.adopted_now(app).await?;
        self.preview(&now, wanted).await
    }

    /// Records an operation that restores these keys, if the configuration is still the one that was previewed.
    ///
    /// # Errors
    /// Those of [`Engine::drift`]; a configuration that has changed (`preview_outdated`); a key that cannot be restored, or none
    /// at all (`not_restorable`); an app that something else is at work on. Nothing is sent to PVE then.
    pub async fn restore_keys(
        &self,
        actor: &Actor,
        app: &str,
        request: RestoreKeys,
    ) -> Result<OperationRecord, EngineError> {
        self.restore_keys_because(actor, app, request, None).await
    }

    /// As [`Engine::restore_keys`], with the reason that is audited where no person asked for it.
    pub(crate) async fn restore_keys_because(
        &self,
        actor: &Actor,
        app: &str,
        request: RestoreKeys,
        because: Option<String>,
    ) -> Result<OperationRecord, EngineError> {
        let now = self.adopted_now(app).await?;
        refuse_unfinished(&now)?;
        let preview = self.preview(&now, &Wanted::Keys(request.keys)).await?;
        if preview.digest != request.digest {
            return Err(outdated(&preview.hostname));
        }
        let keys = agreed(&preview)?;
        let operation = NewOperation {
            id: OperationId(self.inner.parts.ids.uuid()),
            kind: OperationKind::RestoreKeys,
            app: now.app.id,
            input: json!(RestoreInput {
                keys,
                digest: preview.digest,
                because,
            }),
            retry_of: None,
            key: request.key,
        };
        let store = self.store();
        let made = store.enqueue(operation, None, actor, self.now()).await?;
        self.inner.bell.notify_one();
        Ok(made)
    }

    async fn preview(
        &self,
        now: &AdoptedNow,
        wanted: &Wanted,
    ) -> Result<RestorePreview, EngineError> {
        let failed = |e| upstream(now.cluster.label(), &e);
        let (node, vmid) = (&now.place.node, now.place.vmid);
        let status = now.cluster.read().lxc_status(node, vmid).await;
        let running = status.map_err(failed)?.status != GuestStatus::Stopped;
        let then = &now.record.proxmox_config_snapshot;
        let plan = plan(then, &now.config.raw, wanted, running);
        let digest = now.config.digest.as_ref().map(ToString::to_string);
        let call = plan.change().map(|change| {
            let set = change.set().keys().map(String::as_str);
            let deleted = change.delete().iter().map(|key| format!("-{key}"));
            let keys: Vec<String> = set.map(str::to_owned).chain(deleted).collect();
            format!("PUT /nodes/{node}/lxc/{vmid}/config ({})", keys.join(", "))
        });
        Ok(RestorePreview {
            app: now.app.id,
            hostname: now.app.hostname.to_string(),
            digest: digest.unwrap_or_default(),
            running,
            plan,
            call,
        })
    }
}

fn refuse_unfinished(now: &AdoptedNow) -> Result<(), EngineError> {
    let status = now.app.status.label();
    match status {
        StatusLabel::Running | StatusLabel::Stopped | StatusLabel::Error => Ok(()),
        StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Updating
        | StatusLabel::Removing => Err(EngineError::NotInState {
            app: now.app.hostname.to_string(),
            status: status.label().to_owned(),
            action: "restore of keys".to_owned(),
        }),
    }
}

fn outdated(hostname: &str) -> EngineError {
    EngineError::NotRestored {
        code: "preview_outdated",
        message: format!(
            "the configuration of the container of {hostname} is not the one that was previewed"
        ),
    }
}

/// The keys, if there are any and none of those that were named is left.
fn agreed(preview: &RestorePreview) -> Result<Vec<String>, EngineError> {
    let refused = |message| EngineError::NotRestored {
        code: "not_restorable",
        message,
    };
    let left = &preview.plan.left;
    if !left.is_empty() {
        return Err(refused(reasons(&preview.hostname, left)));
    }
    let keys = preview.plan.names();
    if keys.is_empty() {
        let hostname = &preview.hostname;
        return Err(refused(format!(
            "nothing of {hostname} differs that can be restored"
        )));
    }
    Ok(keys)
}

fn reasons(hostname: &str, left: &[(String, NotRestored)]) -> String {
    let each: Vec<String> = left
        .iter()
        .map(|(key, why)| format!("{key}: {why}"))
        .collect();
    format!("nothing of {hostname} is restored: {}", each.join("; "))
}

/// What the keys of a preview mean: all if none is named.
#[must_use]
pub fn wanted(keys: Option<Vec<String>>) -> Wanted {
    match keys {
        None => Wanted::All,
        Some(keys) => Wanted::Keys(keys.into_iter().collect::<BTreeSet<String>>()),
    }
}
