//! What was told of containers whose identity is not clear, or that are where they must not be.

use proximity_domain::ids::AppId;
use proximity_domain::time::Timestamp;

use super::state::State;
use crate::alarms::{Alarm, AlarmKey};
use crate::effects::NewEvent;

impl State {
    pub(crate) fn raise_alarm(&mut self, alarm: &Alarm, app: AppId, event: &NewEvent) -> bool {
        let known = self.guests.get(&alarm.key.guest);
        let present = known.is_some_and(|known| known.gone_at.is_none());
        if !present || self.alarms.contains_key(&alarm.key) {
            return false;
        }
        self.alarms.put(alarm.key, alarm.clone());
        self.add_event(event, Some(app), None, alarm.since);
        true
    }

    pub(crate) fn end_alarm(
        &mut self,
        key: &AlarmKey,
        told: Option<(AppId, &NewEvent)>,
        now: Timestamp,
    ) -> bool {
        if !self.alarms.contains_key(key) {
            return false;
        }
        self.alarms.remove(key);
        if let Some((app, event)) = told {
            self.add_event(event, Some(app), None, now);
        }
        true
    }

    pub(crate) fn all_alarms(&self) -> Vec<Alarm> {
        self.alarms.values().cloned().collect()
    }
}
