//! What a change is made of: one thing after the other, each done by a command that exists.

use std::collections::BTreeMap;

use serde_json::json;

use super::wanted::{Wanted, WantedAdopted, WantedApp, WantedKind, WantedSetting, WantedSite};
use super::{Act, Change, Obstacle};
use crate::create::ResourceRequest;
use crate::manifest::WantedPower;
use crate::names::Hostname;
use crate::site::Site;

/// One thing that is done about an app. Done again, it changes nothing more.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// A container is made for it.
    Create,
    /// Its container is taken over.
    Adopt,
    /// Its container is destroyed.
    Remove,
    /// Its container is given back.
    Forget,
    /// It is changed where it is.
    Update(Wish),
    /// Its container is started, or shut down.
    Power(WantedPower),
    /// Its drift is told, or not.
    Guard(bool),
    /// The gateway leads to it: to this port inside, or to the one on record.
    Expose(Option<u16>),
    /// The gateway leads to it no more.
    Hide,
    /// It is led to under this host name, or under none.
    Lead(Option<Site>),
    /// It is kept apart from these apps whenever a node is chosen from now on.
    KeepApart(Vec<Hostname>),
}

impl Task {
    /// Stable text: part of the request key under which it is done.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Adopt => "adopt",
            Self::Remove => "remove",
            Self::Forget => "forget",
            Self::Update(_) => "update",
            Self::Power(WantedPower::Running) => "start",
            Self::Power(WantedPower::Stopped) => "stop",
            Self::Guard(true) => "guard",
            Self::Guard(false) => "unguard",
            Self::Expose(_) => "expose",
            Self::Hide => "unexpose",
            Self::Lead(Some(_)) => "lead_by_name",
            Self::Lead(None) => "end_name",
            Self::KeepApart(_) => "keep_apart",
        }
    }

    /// An operation is at work on it, which is waited for.
    #[must_use]
    pub fn is_an_operation(&self) -> bool {
        match self {
            Self::Create
            | Self::Adopt
            | Self::Remove
            | Self::Forget
            | Self::Update(_)
            | Self::Power(_) => true,
            Self::Guard(_) | Self::Expose(_) | Self::Hide | Self::Lead(_) | Self::KeepApart(_) => {
                false
            }
        }
    }
}

/// What of an app gets another value; what is not named stays.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wish {
    /// Memory, cores and disk.
    pub resources: ResourceRequest,
    /// Settings by the name that is recorded; with one of them all of its secrets, which are not compared.
    pub settings: BTreeMap<String, WantedSetting>,
}

/// What is done for a change, in order. `wanted` is what the documents say of its app, if any names it.
///
/// # Errors
/// Something differs that no command changes, or there is no word of an app that is to be made or changed.
pub fn tasks(change: &Change, wanted: Option<&Wanted>) -> Result<Vec<Task>, Obstacle> {
    let kind = wanted.map(|wanted| &wanted.kind);
    match (change.act, kind) {
        (Act::NoOp, _) => Ok(Vec::new()),
        (Act::Forget, _) => Ok(vec![Task::Forget]),
        (Act::Destroy, _) => Ok(vec![Task::Remove]),
        (Act::Create, Some(WantedKind::App(spec))) => Ok(made(spec)),
        (Act::Replace, Some(WantedKind::App(spec))) => {
            Ok([vec![Task::Remove], made(spec)].concat())
        }
        (Act::Adopt, Some(WantedKind::Adopted(spec))) => Ok(adopted(spec)),
        (Act::Replace, Some(WantedKind::Adopted(spec))) => {
            Ok([vec![Task::Forget], adopted(spec)].concat())
        }
        (Act::Update, Some(WantedKind::App(spec))) => Ok(changed(change, spec)),
        (Act::Update, Some(WantedKind::Adopted(spec))) => recorded(change, spec),
        (Act::Create | Act::Update | Act::Replace | Act::Adopt, _) => Err(Obstacle::new(
            "plan_outdated",
            format!("the documents say nothing of {} any more", change.name),
            "plan again",
        )),
    }
}

fn setting(path: &str) -> Option<&str> {
    path.strip_prefix("settings.")
}

/// A new app runs.
fn made(spec: &WantedApp) -> Vec<Task> {
    let stops = spec.power == Some(WantedPower::Stopped);
    let stop = stops.then_some(Task::Power(WantedPower::Stopped));
    std::iter::once(Task::Create).chain(stop).collect()
}

/// Told of and led to before it is started, so that nothing of that is missed.
fn adopted(spec: &WantedAdopted) -> Vec<Task> {
    let guard = spec.guard.then_some(Task::Guard(true));
    let expose = spec.expose.then_some(Task::Expose(None));
    let power = spec.power.map(Task::Power);
    let after = guard.into_iter().chain(expose).chain(power);
    std::iter::once(Task::Adopt).chain(after).collect()
}

/// Settings are changed while it runs: what is to run is started before, what is to be shut down is changed before. What is only written
/// down comes last.
fn changed(change: &Change, spec: &WantedApp) -> Vec<Task> {
    let (mut wish, mut power) = (Wish::default(), None);
    let (mut is_update, mut lead, mut apart) = (false, None, None);
    for field in &change.fields {
        match (field.path.as_str(), setting(&field.path)) {
            ("power", _) => {
                power = spec.power;
                continue;
            }
            ("host_name" | "certificate", _) => {
                let site = spec.site.as_deref().and_then(WantedSite::site);
                lead = Some(Task::Lead(site.cloned()));
                continue;
            }
            ("apart_from", _) => {
                let names = spec.apart_from.iter().flatten().cloned();
                apart = Some(Task::KeepApart(names.collect()));
                continue;
            }
            ("memory", _) => wish.resources.memory_mib = Some(spec.resources.memory_mib),
            ("cores", _) => wish.resources.cores = Some(spec.resources.cores),
            ("rootfs", _) => wish.resources.disk_gib = Some(spec.resources.disk_gib),
            (_, Some(name)) => {
                // One that the catalog knows no more is in no recipe either.
                let wanted = spec.settings.get(name);
                wish.settings
                    .extend(wanted.map(|wanted| (name.to_owned(), wanted.clone())));
            }
            _ => continue,
        }
        is_update = true;
    }
    if !wish.settings.is_empty() {
        let all = spec.settings.iter();
        let secrets = all.filter(|(_, wanted)| matches!(wanted, WantedSetting::Secret(_)));
        let secrets = secrets.map(|(name, wanted)| (name.clone(), wanted.clone()));
        wish.settings.extend(secrets);
    }
    let update = is_update.then_some(Task::Update(wish));
    let (before, after) = match power {
        Some(WantedPower::Running) => (Some(Task::Power(WantedPower::Running)), None),
        Some(WantedPower::Stopped) => (None, Some(Task::Power(WantedPower::Stopped))),
        None => (None, None),
    };
    let changed = before.into_iter().chain(update).chain(after);
    changed.chain(lead).chain(apart).collect()
}

/// Of an adopted app what is recorded of it changes, and its power.
fn recorded(change: &Change, spec: &WantedAdopted) -> Result<Vec<Task>, Obstacle> {
    let differs = |path: &str| change.fields.iter().any(|field| field.path == path);
    for path in ["name", "type"] {
        if differs(path) {
            return Err(unchangeable(change, path));
        }
    }
    let mut tasks = Vec::new();
    if differs("guard") {
        tasks.push(Task::Guard(spec.guard));
    }
    match (differs("expose"), differs("port"), spec.expose) {
        (_, true, true) => tasks.push(Task::Expose(spec.port)),
        (true, false, true) => tasks.push(Task::Expose(None)),
        (true, false, false) => tasks.push(Task::Hide),
        // To write it down the gateway would have to listen for a moment.
        (_, true, false) => return Err(unchangeable(change, "port")),
        (false, false, _) => {}
    }
    if differs("power") {
        tasks.extend(spec.power.map(Task::Power));
    }
    Ok(tasks)
}

fn unchangeable(change: &Change, path: &str) -> Obstacle {
    let from = change.fields.iter().find(|field| field.path == path);
    let from = from
        .and_then(|field| field.from.clone())
        .unwrap_or(json!(null));
    let hint = match path {
        "port" => format!("leave `port` out, write `port: {from}`, or `expose: true`"),
        path => format!(
            "write {from} as its {path}, or give it back with `proximity forget` and apply again: its container is left as it is"
        ),
    };
    Obstacle::new(
        "plan_unsupported",
        format!("`{path}` of an adopted app is written down at its adoption and does not change"),
        hint,
    )
}
