//! What is wanted of each app, and the secrets that it stands for.

use std::collections::{BTreeMap, BTreeSet};

use proximity_domain::ids::AppId;
use proximity_domain::names::{Hostname, SecretName};
use proximity_domain::time::Timestamp;
use secrecy::SecretString;
use serde_json::json;

use super::state::{App, KeptSecret, State};
use crate::desired::{DesiredRecord, DesiredTies, end, needs, revised, told};
use crate::error::StoreError;
use crate::journal::Act;
use crate::records::Actor;
use crate::secrets::{REMOVED, SET, SecretRecord, in_use, no_secret, set};

impl State {
    pub(crate) fn newest_desired(&self, name: &Hostname) -> Option<DesiredRecord> {
        let newest = self.revisions(name).next_back();
        newest.cloned()
    }

    pub(crate) fn desired_revisions(&self, name: &Hostname) -> Vec<DesiredRecord> {
        self.revisions(name).cloned().collect()
    }

    pub(crate) fn all_desired(&self) -> Vec<DesiredRecord> {
        let mut newest = BTreeMap::new();
        for record in self.desired.values() {
            newest.insert(&record.name, record);
        }
        let wanted = newest.into_values();
        let wanted = wanted.filter(|record| record.spec.is_some());
        wanted.cloned().collect()
    }

    pub(crate) fn desired_at(&self, at: Timestamp) -> Vec<DesiredRecord> {
        let mut newest = BTreeMap::new();
        let then = self.desired.values();
        for record in then.filter(|record| record.applied_at <= at) {
            newest.insert(&record.name, record);
        }
        newest.into_values().cloned().collect()
    }

    pub(crate) fn desired_ties(&self) -> Vec<DesiredTies> {
        let all = self.all_desired().into_iter();
        let ties = all.filter_map(|record| {
            Some(DesiredTies {
                app: record.app?,
                depends_on: needs(&record),
                secrets: record.secrets,
            })
        });
        let mut ties: Vec<DesiredTies> = ties.collect();
        ties.sort_by_key(|ties| ties.app);
        ties
    }

    fn revisions(&self, name: &Hostname) -> impl DoubleEndedIterator<Item = &DesiredRecord> {
        let range = (name.clone(), 0)..=(name.clone(), u64::MAX);
        self.desired.range(range).map(|(_, record)| record)
    }

    /// Records what is wanted of an app from now on; nothing is any more of another name that it had.
    pub(crate) fn want(&mut self, wanted: DesiredRecord, now: Timestamp) {
        if wanted.app.is_some() && wanted.spec.is_some() {
            let others = self.all_desired().into_iter();
            let others =
                others.filter(|other| other.app == wanted.app && other.name != wanted.name);
            for before in others.collect::<Vec<_>>() {
                let ended = end(&before, &wanted);
                self.revise(Some(&before), ended, now);
            }
        }
        let before = self.newest_desired(&wanted.name);
        self.revise(before.as_ref(), wanted, now);
    }

    pub(crate) fn revise(
        &mut self,
        before: Option<&DesiredRecord>,
        wanted: DesiredRecord,
        now: Timestamp,
    ) {
        let Some(record) = revised(before, wanted) else {
            return;
        };
        self.add_event(&told(&record), record.app, None, now);
        let key = (record.name.clone(), record.revision);
        self.desired.put(key, record);
    }

    pub(crate) fn set_secret(
        &mut self,
        name: &SecretName,
        value: &SecretString,
        actor: &Actor,
        now: Timestamp,
    ) -> SecretRecord {
        let before = self.secrets.get(name);
        let before = before.map(|kept| (&kept.record, &kept.value));
        let record = set(before, name, value, actor, now);
        let kept = KeptSecret {
            record: record.clone(),
            value: value.clone(),
        };
        self.secrets.put(name.clone(), kept);
        let details = json!({ "version": record.version });
        self.add_audit(actor, Act::request(SET, name.as_str(), details), now);
        record
    }

    pub(crate) fn remove_secret(
        &mut self,
        name: &SecretName,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if !self.secrets.contains_key(name) {
            return Err(no_secret(name));
        }
        let apps = self.secret_users(name);
        if !apps.is_empty() {
            return Err(in_use(name, apps));
        }
        self.secrets.remove(name);
        let act = Act::request(REMOVED, name.as_str(), json!({}));
        self.add_audit(actor, act, now);
        Ok(())
    }

    fn secret_users(&self, name: &SecretName) -> Vec<String> {
        let wanted = self.all_desired().into_iter();
        let is_there = |app: AppId| self.apps.get(&app).is_some_and(App::is_live);
        let wanted = wanted.filter(|record| record.app.is_none_or(is_there));
        let wanted = wanted.filter(|record| record.secrets.contains_key(name));
        let mut apps: BTreeSet<String> = wanted.map(|record| record.name.to_string()).collect();
        let open = self.changes.values();
        let open = open.filter(|kept| !kept.change.state.is_over());
        let open = open.filter(|kept| kept.secrets.contains_key(name));
        apps.extend(open.map(|kept| kept.change.name.to_string()));
        apps.into_iter().collect()
    }

    pub(crate) fn all_secrets(&self) -> Vec<SecretRecord> {
        let all = self.secrets.values();
        all.map(|kept| kept.record.clone()).collect()
    }

    pub(crate) fn secret_value(&self, name: &SecretName) -> Option<SecretString> {
        let kept = self.secrets.get(name)?;
        Some(kept.value.clone())
    }

    pub(crate) fn secret_versions(&self) -> BTreeMap<SecretName, i64> {
        let all = self.secrets.iter();
        all.map(|(name, kept)| (name.clone(), kept.record.version))
            .collect()
    }
}
