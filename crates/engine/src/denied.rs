//! What to do about a call that PVE denied.

use proximity_pve::error::Error as PveError;
use proximity_pve::privileges::{Lack, lacks};

/// The next step after PVE denied a call (403): the privilege that was missing, and where.
pub(crate) fn denied_hint(error: &PveError) -> String {
    let lacks: Vec<String> = lacks(error).iter().map(Lack::to_string).collect();
    if lacks.is_empty() {
        return "PVE allows this to no token, or not to this one; read its message".to_owned();
    }
    format!(
        "the API token lacks {}: give it, and the user it belongs to, a role with that there (what each token needs is in \
         docs/reference/privileges.md), then retry",
        lacks.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_missing_privilege_and_its_path_are_named() {
        let refused = |message: &str| PveError::Refused {
            call: "POST /nodes/pve1/lxc/100/status/start".to_owned(),
            status: 403,
            reason: message.to_owned(),
            message: message.to_owned(),
            errors: BTreeMap::new(),
        };
        let hint = denied_hint(&refused("Permission check failed (/vms/100, VM.PowerMgmt)"));
        assert!(hint.contains("VM.PowerMgmt on /vms/100"), "{hint}");
        let hint = denied_hint(&refused("Permission check failed (user != root@pam)"));
        assert!(!hint.contains(" on /"), "{hint}");
    }
}
