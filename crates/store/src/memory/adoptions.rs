//! Adopted apps: recorded with their guest, and what was read of it.

use proximity_domain::adopted::AdoptedGuest;
use proximity_domain::adoption::AdoptionRecord;
use proximity_domain::app::AppClass;
use proximity_domain::ids::{AppId, GuestId};
use proximity_domain::time::Timestamp;

use super::apps::no_app;
use super::state::State;
use crate::adoptions::no_second_record;
use crate::error::StoreError;
use crate::exposure::{Exposure, refuse};
use crate::journal::Act;
use crate::records::{Actor, AppRecord, NewApp, NewOperation, RequestKey};
use crate::row::damaged;

impl State {
    pub(crate) fn adopt_app(
        &mut self,
        app: NewApp,
        guest: AdoptedGuest,
        operation: &NewOperation,
        actor: &Actor,
        key: Option<&RequestKey>,
        now: Timestamp,
    ) -> Result<AppRecord, StoreError> {
        let claimed = self.claim_key(&app.owner, key, &app.id.to_string(), now)?;
        if let Some(first) = claimed {
            let first = first.parse().map_err(|_| damaged("resource", first))?;
            return self.live_or_archived(first);
        }
        let record = self.insert_app(app, AppClass::Adopted, operation, actor, now)?;
        self.insert_guest(guest.into(), now)?;
        Ok(record)
    }

    pub(crate) fn expose(
        &mut self,
        id: AppId,
        exposure: Exposure,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AppRecord, StoreError> {
        let live = self.live_app(id).ok_or_else(|| no_app(id))?;
        refuse(&live)?;
        let (open, port) = exposure.parts();
        let app = self.live_row(id)?;
        app.exposed = open;
        app.asked.guest_port = port.unwrap_or(app.asked.guest_port);
        app.url = None;
        if let Some(site) = &mut app.site {
            (site.url, site.trouble) = (None, None);
        }
        let (event, action) = exposure.told(&live);
        let (target, body) = (id.to_string(), event.body.clone());
        self.add_event(&event, Some(id), None, now);
        self.add_audit(actor, Act::request(action, &target, body), now);
        self.live_app(id).ok_or_else(|| no_app(id))
    }

    pub(crate) fn adoption(&self, app: AppId) -> Option<AdoptionRecord> {
        self.adoptions.get(&app).cloned()
    }

    pub(crate) fn record_adoption(
        &mut self,
        app: AppId,
        record: AdoptionRecord,
    ) -> Result<(), StoreError> {
        let found = self.apps.get(&app);
        let is_adopted = found.is_some_and(|app| app.class == AppClass::Adopted);
        if !is_adopted || self.adoptions.contains_key(&app) {
            return Err(no_second_record(app));
        }
        if let Some(row) = self.apps.row(&app) {
            row.asked.catalog_id = record.suggested_type.clone();
            row.asked.guest_port = record.container_port;
        }
        self.adoptions.put(app, record);
        Ok(())
    }

    /// All adopted guests of an app are given back.
    pub(crate) fn release_all(&mut self, app: AppId, now: Timestamp) {
        let of_app = self.present().map(|known| &known.guest);
        let adopted = of_app.filter(|guest| guest.app() == app && guest.adopted().is_some());
        let ids: Vec<GuestId> = adopted.map(|guest| guest.id()).collect();
        for id in ids {
            if let Some(found) = self.guests.row(&id) {
                found.gone_at = Some(now);
            }
        }
    }
}
