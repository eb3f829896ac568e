//! Apps: made, listed, archived.

use std::collections::BTreeMap;

use proximity_domain::app::{AppClass, Status, StatusLabel};
use proximity_domain::event::EventKind;
use proximity_domain::ids::{AppId, OperationId};
use proximity_domain::operation::OperationKind;
use proximity_domain::time::Timestamp;
use secrecy::SecretString;
use serde_json::json;

use super::state::{App, State};
use crate::counts::sum;
use crate::create::{on_its_way, told};
use crate::effects::NewEvent;
use crate::error::StoreError;
use crate::journal::Act;
use crate::records::{Actor, AppRecord, AppSite, NewApp, NewOperation, RequestKey};
use crate::routed::RoutedApp;
use crate::row::damaged;
use crate::views::{AppCount, AppFilter, ArchivedApp, ArchivedBy, Promised};

impl State {
    pub(crate) fn create_app(
        &mut self,
        app: NewApp,
        operation: &NewOperation,
        actor: &Actor,
        key: Option<&RequestKey>,
        now: Timestamp,
    ) -> Result<AppRecord, StoreError> {
        if operation.kind != OperationKind::Deploy || operation.app != app.id {
            let what = "an app is created with its own deploy operation".to_owned();
            return Err(StoreError::IllegalTransition { what });
        }
        let claimed = self.claim_key(&app.owner, key, &app.id.to_string(), now)?;
        if let Some(first) = claimed {
            let first = first.parse().map_err(|_| damaged("resource", first))?;
            return self.live_or_archived(first);
        }
        self.insert_app(app, AppClass::Native, operation, actor, now)
    }

    /// A new app with its ports and its operation, and what is told of it.
    pub(crate) fn insert_app(
        &mut self,
        app: NewApp,
        class: AppClass,
        operation: &NewOperation,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AppRecord, StoreError> {
        self.refuse_new(&app)?;
        if class == AppClass::Native {
            self.refuse_given(&app)?;
        }
        self.refuse_beyond_queue()?;
        let id = app.id;
        if self.apps.contains_key(&id) {
            let id = id.to_string();
            return Err(StoreError::Exists { what: "app", id });
        }
        let pair = self.take_ports(id, now)?;
        let body = told(&app, pair);
        let site = app.site.clone().map(|site| AppSite {
            site,
            url: None,
            trouble: None,
        });
        if let Some(entry) = &app.entry {
            self.keep_entry_revision(entry);
        }
        let fresh = App {
            entry_hash: app.entry.as_ref().map(|entry| entry.hash.clone()),
            asked: app,
            class,
            exposed: class == AppClass::Native,
            status: on_its_way(class),
            status_changed_at: now,
            url: None,
            site,
            ports: Some(pair),
            created_at: now,
            archived: None,
        };
        self.apps.put(id, fresh);
        let event = NewEvent {
            kind: EventKind::AppCreated,
            body: body.clone(),
        };
        self.add_event(&event, Some(id), Some(operation.id), now);
        self.insert_operation(operation, actor, None, now)?;
        let target = id.to_string();
        let action = match class {
            AppClass::Native => "app.create",
            AppClass::Adopted => "app.adopt",
        };
        let act = Act::request(action, &target, body).of(operation.id);
        self.add_audit(actor, act, now);
        self.live_app(id).ok_or_else(|| no_app(id))
    }

    fn refuse_new(&self, app: &NewApp) -> Result<(), StoreError> {
        if !self.hosts.contains_key(&app.host) {
            let id = app.host.to_string();
            return Err(StoreError::NotFound { what: "host", id });
        }
        if self.app_by_hostname(app.hostname.as_str()).is_some() {
            let hostname = app.hostname.to_string();
            return Err(StoreError::HostnameTaken { hostname });
        }
        match &app.site {
            Some(site) => self.refuse_taken(app.id, site),
            None => Ok(()),
        }
    }

    pub(crate) fn live_or_archived(&self, id: AppId) -> Result<AppRecord, StoreError> {
        let app = self.apps.get(&id).ok_or_else(|| no_app(id))?;
        Ok(match &app.archived {
            Some(archived) => archived.record.clone(),
            None => self.record_of(app),
        })
    }

    pub(crate) fn live_app(&self, id: AppId) -> Option<AppRecord> {
        let app = self.apps.get(&id)?;
        app.is_live().then(|| self.record_of(app))
    }

    pub(crate) fn exposed_apps(&self) -> Vec<RoutedApp> {
        let live = self.apps.values().filter(|app| app.is_live());
        let exposed = live.filter(|app| app.exposed);
        exposed
            .map(|app| RoutedApp::from(&self.record_of(app)))
            .collect()
    }

    pub(crate) fn app_by_hostname(&self, hostname: &str) -> Option<AppRecord> {
        let mut live = self.apps.values().filter(|app| app.is_live());
        let app = live.find(|app| app.asked.hostname.as_str() == hostname)?;
        Some(self.record_of(app))
    }

    pub(crate) fn record_of(&self, app: &App) -> AppRecord {
        app.record(self.live.get(&app.asked.id).copied())
    }

    pub(crate) fn apps_by_id(&self, after: Option<AppId>) -> Vec<AppRecord> {
        let live = self.apps.values().filter(|app| app.is_live());
        let mut live: Vec<&App> = live
            .filter(|app| after.is_none_or(|after| app.asked.id > after))
            .collect();
        live.sort_by_key(|app| app.asked.id);
        live.truncate(usize::try_from(AppFilter::MAX_PER_PAGE).unwrap_or(usize::MAX));
        live.into_iter().map(|app| self.record_of(app)).collect()
    }

    pub(crate) fn list_apps(&self, filter: &AppFilter) -> (Vec<AppRecord>, u64) {
        let search = filter.search.as_ref().map(|text| text.to_lowercase());
        let contains = |text: &str| {
            let text = text.to_lowercase();
            search
                .as_ref()
                .is_none_or(|search| text.contains(search.as_str()))
        };
        let fits = |app: &&App| {
            app.is_live()
                && filter
                    .status
                    .is_none_or(|status| app.status.label() == status)
                && filter
                    .owner
                    .as_ref()
                    .is_none_or(|owner| app.asked.owner == *owner)
                && (contains(app.asked.hostname.as_str())
                    || contains(app.asked.catalog_id.as_str()))
        };
        let mut found: Vec<&App> = self.apps.values().filter(fits).collect();
        found.sort_by_key(|app| std::cmp::Reverse((app.created_at, app.asked.id)));
        let total = u64::try_from(found.len()).unwrap_or(u64::MAX);
        if let Some(after) = filter.after {
            // After one that is not there comes nothing.
            let age = self.apps.get(&after).map(|app| (app.created_at, after));
            found.retain(|app| age.is_some_and(|age| (app.created_at, app.asked.id) < age));
        }
        let per_page = match filter.per_page {
            0 => AppFilter::DEFAULT_PER_PAGE,
            n => n.min(AppFilter::MAX_PER_PAGE),
        };
        let size = usize::try_from(per_page).unwrap_or(usize::MAX);
        let before = usize::try_from(filter.page.saturating_sub(1)).unwrap_or(usize::MAX);
        let page = found
            .into_iter()
            .skip(before.saturating_mul(size))
            .take(size);
        (page.map(|app| self.record_of(app)).collect(), total)
    }

    pub(crate) fn app_counts(&self, owner: Option<&str>) -> Vec<AppCount> {
        let mut counts: BTreeMap<([String; 5], bool), u64> = BTreeMap::new();
        for app in self.apps.values().filter(|app| app.is_live()) {
            let host = self.hosts.get(&app.asked.host);
            let (Some(host), true) = (host, owner.is_none_or(|owner| app.asked.owner == owner))
            else {
                continue;
            };
            let told_apart = [
                app.class.label().to_owned(),
                app.status.label().label().to_owned(),
                host.label.to_string(),
                app.asked.node.to_string(),
                app.asked.catalog_id.to_string(),
            ];
            *counts.entry((told_apart, app.exposed)).or_default() += 1;
        }
        let counts = counts.into_iter().map(|((told_apart, exposed), apps)| {
            let [class, status, host, node, catalog_id] = told_apart;
            AppCount {
                class,
                status,
                host,
                node,
                catalog_id,
                exposed,
                apps,
            }
        });
        counts.collect()
    }

    pub(crate) fn promised(&self) -> Vec<Promised> {
        let deploying = self
            .apps
            .values()
            .filter(|app| app.is_live() && app.status.label() == StatusLabel::Deploying);
        sum(deploying.map(|app| {
            let place = (app.asked.host, app.asked.node.clone());
            (place, app.asked.resources, 1)
        }))
    }

    pub(crate) fn environment_of(&self, id: AppId) -> Result<SecretString, StoreError> {
        match self.apps.get(&id) {
            Some(app) if app.is_live() => Ok(app.asked.environment_sealed.clone()),
            Some(_) | None => Err(no_app(id)),
        }
    }

    pub(crate) fn archived_app(&self, id: AppId) -> Option<ArchivedApp> {
        self.apps.get(&id)?.archived.clone()
    }

    /// Moves a live app to `status`, and tells of it if that is another one.
    pub(crate) fn set_status(
        &mut self,
        id: AppId,
        status: &Status,
        operation: Option<OperationId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let app = self.live_row(id)?;
        if app.status == *status {
            return Ok(());
        }
        let before = std::mem::replace(&mut app.status, status.clone());
        app.status_changed_at = now;
        let problem = match status {
            Status::Error { why, .. } => Some(why),
            Status::Deploying
            | Status::Adopting
            | Status::Cloning
            | Status::Running
            | Status::Stopped
            | Status::Updating
            | Status::Removing => None,
        };
        let (from, to) = (before.label().label(), status.label().label());
        let event = NewEvent {
            kind: EventKind::AppStatusChanged,
            body: json!({"from": from, "to": to, "problem": problem}),
        };
        self.add_event(&event, Some(id), operation, now);
        Ok(())
    }

    /// A live app, to change.
    pub(crate) fn live_row(&mut self, id: AppId) -> Result<&mut App, StoreError> {
        match self.apps.row(&id) {
            Some(app) if app.is_live() => Ok(app),
            Some(_) | None => Err(no_app(id)),
        }
    }

    /// Moves `app` to the archive; nothing happens if it is there already.
    pub(crate) fn archive(
        &mut self,
        id: AppId,
        by: ArchivedBy,
        rest_ms: Option<i64>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(record) = self.live_app(id) else {
            return Ok(());
        };
        let guests = self.present().filter(|g| g.guest.app() == id).count();
        if guests > 0 {
            let what = format!("app {id} cannot be archived: {guests} guest(s) of it are not gone");
            return Err(StoreError::IllegalTransition { what });
        }
        self.guards.remove(&id);
        self.drifts.remove(&id);
        if let Some(pair) = record.ports {
            self.free_ports(pair, rest_ms, now);
        }
        let app = self.live_row(id)?;
        app.asked.environment_sealed = String::new().into();
        app.asked.root_password = None;
        app.ports = None;
        let ports = record.ports;
        app.archived = Some(ArchivedApp {
            record: AppRecord {
                ports: None,
                operation: None,
                ..record
            },
            ports,
            by,
            archived_at: now,
        });
        Ok(())
    }
}

pub(crate) fn no_app(id: AppId) -> StoreError {
    let id = id.to_string();
    StoreError::NotFound { what: "app", id }
}
