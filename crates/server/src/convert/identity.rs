//! The evidence of a re-identification.

use proximity_api::identity::Reidentification;
use proximity_engine::commands;

pub(crate) fn reidentification(shown: commands::Reidentification) -> Reidentification {
    Reidentification {
        app_id: shown.app.to_string(),
        hostname: shown.hostname,
        host: shown.host,
        node: shown.place.node.to_string(),
        vmid: shown.place.vmid.get(),
        digest: shown.digest,
        factor: shown.factor.label().to_owned(),
        recorded: shown.recorded,
        read: shown.read,
        learned: shown.learned,
        tasks: shown.tasks,
        untold: shown.untold,
        accepted: shown.accepted,
    }
}
