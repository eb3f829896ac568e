//! Who may sign in, and who is signed in.

use proximity_domain::access::{Role, UserName};
use proximity_domain::ids::SessionId;
use proximity_domain::time::Timestamp;
use serde_json::json;

use super::state::{KeptAccount, KeptSession, State};
use crate::accounts::{
    ADDED, AccountRecord, LINKED, NewLink, PASSWORD, REMOVED, ROLE, SET_UP, has_good_link, may_add,
    may_become, no_account, no_link, recorded, themselves, with_password,
};
use crate::error::StoreError;
use crate::journal::Act;
use crate::records::Actor;
use crate::sessions::{self, BEGUN, ENDED, NewSession, SessionRecord, SignedIn, no_session};

impl State {
    pub(crate) fn add_account(
        &mut self,
        name: &UserName,
        role: Role,
        link: &NewLink,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AccountRecord, StoreError> {
        may_add(&self.all_accounts(), name)?;
        let record = recorded(name, role, link, actor, now);
        let kept = KeptAccount {
            record: record.clone(),
            password: None,
            link: Some(link.sha256),
        };
        self.accounts.put(name.clone(), kept);
        let details = json!({ "role": role.label() });
        self.add_audit(actor, Act::request(ADDED, name.as_str(), details), now);
        Ok(record)
    }

    pub(crate) fn set_role(
        &mut self,
        name: &UserName,
        role: Role,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AccountRecord, StoreError> {
        let before = may_become(&self.all_accounts(), name, Some(role))?;
        if let Some(kept) = self.accounts.row(name) {
            kept.record.role = role;
        }
        let details = json!({ "from": before.role.label(), "to": role.label() });
        self.add_audit(actor, Act::request(ROLE, name.as_str(), details), now);
        Ok(AccountRecord { role, ..before })
    }

    pub(crate) fn remove_account(
        &mut self,
        name: &UserName,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        may_become(&self.all_accounts(), name, None)?;
        self.end_sessions(name, None);
        self.accounts.remove(name);
        self.add_audit(actor, Act::request(REMOVED, name.as_str(), json!({})), now);
        Ok(())
    }

    pub(crate) fn give_link(
        &mut self,
        name: &UserName,
        link: &NewLink,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AccountRecord, StoreError> {
        let kept = self.accounts.row(name).ok_or_else(|| no_account(name))?;
        kept.link = Some(link.sha256);
        kept.record.link_until = Some(link.until);
        let after = kept.record.clone();
        let details = json!({ "until": link.until.0 });
        self.add_audit(actor, Act::request(LINKED, name.as_str(), details), now);
        Ok(after)
    }

    pub(crate) fn use_link(
        &mut self,
        sha256: &[u8; 32],
        password: &str,
        request: Option<&str>,
        now: Timestamp,
    ) -> Result<AccountRecord, StoreError> {
        let before = self.account_of_link(sha256, now).ok_or_else(no_link)?;
        let name = before.name.clone();
        self.put_password(&name, password, now);
        self.end_sessions(&name, None);
        let act = Act::request(SET_UP, name.as_str(), json!({}));
        self.add_audit(&themselves(&name, request), act, now);
        Ok(with_password(before, now))
    }

    pub(crate) fn set_password(
        &mut self,
        name: &UserName,
        password: &str,
        keep: Option<SessionId>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<AccountRecord, StoreError> {
        let before = self.account(name).ok_or_else(|| no_account(name))?;
        if let Some(id) = keep {
            let found = self.sessions.get(&id);
            let goes_on = found.is_some_and(|kept| kept.record.account == *name);
            goes_on.then_some(()).ok_or_else(|| no_session(id))?;
        }
        self.put_password(name, password, now);
        self.end_sessions(name, keep);
        self.add_audit(actor, Act::request(PASSWORD, name.as_str(), json!({})), now);
        Ok(with_password(before, now))
    }

    fn put_password(&mut self, name: &UserName, password: &str, now: Timestamp) {
        if let Some(kept) = self.accounts.row(name) {
            kept.record = with_password(kept.record.clone(), now);
            kept.password = Some(password.to_owned());
            kept.link = None;
        }
    }

    fn end_sessions(&mut self, name: &UserName, keep: Option<SessionId>) {
        let all = self.sessions.values().map(|kept| &kept.record);
        let ends = all.filter(|one| one.account == *name && Some(one.id) != keep);
        let ends: Vec<SessionId> = ends.map(|one| one.id).collect();
        for id in ends {
            self.sessions.remove(&id);
        }
    }

    pub(crate) fn all_accounts(&self) -> Vec<AccountRecord> {
        let all = self.accounts.values();
        all.map(|kept| kept.record.clone()).collect()
    }

    pub(crate) fn account(&self, name: &UserName) -> Option<AccountRecord> {
        let kept = self.accounts.get(name)?;
        Some(kept.record.clone())
    }

    pub(crate) fn account_password(&self, name: &UserName) -> Option<String> {
        self.accounts.get(name)?.password.clone()
    }

    pub(crate) fn account_of_link(
        &self,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Option<AccountRecord> {
        let mut all = self.accounts.values();
        let kept = all.find(|kept| kept.link == Some(*sha256))?;
        Some(kept.record.clone()).filter(|record| has_good_link(record, now))
    }

    pub(crate) fn begin_session(
        &mut self,
        new: &NewSession,
        request: Option<&str>,
        now: Timestamp,
    ) -> Result<SessionRecord, StoreError> {
        let account = self.account(&new.account);
        let account = account.ok_or_else(|| no_account(&new.account))?;
        sessions::is_by_password(new, account.password_at)?;
        self.make_room(&new.account, now);
        let is_there = |kept: &KeptSession| {
            kept.record.id == new.id || kept.secret_sha256 == new.secret_sha256
        };
        if self.sessions.values().any(is_there) {
            return Err(sessions::taken(new.id));
        }
        let record = sessions::recorded(new, now);
        let kept = KeptSession {
            record: record.clone(),
            secret_sha256: new.secret_sha256,
        };
        self.sessions.put(new.id, kept);
        let id = new.id.to_string();
        let act = Act::request(BEGUN, &id, sessions::begun(new));
        self.add_audit(&themselves(&new.account, request), act, now);
        Ok(record)
    }

    fn make_room(&mut self, account: &UserName, now: Timestamp) {
        let (idle, begun) = sessions::over_before(now);
        let all = self.sessions.values().map(|kept| &kept.record);
        let over = all.filter(|one| one.seen_at <= idle || one.begun_at <= begun);
        let over: Vec<SessionId> = over.map(|one| one.id).collect();
        for id in over {
            self.sessions.remove(&id);
        }
        let mut there = self.sessions_of(Some(account));
        there.reverse();
        for oldest in sessions::too_many(&there) {
            self.sessions.remove(&oldest.id);
        }
    }

    pub(crate) fn note_session(&mut self, id: SessionId, now: Timestamp) {
        if let Some(kept) = self.sessions.row(&id) {
            kept.record.seen_at = now;
        }
    }

    pub(crate) fn end_session(
        &mut self,
        id: SessionId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let record = self.sessions.get(&id).map(|kept| kept.record.clone());
        let record = record.ok_or_else(|| no_session(id))?;
        self.sessions.remove(&id);
        let target = id.to_string();
        let act = Act::request(ENDED, &target, sessions::ended(&record));
        self.add_audit(actor, act, now);
        Ok(())
    }

    pub(crate) fn signed_in(&self, sha256: &[u8; 32]) -> Option<SignedIn> {
        let mut all = self.sessions.values();
        let kept = all.find(|kept| kept.secret_sha256 == *sha256)?;
        let account = self.accounts.get(&kept.record.account)?;
        Some(SignedIn {
            session: kept.record.clone(),
            role: account.record.role,
            secret_sha256: kept.secret_sha256,
        })
    }

    pub(crate) fn sessions_of(&self, account: Option<&UserName>) -> Vec<SessionRecord> {
        let all = self.sessions.values().map(|kept| &kept.record);
        let of = all.filter(|one| account.is_none_or(|account| one.account == *account));
        let mut of: Vec<SessionRecord> = of.cloned().collect();
        of.sort_by_key(|one| std::cmp::Reverse((one.begun_at, one.id)));
        of
    }
}
