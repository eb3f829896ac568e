//! Which apps one is kept apart from, and the passwords of root that nobody was shown yet.

use proximity_domain::ids::AppId;
use proximity_domain::names::Hostname;
use proximity_domain::time::Timestamp;
use secrecy::SecretString;
use serde_json::json;

use super::apps::no_app;
use super::state::State;
use crate::apps::MOST_APART_FROM_ONE;
use crate::error::StoreError;
use crate::journal::Act;
use crate::made_with::{KEEP_APART, SHOW_PASSWORD, audited, no_password, refuse_early};
use crate::records::{Actor, AppRecord};
use crate::sites::refuse;

impl State {
    pub(crate) fn keep_apart(
        &mut self,
        id: AppId,
        from: Vec<Hostname>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AppRecord, StoreError> {
        let live = self.live_app(id).ok_or_else(|| no_app(id))?;
        refuse(&live)?;
        let details = audited(&live, &from);
        self.live_row(id)?.asked.made_with.apart_from = from;
        let target = id.to_string();
        self.add_audit(actor, Act::request(KEEP_APART, &target, details), now);
        self.live_app(id).ok_or_else(|| no_app(id))
    }

    pub(crate) fn apps_apart_from(&self, hostname: &Hostname) -> Vec<AppRecord> {
        let live = self.apps.values().filter(|app| app.is_live());
        let away = live.filter(|app| app.asked.made_with.apart_from.contains(hostname));
        let most = usize::try_from(MOST_APART_FROM_ONE).unwrap_or(usize::MAX);
        away.take(most).map(|app| self.record_of(app)).collect()
    }

    pub(crate) fn root_password(&self, id: AppId) -> Option<SecretString> {
        let app = self.apps.get(&id)?;
        app.asked.root_password.clone()
    }

    pub(crate) fn show_root_password(
        &mut self,
        id: AppId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<SecretString, StoreError> {
        let live = self.live_app(id).ok_or_else(|| no_app(id))?;
        let password = self.root_password(id).ok_or_else(|| no_password(id))?;
        refuse_early(&live)?;
        self.live_row(id)?.asked.root_password = None;
        let (target, details) = (id.to_string(), json!({ "hostname": live.hostname }));
        self.add_audit(actor, Act::request(SHOW_PASSWORD, &target, details), now);
        Ok(password)
    }
}
