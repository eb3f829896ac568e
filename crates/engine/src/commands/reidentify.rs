//! Re-identifying an app's container: a person accepts one changed factor of its identity, after the evidence was shown.

use proximity_domain::event::EventKind;
use proximity_domain::guest::ContainerRef;
use proximity_domain::identity::{Drifted, Factor, Judgement, Tasks};
use proximity_domain::ids::AppId;
use proximity_domain::recorded::RecordedGuest;
use proximity_store::effects::NewEvent;
use proximity_store::identities::Accepted;
use proximity_store::records::{Actor, AppRecord};
use serde_json::json;

use super::create_app::upstream;
use crate::cluster::{Cluster, observed};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::reconcile::Site;

/// What a person says to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reidentify {
    /// Only show what would be accepted.
    Show,
    /// Accept it.
    Accept {
        /// The app's host name, typed by hand.
        confirm: Option<String>,
        /// The digest of the configuration that was shown.
        digest: Option<String>,
    },
}

/// The evidence, and whether it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reidentification {
    /// The app.
    pub app: AppId,
    /// Its host name.
    pub hostname: String,
    /// Host entry.
    pub host: String,
    /// Where its container is.
    pub place: ContainerRef,
    /// Digest of the configuration that was read.
    pub digest: String,
    /// What differs.
    pub factor: Factor,
    /// As recorded.
    pub recorded: String,
    /// As read.
    pub read: String,
    /// It was learned before, and counts for all but what destroys.
    pub learned: bool,
    /// Tasks of Proxmox VE that destroyed, created or restored the number since it was verified last.
    pub tasks: Vec<String>,
    /// Why those tasks cannot be told, if they cannot.
    pub untold: Option<String>,
    /// It was accepted.
    pub accepted: bool,
}

impl Engine {
    /// Shows what of the identity of an app's container is not as recorded, and accepts it if a person says so: from then on it
    /// is known by that, also for what destroys. Nothing is sent that changes anything; audited.
    ///
    /// # Errors
    /// Unknown app, one an operation is at work on; a container that shows its recorded identity, that differs in more than
    /// one factor, or that lost its mark; one that was changed since it was shown; one that cannot be read; no confirmation.
    pub async fn reidentify(
        &self,
        actor: &Actor,
        app: &str,
        said: &Reidentify,
    ) -> Result<Reidentification, EngineError> {
        let app = self.find_app(app).await?;
        let guests = self.store().recorded_guests(app.id).await?;
        let Some(guest) = guests.into_iter().next() else {
            return Err(EngineError::NotFound {
                what: "container of",
                name: app.hostname.to_string(),
            });
        };
        let cluster = self.inner.clusters.get(app.host).await?;
        let (mut shown, drifted) = self.evidence_of(&app, &guest, &cluster).await?;
        let Reidentify::Accept { confirm, digest } = said else {
            return Ok(shown);
        };
        if confirm.as_deref() != Some(app.hostname.as_str()) {
            return Err(EngineError::ConfirmationNeeded {
                hostname: app.hostname.to_string(),
            });
        }
        if digest.as_deref() != Some(shown.digest.as_str()) {
            return Err(EngineError::Upstream {
                code: "state_changed",
                message: format!(
                    "container {} is not as it was shown: its configuration has another digest",
                    shown.place.vmid
                ),
                hint: "look again with --dry-run, then accept what that shows".to_owned(),
            });
        }
        if drifted.factor == Factor::Mark {
            return Err(unmarked(&guest));
        }
        let accepted = Accepted {
            app: app.id,
            guest: guest.id(),
            shown: drifted.shown,
            event: NewEvent {
                kind: EventKind::GuestReidentified,
                body: json!({
                    "app": app.id,
                    "hostname": app.hostname,
                    "vmid": shown.place.vmid,
                    "factor": shown.factor.label(),
                    "was": shown.recorded,
                    "now": shown.read,
                    "tasks": shown.tasks,
                }),
            },
            actor: actor.clone(),
        };
        self.store().accept_identity(&accepted, self.now()).await?;
        shown.accepted = true;
        Ok(shown)
    }

    async fn evidence_of(
        &self,
        app: &AppRecord,
        guest: &RecordedGuest,
        cluster: &Cluster,
    ) -> Result<(Reidentification, Drifted), EngineError> {
        let failed = |e| upstream(cluster.label(), &e);
        let place = guest.place().clone();
        let config = cluster.read().lxc_config(&place.node, place.vmid).await;
        let seen = observed(place.clone(), &config.map_err(failed)?, false);
        let (drifted, learned) = match guest.judge(&seen) {
            Judgement::Owned | Judgement::Unfinished(_) => {
                return Err(EngineError::NotInState {
                    app: app.hostname.to_string(),
                    status: "recognised by its recorded identity".to_owned(),
                    action: "reidentify".to_owned(),
                });
            }
            Judgement::Conflict(conflict) => {
                return Err(EngineError::Upstream {
                    code: "identity_conflict",
                    message: format!("{conflict}; that is more than one factor"),
                    hint: "it is another container: give its number back to the app's (restore it there), or remove the app"
                        .to_owned(),
                });
            }
            Judgement::Learned(drifted) => (drifted, true),
            Judgement::Drifted(drifted) => (drifted, false),
        };
        let site = Site {
            host: cluster.host().clone(),
            read: cluster.read().clone(),
            on_this_machine: cluster.is_on_this_machine(),
        };
        let of_it = (app.id, guest.id(), place.vmid);
        let evidence = self.reconciler().evidence(&site, of_it, app.created_at);
        let (tasks, untold) = match evidence.await? {
            Tasks::Quiet => (Vec::new(), None),
            Tasks::Found(upids) => (upids, None),
            Tasks::Unreadable(why) => (Vec::new(), Some(why)),
        };
        let shown = Reidentification {
            app: app.id,
            hostname: app.hostname.to_string(),
            host: cluster.label().to_owned(),
            place,
            digest: seen.digest,
            factor: drifted.factor,
            recorded: drifted.was.clone(),
            read: drifted.now.clone(),
            learned,
            tasks,
            untold,
            accepted: false,
        };
        Ok((shown, drifted))
    }
}

/// A mark is nothing to be accepted without: whoever owns the container puts it back.
fn unmarked(guest: &RecordedGuest) -> EngineError {
    let line = guest
        .native()
        .map(|native| native.identity.mark.to_string());
    EngineError::Upstream {
        code: "identity_conflict",
        message: "the notes of the container lost the line by which it is known as ours".to_owned(),
        hint: format!(
            "put this line back as the last one of its notes: {}",
            line.unwrap_or_default()
        ),
    }
}
