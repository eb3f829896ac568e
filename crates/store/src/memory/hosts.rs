//! Host entries and API tokens.

use std::collections::BTreeSet;

use proximity_domain::event::EventKind;
use proximity_domain::ids::{AppId, HostId};
use proximity_domain::time::Timestamp;
use serde_json::json;

use super::state::State;
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::hosts::open_part;
use crate::journal::Act;
use crate::records::{Actor, HostRecord, RequestKey, TokenRecord};
use crate::row::damaged;

impl State {
    pub(crate) fn add_host(
        &mut self,
        host: HostRecord,
        key: Option<&RequestKey>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<HostId, StoreError> {
        let claimed = self.claim_key(&actor.account, key, &host.id.to_string(), now)?;
        if let Some(first) = claimed {
            return first.parse().map_err(|_| damaged("resource", first));
        }
        self.refuse_twins(&host)?;
        if self.hosts.contains_key(&host.id) {
            let id = host.id.to_string();
            return Err(StoreError::Exists { what: "host", id });
        }
        self.announce_host(EventKind::HostAdded, "host.add", &host, actor, now);
        let id = host.id;
        self.hosts.put(id, host);
        Ok(id)
    }

    pub(crate) fn change_host(
        &mut self,
        host: HostRecord,
        kind: EventKind,
        action: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.refuse_twins(&host)?;
        let Some(known) = self.hosts.get(&host.id) else {
            return Err(no_host(host.id));
        };
        let created_at = known.created_at;
        self.announce_host(kind, action, &host, actor, now);
        self.hosts.put(host.id, HostRecord { created_at, ..host });
        Ok(())
    }

    pub(crate) fn remove_host(
        &mut self,
        id: HostId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(host) = self.hosts.get(&id).cloned() else {
            return Err(no_host(id));
        };
        let apps = self.users_of(id);
        if apps > 0 {
            let label = host.label.to_string();
            return Err(StoreError::HostInUse { label, apps });
        }
        self.hosts.remove(&id);
        let bases = self.bases.keys().filter(|(spot, _)| spot.host == id);
        for base in bases.cloned().collect::<Vec<_>>() {
            self.bases.remove(&base);
        }
        self.announce_host(EventKind::HostRemoved, "host.remove", &host, actor, now);
        Ok(())
    }

    fn refuse_twins(&self, host: &HostRecord) -> Result<(), StoreError> {
        let others = || self.hosts.values().filter(|known| known.id != host.id);
        if let Some(twin) = others().find(|known| known.cluster_key == host.cluster_key) {
            return Err(StoreError::Exists {
                what: "cluster, as host",
                id: format!("{} ({})", twin.label, twin.cluster_key),
            });
        }
        match others().find(|known| known.label == host.label) {
            Some(twin) => Err(StoreError::Exists {
                what: "host",
                id: twin.label.to_string(),
            }),
            None => Ok(()),
        }
    }

    /// How many apps and prepared templates still need the host.
    pub(crate) fn users_of(&self, id: HostId) -> usize {
        let on_host = |app: &AppId| self.apps.get(app).is_some_and(|app| app.asked.host == id);
        let live = self.apps.values().filter(|app| app.is_live());
        let live = live.map(|app| app.asked.id).filter(on_host);
        let guests = self.present().filter(|g| g.guest.place().host == id);
        let mut users: BTreeSet<AppId> = live.collect();
        users.extend(guests.map(|g| g.guest.app()));
        users.extend(self.live.keys().copied().filter(on_host));
        users.len() + self.templates_of(id)
    }

    pub(crate) fn announce_host(
        &mut self,
        kind: EventKind,
        action: &str,
        host: &HostRecord,
        actor: &Actor,
        now: Timestamp,
    ) {
        let body = open_part(host);
        let event = NewEvent {
            kind,
            body: body.clone(),
        };
        self.add_event(&event, None, None, now);
        let act = Act::request(action, host.label.as_str(), body);
        self.add_audit(actor, act, now);
    }

    pub(crate) fn all_hosts(&self) -> Vec<HostRecord> {
        let mut hosts: Vec<HostRecord> = self.hosts.values().cloned().collect();
        hosts.sort_by(|a, b| a.label.as_str().cmp(b.label.as_str()));
        hosts
    }

    pub(crate) fn host_by_id(&self, id: HostId) -> Option<HostRecord> {
        self.hosts.get(&id).cloned()
    }

    pub(crate) fn host_by_label(&self, label: &str) -> Option<HostRecord> {
        let mut hosts = self.hosts.values();
        let found = hosts.find(|host| host.label.as_str() == label);
        found.cloned()
    }

    pub(crate) fn add_token(
        &mut self,
        token: TokenRecord,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let id = token.id.to_string();
        let mut known = self.tokens.values();
        if known.any(|t| t.id == token.id || t.secret_sha256 == token.secret_sha256) {
            return Err(StoreError::Exists { what: "token", id });
        }
        let details = json!({"account": token.account, "scopes": token.scopes});
        self.tokens.put(token.id, token);
        self.add_audit(actor, Act::request("token.add", &id, details), now);
        Ok(())
    }

    pub(crate) fn token_by_hash(&self, sha256: &[u8; 32]) -> Option<TokenRecord> {
        let mut tokens = self.tokens.values();
        let found = tokens.find(|token| token.secret_sha256 == *sha256);
        found.cloned()
    }

    pub(crate) fn all_tokens(&self) -> Vec<TokenRecord> {
        let mut tokens: Vec<TokenRecord> = self.tokens.values().cloned().collect();
        tokens.sort_by_key(|token| (token.created_at, token.id));
        tokens
    }
}

pub(crate) fn no_host(id: HostId) -> StoreError {
    let id = id.to_string();
    StoreError::NotFound { what: "host", id }
}
