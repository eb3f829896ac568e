//! Judging what was found after a kill; decides purely.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Recorded, but not in the lab, or not running although its app is.
    Lost,
    /// In the lab, but claimed by no record.
    Leaked,
    /// More than one guest for one app, or made or destroyed more than once.
    Doubled,
    /// A port pair, route or address without a live app.
    LeakedPort,
    /// The operation did not end well in time, or the app is not what it should be.
    Unconverged,
    /// A call that changes something went to a guest that is not the app's.
    Stranger,
    /// The records contradict themselves.
    Broken,
    /// The process did not die where it was told to: nothing was shown.
    NotReached,
}

/// One fault, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) what: String,
}

impl Fault {
    pub(super) fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
        }
    }
}

/// What the product records, as `crash-points check` prints it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Records {
    pub(super) broken: Vec<String>,
    pub(super) apps: Vec<AppRow>,
    pub(super) guests: Vec<GuestRow>,
    pub(super) held: Vec<HeldRow>,
    pub(super) operations: Vec<OperationRow>,
    pub(super) desired: Vec<DesiredRow>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct AppRow {
    pub(super) id: String,
    pub(super) hostname: String,
    pub(super) status: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct GuestRow {
    pub(super) app: String,
    pub(super) vmid: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct HeldRow {
    pub(super) app: String,
    pub(super) public: u16,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct OperationRow {
    pub(super) kind: String,
    pub(super) state: String,
    pub(super) ended: bool,
    pub(super) problem: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct DesiredRow {
    pub(super) name: String,
    pub(super) revision: u64,
}

/// What the lab and the gateway hold, without what was there before the case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct World {
    /// VMID and description of each guest of the cluster.
    pub(super) guests: Vec<(u32, String)>,
    /// VMIDs that have a directory of LXC's.
    pub(super) on_disk: BTreeSet<u32>,
    /// VMIDs of which processes run.
    pub(super) running: BTreeSet<u32>,
    /// VMIDs with an address.
    pub(super) leased: BTreeSet<u32>,
    /// App ids of the gateway's routes.
    pub(super) routes: Vec<String>,
    /// Tasks that ended well since the case began: kind and VMID.
    pub(super) done: Vec<(String, u32)>,
    /// Calls that change something since the case began, by VMID.
    pub(super) changed: BTreeSet<u32>,
}

/// What should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// One app, which runs.
    Running {
        /// Its page came through its public port.
        page: bool,
    },
    /// Nothing.
    Nothing,
}

/// Everything that is wrong. `ours` are the VMIDs that were ever recorded in the case.
pub(super) fn judge(
    records: &Records,
    world: &World,
    ours: &BTreeSet<u32>,
    expected: Expected,
) -> Vec<Fault> {
    let mut faults: Vec<Fault> = records
        .broken
        .iter()
        .map(|text| Fault::new(Kind::Broken, text))
        .collect();
    operations(records, &mut faults);
    apps(records, expected, &mut faults);
    guests(records, world, expected, &mut faults);
    ports(records, world, expected, &mut faults);
    calls(world, ours, expected, &mut faults);
    faults
}

fn operations(records: &Records, faults: &mut Vec<Fault>) {
    for operation in &records.operations {
        if !operation.ended || operation.state != "succeeded" {
            let OperationRow { kind, state, .. } = operation;
            let why = operation.problem.as_deref().unwrap_or("no reason recorded");
            let what = format!("{kind} is {state}: {why}");
            faults.push(Fault::new(Kind::Unconverged, what));
        }
    }
    for kind in ["deploy", "remove"] {
        let of_kind = records.operations.iter().filter(|one| one.kind == kind);
        let count = of_kind.count();
        if count > 1 {
            let what = format!("{kind} was begun {count} times");
            faults.push(Fault::new(Kind::Doubled, what));
        }
    }
    for DesiredRow { name, revision } in &records.desired {
        if *revision != 1 {
            let what = format!("what is wanted of {name} was written down {revision} times");
            faults.push(Fault::new(Kind::Doubled, what));
        }
    }
}

fn apps(records: &Records, expected: Expected, faults: &mut Vec<Fault>) {
    let mut unconverged = |what: String| faults.push(Fault::new(Kind::Unconverged, what));
    for AppRow {
        hostname, status, ..
    } in &records.apps
    {
        match expected {
            Expected::Running { .. } if status == "running" => {}
            Expected::Running { .. } => unconverged(format!("{hostname} is {status}")),
            Expected::Nothing => unconverged(format!("{hostname} is still there, {status}")),
        }
    }
    if let Expected::Running { page } = expected {
        if records.apps.len() != 1 {
            let what = format!("{} apps are recorded instead of one", records.apps.len());
            unconverged(what);
        }
        if !page {
            unconverged("the public port does not give the app's page".to_owned());
        }
    }
}

fn guests(records: &Records, world: &World, expected: Expected, faults: &mut Vec<Fault>) {
    let recorded: BTreeSet<u32> = records.guests.iter().map(|guest| guest.vmid).collect();
    let in_cluster: BTreeSet<u32> = world.guests.iter().map(|(vmid, _)| *vmid).collect();
    let mut all = |kind, vmids: &BTreeSet<u32>, known: &BTreeSet<u32>, what: &str| {
        let wrong = vmids.difference(known);
        faults.extend(wrong.map(|vmid| Fault::new(kind, format!("container {vmid} {what}"))));
    };
    all(Kind::Lost, &recorded, &in_cluster, "is not in the cluster");
    all(Kind::Lost, &recorded, &world.on_disk, "is not on the disk");
    all(Kind::Leaked, &in_cluster, &recorded, "is in the cluster");
    all(Kind::Leaked, &world.on_disk, &recorded, "is on the disk");
    all(Kind::Leaked, &world.running, &recorded, "has processes");
    if matches!(expected, Expected::Running { .. }) {
        all(Kind::Lost, &recorded, &world.running, "does not run");
        if recorded.is_empty() {
            faults.push(Fault::new(Kind::Lost, "no container is recorded"));
        }
    }
    for app in &records.apps {
        let marked = world
            .guests
            .iter()
            .filter(|(_, text)| text.contains(&app.id));
        let recorded = records.guests.iter().filter(|guest| guest.app == app.id);
        let most = marked.count().max(recorded.count());
        if most > 1 {
            let what = format!("{} has {most} containers", app.hostname);
            faults.push(Fault::new(Kind::Doubled, what));
        }
    }
}

fn ports(records: &Records, world: &World, expected: Expected, faults: &mut Vec<Fault>) {
    let mut leaked = |what: String| faults.push(Fault::new(Kind::LeakedPort, what));
    let lives = |app: &String| records.apps.iter().any(|row| row.id == *app);
    for held in records.held.iter().filter(|held| !lives(&held.app)) {
        leaked(format!("port {} is held by no live app", held.public));
    }
    for route in world.routes.iter().filter(|route| !lives(route)) {
        leaked(format!(
            "the gateway has a route of {route}, which is no live app"
        ));
    }
    let in_cluster = |vmid: &&u32| world.guests.iter().any(|(there, _)| there == *vmid);
    for vmid in world.leased.iter().filter(|vmid| !in_cluster(vmid)) {
        leaked(format!(
            "an address is leased to container {vmid}, which is gone"
        ));
    }
    let wanted = usize::from(expected != Expected::Nothing);
    for (count, what) in [
        (records.held.len(), "port pairs are held"),
        (world.routes.len(), "routes are in the gateway"),
    ] {
        if count > wanted {
            leaked(format!("{count} {what} instead of {wanted}"));
        }
        if count < wanted {
            let what = format!("{count} {what} instead of {wanted}");
            faults.push(Fault::new(Kind::Unconverged, what));
            return;
        }
    }
}

fn calls(world: &World, ours: &BTreeSet<u32>, expected: Expected, faults: &mut Vec<Fault>) {
    for vmid in world.changed.difference(ours) {
        let what = format!("container {vmid} is not ours, and a call changed it");
        faults.push(Fault::new(Kind::Stranger, what));
    }
    let destroyed = match expected {
        Expected::Running { .. } => 0,
        Expected::Nothing => 1,
    };
    for (kind, wanted) in [("vzcreate", 1), ("vzdestroy", destroyed)] {
        let count = world.done.iter().filter(|(done, _)| done == kind).count();
        if count != wanted {
            let what = format!("{count} tasks {kind} ended well instead of {wanted}");
            let kind = if count > wanted {
                Kind::Doubled
            } else {
                Kind::Unconverged
            };
            faults.push(Fault::new(kind, what));
        }
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
