//! Going back: which documents an earlier state is, what of it does not come back, and what is lost. Pure.
//!
//! What goes back is configuration, by documents that are planned and applied as any: a new revision is written, and none is taken away.
//! What a container holds is not touched, and no snapshot of Proxmox VE is ever gone back to. Nothing is made, taken over or replaced by
//! it: where an earlier state wants another container, it is refused.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::{AppClass, StatusLabel};
use crate::desired::DesiredSpec;
use crate::manifest::{AdoptedSpec, AppSpec, Policy, RootMode};
use crate::names::{CatalogId, HostLabel, Hostname, ManifestName, SecretName};
use crate::network::NetworkWish;
use crate::plan::{Act, Change, Recorded};
use crate::resource::{Snapshot, SnapshotChange};
use crate::time::Timestamp;

/// What is gone back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A revision of what was wanted of the app.
    Revision(u64),
    /// What was wanted at a moment.
    Moment(Timestamp),
    /// What was observed of its container: a snapshot of our record, by its number.
    Snapshot(i64),
}

/// What an app is made of, as far as it may go back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// What documents say of it.
    Configuration,
    /// The program and its version.
    Release,
    /// What its container holds.
    Data,
}

impl Plane {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Configuration, Self::Release, Self::Data];

    /// Stable text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Release => "release",
            Self::Data => "data",
        }
    }

    /// A rollback changes it.
    #[must_use]
    pub fn moves(self) -> bool {
        match self {
            Self::Configuration => true,
            Self::Release | Self::Data => false,
        }
    }
}

/// What a plan goes back to, and what of it stays as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollback {
    /// To what.
    pub to: Target,
    /// Apps that go back, by name.
    pub apps: Vec<Back>,
    /// Apps that do not, by name.
    pub stay: Vec<Stays>,
    /// Apps that would and cannot as they are, by name: nothing of them is planned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Stays>,
    /// What is there now and would not be any more, by app.
    pub lost: Vec<Lost>,
}

/// An app that goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Back {
    /// Its name.
    pub name: Hostname,
    /// The revision; none where a snapshot is gone back to.
    pub revision: Option<u64>,
    /// Since when it was so.
    pub since: Timestamp,
    /// What of it stays as it is now.
    pub kept: Vec<Kept>,
}

/// What of an earlier state does not come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What: a field of documents, or `secret NAME`.
    pub what: String,
    /// Why, a sentence.
    pub why: String,
}

/// An app that stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stays {
    /// Its name.
    pub name: Hostname,
    /// Why, a sentence.
    pub why: String,
}

/// What is there now and would not be any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// The app.
    pub name: Hostname,
    /// Which field, as plans call it; `volume` of what is destroyed with a container.
    pub path: String,
    /// What it is now.
    pub now: Value,
}

/// Why an app does not go back. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// The revision says that nothing was wanted.
    #[error("with that, nothing was wanted of {0} any more")]
    NothingWanted(Hostname),
    /// No revision of the app is as old.
    #[error(
        "nothing is on record of what was wanted of {0} then: it was not there, or no document named it"
    )]
    NotThen(Hostname),
    /// Nothing was wanted of any app.
    #[error("nothing is on record of what was wanted of any app then")]
    NothingThen,
    /// Each app of which something was wanted has to be mended first.
    #[error("none of the apps of which something was wanted then can go back as it is: {}", listed(.0))]
    AllLeftOut(Vec<Hostname>),
    /// Its container was found and was to be made, or the other way round.
    #[error("{0} was another app then: a container that is made for an app is none that was found")]
    OtherClass(Hostname),
    /// Another catalog entry was installed.
    #[error("{name} was {then} then, and is {now}: that would take another container")]
    OtherEntry {
        /// The app.
        name: Hostname,
        /// Then.
        then: CatalogId,
        /// Now.
        now: CatalogId,
    },
    /// Another container was taken over.
    #[error("{0} was another container then")]
    OtherContainer(Hostname),
    /// A snapshot says nothing that a document of the app could.
    #[error(
        "the snapshot says nothing of {0} that a document holds: memory and cores of a container that was made for it"
    )]
    NothingInSnapshot(Hostname),
    /// The snapshot is of what had the container's number before.
    #[error("the snapshot is older than {0}: something else had the number of its container then")]
    BeforeApp(Hostname),
    /// There is no document of the app as it is.
    #[error("{name} cannot be written down as it is: {why}")]
    NoDocument {
        /// The app.
        name: Hostname,
        /// Why.
        why: String,
    },
    /// A container would be made, taken over or replaced.
    #[error("that takes another container: {}", listed(.0))]
    AnotherContainer(Vec<Hostname>),
}

/// Names in a message, at most.
const NAMED: usize = 5;

fn listed(names: &[Hostname]) -> String {
    let named = names.iter().take(NAMED).map(Hostname::as_str);
    let named: Vec<&str> = named.collect();
    let more = if names.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", named.join(", "))
}

/// An app as it is, and what there is around it.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// Its record.
    pub recorded: &'a Recorded,
    /// The label of its host entry.
    pub host: &'a HostLabel,
    /// The root file system that its catalog entry gives, GiB, where documents say nothing.
    pub usual_disk_gib: Option<u32>,
    /// The versions of all secrets.
    pub secrets: &'a BTreeMap<SecretName, i64>,
    /// The apps that there are.
    pub names: &'a BTreeSet<Hostname>,
}

/// The document by which an app goes back to what was wanted of it, and what of that stays as it is now. `put_in` are the versions of the
/// secrets that were put in then.
///
/// Its place, its disk and what its container holds do not move: a disk is never made smaller, and a container is never another one.
///
/// # Errors
/// [`Impossible`] where it was another container.
pub fn back(
    now: &Now<'_>,
    then: &DesiredSpec,
    put_in: &BTreeMap<SecretName, i64>,
) -> Result<(DesiredSpec, Vec<Kept>), Impossible> {
    let mut kept = Vec::new();
    let spec = match (then, now.recorded.class) {
        (DesiredSpec::App(then), AppClass::Native) => DesiredSpec::App(app(now, then, &mut kept)?),
        (DesiredSpec::AdoptedApp(then), AppClass::Adopted) => {
            DesiredSpec::AdoptedApp(adopted(now, then, &mut kept)?)
        }
        (DesiredSpec::App(_), AppClass::Adopted)
        | (DesiredSpec::AdoptedApp(_), AppClass::Native) => {
            return Err(Impossible::OtherClass(now.recorded.name.clone()));
        }
    };
    for secret in spec.secrets() {
        let (before, version) = (put_in.get(&secret), now.secrets.get(&secret));
        // 0 = not known which. One that there is not is an obstacle of the plan.
        if let (Some(before), Some(version)) = (before.filter(|v| **v > 0), version)
            && before != version
        {
            let why = format!(
                "its value is that of now, version {version}: version {before} is not kept"
            );
            kept.push(stays(&format!("secret {secret}"), why));
        }
    }
    Ok((spec, kept))
}

fn app(now: &Now<'_>, then: &AppSpec, kept: &mut Vec<Kept>) -> Result<AppSpec, Impossible> {
    let recorded = now.recorded;
    if then.catalog_id != recorded.catalog_id {
        return Err(Impossible::OtherEntry {
            name: recorded.name.clone(),
            then: then.catalog_id.clone(),
            now: recorded.catalog_id.clone(),
        });
    }
    let mut spec = then.clone();
    if let Some(host) = then.host.as_ref().filter(|host| *host != now.host) {
        let why = format!(
            "it is on {}, and was to be on {host}: a container is not moved",
            now.host
        );
        kept.push(stays("host", why));
    }
    spec.host = Some(now.host.clone());
    if let Some(node) = then.node.as_ref().filter(|node| **node != recorded.node) {
        let at = &recorded.node;
        let why = format!("it is on {at}, and was to be on {node}: a container is not moved");
        kept.push(stays("node", why));
        spec.node = None;
    }
    made_with(recorded, &mut spec, kept);
    let disk = recorded.resources.disk_gib;
    let wanted = then.resources.disk_gib.or(now.usual_disk_gib);
    if let Some(wanted) = wanted.filter(|wanted| *wanted != disk) {
        let why = format!(
            "it stays {disk} GiB, and was to be {wanted} GiB: what a container holds does not go back, and no disk is made smaller"
        );
        kept.push(stays("disk", why));
    }
    spec.resources.disk_gib = Some(disk);
    spec.depends_on = needs(now, &then.depends_on, kept);
    Ok(spec)
}

/// What a container was made with it keeps for its life.
fn made_with(recorded: &Recorded, spec: &mut AppSpec, kept: &mut Vec<Kept>) {
    let made = &recorded.made_with;
    let is_so = |wish: &NetworkWish| {
        let network = wish.check();
        network.is_ok_and(|network| recorded.meant(&network) == recorded.meant(&made.network))
    };
    if spec.network.as_deref().is_some_and(|wish| !is_so(wish)) {
        let why = "it was to be attached otherwise: that is said when a container is made";
        kept.push(stays("network", why.to_owned()));
        spec.network = None;
    }
    let mode = match (made.root_password, made.root_keys.is_empty()) {
        (true, _) => RootMode::Password,
        (false, true) => RootMode::None,
        (false, false) => RootMode::Keys,
    };
    if spec.root_access.is_some_and(|then| then != mode) {
        let why = "root was to be let in otherwise: that is said when a container is made";
        kept.push(stays("root_access", why.to_owned()));
    }
    // Of keys it is not told here which are the same: they are those of now in any case.
    spec.root_access = None;
    spec.root_keys = Vec::new();
}

fn adopted(
    now: &Now<'_>,
    then: &AdoptedSpec,
    kept: &mut Vec<Kept>,
) -> Result<AdoptedSpec, Impossible> {
    let recorded = now.recorded;
    if then.host != *now.host || recorded.vmid != Some(then.vmid) {
        return Err(Impossible::OtherContainer(recorded.name.clone()));
    }
    let mut spec = then.clone();
    if let Some(kind) = then
        .taken_for
        .as_ref()
        .filter(|kind| **kind != recorded.catalog_id)
    {
        let why = format!(
            "it is {}, and was {kind}: that is written down at an adoption",
            recorded.catalog_id
        );
        kept.push(stays("type", why));
        spec.taken_for = None;
    }
    if let Some(port) = then
        .port
        .filter(|port| *port != recorded.port && !then.expose)
    {
        let why = format!(
            "it is {}, and was {port}: that is written down where the gateway leads to it",
            recorded.port
        );
        kept.push(stays("port", why));
        spec.port = None;
    }
    spec.depends_on = needs(now, &then.depends_on, kept);
    Ok(spec)
}

/// What it depended on and is there still.
fn needs(now: &Now<'_>, then: &[ManifestName], kept: &mut Vec<Kept>) -> Vec<ManifestName> {
    let is_there = |name: &&ManifestName| {
        let name = name.as_str().parse::<Hostname>();
        name.is_ok_and(|name| now.names.contains(&name))
    };
    let (there, gone): (Vec<&ManifestName>, Vec<&ManifestName>) = then.iter().partition(is_there);
    for name in gone {
        let why = format!("it depended on {name}, which is not there any more");
        kept.push(stays("depends_on", why));
    }
    there.into_iter().cloned().collect()
}

fn stays(what: &str, why: String) -> Kept {
    Kept {
        what: what.to_owned(),
        why,
    }
}

/// The document by which an app goes back to a snapshot of its container: what `as_it_is` says, with memory and cores as they were. Power
/// is no configuration, and stays.
///
/// # Errors
/// [`Impossible`] where it says neither, or the app's container was found.
pub fn of_snapshot(
    name: &Hostname,
    as_it_is: &DesiredSpec,
    snapshot: &Snapshot,
) -> Result<DesiredSpec, Impossible> {
    let nothing = || Impossible::NothingInSnapshot(name.clone());
    let DesiredSpec::App(as_it_is) = as_it_is else {
        return Err(nothing());
    };
    if snapshot.change == SnapshotChange::Deleted {
        return Err(nothing());
    }
    let memory_mib = figure(snapshot, ["config.memory", "memory_mib"]);
    let cores = figure(snapshot, ["config.cores", "cpus"]);
    let cores = cores.and_then(|cores| u32::try_from(cores).ok());
    if memory_mib.is_none() && cores.is_none() {
        return Err(nothing());
    }
    let mut spec = as_it_is.clone();
    spec.resources.memory_mib = memory_mib.or(spec.resources.memory_mib);
    spec.resources.cores = cores.or(spec.resources.cores);
    Ok(DesiredSpec::App(spec))
}

/// A whole number of a state, by its configuration where that is known, else by the list.
fn figure(snapshot: &Snapshot, fields: [&str; 2]) -> Option<u64> {
    let fields = fields.iter();
    let mut values = fields.filter_map(|field| snapshot.state.fields().get(*field));
    values.find_map(|value| match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

/// Why an app is left out where all of them go back, a sentence; `None`: it goes along. Of one in error it is not known what its container
/// is like, and a change of it could only be refused: that is one app's trouble, and keeps no other back.
#[must_use]
pub fn left_out(recorded: &Recorded) -> Option<String> {
    let name = &recorded.name;
    match recorded.status {
        StatusLabel::Error => Some(format!(
            "it is in error, and is left as it is: look at it with: proximity show {name}; once it is mended: proximity rollback {name}"
        )),
        // On their way they are waited for: the plan says so.
        StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Updating
        | StatusLabel::Removing
        | StatusLabel::Running
        | StatusLabel::Stopped => None,
    }
}

/// What is there now and would not be any more once these changes are made.
#[must_use]
pub fn lost(changes: &[Change]) -> Vec<Lost> {
    let mut lost = Vec::new();
    for change in changes {
        let of = |path: &str, now: Value| Lost {
            name: change.name.clone(),
            path: path.to_owned(),
            now,
        };
        let fields = change.fields.iter();
        let set = fields.filter_map(|field| Some((field.path.as_str(), field.from.clone()?)));
        lost.extend(set.map(|(path, now)| of(path, now)));
        let volumes = change.at_risk.iter();
        lost.extend(volumes.map(|volume| of("volume", json!(volume))));
    }
    lost
}

/// What only documents say of an app, and these say otherwise.
#[must_use]
pub fn unsaid(name: &Hostname, now: &DesiredSpec, then: &DesiredSpec) -> Vec<Lost> {
    let of = |path: &str, now: Value| Lost {
        name: name.clone(),
        path: path.to_owned(),
        now,
    };
    let mut lost = Vec::new();
    if policy(now) != policy(then) {
        lost.push(of("policy", json!(policy(now))));
    }
    let after = then.ignored().patterns();
    let told = now.ignored().patterns().iter();
    let told = told.filter(|pattern| !after.contains(pattern));
    lost.extend(told.map(|pattern| of("ignore", json!(pattern))));
    let after = then.depends_on();
    let gone = now.depends_on().into_iter();
    let gone = gone.filter(|need| !after.contains(need));
    lost.extend(gone.map(|need| of("depends_on", json!(need))));
    lost
}

fn policy(spec: &DesiredSpec) -> Policy {
    match spec {
        DesiredSpec::App(spec) => spec.policy,
        DesiredSpec::AdoptedApp(spec) => spec.policy,
    }
}

/// That nothing but configuration moves by these changes, and what no document of an earlier state names is removed alone.
///
/// # Errors
/// [`Impossible::AnotherContainer`] where a container would be made, taken over or replaced.
pub fn moves_configuration_alone(changes: &[Change]) -> Result<(), Impossible> {
    let others = changes.iter().filter(|change| match change.act {
        Act::Create | Act::Replace | Act::Adopt => true,
        Act::Update | Act::Forget | Act::Destroy | Act::NoOp => false,
    });
    let others: Vec<Hostname> = others.map(|change| change.name.clone()).collect();
    match others.is_empty() {
        true => Ok(()),
        false => Err(Impossible::AnotherContainer(others)),
    }
}
