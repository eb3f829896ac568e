//! What a change asks for, as the requests that a person would make.

use std::collections::BTreeMap;

use proximity_domain::create::ResourceRequest;
use proximity_domain::made_with::MadeWith;
use proximity_domain::plan::{Act, Change, WantedAdopted, WantedApp, WantedSetting, Wish};
use proximity_store::records::{Actor, AppRecord, RequestKey};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::Doer;
use crate::commands::{AdoptContainer, CreateApp, UpdateApp};
use crate::error::EngineError;

impl Doer<'_> {
    /// What of the app that makes way for this one goes on where the documents say nothing of it.
    async fn before(&self, planned: &Change) -> Result<Option<AppRecord>, EngineError> {
        let replaced = planned.app.filter(|_| planned.act == Act::Replace);
        let Some(replaced) = replaced else {
            return Ok(None);
        };
        let archived = self.engine.store().archived_app(replaced).await?;
        Ok(archived.map(|archived| archived.record))
    }

    /// The account whose apps alone count and may be named; `None` = all. It is told by the token that the apply was asked for with, or, where
    /// nobody was there to use one, by those of the account.
    async fn sees_only(&self) -> Result<Option<String>, EngineError> {
        let Actor { account, token, .. } = &self.actor;
        let tokens = self.engine.store().tokens().await?;
        let mut used = tokens.iter().filter(|one| match token {
            Some(id) => one.id == *id,
            None => one.account == *account,
        });
        let sees_all = used.any(|one| one.scopes.iter().any(|scope| scope == "*"));
        Ok((!sees_all).then(|| account.clone()))
    }

    pub(super) async fn creation(
        &self,
        spec: &WantedApp,
        planned: &Change,
        key: RequestKey,
    ) -> Result<CreateApp, EngineError> {
        let (made_with, site) = match self.before(planned).await? {
            Some(before) => (before.made_with, before.site.map(|of| of.site)),
            None => (MadeWith::default(), None),
        };
        let root = spec.root.clone().unwrap_or_else(|| made_with.root());
        let apart_from = spec.apart_from.clone();
        let apart_from = apart_from.map(|names| names.into_iter().collect());
        // A name of before that nothing leads under any more keeps no app from being made.
        let leads_names = self.engine.inner.parts.ingress.leads_names();
        let site = match &spec.site {
            Some(wish) => wish.site().cloned(),
            None => site.filter(|_| leads_names),
        };
        Ok(CreateApp {
            catalog_id: spec.catalog_id.to_string(),
            hostname: self.change.name.to_string(),
            resources: ResourceRequest {
                memory_mib: Some(spec.resources.memory_mib),
                cores: Some(spec.resources.cores),
                disk_gib: Some(spec.resources.disk_gib),
            },
            environment: self.values(&spec.settings).await?,
            // Of documents that do not allow it there is no plan.
            allow_unpinned: true,
            host: spec.host.map(|host| host.to_string()),
            node: spec.node.as_ref().map(ToString::to_string),
            network: spec
                .network
                .as_deref()
                .cloned()
                .unwrap_or(made_with.network),
            apart_from: apart_from.unwrap_or(made_with.apart_from),
            root_keys: root.keys,
            root_password: root.password,
            sees_only: self.sees_only().await?,
            site,
            key: Some(key),
        })
    }

    pub(super) async fn update(
        &self,
        app: &AppRecord,
        wish: &Wish,
        key: RequestKey,
    ) -> Result<UpdateApp, EngineError> {
        Ok(UpdateApp {
            resources: wish.resources,
            settings: self.values(&wish.settings).await?,
            // Documents are held against the catalog as it is now, and so is what they want of settings.
            newest_entry: !wish.settings.is_empty(),
            allow_unpinned: true,
            digest: None,
            // The plan showed how large its disk is to be, and was agreed to.
            confirm: Some(app.hostname.to_string()),
            key: Some(key),
        })
    }

    /// Settings as requests give them, secrets with their values.
    async fn values(
        &self,
        settings: &BTreeMap<String, WantedSetting>,
    ) -> Result<Map<String, Value>, EngineError> {
        let mut values = Map::new();
        for (setting, wanted) in settings {
            let value = match wanted {
                WantedSetting::Open(value) => value.clone(),
                WantedSetting::Secret(name) => {
                    let value = self.engine.store().secret_value(name).await?;
                    let value = value.ok_or_else(|| EngineError::NotFound {
                        what: "secret",
                        name: name.to_string(),
                    })?;
                    Value::from(value.expose_secret())
                }
            };
            values.insert(setting.clone(), value);
        }
        Ok(values)
    }
}

/// The container that is taken over, as it is asked for.
pub(super) fn adoption(spec: &WantedAdopted, key: RequestKey) -> AdoptContainer {
    AdoptContainer {
        host: Some(spec.host.to_string()),
        node: None,
        vmid: spec.vmid.get(),
        suggested_type: spec.taken_for.as_ref().map(ToString::to_string),
        port: spec.port,
        probe: false,
        key: Some(key),
    }
}
