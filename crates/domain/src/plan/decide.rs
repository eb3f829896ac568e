//! What is done about each app that is wanted, and about each that no document names.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::basis::digest;
use super::compare::{self, Compared};
use super::fact::Fact;
use super::namesakes;
use super::state::{Observed, Recorded, Sight, State};
use super::waits::{Node, waits};
use super::wanted::{Wanted, WantedAdopted, WantedApp, WantedKind};
use super::{Act, Change, Downtime, FieldDiff, IgnoredFields, Obstacle, Place, Plan};
use crate::app::{AppClass, StatusLabel};
use crate::ids::{HostId, Vmid};
use crate::names::{Hostname, SecretName};

/// A plan, and what it does not know for certain.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The plan as far as it was looked.
    pub plan: Plan,
    /// Containers of which more than the list has to be read before the plan can be told, in the order of its changes.
    pub doubts: Vec<(HostId, Vmid)>,
}

/// Plans. Apps of others are never planned for, and their names and containers are taken.
///
/// Whatever `state` says in another form alone (a size in other units, a setting that is the catalog's anyway) is no change, so that
/// a plan of what a plan leads to is empty.
#[must_use]
pub fn decide(wanted: &[Wanted], state: &State, prune: bool) -> Decided {
    let decider = Decider::of(state);
    let mut judged: Vec<Judged<'_>> = wanted.iter().map(|one| decider.wanted(one)).collect();
    if prune {
        let named: BTreeSet<usize> = judged.iter().flat_map(|one| one.about.clone()).collect();
        let last = wanted.iter().map(|one| one.layer + 1).max();
        let left = (0..state.recorded.len()).filter(|at| !named.contains(at));
        judged.extend(left.filter_map(|at| decider.unwanted(at, last.unwrap_or(0))));
    }
    // In whichever order documents come, they say the same.
    judged.sort_by(|a, b| a.change.name.cmp(&b.change.name));
    let basis = digest(judged.iter().map(|one| one.fact.ground(&one.change)));
    decider.put_in_order(&mut judged, wanted);
    let (mut changes, mut doubts, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
    let (mut unchanged, mut uncompared) = (0, 0);
    for Judged {
        change,
        doubts: more,
        ignored: fields,
        ..
    } in judged
    {
        doubts.extend(more);
        if !fields.is_empty() {
            let name = change.name.clone();
            ignored.push(IgnoredFields { name, fields });
        }
        if change.is_quiet() {
            unchanged += 1;
            uncompared += u64::from(!change.notes.is_empty());
        } else {
            changes.push(change);
        }
    }
    let plan = Plan {
        digest: asked(wanted, prune),
        basis,
        prune,
        changes,
        unchanged,
        uncompared,
        ignored,
        brake: None,
        rollback: None,
    };
    Decided { plan, doubts }
}

/// Names what is wanted, as a plan of it does ([`Plan::digest`]): in whichever order, SHA-256 in hexadecimal digits.
#[must_use]
pub fn asked(wanted: &[Wanted], prune: bool) -> String {
    let mut by_name: Vec<&Wanted> = wanted.iter().collect();
    by_name.sort_by(|a, b| a.name.cmp(&b.name));
    let wanted = by_name.into_iter().map(Asked::Wanted);
    digest(wanted.chain([Asked::Prune(prune)]))
}

/// One app, decided.
struct Judged<'a> {
    change: Change,
    doubts: Vec<(HostId, Vmid)>,
    /// What somebody else changed and may.
    ignored: Vec<FieldDiff>,
    /// The places on record of the apps that are meant.
    about: Vec<usize>,
    fact: Fact<'a>,
}

/// What is asked for.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Asked<'a> {
    Wanted(&'a Wanted),
    Prune(bool),
}

struct Decider<'a> {
    state: &'a State,
    names: BTreeMap<&'a Hostname, usize>,
    places: BTreeMap<(HostId, Vmid), usize>,
}

impl<'a> Decider<'a> {
    fn of(state: &'a State) -> Self {
        let all = || state.recorded.iter().enumerate();
        let place = |(at, one): (usize, &Recorded)| Some(((one.host, one.vmid?), at));
        Self {
            state,
            names: all().map(|(at, one)| (&one.name, at)).collect(),
            places: all().filter_map(place).collect(),
        }
    }

    /// Says of each what it waits for, puts what ends behind what depended on it, and all of them in their order.
    fn put_in_order(&self, judged: &mut [Judged<'_>], wanted: &[Wanted]) {
        let found = waits(&self.nodes(judged, wanted));
        for (one, waits) in judged.iter_mut().zip(found) {
            one.change.layer += waits.later;
            one.change.depends_on = waits.depends_on;
        }
        judged.sort_by(|a, b| {
            (a.change.layer, &a.change.name).cmp(&(b.change.layer, &b.change.name))
        });
    }

    fn nodes<'n>(&'n self, judged: &'n [Judged<'_>], wanted: &'n [Wanted]) -> Vec<Node<'n>> {
        let wishes = wanted
            .iter()
            .map(|one| (&one.name, one.depends_on.as_slice()));
        let wishes: BTreeMap<&Hostname, &[Hostname]> = wishes.collect();
        let each = judged.iter().map(|one| {
            let needs = wishes.get(&one.change.name).copied();
            let before = one.about.iter();
            let before = before.filter_map(|at| self.state.recorded.get(*at));
            Node {
                name: &one.change.name,
                is_quiet: one.change.is_quiet(),
                ends: needs.is_none(),
                needs: needs.unwrap_or_default(),
                needed: before.flat_map(|one| &one.depends_on).collect(),
            }
        });
        each.collect()
    }

    fn wanted(&self, wanted: &'a Wanted) -> Judged<'a> {
        match &wanted.kind {
            WantedKind::App(spec) => {
                let mut judged = self.app(wanted, spec);
                let secrets = spec
                    .secrets()
                    .map(|name| (name, self.state.secrets.get(name)));
                judged.fact.secrets = secrets.collect();
                let lost = judged
                    .fact
                    .secrets
                    .iter()
                    .filter(|(_, version)| version.is_none());
                judged
                    .change
                    .obstacles
                    .extend(lost.map(|(name, _)| no_secret(name)));
                judged
            }
            WantedKind::Adopted(spec) => self.adopted(wanted, spec),
        }
    }

    fn app(&self, wanted: &'a Wanted, spec: &'a WantedApp) -> Judged<'a> {
        let known = self.named(&wanted.name);
        let is_ours = |one: &Recorded| one.is_own && one.class == AppClass::Native;
        if let Some((at, recorded)) = known
            && is_ours(recorded)
        {
            let sight = self.sight(recorded);
            let mut compared = compare::app(
                spec,
                recorded,
                seen(sight),
                self.state.said.get(&recorded.id),
                &self.state.secrets,
            );
            self.with_labels(&mut compared);
            let act = match (compared.fields.is_empty(), compared.needs_another) {
                (true, _) => Act::NoOp,
                (false, true) => Act::Replace,
                (false, false) => Act::Update,
            };
            return self.standing(wanted, (at, recorded), act, compared, sight);
        }
        let mut change = blank(wanted, AppClass::Native, Act::Create);
        change.place = Place {
            node: spec.node.clone(),
            ..self.place(spec.host, None)
        };
        change.obstacles.extend(known.map(|(_, one)| taken(one)));
        if let Some(entry) = spec.host.and_then(|host| self.state.hosts.get(&host)) {
            change.obstacles.extend(entry.unread.clone());
        }
        let mut fact = fact(&wanted.name, known, None, None);
        let mut doubts = Vec::new();
        // Where the name is taken nothing is made.
        if known.is_none() {
            doubts = namesakes::beside(self.state, &mut change, spec.host);
            fact.namesakes = self.state.of_name(&wanted.name, spec.host).collect();
        }
        Judged {
            change,
            doubts,
            ignored: Vec::new(),
            about: known.map(|(at, _)| at).into_iter().collect(),
            fact,
        }
    }

    fn adopted(&self, wanted: &'a Wanted, spec: &'a WantedAdopted) -> Judged<'a> {
        let held = self.places.get(&(spec.host, spec.vmid));
        let held = held.and_then(|at| Some((*at, self.state.recorded.get(*at)?)));
        let named = self.named(&wanted.name);
        let is_ours = |one: &Recorded| one.is_own && one.class == AppClass::Adopted;
        let sight = self.state.sight(spec.host, spec.vmid);
        if let Some((at, recorded)) = held
            && is_ours(recorded)
        {
            let mut compared = compare::adopted(spec, recorded, seen(sight));
            compared.ours("name", json!(recorded.name), json!(wanted.name));
            let other = named.filter(|(other, _)| *other != at);
            compared.obstacles.extend(other.map(|(_, one)| taken(one)));
            let act = match compared.fields.is_empty() {
                true => Act::NoOp,
                false => Act::Update,
            };
            let mut judged = self.standing(wanted, (at, recorded), act, compared, sight);
            judged.about.extend(other.map(|(at, _)| at));
            judged.fact = fact(&wanted.name, held, other, sight);
            return judged;
        }
        let mut act = Act::Adopt;
        let mut change = blank(wanted, AppClass::Adopted, act);
        change.place = self.place(Some(spec.host), Some(spec.vmid));
        change.obstacles.extend(held.map(|(_, one)| managed(one)));
        match named {
            Some((_, before)) if is_ours(before) => {
                act = Act::Replace;
                self.replaces(&mut change, before, spec);
            }
            Some((_, other)) => change.obstacles.push(taken(other)),
            None => {}
        }
        change.act = act;
        let is_listed = self.look(&mut change, sight);
        Judged {
            change,
            doubts: Vec::from_iter(is_listed.then_some((spec.host, spec.vmid))),
            ignored: Vec::new(),
            // Whoever has the name or the container is meant as well, and not one that no document names.
            about: named.into_iter().chain(held).map(|(at, _)| at).collect(),
            fact: fact(&wanted.name, held, named, sight),
        }
    }

    /// Another container is taken over under this name.
    fn replaces(&self, change: &mut Change, before: &Recorded, spec: &WantedAdopted) {
        change.app = Some(before.id);
        let mut compared = Compared::default();
        compared.ours("host", json!(before.host), json!(spec.host));
        compared.ours("vmid", json!(before.vmid), json!(spec.vmid));
        self.with_labels(&mut compared);
        change.fields = compared.fields;
        change.obstacles.extend(unready(before));
        if before.exposed {
            change.downtime = Downtime::Redeploy;
        }
    }

    /// An app that is there and is the one that is wanted.
    fn standing(
        &self,
        wanted: &'a Wanted,
        (at, recorded): (usize, &'a Recorded),
        act: Act,
        compared: Compared,
        sight: Option<Sight<'a>>,
    ) -> Judged<'a> {
        let mut change = blank(wanted, recorded.class, act);
        self.about(&mut change, recorded, sight);
        change.fields = compared.fields;
        change.obstacles.extend(compared.obstacles);
        change.notes = compared.notes;
        // Of a container that makes way for another one nothing stays.
        let ignored = if act == Act::Replace {
            Vec::new()
        } else {
            compared.ignored
        };
        change.downtime = downtime(&change, recorded, seen(sight));
        change.at_risk = at_risk(act, recorded, seen(sight));
        let is_listed = self.look(&mut change, sight);
        // What is lost is told from the configuration, and never from the list.
        let is_doubtful = compared.is_doubtful || act == Act::Replace;
        let place = recorded.vmid.map(|vmid| (recorded.host, vmid));
        Judged {
            change,
            doubts: Vec::from_iter(place.filter(|_| is_listed && is_doubtful)),
            ignored,
            about: vec![at],
            fact: fact(&wanted.name, Some((at, recorded)), None, sight),
        }
    }

    /// An app that no document names; those of others are left alone.
    fn unwanted(&self, at: usize, layer: u32) -> Option<Judged<'a>> {
        let recorded = self.state.recorded.get(at).filter(|one| one.is_own)?;
        let act = match recorded.class {
            AppClass::Native => Act::Destroy,
            AppClass::Adopted => Act::Forget,
        };
        let sight = self.sight(recorded);
        let mut change = Change {
            layer,
            ..empty(&recorded.name, recorded.class, act)
        };
        self.about(&mut change, recorded, sight);
        change.downtime = downtime(&change, recorded, seen(sight));
        change.at_risk = at_risk(act, recorded, seen(sight));
        // Giving a container back makes no call: its cluster may be away.
        let is_listed = act == Act::Destroy && self.look(&mut change, sight);
        let place = recorded.vmid.map(|vmid| (recorded.host, vmid));
        Some(Judged {
            change,
            doubts: Vec::from_iter(place.filter(|_| is_listed)),
            ignored: Vec::new(),
            about: vec![at],
            fact: fact(&recorded.name, Some((at, recorded)), None, sight),
        })
    }

    /// Which app and container a change is about, and what of its record keeps it back.
    fn about(&self, change: &mut Change, recorded: &Recorded, sight: Option<Sight<'_>>) {
        change.app = Some(recorded.id);
        let node = seen(sight).map_or(&recorded.node, |seen| &seen.node);
        change.place = Place {
            node: Some(node.clone()),
            ..self.place(Some(recorded.host), recorded.vmid)
        };
        change.obstacles.extend(unready(recorded));
        if recorded.vmid.is_none() && change.obstacles.is_empty() {
            let what = "no container is on record for it";
            let hint = format!("look at it with: proximity show {}", recorded.name);
            change
                .obstacles
                .push(Obstacle::new("container_missing", what, hint));
        }
    }

    /// What the look at a container says against the change; whether only the list was seen.
    fn look(&self, change: &mut Change, sight: Option<Sight<'_>>) -> bool {
        let Place { host, vmid, .. } = &change.place;
        let Some(vmid) = vmid else { return false };
        match sight {
            Some(Sight::Seen(seen)) => {
                change.obstacles.extend(seen.obstacles.iter().cloned());
                if change.place.node.is_none() {
                    change.place.node = Some(seen.node.clone());
                }
                return seen.digest.is_none();
            }
            Some(Sight::Unread(why)) => change.obstacles.push(why.clone()),
            Some(Sight::Absent) => {
                let host = host.as_ref().map_or("its host", |host| host.as_str());
                let what = format!("container {vmid} is not on {host}");
                let hint = format!("list what is there with: proximity nodes --host {host}");
                let hint = match change.app {
                    Some(_) => format!("look at it with: proximity show {}", change.name),
                    None => hint,
                };
                let lost = Obstacle::new("container_missing", what, hint);
                change.obstacles.push(lost);
            }
            None => {
                let what = format!("there is no host entry that container {vmid} could be on");
                let hint = "list the host entries with: proximity hosts list";
                let lost = Obstacle::new("host_not_found", what, hint);
                change.obstacles.push(lost);
            }
        }
        false
    }

    fn named(&self, name: &Hostname) -> Option<(usize, &'a Recorded)> {
        let at = *self.names.get(name)?;
        Some((at, self.state.recorded.get(at)?))
    }

    fn sight(&self, recorded: &Recorded) -> Option<Sight<'a>> {
        self.state.sight(recorded.host, recorded.vmid?)
    }

    fn place(&self, host: Option<HostId>, vmid: Option<Vmid>) -> Place {
        let label = host.and_then(|host| self.state.hosts.get(&host));
        Place {
            host_id: host,
            host: label.map(|entry| entry.label.clone()),
            node: None,
            vmid,
        }
    }

    /// Host entries are told by their labels.
    fn with_labels(&self, compared: &mut Compared) {
        let fields = compared.fields.iter_mut();
        for field in fields.filter(|field| field.path == "host") {
            for value in [&mut field.from, &mut field.to].into_iter().flatten() {
                let id = value.as_str().and_then(|id| id.parse::<HostId>().ok());
                if let Some(entry) = id.and_then(|id| self.state.hosts.get(&id)) {
                    *value = json!(entry.label);
                }
            }
        }
    }
}

fn seen(sight: Option<Sight<'_>>) -> Option<&Observed> {
    match sight {
        Some(Sight::Seen(seen)) => Some(seen),
        Some(Sight::Absent | Sight::Unread(_)) | None => None,
    }
}

fn fact<'a>(
    name: &'a Hostname,
    first: Option<(usize, &'a Recorded)>,
    second: Option<(usize, &'a Recorded)>,
    sight: Option<Sight<'a>>,
) -> Fact<'a> {
    let recorded = first.into_iter().chain(second);
    Fact {
        name,
        recorded: recorded.map(|(_, one)| one).collect(),
        sight,
        namesakes: Vec::new(),
        secrets: BTreeMap::new(),
    }
}

fn blank(wanted: &Wanted, class: AppClass, act: Act) -> Change {
    Change {
        layer: wanted.layer,
        ..empty(&wanted.name, class, act)
    }
}

fn empty(name: &Hostname, class: AppClass, act: Act) -> Change {
    Change {
        name: name.clone(),
        app: None,
        class,
        place: Place::default(),
        layer: 0,
        depends_on: Vec::new(),
        act,
        fields: Vec::new(),
        downtime: Downtime::None,
        at_risk: Vec::new(),
        lacks: Vec::new(),
        obstacles: Vec::new(),
        notes: Vec::new(),
    }
}

/// The name is another app's.
fn taken(other: &Recorded) -> Obstacle {
    let name = &other.name;
    let (what, hint) = match (other.is_own, other.class) {
        (false, _) => (
            "an app of another account has this name",
            "choose another name".to_owned(),
        ),
        (true, AppClass::Adopted) => (
            "an adopted app has this name",
            format!("choose another name, or give that one back with: proximity forget {name}"),
        ),
        (true, AppClass::Native) => (
            "an app from the catalog has this name",
            format!("choose another name, or look at that one with: proximity show {name}"),
        ),
    };
    Obstacle::new("hostname_taken", what, hint)
}

fn no_secret(name: &SecretName) -> Obstacle {
    let what = format!("there is no secret {name}");
    let hint = format!("set it with: proximity secrets set {name}");
    Obstacle::new("secret_not_found", what, hint)
}

/// The container is another app's.
fn managed(other: &Recorded) -> Obstacle {
    let what = match other.is_own {
        true => format!("the app {} has this container", other.name),
        false => "an app of another account has this container".to_owned(),
    };
    let hint = "name another container: proximity discover lists those that can be adopted";
    Obstacle::new("already_managed", what, hint)
}

/// What of an app's record keeps anything from being done about it.
fn unready(recorded: &Recorded) -> Option<Obstacle> {
    if let Some(operation) = recorded.busy {
        let hint =
            format!("wait for it, or look at it with: proximity operations show {operation}");
        return Some(Obstacle::new("busy", "an operation is at work on it", hint));
    }
    match recorded.status {
        StatusLabel::Running | StatusLabel::Stopped => None,
        StatusLabel::Deploying
        | StatusLabel::Adopting
        | StatusLabel::Cloning
        | StatusLabel::Updating
        | StatusLabel::Removing
        | StatusLabel::Error => {
            let what = format!("it is {}", recorded.status.label());
            let hint = format!("look at it with: proximity show {}", recorded.name);
            Some(Obstacle::new("not_in_state", what, hint))
        }
    }
}

fn downtime(change: &Change, recorded: &Recorded, seen: Option<&Observed>) -> Downtime {
    use crate::manifest::WantedPower::Stopped;
    if seen.is_some_and(|seen| seen.power == Some(Stopped)) {
        return Downtime::None;
    }
    let becomes = |path: &str, value: Value| {
        let mut fields = change.fields.iter();
        fields.any(|field| field.path == path && field.to.as_ref() == Some(&value))
    };
    match change.act {
        Act::Create | Act::Adopt | Act::NoOp => Downtime::None,
        Act::Replace => Downtime::Redeploy,
        Act::Destroy => Downtime::Ends,
        Act::Forget if recorded.exposed => Downtime::Ends,
        Act::Forget => Downtime::None,
        Act::Update if becomes("power", json!(Stopped)) || becomes("expose", json!(false)) => {
            Downtime::Ends
        }
        Act::Update => {
            let mut fields = change.fields.iter();
            match fields.any(|field| field.path.starts_with("settings.")) {
                true => Downtime::Restart,
                false => Downtime::None,
            }
        }
    }
}

fn at_risk(act: Act, recorded: &Recorded, seen: Option<&Observed>) -> Vec<String> {
    let destroys = matches!(act, Act::Replace | Act::Destroy);
    if !destroys || recorded.class != AppClass::Native || recorded.vmid.is_none() {
        return Vec::new();
    }
    match seen.and_then(|seen| seen.volumes.clone()) {
        Some(volumes) => volumes,
        None => vec!["all that its container holds, which was not read".to_owned()],
    }
}
