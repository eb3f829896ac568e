//! The checker for the model: the rules of the contract that its maps do not already make impossible.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::ids::{AppId, Epoch, HostId, OperationId, Vmid};
use proximity_domain::operation::OperationState;
use proximity_domain::prepared::Clones;

use super::state::{App, Operation, State};
use crate::apply::is_transitional;
use crate::clearing::Journal;
use crate::invariants::judge;
use crate::views::{AuditKind, PortSide};

impl State {
    /// What is wrong with the recorded state, one sentence each.
    pub(crate) fn broken_rules(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        self.check_apps(&mut wrong);
        self.check_guests(&mut wrong);
        self.check_templates(&mut wrong);
        self.check_operations(&mut wrong);
        self.check_applies(&mut wrong);
        self.check_journals(&mut wrong);
        wrong
    }

    fn check_apps(&self, wrong: &mut Vec<String>) {
        let mut names = BTreeMap::new();
        for app in self.apps.values() {
            let id = app.asked.id;
            let held = self.ports_held(id);
            if !app.is_live() {
                if app.ports.is_some() || !held.is_empty() {
                    wrong.push(format!("an archived app holds no port: {id}"));
                }
                continue;
            }
            let pair = app.ports;
            let pair = pair.map(|p| {
                [
                    (p.public, PortSide::Public),
                    (p.internal, PortSide::Internal),
                ]
            });
            if pair.is_none_or(|pair| held != BTreeMap::from(pair)) {
                let rule = "a live app holds one public and one internal port";
                wrong.push(format!("{rule}: {id}"));
            }
            if names.insert(app.asked.hostname.clone(), id).is_some() {
                wrong.push(format!("a host name belongs to one live app: {id}"));
            }
            if !self.hosts.contains_key(&app.asked.host) {
                wrong.push(format!("a live app's host is recorded: {id}"));
            }
            self.check_way(app, wrong);
        }
    }

    fn ports_held(&self, app: AppId) -> BTreeMap<u16, PortSide> {
        let held = self
            .ports
            .iter()
            .filter(|(_, port)| port.holder() == Some(app));
        held.map(|(number, port)| (*number, port.side)).collect()
    }

    fn check_way(&self, app: &App, wrong: &mut Vec<String>) {
        let label = app.status.label();
        if is_transitional(label) && !self.live.contains_key(&app.asked.id) {
            let (label, id) = (label.label(), app.asked.id);
            wrong.push(format!(
                "an app is on its way only while an operation lives: {id} is {label}"
            ));
        }
    }

    fn check_guests(&self, wrong: &mut Vec<String>) {
        let mut places = BTreeMap::new();
        for guest in self.present() {
            let (id, place) = (guest.guest.id(), guest.guest.place());
            if places.insert((place.host, place.vmid), id).is_some() {
                wrong.push(format!("a VMID of a cluster is held by one guest: {id}"));
            }
            if !self.hosts.contains_key(&place.host) {
                let rule = "the host of a guest that is not gone is recorded";
                wrong.push(format!("{rule}: {id}"));
            }
            let app = self.apps.get(&guest.guest.app());
            if app.is_none_or(|app| !app.is_live()) {
                let rule = "an archived app has no guest that is not gone";
                wrong.push(format!("{rule}: {id}"));
            }
        }
        for guest in self.guests.values() {
            let maker = self.operations.get(&guest.guest.created_by());
            if maker.is_none_or(|maker| maker.record.app != guest.guest.app()) {
                let rule = "a guest was created by an operation of its app";
                wrong.push(format!("{rule}: {}", guest.guest.id()));
            }
        }
    }

    fn check_templates(&self, wrong: &mut Vec<String>) {
        let guests = self.present().map(|guest| guest.guest.place());
        let mut places: BTreeSet<(HostId, Vmid)> =
            guests.map(|place| (place.host, place.vmid)).collect();
        for (id, template) in self.templates.iter() {
            let host = template.prepared.spot.host;
            let vmid = template.prepared.identity.vmid;
            if template.gone_at.is_some() {
                if self.clones_of(*id) != Clones::default() {
                    let rule = "nothing hangs on a prepared template that is gone";
                    wrong.push(format!("{rule}: {id}"));
                }
                continue;
            }
            if !places.insert((host, vmid)) {
                wrong.push(format!("a VMID of a cluster is held by one guest: {id}"));
            }
            if !self.hosts.contains_key(&host) {
                let rule = "the host of a prepared template that is not gone is recorded";
                wrong.push(format!("{rule}: {id}"));
            }
        }
    }

    fn check_operations(&self, wrong: &mut Vec<String>) {
        let mut live: BTreeMap<AppId, Vec<OperationId>> = BTreeMap::new();
        let abandoned = self.abandoned();
        for operation in self.operations.values() {
            let record = &operation.record;
            if record.finished_at.is_some() != record.state.is_final() {
                wrong.push(format!("an operation ends when it is final: {}", record.id));
            }
            if !record.state.is_final() {
                live.entry(record.app).or_default().push(record.id);
            }
            let unclaimed = matches!(
                record.state,
                OperationState::Queued | OperationState::Cancelled
            );
            if record.epoch == Epoch(0) && !unclaimed {
                wrong.push(format!(
                    "an operation that was claimed has an epoch: {}",
                    record.id
                ));
            }
            if operation
                .steps
                .values()
                .any(|step| step.epoch > record.epoch)
            {
                let rule = "a step was not written under an epoch that is still to come";
                wrong.push(format!("{rule}: {}", record.id));
            }
            let steps = operation.steps.values().map(|step| &**step);
            if let Some(what) = judge(record, steps, abandoned.contains(&record.id)) {
                wrong.push(format!(
                    "steps fit the state of their operation: {} is {}, {what}",
                    record.id,
                    record.state.label()
                ));
            }
        }
        for (app, found) in &live {
            if found.len() > 1 {
                wrong.push(format!("an app has one live operation at most: {app}"));
            }
            if self.live.get(app) != found.first() {
                wrong.push(format!("the live operation of an app is known: {app}"));
            }
        }
        if let Some(ended) = self.live.keys().find(|app| !live.contains_key(app)) {
            wrong.push(format!("the live operation of an app is known: {ended}"));
        }
    }

    fn check_applies(&self, wrong: &mut Vec<String>) {
        let mut names = BTreeSet::new();
        for ((apply, position), kept) in self.changes.iter() {
            let change = &kept.change;
            if change.state.is_over() {
                continue;
            }
            if self
                .applies
                .get(apply)
                .is_none_or(|apply| apply.ended_at.is_some())
            {
                let rule = "an apply that is over has no open change";
                wrong.push(format!("{rule}: {apply}/{position}"));
            }
            if !names.insert(&change.name) {
                let rule = "an app has an open change of one apply at most";
                wrong.push(format!("{rule}: {}", change.name));
            }
        }
        for apply in self.applies.values() {
            let plan = self.plans.get(&apply.plan);
            if plan.is_some_and(|plan| plan.applied_at.is_none()) {
                wrong.push(format!("a plan that is applied says so: {}", apply.plan));
            }
            if apply.epoch == Epoch(0) && apply.lease.is_some() {
                wrong.push(format!("an apply that is held has an epoch: {}", apply.id));
            }
        }
        let mut before = None;
        for (name, revision) in self.desired.keys() {
            let next = match before {
                Some((of, revision)) if of == name => revision + 1,
                _ => 1,
            };
            if *revision != next {
                let rule = "what is wanted of an app has no gap in its revisions";
                wrong.push(format!("{rule}: {name}"));
            }
            before = Some((name, *revision));
        }
    }

    fn check_clearings(&self, wrong: &mut Vec<String>) {
        let cleared = self.operations.values();
        let cleared: Vec<&Operation> = cleared
            .filter(|operation| operation.record.cleared_at.is_some())
            .collect();
        if cleared.len() as u64 != self.cleared(Journal::Operations) {
            let counted = self.cleared(Journal::Operations);
            let rule = "as many operations were cleared as are counted";
            wrong.push(format!("{rule}: counted {counted}"));
        }
        for operation in cleared {
            let id = operation.record.id;
            if !operation.record.state.is_final() {
                wrong.push(format!("an operation that is cleared has ended: {id}"));
            }
            if !operation.steps.is_empty() {
                let rule = "an operation whose steps were cleared away has none";
                wrong.push(format!("{rule}: {id}"));
            }
            let app = self.apps.get(&operation.record.app);
            if app.is_some_and(App::is_live) && self.is_newest(operation) {
                let rule = "the newest operation of a live app has its steps";
                wrong.push(format!("{rule}: {id}"));
            }
        }
    }

    /// Operations that were given up.
    fn abandoned(&self) -> BTreeSet<OperationId> {
        let entries = self.audit.values();
        let given_up = entries.filter(|entry| entry.action == "operation.abandon");
        given_up.filter_map(|entry| entry.operation).collect()
    }

    fn check_journals(&self, wrong: &mut Vec<String>) {
        let cleared = |journal| usize::try_from(self.cleared(journal)).unwrap_or(usize::MAX);
        let (log, events) = (cleared(Journal::LogLines), cleared(Journal::Events));
        for (name, count, next) in [
            ("log lines", log + self.log.len(), self.log.next_number()),
            (
                "events",
                events + self.events.len(),
                self.events.next_number(),
            ),
            ("audit entries", self.audit.len(), self.audit.next_number()),
        ] {
            let end = next - 1;
            if i64::try_from(count) != Ok(end) {
                wrong.push(format!("{name} are numbered without gaps: at {end}"));
            }
        }
        let first = self.events.first_key_value().map(|(seq, _)| *seq);
        if first.is_some_and(|first| first != self.cleared_events() + 1) {
            wrong.push(format!(
                "of events the oldest are cleared away: from {first:?}"
            ));
        }
        self.check_clearings(wrong);
        let mutations = self.audit.values();
        for entry in mutations.filter(|entry| entry.kind == AuditKind::Mutation) {
            let operation = entry.operation.and_then(|id| self.operations.get(&id));
            let known = operation.is_some_and(|operation| {
                let step = entry
                    .step
                    .is_some_and(|step| operation.steps.contains_key(&step));
                let is_cleared = operation.record.cleared_at.is_some();
                (step || is_cleared)
                    && entry
                        .epoch
                        .is_some_and(|epoch| epoch <= operation.record.epoch)
            });
            if !known {
                let rule = "a mutation belongs to a step and to an epoch that was claimed";
                wrong.push(format!("{rule}: entry {}", entry.seq));
            }
        }
    }
}
