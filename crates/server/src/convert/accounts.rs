//! Accounts and sessions without their secrets.

use proximity_api::accounts::{Account, CurrentSession, Session, SetUpLink};
use proximity_domain::ids::SessionId;
use proximity_domain::session::ends_at;
use proximity_engine::commands::GivenLink;
use proximity_store::accounts::AccountRecord;
use proximity_store::sessions::SessionRecord;
use secrecy::{ExposeSecret, SecretString};

use super::moment;
use crate::auth::Caller;
use crate::cookies::csrf_token;

/// An account.
pub(crate) fn account(record: AccountRecord) -> Account {
    Account {
        name: record.name.to_string(),
        role: record.role.label().to_owned(),
        password_at: record.password_at.map(moment),
        link_until: record.link_until.map(moment),
        made_at: moment(record.made_at),
        made_by: record.made_by,
    }
}

/// An account with what sets its password.
pub(crate) fn set_up_link(given: GivenLink) -> SetUpLink {
    SetUpLink {
        token: given.secret.expose_secret().to_owned(),
        until: moment(given.until),
        account: account(given.account),
    }
}

/// A session; `current` is the one that the request came by.
pub(crate) fn session(record: SessionRecord, current: Option<SessionId>) -> Session {
    Session {
        current: current == Some(record.id),
        ends_at: moment(ends_at(record.begun_at, record.seen_at)),
        id: record.id.to_string(),
        account: record.account.to_string(),
        address: record.address,
        begun_at: moment(record.begun_at),
        seen_at: moment(record.seen_at),
    }
}

/// Who is behind a request; `secret` is what its session is known by.
pub(crate) fn current_session(caller: &Caller, secret: Option<&SecretString>) -> CurrentSession {
    let session = caller.session().ok();
    CurrentSession {
        account: caller.actor().account.clone(),
        role: caller.role().map(|role| role.label().to_owned()),
        scopes: caller.scopes().to_vec(),
        session_id: session.map(|session| session.id.to_string()),
        csrf_token: session.and(secret).map(csrf_token),
        ends_at: session.map(|session| moment(ends_at(session.begun_at, session.seen_at))),
    }
}
