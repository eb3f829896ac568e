//! What a token of each purpose holds, and where.

use std::collections::BTreeMap;

use proximity_domain::token_purpose::TokenPurpose;

use super::entry::{Entry, Need};
use super::privilege::Privilege;
use super::scope::Scope;
use super::table::TABLE;

/// One privilege that a token holds on one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The privilege.
    pub privilege: Privilege,
    /// Where it is granted.
    pub on: Scope,
    /// Why.
    pub reason: Reason,
}

/// Why a token holds a privilege.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// These calls need it: what each of them does.
    Calls(Vec<&'static str>),
    /// No call needs it yet; the text says what it is for.
    Also(&'static str),
}

/// What no call needs, and is held all the same.
const ALSO: &[(TokenPurpose, Privilege, Scope, &str)] = &[(
    TokenPurpose::Operate,
    Privilege::VmMigrate,
    Scope::Pool,
    "guests of ours leave a node by it; no call does that yet",
)];

/// What a token of this purpose holds, sorted by path and privilege. The user it belongs to holds the same: of a token with
/// privilege separation PVE takes what both hold.
#[must_use]
pub fn grants(purpose: TokenPurpose) -> Vec<Grant> {
    let mut found: BTreeMap<(Scope, Privilege), Vec<&'static str>> = BTreeMap::new();
    for (entry, need) in needed(purpose) {
        let key = (granted_on(purpose, need), need.privilege);
        let calls = found.entry(key).or_default();
        if !calls.contains(&entry.does) {
            calls.push(entry.does);
        }
    }
    let by_calls = found.into_iter().map(|((on, privilege), calls)| Grant {
        privilege,
        on,
        reason: Reason::Calls(calls),
    });
    let also = ALSO.iter().filter(|(of, ..)| *of == purpose);
    let also = also.map(|(_, privilege, on, why)| Grant {
        privilege: *privilege,
        on: *on,
        reason: Reason::Also(why),
    });
    let mut all: Vec<Grant> = by_calls.chain(also).collect();
    all.sort_by_key(|grant| (grant.on, grant.privilege.as_str()));
    all
}

fn needed(purpose: TokenPurpose) -> impl Iterator<Item = (&'static Entry, &'static Need)> {
    TABLE
        .iter()
        .filter(move |entry| {
            let adopted = purpose == TokenPurpose::Adopted;
            entry.purpose(adopted) == Some(purpose)
        })
        .flat_map(|entry| entry.needs.iter().map(move |need| (entry, need)))
        .filter(|(_, need)| !need.by_hand)
}

/// Where a need is met: what only looks is allowed everywhere, and guests of ours are reached through their pool.
fn granted_on(purpose: TokenPurpose, need: &Need) -> Scope {
    let first = need.on.first().copied().unwrap_or(Scope::Everything);
    match (purpose, first) {
        (TokenPurpose::Observe, _) => Scope::Everything,
        (TokenPurpose::Operate, Scope::Guest) => Scope::Pool,
        (TokenPurpose::Operate | TokenPurpose::Images | TokenPurpose::Adopted, on) => on,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(purpose: TokenPurpose) -> Vec<String> {
        let all = grants(purpose).into_iter();
        all.map(|g| format!("{} {}", g.on.pattern(), g.privilege))
            .collect()
    }

    #[test]
    fn who_only_looks_holds_nothing_but_audits() {
        let expected = [
            "/ Datastore.Audit",
            "/ Pool.Audit",
            "/ SDN.Audit",
            "/ Sys.Audit",
            "/ VM.Audit",
        ];
        assert_eq!(held(TokenPurpose::Observe), expected);
    }

    #[test]
    fn who_changes_guests_of_ours_holds_nothing_outside_pool_storages_and_bridge() {
        let expected = [
            "/pool/{pool} VM.Allocate",
            "/pool/{pool} VM.Audit",
            "/pool/{pool} VM.Backup",
            "/pool/{pool} VM.Clone",
            "/pool/{pool} VM.Config.CPU",
            "/pool/{pool} VM.Config.Disk",
            "/pool/{pool} VM.Config.Memory",
            "/pool/{pool} VM.Config.Network",
            "/pool/{pool} VM.Config.Options",
            "/pool/{pool} VM.Migrate",
            "/pool/{pool} VM.PowerMgmt",
            "/pool/{pool} VM.Snapshot",
            "/storage/{storage} Datastore.AllocateSpace",
            "/storage/{template storage} Datastore.Audit",
            "/storage/{backup storage} Datastore.AllocateSpace",
            "/sdn/zones/localnetwork/{bridge} SDN.Use",
        ];
        assert_eq!(held(TokenPurpose::Operate), expected);
    }

    #[test]
    fn what_brings_images_cannot_touch_a_guest() {
        let expected = [
            "/storage/{template storage} Datastore.AllocateTemplate",
            "/nodes/{node} Sys.AccessNetwork",
        ];
        assert_eq!(held(TokenPurpose::Images), expected);
    }

    #[test]
    fn an_adopted_guest_allows_nothing_that_makes_or_destroys() {
        let expected = [
            "/vms/{vmid} VM.Backup",
            "/vms/{vmid} VM.Config.Options",
            "/vms/{vmid} VM.PowerMgmt",
            "/vms/{vmid} VM.Snapshot",
            "/storage/{backup storage} Datastore.AllocateSpace",
        ];
        assert_eq!(held(TokenPurpose::Adopted), expected);
    }

    #[test]
    fn what_is_held_without_a_call_is_needed_by_none() {
        for (purpose, privilege, on, _) in ALSO {
            let by_a_call = needed(*purpose)
                .any(|(_, need)| need.privilege == *privilege && granted_on(*purpose, need) == *on);
            assert!(!by_a_call, "{privilege} is in the list twice");
        }
    }
}
