//! Prepared templates.

use proximity_api::templates::PreparedTemplate;
use proximity_engine::templates::TemplateView;

use super::moment;

/// A prepared template.
pub(crate) fn template(view: TemplateView) -> PreparedTemplate {
    let (one, clones) = (view.kept.prepared, view.kept.clones);
    PreparedTemplate {
        id: one.id.to_string(),
        host: view.host,
        node: one.spot.node.to_string(),
        storage: one.spot.storage.to_string(),
        vmid: one.identity.vmid.get(),
        stage: one.stage.label().to_owned(),
        os_template: one.base.os_template.to_string(),
        packages: one.base.packages.into_iter().collect(),
        disk_gib: one.disk_gib,
        linked: clones.linked,
        begun: clones.unconfirmed,
        stage_since: moment(one.stage_at),
        used_at: one.used_at.map(moment),
        trouble: view.trouble,
    }
}
