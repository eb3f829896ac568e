//! Codes of what PVE, a node, the guest or the gateway did not do as asked.

/// The stable code of a failure of PVE, the nodes or the gateway, as one of the known ones.
pub(crate) fn upstream_code(code: &str) -> &'static str {
    UPSTREAM_CODES
        .iter()
        .copied()
        .find(|c| *c == code)
        .unwrap_or("upstream_failed")
}

/// Every code an operation or command can report about PVE, a node, the guest or the gateway.
pub const UPSTREAM_CODES: &[&str] = &[
    "out_of_files",
    "pve_unreachable",
    "pve_outcome_unknown",
    "pve_node_unreachable",
    "fingerprint_mismatch",
    "token_invalid",
    "pve_permission_denied",
    "pve_unreadable",
    "pve_refused",
    "container_locked",
    "config_changed",
    "permit_expired",
    "host_unreachable",
    "host_too_slow",
    "host_unusable",
    "certificate_unknown",
    "certificate_untrusted",
    "ssh_unreachable",
    "ssh_host_key_mismatch",
    "ssh_no_pct",
    "ssh_node_unknown",
    "ssh_host_key_changed",
    "helper_not_shipped",
    "helper_other_machine",
    "helper_missing",
    "helper_not_allowed",
    "helper_declined",
    "guest_request_refused",
    "guest_outcome_unknown",
    "container_elsewhere",
    "no_guest_access",
    "no_randomness",
    "state_changed",
    "vmid_taken",
];
