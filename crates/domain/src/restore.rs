//! Restore of keys: which keys of an adopted container's configuration can be brought back to the day of its adoption, and by
//! which change. Decided from the two configurations alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::drift::{Drift, drift, mac_of};

/// Which keys a person wants back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// All that differ and can be restored; what cannot is told.
    All,
    /// These, and none if one of them cannot be.
    Keys(BTreeSet<String>),
}

/// When a change is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InForce {
    /// With the call: the container does not run, or PVE changes it while it runs.
    AtOnce,
    /// With the container's next start.
    NextStart,
}

impl InForce {
    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::NextStart => "next_start",
        }
    }
}

/// Why a key is not restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NotRestored {
    /// It is on neither side.
    #[error("neither the record nor the container has such a key")]
    Unknown,
    /// Nothing differs.
    #[error("it is as on the day of the adoption")]
    Same,
    /// A volume or a mount would be attached, detached or replaced.
    #[error("it holds a volume or a mount: data would be attached or taken away")]
    Storage,
    /// PVE lets nobody but root do it.
    #[error("PVE lets only root@pam change it, and no API token")]
    RootOnly,
    /// The container is recognised by it.
    #[error("the container is recognised by the MAC in it, and it has another one now")]
    Identity,
    /// PVE takes a network device out of a running container, and writes its configuration without it, before it puts the new
    /// one in (`PVE::LXC::update_net`): a refusal between the two would lose network and MAC.
    #[error(
        "stop it first: Proxmox VE takes the device away before it puts the new one in, and one that fails is lost with its MAC"
    )]
    Running,
    /// PVE does not let it go.
    #[error("PVE does not let this key be taken away, and the record has none")]
    Required,
    /// What it does is decided when a container is made, or not known here.
    #[error("it says what the container is, not how it is set, or is not known to Proximity")]
    Fixed,
}

/// One key, as it is and as it will be.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRestore {
    /// The difference that ends.
    pub drift: Drift,
    /// When the change is in force.
    pub in_force: InForce,
}

/// What a restore does, and what it leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct RestorePlan {
    /// By key. Empty if nothing is to be done.
    pub keys: Vec<KeyRestore>,
    /// Keys that differ and stay as they are, or that were named and cannot be restored.
    pub left: Vec<(String, NotRestored)>,
}

/// A change of options: only [`RestorePlan::change`], [`crate::update::Limits::change`] and [`crate::image::ImageOptions::change`] make
/// one, so no volume, mount or identity is in it.
#[derive(Clone, PartialEq, Eq)]
pub struct OptionChange {
    set: BTreeMap<String, String>,
    delete: Vec<String>,
}

impl OptionChange {
    /// Of these; `None` where nothing changes.
    pub(crate) fn of(set: BTreeMap<String, String>, delete: Vec<String>) -> Option<Self> {
        let is_something = !set.is_empty() || !delete.is_empty();
        is_something.then_some(Self { set, delete })
    }

    /// Keys with the values they get, as PVE takes them. What is put into a container's environment is among them.
    #[must_use]
    pub fn set(&self) -> &BTreeMap<String, String> {
        &self.set
    }

    /// Keys that are taken away.
    #[must_use]
    pub fn delete(&self) -> &[String] {
        &self.delete
    }
}

/// PVE changes these in the file while the container runs, and they are in force then (`PVE::LXC::Config`:
/// `$LXC_FASTPLUG_OPTIONS`), or in the running container itself (`vmconfig_hotplug_pending`). A host name is in the file at
/// once, but inside only after the next start.
const AT_ONCE: [&str; 10] = [
    "cores",
    "cpulimit",
    "cpuunits",
    "description",
    "memory",
    "onboot",
    "protection",
    "startup",
    "swap",
    "tags",
];
/// These wait for the next start of a running container.
const NEXT_START: [&str; 10] = [
    "cmode",
    "console",
    "debug",
    "entrypoint",
    "env",
    "hostname",
    "nameserver",
    "searchdomain",
    "timezone",
    "tty",
];
/// `check_ct_modify_config_perm` of `PVE::LXC`; of `features`, nesting needs the right to make containers, which no token has
/// for a container that others made. The raw lines of `lxc` are not in the API at all.
const ROOT_ONLY: [&str; 3] = ["features", "hookscript", "lxc"];
/// A running container keeps its memory when the limit is taken away, and PVE refuses that.
const REQUIRED: &str = "memory";

/// What brings `wanted` of `now` back to `then`, while the container `runs` or not.
#[must_use]
pub fn plan(
    then: &BTreeMap<String, Value>,
    now: &BTreeMap<String, Value>,
    wanted: &Wanted,
    runs: bool,
) -> RestorePlan {
    let differing = drift(then, now);
    let mut plan = RestorePlan {
        keys: Vec::new(),
        left: Vec::new(),
    };
    if let Wanted::Keys(named) = wanted {
        let same = named
            .iter()
            .filter(|key| !differing.iter().any(|drift| drift.key == **key));
        plan.left.extend(same.map(|key| {
            let is_known = then.contains_key(key) || now.contains_key(key);
            let why = if is_known {
                NotRestored::Same
            } else {
                NotRestored::Unknown
            };
            (key.clone(), why)
        }));
    }
    for drift in differing {
        let is_wanted = match wanted {
            Wanted::All => true,
            Wanted::Keys(named) => named.contains(&drift.key),
        };
        if !is_wanted {
            continue;
        }
        match in_force(&drift, runs) {
            Ok(in_force) => plan.keys.push(KeyRestore { drift, in_force }),
            Err(why) => plan.left.push((drift.key, why)),
        }
    }
    if runs && let Some(key) = passed_over(then, &plan.names()) {
        for waiting in plan.keys.iter_mut().filter(|of| of.drift.key == key) {
            waiting.in_force = InForce::NextStart;
        }
    }
    plan
}

/// Of these keys the one that PVE writes at once, and brings into force in a running container with its next start alone, though
/// nothing of it is pending. PVE changes the limits of memory once in a call: where `swap` is taken away it does so with that, and
/// passes `memory` over (`PVE::LXC::Config::vmconfig_hotplug_pending`: `$hotplug_memory_done`). No answer of PVE tells it.
#[must_use]
pub fn passed_over(then: &BTreeMap<String, Value>, keys: &[String]) -> Option<&'static str> {
    let has = |name: &str| keys.iter().any(|key| key == name);
    let takes_swap_away = has("swap") && !then.contains_key("swap");
    (takes_swap_away && has("memory")).then_some("memory")
}

/// Whether what was changed waits for a start still, by how long the container ran then and runs now, seconds (`None`: it does not): a
/// time that went back shows a start in between, and one that did not shows none for sure.
#[must_use]
pub fn may_wait(changed_at: Option<u64>, now: Option<u64>) -> bool {
    matches!((changed_at, now), (Some(then), Some(now)) if now >= then)
}

/// When the end of this difference is in force, if it can be ended.
fn in_force(drift: &Drift, runs: bool) -> Result<InForce, NotRestored> {
    let key = drift.key.as_str();
    if key == REQUIRED && drift.then.is_none() {
        return Err(NotRestored::Required);
    }
    let while_running = match family(key) {
        _ if AT_ONCE.contains(&key) => InForce::AtOnce,
        _ if NEXT_START.contains(&key) => InForce::NextStart,
        Some("net") if key == "net0" && !keeps_mac(drift) => return Err(NotRestored::Identity),
        Some("net") if runs => return Err(NotRestored::Running),
        Some("net") => InForce::AtOnce,
        Some("mp" | "unused") => return Err(NotRestored::Storage),
        Some("dev") => return Err(NotRestored::RootOnly),
        _ if key == "rootfs" => return Err(NotRestored::Storage),
        _ if ROOT_ONLY.contains(&key) => return Err(NotRestored::RootOnly),
        Some(_) | None => return Err(NotRestored::Fixed),
    };
    Ok(if runs { while_running } else { InForce::AtOnce })
}

/// The name before the number of a numbered key.
fn family(key: &str) -> Option<&str> {
    let family = key.trim_end_matches(|c: char| c.is_ascii_digit());
    (family.len() < key.len()).then_some(family)
}

/// The first network device has the same MAC on both sides.
fn keeps_mac(drift: &Drift) -> bool {
    let then = drift.then.as_ref().and_then(mac_of);
    then.is_some() && then == drift.now.as_ref().and_then(mac_of)
}

impl RestorePlan {
    /// The change that does it; `None` if there is nothing to do.
    #[must_use]
    pub fn change(&self) -> Option<OptionChange> {
        let (mut set, mut delete) = (BTreeMap::new(), Vec::new());
        for KeyRestore { drift, .. } in &self.keys {
            match &drift.then {
                Some(value) => {
                    set.insert(drift.key.clone(), as_parameter(value));
                }
                None => delete.push(drift.key.clone()),
            }
        }
        OptionChange::of(set, delete)
    }

    /// The keys that are restored.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.drift.key.clone()).collect()
    }
}

/// A value as a parameter of PVE.
fn as_parameter(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(on) => u8::from(*on).to_string(),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Of these keys, those that are not as on record.
#[must_use]
pub fn still_differing(
    then: &BTreeMap<String, Value>,
    now: &BTreeMap<String, Value>,
    keys: &[String],
) -> Vec<String> {
    let drifted = drift(then, now).into_iter().map(|drift| drift.key);
    drifted.filter(|key| keys.contains(key)).collect()
}

/// Of these keys, those that are as on record.
#[must_use]
pub fn as_on_record(
    then: &BTreeMap<String, Value>,
    now: &BTreeMap<String, Value>,
    keys: &[String],
) -> Vec<String> {
    let differing = still_differing(then, now, keys);
    let same = keys.iter().filter(|key| !differing.contains(key));
    same.cloned().collect()
}

/// What a change left that PVE refused. While a container runs PVE changes one key after the other, so that those before the one
/// that failed may be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftByRefusal {
    /// They are as on record now.
    pub restored: Vec<String>,
    /// They are neither as on record nor as they were.
    pub altered: Vec<String>,
}

impl LeftByRefusal {
    /// What became of `keys`, by the configuration read `before` the change and `after` it.
    #[must_use]
    pub fn read(
        then: &BTreeMap<String, Value>,
        before: &BTreeMap<String, Value>,
        after: &BTreeMap<String, Value>,
        keys: &[String],
    ) -> Self {
        let changed = still_differing(before, after, keys);
        let restored = as_on_record(then, after, &changed);
        let altered = still_differing(then, after, &changed);
        Self { restored, altered }
    }
}

impl fmt::Display for LeftByRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (restored, altered) = (self.restored.join(", "), self.altered.join(", "));
        match (restored.is_empty(), altered.is_empty()) {
            (true, true) => f.write_str("read back, none of the keys has changed"),
            (false, true) => write!(f, "read back, these were restored all the same: {restored}"),
            (true, false) => write!(
                f,
                "read back, these are neither as before nor as on record: {altered}"
            ),
            (false, false) => write!(
                f,
                "read back, these were restored all the same: {restored}; these are neither as before nor as on record: {altered}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn config(value: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    fn then() -> BTreeMap<String, Value> {
        config(json!({
            "memory": 512, "cores": 2, "hostname": "db", "onboot": 1, "tty": 2, "arch": "amd64",
            "net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=dhcp",
            "rootfs": "local:vm-105-disk-0,size=4G", "features": "nesting=1", "description": "mine\n",
        }))
    }

    fn now() -> BTreeMap<String, Value> {
        config(json!({
            "memory": 1024, "hostname": "other", "onboot": 1, "tty": 4, "arch": "arm64", "swap": 256,
            "net0": "name=eth0,bridge=vmbr1,hwaddr=bc:24:11:00:00:01,ip=dhcp",
            "net1": "name=eth1,bridge=vmbr0,hwaddr=BC:24:11:00:00:02",
            "rootfs": "local:vm-105-disk-0,size=8G", "mp0": "local:1,mp=/x", "unused0": "local:vm-105-disk-9",
            "dev0": "/dev/kvm", "hookscript": "local:snippets/x", "lxc": [["lxc.a", "1"]],
            "description": "mine", "new-thing3": "x",
        }))
    }

    fn named(keys: &[&str]) -> Wanted {
        Wanted::Keys(keys.iter().map(|key| (*key).to_owned()).collect())
    }

    #[test]
    fn everything_that_can_be_is_restored_and_the_rest_is_told_with_its_reason() {
        let all = plan(&then(), &now(), &Wanted::All, true);
        let keys: Vec<(&str, InForce)> = all
            .keys
            .iter()
            .map(|key| (key.drift.key.as_str(), key.in_force))
            .collect();
        let expected = [
            ("cores", InForce::AtOnce),
            ("hostname", InForce::NextStart),
            // The swap that is taken away with it is all that PVE changes of the limits at once.
            ("memory", InForce::NextStart),
            ("swap", InForce::AtOnce),
            ("tty", InForce::NextStart),
        ];
        assert_eq!(keys, expected);
        let left: Vec<(&str, NotRestored)> = all
            .left
            .iter()
            .map(|(key, why)| (key.as_str(), *why))
            .collect();
        let expected = [
            ("arch", NotRestored::Fixed),
            ("dev0", NotRestored::RootOnly),
            ("features", NotRestored::RootOnly),
            ("hookscript", NotRestored::RootOnly),
            ("lxc", NotRestored::RootOnly),
            ("mp0", NotRestored::Storage),
            ("net0", NotRestored::Running),
            ("net1", NotRestored::Running),
            ("new-thing3", NotRestored::Fixed),
            ("rootfs", NotRestored::Storage),
            ("unused0", NotRestored::Storage),
        ];
        assert_eq!(left, expected);
        let change = all.change().unwrap();
        assert_eq!(change.delete(), ["swap"]);
        assert_eq!(change.set()["memory"], "512");
        assert_eq!(change.set().len(), 4);
    }

    #[test]
    fn memory_waits_for_a_start_only_beside_a_swap_that_is_taken_away() {
        let of = |then: &BTreeMap<String, Value>, keys: &[&str], runs: bool| {
            let plan = plan(then, &now(), &named(keys), runs);
            let memory = plan.keys.iter().find(|key| key.drift.key == "memory");
            memory.map(|key| key.in_force)
        };
        let both = ["memory", "swap"];
        assert_eq!(of(&then(), &both, true), Some(InForce::NextStart));
        assert_eq!(of(&then(), &both, false), Some(InForce::AtOnce));
        assert_eq!(of(&then(), &["memory"], true), Some(InForce::AtOnce));
        let mut with_swap = then();
        with_swap.insert("swap".to_owned(), json!(512));
        assert_eq!(of(&with_swap, &both, true), Some(InForce::AtOnce));
        assert_eq!(of(&then(), &["swap"], true), None);
    }

    #[test]
    fn devices_come_back_while_it_is_stopped_and_nothing_has_to_start_again() {
        let stopped = plan(&then(), &now(), &Wanted::All, false);
        assert!(stopped.keys.iter().all(|k| k.in_force == InForce::AtOnce));
        let change = stopped.change().unwrap();
        assert_eq!(change.delete(), ["net1", "swap"]);
        assert!(change.set()["net0"].contains("bridge=vmbr0"));
        assert_eq!(change.set().len(), 5);
        for key in ["net0", "net1"] {
            let running = plan(&then(), &now(), &named(&[key]), true);
            assert_eq!(running.left, [(key.to_owned(), NotRestored::Running)]);
            assert!(running.change().is_none());
        }
    }

    #[test]
    fn what_a_refusal_left_is_told_by_what_was_read() {
        let keys = ["cores", "memory", "swap", "tty"].map(str::to_owned);
        let left =
            |after: &BTreeMap<String, Value>| LeftByRefusal::read(&then(), &now(), after, &keys);
        let none = left(&now());
        assert!(none.restored.is_empty() && none.altered.is_empty());
        assert!(none.to_string().contains("none of the keys has changed"));
        let mut after = now();
        after.insert("cores".to_owned(), json!(2));
        assert_eq!(left(&after).restored, ["cores"]);
        assert!(left(&after).to_string().ends_with("all the same: cores"));
        after.insert("memory".to_owned(), json!(2048));
        after.remove("tty");
        let both = left(&after);
        assert_eq!(both.restored, ["cores"]);
        assert_eq!(both.altered, ["memory", "tty"]);
        assert!(both.to_string().ends_with("nor as on record: memory, tty"));
        // Of others nothing is said.
        after.insert("onboot".to_owned(), json!(0));
        assert_eq!(left(&after), both);
    }

    #[test]
    fn only_what_may_run_since_before_the_change_waits_for_a_start() {
        assert!(may_wait(Some(900), Some(900)) && may_wait(Some(900), Some(1_000)));
        assert!(!may_wait(Some(900), Some(3)), "it was started since");
        assert!(!may_wait(None, Some(3)), "whatever started it found it");
        assert!(!may_wait(Some(900), None) && !may_wait(None, None));
    }

    #[test]
    fn those_of_the_keys_that_are_as_on_record_are_told_and_no_others() {
        let keys = ["onboot", "memory", "description", "nothing"].map(str::to_owned);
        let same = as_on_record(&then(), &now(), &keys);
        assert_eq!(same, ["onboot", "description", "nothing"]);
    }

    #[test]
    fn what_is_named_is_done_alone_and_what_cannot_be_is_named_back() {
        let one = plan(&then(), &now(), &named(&["memory"]), true);
        assert_eq!(
            (one.names(), one.left.len()),
            (vec!["memory".to_owned()], 0)
        );
        for (key, why) in [
            ("onboot", NotRestored::Same),
            ("description", NotRestored::Same),
            ("digest", NotRestored::Unknown),
            ("memroy", NotRestored::Unknown),
            ("mp0", NotRestored::Storage),
            ("hookscript", NotRestored::RootOnly),
        ] {
            let refused = plan(&then(), &now(), &named(&["memory", key]), true);
            assert_eq!(refused.left, [(key.to_owned(), why)], "{key}");
        }
        assert!(
            plan(&then(), &then(), &Wanted::All, true)
                .change()
                .is_none()
        );
    }

    #[test]
    fn what_it_is_recognised_by_and_what_pve_keeps_stay() {
        let mut other = now();
        let mac = json!("name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:99,ip=dhcp");
        other.insert("net0".to_owned(), mac);
        let refused = plan(&then(), &other, &named(&["net0"]), true);
        assert_eq!(refused.left, [("net0".to_owned(), NotRestored::Identity)]);
        other.remove("net0");
        let gone = plan(&then(), &other, &named(&["net0"]), true);
        assert_eq!(gone.left, [("net0".to_owned(), NotRestored::Identity)]);
        let mut bare = then();
        bare.remove("memory");
        let kept = plan(&bare, &now(), &named(&["memory"]), true);
        assert_eq!(kept.left, [("memory".to_owned(), NotRestored::Required)]);
    }

    proptest! {
        // Whatever the two hold: each difference is either restored or told, and no volume or root's key is ever in a change.
        #[test]
        fn every_difference_is_restored_or_told(
            a in proptest::collection::btree_map("(memory|tty|mp[0-9]|dev0|rootfs|unused[01]|lxc|zz)", 0_u8..3, 0..6),
            b in proptest::collection::btree_map("(memory|tty|mp[0-9]|dev0|rootfs|unused[01]|lxc|zz)", 0_u8..3, 0..6),
            runs: bool,
        ) {
            let of = |m: &BTreeMap<String, u8>| -> BTreeMap<String, Value> {
                m.iter().map(|(k, v)| (k.clone(), json!(v))).collect()
            };
            let (x, y) = (of(&a), of(&b));
            let plan = plan(&x, &y, &Wanted::All, runs);
            let mut told = plan.names();
            told.extend(plan.left.iter().map(|(key, _)| key.clone()));
            told.sort();
            let differing: Vec<String> = drift(&x, &y).into_iter().map(|d| d.key).collect();
            prop_assert_eq!(told, differing);
            if let Some(change) = plan.change() {
                let touched = change.set().keys().chain(change.delete());
                for key in touched {
                    prop_assert!(key == "memory" || key == "tty", "{}", key);
                }
                let mut after = y.clone();
                after.retain(|key, _| !change.delete().contains(key));
                after.extend(change.set().iter().map(|(k, v)| (k.clone(), json!(v))));
                prop_assert_eq!(still_differing(&x, &after, &plan.names()), Vec::<String>::new());
            }
        }
    }
}
