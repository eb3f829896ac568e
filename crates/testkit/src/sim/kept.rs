//! No record ends while its container lives, unless a person asked for that.

use std::collections::BTreeMap;

use proximity_domain::ids::{AppId, GuestId};
use proximity_domain::operation::{OperationKind, OperationState};
use proximity_domain::recorded::RecordedGuest;
use proximity_store::records::OperationRecord;
use proximity_store::views::OperationFilter;

use super::ground::{LifeId, Origin};
use super::perform::Stage;

/// What a guest was recorded for.
#[derive(Debug, Clone, Copy)]
struct Record {
    app: AppId,
    adopted: bool,
    vmid: u32,
    life: LifeId,
}

/// Guests on record whose container was seen to live, and which life that is.
#[derive(Debug, Default)]
pub(super) struct Kept(BTreeMap<GuestId, Record>);

impl Kept {
    /// Compares the record with what lives; complains of each guest that is on record no more though the container it was
    /// recorded for is there as it was.
    pub(super) async fn look(&mut self, stage: &Stage) -> Result<(), String> {
        let (store, cluster) = (&stage.machine.store, &stage.machine.cluster);
        let guests = store.recorded_guests_of_host(stage.host).await;
        let guests = guests.map_err(|e| e.to_string())?;
        let before = std::mem::take(&mut self.0);
        for guest in &guests {
            let vmid = guest.place().vmid.get();
            if let Some(life) = cluster.lock().ground.life(vmid) {
                let made_so = life.origin == origin_of(guest);
                if made_so && !life.altered {
                    let record = Record {
                        app: guest.app(),
                        adopted: guest.adopted().is_some(),
                        vmid,
                        life: life.id,
                    };
                    self.0.insert(guest.id(), record);
                }
            }
        }
        let ended = before
            .into_iter()
            .filter(|(id, _)| guests.iter().all(|g| g.id() != *id));
        for (
            _,
            Record {
                app,
                adopted,
                vmid,
                life: id,
            },
        ) in ended
        {
            let life = cluster.lock().ground.life(vmid);
            let lives = life.is_some_and(|life| life.id == id && !life.altered);
            if lives && !(adopted && was_given_back(stage, app).await?) {
                let what =
                    format!("container {vmid} lives, and is not the one of app {app} any more");
                cluster.complain("I3-archived-alive", what);
            }
        }
        Ok(())
    }
}

/// Who has to have made the container of this guest.
pub(super) fn origin_of(guest: &RecordedGuest) -> Origin {
    match guest {
        RecordedGuest::Native(_) => Origin::Ours,
        RecordedGuest::Adopted(_) => Origin::Found,
    }
}

/// A person asked that this app, which was adopted, be forgotten; or its adoption came to nothing.
async fn was_given_back(stage: &Stage, app: AppId) -> Result<bool, String> {
    let filter = OperationFilter {
        app: Some(app),
        ..OperationFilter::default()
    };
    let found = stage.machine.store.operations(filter).await;
    let found = found.map_err(|e| e.to_string())?;
    let over = |op: &OperationRecord| match op.kind {
        OperationKind::Forget => true,
        OperationKind::Adopt => op.state.is_final() && op.state != OperationState::Succeeded,
        OperationKind::Deploy
        | OperationKind::Start
        | OperationKind::Stop
        | OperationKind::Restart
        | OperationKind::Remove
        | OperationKind::RestoreKeys
        | OperationKind::Update => false,
    };
    Ok(found.iter().any(over))
}
