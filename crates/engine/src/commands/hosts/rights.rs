//! What the token must be allowed to do, and what of that it lacks.
//!
//! PVE says for each path which privileges hold there and whether they also hold below. The map without a path
//! names only the paths that carry a rule, so whatever matters here is asked for by its own path.

use std::collections::BTreeMap;

use proximity_domain::names::{BridgeName, PoolName, StorageName};
use proximity_pve::access::Privileges;

/// Needed for the guests themselves: create, configure, power, look, destroy.
const GUESTS: [&str; 8] = [
    "VM.Allocate",
    "VM.Audit",
    "VM.Config.CPU",
    "VM.Config.Disk",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.PowerMgmt",
];

/// Where guests that are in no pool are.
pub(super) const GUESTS_PATH: &str = "/vms";
/// Where the nodes are.
pub(super) const NODES_PATH: &str = "/nodes";

/// Where bridges that belong to no SDN zone are.
const BRIDGES_PATH: &str = "/sdn/zones/localnetwork";

/// A storage's path.
pub(super) fn storage_path(storage: &StorageName) -> String {
    format!("/storage/{storage}")
}

/// A bridge's path.
pub(super) fn bridge_path(bridge: &BridgeName) -> String {
    format!("{BRIDGES_PATH}/{bridge}")
}

/// A pool's path.
pub(super) fn pool_path(pool: &PoolName) -> String {
    format!("/pool/{pool}")
}

/// The token's effective privileges as far as PVE was asked.
#[derive(Debug, Default)]
pub(super) struct Rights {
    tree: BTreeMap<String, Privileges>,
}

impl Rights {
    /// From the map of all paths that carry a rule.
    pub(super) fn new(tree: BTreeMap<String, Privileges>) -> Self {
        Self { tree }
    }

    /// Takes in PVE's answer about one path; a path it does not list carries nothing.
    pub(super) fn learn(&mut self, path: &str, mut answer: BTreeMap<String, Privileges>) {
        self.tree
            .insert(path.to_owned(), answer.remove(path).unwrap_or_default());
    }

    /// No right anywhere: every list PVE gives to such a token is empty and proves nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.tree.values().all(Privileges::is_empty)
    }

    /// Whether the privilege is held on the path itself.
    pub(super) fn holds(&self, path: &str, privilege: &str) -> bool {
        match self.tree.get(path) {
            Some(privileges) => privileges.contains(privilege),
            None => self.inherited(path, privilege),
        }
    }

    /// Whether the privilege is held on everything below the path.
    fn holds_below(&self, path: &str, privilege: &str) -> bool {
        match self.tree.get(path) {
            Some(privileges) => privileges.propagates(privilege),
            None => self.inherited(path, privilege),
        }
    }

    /// What the nearest path above that is known passes on.
    fn inherited(&self, path: &str, privilege: &str) -> bool {
        let mut rest = path;
        while let Some((above, _)) = rest.rsplit_once('/') {
            let name = if above.is_empty() { "/" } else { above };
            if let Some(privileges) = self.tree.get(name) {
                return privileges.propagates(privilege);
            }
            rest = above;
        }
        false
    }

    /// Whether containers may be put onto the storage.
    pub(super) fn allocates_on(&self, storage: &StorageName) -> bool {
        self.holds(&storage_path(storage), "Datastore.AllocateSpace")
    }

    /// Whether templates on the storage may be listed and used: PVE takes either privilege.
    pub(super) fn reads_templates_on(&self, storage: &StorageName) -> bool {
        let path = storage_path(storage);
        self.holds(&path, "Datastore.Audit") || self.holds(&path, "Datastore.AllocateSpace")
    }

    /// Whether containers may be attached to the bridge.
    pub(super) fn uses(&self, bridge: &BridgeName) -> bool {
        self.holds(&bridge_path(bridge), "SDN.Use")
    }

    /// What is missing whatever storage and bridge are chosen, as `privilege on path`.
    pub(super) fn missing_for_guests(&self, pool: Option<&PoolName>) -> Vec<String> {
        let mut missing = Vec::new();
        let pool = pool.map(pool_path);
        for privilege in GUESTS {
            let by_pool = pool
                .as_ref()
                .is_some_and(|path| self.holds(path, privilege));
            if !by_pool && !self.holds_below(GUESTS_PATH, privilege) {
                let path = pool.as_deref().unwrap_or(GUESTS_PATH);
                missing.push(format!("{privilege} on {path}"));
            }
        }
        // Quorum and membership, then the nodes' figures. Without quorum no container may be removed.
        if !self.holds("/", "Sys.Audit") {
            missing.push("Sys.Audit on /".to_owned());
        } else if !self.holds_below(NODES_PATH, "Sys.Audit") {
            missing.push(format!("Sys.Audit on {NODES_PATH}"));
        }
        missing
    }

    /// What is missing on this storage for root file systems.
    pub(super) fn missing_on_storage(&self, storage: &StorageName) -> Option<String> {
        (!self.allocates_on(storage))
            .then(|| format!("Datastore.AllocateSpace on {}", storage_path(storage)))
    }

    /// What is missing on this storage for templates.
    pub(super) fn missing_on_template_storage(&self, storage: &StorageName) -> Option<String> {
        (!self.reads_templates_on(storage))
            .then(|| format!("Datastore.Audit on {}", storage_path(storage)))
    }

    /// What is missing on this bridge.
    pub(super) fn missing_on_bridge(&self, bridge: &BridgeName) -> Option<String> {
        (!self.uses(bridge)).then(|| format!("SDN.Use on {}", bridge_path(bridge)))
    }

    /// What is missing when there is no storage at all that containers may be put onto.
    pub(super) fn missing_on_any_storage(&self) -> Option<String> {
        let privilege = "Datastore.AllocateSpace";
        (!self.holds_somewhere("/storage", privilege))
            .then(|| format!("{privilege} on /storage/STORAGE"))
    }

    /// The same for bridges.
    pub(super) fn missing_on_any_bridge(&self) -> Option<String> {
        let privilege = "SDN.Use";
        (!self.holds_somewhere(BRIDGES_PATH, privilege))
            .then(|| format!("{privilege} on {BRIDGES_PATH}/BRIDGE"))
    }

    /// Whether the privilege is held on all below the path, or on something below it.
    fn holds_somewhere(&self, path: &str, privilege: &str) -> bool {
        let below = format!("{path}/");
        self.holds_below(path, privilege)
            || self
                .tree
                .iter()
                .any(|(p, held)| p.starts_with(&below) && held.contains(privilege))
    }

    /// Everything the token lacks, as far as it can be told before storages and bridges were seen.
    pub(super) fn missing_at_first(
        &self,
        pool: Option<&PoolName>,
        storage: Option<&StorageName>,
    ) -> Vec<String> {
        let mut missing = self.missing_for_guests(pool);
        missing.extend(match storage {
            Some(storage) => self.missing_on_storage(storage),
            None => self.missing_on_any_storage(),
        });
        missing.extend(self.missing_on_any_bridge());
        missing
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn rights(tree: Value) -> Rights {
        Rights::new(serde_json::from_value(tree).unwrap())
    }

    fn all_guest_privileges(flag: u8) -> Value {
        Value::Object(
            GUESTS
                .iter()
                .map(|p| ((*p).to_owned(), json!(flag)))
                .collect::<Map<_, _>>(),
        )
    }

    fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().unwrap()
    }

    #[test]
    fn a_privilege_without_propagation_holds_on_its_path_alone() {
        let rights = rights(json!({ "/": { "Sys.Audit": 0, "SDN.Use": 1 } }));
        assert!(rights.holds("/", "Sys.Audit"));
        assert!(!rights.holds("/nodes", "Sys.Audit"));
        assert!(rights.holds("/sdn/zones/localnetwork/vmbr0", "SDN.Use"));
        assert_eq!(
            rights.missing_for_guests(None).last().map(String::as_str),
            Some("Sys.Audit on /nodes")
        );
    }

    #[test]
    fn the_nearest_path_decides_not_the_one_that_grants_most() {
        let mut rights = rights(json!({ "/": { "Datastore.AllocateSpace": 1 } }));
        assert!(rights.allocates_on(&name("fast")));
        rights.learn("/storage/fast", BTreeMap::new());
        assert!(
            !rights.allocates_on(&name("fast")),
            "asked for by name, it carries nothing"
        );
        assert!(rights.allocates_on(&name("slow")));
    }

    #[test]
    fn an_administrator_lacks_nothing() {
        let mut held = all_guest_privileges(1);
        for more in ["Sys.Audit", "Datastore.AllocateSpace", "SDN.Use"] {
            held[more] = json!(1);
        }
        let rights = rights(json!({ "/": held }));
        assert_eq!(rights.missing_for_guests(None), Vec::<String>::new());
        assert_eq!(
            rights.missing_for_guests(Some(&name("apps"))),
            Vec::<String>::new()
        );
        assert_eq!(rights.missing_on_storage(&name("local")), None);
        assert_eq!(rights.missing_on_template_storage(&name("local")), None);
        assert_eq!(rights.missing_on_bridge(&name("vmbr0")), None);
    }

    #[test]
    fn rights_on_a_pool_serve_only_guests_of_that_pool() {
        let rights = rights(json!({
            "/": { "Sys.Audit": 1 },
            "/pool/gold": all_guest_privileges(0),
            "/storage/shared": { "Datastore.AllocateSpace": 0 },
        }));
        assert_eq!(
            rights.missing_for_guests(Some(&name("gold"))),
            Vec::<String>::new()
        );
        assert_eq!(rights.missing_for_guests(None).len(), GUESTS.len());
        assert!(
            rights
                .missing_for_guests(None)
                .contains(&"VM.Allocate on /vms".to_owned())
        );
        let other = rights.missing_for_guests(Some(&name("iron")));
        assert!(
            other.contains(&"VM.PowerMgmt on /pool/iron".to_owned()),
            "{other:?}"
        );
        assert!(
            rights.allocates_on(&name("shared")),
            "from the pool, without propagation"
        );
    }

    #[test]
    fn guests_need_privileges_that_reach_below_their_path() {
        let rights = rights(json!({ "/": { "Sys.Audit": 1 }, "/vms": all_guest_privileges(0) }));
        assert_eq!(rights.missing_for_guests(None).len(), GUESTS.len());
    }

    #[test]
    fn a_token_that_may_only_look_is_told_each_thing_it_lacks() {
        let rights = rights(json!({
            "/": { "Sys.Audit": 1, "VM.Audit": 1, "Datastore.Audit": 1, "SDN.Audit": 1 },
        }));
        assert_eq!(rights.missing_for_guests(None).len(), GUESTS.len() - 1);
        assert_eq!(
            rights.missing_on_storage(&name("local")).as_deref(),
            Some("Datastore.AllocateSpace on /storage/local")
        );
        assert_eq!(rights.missing_on_template_storage(&name("local")), None);
        assert_eq!(
            rights.missing_on_bridge(&name("vmbr0")).as_deref(),
            Some("SDN.Use on /sdn/zones/localnetwork/vmbr0")
        );
    }

    #[test]
    fn empty_maps_are_no_rights() {
        assert!(rights(json!({})).is_empty());
        assert!(rights(json!({ "/vms/110": {} })).is_empty());
        assert!(!rights(json!({ "/": { "Sys.Audit": 0 } })).is_empty());
    }

    #[test]
    fn a_right_on_one_storage_is_one() {
        let rights = rights(json!({
            "/storage/shared": { "Datastore.AllocateSpace": 0 },
            "/sdn/zones/localnetwork/vmbr0": { "SDN.Use": 1 },
        }));
        assert_eq!(rights.missing_on_any_storage(), None);
        assert_eq!(rights.missing_on_any_bridge(), None);
        let none = Rights::default();
        assert_eq!(
            none.missing_on_any_storage().as_deref(),
            Some("Datastore.AllocateSpace on /storage/STORAGE")
        );
        assert_eq!(none.missing_at_first(None, None).len(), GUESTS.len() + 3);
    }
}
