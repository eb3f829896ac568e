//! Adopted apps whose drift is told.

use proximity_domain::ids::AppId;
use proximity_domain::operation::OperationState;
use proximity_domain::time::Timestamp;

use super::apps::no_app;
use super::state::State;
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::guards::{GuardedApp, ToldDrift, refuse, told};
use crate::journal::Act;
use crate::records::Actor;

impl State {
    pub(crate) fn guard(
        &mut self,
        app: AppId,
        on: bool,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let live = self.live_app(app).ok_or_else(|| no_app(app))?;
        refuse(&live)?;
        if self.guards.contains_key(&app) == on {
            return Ok(false);
        }
        if on {
            let fresh = GuardedApp {
                app,
                since: now,
                told: None,
            };
            self.guards.put(app, fresh);
        } else {
            self.guards.remove(&app);
        }
        let (event, action) = told(&live, on);
        let (target, body) = (app.to_string(), event.body.clone());
        self.add_event(&event, Some(app), None, now);
        self.add_audit(actor, Act::request(action, &target, body), now);
        Ok(true)
    }

    pub(crate) fn tell_drift(
        &mut self,
        app: AppId,
        keys: &[String],
        event: &NewEvent,
        now: Timestamp,
    ) -> bool {
        let operation = self.live.get(&app).and_then(|id| self.operations.get(id));
        let at_work = |work: &OperationState| !matches!(work, OperationState::Stuck { .. });
        if operation.is_some_and(|work| at_work(&work.record.state)) {
            return false;
        }
        let known = self.guards.get(&app);
        if known.is_none_or(|guarded| guarded.was_told(keys)) {
            return false;
        }
        let keys = keys.to_vec();
        let told = (!keys.is_empty()).then_some(ToldDrift { keys, at: now });
        if let Some(guarded) = self.guards.row(&app) {
            guarded.told = told;
        }
        self.add_event(event, Some(app), None, now);
        true
    }

    pub(crate) fn all_guards(&self) -> Vec<GuardedApp> {
        self.guards.values().cloned().collect()
    }

    pub(crate) fn guarded_since(&self, app: AppId) -> Option<Timestamp> {
        Some(self.guards.get(&app)?.since)
    }
}
