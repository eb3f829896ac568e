//! Which templates are begun: of what is deployed again and again.

use proximity_domain::guest::ContainerIdentity;
use proximity_domain::ids::{AppId, PreparedId, Vmid};
use proximity_domain::mark::Mark;
use proximity_domain::names::Mac;
use proximity_domain::prepared::{Base, Prepared, Spot, Stage, Wish, is_worth_making};
use proximity_store::error::StoreError;

use super::Templates;
use super::shelf::Wanted;
use crate::saga::{Cx, StepError, StepResult};
use crate::sagas::steps::clone_container::Made;
use crate::sagas::steps::reserve_vmid::Numbers;

/// Counts a deploy that came to its end, and wishes for a template of its base. What goes wrong here is no deploy's matter.
pub(crate) async fn count_deploy(cx: &Cx) {
    if !cx.limits().templates.on {
        return;
    }
    let Some(base) = Made::of(cx).and_then(|made| made.base) else {
        return;
    };
    let wanted = async {
        let spot = Spot {
            host: cx.app.host,
            node: cx.app.node.clone(),
            storage: cx.cluster.host().storage.clone(),
        };
        let deploys = cx.store().count_base(&spot, &base.key(), cx.now()).await?;
        let disk_gib = cx.app.resources.disk_gib;
        Ok::<_, StoreError>(Wanted {
            spot,
            base,
            disk_gib,
            deploys,
        })
    };
    match wanted.await {
        Ok(wanted) => cx.engine.inner.shelf.wish(wanted),
        Err(error) => {
            tracing::warn!(operation = %cx.op.id, %error, "a deploy was not counted for templates");
        }
    }
}

impl Templates {
    /// Records each template that is wanted and worth making: from then on it is being made.
    pub(super) async fn begin_wanted(&self) {
        for wanted in self.engine.inner.shelf.take_wishes() {
            match self.begin(&wanted).await {
                Ok(()) => {}
                Err(StepError::Halt(why)) => {
                    // The next deploy of the base wishes again.
                    tracing::warn!(error = %why, "a prepared template was not begun");
                }
                Err(other) => {
                    let why = other.into_failure().map(|failure| failure.message);
                    tracing::warn!(error = ?why, "a prepared template was not begun");
                }
            }
        }
    }

    async fn begin(&self, wanted: &Wanted) -> StepResult<()> {
        let engine = &self.engine;
        let Wanted {
            spot,
            base,
            disk_gib,
            deploys,
        } = wanted;
        let (key, now) = (base.key(), engine.now());
        let wish = Wish {
            spot,
            key: &key,
            disk_gib: *disk_gib,
            deploys: *deploys,
        };
        let stock = engine.store().prepared().await?;
        let policy = &engine.inner.parts.limits.templates;
        if is_worth_making(&stock, &wish, policy).is_err()
            || engine.inner.shelf.has_failed(spot, &key, now)
        {
            return Ok(());
        }
        let cluster = engine.inner.clusters.get(spot.host).await;
        let cluster = cluster.map_err(|e| StepError::Transient(e.failure()))?;
        if cluster.guest_access().is_none() || cluster.host().storage != spot.storage {
            return Ok(());
        }
        let numbers = Numbers {
            store: engine.store(),
            cluster: &cluster,
        };
        let chosen = numbers.choose(&[]).await?;
        let prepared = self.new_template(wanted, base.clone(), chosen.vmid());
        match engine.store().record_prepared(&prepared).await {
            Ok(()) => {
                tracing::info!(template = %prepared.id, vmid = %chosen.vmid(), "a prepared template is begun");
                Ok(())
            }
            // Somebody else was quicker with the number: the next deploy wishes again.
            Err(StoreError::Exists { .. }) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// One that does not exist yet: mark and MAC are drawn at random.
    fn new_template(&self, wanted: &Wanted, base: Base, vmid: Vmid) -> Prepared {
        let ids = &self.engine.inner.parts.ids;
        let id = ids.uuid();
        let nonce = ids.nonce();
        let [.., a, b, c] = ids.nonce().to_be_bytes();
        let now = self.engine.now();
        Prepared {
            id: PreparedId(id),
            spot: wanted.spot.clone(),
            base,
            disk_gib: wanted.disk_gib,
            identity: ContainerIdentity {
                vmid,
                mark: Mark {
                    installation: self.engine.store().installation(),
                    app: AppId(id),
                    nonce,
                },
                net0_mac: Mac::with_pve_prefix([a, b, c]),
                rootfs_volid: None,
            },
            stage: Stage::Creating,
            recorded_at: now,
            stage_at: now,
            used_at: None,
        }
    }
}
