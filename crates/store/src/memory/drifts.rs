//! Apps that are not as documents want them, as it was told.

use proximity_domain::create::Resources;
use proximity_domain::ids::{AppId, HostId, Vmid};
use proximity_domain::merge::{Merged, Trace};
use proximity_domain::operation::OperationState;
use proximity_domain::resource::ResourceKind;
use proximity_domain::time::Timestamp;

use super::state::State;
use crate::desired::DesiredRecord;
use crate::drifts::{ACCEPT, DesiredDrift, traces};
use crate::effects::NewEvent;
use crate::journal::Act;
use crate::records::Actor;

impl State {
    pub(crate) fn tell_desired_drift(
        &mut self,
        app: AppId,
        fields: &[Merged],
        event: &NewEvent,
        now: Timestamp,
    ) -> bool {
        let operation = self.live.get(&app).and_then(|id| self.operations.get(id));
        let at_work = |work: &OperationState| !matches!(work, OperationState::Stuck { .. });
        if operation.is_some_and(|work| at_work(&work.record.state)) {
            return false;
        }
        let told = self.drifts.get(&app).map(|told| told.fields.as_slice());
        if self.live_app(app).is_none() || told.unwrap_or_default() == fields {
            return false;
        }
        if fields.is_empty() {
            self.drifts.remove(&app);
        } else {
            let drift = DesiredDrift {
                app,
                fields: fields.to_vec(),
                since: now,
            };
            self.drifts.put(app, drift);
        }
        self.add_event(event, Some(app), None, now);
        true
    }

    pub(crate) fn accept_drift(
        &mut self,
        before: &DesiredRecord,
        (wanted, resources): (DesiredRecord, Option<Resources>),
        event: &NewEvent,
        actor: &Actor,
        now: Timestamp,
    ) -> bool {
        let Some(app) = before.app else { return false };
        let operation = self.live.get(&app).and_then(|id| self.operations.get(id));
        let at_work = |work: &OperationState| !matches!(work, OperationState::Stuck { .. });
        let is_busy = operation.is_some_and(|work| at_work(&work.record.state));
        let newest = self.newest_desired(&before.name);
        let is_newest = newest.is_some_and(|newest| newest.revision == before.revision);
        let Ok(live) = self.live_row(app) else {
            return false;
        };
        if is_busy || !is_newest {
            return false;
        }
        if let Some(resources) = resources {
            live.asked.resources = resources;
        }
        self.revise(Some(before), wanted, now);
        self.add_event(event, Some(app), None, now);
        let (target, details) = (app.to_string(), event.body.clone());
        self.add_audit(actor, Act::request(ACCEPT, &target, details), now);
        true
    }

    pub(crate) fn all_desired_drifts(&self) -> Vec<DesiredDrift> {
        self.drifts.values().cloned().collect()
    }

    pub(crate) fn tasks_of(&self, host: HostId, vmid: Vmid) -> Vec<Trace> {
        if !self.hosts.contains_key(&host) {
            return Vec::new();
        }
        let tasks = self.resources.values().filter(|record| {
            let is_task = record.key.kind == ResourceKind::Task;
            is_task && record.host == host && record.status != "failed"
        });
        traces(tasks.map(|record| record.key.name.as_str()), vmid)
    }
}
