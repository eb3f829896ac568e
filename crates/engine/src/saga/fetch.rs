//! Bringing an OS template or an image through PVE: audited under the fence, and its task awaited.

use proximity_domain::guest::ContainerRef;
use proximity_pve::image::OciImage;
use proximity_pve::task::TaskOutcome;
use serde_json::json;

use super::context::Cx;
use super::step::StepResult;

impl Cx {
    /// Downloads a template that PVE offers onto the host entry's storage for them, for this container to be made from. Sent twice
    /// it is downloaded once: PVE compares the checksum of a file that is there, and leaves it.
    pub(crate) async fn fetch_template(
        &self,
        place: &ContainerRef,
        file: &str,
    ) -> StepResult<TaskOutcome> {
        let storage = self.cluster.host().template_storage.clone();
        let call = format!("POST /nodes/{}/aplinfo", place.node);
        let details = json!({ "storage": storage, "template": file });
        self.task(
            "downloading the OS template",
            None,
            call,
            place,
            details,
            |client| async move { client.download_appliance(&place.node, &storage, file).await },
        )
        .await
    }

    /// Pulls an image onto the host entry's storage for templates, into a file of this name and `.tar`. Proxmox VE refuses one that is
    /// there before it begins, and looks no more when it ends: of two at the same time the one that ends last counts.
    pub(crate) async fn pull_image(
        &self,
        place: &ContainerRef,
        image: &OciImage,
        stem: &str,
    ) -> StepResult<TaskOutcome> {
        let storage = self.cluster.host().template_storage.clone();
        let call = format!(
            "POST /nodes/{}/storage/{storage}/oci-registry-pull",
            place.node
        );
        let details = json!({ "reference": image.to_string(), "filename": stem });
        self.task(
            "pulling the image",
            None,
            call,
            place,
            details,
            |client| async move {
                let pulled = client.pull_oci_image(&place.node, &storage, image, Some(stem));
                pulled.await
            },
        )
        .await
    }
}
