//! At rest: who is there, whether the record knows, and whether what it says is so.

use proximity_domain::app::{Status, StatusLabel};
use proximity_domain::recorded::RecordedGuest;
use proximity_store::records::AppRecord;
use proximity_store::views::AppFilter;

use super::ground::Origin;
use super::kept::origin_of;
use super::perform::Stage;
use super::rest::text;

/// Complains of containers of ours that are on no record, and of apps that are told what is not so.
pub(super) async fn account(stage: &Stage) -> Result<(), String> {
    let (store, cluster) = (&stage.machine.store, &stage.machine.cluster);
    let guests = store.recorded_guests_of_host(stage.host).await;
    let guests = guests.map_err(text)?;
    let lives: Vec<_> = cluster.lock().ground.lives().collect();
    for (vmid, life) in lives.iter().filter(|(_, life)| life.origin == Origin::Ours) {
        let known = guests.iter().any(|guest| guest.place().vmid.get() == *vmid);
        // What somebody else has changed may no longer show whose it is; it is left alone, and said to be.
        if !known && !life.altered {
            let what = format!("container {vmid} was made by us, and is nowhere on record");
            cluster.complain("unaccounted", what);
        }
    }
    let filter = AppFilter {
        per_page: AppFilter::MAX_PER_PAGE,
        ..AppFilter::default()
    };
    let (apps, _) = store.apps(filter).await.map_err(text)?;
    for app in apps.iter().filter(|app| app.operation.is_none()) {
        let guest = guests.iter().find(|guest| guest.app() == app.id);
        let (name, label) = (&app.hostname, app.status.label());
        if let Some((rule, what)) = wrong(stage, app, guest) {
            cluster.complain(rule, format!("{name} is {} and {what}", label.label()));
        }
        if let Some(adoption) = store.adoption(app.id).await.map_err(text)?
            && adoption.proxmox_config_snapshot.is_empty()
        {
            let what = format!("{name} was adopted, and nothing of its configuration is kept");
            cluster.complain("adopted-unread", what);
        }
    }
    Ok(())
}

/// What is wrong with what is said of an app that nobody works on.
fn wrong(
    stage: &Stage,
    app: &AppRecord,
    guest: Option<&RecordedGuest>,
) -> Option<(&'static str, String)> {
    let says_runs = match app.status.label() {
        StatusLabel::Running => true,
        StatusLabel::Stopped => false,
        StatusLabel::Error => {
            let told = match &app.status {
                Status::Error { why, .. } => !why.code.is_empty() && !why.hint.is_empty(),
                _ => false,
            };
            return (!told).then(|| ("I9-no-next-step", "says no next step".to_owned()));
        }
        StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Updating
        | StatusLabel::Removing => {
            return Some(("I9-limbo", "nobody works on it".to_owned()));
        }
    };
    let untrue = |what: &str| Some(("told-what-is-not", what.to_owned()));
    let Some(guest) = guest else {
        return untrue("has no container on record");
    };
    let vmid = guest.place().vmid.get();
    let inner = stage.machine.cluster.lock();
    let ended = inner.ground.ended(vmid).is_some_and(|life| life.altered);
    let Some(life) = inner.ground.life(vmid) else {
        // If somebody else ended it, it waits for its proof, or for a person who confirms how many are missing.
        return if ended {
            None
        } else {
            untrue("has no container, which nobody but us can have ended")
        };
    };
    let mut there = inner.world.guests();
    let runs = there.any(|(other, it)| other == vmid && it.is_running());
    let as_it_was = !life.altered && life.origin == origin_of(guest);
    if as_it_was && runs != says_runs {
        return untrue(if runs { "it runs" } else { "it does not run" });
    }
    None
}
