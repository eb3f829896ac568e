//! What is said when a host cannot be set up or given up, and what to do about it.

use proximity_domain::names::{HostLabel, PoolName};
use proximity_pve::error::Error as PveError;

use crate::commands::hosts::HostProbe;
use crate::commands::hosts::address::Address;
use crate::commands::hosts::refusal::upstream;
use crate::error::EngineError;

/// The realm is none of the host's.
pub(super) fn realm_unknown(address: &Address, realm: &str, known: &[String]) -> EngineError {
    upstream(
        "realm_unknown",
        format!("the host {} has no realm {realm}", address.url()),
        format!("give the user with one of its realms: {}", known.join(", ")),
    )
}

/// The person may not do what setting a host up takes.
pub(super) fn login_too_narrow(user: &str, missing: &[String]) -> EngineError {
    upstream(
        "login_too_narrow",
        format!("{user} lacks rights in PVE: {}", missing.join(", ")),
        "log in as root@pam, or as a user with the role Administrator on /",
    )
}

/// Nobody vouches for the certificate that was shown.
pub(super) fn stranger(url: &str, found: &HostProbe) -> EngineError {
    upstream(
        "certificate_unknown",
        format!(
            "no authority known to this system vouches for the certificate of {url}; its fingerprint is {}",
            found.fingerprint
        ),
        format!(
            "compare it with what the node says itself (pvenode cert info); if they are the same, give the fingerprint {}",
            found.fingerprint
        ),
    )
}

/// An account without our mark has a name that is needed.
pub(super) fn account_taken(label: &HostLabel, what: &str) -> EngineError {
    upstream(
        "account_taken",
        format!(
            "{what} is there at host {label}, and does not carry the mark of this installation; it is left as it is"
        ),
        "look at it in PVE under Datacenter / Permissions; if nobody needs it, delete it there, then run init again",
    )
}

/// The pool cannot be used.
pub(super) fn pool_taken(pool: &str, why: &str) -> EngineError {
    upstream(
        "pool_taken",
        format!("pool {pool} cannot be used: {why}"),
        "name another one with --pool; it is made if it is not there",
    )
}

/// The label is another cluster's.
pub(super) fn label_of_another(label: &HostLabel) -> EngineError {
    upstream(
        "label_taken",
        format!("host {label} is another cluster"),
        "choose another label, or compare the addresses with: proximity hosts list",
    )
}

/// The entry was not made by init.
pub(super) fn not_by_init(label: &HostLabel, token: &str) -> EngineError {
    upstream(
        "host_not_by_init",
        format!("host {label} is there already, with the token {token}, which init did not make"),
        format!("remove the entry (proximity hosts remove {label}), then run init again"),
    )
}

/// The entry has another pool.
pub(super) fn another_pool(label: &HostLabel, pool: &PoolName) -> EngineError {
    upstream(
        "host_not_by_init",
        format!("host {label} is set up with pool {pool}, and its apps are in it"),
        format!("leave --pool out, or give --pool {pool}"),
    )
}

/// What is recorded of a host cannot be used.
pub(in crate::commands::hosts) fn host_unusable(label: &HostLabel, why: &str) -> EngineError {
    upstream(
        "host_unusable",
        format!("host {label}: {why}"),
        "remove the host and add it again",
    )
}

/// A step failed, after others were made.
pub(super) fn unfinished(done: usize, all: usize, step: &str, error: &PveError) -> EngineError {
    let doubt = if error.is_maybe_applied() {
        "; whether it was made is not known"
    } else {
        ""
    };
    upstream(
        "init_unfinished",
        format!("step {} of {all} ({step}) failed{doubt}: {error}", done + 1),
        "put right what the message names, then run the same command again: what was made is found, and the rest is done",
    )
}

/// PVE took every step, and does not show all of it.
pub(super) fn not_shown(what: &str) -> EngineError {
    upstream(
        "init_unfinished",
        format!("PVE took every change, and yet this is not done: {what}"),
        "run the same command again; if it stays so, look in PVE under Datacenter / Permissions",
    )
}

/// A token that should be gone is not.
pub(super) fn still_taken(token: &str, url: &str) -> EngineError {
    upstream(
        "init_unfinished",
        format!("PVE still takes the token {token} at {url}, so the entry of the host is kept"),
        "run the same command again as root@pam; if it stays so, delete the token in PVE under Datacenter / Permissions / \
         API Tokens",
    )
}

/// Where the entry's node should be, another answers.
pub(super) fn another_answers(label: &HostLabel, node: &str) -> EngineError {
    upstream(
        "view_incomplete",
        format!("host {label}: what answers is not its node {node}, nor a cluster with it"),
        "compare the addresses with: proximity hosts list; nothing was changed",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_step_that_failed_is_named_with_what_pve_said_and_whether_it_may_have_happened() {
        let call = "POST /access/users".to_owned();
        let no_quorum = PveError::Refused {
            call: call.clone(),
            status: 500,
            reason: "create user failed: cfs-lock 'file-user_cfg' error: no quorum!".to_owned(),
            message: "create user failed: cfs-lock 'file-user_cfg' error: no quorum!".to_owned(),
            errors: BTreeMap::new(),
        };
        let error = unfinished(4, 14, "create user x@pve", &no_quorum);
        let text = error.to_string();
        assert_eq!(error.code(), "init_unfinished");
        assert!(
            text.contains("step 5 of 14 (create user x@pve) failed:"),
            "{text}"
        );
        assert!(text.contains("no quorum"), "{text}");
        assert!(error.hint().contains("run the same command again"));
        let why = "the connection broke".to_owned();
        let lost = PveError::MaybeApplied { call, why };
        let text = unfinished(0, 1, "create pool p", &lost).to_string();
        assert!(text.contains("whether it was made is not known"), "{text}");
    }

    #[test]
    fn every_obstacle_has_a_next_step() {
        let label: HostLabel = "home".parse().unwrap();
        let address = Address::from_url("https://192.0.2.10").unwrap();
        let rights = ["Sys.Modify on /access".to_owned()];
        for (error, code) in [
            (account_taken(&label, "user x@pve"), "account_taken"),
            (pool_taken("apps", "it is somebody's"), "pool_taken"),
            (label_of_another(&label), "label_taken"),
            (not_by_init(&label, "root@pam!x1"), "host_not_by_init"),
            (not_shown("create pool apps"), "init_unfinished"),
            (still_taken("x@pve!y", &address.url()), "init_unfinished"),
            (another_answers(&label, "pve1"), "view_incomplete"),
            (realm_unknown(&address, "no", &[]), "realm_unknown"),
            (login_too_narrow("anna@pve", &rights), "login_too_narrow"),
        ] {
            assert_eq!(error.code(), code);
            assert!(!error.hint().is_empty(), "{error}");
        }
        let pool = another_pool(&label, &"apps".parse().unwrap());
        assert!(pool.hint().contains("--pool apps"), "{}", pool.hint());
    }
}
