//! `/access/domains`: the two realms every cluster has.

use serde_json::json;

use super::super::super::call::{Call, Outcome};

pub(in super::super) fn list(_: &mut Call<'_>) -> Outcome {
    Ok(json!([
        {"realm": "pam", "type": "pam", "comment": "Linux PAM standard authentication"},
        {"realm": "pve", "type": "pve", "comment": "Proxmox VE authentication server"},
    ])
    .into())
}
